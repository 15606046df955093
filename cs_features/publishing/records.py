"""The calls to the Feature Store's runtime: records read, written and taken out, each brought to an end by retries.

Here: batches, what comes back undone, and the two stores' rules about event times. Not here: which records, and in
what order (`plan.py`, `publisher.py`).
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import islice
from typing import Any

from botocore.exceptions import ClientError

from cs_features.errors import PublishingFailed
from cs_features.partitions import Partition
from cs_features.publishing.feature_group import (
    EVENT_TIME,
    INTERACTIONS,
    GroupLayout,
    Record,
    format_feature_value,
    get_record_feature,
    order_features,
)

READ_AT_ONCE = 100  # BatchGetRecord's limit
WRITTEN_AT_ONCE = 25  # BatchWriteRecord's limit
MAX_TRIES = 6
WORKERS = 8
UNPROCESSED = "Unprocessed"
# An entry's errors that say nothing about its record.
_PASSING = {UNPROCESSED, "InternalFailure", "ServiceUnavailable", "ThrottlingException", "InternalServerError"}


@dataclass(frozen=True)
class WriteResult:
    """What became of a batch: ids that were written, and the error code of each that was not."""

    written: list[str]
    refused: dict[str, str]


class RecordStore:
    """The records of one feature group; `runtime` is a client of sagemaker-featurestore-runtime."""

    def __init__(self, runtime: Any, group: str, layout: GroupLayout = INTERACTIONS) -> None:
        self.runtime = runtime
        self.group = group
        self.layout = layout

    def read_records(self, ids: list[str]) -> dict[str, Record]:
        """Up to 100 records that are online, by id; an id without one is left out.

        Raises:
            ClientError: when some cannot be read.
            PublishingFailed: when some could not be read after all tries.
        """
        found: dict[str, Record] = {}
        remaining = ids
        for attempt in range(MAX_TRIES):
            _wait(attempt)
            wanted = {"FeatureGroupName": self.group, "RecordIdentifiersValueAsString": remaining}
            response = self.runtime.batch_get_record(Identifiers=[wanted])
            self._require_answer(response, "Records", "Errors", "UnprocessedIdentifiers")
            for item in response["Records"]:
                found[item["RecordIdentifierValueAsString"]] = order_features(item["Record"], self.layout)
            _raise_lasting_error(response["Errors"])
            remaining = [item["RecordIdentifierValueAsString"] for item in response["Errors"]]
            for item in response["UnprocessedIdentifiers"]:
                remaining += item["RecordIdentifiersValueAsString"]
            if not remaining:
                return found
        raise PublishingFailed(
            f"{len(remaining)} records of {self.group} could not be read. Run {self.layout.asset} again"
        )

    def write_records(self, records: Mapping[str, Record]) -> WriteResult:
        """Write up to 25 records, by id, to both stores.

        The online store keeps the older of two records with one event time: what is there is cleared before.
        The answer has no index: what came back is matched by the identifier in the echoed entry.
        """
        remaining = dict(records)
        written: list[str] = []
        refused: dict[str, str] = {}
        codes: dict[str, str] = {}
        for attempt in range(MAX_TRIES if remaining else 0):
            _wait(attempt)
            entries = [{"FeatureGroupName": self.group, "Record": record} for record in remaining.values()]
            response = self.runtime.batch_write_record(Entries=entries)
            self._require_answer(response, "Errors", "UnprocessedEntries")
            codes = _read_record_codes(response, self.layout.identifier)
            refused |= {key: code for key, code in codes.items() if code not in _PASSING}
            written += [key for key in remaining if key not in codes]
            remaining = {key: record for key, record in remaining.items() if key in codes and key not in refused}
            if not remaining:
                break
        return WriteResult(written, refused | {key: codes[key] for key in remaining})

    def clear_online_records(
        self, event_times: Mapping[str, str], may_replace: Callable[[str, Record], bool] = lambda key, record: True
    ) -> frozenset[str]:
        """Take up to 100 records out of the online store, to make room for others; `event_times` are the latest that
        this partition gave each, empty when it gave none. The offline store is told nothing.

        Returns the ids of which a record is served that may not be replaced: those are left as they are.
        """
        served = self.read_records(list(event_times))
        others = frozenset(key for key, record in served.items() if not may_replace(key, record))
        for key, event_time in event_times.items():
            if key in others:
                continue
            latest = max(event_time, _get_event_time(served.get(key)))
            if latest:
                self._delete_online_record(key, latest)
        return others

    def withdraw_records(
        self, event_times: Mapping[str, str], is_own: Callable[[Record], bool] = lambda record: True
    ) -> list[str]:
        """Take up to 25 records out of both stores; `event_times` are the latest that whoever withdraws gave each.

        Returns the ids of which a record is online that is not his by now: those are left alone for good.
        """
        served = self.read_records(list(event_times))
        handed_over = []
        for key, event_time in event_times.items():
            record = served.get(key)
            if record is not None and not is_own(record):
                handed_over.append(key)
                continue
            latest = max(event_time, _get_event_time(record))
            self._delete_online_record(key, latest)
            # No later event time than the record's own, which would outrank a successor: of rows of one event
            # time the offline store's readers take the one that was written last.
            self._delete(key, latest, DeletionMode="SoftDelete", TargetStores=["OfflineStore"])
        return handed_over

    def _require_answer(self, response: dict[str, Any], *parts: str) -> None:
        """A body that never came, and a proxy's, look like an answer that lacks everything."""
        if any(part not in response for part in parts):
            raise PublishingFailed(f"{self.group}: 200 without an answer of AWS. Run {self.layout.asset} again")

    def _delete_online_record(self, key: str, latest: str) -> None:
        """A hard delete is refused unless its event time is later than the record's."""
        moment = datetime.fromisoformat(latest.replace("Z", "+00:00")) + timedelta(milliseconds=1)
        self._delete(key, format_feature_value(moment), DeletionMode="HardDelete", TargetStores=["OnlineStore"])

    def _delete(self, key: str, event_time: str, **how: Any) -> None:
        self.runtime.delete_record(
            FeatureGroupName=self.group, RecordIdentifierValueAsString=key, EventTime=event_time, **how
        )


