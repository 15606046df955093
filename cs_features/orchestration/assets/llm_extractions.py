"""Step 2: what the model says of each accepted interaction, answered or failed, and what it cost."""

import time

import dagster as dg
import polars as pl
from pydantic import Field

from cs_features.errors import RunStopper
from cs_features.extraction.prompting import prefix_tokens
from cs_features.extraction.session import MAX_SERVICE_FAILED_SHARE, MIN_SERVICE_FAILED, Session, extract
from cs_features.extraction.table import extractions_frame, plan
from cs_features.orchestration.assets.country_prompts import of_the_partition
from cs_features.orchestration.partitions import interaction_partitions, partition_of
from cs_features.orchestration.resources import DataBucket, Model
from cs_features.partitions import Partition
from cs_features.schemas import Reason

PROGRESS_SECONDS = 10


class ExtractionConfig(dg.Config):
    """Which failed interactions to ask again; by default none, because their answers are in the ledger."""

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

    def reasons(self) -> frozenset[Reason]:
        redrivable = {reason.value: reason for reason in Reason if reason.redrivable}
        unknown = set(self.redrive) - set(redrivable) - {"all"}
        if unknown:
            raise dg.Failure(
                f"redrive names {', '.join(sorted(unknown))}; redrivable reasons are {', '.join(redrivable)}, or all",
                allow_retries=False,
            )
        return frozenset(redrivable.values() if "all" in self.redrive else map(redrivable.__getitem__, self.redrive))


@dg.asset(
    partitions_def=interaction_partitions,
    deps=[of_the_partition],
    group_name="interactions",
    kinds={"bedrock", "polars"},
    description="The model's answer for each accepted interaction, with tokens, dollars and latency a call.",
)
def llm_extractions(
    context: dg.AssetExecutionContext,
    config: ExtractionConfig,
    model: Model,
    data: DataBucket,
    raw_interactions: pl.DataFrame,
) -> dg.MaterializeResult[pl.DataFrame]:
    partition = partition_of(context)
    prompts = model.prompts()
    capabilities = model.capabilities()
    needed, requests = plan(raw_interactions, prompts, capabilities)
    shared, minimum = prefix_tokens(prompts, partition.country, capabilities), capabilities.cache_minimum_tokens
    if minimum is None or shared < minimum:
        context.log.warning(
            f"{model.model_id} will cache nothing: it takes prefixes of {minimum or 'no'} tokens and more, and the "
            f"prompt of {partition.country} has about {shared}. Every call pays its whole prompt"
        )
    last_report = time.monotonic()

    def progress(session: Session) -> None:
        nonlocal last_report
        if time.monotonic() - last_report > PROGRESS_SECONDS:
            last_report = time.monotonic()
            context.log.info(_progress(partition, session, len(requests)))

    try:
        with data.ledger(partition.folder) as ledger:
            failed_before = sum(key in ledger.known and not ledger.known[key].answered for key in requests)
            session = extract(
                requests, ledger, model.extractor(prompts), model.max_concurrency, progress, config.reasons()
            )
            ledger.compact()
    except RunStopper as error:
        raise dg.Failure(f"{partition}: {error}", allow_retries=False) from None
    context.log.info(_progress(partition, session, len(requests)))
    down = sum(outcome.error is Reason.SERVICE_FAILED for outcome in session.outcomes.values())
    if down >= MIN_SERVICE_FAILED and down > MAX_SERVICE_FAILED_SHARE * len(requests):
        raise dg.Failure(
            f"{partition}: Bedrock failed {down} of {len(requests)} calls for good. Every answer is kept; "
            "run the partition again for the rest"
        )
    already_paid = set(session.outcomes) - session.asked
    frame = extractions_frame(
        needed, session.outcomes, already_paid, model.model_id, prompts.asked_version(partition.country)
    )
    before_and_after = {"failed_before": failed_before, "failed_after": session.failed}
    return dg.MaterializeResult(value=frame, metadata={**_metadata(frame), **before_and_after})


def _progress(partition: Partition, session: Session, total: int) -> str:
    return (
        f"{partition}: {len(session.outcomes)} of {total} calls done, {len(session.outcomes) - len(session.asked)} "
        f"of them from the ledger, {session.failed} failed, ${session.cost_usd:.4f}"
    )


def _metadata(frame: pl.DataFrame) -> dict[str, dg.MetadataValue]:
    paid = frame.filter(~pl.col("reused"))
    prompt_tokens = sum(int(paid[name].sum()) for name in ("input_tokens", "cache_read_tokens", "cache_write_tokens"))
    return {
        "interactions": dg.MetadataValue.int(frame.height),
        "answered": dg.MetadataValue.int(frame.filter(pl.col("status") == "answered").height),
        "calls": dg.MetadataValue.int(int(paid["attempts"].sum())),
        "cost_usd": dg.MetadataValue.float(float(paid["cost_usd"].sum())),
        "input_tokens": dg.MetadataValue.int(int(paid["input_tokens"].sum())),
        "cache_read_tokens": dg.MetadataValue.int(int(paid["cache_read_tokens"].sum())),
        "cache_write_tokens": dg.MetadataValue.int(int(paid["cache_write_tokens"].sum())),
        "output_tokens": dg.MetadataValue.int(int(paid["output_tokens"].sum())),
        "cache_share": dg.MetadataValue.float(
            float(paid["cache_read_tokens"].sum()) / prompt_tokens if prompt_tokens else 0.0
        ),
        "truncated": dg.MetadataValue.int(int(frame["truncated"].sum())),
    }
