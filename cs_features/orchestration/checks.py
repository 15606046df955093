"""The asset checks, one evaluation a partition. Blocking ones stand between the gate and the store.

What is checked is decided in the modules they call. A check that crashes raises: that is an error of
the check and must not look like bad data.
"""

from datetime import datetime, timezone
from typing import cast

import dagster as dg
import polars as pl

from cs_features.monitoring.conservation import Balance, changed_since, count_landed
from cs_features.monitoring.reconciliation import DIFFERS
from cs_features.orchestration.metadata import as_table
from cs_features.orchestration.partitions import interaction_partitions, partition_of
from cs_features.orchestration.resources import DataBucket, Landing, Model
from cs_features.quality.floor import stands
from cs_features.schemas import features_schema
from cs_features.validation.gate import judge

# Above or below these a human should look; nothing is blocked.
MAX_REJECTED_SHARE = 0.10
MAX_COST_PER_INTERACTION_USD = 0.0005
MIN_CACHE_SHARE = 0.50
MAX_LATENCY_P95_MS = 5_000


@dg.asset_check(
    asset="raw_interactions",
    partitions_def=interaction_partitions,
    blocking=True,
    description=(
        "The country is not known to answer the golden corpus worse than the floors in its file; "
        "a warning where it is not known. It stands before the extraction, so that nothing is paid for."
    ),
)
def quality_floor(
    context: dg.AssetCheckExecutionContext, model: Model, data: DataBucket, raw_interactions: pl.DataFrame
) -> dg.AssetCheckResult:
    languages = set(raw_interactions.filter(pl.col("status") == "accepted")["language"])
    found = stands(partition_of(context).country, languages, model, data.tables())
    return dg.AssetCheckResult(
        passed=not found.below and not found.unmeasured,
        # Only what is known to be bad blocks.
        severity=dg.AssetCheckSeverity.ERROR if found.below else dg.AssetCheckSeverity.WARN,
        description=str(found),
        metadata={"below": found.below, "unmeasured": found.unmeasured},
    )


@dg.asset_check(
    asset="validated_features",
    partitions_def=interaction_partitions,
    blocking=True,
    description="Every row keeps every rule of the pandera schema.",
)
def schema(
    context: dg.AssetCheckExecutionContext, model: Model, validated_features: pl.DataFrame
) -> dg.AssetCheckResult:
    partition = partition_of(context)
    verdict = judge(validated_features, features_schema(model.prompts().answer_model, partition.country))
    return dg.AssetCheckResult(
        passed=verdict.passed,
        metadata={
            "rows": validated_features.height,
            "rows_failed": len(verdict.failed_rows),
            "failure_cases": as_table(verdict.failures.head(100)),
        },
    )


@dg.asset_check(
    asset="validated_features",
    additional_ins={
        "raw_interactions": dg.AssetIn("raw_interactions"),
        "rejected_records": dg.AssetIn("rejected_records"),
    },
    partitions_def=interaction_partitions,
    blocking=True,
    description="Documents landed = validated + rejected + exact duplicates, the landed ones counted from S3.",
)
def conservation(
    context: dg.AssetCheckExecutionContext,
    landing: Landing,
    validated_features: pl.DataFrame,
    raw_interactions: pl.DataFrame,
    rejected_records: pl.DataFrame,
) -> dg.AssetCheckResult:
    zone = landing.zone()
    objects = zone.list_documents(partition_of(context)).objects
    since = changed_since(objects, raw_interactions, _listed_at(context, raw_interactions), zone)
    landed, duplicates = count_landed(zone.read_all(item for item in objects if item.key not in since.landed))
    balance = Balance(landed, validated_features.height, rejected_records.height, duplicates)
    description = str(balance)
    if since.replaced:
        description += (
            f"; {len(since.replaced)} objects were replaced or deleted after they were read: "
            "the sensor asks for this partition again"
        )
    return dg.AssetCheckResult(
        passed=balance.holds,
        description=description,
        metadata={
            "landed": landed,
            "validated": balance.validated,
            "rejected": balance.rejected,
            "exact_duplicates": duplicates,
            "missing": balance.missing,
            "objects_landed_since": len(since.landed),
            "objects_replaced_since": len(since.replaced),
        },
    )


def _listed_at(context: dg.AssetCheckExecutionContext, raw: pl.DataFrame) -> datetime:
    """When the run listed the landing folder. An empty table has no row that says it, its record does."""
    if raw.height:
        return cast("datetime", raw["listed_at"].max())
    filters = dg.AssetRecordsFilter(asset_key=dg.AssetKey("raw_interactions"), asset_partitions=[context.partition_key])
    record = context.instance.fetch_materializations(filters, limit=1).records[0]
    materialization = record.asset_materialization
    assert materialization is not None
    return datetime.fromtimestamp(cast("float", materialization.metadata["listed_at"].value), timezone.utc)


