"""What is left of a stored object when one person is taken out of it: tables, lines and JSON. Pure.

Landing files are `landing/erased.py`'s, lines of the ledger `extraction/attribution.py`'s.
"""

import io
import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime, timezone
from typing import Any, NamedTuple

import polars as pl

from cs_features.erasure.subjects import Erased, Subject, is_same_customer
from cs_features.extraction.attribution import strip_all_lines
from cs_features.landing.documents import UNREAD_DETAIL
from cs_features.landing.earlier import align_table_columns
from cs_features.landing.erased import withhold_erased_rows
from cs_features.schemas import Reason
from cs_features.storage import encode_parquet_table

LEDGER = "ledger/"
PACKED = (".gz", ".zip", ".xlsx")
_MOMENTS = ("occurred_at", "event_time")


class Stripped(NamedTuple):
    """An object without the person, and how many rows, lines or entries that took out; None where all were his."""

    body: bytes | None
    removed: int


def strip_data_object(key: str, body: bytes, subject: Subject) -> Stripped | None:
    """What is left of an object; None where nothing changes.

    Raises:
        ValueError: it is of no format that is known here, and names him, or may.
    """
    if key.endswith(".parquet"):
        return strip_parquet_table(body, subject)
    if key.endswith(".jsonl"):
        return strip_ledger_lines(body, subject, is_ledger=key.startswith(LEDGER))
    if key.endswith(PACKED):
        raise ValueError("it is packed, and nobody knows what is in it")
    if not subject.is_named_in(body):
        return None
    if key.endswith(".json"):
        value, removed = prune_json_value(json.loads(body), subject)
        if removed:
            return Stripped(json.dumps(value).encode(), removed)
    raise ValueError("it names him, and nobody knows how it is written")


# --- tables -----------------------------------------------------------------------------------


def strip_parquet_table(body: bytes, erased: Erased, *, drop_when_empty: bool = False) -> Stripped | None:
    """A table without his rows; where he is told by his customer's id, those of documents up to his erasure."""
    frame = pl.read_parquet(io.BytesIO(body), hive_partitioning=False)
    covered = find_covered_rows(frame, erased)
    removed = int(covered.sum())
    if not removed:
        return None
    left = frame.filter(~covered)
    return Stripped(None if drop_when_empty and left.is_empty() else encode_parquet_table(left), removed)


def find_covered_rows(frame: pl.DataFrame, erased: Erased) -> pl.Series:
    """Which rows are his, by the columns that say whose they are; none of a table that has no such column."""
    ids = frame["interaction_id"] if "interaction_id" in frame.columns else [None] * frame.height
    rows = zip(ids, _list_row_customers(frame), _list_contact_moments(frame), strict=True)
    covered = [erased.covers_interaction(key) or erased.covers_customer(customer, at) for key, customer, at in rows]
    return pl.Series(covered, dtype=pl.Boolean)


def _list_row_customers(frame: pl.DataFrame) -> Iterable[str | None]:
    if "customer_id" in frame.columns:
        return frame["customer_id"].cast(pl.String)
    if "record" in frame.columns:  # a manifest's row holds the record that was written
        return [find_customer(json.loads(record)) if record else None for record in frame["record"]]
    return [None] * frame.height


def find_customer(record: Iterable[Mapping[str, Any]]) -> str | None:
    """Whose a record of the feature store says that it is."""
    return next((pair["ValueAsString"] for pair in record if pair["FeatureName"] == "customer_id"), None)


def _list_contact_moments(frame: pl.DataFrame) -> Iterable[datetime | None]:
    name = next((name for name in _MOMENTS if name in frame.columns), None)
    return [None] * frame.height if name is None else [_read_moment(value) for value in frame[name]]


def _read_moment(value: Any) -> datetime | None:
    if isinstance(value, str):
        with suppress(ValueError):
            value = datetime.fromisoformat(value.replace("Z", "+00:00"))
    if not isinstance(value, datetime):
        return None
    return value if value.tzinfo else value.replace(tzinfo=timezone.utc)


# --- the two tables that the law counts -------------------------------------------------------


class Doors(NamedTuple):
    """raw_interactions and rejected_records of a partition, before or after; None where there is none."""

    raw: pl.DataFrame
    rejected: pl.DataFrame | None


