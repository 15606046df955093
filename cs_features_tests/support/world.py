"""Partitions, a bucket and a feature group in memory, and runs that meet each other between any two of their calls.

The product's own code decides, leaves notes and publishes; only S3, the Feature Store and the sensor are stood in
for, so that a thousand histories take seconds.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime, timedelta, timezone
from typing import Any

import polars as pl
from botocore.exceptions import ClientError

from cs_features.errors import AwsRefusal
from cs_features.landing.corrections import list_notices, notify_of_withdrawal, read_notices, resolve_owners
from cs_features.landing.documents import RAW_SCHEMA
from cs_features.partitions import Partition
from cs_features.publishing.feature_group import EVENT_TIME, IDENTIFIER, value_of
from cs_features.publishing.publisher import publish
from cs_features.s3 import Bucket
from cs_features.storage import Tables
from cs_features_tests.support.documents import id_of
from cs_features_tests.support.features import frame, row
from cs_features_tests.support.memory_s3 import EIGHT, MemoryS3

PARTITIONS = [
    Partition("NL", date(2026, 11, 23)),
    *(Partition(country, date(2026, 11, 24)) for country in ("NL", "BE")),
]
HOURS = (12, 11, 12)  # of the event, by the minute in which its document landed: later, earlier, the same
INVALID = 3  # the minute of documents that the model does not answer
Document = tuple[int, int]  # which interaction, and the minute in which it landed


class Killed(BaseException):
    """The process is gone: nothing that a step catches."""


class Calls:
    """Counts the calls to AWS of everybody; `before` one of them something else happens."""

    def __init__(self) -> None:
        self.made = 0
        self.before: Callable[[int], None] = lambda number: None

    def __call__(self) -> None:
        self.made += 1
        self.before(self.made)


class Group:
    """A feature group: online the record with the latest event time, offline every write in order."""

    def __init__(self, called: Calls) -> None:
        self.called = called
        self.online: dict[str, list[dict[str, str]]] = {}
        self.offline: dict[str, list[dict[str, str]] | None] = {}

    def batch_get_record(self, **request: Any) -> dict[str, Any]:
        self.called()
        keys = request["Identifiers"][0]["RecordIdentifiersValueAsString"]
        found = [(key, self.online[key]) for key in keys if key in self.online]
        records = [{"RecordIdentifierValueAsString": key, "Record": record} for key, record in found]
        return {"Records": records, "Errors": [], "UnprocessedIdentifiers": []}

    def batch_write_record(self, **request: Any) -> dict[str, Any]:
        self.called()
        for record in (entry["Record"] for entry in request["Entries"]):
            key = value_of(record, IDENTIFIER)
            self.offline[key] = record
            if key not in self.online or value_of(record, EVENT_TIME) > value_of(self.online[key], EVENT_TIME):
                self.online[key] = record
        return {"Errors": [], "UnprocessedEntries": []}

    def delete_record(self, **request: Any) -> None:
        self.called()
        key = request["RecordIdentifierValueAsString"]
        if request["TargetStores"] == ["OfflineStore"]:
            self.offline[key] = None
            return
        if key in self.online and request["EventTime"] <= value_of(self.online[key], EVENT_TIME):
            raise ClientError({"Error": {"Code": "ValidationError"}}, "DeleteRecord")
        self.online.pop(key, None)


def uri_of(partition: Partition, document: Document) -> str:
    return f"s3://landing/{partition.folder}/{document[0]}-{document[1]}"


def raw(partition: Partition, documents: Sequence[Document]) -> pl.DataFrame:
    """`raw_interactions` of valid documents: of each interaction the one that landed last is accepted."""
    latest = dict(sorted(documents))
    empty = dict.fromkeys(RAW_SCHEMA.names())
    return pl.DataFrame(
        [
            {
                **empty,
                "interaction_id": id_of(number) if accepted else None,
                "status": "accepted" if accepted else "rejected",
                "reason": None if accepted else "duplicate_id",
                "source_uri": uri_of(partition, (number, minute)),
                "source_line": 1,
                "landed_at": EIGHT + timedelta(minutes=minute),
            }
            for number, minute in sorted(documents)
            for accepted in [latest[number] == minute]
        ],
        schema=RAW_SCHEMA,
    )


def validated(partition: Partition, raw: pl.DataFrame) -> pl.DataFrame:
    """The features of accepted documents that can be answered: the summary is where the document lies."""
    midnight = datetime.combine(partition.date, datetime.min.time(), timezone.utc)
    accepted = raw.filter(status="accepted").select("interaction_id", "source_uri", pl.col("landed_at").dt.minute())
    return frame(
        *(
            row(
                interaction_id=key,
                country=partition.country,
                summary=uri,
                event_time=midnight + timedelta(hours=HOURS[minute]),
            )
            for key, uri, minute in accepted.iter_rows()
            if minute != INVALID
        )
    )


class World:
    """What landed where, the runs that were made of it, and a sensor that sees what changed since.

    A run begins with the raw step and ends with the publication; two runs of one partition never overlap.
    """

    def __init__(self) -> None:
        self.called = Calls()
        self.tables, self.group = (
            Tables(Bucket(MemoryS3(self.called), "data", "CS_FEATURES_DATA_BUCKET")),
            Group(self.called),
        )
        self.landed: dict[Partition, set[Document]] = {partition: set() for partition in PARTITIONS}
        self.seen: dict[Partition, Any] = {}
        self.running: set[Partition] = set()
        self.results: dict[Partition, pl.DataFrame] = {}
        self.manifests: dict[Partition, pl.DataFrame] = {}

    def advance(self, partition: Partition) -> None:
        """Begin a run, or end the one that has begun."""
        if partition in self.running:
            self.running.remove(partition)
            try:
                self._publish(partition)
            except AwsRefusal:
                self.seen[partition] = None  # the run failed, and the sensor asks for it again
        else:
            self.seen[partition] = self._state(partition)
            frame = raw(partition, sorted(self.landed[partition]))
            self.results[partition] = resolve_owners(frame, partition, self.tables, 35)
            self.running.add(partition)

    def rest(self, order: Sequence[Partition] = PARTITIONS) -> None:
        """What has begun ends, and the sensor asks for what changed until nothing does."""
        for _ in range(60):
            changed = [each for each in order if self.landed[each] or each in self.seen]
            due = [each for each in changed if each in self.running or self.seen.get(each) != self._state(each)]
            if not due:
                return
            self.advance(due[0])
        raise AssertionError("it never comes to rest")

    def interrupted(self, partition: Partition, at: int, by: Partition | None) -> bool:
        """Advance `partition`; before a call of it another one advances, or it is killed. Whether that happened."""
        happened = []

        def interrupt(number: int) -> None:
            if by is None and number >= first + at:  # a dead process calls nobody any more
                happened.append(number)
                raise Killed
            if by is not None and number == first + at:
                happened.append(number)
                self.advance(by)

        first = self.called.made
        with self._before_calls(interrupt):
            try:
                self.advance(partition)
            except Killed:
                self.seen[partition] = None
        return bool(happened)

    @contextmanager
    def _before_calls(self, what: Callable[[int], None]) -> Iterator[None]:
        self.called.before = what
        yield
        self.called.before = lambda number: None

    def _state(self, partition: Partition) -> Any:
        left = [
            (item.key, item.etag, item.last_modified) for item in list_notices(self.tables).get(partition.folder, [])
        ]
        return sorted(self.landed[partition]), left

    def _publish(self, partition: Partition) -> None:
        def save(manifest: pl.DataFrame) -> None:
            self.called()
            self.manifests[partition] = manifest

        publish(
            validated(partition, self.results[partition]),
            self.manifests.get(partition),
            self.group,
            "group",
            save,
            country=partition.country,
            day=partition.date,
            disturbed=read_notices(partition, self.tables),
            withdraw=lambda ids: notify_of_withdrawal(ids, partition, self.tables, 35),
        )

    def holds(self) -> bool:
        """Each id is accepted, served and trained on once, by its latest document; no document is unaccounted for."""
        latest: dict[str, tuple[int, str, Partition]] = {}
        for partition, documents in self.landed.items():
            for number, minute in documents:
                rank = minute, uri_of(partition, (number, minute)), partition
                latest[id_of(number)] = max(latest.get(id_of(number), rank), rank)
        owners = {(key, partition) for key, (_, _, partition) in latest.items()}
        accepted = _pairs({each: result.filter(status="accepted") for each, result in self.results.items()})
        assert (len(accepted), set(accepted)) == (len(owners), owners)
        answered = {key: uri for key, (minute, uri, _) in latest.items() if minute != INVALID}
        published = _pairs(self.manifests)
        assert (len(published), set(published)) == (len(answered), {each for each in owners if each[0] in answered})
        assert {key: value_of(record, "summary") for key, record in self.group.online.items()} == answered
        trained_on = {key: record for key, record in self.group.offline.items() if record}
        assert {key: value_of(record, "summary") for key, record in trained_on.items()} == answered
        heights = {each: result.height for each, result in self.results.items() if result.height}
        assert heights == {each: len(documents) for each, documents in self.landed.items() if documents}
        return True


def _pairs(frames: Mapping[Partition, pl.DataFrame]) -> list[tuple[str, Partition]]:
    return [(key, partition) for partition, frame in frames.items() for key in frame["interaction_id"]]
