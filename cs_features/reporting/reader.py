"""How the page's sources are read: each that cannot be read is named with its reason, and stops no other.

Here: the reader and what it is asked about. Not here: which tables there are (`tables.py`, `money.py`).
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from io import BytesIO
from typing import TypeVar

import polars as pl

from cs_features.monitoring.reconciliation import ISOLATED_ERRORS, name_error
from cs_features.partitions import AnyPartition
from cs_features.reporting.facts import Source
from cs_features.services import Model
from cs_features.storage import Tables

READERS = 16

Result = TypeVar("Result")
Asked = TypeVar("Asked", bound=AnyPartition)


@dataclass
class Reader:
    """Reads what it is asked for, and keeps what could not be read as a source with its reason."""

    tables: Tables
    sources: dict[str, Source] = field(default_factory=dict)

    def try_reading_table(self, name: str, read: Callable[[], Result]) -> Result | None:
        try:
            return read()
        except ISOLATED_ERRORS as error:
            self.sources[name] = Source(name=name, error=name_error(error))
            return None

    def read_latest_inventory(self, table: str) -> pl.DataFrame | None:
        """A table over all partitions, whose age is noted; one that nobody has made yet is unknown."""

        def read() -> pl.DataFrame | None:
            found = self.tables.bucket.read(self.tables.key(table, None))
            if found is None:
                self.sources[table] = Source(name=table, error="never made")
                return None
            self.sources[table] = Source(name=table, made_at=found[0].last_modified)
            return pl.read_parquet(BytesIO(found[1]), hive_partitioning=False)

        return self.try_reading_table(table, read)

    def read_many_tables(self, table: str, partitions: Sequence[Asked]) -> dict[Asked, pl.DataFrame]:
        """The partitions that there are. One that cannot be read makes the table a source that is known in part."""
        with ThreadPoolExecutor(READERS, thread_name_prefix="report") as pool:
            frames = list(pool.map(lambda each: self._read_one_table(table, each), partitions))
        return {partition: frame for partition, frame in zip(partitions, frames, strict=True) if frame is not None}

    def _read_one_table(self, table: str, partition: AnyPartition) -> pl.DataFrame | None:
        return self.try_reading_table(f"{table} of {partition}", lambda: self.tables.read(table, partition))


@dataclass(frozen=True)
class Scope:
    """Of what the report is made: countries, the sensor's window, the prompts and model in use, the caps."""

    countries: Sequence[str]
    window_days: int
    model: Model
