"""What the run before knew of a partition, from its `raw_interactions`: what a new reading may not forget.

- The same content is as old as when it was first seen: a copy, a restore or a re-encryption gives an object a new
  date, and would otherwise undo a correction that landed between.
- An object that cannot be read is no evidence that its documents are gone. Until it can be read again, the documents
  that were last read from its key stand, whatever its ETag is by now, beside a reject that names the key; hence
  neither publication nor corrections take them for deleted.

The table may have been written by any version: columns that it lacks are null.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import polars as pl

from cs_features.landing.documents import RAW_SCHEMA, read_document
from cs_features.landing.files import Piece
from cs_features.partitions import Partition
from cs_features.schemas import Reason

# Their documents are valid: what was wrong was another one, and may be otherwise by now.
_WHOLE = (Reason.DUPLICATE_ID.value, Reason.SUPERSEDED.value)
_NEEDED = ("status", "source_line", "landed_at", "payload")  # every version has written them


@dataclass(frozen=True)
class EarlierReading:
    """The previous `raw_interactions` of a partition; empty before its first run."""

    raw: pl.DataFrame = field(default_factory=RAW_SCHEMA.to_frame)
    first_seen: Mapping[str, datetime] = field(default_factory=dict)  # by content hash, S3's clock


def recall_reading(raw: pl.DataFrame | None) -> EarlierReading:
    """What the table of the run before says, in the columns of `RAW_SCHEMA`."""
    if raw is None:
        return EarlierReading()
    raw = align_columns(raw)
    oldest = raw.drop_nulls(["content_hash", "landed_at"]).group_by("content_hash").agg(pl.col("landed_at").min())
    return EarlierReading(raw, dict(oldest.iter_rows()))


def align_columns(raw: pl.DataFrame) -> pl.DataFrame:
    """`raw` with the columns of `RAW_SCHEMA`, null where its version had none."""
    present = [pl.col(name).cast(dtype, strict=False) for name, dtype in RAW_SCHEMA.items() if name in raw.columns]
    missing = [pl.lit(None, dtype).alias(name) for name, dtype in RAW_SCHEMA.items() if name not in raw.columns]
    return raw.select(*present, *missing).select(RAW_SCHEMA.names())


def take_over_rows(earlier: EarlierReading, uri: str, partition: Partition) -> list[dict[str, Any]]:
    """The documents that were last read from `uri`, as rows whose ids are not resolved yet."""
    is_document = pl.col("reason").ne_missing(Reason.UNREADABLE_OBJECT.value)
    rows = earlier.raw.filter((pl.col("source_uri") == uri) & is_document).drop_nulls(_NEEDED)
    return [_read_again(row, partition) for row in rows.iter_rows(named=True)]


def _read_again(row: dict[str, Any], partition: Partition) -> dict[str, Any]:
    """A row as it was before ids were resolved; the payload of a valid document is all of it."""
    if row["status"] == "rejected" and row["reason"] not in _WHOLE:
        return row
    source = {name: row[name] for name in ("source_uri", "source_line", "source_etag", "landed_at")}
    return {**read_document(Piece(row["source_line"], row["payload"].encode()), partition), **source}
