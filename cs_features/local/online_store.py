"""The local Feature Store's online store: of each record, the version with the latest event time.

A soft delete leaves a tombstone with its event time; a hard delete leaves nothing, not even the event
time, so that any later put is the latest again. An expired record is gone.

Here: the table and these rules, always inside the caller's transaction. Not here: which requests are
valid (`feature_group.py`), what goes offline (`offline_store.py`).
"""

import json
import sqlite3
import time
from dataclasses import dataclass

from cs_features.local.feature_group import FeatureGroup, Record

TABLE = """
CREATE TABLE IF NOT EXISTS online (
    feature_group TEXT NOT NULL,
    identifier TEXT NOT NULL,
    event_time TEXT NOT NULL,  -- nanoseconds since 1970, as is expires_at; 64 bits end in 2262
    record TEXT,               -- JSON object, feature to value; NULL after a soft delete
    expires_at TEXT,
    PRIMARY KEY (feature_group, identifier)
)
"""


@dataclass(frozen=True)
class Stored:
    """What is there under an identifier; `values` is `None` for a tombstone, times are in nanoseconds."""

    event_time: int
    values: dict[str, str] | None
    expires_at: int | None


def read(database: sqlite3.Connection, group: FeatureGroup, identifier: str) -> Stored | None:
    row = database.execute(
        "SELECT event_time, record, expires_at FROM online WHERE feature_group = ? AND identifier = ?",
        (group.name, identifier),
    ).fetchone()
    if row is None:
        return None
    stored = Stored(int(row[0]), row[1] and json.loads(row[1]), row[2] and int(row[2]))
    return None if stored.expires_at is not None and stored.expires_at <= time.time_ns() else stored


def put(database: sqlite3.Connection, group: FeatureGroup, record: Record, expires_at: int | None) -> bool:
    """Whether `record` was the latest, and so is there now."""
    return _replace(database, group, record, json.dumps(record.values), expires_at)


def soft_delete(database: sqlite3.Connection, group: FeatureGroup, marker: Record) -> bool:
    """Whether `marker` was the latest, and so stands in the record's place."""
    return _replace(database, group, marker, None, None)


def hard_delete(database: sqlite3.Connection, group: FeatureGroup, marker: Record) -> bool:
    """Whether `marker` was the latest, and so nothing is left."""
    if not _is_latest(database, group, marker):
        return False
    database.execute("DELETE FROM online WHERE feature_group = ? AND identifier = ?", (group.name, marker.identifier))
    return True


def _replace(
    database: sqlite3.Connection,
    group: FeatureGroup,
    record: Record,
    values: str | None,
    expires_at: int | None,
) -> bool:
    if not _is_latest(database, group, record):
        return False
    database.execute(
        "INSERT OR REPLACE INTO online VALUES (?, ?, ?, ?, ?)",
        (group.name, record.identifier, str(record.event_time), values, expires_at and str(expires_at)),
    )
    return True


def _is_latest(database: sqlite3.Connection, group: FeatureGroup, record: Record) -> bool:
    stored = read(database, group, record.identifier)
    return stored is None or record.event_time > stored.event_time
