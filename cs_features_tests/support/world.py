"""Partitions, a bucket and a feature group in memory, and runs that meet each other between any two of their calls.

The product's own code decides, leaves notes and publishes; only S3, the Feature Store and the sensor are stood in
for, so that a thousand histories take seconds.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime, timedelta, timezone
from typing import Any

import polars as pl

from cs_features.errors import AwsRefusal, WithdrawalStopped
from cs_features.landing.corrections import resolve_id_owners
from cs_features.landing.documents import RAW_SCHEMA
from cs_features.landing.notices import list_partition_notices
from cs_features.partitions import Partition
from cs_features.publishing.feature_group import Record, get_record_feature
from cs_features.publishing.manifest import MANIFEST, read_manifest, select_group_entries
from cs_features.publishing.publication import Destination
from cs_features.publishing.publisher import Outcome, PublicationRules, publish_partition
from cs_features.publishing.records import RecordStore
from cs_features.s3 import Bucket
from cs_features.storage import Tables
from cs_features_tests.support.documents import id_of
from cs_features_tests.support.features import frame, row
from cs_features_tests.support.memory_group import MemoryGroup
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


def uri_of(partition: Partition, document: Document) -> str:
    return f"s3://landing/{partition.folder}/{document[0]}-{document[1]}"


def raw(partition: Partition, documents: Sequence[Document], customer: str | None = "c-0") -> pl.DataFrame:
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
                "customer_id": customer,
                "landed_at": EIGHT + timedelta(minutes=minute),
                "content_hash": uri_of(partition, (number, minute)),
            }
            for number, minute in sorted(documents)
            for accepted in [latest[number] == minute]
        ],
        schema=RAW_SCHEMA,
    )


def answer(
    partition: Partition, raw: pl.DataFrame, failing: Collection[str] = (), prompt: str = "v"
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(validated, rejected) of accepted documents, of which those of the ids `failing` get no answer now.

    The summary is where the document lies. Of the rejected, what the publisher reads.
    """
    midnight = datetime.combine(partition.date, datetime.min.time(), timezone.utc)
    accepted = raw.filter(status="accepted").select("interaction_id", "source_uri", pl.col("landed_at").dt.minute())
    rows: list[dict[str, Any]] = []
    unanswered: list[str] = []
    for key, uri, minute in accepted.iter_rows():
        if minute == INVALID or key in failing:
            unanswered.append(key)
            continue
        event_time = midnight + timedelta(hours=HOURS[minute])
        made = row(interaction_id=key, country=partition.country, summary=uri, event_time=event_time)
        rows.append({**made, "prompt_version": prompt})
    rejected = pl.DataFrame({"interaction_id": unanswered}, schema={"interaction_id": pl.String()})
    return (
        frame(*rows).with_columns(content_hash=pl.col("summary")),
        rejected.with_columns(stage=pl.lit("extraction"), reason=pl.lit("service_failed")),
    )


