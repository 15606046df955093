"""The gate: which interactions become features and which are rejected, and why.

`split` is a pure function of the two tables before it; both of its results together hold every
accepted and every rejected document exactly once. Exact duplicates are in neither.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pandera.errors
import pandera.polars as pa
import polars as pl

from cs_features.schemas import FEATURE_COLUMNS, Reason, rejected_schema

# Columns whose values are free text or point at a person: never shown outside the tables.
_PRIVATE = ("summary", "customer_id")


@dataclass(frozen=True)
class Verdict:
    """What a schema says of a frame. `failures` has columns index, column, check, failure_case."""

    failures: pl.DataFrame

    @property
    def passed(self) -> bool:
        return self.failures.is_empty()

    @property
    def failed_rows(self) -> list[int]:
        return sorted(set(self.failures["index"].to_list()))


def judge(frame: pl.DataFrame, schema: pa.DataFrameSchema) -> Verdict:
    """Apply `schema` and report each failure by row.

    Raises:
        pandera.errors.SchemaErrors: when the frame as a whole does not fit (a column is missing or of
            another type) or a check itself crashed: no row is to blame for that.
    """
    try:
        schema.validate(frame, lazy=True)
    except pandera.errors.SchemaErrors as error:
        cases = error.failure_cases
        if cases["index"].null_count() > 0:
            raise
        return Verdict(
            cases.select(
                pl.col("index").cast(pl.Int64),
                pl.col("column").cast(pl.String),
                pl.col("check").cast(pl.String),
                pl.when(pl.col("column").is_in(_PRIVATE))
                .then(pl.lit("(not shown)"))
                .otherwise(pl.col("failure_case").cast(pl.String))
                .alias("failure_case"),
            )
        )
    return Verdict(
        pl.DataFrame(schema={"index": pl.Int64, "column": pl.String, "check": pl.String, "failure_case": pl.String})
    )


def split(
    raw: pl.DataFrame, extractions: pl.DataFrame, schema: pa.DataFrameSchema, rejected_at: datetime
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(validated_features, rejected_records) of one partition."""
    accepted = raw.filter(pl.col("status") == "accepted")
    fates = accepted.join(extractions.drop("reused", "truncated", "content_hash", strict=False), on="interaction_id", how="left")
    answered = fates.filter(pl.col("status_right") == "answered")
    candidates = answered.with_columns(event_time="occurred_at").select(FEATURE_COLUMNS)
    verdict = judge(candidates, schema)
    validated = candidates.with_row_index("row").filter(~pl.col("row").is_in(verdict.failed_rows)).drop("row")

    complaints = (
        verdict.failures.group_by("index")
        .agg(pl.format("{}: {}", "column", "check").unique().sort().str.join("; ").alias("detail"))
        .sort("index")
    )
    invalid = answered[complaints["index"].to_list()] if complaints.height else answered.clear()
    unanswered = fates.filter(pl.col("status_right").is_null() | (pl.col("status_right") == "failed"))
    rejected = pl.concat(
        [
            _rejects(raw.filter(pl.col("status") == "rejected"), pl.col("reason"), pl.col("detail")),
            _rejects(
                unanswered,
                pl.col("error").fill_null(Reason.NOT_EXTRACTED.value),
                pl.col("error_detail").fill_null("llm_extractions has no row for it"),
            ),
            _rejects(invalid, pl.lit(Reason.INVALID_FEATURES.value), pl.Series(complaints["detail"], dtype=pl.String)),
        ]
    ).with_columns(pl.lit(rejected_at).cast(pl.Datetime("us", "UTC")).alias("rejected_at"))
    return validated, rejected_schema.validate(rejected)


_STAGE_OF = {reason.value: reason.stage for reason in Reason}
_REDRIVABLE_OF = {reason.value: reason.redrivable for reason in Reason}


def _rejects(rows: pl.DataFrame, reason: pl.Expr, detail: Any) -> pl.DataFrame:
    reasoned = rows.with_columns(reason.alias("reason"), detail.alias("detail"))
    return reasoned.select(
        "interaction_id",
        "source_uri",
        "source_line",
        pl.col("reason").replace_strict(_STAGE_OF, return_dtype=pl.String).alias("stage"),
        "reason",
        pl.col("detail").fill_null(""),
        pl.col("reason").replace_strict(_REDRIVABLE_OF, return_dtype=pl.Boolean).alias("redrivable"),
        "payload",
    )
