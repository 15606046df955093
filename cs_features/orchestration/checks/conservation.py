"""No document is lost or doubled on its way to the two doors.

The sum itself is computed in `monitoring/conservation.py`.
"""

from datetime import datetime, timezone
from typing import cast

import dagster as dg
import polars as pl

from cs_features.landing.earlier import align_table_columns
from cs_features.landing.listings import load_partition_listing
from cs_features.monitoring.conservation import (
    Balance,
    count_planned_documents,
    describe_law_balance,
    plan_count_of_run,
    recall_partition_run,
)
from cs_features.monitoring.kept_counts import CountMemory, load_kept_counts
from cs_features.orchestration.checks.registry import register_check
from cs_features.orchestration.partitions import partition_of
from cs_features.orchestration.resources import DataBucket, Landing
from cs_features.short_names import shorten_interaction_id


@register_check(
    "validated_features",
    reads=("raw_interactions", "rejected_records"),
    blocking=True,
    rule="Documents landed = validated + rejected + exact duplicates, those that the run listed counted from S3.",
    meaning="Published, some document would be in no feature and no reject, or in both.",
    advice=(
        "If objects were deleted before they were read, the next run is right by itself; "
        "otherwise documents were lost or doubled: compare raw_interactions with the landing folder."
    ),
)
def conservation(
    context: dg.AssetCheckExecutionContext,
    landing: Landing,
    data: DataBucket,
    validated_features: pl.DataFrame,
    raw_interactions: pl.DataFrame,
    rejected_records: pl.DataFrame,
) -> dg.AssetCheckResult:
    partition = partition_of(context)
    zone = landing.zone()
    now = zone.list_documents(partition)
    raw = align_table_columns(raw_interactions)
    listed_at = _find_listing_time(context, raw)
    listing = load_partition_listing(data.tables().bucket, partition, listed_at)
    run = recall_partition_run(listing, raw, now, listed_at)
    plan = plan_count_of_run(run, now)
    memory = load_kept_counts(data.tables(), partition, now.listed_at)
    counted = count_planned_documents(plan, run, zone, memory)
    memory.save(data.tables(), partition)
    landed, duplicates = counted.landed
    balance = Balance(landed, validated_features.height, rejected_records.height, duplicates)
    return dg.AssetCheckResult(
        passed=balance.holds,
        description=describe_law_balance(balance, plan, counted),
        metadata={
            "landed": landed,
            "validated": balance.validated,
            "rejected": balance.rejected,
            "exact_duplicates": duplicates,
            "missing": balance.missing,
            "objects_landed_since": len(plan.landed_since),
            "objects_replaced_since": len(counted.changed),
            "objects_unreadable": len(counted.unreadable),
            "objects_lost": len(plan.lost),
            **describe_age(memory),
        },
    )


def describe_age(memory: CountMemory) -> dict[str, dg.MetadataValue]:
    """When the oldest count was made that the law rests on; nothing where nothing was counted."""
    return {} if memory.oldest is None else {"oldest_count": dg.MetadataValue.timestamp(memory.oldest)}


def _find_listing_time(context: dg.AssetCheckExecutionContext, raw: pl.DataFrame) -> datetime | None:
    """When the run listed the landing folder. An empty table has no row that says it; its record may."""
    if raw.height:
        return cast("datetime", raw["listed_at"].max())
    filters = dg.AssetRecordsFilter(asset_key=dg.AssetKey("raw_interactions"), asset_partitions=[context.partition_key])
    for record in context.instance.fetch_materializations(filters, limit=1).records:
        materialization = record.asset_materialization
        if materialization is not None and "listed_at" in materialization.metadata:
            return datetime.fromtimestamp(cast("float", materialization.metadata["listed_at"].value), timezone.utc)
    return None


@register_check(
    "validated_features",
    reads=("rejected_records",),
    blocking=True,
    rule="No interaction is both validated and rejected.",
    meaning="Published, an interaction would count as a feature and as a reject.",
    advice="Materialize validated_features again; if it repeats, it is a defect.",
)
def one_door(validated_features: pl.DataFrame, rejected_records: pl.DataFrame) -> dg.AssetCheckResult:
    both = sorted(set(validated_features["interaction_id"]) & set(rejected_records["interaction_id"].drop_nulls()))
    shown = [shorten_interaction_id(each) for each in both[:20]]
    return dg.AssetCheckResult(passed=not both, metadata={"in_both": len(both), "interaction_ids": shown})
