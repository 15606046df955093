"""Step 1: every landed document of the partition as a row, readable or not."""

import dagster as dg
import polars as pl

from cs_features.landing import raw_frame, rows_of
from cs_features.languages import detect_language
from cs_features.partitions import Partition, interaction_partitions
from cs_features.resources import Landing, Model
from cs_features.schemas import Interaction


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
    zone = landing.zone()
    objects, listed_at = zone.list_folder(partition.folder)
    files = zone.read_all(item for item in objects if item.is_document_file)
    rows = rows_of(files, zone, partition.country, partition.date)
    plausible = model.prompts().countries[partition.country].languages
    for row in rows:
        if row["status"] == "accepted" and row["language"] is None:
            utterances = Interaction.model_validate_json(row["payload"]).utterances
            row["language"] = detect_language("\n".join(turn.text for turn in utterances), plausible)
    frame = raw_frame(rows, listed_at)
    counts = dict(frame.group_by("status").len().iter_rows())
    told = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
    context.log.info(f"{partition}: {frame.height} documents in {len(objects)} objects: {told}")
    return dg.MaterializeResult(
        value=frame,
        metadata={
            "objects": len(objects),
            "documents": frame.height,
            **{status: counts.get(status, 0) for status in ("accepted", "rejected", "duplicate")},
            "languages_detected": int((~frame["language_stated"].fill_null(True)).sum()),
        },
    )
