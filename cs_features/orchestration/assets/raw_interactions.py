"""Step 1: every landed document of the partition as a row, readable or not."""

from collections.abc import Iterator

import dagster as dg
import polars as pl

from cs_features.landing.corrections import resolve_id_owners
from cs_features.landing.documents import RAW_SCHEMA, DocumentReader
from cs_features.landing.earlier import read_earlier_tables, remember_departed_objects
from cs_features.landing.erased import count_unread_erased
from cs_features.landing.listings import save_partition_listing
from cs_features.landing.reading import read_landed_partition
from cs_features.orchestration.assets.landed_documents import landed_documents
from cs_features.orchestration.boundary import guard_boundary
from cs_features.orchestration.checks.erased import ERASED_LANDED, judge_erased_landed
from cs_features.orchestration.checks.ownership import CONFLICTS, judge_conflicts
from cs_features.orchestration.metadata import describe_columns, plot_apart, tables_with_rows
from cs_features.orchestration.partitions import interaction_partitions, partition_of
from cs_features.orchestration.resources import DataBucket, Landing, Model
from cs_features.orchestration.run_memory import RUN_MEMORY
from cs_features.schemas import Reason


@dg.asset(
    partitions_def=interaction_partitions,
    deps=[landed_documents],
    check_specs=[CONFLICTS, ERASED_LANDED],
    kinds={"s3", "polars"},
    metadata=describe_columns(RAW_SCHEMA),
    description="A row for each landed document: accepted, rejected with a typed reason, or an exact duplicate.",
)
@guard_boundary
def raw_interactions(
    context: dg.AssetExecutionContext, landing: Landing, model: Model, data: DataBucket
) -> Iterator[dg.MaterializeResult[pl.DataFrame]]:
    partition = partition_of(context)
    reader = DocumentReader(partition, tuple(model.prompts().countries[partition.country].languages))
    zone, tables = landing.zone(), data.tables()
    listing = zone.list_documents(partition)
    save_partition_listing(tables.bucket, partition, listing)
    earlier = read_earlier_tables(tables, partition)
    erased = RUN_MEMORY.recall(context.run_id, "tombstones", data.tombstones)
    frame = read_landed_partition(zone, listing, reader, earlier, erased)
    frame = resolve_id_owners(frame, partition, tables, landing.window_days)
    remember_departed_objects(tables, partition, earlier, frame)
    objects = frame["source_uri"].n_unique()
    disagreeing = frame.filter(pl.col("language_detected") != pl.col("language"))
    counts = dict(frame.group_by("status").len().iter_rows())
    # With the asset and not with its output, which is an event of its own that would hold it all once more.
    context.add_asset_metadata(
        plot_apart(
            partition.country,
            {
                "objects": objects,
                "listed_at": dg.MetadataValue.timestamp(listing.listed_at),
                **{status: counts.get(status, 0) for status in ("accepted", "rejected", "duplicate")},
                "superseded": frame.filter(pl.col("reason") == Reason.SUPERSEDED.value).height,
                "erased_and_unread": count_unread_erased(frame),
                "unreadable_objects": frame.filter(pl.col("reason") == Reason.UNREADABLE_OBJECT.value).height,
                "languages_detected": int((~frame["language_stated"].fill_null(True)).sum()),
                "language_disagreements": disagreeing.height,
                **tables_with_rows(
                    languages_stated_and_detected=disagreeing.group_by("language", "language_detected")
                    .len("documents")
                    .sort("documents", descending=True)
                ),
            },
        )
    )
    # Yielded: Dagster 1.13 drops a check that is returned.
    yield dg.MaterializeResult(
        value=frame,
        check_results=[
            judge_conflicts(frame, partition.country),
            judge_erased_landed(count_unread_erased(frame), partition.country),
        ],
    )
