"""What was counted of each landing object, kept beside the tables: an object is counted once, and again after a week.

The count stays independent: it is made from an object's bytes by `document_count.py`, and nothing that a run says of
itself is kept here. It counts for as long as key, ETag, size, the lines of who is erased and the counting code are the
same. The conservation
check believes it whatever its age, the nightly reconciliation for `RECOUNT_AFTER`, so that each object is recounted
once a week. A writer that dies or is overtaken leaves less to believe, and never anything wrong.
"""

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from cs_features.code_version import digest_source_files
from cs_features.errors import TableUnreadable
from cs_features.monitoring.document_count import FileCount
from cs_features.partitions import Partition
from cs_features.s3 import StoredObject
from cs_features.storage import Tables

COUNTS = "landing_counts"
RECOUNT_AFTER = timedelta(days=6, hours=12)  # a nightly recount is a week apart, whatever hour it begins
COUNTED_BY_MODULES = (
    "cs_features.hashing",
    "cs_features.landing.documents",
    "cs_features.landing.files",
    "cs_features.monitoring.document_count",
    "cs_features.schemas",
)

COUNTS_SCHEMA = pl.Schema(
    {
        "key": pl.String(),
        "etag": pl.String(),
        "size": pl.Int64(),
        "documents": pl.Int64(),
        "identities": pl.List(pl.String()),
        "withheld": pl.List(pl.Int64()),  # lines of who is erased, which are nobody's copies
        "counted_at": pl.Datetime("us", "UTC"),  # S3's clock
        "counter": pl.String(),  # the version of the counting code
    }
)


@dataclass(frozen=True)
class KeptCount:
    """The documents of one version of an object, and when they were counted."""

    etag: str
    size: int
    count: FileCount
    counted_at: datetime
    withheld: frozenset[int] = frozenset()


class CountMemory:
    """The counts of one partition; `now` is S3's clock, and older counts than `max_age` are not believed."""

    def __init__(self, now: datetime, table: pl.DataFrame | None = None, max_age: timedelta | None = None) -> None:
        self._table = COUNTS_SCHEMA.to_frame() if table is None else table
        self._stored = _list_kept_counts(self._table)
        self._now = now
        self._max_age = max_age
        self._current: dict[str, KeptCount] = {}

    def recall(self, item: StoredObject, withheld: frozenset[int] = frozenset()) -> FileCount | None:
        """The count of the object as it is listed, but for lines that are `withheld`; None when it is to be counted."""
        kept = self._stored.get(item.key)
        known = None if kept is None else (kept.etag, kept.size, kept.withheld)
        if kept is None or known != (item.etag, item.size, withheld) or self._is_due(kept):
            return None
        self._current[item.key] = kept
        return kept.count

    def keep(self, item: StoredObject, count: FileCount, withheld: frozenset[int] = frozenset()) -> None:
        self._current[item.key] = KeptCount(item.etag, item.size, count, self._now, withheld)

    @property
    def oldest(self) -> datetime | None:
        """When the oldest of the counts that were asked for or kept was made; None where there is none."""
        return min((kept.counted_at for kept in self._current.values()), default=None)

    def save(self, tables: Tables, partition: Partition) -> None:
        """Write what was asked for or kept, and nothing else, if that is not what is stored.

        Raises:
            AwsRefusal: when the data bucket cannot be written.
        """
        if self._current == self._stored:
            return
        # What was recalled stands in the table as it is to be written: of a thousand objects one is new.
        new = {key: kept for key, kept in self._current.items() if kept is not self._stored.get(key)}
        recalled = self._table.filter(pl.col("key").is_in(list(self._current.keys() - new.keys())))
        tables.write(COUNTS, partition, pl.concat([recalled, _build_frame(new)]).sort("key"))

    def _is_due(self, kept: KeptCount) -> bool:
        # A count from the future was made by a clock that has gone back since: how old it is, nobody knows.
        return self._max_age is not None and not timedelta(0) <= self._now - kept.counted_at < self._max_age


def load_kept_counts(
    tables: Tables, partition: Partition, now: datetime, max_age: timedelta | None = None
) -> CountMemory:
    """What is kept of a partition; of a counter of another version, or of what is no table, nothing.

    Raises:
        AwsRefusal: when the data bucket cannot be read.
    """
    stored = None
    with suppress(TableUnreadable):  # what is not known is counted
        stored = tables.read(COUNTS, partition)
    if stored is None or not set(COUNTS_SCHEMA.names()) <= set(stored.columns):
        return CountMemory(now, max_age=max_age)
    current = stored.filter(pl.col("counter") == read_counter_version()).select(COUNTS_SCHEMA.names())
    return CountMemory(now, current.cast(COUNTS_SCHEMA).unique("key", keep="last", maintain_order=True), max_age)


def read_counter_version() -> str:
    return digest_source_files(COUNTED_BY_MODULES, ("pydantic_core",))


def _list_kept_counts(table: pl.DataFrame) -> dict[str, KeptCount]:
    return {
        key: KeptCount(etag, size, FileCount(documents, identities), counted_at, frozenset(withheld))
        for key, etag, size, documents, identities, withheld, counted_at, _ in table.iter_rows()
    }


def _build_frame(counts: Mapping[str, KeptCount]) -> pl.DataFrame:
    counter = read_counter_version()
    rows: Collection[tuple[object, ...]] = [
        (key, kept.etag, kept.size, *_list_counted(kept), kept.counted_at, counter) for key, kept in counts.items()
    ]
    return pl.DataFrame(rows, schema=COUNTS_SCHEMA, orient="row")


def _list_counted(kept: KeptCount) -> tuple[int, list[str], list[int]]:
    return kept.count.documents, kept.count.identities, sorted(kept.withheld)
