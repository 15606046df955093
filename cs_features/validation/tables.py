"""The pandera schemas of the gate's two tables.

The rules of an answer come from `schemas.py` and `summary_rules.py`; how they are applied is `gate.py`'s.
"""

from functools import lru_cache
from typing import Any, get_args

import pandera.polars as pa
import polars as pl

from cs_features.schemas import Channel, Extraction, Reason, Stage
from cs_features.summary_rules import SUMMARY_RULES, SummaryRule, find_broken_rule

_UUID = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"

# What tables of older versions lack; null there.
ADDED_COLUMNS = pl.Schema({"truncated": pl.Boolean(), "content_hash": pl.String(), "suspected_injection": pl.Boolean()})


def _make_schema_column(rule: dict[str, Any]) -> pa.Column:
    """A pandera column from one property of the answer's JSON schema."""
    if rule["type"] == "number":
        return pa.Column(pl.Float64, pa.Check.in_range(rule["minimum"], rule["maximum"]))
    checks = []
    if "enum" in rule:
        checks.append(pa.Check.isin(rule["enum"]))
    if "maxLength" in rule:
        checks.append(pa.Check.str_length(rule.get("minLength", 0), rule["maxLength"]))
    return pa.Column(pl.String, checks)


def _make_schema_check(rule: SummaryRule) -> pa.Check:
    # The very function that judges the answer: polars' patterns are not Python's.
    def is_kept(summary: str) -> bool:
        return find_broken_rule(summary) is not rule

    def check(data: pa.PolarsData) -> pl.LazyFrame:
        return data.lazyframe.select(pl.col(data.key).map_elements(is_kept, return_dtype=pl.Boolean))

    return pa.Check(check, name=rule.name)


@lru_cache(maxsize=64)  # a run asks for it three times, and pydantic takes long over a JSON schema
def features_schema(model: type[Extraction], country: str) -> pa.DataFrameSchema:
    """Schema of `validated_features` for one country, a row an interaction."""
    answer = {name: _make_schema_column(rule) for name, rule in model.model_json_schema()["properties"].items()}
    answer["summary"].checks += [_make_schema_check(rule) for rule in SUMMARY_RULES]
    return pa.DataFrameSchema(
        {
            "interaction_id": pa.Column(pl.String, pa.Check.str_matches(_UUID), unique=True),
            **answer,
            "event_time": pa.Column(pl.Datetime("us", "UTC")),
            "customer_id": pa.Column(pl.String, nullable=True),
            "country": pa.Column(pl.String, pa.Check.eq(country)),
            "language": pa.Column(pl.String, pa.Check.str_matches(r"^[a-z]{2}$")),
            "channel": pa.Column(pl.String, pa.Check.isin(list(get_args(Channel)))),
            "model_id": pa.Column(pl.String, pa.Check.str_length(min_value=1)),
            "prompt_version": pa.Column(pl.String, pa.Check.str_length(min_value=1)),
            **{name: pa.Column(dtype, nullable=True) for name, dtype in ADDED_COLUMNS.items()},
        },
        strict=True,
        ordered=True,
    )


rejected_schema = pa.DataFrameSchema(
    {
        "interaction_id": pa.Column(pl.String, nullable=True),
        "source_uri": pa.Column(pl.String, pa.Check.str_startswith("s3://")),
        "source_line": pa.Column(pl.Int64, pa.Check.ge(1)),
        "stage": pa.Column(pl.String, pa.Check.isin(list(get_args(Stage)))),
        "reason": pa.Column(pl.String, pa.Check.isin([reason.value for reason in Reason])),
        "detail": pa.Column(pl.String),
        "redrivable": pa.Column(pl.Boolean),
        "payload": pa.Column(pl.String),
        "rejected_at": pa.Column(pl.Datetime("us", "UTC")),
    },
    strict=True,
    ordered=True,
)


def list_column_dtypes(schema: pa.DataFrameSchema) -> dict[str, Any]:
    """The columns of a table and polars' type of each."""
    return {name: column.dtype.type for name, column in schema.columns.items()}