def strip_door_tables(doors: Doors, erased: Erased, now: datetime) -> tuple[Doors, int]:
    """Both tables after an erasure: each of his documents has landed still, and is rejected as erased."""
    before = align_table_columns(doors.raw)
    raw = withhold_erased_rows(before, erased)
    is_new = (raw["reason"] == Reason.ERASED.value).fill_null(False) & before["reason"].ne_missing(Reason.ERASED.value)
    gone = raw.filter(is_new)
    if gone.is_empty():
        return doors, 0
    if doors.rejected is None:
        return Doors(raw, None), gone.height
    others = doors.rejected.join(gone, on=["source_uri", "source_line"], how="anti")
    told = gone.select(
        "source_uri",
        "source_line",
        "reason",
        "detail",
        "payload",
        stage=pl.lit(Reason.ERASED.stage),
        redrivable=pl.lit(False),
        rejected_at=pl.lit(now).cast(pl.Datetime("us", "UTC")),
    )
    rejected = pl.concat([others, told.select(pl.col(told.columns))], how="diagonal_relaxed").select(others.columns)
    return Doors(raw, rejected), gone.height


class Replaced(NamedTuple):
    """The ETag of a landing file before a marker was put into it, and after."""

    before: str
    after: str


def follow_new_versions(raw: pl.DataFrame, replaced: Mapping[str, Replaced]) -> pl.DataFrame:
    """The table with the ETags of landing files that were put anew, by uri: they are what was read, but for him.

    A row that was read from another version than the one that was replaced keeps its own: that one is still to be read.
    So is a file in which somebody erased lay unread: whether he does still, its next reading says.
    """
    if not replaced:
        return raw
    unread = set(raw.filter(pl.col("detail") == UNREAD_DETAIL)["source_uri"])
    rows = [(uri, *etags) for uri, etags in replaced.items() if uri not in unread]
    schema = ("source_uri", "source_etag", "new_etag")
    versions = pl.DataFrame(rows, schema=dict.fromkeys(schema, pl.String()), orient="row")
    joined = raw.join(versions, on=schema[:2], how="left", maintain_order="left")
    return joined.with_columns(source_etag=pl.coalesce("new_etag", "source_etag")).select(raw.columns)


# --- lines and JSON ---------------------------------------------------------------------------


def strip_ledger_lines(body: bytes, subject: Subject, *, is_ledger: bool) -> Stripped | None:
    lines = body.splitlines()
    kept = strip_all_lines(lines, subject) if is_ledger else _strip_json_entries(lines, subject)
    if kept == lines:
        return None
    changed = len(set(lines) - set(kept))
    return Stripped(b"".join(line + b"\n" for line in kept) if kept else None, changed)


def _strip_json_entries(lines: Iterable[bytes], subject: Subject) -> list[bytes]:
    kept = []
    for line in lines:
        left = _strip_json_entry(line, subject) if subject.is_named_in(line) else line
        if left is not None:
            kept.append(left)
    return kept


def _strip_json_entry(line: bytes, subject: Subject) -> bytes | None:
    """A line that names him, without what is his; None for one that is about him, or cannot be read."""
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if _is_about_subject(entry, subject):
        return None
    pruned, removed = prune_json_value(entry, subject)
    return json.dumps(pruned).encode() if removed else line


def prune_json_value(value: Any, subject: Subject) -> tuple[Any, int]:
    """A JSON value without the entries and items that name him, and how many those were."""
    if isinstance(value, dict):
        return _prune_json_object(value, subject)
    if isinstance(value, list):
        kept, removed = [], 0
        for item in value:
            if _is_about_subject(item, subject):
                removed += 1
                continue
            pruned, inside = prune_json_value(item, subject)
            kept.append(pruned)
            removed += inside
        return kept, removed
    return (None, 1) if _is_subject_name(value, subject) else (value, 0)


def _prune_json_object(value: dict[str, Any], subject: Subject) -> tuple[dict[str, Any], int]:
    kept, removed = {}, 0
    for name, item in value.items():
        if _is_subject_name(name, subject) or _is_about_subject(item, subject):
            removed += 1
            continue
        kept[name], inside = prune_json_value(item, subject)
        removed += inside
    return kept, removed


def _is_about_subject(item: Any, subject: Subject) -> bool:
    """Whether a whole entry is his: it is his name, or an object that gives it as one of its values."""
    if isinstance(item, dict):
        return any(_is_subject_name(each, subject) for each in item.values())
    return _is_subject_name(item, subject)


def _is_subject_name(value: Any, subject: Subject) -> bool:
    return isinstance(value, str) and (
        subject.covers_interaction(value) or is_same_customer(value, subject.customer_id)
    )
