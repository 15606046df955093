"""What came of a fault storm, counted from the landed bytes, the tables and the online store's own database.

The product's reader, its checks and what its runs say of themselves are not asked.
"""

import json
import sqlite3
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cs_features.local.bench.deliveries import BROKEN
from cs_features.local.bench.endpoint import Endpoint
from cs_features.partitions import Partition
from cs_features.schemas import SCORES, Reason
from cs_features.storage import Tables

GROUP = "cs-interaction-features"


@dataclass
class Tally:
    """One partition, counted from its landed bytes and its tables."""

    documents: int
    duplicates: int
    lost: int
    doubled: int
    untyped: int
    holds: bool
    reasons: Counter[str]
    validated: list[dict[str, Any]]


def tally_of(service: Endpoint, partition: Partition) -> Tally:
    s3, tables = service.s3_client(), service.open_tables()
    validated = _read_rows(tables, "validated_features", partition)
    rejected = _read_rows(tables, "rejected_records", partition)
    # Which document stands at each place; the same content under the same id is the same document.
    content_at = dict(_landed_documents(s3, partition))
    by_row = {content[:2]: content for content in content_at.values() if len(content) == 3}
    doors = Counter(content_at.get((row["source_uri"], row["source_line"]), "none") for row in rejected)
    # A broken document's customer stands for no document: if it were validated, that is one row too many.
    doors.update(by_row.get((row["interaction_id"], row["customer_id"]), "none") for row in validated)
    contents = set(content_at.values())
    duplicates = len(content_at) - len(contents)
    return Tally(
        documents=len(content_at),
        duplicates=duplicates,
        lost=sum(doors[content] == 0 for content in contents),
        doubled=sum(count - (content != "none") for content, count in doors.items() if count),
        untyped=sum(not _has_typed_reason(row) for row in rejected),
        holds=len(content_at) == len(validated) + len(rejected) + duplicates,
        reasons=Counter(row["reason"] for row in rejected),
        validated=validated,
    )


def _read_rows(tables: Tables, table: str, partition: Partition) -> list[dict[str, Any]]:
    frame = tables.read(table, partition)
    return [] if frame is None else frame.to_dicts()


def _has_typed_reason(row: dict[str, Any]) -> bool:
    known = {reason.value: reason for reason in Reason}.get(row["reason"])
    return known is not None and known.stage == row["stage"] and bool(row["detail"])


Content = tuple[Any, ...]


def _landed_documents(s3: Any, partition: Partition) -> Iterator[tuple[tuple[str, int], Content]]:
    """((uri, line), what the document is): (id, customer, content), or its place when it has no id."""
    pages = s3.get_paginator("list_objects_v2").paginate(
        Bucket="cs-landing", Prefix=f"interactions/{partition.folder}/"
    )
    for key in [item["Key"] for page in pages for item in page.get("Contents", []) if item["Size"]]:
        if key.rsplit("/", 1)[-1].startswith(("_", ".")):
            continue
        body = s3.get_object(Bucket="cs-landing", Key=key)["Body"].read()
        uri = f"s3://cs-landing/{key}"
        for line, text in _split_texts(key, body):
            yield (uri, line), _content_of(text) or (uri, line)


def _content_of(text: bytes | None) -> Content | None:
    try:
        found = json.loads(text or b"")
    except ValueError:
        return None
    if not isinstance(found, dict) or "interaction_id" not in found:
        return None
    customer = None if found["customer_id"] == BROKEN else found["customer_id"]
    return found["interaction_id"], customer, json.dumps(found, sort_keys=True)


def _split_texts(key: str, body: bytes) -> list[tuple[int, bytes | None]]:
    """(line, document) of a file; None for what cannot be had out of it."""
    if key.endswith(".json"):
        return [(1, body)]
    cut = False
    if key.endswith(".gz"):
        unzip = zlib.decompressobj(31)
        try:
            body = unzip.decompress(body)
        except zlib.error:
            return [(1, None)]
        cut = not unzip.eof
    elif not key.endswith(".jsonl"):
        return [(1, None)]
    *whole, last = enumerate(body.split(b"\n"), start=1)
    found: list[tuple[int, bytes | None]] = [(line, text) for line, text in whole if text.strip()]
    if cut:
        found.append((last[0], None))
    elif last[1].strip():
        found.append(last)
    return found


def online_differences(service: Endpoint, tallies: list[Tally]) -> int:
    """Records that only one side has, or that differ in a value, as the online store's database holds them."""
    expected = {row["interaction_id"]: row for tally in tallies for row in tally.validated}
    path = service.folder / "state" / "feature_store.sqlite"
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        query = "SELECT identifier, record FROM online WHERE feature_group = ? AND record IS NOT NULL"
        online = {key: json.loads(record) for key, record in database.execute(query, (GROUP,))}
    differing = sum(not _has_same_values(expected[key], online[key]) for key in expected.keys() & online.keys())
    return len(expected.keys() ^ online.keys()) + differing


def _has_same_values(row: dict[str, Any], record: dict[str, str]) -> bool:
    """Whether a record has each value of a row, and no more."""
    values: dict[str, Any] = dict(record)
    for name in values.keys() & set(SCORES):
        values[name] = float(values[name])
    if "event_time" in values:
        values["event_time"] = datetime.fromisoformat(values["event_time"].replace("Z", "+00:00"))
    return values == {name: value for name, value in row.items() if value is not None}
