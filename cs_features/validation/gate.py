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

from cs_features.schemas import VALIDATED_COLUMNS, Reason, rejected_schema
from cs_features.storage import fill_missing_columns

NO_ROW = "llm_extractions has no row for it: materialize llm_extractions, then validated_features"
OTHER_CONTENT = (
    "llm_extractions has another content of it, or does not say which: materialize llm_extractions, then "
    "validated_features; what is in the ledger costs no call"
)
_CONTENT = pl.Schema({"content_hash": pl.String})

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
    fates = _matched(accepted, extractions)
    answered = fates.filter(pl.col("status_right") == "answered")
    candidates = answered.with_columns(event_time="occurred_at").select(VALIDATED_COLUMNS)
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
                pl.col("error_detail").fill_null(
                    pl.when(pl.col("status_right").is_null() & pl.col("extracted_before"))
                    .then(pl.lit(OTHER_CONTENT))
                    .otherwise(pl.lit(NO_ROW))
                ),
            ),
            _rejects(invalid, pl.lit(Reason.INVALID_FEATURES.value), pl.Series(complaints["detail"], dtype=pl.String)),
        ]
    ).with_columns(pl.lit(rejected_at).cast(pl.Datetime("us", "UTC")).alias("rejected_at"))
    return validated, rejected_schema.validate(rejected)


def _matched(accepted: pl.DataFrame, extractions: pl.DataFrame) -> pl.DataFrame:
    """Each accepted row beside what was extracted from its content, and whether another content of it was extracted.

    Which content a row of an older version was extracted from is not known, and not known is no match.
    """
    known = fill_missing_columns(extractions, _CONTENT)
    before = accepted.with_columns(pl.col("interaction_id").is_in(known["interaction_id"]).alias("extracted_before"))
    return before.join(known.drop("reused"), on=["interaction_id", "content_hash"], how="left")


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
