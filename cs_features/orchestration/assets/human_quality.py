"""What colleagues' labels say: how good the answers are, and what a country's figures are once corrected by them."""

from collections.abc import Callable
from datetime import date, datetime, timedelta, timezone
from typing import TypeVar

import dagster as dg
import polars as pl

from cs_features.errors import AccessRefused, AwsRefusal
from cs_features.orchestration.boundary import guard_boundary
from cs_features.orchestration.failures import lasting_failure, passing_failure
from cs_features.orchestration.metadata import as_table, plot_apart
from cs_features.orchestration.partitions import country_partitions
from cs_features.orchestration.resources import DataBucket
from cs_features.partitions import Country
from cs_features.quality.evaluation import ALL
from cs_features.review.corrected import COUNTRY_REPORT_SCHEMA, correct_monthly_figures, read_older_report
from cs_features.review.frame import read_sampling_frame
from cs_features.review.human_quality import measure_human_quality
from cs_features.review.labelled import join_label_answers, read_returned_labels
from cs_features.review.records import Records
from cs_features.storage import Tables

Made = TypeVar("Made")
MONTHS = 3  # that a report is made anew for; older ones stay as they were
SHOWN_ROWS = 100


@dg.asset(
    partitions_def=country_partitions,
    kinds={"polars"},
    description="How good the answers are by colleagues' labels: accuracy, macro-F1, ranks, errors, and agreement.",
)
@guard_boundary
def human_quality(context: dg.AssetExecutionContext, data: DataBucket) -> dg.MaterializeResult[None]:
    country, tables = context.partition_key, data.tables()

    def measure_labels() -> tuple[pl.DataFrame, int]:
        labelled = join_label_answers(read_returned_labels(Records(tables.bucket), country))
        measured = measure_human_quality(labelled, country)
        tables.write("human_quality", Country(country), measured)
        return measured, labelled.height

    measured, labels = _explain_refusals(country, measure_labels)
    shares = measured.filter(pl.col("measure") == "accuracy", pl.col("language") == "all")
    figures = {f"{row['field']}_accuracy": float(row["value"]) for row in shares.iter_rows(named=True)}
    return dg.MaterializeResult(
        metadata={
            "dagster/uri": tables.uri("human_quality", Country(country)),
            "quality": as_table(measured.head(SHOWN_ROWS)),
            **plot_apart(country, {"labelled_texts": labels, **figures}),
        }
    )


@dg.asset(
    partitions_def=country_partitions,
    deps=[human_quality],
    kinds={"polars"},
    description="Shares and means by month, corrected by colleagues' labels, beside what the answers alone would say.",
)
@guard_boundary
def country_report(context: dg.AssetExecutionContext, data: DataBucket) -> dg.MaterializeResult[None]:
    country, tables = context.partition_key, data.tables()
    first = find_first_month(datetime.now(timezone.utc).date())
    report = _explain_refusals(country, lambda: _write_report(country, tables, first))
    kept = report.filter(pl.col("month") >= first)
    corrected = int(kept["corrected"].is_not_null().sum())
    mixed = kept.filter(pl.col("parts") > 1)["month"].unique().sort()
    for month in mixed:
        context.log.info(f"{country} {month:%Y-%m}: the prompt or the model changed; each has rows of its own")
    return dg.MaterializeResult(
        metadata={
            "dagster/uri": tables.uri("country_report", Country(country)),
            **plot_apart(country, {"rows": report.height, "corrected_rows": corrected}),
            "months_of_several_prompts": [f"{month:%Y-%m}" for month in mixed],
            "figures": as_table(kept.filter(pl.col("language") == ALL).tail(SHOWN_ROWS)),
        }
    )


def find_first_month(today: date) -> date:
    """The first of the months that are made anew."""
    month = today.replace(day=1)
    for _ in range(MONTHS - 1):
        month = (month - timedelta(days=1)).replace(day=1)
    return month


def _write_report(country: str, tables: Tables, first: date) -> pl.DataFrame:
    held = [each for each in tables.partitions("validated_features") if each.country == country and each.date >= first]
    labelled = join_label_answers(read_returned_labels(Records(tables.bucket), country))
    made = correct_monthly_figures(read_sampling_frame(tables, sorted(held)), labelled, country)
    before = tables.read("country_report", Country(country))
    older = COUNTRY_REPORT_SCHEMA.to_frame() if before is None else read_older_report(before, first)
    report = pl.concat([older, made]).sort("month", "model_id", "prompt_version", maintain_order=True)
    tables.write("country_report", Country(country), report)
    return report


def _explain_refusals(country: str, make: Callable[[], Made]) -> Made:
    try:
        return make()
    except AccessRefused as error:
        raise lasting_failure(f"{country}: {error}") from None
    except AwsRefusal as error:
        raise passing_failure(f"{country}: {error}") from None
