"""The SageMaker feature group: what its features are, and writing exactly the validated rows, once.

A manifest says what was written, with a hash of each record, so that only changes are written again.
It is saved while the writing goes, and a killed publisher loses no more than the last few calls. No
row is judged here. No Dagster.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timezone
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

    manifest: pl.DataFrame
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

    New rows are written; rows with other content replace theirs; rows that are gone are deleted. A
    replaced record is deleted first, because the event time does not change with the content and the
    online store keeps the older of two records with the same event time.

    Raises:
        PublishingFailed: when records were refused or left unprocessed after all tries.
    """

    def delete(key: str) -> str:
        _delete(runtime, group, key, known[key]["event_time"])
        return key

    def write(keys: list[str]) -> tuple[list[str], list[tuple[str, str]]]:
        return _write(runtime, group, [records[key] for key in keys])

    known = {row["interaction_id"]: row for row in (manifest.to_dicts() if manifest is not None else [])}
    records = {row["interaction_id"]: record_of(row) for row in validated.iter_rows(named=True)}
    hashes = {key: content_hash(record) for key, record in records.items()}
    stale = {key: None for key, entry in known.items() if hashes.get(key) != entry["content_hash"]}
    changed = [key for key in records if key not in known or key in stale]

    result = Published(pl.DataFrame(schema=MANIFEST_SCHEMA), unchanged=len(records) - len(changed))

    def saved() -> None:
        result.manifest = pl.DataFrame(list(known.values()), schema=MANIFEST_SCHEMA).sort("interaction_id")
        save(result.manifest)

    with explained(f"Feature group {group}", "CS_FEATURES_FEATURE_GROUP"):
        with ThreadPoolExecutor(WRITERS, thread_name_prefix="feature-store") as pool:
            try:
                for key in pool.map(delete, stale):
                    del known[key]
                    result.deleted += key not in records
                for number, (done, refused) in enumerate(pool.map(write, _batches(changed)), start=1):
                    now = datetime.now(timezone.utc)
                    for key in done:
                        known[key] = {
                            "interaction_id": key,
                            "event_time": value_of(records[key], EVENT_TIME),
                            "content_hash": hashes[key],
                            "written_at": now,
                        }
                    result.written += len(done)
                    result.refused += refused
                    if number % SAVE_EVERY == 0:
                        saved()
            finally:
                saved()
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


def _delete(runtime: Any, group: str, key: str, event_time: str) -> None:
    runtime.delete_record(
        FeatureGroupName=group,
        RecordIdentifierValueAsString=key,
        EventTime=event_time,
        DeletionMode="HardDelete",
    )


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
        response = runtime.batch_write_record(
            Entries=[{"FeatureGroupName": group, "Record": record} for record in todo.values()]
        )
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
