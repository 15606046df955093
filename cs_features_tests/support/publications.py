"""A feature group of its own and one partition's publications to it, which may die after any call.

The runtime is the local stack's (`store_in`) or in memory (`memory_store`), the data bucket is in memory. What must
hold after publications is `Store.holds_exactly`; the histories are the tests'.
"""

import itertools
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from typing import Any

import polars as pl

from cs_features.landing.documents import RAW_SCHEMA
from cs_features.partitions import Partition
from cs_features.publishing.feature_group import Record, build_feature_record, require_group
from cs_features.publishing.manifest import MANIFEST, UNFINISHED, read_manifest
from cs_features.publishing.publication import Destination
from cs_features.publishing.publisher import Outcome, PublicationRules, Published, publish_partition
from cs_features.publishing.reading import read_features
from cs_features.publishing.records import RecordStore
from cs_features.s3 import Bucket
from cs_features.schemas import FEATURE_COLUMNS
from cs_features.storage import Tables
from cs_features_tests.support.documents import DAY, id_of
from cs_features_tests.support.features import frame, row
from cs_features_tests.support.lab import Lab
from cs_features_tests.support.memory_group import MemoryGroup
from cs_features_tests.support.memory_s3 import EIGHT, MemoryS3

MORNING = datetime(2025, 3, 4, 8, 30, tzinfo=timezone.utc)
REJECTED_SCHEMA = {"interaction_id": pl.String(), "stage": pl.String(), "reason": pl.String()}

Row = dict[str, Any]


def features(number: int, summary: str = "first", minutes: int = 0, **changes: Any) -> Row:
    """A row of `validated_features`; event times lie whole minutes after a fixed one.

    Its document has the text `text`: by default another one for another summary.
    """
    event_time = MORNING + timedelta(minutes=minutes)
    text = changes.pop("text", summary)
    return row(
        interaction_id=id_of(number), summary=summary, event_time=event_time, content_hash=f"{number} {text}", **changes
    )


def validated(rows: Sequence[Row]) -> pl.DataFrame:
    hashes = pl.Series("content_hash", [each["content_hash"] for each in rows], pl.String())
    return frame(*rows).with_columns(hashes)


def landed(rows: Sequence[Row], **changes: Any) -> pl.DataFrame:
    """`raw_interactions` of the documents that `rows` were extracted from, accepted unless `changes` say otherwise."""
    documents = [
        {
            **dict.fromkeys(RAW_SCHEMA.names()),
            "interaction_id": each["interaction_id"],
            "content_hash": each["content_hash"],
            "status": "accepted",
            "landed_at": EIGHT - timedelta(hours=1),
            **changes,
        }
        for each in rows
    ]
    return pl.DataFrame(documents, schema=RAW_SCHEMA)


def rejects(rows: Sequence[Row], stage: str) -> pl.DataFrame:
    """Of `rejected_records`, what the publisher reads."""
    found = [{"interaction_id": each["interaction_id"], "stage": stage, "reason": "invalid_answer"} for each in rows]
    return pl.DataFrame(found, schema=REJECTED_SCHEMA)


def outcome_of(*rows: Row, failed: Sequence[Row] = (), invalid: Sequence[Row] = (), unread: int = 0) -> Outcome:
    """A run that made features of `rows`; the model answered nothing of `failed`, and the gate refused `invalid`.

    So many more objects of the folder could not be read.
    """
    unreadable = landed([features(-n) for n in range(unread)], status="rejected")
    unreadable = unreadable.with_columns(interaction_id=pl.lit(None, pl.String()), reason=pl.lit("corrupt_gzip"))
    return Outcome(
        raw=pl.concat([landed([*rows, *failed, *invalid]), unreadable]),
        validated=validated(rows),
        rejected=pl.concat([rejects(failed, "extraction"), rejects(invalid, "validation")]),
    )


class Killed(BaseException):
    """The process is gone: nothing that a publisher catches."""


