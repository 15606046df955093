"""The standing inventories, over all partitions: what differs from the landing bucket, and what is rejected.

They look at tables and change none; `landing_sensor` acts on the first, `redrive_rejected` on the second.
"""

from datetime import datetime, timedelta, timezone

import dagster as dg
import polars as pl

from cs_features.monitoring.findings import Differences, write_differences
from cs_features.monitoring.open_rejects import open_rejects_of
from cs_features.monitoring.reconciliation import DIFFERS, findings_in, reconcile, window
from cs_features.orchestration.metadata import as_table
from cs_features.orchestration.partitions import interaction_partitions
from cs_features.orchestration.resources import DataBucket, Landing


@dg.asset(
    group_name="interactions",
    kinds={"s3", "polars"},
    description="Documents landed, counted from S3, against documents held, for each partition of the sensor's window.",
)
def reconciliation(
    context: dg.AssetExecutionContext, landing: Landing, data: DataBucket
) -> dg.MaterializeResult[pl.DataFrame]:
    now = datetime.now(timezone.utc)
    zone, tables = landing.zone(), data.tables()
    countries = interaction_partitions.get_partitions_def_for_dimension("country").get_partition_keys()
    first = now.date() - timedelta(days=landing.window_days)
    frame = reconcile(window(zone, tables, countries, first, now.date()), zone, tables)
    differing = frame.filter(DIFFERS)
    write_differences(tables, Differences(f"{now:%Y%m%dT%H%M%S}", findings_in(frame)))
    context.log.info(f"{frame.height} partitions since {first}, {differing.height} differ")
    return dg.MaterializeResult(
        value=frame,
        metadata={
            "partitions": frame.height,
            "partitions_differing": differing.height,
            "documents_landed": int(frame["landed"].sum()),
            "documents_missing": int(differing["missing"].abs().sum()),
            "superseded_elsewhere": int(differing["superseded_elsewhere"].sum()),
        },
    )


@dg.asset(
    group_name="interactions",
    kinds={"polars"},
    description="Open rejects by country and reason, over all partitions.",
)
def open_rejects(data: DataBucket) -> dg.MaterializeResult[pl.DataFrame]:
    tables = data.tables()
    frame = open_rejects_of(
        (partition.country, partition.date, rejected)
        for partition in tables.partitions("rejected_records")
        if (rejected := tables.read("rejected_records", partition)) is not None
    )
    by_country = dict(frame.group_by("country").agg(pl.col("documents").sum()).sort("country").iter_rows())
    return dg.MaterializeResult(
        value=frame,
        metadata={
            "open": int(frame["documents"].sum()),
            "redrivable": int(frame.filter("redrivable")["documents"].sum()),
            **{f"open_{country}": count for country, count in by_country.items()},
            "by_country_and_reason": as_table(frame),
        },
    )
