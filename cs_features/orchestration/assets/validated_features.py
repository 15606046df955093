"""Step 3: the gate. One step writes both doors, so that neither is ever newer than the other."""

from datetime import datetime, timezone

import dagster as dg
import polars as pl

from cs_features.orchestration.boundary import guard_boundary
from cs_features.orchestration.metadata import as_text_table, describe_columns, plot_apart, tables_with_rows
from cs_features.orchestration.partitions import interaction_partitions, partition_of
from cs_features.orchestration.resources import Model
from cs_features.reporting.rejects import list_first_rejects
from cs_features.schemas import Extraction
from cs_features.storage import read_table_columns
from cs_features.validation.by_language import count_by_language
from cs_features.validation.calibration import choose_score_thresholds, correct_answer_scores
from cs_features.validation.gate import DOCUMENT_COLUMNS, EXTRACTION_COLUMNS, split_documents
from cs_features.validation.rejected_text import mask_rejected_rows
from cs_features.validation.tables import features_schema, list_column_dtypes, rejected_schema


@dg.multi_asset(
    name="validation",
    partitions_def=interaction_partitions,
    outs={
        "validated_features": dg.AssetOut(
            kinds={"pandera", "polars"},
            description="Interactions that every rule of the schema accepts.",
            metadata=describe_columns(list_column_dtypes(features_schema(Extraction, ""))),
        ),
        "rejected_records": dg.AssetOut(
            kinds={"pandera", "polars"},
            description="Documents that did not become features, with stage, typed reason and masked payload.",
            metadata=describe_columns(list_column_dtypes(rejected_schema)),
        ),
    },
)
@guard_boundary
def validated_features(
    context: dg.AssetExecutionContext, model: Model, raw_interactions: pl.LazyFrame, llm_extractions: pl.LazyFrame
) -> tuple[dg.Output[pl.DataFrame], dg.Output[pl.DataFrame]]:
    partition = partition_of(context)
    prompts = model.prompts()
    raw = read_table_columns(raw_interactions, DOCUMENT_COLUMNS)
    extractions = read_table_columns(llm_extractions, EXTRACTION_COLUMNS)
    answers = correct_answer_scores(extractions, prompts, partition.country)
    schema = features_schema(prompts.features_model, partition.country)
    validated, rejected = split_documents(raw, answers, schema, datetime.now(timezone.utc))
    rejected = mask_rejected_rows(rejected, partition.country)
    calibration = prompts.countries[partition.country].calibration.get(model.model_id)
    languages = count_by_language(raw, extractions, validated, *choose_score_thresholds(calibration))
    by_reason = rejected.group_by("stage", "reason", "redrivable").len("documents").sort("documents", descending=True)
    context.add_asset_metadata(
        {"by_language": as_text_table(languages), "calibrated": calibration is not None}, "validated_features"
    )
    shown = tables_with_rows(by_reason=by_reason, first_rejects=list_first_rejects(rejected))
    figures = plot_apart(partition.country, {"redrivable": int(rejected["redrivable"].sum())})
    context.add_asset_metadata({**shown, **figures}, "rejected_records")
    return dg.Output(validated), dg.Output(rejected)
