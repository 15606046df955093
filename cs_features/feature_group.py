"""The SageMaker feature group: what its features are, and writing exactly the validated rows, once.

A manifest says what was written, with a hash of each record, so that only changes are written again.
A killed publisher is followed by one that redoes what the manifest marks as unfinished. No row is
judged here. No Dagster.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from itertools import islice
from typing import Any

import polars as pl

from cs_features.aws import AwsRefusal, explained
from cs_features.hashing import content_hash
from cs_features.validation import FEATURE_COLUMNS

IDENTIFIER, EVENT_TIME = "interaction_id", "event_time"
FRACTIONAL = ("urgency_score", "csat_indicator")
BATCH = 25  # BatchWriteRecord's limit
WRITERS = 8
SAVE_EVERY = 40  # batches between two saves of the manifest
MAX_TRIES = 6
UNFINISHED = ""  # the content hash of a record that a publisher was about to change

MANIFEST_SCHEMA = pl.Schema(
    {
        "interaction_id": pl.String(),
        "event_time": pl.String(),
        "content_hash": pl.String(),
        "written_at": pl.Datetime("us", "UTC"),
    }
)

Record = list[dict[str, str]]


def feature_definitions() -> list[dict[str, str]]:
    """CreateFeatureGroup's `FeatureDefinitions`, in the order of the table's columns."""
    return [
        {"FeatureName": name, "FeatureType": "Fractional" if name in FRACTIONAL else "String"}
        for name in FEATURE_COLUMNS
    ]


def record_of(row: dict[str, Any]) -> Record:
    """One validated row as a feature store record; a null feature is left out."""
    return [
        {"FeatureName": name, "ValueAsString": _as_text(row[name])} for name in FEATURE_COLUMNS if row[name] is not None
    ]


def _as_text(value: Any) -> str:
    if isinstance(value, datetime):
        return value.astimezone(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    # The API's pattern for values is `.*`, in which a line break does not match.
    return " ".join(value.splitlines()) if isinstance(value, str) else repr(value)


def value_of(record: Record, feature: str) -> str:
    return next(pair["ValueAsString"] for pair in record if pair["FeatureName"] == feature)


@dataclass
class Published:
    """What one publication did."""

    manifest: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=MANIFEST_SCHEMA))
    written: int = 0
    deleted: int = 0
    unchanged: int = 0
    refused: list[tuple[str, str]] = field(default_factory=list)  # (interaction_id, error code)


class PublishingFailed(RuntimeError):
    """Some records could not be written; the others were, and the manifest knows which."""


def require_group(sagemaker: Any, group: str) -> None:
    """Compare the group with our features.

    Raises:
        AwsRefusal: when it does not exist, or lacks or types a feature differently, with what to do.
    """
    with explained(f"Feature group {group}", "CS_FEATURES_FEATURE_GROUP"):
        found = sagemaker.describe_feature_group(FeatureGroupName=group)
    types = {item["FeatureName"]: item["FeatureType"] for item in found["FeatureDefinitions"]}
    ours = {item["FeatureName"]: item["FeatureType"] for item in feature_definitions()}
    missing = [name for name in ours if name not in types]
    differing = [f"{name} is {types[name]}, not {kind}" for name, kind in ours.items() if types.get(name, kind) != kind]
    if missing:
        raise AwsRefusal(f"Feature group {group} lacks {', '.join(missing)}: add them with UpdateFeatureGroup")
    if differing:
        raise AwsRefusal(
            f"Feature group {group} differs: {'; '.join(differing)}. A feature's type cannot be changed: "
            "create a new group and set CS_FEATURES_FEATURE_GROUP"
        )


def publish(
    validated: pl.DataFrame,
    manifest: pl.DataFrame | None,
    runtime: Any,
    group: str,
    save: Callable[[pl.DataFrame], object],
) -> Published:
    """Bring the group from what `manifest` says to what `validated` holds.

    New rows are written, rows with other content replace theirs, rows that are gone are deleted, and
    what is there already is not touched. What is about to change is marked in the manifest before the
    first call, so that a publisher killed at any point is followed by one that knows what to redo.

    Raises:
        PublishingFailed: when records were refused or left unprocessed after all tries.
    """
    known = {row["interaction_id"]: row for row in (manifest.to_dicts() if manifest is not None else [])}
    records = {row["interaction_id"]: record_of(row) for row in validated.iter_rows(named=True)}
    hashes = {key: content_hash(record) for key, record in records.items()}
    stale = {key: entry["event_time"] for key, entry in known.items() if entry["content_hash"] != hashes.get(key)}
    changed = [key for key in records if key not in known or key in stale]

    def entry(key: str, content: str) -> dict[str, Any]:
        return {
            "interaction_id": key,
            # Of an unfinished change, the later time: whichever record is online, it can be deleted.
            "event_time": max(value_of(records[key], EVENT_TIME) if key in records else "", stale.get(key, ""))
            if content == UNFINISHED
            else value_of(records[key], EVENT_TIME),
            "content_hash": content,
            "written_at": datetime.now(timezone.utc),
        }

    def saved() -> pl.DataFrame:
        frame = pl.DataFrame(list(known.values()), schema=MANIFEST_SCHEMA).sort("interaction_id")
        save(frame)
        return frame

    result = Published(unchanged=len(records) - len(changed))
    if changed or stale:
        known.update({key: entry(key, UNFINISHED) for key in [*stale, *changed]})
        saved()
    with (
        explained(f"Feature group {group}", "CS_FEATURES_FEATURE_GROUP"),
        ThreadPoolExecutor(WRITERS, thread_name_prefix="feature-store") as pool,
    ):
        try:
            for key in pool.map(lambda key: _remove(runtime, group, key, stale[key], key not in records), stale):
                if key not in records:
                    del known[key]
                    result.deleted += 1
            batches = pool.map(lambda keys: _write(runtime, group, [records[key] for key in keys]), _batches(changed))
            for number, (done, refused) in enumerate(batches, start=1):
                known.update({key: entry(key, hashes[key]) for key in done})
                result.written += len(done)
                result.refused += refused
                if number % SAVE_EVERY == 0:
                    saved()
        finally:
            result.manifest = saved()
    if result.refused:
        codes = ", ".join(sorted({code for _, code in result.refused}))
        raise PublishingFailed(
            f"{len(result.refused)} of {len(changed)} records were not written to {group} ({codes}), the first "
            f"{result.refused[0][0]}; the others were. Run feature_store again for this partition"
        )
    return result


def _batches(keys: Sequence[str]) -> Iterator[list[str]]:
    remaining = iter(keys)
    while batch := list(islice(remaining, BATCH)):
        yield batch


def _remove(runtime: Any, group: str, key: str, event_time: str, for_good: bool) -> str:
    """Take a record out of the online store; `for_good`, tell the offline store as well.

    A hard delete is refused unless its event time is later than the record's, and the online store
    keeps the older of two records with one event time: so the record goes before its successor comes.
    The offline store gets no tombstone with a later event time, which would outrank that successor;
    there, rows of one event time are told apart by when they were written.
    """
    a_moment_later = _as_text(datetime.fromisoformat(event_time.replace("Z", "+00:00")) + timedelta(milliseconds=1))
    record = {"FeatureGroupName": group, "RecordIdentifierValueAsString": key}
    runtime.delete_record(**record, EventTime=a_moment_later, DeletionMode="HardDelete", TargetStores=["OnlineStore"])
    if for_good:
        runtime.delete_record(**record, EventTime=event_time, DeletionMode="SoftDelete", TargetStores=["OfflineStore"])
    return key


# Entry errors that say nothing about the record itself.
_PASSING = {"InternalFailure", "ServiceUnavailable", "ThrottlingException", "InternalServerError"}


def _write(runtime: Any, group: str, records: list[Record]) -> tuple[list[str], list[tuple[str, str]]]:
    """Write up to 25 records; returns (ids written, (id, error code) of those that were not).

    The answer has no index: what came back is matched by the identifier in the echoed entry.
    """
    todo = {value_of(record, IDENTIFIER): record for record in records}
    done: list[str] = []
    refused: list[tuple[str, str]] = []
    codes: dict[str, str] = {}
    for attempt in range(MAX_TRIES):
        if attempt:
            time.sleep(min(0.1 * 2**attempt, 2.0))
        entries = [{"FeatureGroupName": group, "Record": record} for record in todo.values()]
        response = runtime.batch_write_record(Entries=entries)
        errors = {value_of(item["Entry"]["Record"], IDENTIFIER): item["ErrorCode"] for item in response["Errors"]}
        unprocessed = {value_of(item["Record"], IDENTIFIER) for item in response["UnprocessedEntries"]}
        refused += [(key, code) for key, code in errors.items() if code not in _PASSING]
        again = unprocessed | {key for key, code in errors.items() if code in _PASSING}
        codes.update(dict.fromkeys(unprocessed, "Unprocessed"), **errors)
        done += [key for key in todo if key not in again and key not in errors]
        todo = {key: todo[key] for key in todo if key in again}
        if not todo:
            return done, refused
    return done, refused + [(key, codes[key]) for key in todo]