@dataclass
class Store:
    """A feature group, and one partition's work on it: the manifest is what was saved last, whatever happened then."""

    group: str
    identity: str
    runtime: Any
    country: str = "NL"
    day: date = DAY
    memory: MemoryS3 = field(default_factory=MemoryS3)
    calls_left: int | None = None
    _lock: Any = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.memory.before_call = self._live

    def publish(self, *rows: Row, dies_after: int | None = None) -> Published:
        """Publish what a run made `rows` of; a person lets every withdrawal through."""
        self.calls_left = dies_after
        return self.publish_outcome(outcome_of(*rows), allow_deletions=True)

    def publish_outcome(self, outcome: Outcome, **rules: bool) -> Published:
        published = publish_partition(
            self.partition,
            outcome,
            self.tables,
            Destination(RecordStore(self, self.group), self.identity),
            PublicationRules(window_days=35, max_withdrawn_share=0.05, **rules),
        )
        self.overwrite_manifest(published.manifest)  # as Dagster does with the asset's value
        return published

    @property
    def partition(self) -> Partition:
        return Partition(self.country, self.day)

    @property
    def tables(self) -> Tables:
        return Tables(Bucket(self.memory, "data", "CS_FEATURES_DATA_BUCKET"))

    @property
    def manifest(self) -> pl.DataFrame:
        return read_manifest(self.tables, self.partition)

    def forget(self) -> None:
        """The manifest is lost."""
        self.memory.objects.pop(self.tables.key(MANIFEST, self.partition), None)

    def overwrite_manifest(self, manifest: pl.DataFrame) -> None:
        self.tables.write(MANIFEST, self.partition, manifest)

    def _live(self) -> None:
        with self._lock:
            if self.calls_left is not None:
                if self.calls_left == 0:
                    raise Killed
                self.calls_left -= 1

    def batch_write_record(self, **request: Any) -> Any:
        self._live()
        return self.runtime.batch_write_record(**request)

    def batch_get_record(self, **request: Any) -> Any:
        self._live()
        return self.runtime.batch_get_record(**request)

    def delete_record(self, **request: Any) -> Any:
        self._live()
        return self.runtime.delete_record(**request)

    def take_out(self, number: int, event_time: str = "2025-03-04T23:00:00Z") -> None:
        """Somebody deletes a record by hand, online alone."""
        key = {"FeatureGroupName": self.group, "RecordIdentifierValueAsString": id_of(number)}
        where = {"DeletionMode": "HardDelete", "TargetStores": ["OnlineStore"]}
        self.runtime.delete_record(**key, EventTime=event_time, **where)

    def online(self, numbers: range = range(100)) -> Mapping[str, dict[str, str]]:
        """Every record that is served, by identifier."""
        wanted = {"FeatureGroupName": self.group, "RecordIdentifiersValueAsString": [id_of(n) for n in numbers]}
        records = self.runtime.batch_get_record(Identifiers=[wanted])["Records"]
        return {item["RecordIdentifierValueAsString"]: as_dict(item["Record"]) for item in records}

    def serves_exactly(self, *rows: Row) -> bool:
        """Online and offline, whatever the manifest says."""
        served = {each["interaction_id"]: as_dict(build_feature_record(each)) for each in rows}
        assert self.online() == served
        assert self.trains_on(rows)
        return True

    def trains_on(self, rows: Sequence[Row]) -> bool:
        """Whether the offline store holds exactly `rows`."""
        trained_on = {key: as_dict(record) for key, record in self.runtime.trained_on.items()}
        return trained_on == {each["interaction_id"]: as_dict(build_feature_record(each)) for each in rows}

    def holds_exactly(self, *rows: Row) -> bool:
        """The stores hold `rows`, and the manifest says so."""
        assert self.serves_exactly(*rows)
        manifest = self.manifest
        assert set(manifest["interaction_id"]) == {each["interaction_id"] for each in rows}
        assert UNFINISHED not in manifest["content_hash"]
        return True


@dataclass
class LabStore(Store):
    """On the local stack, through boto3."""

    lab: Lab = field(kw_only=True)

    def trains_on(self, rows: Sequence[Row]) -> bool:
        self.lab.stack.local.feature_store.flush()
        return read_features(group=self.group).equals(validated(rows).select(FEATURE_COLUMNS).sort("interaction_id"))


_numbers: Iterator[int] = itertools.count(1)


def store_in(lab: Lab) -> LabStore:
    group = f"{lab.settings.feature_group}-{next(_numbers)}"
    lab._create_group(group, lab.settings.data_bucket)
    return LabStore(group, require_group(lab.sagemaker, group), lab.runtime, lab=lab)


def memory_store(identity: str = "group 1") -> Store:
    return Store("group", identity, MemoryGroup())


def as_dict(record: Record) -> dict[str, str]:
    return {pair["FeatureName"]: pair["ValueAsString"] for pair in record}
