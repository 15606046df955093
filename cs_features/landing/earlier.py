"""What the runs before knew of a partition: what a new reading keeps, and what it may not forget.

- An unchanged object keeps its rows: it is read once, as long as what makes a row of a document is the same.
- The same content is as old as when it was first seen, by whatever run: a copy, a restore or a re-encryption gives an
  object a new date, and would otherwise undo a correction that landed between. The table before says it of what it
  holds, `first_seen` of what has left since: for good, and added to before the table that lacks it is written.
- An object that cannot be read is no evidence that its documents are gone. Until it can be read again, the documents
  that were last read from its key stand, whatever its ETag is by now, beside a reject that names the key; hence
  neither publication nor corrections take them for deleted.

The table may have been written by any version: rows that do not say by which are read again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import polars as pl

from cs_features.landing.documents import RAW_SCHEMA, DocumentReader, read_landed_document, restore_kept_document
from cs_features.landing.files import Piece
from cs_features.partitions import Partition
from cs_features.s3 import StoredObject
from cs_features.schemas import Reason
from cs_features.storage import Tables

FIRST_SEEN = "first_seen"
FIRST_SEEN_SCHEMA = pl.Schema({"content_hash": pl.String(), "landed_at": pl.Datetime("us", "UTC")})

Rows = list[dict[str, Any]]

# Their documents are valid: what was wrong was another one, and may be otherwise by now.
_WHOLE = (Reason.DUPLICATE_ID.value, Reason.SUPERSEDED.value, Reason.ID_CONFLICT.value)
_NEEDED = ("status", "source_line", "landed_at", "payload")  # every version has written them


@dataclass(frozen=True)
class EarlierReading:
    """What is known of a partition before it is read; nothing before its first run."""

    rows: Mapping[str, Rows] = field(default_factory=dict)  # of the table before, by the uri of their object
    first_seen: Mapping[str, datetime] = field(default_factory=dict)  # by content hash, S3's clock
    departed: Mapping[str, datetime] = field(default_factory=dict)  # the same, of what `first_seen` holds by name

    def keep_rows(self, uri: str, item: StoredObject, version: str) -> Rows | None:
        """The rows of an object that is as it was when it was read, by the same version; None when it is to be read."""
        rows = self.rows.get(uri, [])
        if not rows or any(not _is_as_read(row, item.etag, version) for row in rows):
            return None
        return [self.date_back_rows({**restore_kept_document(row), "landed_at": item.last_modified}) for row in rows]

    def date_back_rows(self, row: dict[str, Any]) -> dict[str, Any]:
        """A row whose content was seen before is as old as it was then."""
        landed_at = row["landed_at"]
        return {**row, "landed_at": min(landed_at, self.first_seen.get(row["content_hash"], landed_at))}


def recall_earlier_reading(raw: pl.DataFrame | None, departed: Mapping[str, datetime] | None = None) -> EarlierReading:
    """What the table of the run before says, and the contents that had left before it."""
    departed = departed or {}
    if raw is None:
        return EarlierReading(first_seen=departed, departed=departed)
    table = align_table_columns(raw)
    if not set(RAW_SCHEMA.names()) <= set(raw.columns):
        table = table.with_columns(reader=pl.lit(None, pl.String()))  # whatever it says, it is not ours
    by_uri: dict[str, Rows] = {}
    for row in table.iter_rows(named=True):
        by_uri.setdefault(row["source_uri"], []).append(row)
    return EarlierReading(by_uri, _take_older_date(departed, _date_first_contents(table)), departed)


def align_table_columns(raw: pl.DataFrame) -> pl.DataFrame:
    """`raw` with the columns of `RAW_SCHEMA`, null where its version had none."""
    present = [pl.col(name).cast(dtype, strict=False) for name, dtype in RAW_SCHEMA.items() if name in raw.columns]
    missing = [pl.lit(None, dtype).alias(name) for name, dtype in RAW_SCHEMA.items() if name not in raw.columns]
    return raw.select(*present, *missing).select(RAW_SCHEMA.names())


def take_over_rows(earlier: EarlierReading, uri: str, reader: DocumentReader) -> Rows:
    """The documents that were last read from `uri`, as rows whose ids are not resolved yet."""
    rows = [row for row in earlier.rows.get(uri, []) if row["reason"] != Reason.UNREADABLE_OBJECT.value]
    return [_judge_kept_rows(row, reader) for row in rows if all(row[name] is not None for name in _NEEDED)]


def _is_as_read(row: dict[str, Any], etag: str, version: str) -> bool:
    is_refused = row["reason"] == Reason.UNREADABLE_OBJECT.value
    return row["source_etag"] == etag and row["reader"] == version and not is_refused


def _judge_kept_rows(row: dict[str, Any], reader: DocumentReader) -> dict[str, Any]:
    """A row as it was before ids were resolved; of older versions, the payload of a valid document is all of it."""
    if row["reader"] is not None:
        return restore_kept_document(row)
    if row["status"] == "rejected" and row["reason"] not in _WHOLE:
        given = {"document_id": row["interaction_id"], "document_reason": row["reason"]}
        return {**row, **given, "document_detail": row["detail"]}
    source = {name: row[name] for name in ("source_uri", "source_line", "source_etag", "landed_at")}
    return {**read_landed_document(Piece(row["source_line"], row["payload"].encode()), reader), **source}


# --- contents that have left ------------------------------------------------------------------


def read_earlier_tables(tables: Tables, partition: Partition) -> EarlierReading:
    """What the runs before left of `partition`.

    Raises:
        AwsRefusal: when the data bucket cannot be read.
    """
    stored = tables.read(FIRST_SEEN, partition)
    departed = {} if stored is None else dict(stored.select(FIRST_SEEN_SCHEMA.names()).iter_rows())
    return recall_earlier_reading(tables.read("raw_interactions", partition), departed)


def remember_departed_objects(tables: Tables, partition: Partition, earlier: EarlierReading, raw: pl.DataFrame) -> None:
    """Keep when contents were first seen that `raw` holds no more; to be called before it is written."""
    present = set(raw["content_hash"])
    departed = {content: seen for content, seen in earlier.first_seen.items() if content not in present}
    known = _take_older_date(earlier.departed, departed)
    if known == earlier.departed:
        return
    tables.write(FIRST_SEEN, partition, pl.DataFrame(sorted(known.items()), schema=FIRST_SEEN_SCHEMA, orient="row"))


def _date_first_contents(raw: pl.DataFrame) -> dict[str, datetime]:
    dated = raw.drop_nulls(["content_hash", "landed_at"])
    return dict(dated.group_by("content_hash").agg(pl.col("landed_at").min()).iter_rows())


def _take_older_date(one: Mapping[str, datetime], other: Mapping[str, datetime]) -> dict[str, datetime]:
    """Both, each content as old as the older of the two says."""
    older = dict(one)
    for content, moment in other.items():
        older[content] = min(moment, older.get(content, moment))
    return older
