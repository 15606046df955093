"""What the data tables lose of days long ago: customers' texts, answers, features; each with an age of its own.

Rows that the law counts stay: of raw_interactions and rejected_records only the texts go, and a day that is run again
reads them anew while they are still in the landing bucket. An age that is not set keeps everything. Not here: whose
data it is; a person's are erased at once (`planning/erasing/`).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from cs_features.retention.rules import is_old_day
from cs_features.retention.sweeps import Sweeper, SweepResult
from cs_features.s3 import StoredObject
from cs_features.storage import Tables, encode_parquet_table

TEXTS = {"raw_interactions": None, "rejected_records": ""}  # the column `payload`, as it is without a text
ANSWERS, FEATURES = "llm_extractions", "validated_features"


@dataclass(frozen=True, kw_only=True)
class TableAges:
    """How long the tables keep what; None keeps it for good."""

    texts: timedelta | None = None
    answers: timedelta | None = None
    features: timedelta | None = None


def list_table_sweepers(tables: Tables, ages: TableAges) -> list[Sweeper]:
    """A sweeper for each age that is set."""
    found = []
    for age, names, sweep in (
        (ages.texts, tuple(TEXTS), sweep_payload_texts),
        (ages.answers, (ANSWERS,), sweep_old_partitions),
        (ages.features, (FEATURES,), sweep_old_partitions),
    ):
        if age is not None:
            found += [_make_table_sweeper(sweep, tables, name, age) for name in names]
    return found


Sweep = Callable[[Tables, str, timedelta, datetime, bool], SweepResult]


def _make_table_sweeper(sweep: Sweep, tables: Tables, name: str, age: timedelta) -> Sweeper:
    what = f"texts of {name}" if name in TEXTS else f"partitions of {name}"
    return Sweeper(what, lambda now, dry: sweep(tables, name, age, now, dry))


def sweep_payload_texts(tables: Tables, name: str, age: timedelta, now: datetime, dry_run: bool) -> SweepResult:
    """Empty the payloads of old days; `removed` counts texts."""
    examined = removed = freed = 0
    for stored in _list_old_tables(tables, name, now, age):
        examined += 1
        found = tables.bucket.read(stored.key)
        if found is None:
            continue
        left, texts = forget_payload_texts(pl.read_parquet(found[1], hive_partitioning=False), TEXTS[name])
        if texts:
            removed += texts
            body = encode_parquet_table(left)
            freed += max(0, stored.size - len(body))
            if not dry_run:
                tables.bucket.replace(found[0], body)  # one that changed meanwhile waits for the next week
    return SweepResult(f"texts of {name}", examined, removed, freed)


def forget_payload_texts(table: pl.DataFrame, empty: str | None) -> tuple[pl.DataFrame, int]:
    """The table without its payloads, and how many those were.

    A row without its text says of no version that it was read by it: whoever runs the day again reads the object.
    """
    texts = int((table["payload"].fill_null("") != "").sum())
    columns = [pl.lit(empty, pl.String()).alias("payload")]
    if "reader" in table.columns:
        columns.append(pl.lit(None, pl.String()).alias("reader"))
    return table.with_columns(columns), texts


def sweep_old_partitions(tables: Tables, name: str, age: timedelta, now: datetime, dry_run: bool) -> SweepResult:
    """Delete a table's partitions of old days."""
    old = list(_list_old_tables(tables, name, now, age))
    if not dry_run:
        tables.bucket.delete(each.key for each in old)
    return SweepResult(f"partitions of {name}", len(old), len(old), sum(each.size for each in old))


def _list_old_tables(tables: Tables, name: str, now: datetime, age: timedelta) -> Iterator[StoredObject]:
    for item in tables.bucket.iterate_bucket_objects(f"{name}/country="):
        folder = item.key.removeprefix(f"{name}/").rsplit("/", 1)[0]
        if item.name == "data.parquet" and is_old_day(folder, now, age):
            yield item
