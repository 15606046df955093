"""The gate: which interactions become features and which are rejected, and why.

`split_documents` is a pure function of the two tables before it; both of its results together hold every accepted
and every rejected document exactly once. Exact duplicates are in neither. Not here: the rules of a row
(`tables.py`), and how a score is corrected (`calibration.py`).
"""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import pandera.errors
import pandera.polars as pa
import polars as pl

from cs_features.errors import SchemaMismatch
from cs_features.schemas import ANSWER_FIELDS, CATEGORICAL, SCORES, VALIDATED_COLUMNS, Extraction, Reason
from cs_features.storage import fill_missing_columns
from cs_features.validation.tables import ADDED_COLUMNS, features_schema, rejected_schema

NO_ROW = "llm_extractions has no row for it: materialize llm_extractions, then validated_features"
OTHER_CONTENT = (
    "llm_extractions has another content of it, or does not say which: materialize llm_extractions, then "
    "validated_features; what is in the ledger costs no call"
)

# What of the two tables becomes features and rejects, or is counted on the way.
DOCUMENT_COLUMNS = [
    "interaction_id",
    "occurred_at",
    "country",
    "channel",
    "language",
    "language_detected",
    "customer_id",
    "status",
    "reason",
    "detail",
    "source_uri",
    "source_line",
    "content_hash",
    "payload",
]
EXTRACTION_COLUMNS = [
    *ANSWER_FIELDS,
    *[
        "interaction_id",
        "status",
        "model_id",
        "prompt_version",
        "cost_usd",
        "error",
        "error_detail",
        "truncated",
        "reused",
        "content_hash",
        "suspected_injection",
    ],
]

# Columns whose wrong values may be shown outside the tables: all others are free text or point at a person.
_SHOWN = (*CATEGORICAL, *SCORES, "country", "language", "channel")


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


_NO_FAILURES = pl.DataFrame(
    schema={"index": pl.Int64, "column": pl.String, "check": pl.String, "failure_case": pl.String}
)


def judge(frame: pl.DataFrame, schema: pa.DataFrameSchema) -> Verdict:
    """Apply `schema` and report each failure by row.

    Raises:
        SchemaMismatch: the frame as a whole does not fit, because a column is missing or of another type.
        RuntimeError: a check itself crashed. No row is to blame for either, and neither quotes one.
    """
    try:
        schema.validate(frame, lazy=True)
    except pandera.errors.SchemaErrors as error:
        cases = error.failure_cases
    else:
        return Verdict(_NO_FAILURES)
    if cases["index"].null_count() == 0:
        return Verdict(_hide_private_values(cases))
    # Raised here and not above: what pandera says of a failure quotes cells, and a log shows the chain of errors.
    raise _blame_no_row(cases)


def judge_features(validated: pl.DataFrame, answers: type[Extraction], country: str) -> Verdict:
    """What the rules say of a stored `validated_features`, which an older version may have written."""
    complete = fill_missing_columns(validated, ADDED_COLUMNS)
    in_order = complete.select(pl.exclude(ADDED_COLUMNS.names()), *ADDED_COLUMNS.names())
    return judge(in_order, features_schema(answers, country))


def _hide_private_values(cases: pl.DataFrame) -> pl.DataFrame:
    value = pl.col("failure_case").cast(pl.String)
    shown = pl.when(pl.col("column").is_in(_SHOWN)).then(value).otherwise(pl.lit("(not shown)"))
    return cases.select(
        pl.col("index").cast(pl.Int64),
        pl.col("column").cast(pl.String),
        pl.col("check").cast(pl.String),
        shown.alias("failure_case"),
    )


def _blame_no_row(cases: pl.DataFrame) -> Exception:
    """The error of a table that as a whole cannot be judged."""
    whole = cases.filter(pl.col("index").is_null())
    of_columns = whole.filter(pl.col("check").str.contains(r"^(?:column_|dtype\()"))
    if of_columns.is_empty():
        names = ", ".join(whole["check"].unique().sort())
        return RuntimeError(f"the checks {names} crashed: a defect of theirs, and no verdict on the rows")
    # The other checks of a column that is of another type crash, too. What fails here are names and types.
    problems = [f"{case['column'] or case['failure_case']}: {case['check']}" for case in of_columns.to_dicts()]
    return SchemaMismatch(
        f"the table does not have the columns of this version ({'; '.join(problems)}): materialize it again"
    )


class Doors(NamedTuple):
    """The two tables through which the documents of a partition leave the gate."""

    validated: pl.DataFrame
    rejected: pl.DataFrame