@dg.asset_check(
    asset="validated_features",
    additional_ins={"rejected_records": dg.AssetIn("rejected_records")},
    partitions_def=interaction_partitions,
    blocking=True,
    description="No interaction is both validated and rejected.",
)
def one_door(validated_features: pl.DataFrame, rejected_records: pl.DataFrame) -> dg.AssetCheckResult:
    both = sorted(set(validated_features["interaction_id"]) & set(rejected_records["interaction_id"].drop_nulls()))
    return dg.AssetCheckResult(passed=not both, metadata={"in_both": len(both), "interaction_ids": both[:20]})


@dg.asset_check(
    asset="rejected_records",
    additional_ins={"validated_features": dg.AssetIn("validated_features")},
    partitions_def=interaction_partitions,
    description=f"At most {MAX_REJECTED_SHARE:.0%} of the documents are rejected.",
)
def rejected_share(rejected_records: pl.DataFrame, validated_features: pl.DataFrame) -> dg.AssetCheckResult:
    documents = rejected_records.height + validated_features.height
    share = rejected_records.height / documents if documents else 0.0
    return dg.AssetCheckResult(
        passed=share <= MAX_REJECTED_SHARE,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"share": share, "rejected": rejected_records.height, "limit": MAX_REJECTED_SHARE},
    )


@dg.asset_check(
    asset="llm_extractions",
    partitions_def=interaction_partitions,
    description=f"An interaction costs at most ${MAX_COST_PER_INTERACTION_USD} at list price.",
)
def cost_per_interaction(llm_extractions: pl.DataFrame) -> dg.AssetCheckResult:
    cost = float(llm_extractions["cost_usd"].sum()) / llm_extractions.height if llm_extractions.height else 0.0
    return dg.AssetCheckResult(
        passed=cost <= MAX_COST_PER_INTERACTION_USD,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"cost_usd": cost, "limit": MAX_COST_PER_INTERACTION_USD},
    )


@dg.asset_check(
    asset="llm_extractions",
    partitions_def=interaction_partitions,
    description=f"At least {MIN_CACHE_SHARE:.0%} of the prompt is read from the model's cache, the warm-up call apart.",
)
def prompt_cache_hits(model: Model, llm_extractions: pl.DataFrame) -> dg.AssetCheckResult:
    # Below the model's minimum nothing is cached and no error says so: only these counts do.
    calls = llm_extractions.filter(pl.col("attempts") > 0)
    prompt = sum(int(calls[name].sum()) for name in ("input_tokens", "cache_read_tokens", "cache_write_tokens"))
    share = int(calls["cache_read_tokens"].sum()) / prompt if prompt else 0.0
    if not model.capabilities().cache_points:
        note = "the model has no prompt cache"
    elif calls.height < 2:
        note = "too few calls to tell"
    else:
        note = None
    return dg.AssetCheckResult(
        passed=note is not None or share >= MIN_CACHE_SHARE * (calls.height - 1) / calls.height,
        severity=dg.AssetCheckSeverity.WARN,
        description=note,
        metadata={"share": share, "calls": calls.height, "limit": MIN_CACHE_SHARE},
    )


@dg.asset_check(
    asset="llm_extractions",
    partitions_def=interaction_partitions,
    description="No summary is that of one of the prompt's worked examples: weak models repeat them.",
)
def copied_summaries(model: Model, llm_extractions: pl.DataFrame) -> dg.AssetCheckResult:
    examples = [example.answer["summary"] for example in model.prompts().every_example()]
    copied = llm_extractions.filter(pl.col("summary").is_in(examples)).height
    return dg.AssetCheckResult(
        passed=copied == 0,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"copied": copied, "interactions": llm_extractions.height},
    )


@dg.asset_check(
    asset="llm_extractions",
    partitions_def=interaction_partitions,
    description=f"95 of 100 calls take at most {MAX_LATENCY_P95_MS / 1000:g} s.",
)
def latency_p95(llm_extractions: pl.DataFrame) -> dg.AssetCheckResult:
    calls = llm_extractions.filter(pl.col("attempts") > 0)
    p95 = calls["latency_ms"].quantile(0.95, interpolation="nearest")
    return dg.AssetCheckResult(
        passed=p95 is None or p95 <= MAX_LATENCY_P95_MS,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"p95_ms": float(p95 or 0), "calls": calls.height, "limit_ms": MAX_LATENCY_P95_MS},
    )


@dg.asset_check(
    asset="reconciliation",
    description=(
        "Every partition of the window holds exactly what landed, and no interaction that a later document of another "
        "partition superseded; the sensor asks for those that do not."
    ),
)
def reconciled(reconciliation: pl.DataFrame) -> dg.AssetCheckResult:
    differing = reconciliation.filter(DIFFERS)
    return dg.AssetCheckResult(
        passed=differing.is_empty(),
        metadata={"partitions_differing": differing.height, "differing": as_table(differing.head(100))},
    )


CHECKS = (
    quality_floor,
    schema,
    conservation,
    one_door,
    rejected_share,
    cost_per_interaction,
    prompt_cache_hits,
    copied_summaries,
    latency_p95,
    reconciled,
)
