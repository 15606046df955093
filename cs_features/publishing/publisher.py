"""Writing exactly the validated rows to the feature group, once.

A manifest says what was written, with a hash of each record, so that only changes are written again.
A killed publisher is followed by one that redoes what the manifest marks as unfinished. An id may pass
from one partition to another: the record that is online says whose it is. No row is judged here.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from itertools import islice
from typing import Any

import polars as pl
from botocore.exceptions import ClientError

from cs_features.aws import explained
from cs_features.errors import PublishingFailed
from cs_features.hashing import content_hash
from cs_features.publishing.feature_group import EVENT_TIME, IDENTIFIER, Record, as_text, record_of, value_of
from cs_features.publishing.manifest import MANIFEST_SCHEMA, UNFINISHED

BATCH = 25  # BatchWriteRecord's limit
WRITERS = 8
SAVE_EVERY = 40  # batches between two saves of the manifest
MAX_TRIES = 6


@dataclass
class Published:
    """What one publication did."""

    manifest: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=MANIFEST_SCHEMA))
    written: int = 0
    deleted: int = 0
    left: int = 0  # rows that are gone from here, and whose id another partition serves by now
    unchanged: int = 0
    refused: list[tuple[str, str]] = field(default_factory=list)  # (interaction_id, error code)


def publish(
    validated: pl.DataFrame,
    manifest: pl.DataFrame | None,
    runtime: Any,
    group: str,
    save: Callable[[pl.DataFrame], object],
    *,
    country: str,
    day: date,
    disturbed: Mapping[str, datetime],
    withdraw: Callable[[list[str]], object],
) -> Published:
    """Bring the group from what `manifest` says to what `validated` holds, the rows of `country` on `day` (UTC).

    New rows are written, rows with other content replace theirs, rows that are gone are deleted, and
    what is there already is not touched. What is about to change is marked in the manifest before the
    first call, so that a publisher killed at any point is followed by one that knows what to redo.

    A row replaces a record that another partition has online under its id, and a row that is gone takes
    no other partition's record with it. `withdraw` is told the ids that are gone, before the manifest
    forgets them; what others withdrew, `disturbed` says with when, is written again if it is older.

    Raises:
        PublishingFailed: when records were refused, or left unprocessed or unread after all tries.
    """
    began, home = datetime.now(timezone.utc), (country, day.isoformat())
    known = {row["interaction_id"]: row for row in (manifest.to_dicts() if manifest is not None else [])}
    records = {row["interaction_id"]: record_of(row) for row in validated.iter_rows(named=True)}
    hashes = {key: content_hash(record) for key, record in records.items()}
    stale = {
        key: entry["event_time"]
        for key, entry in known.items()
        if entry["content_hash"] != hashes.get(key) or (key in disturbed and entry["written_at"] <= disturbed[key])
    }
    gone = [key for key in stale if key not in records]
    changed = [key for key in records if key not in known or key in stale]

    def entry(key: str, content: str) -> dict[str, Any]:
        return {
            "interaction_id": key,
            # Of an unfinished change, the later time: whichever record is online, it can be deleted.
            "event_time": max(value_of(records[key], EVENT_TIME) if key in records else "", stale.get(key, ""))
            if content == UNFINISHED
            else value_of(records[key], EVENT_TIME),
            "content_hash": content,
            "written_at": began,
        }

    def saved() -> pl.DataFrame:
        frame = pl.DataFrame(list(known.values()), schema=MANIFEST_SCHEMA).sort("interaction_id")
        save(frame)
        return frame

    def clear(keys: list[str], for_good: bool) -> list[str]:
        return _clear(runtime, group, {key: stale.get(key, "") for key in keys}, home, for_good)

    def replace(keys: list[str]) -> tuple[list[str], list[tuple[str, str]]]:
        clear(keys, for_good=False)
        return _write(runtime, group, [records[key] for key in keys])

    result = Published(unchanged=len(records) - len(changed))
    if changed or gone:
        known.update({key: entry(key, UNFINISHED) for key in [*gone, *changed]})
        saved()
    with (
        explained(f"Feature group {group}", "CS_FEATURES_FEATURE_GROUP"),
        ThreadPoolExecutor(WRITERS, thread_name_prefix="feature-store") as pool,
    ):
        try:
            for left in pool.map(lambda keys: clear(keys, for_good=True), _batches(gone)):
                result.left += len(left)
            if gone:
                withdraw(gone)
            for key in gone:
                del known[key]
            result.deleted = len(gone) - result.left
            for number, (done, refused) in enumerate(pool.map(replace, _batches(changed)), start=1):
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


def _batches(keys: Iterable[str]) -> Iterator[list[str]]:
    remaining = iter(keys)
    while batch := list(islice(remaining, BATCH)):
        yield batch


def _clear(
    runtime: Any, group: str, event_times: Mapping[str, str], home: tuple[str, str], for_good: bool
) -> list[str]:
    """Take up to 25 records out of the online store; `for_good`, tell the offline store as well.

    `event_times` are the latest that this partition, `home`, gave each record; empty when it gave none.
    Returns the ids that another partition serves by now, and that are left to it for good.

    A hard delete is refused unless its event time is later than the record's, and the online store
    keeps the older of two records with one event time: so the record goes before its successor comes.
    The offline store gets no tombstone with a later event time, which would outrank that successor;
    there, rows of one event time are told apart by when they were written.
    """
    served, left = _served(runtime, group, list(event_times)), []
    for key, event_time in event_times.items():
        country, online_time = served.get(key, ("", ""))
        if for_good and key in served and (country, online_time[:10]) != home:
            left.append(key)
        elif latest := max(event_time, online_time):
            record = {"FeatureGroupName": group, "RecordIdentifierValueAsString": key}
            later = as_text(datetime.fromisoformat(latest.replace("Z", "+00:00")) + timedelta(milliseconds=1))
            runtime.delete_record(**record, EventTime=later, DeletionMode="HardDelete", TargetStores=["OnlineStore"])
            if for_good:
                runtime.delete_record(
                    **record, EventTime=latest, DeletionMode="SoftDelete", TargetStores=["OfflineStore"]
                )
    return left


def _served(runtime: Any, group: str, keys: list[str]) -> dict[str, tuple[str, str]]:
    """(country, event time) of the records that are online, by id.

    Raises:
        ClientError: when some cannot be read.
        PublishingFailed: when some could not be read after all tries.
    """
    found: dict[str, tuple[str, str]] = {}
    for attempt in range(MAX_TRIES):
        _wait(attempt)
        wanted = {"FeatureGroupName": group, "RecordIdentifiersValueAsString": keys}
        response = runtime.batch_get_record(Identifiers=[{**wanted, "FeatureNames": ["country", EVENT_TIME]}])
        for item in response["Records"]:
            record = {pair["FeatureName"]: pair["ValueAsString"] for pair in item["Record"]}
            found[item["RecordIdentifierValueAsString"]] = record.get("country", ""), record[EVENT_TIME]
        for item in response["Errors"]:
            if item["ErrorCode"] not in _PASSING:
                error = {"Code": item["ErrorCode"], "Message": item["ErrorMessage"]}
                raise ClientError({"Error": error}, "BatchGetRecord")
        keys = [item["RecordIdentifierValueAsString"] for item in response["Errors"]]
        keys += [key for item in response["UnprocessedIdentifiers"] for key in item["RecordIdentifiersValueAsString"]]
        if not keys:
            return found
    raise PublishingFailed(f"{len(keys)} records of {group} could not be read. Run feature_store again")


def _wait(attempt: int) -> None:
    if attempt:
        time.sleep(min(0.1 * 2**attempt, 2.0))


# An entry's errors that say nothing about its record.
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
        _wait(attempt)
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
