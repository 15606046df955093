"""The local Feature Store's offline store: accepted writes on their way to Parquet on S3.

A row waits in the same SQLite database, and is put there in the same transaction, as the online write it
belongs to. A flush gives waiting rows the name of one object and commits that before it uploads; the rows
leave the table after the upload. Killed in between, the next flush uploads the same rows under the same
name again: each accepted write is exactly one row on S3.

Here: SageMaker's Glue layout and columns. Not here: which writes are accepted (`feature_store.py`).
"""

import io
import json
import random
import sqlite3
import string
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import urlsplit

import polars as pl

from cs_features.local.feature_group import NANOSECONDS, FeatureGroup, Record

TABLE = """
CREATE TABLE IF NOT EXISTS offline (
    number INTEGER PRIMARY KEY,
    feature_group TEXT NOT NULL,
    hour INTEGER NOT NULL,        -- of the event time, since 1970
    record TEXT NOT NULL,         -- JSON object, feature to value
    is_deleted INTEGER NOT NULL,
    invoked_at INTEGER NOT NULL,  -- microseconds since 1970, as is written_at
    written_at INTEGER,
    object TEXT                   -- name of the Parquet file, once the row is in one
)
"""

_TYPES = {"String": pl.String, "Integral": pl.Int64, "Fractional": pl.Float64}
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_HOUR = 3_600 * NANOSECONDS


def append(database: sqlite3.Connection, group: FeatureGroup, record: Record, *, is_deleted: bool) -> None:
    """Put one row into the waiting table, inside the caller's transaction."""
    database.execute(
        "INSERT INTO offline (feature_group, hour, record, is_deleted, invoked_at) VALUES (?, ?, ?, ?, ?)",
        (
            group.name,
            record.event_time // _HOUR,
            json.dumps(record.values),
            is_deleted,
            time.time_ns() // 1_000,
        ),
    )


def assign(database: sqlite3.Connection) -> None:
    """Give the waiting rows of each group and hour one object name, inside the caller's transaction."""
    now = time.time_ns()
    for group, hour in database.execute(
        "SELECT DISTINCT feature_group, hour FROM offline WHERE object IS NULL"
    ).fetchall():
        suffix = "".join(random.choices(string.ascii_letters + string.digits, k=16))
        written = _EPOCH + timedelta(seconds=now // NANOSECONDS)
        hour_of_event = _EPOCH + timedelta(hours=hour)
        name = f"year={hour_of_event:%Y/month=%m/day=%d/hour=%H}/{written:%Y%m%dT%H%M%SZ}_{suffix}.parquet"
        database.execute(
            "UPDATE offline SET object = ?, written_at = ? WHERE object IS NULL AND feature_group = ? AND hour = ?",
            (name, now // 1_000, group, hour),
        )


def upload(database: sqlite3.Connection, transaction: Any, s3: Any, group_named: Callable[[str], FeatureGroup]) -> None:
    """Upload every assigned object and forget its rows; stops at the first error, to be called again.

    `transaction` is a context manager factory; the upload itself is outside of any transaction.
    """
    with transaction():
        objects = database.execute(
            "SELECT object, feature_group FROM offline WHERE object IS NOT NULL GROUP BY object"
        ).fetchall()
    for name, group_name in objects:
        with transaction():
            rows = database.execute(
                "SELECT record, written_at, invoked_at, is_deleted FROM offline WHERE object = ? ORDER BY number",
                (name,),
            ).fetchall()
        group = group_named(group_name)
        assert group.offline_uri, "a row waits only for a group with an offline store"
        location = urlsplit(f"{group.offline_uri}/{name}")
        s3.put_object(Bucket=location.netloc, Key=location.path.lstrip("/"), Body=_parquet(group, rows))
        with transaction():
            database.execute("DELETE FROM offline WHERE object = ?", (name,))


def _parquet(group: FeatureGroup, rows: list[tuple[str, int, int, int]]) -> bytes:
    records = [json.loads(row[0]) for row in rows]
    columns = {
        name: pl.Series([record.get(name) for record in records], dtype=pl.String).cast(_TYPES[kind])
        for name, kind in group.types.items()
    }
    # Without a zone, in UTC: a Glue timestamp.
    columns["write_time"] = pl.Series([row[1] for row in rows], dtype=pl.Int64).cast(pl.Datetime("us"))
    columns["api_invocation_time"] = pl.Series([row[2] for row in rows], dtype=pl.Int64).cast(pl.Datetime("us"))
    columns["is_deleted"] = pl.Series([bool(row[3]) for row in rows], dtype=pl.Boolean)
    buffer = io.BytesIO()
    pl.DataFrame(columns).write_parquet(buffer)
    return buffer.getvalue()
