"""The standing inventories, over all partitions: what differs from what landed, what lies outside, what is rejected.

They look at objects, tables and records and change none; `landing_sensor` acts on the first, people on the others.
"""

from collections.abc import Iterator
from datetime import date, datetime, timedelta, timezone
from typing import cast

import dagster as dg
import polars as pl

from cs_features.errors import AwsRefusal
from cs_features.monitoring import settling
from cs_features.monitoring.findings import Differences, FindingKind, write_reconciled_differences
from cs_features.monitoring.inventoried import list_earlier_partitions, list_partitions
from cs_features.monitoring.misfiled import RunMemory, Scope, find_misfiled_objects, shorten_folder_name
from cs_features.monitoring.open_rejects import count_open_rejects
from cs_features.monitoring.reconciliation import (
    ISOLATED_ERRORS,
    Sources,
    State,
    collect_reconciliation_findings,
    differs_in,
    name_error,
    reconcile,
)
from cs_features.monitoring.serving import OnlineStore, describe_served_group
from cs_features.orchestration.boundary import guard_boundary
from cs_features.orchestration.jobs import process_interactions, redrive_rejected
from cs_features.orchestration.metadata import as_table
from cs_features.orchestration.partitions import interaction_partitions
from cs_features.orchestration.resources import DataBucket, FeatureGroup, Landing

# A run that goes on for longer is dead or stuck, and excuses no difference.
LONGEST_RUN = timedelta(days=1)


@dg.asset(
    kinds={"s3", "polars"},
    description=(
        "Documents landed, counted from S3, against documents held and records served, for each partition of the "
        "sensor's window."
    ),
)
@guard_boundary
def reconciliation(
    context: dg.AssetExecutionContext, landing: Landing, data: DataBucket, feature_group: FeatureGroup
) -> dg.MaterializeResult[pl.DataFrame]:
    now = datetime.now(timezone.utc)
    zone, tables = landing.zone(), data.tables()
    first = now.date() - timedelta(days=landing.window_days)
    store, store_error = _find_store(feature_group)
    sources = Sources(
        zone=zone,
        tables=tables,
        store=store,
        store_error=store_error,
        running=_find_running_partitions(context.instance, now),
        settling_time=settling.SETTLING_TIME,
        seed=now.date().isoformat(),
    )
    countries = _list_countries()
    # A document of the window corrects others of so many days before its own: see `landing/corrections.py`.
    earlier = list_earlier_partitions(tables, countries, first, landing.window_days)
    frame = reconcile(list_partitions(zone, tables, countries, first, now.date()), sources, earlier)
    findings = collect_reconciliation_findings(frame)
    write_reconciled_differences(tables, Differences(f"{now:%Y%m%dT%H%M%S}", findings))
    unknown = frame.filter(pl.col("state") == State.UNKNOWN.value)
    context.log.info(f"{frame.height} partitions since {first}, {len(findings)} differ, {unknown.height} are unknown")
    return dg.MaterializeResult(
        value=frame,
        metadata={
            "partitions": frame.height,
            "partitions_differing": len(findings),
            "partitions_unknown": unknown.height,
            "documents_landed": _sum_up(frame, "landed"),
            **_describe_age(frame),
            "documents_missing": _sum_up(frame.filter(differs_in(FindingKind.DOCUMENTS)), "missing"),
            "superseded_elsewhere": _sum_up(frame, "superseded_elsewhere"),
            "records_served": _sum_up(frame, "served"),
            "records_kept": _sum_up(frame, "kept"),
            "records_unpublished": _sum_up(frame, "unpublished"),
            "records_asked_online": _sum_up(frame, "asked_online"),
            "records_missing_online": _sum_up(frame, "missing_online"),
        },
    )


def _describe_age(frame: pl.DataFrame) -> dict[str, dg.MetadataValue]:
    """When the oldest of all counts was made; nothing where nothing was counted."""
    oldest = cast("datetime | None", frame["oldest_count"].min())
    return {} if oldest is None else {"oldest_count": dg.MetadataValue.timestamp(oldest)}


