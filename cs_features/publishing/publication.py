"""A plan on its way into the group: what the manifest says of each record before it changes, and after.

The calls are made in `changes.py`, and what changes is decided in `plan.py`.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from cs_features.partitions import Partition
from cs_features.publishing.feature_group import FeatureRecord, Record
from cs_features.publishing.manifest import UNFINISHED, Entry
from cs_features.publishing.plan import Documents, Plan, may_replace
from cs_features.publishing.records import WRITTEN_AT_ONCE, RecordStore, is_of_partition
from cs_features.short_names import shorten_interaction_id

# Batches between two saves of the manifest, which is written whole each time, for as much CPU as fifteen of them: of a
# large one at most so many.
SAVE_EVERY = 100
MOST_SAVES = 10


@dataclass(frozen=True)
class Destination:
    """The feature group that is published to; `identity` is what `feature_group.require_group` says of it."""

    records: RecordStore
    identity: str


@dataclass(frozen=True)
class Publication:
    """A plan on its way into the group; `began` is S3's clock, from before anything was read for it."""

    partition: Partition
    plan: Plan
    entries: Mapping[str, Entry]
    documents: Documents
    destination: Destination
    began: datetime
    window_days: int

    @property
    def store(self) -> RecordStore:
        return self.destination.records

    @property
    def save_every(self) -> int:
        return max(SAVE_EVERY, len(self.plan.write) // (WRITTEN_AT_ONCE * MOST_SAVES))

    @property
    def to_write(self) -> Collection[str]:
        return self.plan.write

    @property
    def to_withdraw(self) -> Collection[str]:
        return self.plan.withdraw

    @property
    def replaces_records(self) -> bool:
        return not self.entries.keys().isdisjoint(self.plan.write)

    def build_records(self, ids: Collection[str]) -> dict[str, Record]:
        return {key: self.plan.write[key].features for key in ids}

    def confirm_served_entries(self) -> list[Entry]:
        """The entries of records that stay as they are, with what older versions had not written down."""
        kept = [
            replace(entry, group=self.destination.identity, source_uri=self.documents.find_record_source(entry))
            for entry in self.plan.keep.values()
        ]
        unchanged = [
            self._build_entry(key, record, self.entries[key].written_at) for key, record in self.plan.unchanged.items()
        ]
        return kept + unchanged

    def mark_changes(self) -> list[Entry]:
        """Unfinished entries of all that is about to change."""
        withdrawn = [replace(self.entries[key], content_hash=UNFINISHED, record=None) for key in self.plan.withdraw]
        return withdrawn + [self._mark_record_written(key, record) for key, record in self.plan.write.items()]

    def finish_entries(self, ids: Iterable[str]) -> list[Entry]:
        """Entries of records that were written."""
        return [self._build_entry(key, self.plan.write[key], self.began) for key in ids]

    def latest_event_times(self, ids: Iterable[str]) -> dict[str, str]:
        """The latest that this partition ever gave each record; empty when it gave none."""
        return {key: self.entries[key].event_time if key in self.entries else "" for key in ids}

    def make_room(self, ids: list[str]) -> frozenset[str]:
        """The online store keeps the older of two records with one event time: what is there is cleared before."""
        return self.store.clear_online_records(self.latest_event_times(ids), self.may_replace)

    def is_own(self, record: Record) -> bool:
        return is_of_partition(self.partition)(record)

    def advise(self, refused: Collection[str]) -> str:
        return (
            f", the first {shorten_interaction_id(min(refused))}; the others were. Run {self.store.layout.asset} "
            "again for this partition"
        )

    def may_replace(self, key: str, record: Record) -> bool:
        """Whether the record that is served under `key` may make room: one that this partition has written may."""
        features = self.plan.write[key].features
        return key in self.entries or may_replace(record, features, self.partition, self.window_days)

    def _mark_record_written(self, key: str, record: FeatureRecord) -> Entry:
        (before,) = self.latest_event_times([key]).values()
        return replace(
            self._build_entry(key, record, self.began),
            # The later time: whichever of the two records is online, it can be deleted.
            event_time=max(before, record.event_time),
            content_hash=UNFINISHED,
        )

    def _build_entry(self, key: str, record: FeatureRecord, written_at: datetime) -> Entry:
        entry = Entry(
            interaction_id=key,
            event_time=record.event_time,
            content_hash=record.content_hash,
            document_hash=record.document_hash,
            prompt_version=record.prompt_version,
            model_id=record.model_id,
            written_at=written_at,
            group=self.destination.identity,
            record=record.encoded,
            source_uri=self.entries[key].source_uri if key in self.entries else None,
        )
        return replace(entry, source_uri=self.documents.find_record_source(entry))