def read_online_records(ids: list[str], partition: Partition, records: RecordStore) -> dict[str, Record | None]:
    """What the online store serves of `ids`; None for those of which it serves nothing of `partition`.

    Raises:
        ClientError: when some cannot be read.
        PublishingFailed: when some could not be read after all tries.
    """
    served: dict[str, Record | None] = dict.fromkeys(ids)
    with ThreadPoolExecutor(WORKERS, thread_name_prefix="feature-store") as pool:
        for found in pool.map(records.read_records, split_record_batches(ids, READ_AT_ONCE)):
            served |= {key: record for key, record in found.items() if identify_record_partition(record) == partition}
    return served


def identify_record_partition(record: Record) -> Partition | None:
    """The partition that an online record is of; None for a record that no partition of ours can have written."""
    values = {pair["FeatureName"]: pair["ValueAsString"] for pair in record}
    try:
        return Partition(values["country"], date.fromisoformat(values[EVENT_TIME][:10]))
    except (KeyError, ValueError):
        return None


def is_of_partition(partition: Partition) -> Callable[[Record], bool]:
    """What tells a partition's own records from others'."""
    return lambda record: identify_record_partition(record) == partition


def split_record_batches(ids: Iterable[str], size: int) -> Iterator[list[str]]:
    remaining = iter(ids)
    while batch := list(islice(remaining, size)):
        yield batch


def _get_event_time(record: Record | None) -> str:
    return "" if record is None else get_record_feature(record, EVENT_TIME)


def _read_record_codes(response: dict[str, Any], identifier: str) -> dict[str, str]:
    """The error code of each record that BatchWriteRecord did not write, by id."""
    unprocessed = {
        get_record_feature(item["Record"], identifier): UNPROCESSED for item in response["UnprocessedEntries"]
    }
    errors = {get_record_feature(item["Entry"]["Record"], identifier): item["ErrorCode"] for item in response["Errors"]}
    return unprocessed | errors


def _raise_lasting_error(errors: list[dict[str, str]]) -> None:
    for item in errors:
        if item["ErrorCode"] not in _PASSING:
            error = {"Code": item["ErrorCode"], "Message": item["ErrorMessage"]}
            raise ClientError({"Error": error}, "BatchGetRecord")


def _wait(attempt: int) -> None:
    if attempt:
        time.sleep(min(0.1 * 2**attempt, 2.0))
