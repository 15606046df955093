"""Step 2: what the model says of each accepted interaction, answered or failed, and what it cost."""

import time

import dagster as dg
import polars as pl
from pydantic import Field

from cs_features.erasure.tombstones import Tombstones
from cs_features.errors import AwsRefusal, RunStopper
from cs_features.extraction.models import ModelCapabilities
from cs_features.extraction.prompting import PlannedRequests, prefix_tokens
from cs_features.extraction.prompts import Prompts
from cs_features.extraction.session import Session, extract_needed_answers
from cs_features.extraction.table import (
    EXTRACTIONS_SCHEMA,
    Needed,
    build_extraction_table,
    group_by_request,
    keep_answered_rows,
    plan_partition_requests,
    sort_as,
)
from cs_features.freed_memory import give_memory_back
from cs_features.orchestration.assets.country_prompts import of_the_partition
from cs_features.orchestration.boundary import guard_boundary
from cs_features.orchestration.failures import lasting_failure, make_failure
from cs_features.orchestration.metadata import describe_columns, plot_apart
from cs_features.orchestration.partitions import interaction_partitions, partition_of
from cs_features.orchestration.quota_pool import MODEL_POOL, share_quota
from cs_features.orchestration.resources import DataBucket, Model
from cs_features.orchestration.run_memory import RUN_MEMORY
from cs_features.partitions import Partition
from cs_features.schemas import Reason

PROGRESS_SECONDS = 10


class ExtractionConfig(dg.Config):
    """What to ask although there is an answer: failed interactions, and those that another prompt has answered."""

    redrive: list[str] = Field(
        default_factory=list, description="reasons such as invalid_answer, or all for every redrivable reason"
    )

    reextract: bool = Field(
        default=True,
        description=(
            "ask again where the prompt or the model has changed; false keeps every answer that the table holds for "
            "an unchanged document, and asks for the rest alone"
        ),
    )

    def parse_reasons(self) -> frozenset[Reason]:
        redrivable = {reason.value: reason for reason in Reason if reason.redrivable}
        unknown = set(self.redrive) - set(redrivable) - {"all"}
        if unknown:
            raise lasting_failure(
                f"redrive names {', '.join(sorted(unknown))}; redrivable reasons are {', '.join(redrivable)}, or all"
            )
        if "all" in self.redrive:
            return frozenset(redrivable.values())
        return frozenset(redrivable[name] for name in self.redrive)


@dg.asset(
    partitions_def=interaction_partitions,
    deps=[of_the_partition],
    pool=MODEL_POOL,
    kinds={"bedrock", "polars"},
    metadata=describe_columns(EXTRACTIONS_SCHEMA),
    description="The model's answer for each accepted interaction, with tokens, dollars and latency a call.",
)
@guard_boundary
def llm_extractions(
    context: dg.AssetExecutionContext,
    config: ExtractionConfig,
    model: Model,
    data: DataBucket,
    raw_interactions: pl.DataFrame,
) -> dg.MaterializeResult[pl.DataFrame]:
    partition = partition_of(context)
    model = share_quota(model, context.instance, context.run_id)
    prompts, capabilities = model.prompts(), model.capabilities()
    _warn_of_useless_cache(context, prompts, partition.country, capabilities)
    previous = None if config.reextract else data.tables().read("llm_extractions", partition)
    kept = keep_answered_rows(previous, raw_interactions)
    to_ask = raw_interactions.filter(~pl.col("interaction_id").is_in(kept["interaction_id"].to_list()))
    needed, requests = plan_partition_requests(to_ask, prompts, capabilities, model.masking)
    failed_before, session = _ask_model(context, config, model, data, needed, requests)
    give_memory_back()  # of the ledger, which is as large as the table that is made now
    asked_version = prompts.asked_version(partition.country)
    billed = kept["request_hash"].to_list()
    made = build_extraction_table(needed, session.outcomes, session.asked, model.model_id, asked_version, billed)
    frame = sort_as(raw_interactions, pl.concat([kept, made]))
    counts = {"kept": kept.height, "failed_before": failed_before, "failed_after": session.failed}
    figures = {**_describe_bill(session), **_describe_rows(frame), **counts}
    context.add_asset_metadata(plot_apart(partition.country, figures))
    return dg.MaterializeResult(value=frame)


def _ask_model(
    context: dg.AssetExecutionContext,
    config: ExtractionConfig,
    model: Model,
    data: DataBucket,
    needed: list[Needed],
    requests: PlannedRequests,
) -> tuple[int, Session]:
    """How many of the requests had failed before, and what has become of all of them."""
    partition, prompts = partition_of(context), model.prompts()
    last_report = time.monotonic()

    def recall_erased() -> Tombstones:
        return RUN_MEMORY.recall(context.run_id, "tombstones", data.tombstones)

    def report_progress(session: Session) -> None:
        nonlocal last_report
        if time.monotonic() - last_report > PROGRESS_SECONDS:
            last_report = time.monotonic()
            context.log.info(_describe_progress(partition, session, len(requests)))

    try:
        with data.ledger(partition.folder, group_by_request(needed), recall_erased) as ledger:
            failed_before = sum(key in ledger.known and not ledger.known[key].answered for key in requests)
            extractor = model.extractor(prompts, data, partition.folder)
            session = extract_needed_answers(
                requests, ledger, extractor, model.max_concurrency, report_progress, config.parse_reasons()
            )
            ledger.compact_ledger_objects()
        session.check_model_service()
    except (AwsRefusal, RunStopper) as error:
        raise make_failure(f"{partition}: {error}", error) from None
    return failed_before, session


def _warn_of_useless_cache(
    context: dg.AssetExecutionContext, prompts: Prompts, country: str, model: ModelCapabilities
) -> None:
    shared, minimum = prefix_tokens(prompts, country, model), model.cache_minimum_tokens
    if minimum is None or shared < minimum:
        context.log.warning(
            f"{model.model_id} will cache nothing: it takes prefixes of {minimum or 'no'} tokens and more, and the "
            f"prompt of {country} has about {shared}. Every call pays its whole prompt"
        )


def _describe_progress(partition: Partition, session: Session, total: int) -> str:
    return (
        f"{partition}: {len(session.outcomes)} of {total} calls done, {len(session.outcomes) - len(session.asked)} "
        f"of them from the ledger, {session.failed} failed, ${session.cost_usd:.4f}"
    )


def _describe_bill(session: Session) -> dict[str, dg.MetadataValue]:
    """What this run has paid, whatever its rows have cost before."""
    usage = session.usage
    cache_share = usage.cache_read_tokens / usage.prompt_tokens if usage.prompt_tokens else 0.0
    return {
        "calls": dg.MetadataValue.int(session.calls),
        "cost_usd": dg.MetadataValue.float(session.cost_usd),
        "input_tokens": dg.MetadataValue.int(usage.input_tokens),
        "cache_read_tokens": dg.MetadataValue.int(usage.cache_read_tokens),
        "cache_write_tokens": dg.MetadataValue.int(usage.cache_write_tokens),
        "output_tokens": dg.MetadataValue.int(usage.output_tokens),
        "cache_share": dg.MetadataValue.float(cache_share),
    }


def _describe_rows(frame: pl.DataFrame) -> dict[str, dg.MetadataValue]:
    return {
        "answered": dg.MetadataValue.int(frame.filter(pl.col("status") == "answered").height),
        "truncated": dg.MetadataValue.int(int(frame["truncated"].sum())),
    }
