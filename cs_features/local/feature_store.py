"""SageMaker Feature Store's runtime on loopback, as real boto3 speaks it.

It stands in for PutRecord, BatchWriteRecord, GetRecord, BatchGetRecord and DeleteRecord with AWS's
documented semantics: the online store keeps the record with the latest event time, the offline store
keeps every accepted write. Feature groups come from the control plane by DescribeFeatureGroup.
UpdateRecord, ListRecords, collections and the InMemory tier are not here; signatures are not checked.

Here: the operations, injected faults, counters. Not here: HTTP (`feature_store_http.py`), what a valid record
is (`feature_group.py`), what the stores make of it (`online_store.py`, `offline_store.py`), the control plane
(`aws.py`).
"""

import logging
import random
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from traceback import format_tb
from typing import Any

import boto3
from botocore.config import Config
from typing_extensions import Self

from cs_features.local import offline_store, online_store
from cs_features.local.aws import CREDENTIALS, REGION
from cs_features.local.feature_group import (
    OFFLINE,
    ONLINE,
    FeatureGroup,
    FeatureGroups,
    FeatureStoreError,
    Record,
    invalid,
)

_log = logging.getLogger(__name__)

_FLUSH_SECONDS = 1.0  # AWS takes up to 15 minutes
_MAX_BATCH = {"BatchWriteRecord": 25, "BatchGetRecord": 100}

Body = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Faults:
    """What goes wrong on purpose; rates are shares in [0, 1].

    `error_rate`: whole requests that fail, with 503 ServiceUnavailable or 500 InternalFailure.
    `unprocessed_rate`: entries of a batch write that come back undone, in UnprocessedEntries or in
    Errors with InternalFailure.
    """

    error_rate: float = 0.0
    unprocessed_rate: float = 0.0
    seed: int = 0


