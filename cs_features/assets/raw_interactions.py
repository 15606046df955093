"""Step 1: every landed document of the partition as a row, readable or not."""

import dagster as dg
import polars as pl

from cs_features.landing import read_partition
from cs_features.partitions import Partition, interaction_partitions
from cs_features.resources import Landing, Model


@dg.asset(
    partitions_def=interaction_partitions,
    group_name="interactions",
    kinds={"s3", "polars"},
    description="A row for each landed document: accepted, rejected with a typed reason, or an exact duplicate.",
)
def raw_interactions(
    context: dg.AssetExecutionContext, landing: Landing, model: Model
) -> dg.MaterializeResult[pl.DataFrame]:
    partition = Partition.of(context)
    languages = model.prompts().countries[partition.country].languages
    frame, listed_at = read_partition(landing.zone(), partition.folder, partition.country, partition.date, languages)
    objects = frame["source_uri"].n_unique()
    counts = dict(frame.group_by("status").len().iter_rows())
    told = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
    context.log.info(f"{partition}: {frame.height} documents in {objects} objects: {told}")
    return dg.MaterializeResult(
        value=frame,
        metadata={
            "objects": objects,
            "documents": frame.height,
            "listed_at": dg.MetadataValue.timestamp(listed_at),
            **{status: counts.get(status, 0) for status in ("accepted", "rejected", "duplicate")},
            "languages_detected": int((~frame["language_stated"].fill_null(True)).sum()),
        },
    )
