"""Where an interaction is and why: a walk through every table, the ledger and the store. Told without its text.

Reads the data bucket and the feature group, changes nothing. Partitions are found by the ids that each keeps; where an
interaction is of no partition, that is the answer. Not here: printing (`cli/why.py`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from cs_features.errors import CsFeaturesError
from cs_features.partitions import Partition
from cs_features.publishing.feature_group import get_record_feature
from cs_features.publishing.manifest import list_entries, read_manifest
from cs_features.publishing.records import RecordStore
from cs_features.schemas import Reason
from cs_features.services import Services
from cs_features.storage import Tables

_NOTHING = ("no record of it is served", "(or its id cannot be read)")
_MEANINGS = {reason.value: reason.meaning for reason in Reason}


@dataclass(frozen=True)
class Trace:
    """What one place says of an interaction."""

    place: str
    sentence: str


def find_interaction_partitions(tables: Tables, interaction_id: str, hint: Partition | None = None) -> list[Partition]:
    """The partitions that have a row of it; with a hint only that one is looked at."""
    candidates = [hint] if hint is not None else tables.partitions("raw_interactions")
    return [each for each in candidates if _has_interaction_row(tables, "raw_interactions", each, interaction_id)]


def trace_interaction_everywhere(
    services: Services, interaction_id: str, hint: Partition | None = None
) -> Iterator[Trace]:
    """From the landing folder to the store, in the order of the flow."""
    tables = services.data.tables()
    partitions = find_interaction_partitions(tables, interaction_id, hint)
    if not partitions:
        yield Trace("raw_interactions", "no document with this id has ever been read (or its id cannot be read)")
    for partition in partitions:
        yield from trace_in_partition(services, partition, interaction_id)
    yield trace_online_record(services, interaction_id)


def trace_in_partition(services: Services, partition: Partition, interaction_id: str) -> Iterator[Trace]:
    tables = services.data.tables()
    for row in _read_rows(tables, "raw_interactions", partition, interaction_id):
        yield Trace(f"raw_interactions of {partition}", describe_traced_document(row))
    for row in _read_rows(tables, "llm_extractions", partition, interaction_id):
        yield Trace(f"llm_extractions of {partition}", describe_ledger_answer(row))
        yield trace_in_ledger(services, partition, row["request_hash"])
    for row in _read_rows(tables, "validated_features", partition, interaction_id):
        made_by = f"{row['model_id']}, prompt {row['prompt_version']}"
        yield Trace(f"validated_features of {partition}", f"validated; made by {made_by}")
    for row in _read_rows(tables, "rejected_records", partition, interaction_id):
        yield Trace(f"rejected_records of {partition}", describe_traced_reject(row))
    yield from trace_in_manifest(tables, partition, interaction_id)


def describe_traced_document(row: dict[str, Any]) -> str:
    place = f"{row['source_uri']} line {row['source_line']}, landed {row['landed_at']:%Y-%m-%d %H:%M} UTC"
    if row["reason"] is None:
        return f"{row['status']}: {place}"
    return f"{row['status']}, {row['reason']} ({_MEANINGS.get(row['reason'], 'unknown')}): {place}"


def describe_ledger_answer(row: dict[str, Any]) -> str:
    made_by = f"{row['model_id']}, prompt {row['prompt_version']}, {row['attempts']} calls, ${row['cost_usd']:.6f}"
    if row["error"] is None:
        return f"{row['status']}: {made_by}"
    return f"{row['status']}, {row['error']} ({_MEANINGS.get(row['error'], 'unknown')}): {made_by}"


def describe_traced_reject(row: dict[str, Any]) -> str:
    again = "redrive_rejected asks again" if row["redrivable"] else "asking again cannot help"
    return f"rejected at {row['stage']}, {row['reason']} ({_MEANINGS.get(row['reason'], 'unknown')}); {again}"


def trace_in_ledger(services: Services, partition: Partition, request_hash: str) -> Trace:
    outcome = services.data.ledger(partition.folder).read_outcomes().get(request_hash)
    place = f"ledger of {partition}"
    if outcome is None:
        return Trace(place, "no answer is kept: a rerun asks again")
    kept = "an answer is kept" if outcome.answered else f"a failure is kept ({outcome.error})"
    return Trace(place, f"{kept} under {request_hash[:12]}: a rerun asks nothing")


def trace_in_manifest(tables: Tables, partition: Partition, interaction_id: str) -> Iterator[Trace]:
    entry = list_entries(read_manifest(tables, partition)).get(interaction_id)
    place = f"feature_store of {partition}"
    if entry is None:
        yield Trace(place, "no record of it is served")
    elif entry.is_being_withdrawn:
        yield Trace(place, "a withdrawal has begun and not ended: the next run of the partition ends it")
    elif not entry.is_finished:
        yield Trace(place, "a write has begun and not ended: the next run of the partition ends it")
    else:
        yield Trace(place, f"written {entry.written_at:%Y-%m-%d %H:%M} UTC, event time {entry.event_time}")


def trace_online_record(services: Services, interaction_id: str) -> Trace:
    """What the store itself serves; a store that cannot be asked is unknown, and no reason to stop."""
    place = f"online store {services.feature_group.name}"
    try:
        found = RecordStore(services.feature_group.runtime(), services.feature_group.name).read_records(
            [interaction_id]
        )
    except CsFeaturesError as error:
        return Trace(place, f"unknown: {error}")
    record = found.get(interaction_id)
    if record is None:
        return Trace(place, "no record of it is served")
    country, event_time = get_record_feature(record, "country"), get_record_feature(record, "event_time")
    return Trace(place, f"a record is served, of {country}, event time {event_time}")


def conclude(traces: Sequence[Trace]) -> str:
    """The answer in one sentence: the last place that it came to."""
    if traces and traces[-1].sentence.startswith("a record is served"):
        return "It is served."
    held = [trace for trace in traces if not trace.sentence.endswith(_NOTHING)]
    if not held:
        return "It is not served, and nothing is known of it."
    return f"It is not served; the last that is known: {held[-1].place}: {held[-1].sentence}."


def _has_interaction_row(tables: Tables, table: str, partition: Partition, interaction_id: str) -> bool:
    return bool(_read_rows(tables, table, partition, interaction_id))


def _read_rows(tables: Tables, table: str, partition: Partition, interaction_id: str) -> list[dict[str, Any]]:
    frame = tables.read(table, partition)
    if frame is None:
        return []
    has_id = pl.col("interaction_id") == interaction_id
    if "document_id" in frame.columns:  # a rejected document keeps the id that it states
        has_id |= pl.col("document_id") == interaction_id
    return frame.filter(has_id.fill_null(False)).to_dicts()
