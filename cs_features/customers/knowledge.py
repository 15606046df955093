"""What the store knew of each contact from when until when: the offline store's rows as versions with an interval.

A row a version, told when the store was (`api_invocation_time`); the next row of the same contact ends it, a deletion
ends it without a successor. Equal moments are decided by the row's own content, so that no order of files matters.
Not here: which customer and moment are asked for (`spine.py`), and what is counted (`definitions.py`).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from cs_features.publishing.reading import EVENT_TIME_FORMAT

NEVER = datetime(9999, 12, 31)
_TOLD = ("api_invocation_time", "write_time", "is_deleted")
# What features are counted from; no summary, which nobody counts.
_COUNTED = ("channel", "sentiment", "primary_topic", "intent", "resolution_status", "urgency_score", "csat_indicator")
# As categories a year of contacts takes half the memory.
_FEW_VALUES = ("channel", "sentiment", "primary_topic", "intent", "resolution_status", "prompt_version", "model_id")
_TIES = ("event_time", "customer_id", *_COUNTED, "prompt_version", "model_id")


@dataclass(frozen=True)
class Backfill:
    """The assumption about history that was filled in: of a contact before `before`, the first version counts as known
    `lag` after it took place. Without it, it is known from when the store was told, which may be a year late."""

    lag: timedelta
    before: datetime  # UTC, without a zone, as all moments in here


def date_contact_versions(rows: pl.DataFrame, as_of: datetime, backfill: Backfill | None = None) -> pl.DataFrame:
    """One row a version that was ever told and not deleted, with `known_from` and `known_until`.

    `rows` are `publishing.reading.HISTORY_SCHEMA`'s. What the offline store did not hold at `as_of` is left out: it
    only appends, so that the same `as_of` gives the same versions for ever.
    """
    told = rows.lazy().filter(_is_version_held(as_of))
    moment = pl.col("event_time").str.to_datetime(EVENT_TIME_FORMAT, time_unit="us")
    versions = (
        told.select("interaction_id", *_TOLD, *_TIES)
        .with_columns(moment)
        .sort("interaction_id", *_TOLD, *_TIES, nulls_last=True)
        .with_columns(
            is_first=pl.col("interaction_id") != pl.col("interaction_id").shift(1).fill_null(""),
            is_followed=pl.col("interaction_id") == pl.col("interaction_id").shift(-1).fill_null(""),
            known_until=pl.col("api_invocation_time").shift(-1),
        )
        .with_columns(
            known_from=_date_first_knowledge(backfill),
            known_until=pl.when("is_followed").then("known_until").otherwise(NEVER),
        )
        .filter(~pl.col("is_deleted"))
    )
    return (
        versions.select(
            "interaction_id",
            *_TIES,
            "known_from",
            "known_until",
            csat_millionths=_count_millionths("csat_indicator"),
        )
        .with_columns(pl.col(_FEW_VALUES).cast(pl.Categorical))
        .collect()
    )


def find_first_told(rows: pl.DataFrame, as_of: datetime) -> datetime | None:
    """When the store was told the first of what its offline store held at `as_of`."""
    first = rows.filter(_is_version_held(as_of))["api_invocation_time"].min()
    return first if isinstance(first, datetime) else None


def _is_version_held(as_of: datetime) -> pl.Expr:
    return pl.max_horizontal("api_invocation_time", "write_time") <= as_of


def _date_first_knowledge(backfill: Backfill | None) -> pl.Expr:
    told = pl.col("api_invocation_time")
    if backfill is None:
        return told
    is_history = pl.col("is_first") & (pl.col("event_time") < backfill.before)
    assumed = pl.min_horizontal(told, pl.col("event_time") + backfill.lag)
    return pl.when(is_history).then(assumed).otherwise(told)


def _count_millionths(column: str) -> pl.Expr:
    """Whole numbers: their sum does not depend on its order."""
    return (pl.col(column) * 1_000_000).round().cast(pl.Int64)
