"""Step 3: the gate. One step writes both doors, so that neither is ever newer than the other."""

from datetime import datetime, timezone

import dagster as dg
import polars as pl

from cs_features.assets.metadata import as_table
from cs_features.partitions import Partition, interaction_partitions
from cs_features.resources import Model
from cs_features.schemas import features_schema
from cs_features.validation import split


@dg.multi_asset(
    name="validation",
    partitions_def=interaction_partitions,
    group_name="interactions",
    outs={
        "validated_features": dg.AssetOut(
            kinds={"pandera", "polars"}, description="Interactions that every rule of the schema accepts."
        ),
        "rejected_records": dg.AssetOut(
            kinds={"pandera", "polars"},
            description="Documents that did not become features, with stage, typed reason and payload.",
        ),
    },
)
def validated_features(
    context: dg.AssetExecutionContext, model: Model, raw_interactions: pl.DataFrame, llm_extractions: pl.DataFrame
) -> tuple[dg.Output[pl.DataFrame], dg.Output[pl.DataFrame]]:
    partition = Partition.of(context)
    schema = features_schema(model.prompts().answer_model, partition.country)
    validated, rejected = split(raw_interactions, llm_extractions, schema, datetime.now(timezone.utc))
    by_reason = rejected.group_by("stage", "reason", "redrivable").len("documents").sort("documents", descending=True)
    reasons = ", ".join(f"{reason} {count}" for reason, count in by_reason.select("reason", "documents").iter_rows())
    context.log.info(f"{partition}: {validated.height} validated, {rejected.height} rejected {reasons}")
    return (
        dg.Output(validated, metadata={"by_language": _counts(validated, "language")}),
        dg.Output(
            rejected,
            metadata={
                "by_reason": as_table(by_reason),
                "redrivable": int(rejected["redrivable"].sum()),
            },
        ),
    )


def _counts(frame: pl.DataFrame, column: str) -> dg.MetadataValue:
    return dg.MetadataValue.json(dict(frame.group_by(column).len().sort(column).iter_rows()))