class FeatureStore:
    """Both stores and the operations on them. A context manager: inside, rows are flushed to S3.

    `state` is the folder of the SQLite database, `None` to keep it in memory. Every operation is one
    transaction; what was answered survives the death of the process. `latency_s` is added to each call.
    """

    def __init__(
        self,
        state: Path | None,
        control_plane_url: str,
        *,
        faults: Faults | None = None,
        latency_s: float = 0.0,
    ) -> None:
        def client(service: str) -> Any:
            return boto3.client(
                service,
                endpoint_url=control_plane_url,
                region_name=REGION,
                config=Config(retries={"mode": "standard", "max_attempts": 5}, proxies={}),
                **CREDENTIALS,
            )

        self.latency_s = latency_s
        self._groups, self._s3 = FeatureGroups(client("sagemaker")), client("s3")
        self._faults = faults or Faults()
        self._chance = random.Random(self._faults.seed)
        self._counts: dict[str, Counter[str]] = {name: Counter() for name in ("calls", "errors", "records")}
        if state:
            state.mkdir(parents=True, exist_ok=True)
        # The connection is shared by the threads that answer; the lock keeps their transactions apart.
        self._lock = threading.Lock()
        self._database = sqlite3.connect(
            state / "feature_store.sqlite" if state else ":memory:",
            check_same_thread=False,
            isolation_level=None,
        )
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = NORMAL")
        self._database.execute(online_store.TABLE)
        self._database.execute(offline_store.TABLE)
        self._flushing = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep_flushing, name="feature-store-flush", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._database.close()

    def flush(self) -> None:
        """Write every waiting offline row to S3 now.

        Raises:
            ClientError, BotoCoreError: S3 did not take it; the rows wait for the next flush.
        """
        with self._flushing:
            with self._transaction():
                offline_store.assign(self._database)
            offline_store.upload(self._database, self._transaction, self._s3, self._groups)

    def stats(self) -> dict[str, dict[str, int]]:
        """Calls by operation, errors by code, records written by store; since the start."""
        return {name: dict(counter) for name, counter in self._counts.items()}

    def answer(self, operation: str, body: Body) -> tuple[int, Body]:
        """HTTP status and JSON body of one call; an error has its code under `__type`."""
        self._counts["calls"][operation] += 1
        try:
            if self._chance.random() < self._faults.error_rate:
                status, code = self._chance.choice(((500, "InternalFailure"), (503, "ServiceUnavailable")))
                raise FeatureStoreError(status, code, "Injected by the local Feature Store.")
            return 200, _OPERATIONS[operation](self, body)
        except FeatureStoreError as error:
            refusal = error
        except Exception as error:  # a server answers whatever happens; a message may quote a record
            _log.error("%s failed: %s\n%s", operation, type(error).__name__, "".join(format_tb(error.__traceback__)))
            refusal = FeatureStoreError(500, "InternalFailure", "The local Feature Store failed.")
        self._counts["errors"][refusal.code] += 1
        return refusal.status, {"__type": refusal.code, "Message": refusal.message}

    def _put_record(self, body: Body) -> Body:
        write = self._prepared(body, None)
        with self._transaction():
            write()
        return {}

    def _batch_write_record(self, body: Body) -> Body:
        entries = _batch("BatchWriteRecord", body.get("Entries") or [])
        errors: list[Body] = []
        unprocessed: list[Body] = []

        def failed(entry: Body, code: str, message: str) -> None:
            errors.append({"Entry": entry, "ErrorCode": code, "ErrorMessage": message})

        writes: list[Callable[[], None]] = []
        for entry in entries:
            if self._chance.random() < self._faults.unprocessed_rate:
                if self._chance.random() < 0.5:
                    unprocessed.append(entry)
                else:
                    failed(entry, "InternalFailure", "Injected by the local Feature Store.")
                continue
            try:
                writes.append(self._prepared(entry, body.get("TtlDuration")))
            except FeatureStoreError as error:
                failed(entry, error.code, error.message)
        with self._transaction():
            for write in writes:
                write()
        return {"Errors": errors, "UnprocessedEntries": unprocessed}

    def _prepared(self, entry: Body, ttl: Body | None) -> Callable[[], None]:
        """The write of one entry, validated, for the inside of a transaction."""
        group = self._groups(entry["FeatureGroupName"])
        record = group.record(entry.get("Record") or [])
        targets = group.targets(entry.get("TargetStores"))
        expires_at = group.expiry(record.event_time, entry.get("TtlDuration") or ttl)

        def write() -> None:
            if ONLINE in targets and online_store.put(self._database, group, record, expires_at):
                self._counts["records"]["online"] += 1
            if OFFLINE in targets:
                self._append(group, record)

        return write

    def _delete_record(self, body: Body) -> Body:
        group = self._groups(body["FeatureGroupName"])
        marker = group.marker(body["RecordIdentifierValueAsString"], body["EventTime"])
        targets = group.targets(body.get("TargetStores"))
        mode = body.get("DeletionMode", "SoftDelete")
        if mode not in ("SoftDelete", "HardDelete"):
            raise invalid("DeletionMode must be SoftDelete or HardDelete.")
        hard = mode == "HardDelete"
        delete = online_store.hard_delete if hard else online_store.soft_delete
        with self._transaction():
            if ONLINE in targets:
                if delete(self._database, group, marker):
                    self._counts["records"]["online"] += 1
                elif hard:  # a soft delete that comes too late is answered 200, and marked offline
                    raise invalid("EventTime must be later than that of the record in the OnlineStore.")
            if OFFLINE in targets:
                self._append(group, marker, is_deleted=True)
        return {}

    def _append(self, group: FeatureGroup, record: Record, *, is_deleted: bool = False) -> None:
        offline_store.append(self._database, group, record, is_deleted=is_deleted)
        self._counts["records"]["offline"] += 1

    def _get_record(self, body: Body) -> Body:
        group = self._readable(body)
        return self._read(group, body["RecordIdentifierValueAsString"], body)

    def _batch_get_record(self, body: Body) -> Body:
        asked = [
            (wanted, identifier)
            for wanted in body.get("Identifiers") or []
            for identifier in wanted["RecordIdentifiersValueAsString"]
        ]
        records: list[Body] = []
        errors: list[Body] = []
        for wanted, identifier in _batch("BatchGetRecord", asked):
            name = {
                "FeatureGroupName": wanted["FeatureGroupName"],
                "RecordIdentifierValueAsString": identifier,
            }
            try:
                found = self._read(self._readable(wanted), identifier, {**body, **wanted})
            except FeatureStoreError as error:
                errors.append({**name, "ErrorCode": error.code, "ErrorMessage": error.message})
            else:
                if found:
                    records.append({**name, **found})
        return {"Records": records, "Errors": errors, "UnprocessedIdentifiers": []}

    def _readable(self, body: Body) -> FeatureGroup:
        group = self._groups(body["FeatureGroupName"])
        group.targets([ONLINE])
        for name in body.get("FeatureNames") or ():
            if name not in group.types:
                raise invalid(f"Feature {name} is not defined in the feature group {group.name}.")
        return group

    def _read(self, group: FeatureGroup, identifier: str, body: Body) -> Body:
        with self._transaction():
            stored = online_store.read(self._database, group, identifier)
        if stored is None or stored.values is None:
            return {}
        names = body.get("FeatureNames") or group.types
        record = [
            {"FeatureName": name, "ValueAsString": value} for name, value in stored.values.items() if name in names
        ]
        answer: Body = {"Record": record}
        if body.get("ExpirationTimeResponse") == "Enabled" and stored.expires_at is not None:
            answer["ExpiresAt"] = _iso(stored.expires_at)
        return answer

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._lock, self._database:
            self._database.execute("BEGIN IMMEDIATE")
            yield

    def _keep_flushing(self) -> None:
        stopping = False
        while not stopping:
            stopping = self._stop.wait(_FLUSH_SECONDS)  # once more after the stop
            try:
                self.flush()
            except Exception as error:  # the thread goes on whatever happens; a message may quote a record
                _log.warning("Offline rows wait for the next flush: %s", type(error).__name__)


_OPERATIONS: dict[str, Callable[[FeatureStore, Body], Body]] = {
    "PutRecord": FeatureStore._put_record,
    "BatchWriteRecord": FeatureStore._batch_write_record,
    "GetRecord": FeatureStore._get_record,
    "BatchGetRecord": FeatureStore._batch_get_record,
    "DeleteRecord": FeatureStore._delete_record,
}


def _batch(operation: str, items: list[Any]) -> list[Any]:
    if not 0 < len(items) <= _MAX_BATCH[operation]:
        raise invalid(f"{operation} takes 1 to {_MAX_BATCH[operation]} records, not {len(items)}.")
    return items


def _iso(nanoseconds: int) -> str:
    moment = datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(microseconds=nanoseconds // 1_000)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1_000:03d}Z"