def _list_countries() -> list[str]:
    return list(interaction_partitions.get_partitions_def_for_dimension("country").get_partition_keys())


def _find_store(feature_group: FeatureGroup) -> tuple[OnlineStore | None, str | None]:
    """The feature group to look records up in, or why there is none."""
    try:
        state = describe_served_group(feature_group.control_plane(), feature_group.name)
        return OnlineStore(feature_group.runtime(), feature_group.name, state.identity), None
    except AwsRefusal as error:
        return None, name_error(error)


def _find_running_partitions(instance: dg.DagsterInstance, now: datetime) -> frozenset[str]:
    """Keys of partitions of which a run is queued or goes on. A week's key looks the same: only jobs of the flow."""
    found = set()
    for job in (process_interactions, redrive_rejected):
        filters = dg.RunsFilter(
            job_name=job.name,
            statuses=[
                dg.DagsterRunStatus.NOT_STARTED,
                dg.DagsterRunStatus.QUEUED,
                dg.DagsterRunStatus.STARTING,
                dg.DagsterRunStatus.STARTED,
                dg.DagsterRunStatus.CANCELING,
            ],
            created_after=now - LONGEST_RUN,
        )
        found |= {run.tags.get("dagster/partition", "") for run in instance.get_runs(filters=filters)}
    return frozenset(found)


def _sum_up(frame: pl.DataFrame, column: str) -> int:
    return int(frame[column].abs().sum())


@dg.asset(
    kinds={"s3"},
    description="Objects under the landing prefix that no run will ever read, by folder and reason.",
)
@guard_boundary
def misfiled_objects(landing: Landing, data: DataBucket) -> dg.MaterializeResult[pl.DataFrame]:
    now = datetime.now(timezone.utc)
    zone = landing.zone()
    days = interaction_partitions.get_partitions_def_for_dimension("date")
    assert isinstance(days, dg.DailyPartitionsDefinition)
    scope = Scope(
        countries=_list_countries(),
        first_date=days.start.date(),
        window_start=now.date() - timedelta(days=landing.window_days),
        now=now,
    )
    frame = find_misfiled_objects(zone.iterate_all_objects(), scope, RunMemory(data.tables()))
    by_reason = frame.group_by("reason").agg(pl.col("objects").sum(), pl.col("bytes").sum()).sort("reason")
    return dg.MaterializeResult(
        value=frame,
        metadata={
            "objects": _sum_up(frame, "objects"),
            "bytes": _sum_up(frame, "bytes"),
            "by_reason": as_table(by_reason),
            # Of a bucket that is used for more than this: shown, and nobody's fault.
            "folders_beside_interactions": [shorten_folder_name(folder) for folder in zone.list_other_prefixes()],
        },
    )


@dg.asset(
    kinds={"polars"},
    description="Open rejects by country and reason, over all partitions.",
)
@guard_boundary
def open_rejects(context: dg.AssetExecutionContext, data: DataBucket) -> dg.MaterializeResult[pl.DataFrame]:
    tables = data.tables()
    unreadable = []

    def read_rejects() -> Iterator[tuple[str, date, pl.DataFrame]]:
        for partition in tables.partitions("rejected_records"):
            try:
                rejected = tables.read("rejected_records", partition)
            except ISOLATED_ERRORS as error:
                unreadable.append(partition)
                context.log.warning(f"{partition}: rejected_records cannot be read ({name_error(error)})")
                continue
            if rejected is not None:
                yield partition.country, partition.date, rejected

    frame = count_open_rejects(read_rejects())
    by_country = frame.group_by("country").agg(pl.col("documents").sum()).sort("country")
    return dg.MaterializeResult(
        value=frame,
        metadata={
            "open": _sum_up(frame, "documents"),
            "redrivable": _sum_up(frame.filter("redrivable"), "documents"),
            **{f"open_{country}": count for country, count in by_country.iter_rows()},
            "tables_unreadable": len(unreadable),
            "by_country_and_reason": as_table(frame),
        },
    )