def split_documents(
    raw: pl.DataFrame, extractions: pl.DataFrame, schema: pa.DataFrameSchema, rejected_at: datetime
) -> Doors:
    """`validated_features` and `rejected_records` of one partition, from the two tables before them."""
    fates = _match_document_content(raw.filter(pl.col("status") == "accepted"), extractions)
    answered = fates.filter(pl.col("status_right") == "answered")
    candidates = answered.with_columns(event_time="occurred_at").select(VALIDATED_COLUMNS)
    verdict = judge(candidates, schema)
    validated = candidates.with_row_index("row").filter(~pl.col("row").is_in(verdict.failed_rows)).drop("row")
    rejected = pl.concat(
        [
            _reject_unreadable_rows(raw.filter(pl.col("status") == "rejected")),
            _reject_unanswered_rows(fates.filter(pl.col("status_right").ne_missing("answered"))),
            _reject_invalid_rows(answered, verdict),
        ]
    ).with_columns(pl.lit(rejected_at).cast(pl.Datetime("us", "UTC")).alias("rejected_at"))
    own = judge(rejected, rejected_schema)
    if not own.passed:
        raise RuntimeError(f"rejected_records breaks its own schema in {', '.join(own.failures['column'].unique())}")
    return Doors(validated, rejected)


def _match_document_content(accepted: pl.DataFrame, extractions: pl.DataFrame) -> pl.DataFrame:
    """Each accepted row beside what was extracted from its content, and whether another content of it was extracted.

    Which content a row of an older version was extracted from is not known, and not known is no match.
    """
    known = fill_missing_columns(
        extractions, pl.Schema({"content_hash": pl.String(), "suspected_injection": pl.Boolean()})
    )
    before = accepted.with_columns(pl.col("interaction_id").is_in(known["interaction_id"]).alias("extracted_before"))
    return before.join(known.drop("reused"), on=["interaction_id", "content_hash"], how="left")


def _reject_unreadable_rows(rows: pl.DataFrame) -> pl.DataFrame:
    return _reject(rows, pl.col("reason"), pl.col("detail"), unknown=Reason.INVALID_VALUE)


def _reject_unanswered_rows(rows: pl.DataFrame) -> pl.DataFrame:
    of_other_content = pl.col("status_right").is_null() & pl.col("extracted_before")
    unextracted = pl.when(of_other_content).then(pl.lit(OTHER_CONTENT)).otherwise(pl.lit(NO_ROW))
    return _reject(
        rows,
        pl.col("error").fill_null(Reason.NOT_EXTRACTED.value),
        pl.col("error_detail").fill_null(unextracted),
        unknown=Reason.NOT_EXTRACTED,
    )


def _reject_invalid_rows(answered: pl.DataFrame, verdict: Verdict) -> pl.DataFrame:
    complaint = pl.format("{}: {}", "column", "check").unique().sort().str.join("; ")
    complaints = verdict.failures.group_by("index").agg(complaint.alias("complaint"))
    rows = answered.with_row_index("index").with_columns(pl.col("index").cast(pl.Int64))
    invalid = rows.join(complaints, on="index", how="inner", maintain_order="left")
    return _reject(invalid, pl.lit(Reason.INVALID_FEATURES.value), pl.col("complaint"), unknown=Reason.INVALID_FEATURES)


_STAGE_OF = {reason.value: reason.stage for reason in Reason}
_REDRIVABLE_OF = {reason.value: reason.redrivable for reason in Reason}


def _reject(rows: pl.DataFrame, reason: pl.Expr, detail: pl.Expr, *, unknown: Reason) -> pl.DataFrame:
    """Rows of `rejected_records`. A reason that only another version knows becomes `unknown`, named in detail."""
    given = rows.select(
        "interaction_id",
        "source_uri",
        "source_line",
        reason.alias("given"),
        detail.fill_null("").alias("said"),
        pl.col("payload").fill_null(""),  # forgotten by age
    )
    is_known = pl.col("given").is_in(list(_STAGE_OF))
    reasoned = given.with_columns(
        pl.when(is_known).then("given").otherwise(pl.lit(unknown.value)).alias("reason"),
        pl.when(is_known)
        .then("said")
        .otherwise(pl.format("{}, a reason of another version: {}", "given", "said"))
        .alias("detail"),
    )
    return reasoned.select(
        "interaction_id",
        "source_uri",
        "source_line",
        pl.col("reason").replace_strict(_STAGE_OF, return_dtype=pl.String).alias("stage"),
        "reason",
        "detail",
        pl.col("reason").replace_strict(_REDRIVABLE_OF, return_dtype=pl.Boolean).alias("redrivable"),
        "payload",
    )
