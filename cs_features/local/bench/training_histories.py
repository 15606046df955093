"""Random histories of a feature store, with everything that tempts a training set to look ahead.

Late, corrected, moved, deleted and filled-in contacts, ties of every kind, cuts on the very moment. Not here: what is
right for them (`training_oracle.py`, `training_sql.py`).
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

import polars as pl

from cs_features.publishing.reading import HISTORY_SCHEMA, OfflineHistory

BEGIN = datetime(2025, 1, 1, tzinfo=timezone.utc)
DAYS = 430
AS_OF = BEGIN + timedelta(days=DAYS + 40)
WENT_LIVE = 200  # days after BEGIN; what is older was filled in then
CHANNELS = ("chat", "email", "phone", "social", "review", "other")
TOPICS = ("billing_payment", "delivery_fulfilment", "staff_service", "other")
INTENTS = ("leave_company", "complain", "request_refund", "praise")
Row = dict[str, Any]


@dataclass(frozen=True)
class Story:
    """A history and the spine that is asked of it."""

    rows: list[Row]
    spine: list[tuple[str, datetime]]
    went_live: datetime | None = None  # when its store was told anything for the first time, if not by its own rows

    def build_history(self) -> OfflineHistory:
        return OfflineHistory("group", AS_OF, build_rows(self.rows))

    def build_spine(self) -> pl.DataFrame:
        schema = {"customer_id": pl.String(), "cut": pl.Datetime("us", "UTC")}
        return pl.DataFrame(self.spine, schema=schema, orient="row")


def build_rows(rows: Sequence[Row]) -> pl.DataFrame:
    """Rows as the offline store gives them."""
    return pl.DataFrame([_spell_row(row) for row in rows], schema=HISTORY_SCHEMA)


def _spell_row(row: Row) -> Row:
    spelled = {name: row.get(name) for name in HISTORY_SCHEMA}
    spelled["event_time"] = row["event_time"].isoformat(timespec="milliseconds").replace("+00:00", "Z")
    for name in ("api_invocation_time", "write_time"):
        spelled[name] = row[name].replace(tzinfo=None)
    return spelled


def tell_story(seed: int, contacts: int = 12, customers: int = 3, cuts: int = 4) -> Story:
    """Ties, late and corrected contacts, deletions, other customers' ids, a backfill, two prompts; all by `seed`."""
    dice = random.Random(seed)
    rows = [row for number in range(contacts) for row in _tell_contact(dice, number, customers)]
    dice.shuffle(rows)
    moments = [row["api_invocation_time"] for row in rows] + [row["event_time"] for row in rows]
    spine = {(f"c{dice.randrange(customers)}", _choose_cut(dice, moments)) for _ in range(cuts)}
    return Story(rows, sorted(spine))


def _choose_cut(dice: random.Random, moments: list[datetime]) -> datetime:
    """Often exactly when something happened, or a day after it: where < and <= differ."""
    moment = dice.choice(moments) + dice.choice(
        [timedelta(0), timedelta(days=1), timedelta(days=8), timedelta(days=31)]
    )
    if dice.random() < 0.4:
        moment = BEGIN + timedelta(hours=dice.randrange(24 * DAYS))
    return min(moment, AS_OF)


def _tell_contact(dice: random.Random, number: int, customers: int) -> list[Row]:
    happened = BEGIN + timedelta(hours=6 * dice.randrange(4 * DAYS))  # coarse: many tie
    told = max(happened + timedelta(hours=dice.choice([1, 1, 1, 30, 200])), BEGIN + timedelta(days=WENT_LIVE))
    row = _describe_contact(dice, customers) | {"interaction_id": f"i{number}", "event_time": happened}
    rows = [_stamp_row(row, told)]
    while dice.random() < 0.4:
        told += timedelta(hours=dice.choice([0, 0, 24, 500]))
        changed = _describe_contact(dice, customers)
        if dice.random() < 0.2:
            changed["event_time"] = happened + timedelta(days=dice.randrange(-20, 20))
        row = row | changed | {"prompt_version": dice.choice(["t2-a", "t2-b", "old"])}
        rows.append(_stamp_row(row, told) if dice.random() < 0.7 else _delete_row(row, told))
    return rows


def _describe_contact(dice: random.Random, customers: int) -> Row:
    return {
        "sentiment": dice.choice(["positive", "neutral", "negative"]),
        "primary_topic": dice.choice(TOPICS),
        "intent": dice.choice(INTENTS),
        "resolution_status": dice.choice(["resolved", "pending", "escalated"]),
        "urgency_score": dice.randrange(101) / 100,
        "csat_indicator": dice.randrange(10_001) / 10_000,
        "channel": dice.choice(CHANNELS),
        "customer_id": dice.choice([*(f"c{n}" for n in range(customers)), None]),
        "prompt_version": "t2-a",
        "model_id": "model",
    }


def _stamp_row(row: Row, told: datetime) -> Row:
    return row | {"api_invocation_time": told, "write_time": told + timedelta(minutes=5), "is_deleted": False}


def _delete_row(row: Row, told: datetime) -> Row:
    kept = {name: row[name] for name in ("interaction_id", "event_time")}
    return _stamp_row(kept, told) | {"is_deleted": True}


def merge_stories(stories: Sequence[Story]) -> Story:
    """One store that holds the customers of all of them."""
    rows: list[Row] = []
    spine: list[tuple[str, datetime]] = []
    for number, story in enumerate(stories):
        rows += [_rename_ids(row, number) for row in story.rows]
        spine += [(f"{number}/{customer}", cut) for customer, cut in story.spine]
    return Story(rows, spine)


def _rename_ids(row: Row, number: int) -> Row:
    names = ("interaction_id", "customer_id")
    return row | {name: f"{number}/{row[name]}" for name in names if row.get(name) is not None}
