"""The manifest of a partition: which records the feature group holds of it, a row a record; the table `feature_store`.

It says what every record was made of and which group it was written to, and marks what a publisher is about to change
before its first call. It holds the records themselves, so that one can be written again without the model. Tables of
older versions lack columns: they are read as null. What is to be changed is decided in `plan.py`; the calls are
`changes.py`'s.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from operator import attrgetter
from typing import Generic, Protocol, TypeVar

import polars as pl

from cs_features.partitions import Partition
from cs_features.storage import Tables, encode_table_slices, fill_missing_columns

MANIFEST = "feature_store"
OTHER_GROUPS = "feature_store_of_other_groups"  # what a partition left in groups that were set before
ENTRIES_TOGETHER = 1_000
UNFINISHED = ""  # the content hash of a record that a publisher was about to change

MANIFEST_SCHEMA = pl.Schema(
    {
        "interaction_id": pl.String(),
        "event_time": pl.String(),  # the latest that this partition gave it
        "content_hash": pl.String(),  # of the record as it was written; UNFINISHED while it is changed
        "document_hash": pl.String(),  # `content_hash` of the document in raw_interactions
        "prompt_version": pl.String(),
        "model_id": pl.String(),
        "written_at": pl.Datetime("us", "UTC"),  # when the publication that wrote it began, by S3's clock
        "group": pl.String(),  # the feature group: ARN and creation time, see `feature_group.require_group`
        "record": pl.String(),  # as JSON, written or to be written; null while it is withdrawn
        "source_uri": pl.String(),  # the landing file in which the document was last seen
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One row of the manifest; None is what an older version did not write down."""

    interaction_id: str
    event_time: str
    content_hash: str
    document_hash: str | None
    prompt_version: str | None
    model_id: str | None
    written_at: datetime
    group: str | None
    record: str | None = None
    source_uri: str | None = None

    @property
    def key(self) -> str:
        return self.interaction_id

    @property
    def is_finished(self) -> bool:
        return self.content_hash != UNFINISHED

    @property
    def is_being_withdrawn(self) -> bool:
        return not self.is_finished and self.record is None


def read_manifest(tables: Tables, partition: Partition) -> pl.DataFrame:
    """The partition's manifest with all of `MANIFEST_SCHEMA`; no rows when nothing was ever published.

    Raises:
        AwsRefusal: when the data bucket cannot be read.
    """
    stored = tables.read(MANIFEST, partition)
    if stored is None:
        return MANIFEST_SCHEMA.to_frame()
    return fill_missing_columns(stored, MANIFEST_SCHEMA).select(MANIFEST_SCHEMA.names())


def select_group_entries(manifest: pl.DataFrame, group: str) -> pl.DataFrame:
    """The rows that say something about `group`: its own, and those of versions that did not name one."""
    return manifest.filter(pl.col("group").is_null() | (pl.col("group") == group))


def list_entries(manifest: pl.DataFrame) -> dict[str, Entry]:
    """The rows by interaction id."""
    return {row["interaction_id"]: Entry(**row) for row in manifest.iter_rows(named=True)}


def recall_manifest_entries(
    manifest: pl.DataFrame, group: str, tables: Tables, partition: Partition
) -> dict[str, Entry]:
    """What the manifest says of `group`; of one that was set before and is set again, what was put aside then."""
    entries = list_entries(select_group_entries(manifest, group))
    return entries or list_entries(_read_other_groups(tables, partition).filter(pl.col("group") == group))


def put_other_groups_aside(manifest: pl.DataFrame, group: str, tables: Tables, partition: Partition) -> None:
    """Remember what the manifest says of groups other than `group`, of which it is about to speak alone.

    Whoever sets one of them again finds there what has left the landing bucket since. Without the records themselves.
    """
    others = manifest.filter(pl.col("group") != group).with_columns(record=pl.lit(None, pl.String()))
    if others.is_empty():
        return
    replaced = [group, *others["group"].unique()]
    before = _read_other_groups(tables, partition).filter(~pl.col("group").is_in(replaced))
    tables.write(OTHER_GROUPS, partition, pl.concat([before, others]))


def _read_other_groups(tables: Tables, partition: Partition) -> pl.DataFrame:
    stored = tables.read(OTHER_GROUPS, partition)
    if stored is None:
        return MANIFEST_SCHEMA.to_frame()
    return fill_missing_columns(stored, MANIFEST_SCHEMA).select(MANIFEST_SCHEMA.names())


class KeyedEntry(Protocol):
    """What a manifest says of one record, whatever the group."""

    @property
    def key(self) -> str: ...


AnyEntry = TypeVar("AnyEntry", bound=KeyedEntry)


class OpenManifest(Generic[AnyEntry]):
    """A manifest while a publication changes it: what is saved says of each record what is known to be true."""

    def __init__(self, entries: Iterable[AnyEntry], write: Callable[[Collection[AnyEntry]], object]) -> None:
        self._write = write
        self._entries = {entry.key: entry for entry in entries}

    @property
    def entries(self) -> Collection[AnyEntry]:
        return self._entries.values()

    def put_manifest_entries(self, entries: Iterable[AnyEntry]) -> None:
        self._entries |= {entry.key: entry for entry in entries}

    def drop_manifest_entries(self, ids: Iterable[str]) -> None:
        for key in ids:
            del self._entries[key]

    def save(self) -> None:
        self._write(self._entries.values())


def encode_manifest(entries: Iterable[Entry]) -> bytes:
    """The table of a partition's entries, as it is stored. It holds all records once more: never all of it at once."""
    remaining = iter(sorted(entries, key=attrgetter("interaction_id")))
    slices = iter(lambda: list(islice(remaining, ENTRIES_TOGETHER)), [])
    return encode_table_slices(map(_build_manifest_slice, slices), MANIFEST_SCHEMA)


def _build_manifest_slice(entries: Sequence[Entry]) -> pl.DataFrame:
    columns = {name: list(map(attrgetter(name), entries)) for name in MANIFEST_SCHEMA}
    return pl.DataFrame(columns, schema=MANIFEST_SCHEMA)
