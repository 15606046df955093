"""Step 2: what the model says of each accepted interaction, answered or failed, and what it cost."""

import time

import dagster as dg
import polars as pl

from cs_features.extraction.bedrock import RunStopper, converse
from cs_features.extraction.engine import Extractor, Outcome, fan_out
from cs_features.extraction.pricing import price_list
from cs_features.extraction.table import extractions_frame, plan
from cs_features.partitions import Partition, interaction_partitions
from cs_features.resources import Model

PROGRESS_SECONDS = 10


@dg.asset(
    partitions_def=interaction_partitions,
    group_name="extraction",
    kinds={"bedrock", "polars"},
    description="The model's answer for each accepted interaction, with tokens, dollars and latency a call.",
)
def llm_extractions(
    context: dg.AssetExecutionContext, model: Model, raw_interactions: pl.DataFrame
) -> dg.MaterializeResult[pl.DataFrame]:
    partition = Partition.of(context)
    prompts, capabilities = model.prompts(), model.capabilities()
    needed, requests = plan(raw_interactions, prompts, capabilities)
    client = model.client()
    extractor = Extractor(
        call=lambda request: converse(client, request),
        answer_model=prompts.answer_model,
        price=price_list(capabilities),
    )
    outcomes: dict[str, Outcome] = {}
    reported = time.monotonic()
    try:
        for outcome in fan_out(requests.items(), extractor.ask, model.max_concurrency):
            outcomes[outcome.request_hash] = outcome
            if time.monotonic() - reported > PROGRESS_SECONDS:
                reported = time.monotonic()
                context.log.info(_progress(partition, outcomes, len(requests)))
    except RunStopper as error:
        raise dg.Failure(f"{partition}: {error}", allow_retries=False) from None
    context.log.info(_progress(partition, outcomes, len(requests)))
    frame = extractions_frame(needed, outcomes, set(), capabilities.model_id, prompts.version(partition.country))
    return dg.MaterializeResult(value=frame, metadata=_metadata(frame))


def _progress(partition: Partition, outcomes: dict[str, Outcome], total: int) -> str:
    failed = sum(not outcome.answered for outcome in outcomes.values())
    cost = sum(outcome.cost_usd for outcome in outcomes.values())
    return f"{partition}: {len(outcomes)} of {total} calls done, {failed} failed, ${cost:.4f}"


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