class World:
    """What landed where, the runs that were made of it, and a sensor that sees what changed since.

    A run begins with the raw step and ends with the publication; two runs of one partition never overlap.
    """

    def __init__(self) -> None:
        self.called = Calls()
        self.tables = Tables(Bucket(MemoryS3(self.called), "data", "CS_FEATURES_DATA_BUCKET"))
        self.group, self.identity = MemoryGroup(self.called), "group 0"
        self.landed: dict[Partition, set[Document]] = {partition: set() for partition in PARTITIONS}
        self.failing: set[str] = set()  # ids whose calls fail now
        self.prompt = 0
        self.allow_deletions = False
        self.seen: dict[Partition, Any] = {}
        self.running: set[Partition] = set()
        self.raw: dict[Partition, pl.DataFrame] = {}
        self.stopped: set[Partition] = set()
        self.ran: list[Partition] = []  # partitions whose runs ended, in order
        self.served: dict[str, str] = {}  # at the latest rest: uris by id
        self.published: set[str] = set()  # uris whose features a publication brought to the group in use
        self.begun: set[str] = set()  # the same, and those of publications that died
        self.lapsed: set[str] = set()  # of these, uris that were not the latest document at some time since

    # --- what happens ---

    def advance(self, partition: Partition) -> None:
        """Begin a run, or end the one that has begun."""
        self.lapsed |= self.begun - {uri for uri, _ in self.owners().values()}
        if partition not in self.running:
            self.seen[partition] = self._state(partition)
            landed = raw(partition, sorted(self.landed[partition]))
            self.raw[partition] = resolve_id_owners(landed, partition, self.tables, 35)
            self.running.add(partition)
            return
        self.running.remove(partition)
        self.ran.append(partition)
        self.stopped.discard(partition)
        try:
            self._publish(partition)
        except AwsRefusal:
            self.seen[partition] = None  # the run failed, and the sensor asks for it again
        except WithdrawalStopped:
            self.stopped.add(partition)  # it waits for a person

    def rest(self, order: Sequence[Partition] = PARTITIONS) -> None:
        """What has begun ends, and the sensor asks for what changed until nothing does."""
        for _ in range(60):
            changed = [each for each in order if self.landed[each] or each in self.seen]
            due = [each for each in changed if each in self.running or self.seen.get(each) != self._state(each)]
            if not due:
                self.check_served()
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

    def ask_again(self, *, prompt: int = 0) -> None:
        """All partitions are to run again, for a person or a backfill; with another prompt, if it is so many on."""
        self.prompt += prompt
        self.seen = dict.fromkeys(self.seen)

    def use_new_group(self) -> None:
        """Another feature group is set, and the partitions are run again."""
        self.group, self.identity = MemoryGroup(self.called), f"{self.identity}+"
        self.served = {}
        for uris in (self.published, self.begun, self.lapsed):
            uris.clear()
        self.ask_again()

    def let_deletions_through(self) -> None:
        """A person looks at what was stopped, and says that it is right."""
        self.allow_deletions = True
        self.seen |= dict.fromkeys(self.stopped)
        self.rest()
        self.allow_deletions = False
        assert not self.stopped

    @contextmanager
    def _before_calls(self, what: Callable[[int], None]) -> Iterator[None]:
        self.called.before = what
        yield
        self.called.before = lambda number: None

    def _state(self, partition: Partition) -> Any:
        notices = list_partition_notices(self.tables).get(partition.folder, [])
        return sorted(self.landed[partition]), [(item.key, item.etag, item.last_modified) for item in notices]

    def _publish(self, partition: Partition) -> None:
        validated, rejected = answer(partition, self.raw[partition], self.failing, f"v{self.prompt}")
        answered = set(validated["summary"])
        self.begun |= answered
        published = publish_partition(
            partition,
            Outcome(raw=self.raw[partition], validated=validated, rejected=rejected),
            self.tables,
            Destination(RecordStore(self.group, "group"), self.identity),
            PublicationRules(window_days=35, max_withdrawn_share=0.05, allow_deletions=self.allow_deletions),
        )
        self.tables.write(MANIFEST, partition, published.manifest)  # as Dagster does with the asset's value
        self.published |= answered
        self.lapsed -= answered

    def run(self, *partitions: Partition) -> None:
        """From the first step to the last, one after the other."""
        for partition in partitions:
            self.advance(partition)
            self.advance(partition)

    def begin(self, partition: Partition) -> None:
        assert partition not in self.running
        self.advance(partition)

    # --- what is there ---

    def owner(self, number: int = 1) -> Partition | None:
        """The partition whose record of the interaction is served, of its only accepted document."""
        self.holds()
        uri = self.served.get(id_of(number))
        (partition,) = [each for each, raw in self.raw.items() if uri in raw["source_uri"]] or [None]
        return partition

    def reasons(self, partition: Partition) -> list[str]:
        """Why the partition's documents were rejected at landing."""
        return self.raw[partition].filter(status="rejected").sort("landed_at")["reason"].to_list()

    # --- what must hold ---

    def owners(self) -> dict[str, tuple[str, Partition]]:
        """Where the document lies that landed last, and its partition, by id."""
        latest: dict[str, tuple[int, str, Partition]] = {}
        for partition, documents in self.landed.items():
            for number, minute in documents:
                rank = minute, uri_of(partition, (number, minute)), partition
                latest[id_of(number)] = max(latest.get(id_of(number), rank), rank)
        return {key: (uri, partition) for key, (_, uri, partition) in latest.items()}

    def check_served(self) -> None:
        """At rest: what was ever published of a latest document that has stood since is served and trained on, and
        nothing else, but for what a publication that was stopped leaves as it was."""
        online = _summaries(self.group.online)
        assert online == _summaries(self.group.trained_on)
        latest = {key: uri for key, (uri, _) in self.owners().items()}
        expected = {key: uri for key, uri in latest.items() if uri in self.published - self.lapsed}
        possible = {key: uri for key, uri in latest.items() if uri in self.begun}
        waiting = {key: online[key] for each in self.stopped for key in self._manifest(each) & online.keys()}
        assert expected.items() - waiting.items() <= online.items() <= (waiting | possible).items()
        self.served = online
        self.published = self.begun = set(online.values())
        self.lapsed = set()

    def holds(self) -> bool:
        """Each id is accepted, served and trained on once, by its latest document; no document is unaccounted for."""
        self.check_served()
        owners = {(key, partition) for key, (_, partition) in self.owners().items()}
        accepted = _pairs(
            {each: list(raw.filter(status="accepted")["interaction_id"]) for each, raw in self.raw.items()}
        )
        assert (len(accepted), set(accepted)) == (len(owners), owners)
        published = _pairs({each: list(self._manifest(each)) for each in PARTITIONS})
        assert (len(published), {key for key, _ in published}) == (len(self.served), self.served.keys())
        assert set(published) <= owners
        heights = {each: frame.height for each, frame in self.raw.items() if frame.height}
        assert heights == {each: len(documents) for each, documents in self.landed.items() if documents}
        return True

    def _manifest(self, partition: Partition) -> set[str]:
        manifest = select_group_entries(read_manifest(self.tables, partition), self.identity)
        assert manifest["interaction_id"].is_unique().all()
        return set(manifest["interaction_id"])


def _summaries(records: Mapping[str, Record]) -> dict[str, str]:
    return {key: get_record_feature(record, "summary") for key, record in records.items()}


def _pairs(ids: Mapping[Partition, Sequence[str]]) -> list[tuple[str, Partition]]:
    return [(key, partition) for partition, keys in ids.items() for key in keys]
