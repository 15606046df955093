"""A plan of customers' records on its way into the second group, as `publishing/changes.py` carries it out."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from cs_features.customers.plan import Entry, Plan
from cs_features.customers.serving import CustomerRecords
from cs_features.publishing.feature_group import Record
from cs_features.publishing.publication import Destination
from cs_features.publishing.records import RecordStore

SAVE_EVERY = 1_000  # a manifest of all customers is large: what was done since is done again, and costs less


@dataclass(frozen=True)
class CustomerPublication:
    """`entries` are those of all whom the plan names; `began` is S3's clock, from before anything was read for it."""

    plan: Plan
    records: CustomerRecords
    entries: Mapping[str, Entry]
    destination: Destination
    began: datetime

    @property
    def store(self) -> RecordStore:
        return self.destination.records

    @property
    def save_every(self) -> int:
        return SAVE_EVERY

    @property
    def to_write(self) -> Collection[str]:
        return self.plan.write

    @property
    def to_withdraw(self) -> Collection[str]:
        return self.plan.withdraw

    @property
    def replaces_records(self) -> bool:
        return False  # see `make_room`

    def build_records(self, ids: Collection[str]) -> dict[str, Record]:
        return self.records.build_records(ids)

    def mark_changes(self) -> Iterable[Entry]:
        leaving = [self.entries[key].mark_unfinished(reason) for key, reason in self.plan.withdraw.items()]
        # With the new event time: of whichever record is online, one that is deleted by it is not later.
        return [*leaving, *(entry.mark_unfinished() for entry in self.finish_entries(self.plan.write))]

    def finish_entries(self, ids: Iterable[str]) -> list[Entry]:
        return [self._build_entry(key) for key in ids]

    def _build_entry(self, key: str) -> Entry:
        return Entry(
            customer_id=key,
            event_time=self.records.event_time,
            content_hash=self.plan.write[key],
            written_at=self.began,
            group=self.destination.identity,
        )

    def latest_event_times(self, ids: Iterable[str]) -> dict[str, str]:
        return {key: self.entries[key].event_time for key in ids}

    def make_room(self, ids: list[str]) -> frozenset[str]:
        """Nothing has to leave: each record's event time is later than that of the one before, and takes its place."""
        return frozenset()

    def is_own(self, record: Record) -> bool:
        return True

    def advise(self, refused: Collection[str]) -> str:
        """Without an id: it is a customer's."""
        return f"; the others were. Run {self.store.layout.asset} again"
