"""The second group in memory: a first group's history that is told day by day, and updates that may die at any call."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

import polars as pl

from cs_features.customers.law import balance_customers
from cs_features.customers.scoring import SETTLING, build_customer_features
from cs_features.customers.serving import CUSTOMERS, EMBARGO, find_cut, parse_records
from cs_features.customers.spine import CUSTOMER, CUT
from cs_features.customers.training import Options
from cs_features.customers.update import Updated, UpdateRules, read_manifest, update_customers
from cs_features.erasure.tombstones import NO_TOMBSTONES, Tombstones
from cs_features.errors import RequestError
from cs_features.local.bench.training_histories import Row, build_rows
from cs_features.publishing.publication import Destination
from cs_features.publishing.reading import OfflineHistory, Part
from cs_features.publishing.records import RecordStore
from cs_features.s3 import Bucket
from cs_features.storage import Tables
from cs_features_tests.support.memory_group import MemoryGroup
from cs_features_tests.support.memory_s3 import MemoryS3
from cs_features_tests.support.publications import Killed


class MovingS3(MemoryS3):
    """An S3 whose clock is set."""

    moment = datetime(2026, 1, 1, tzinfo=timezone.utc)

    @property
    def now(self) -> datetime:
        return self.moment


@dataclass
class SecondGroup:
    """`rows` are all that the first group will ever be told; `now` is S3's clock."""

    rows: list[Row]
    source: str = "first group"
    identity: str = "second group"
    memory: MovingS3 = field(default_factory=MovingS3)
    group: MemoryGroup = field(default_factory=lambda: MemoryGroup(identifier=CUSTOMER))
    erased: Tombstones = NO_TOMBSTONES
    calls_left: int | None = None
    parts: list[Part | None] = field(default_factory=list)  # what of the offline store each update asked for

    def __post_init__(self) -> None:
        self.group.called = self.memory.before_call = self._live

    @property
    def tables(self) -> Tables:
        return Tables(Bucket(self.memory, "data", "CS_FEATURES_DATA_BUCKET"))

    @property
    def now(self) -> datetime:
        return self.memory.moment

    def update(self, now: datetime, dies_after: int | None = None, **rules: Any) -> Updated:
        """A day's update; a person lets every withdrawal through unless the rules say otherwise."""
        self.memory.moment = now
        self._save_manifests()
        self.calls_left = dies_after
        allowed = {"window_days": 35, "max_withdrawn_share": 0.05, "allow_deletions": True, **rules}
        chosen = UpdateRules(read_tombstones=lambda: self.erased, **allowed)
        store = RecordStore(self.group, "second", CUSTOMERS)
        try:
            return update_customers(self.tables, self.read, Destination(store, self.identity), chosen)
        finally:
            self.calls_left = None

    def read(self, as_of: datetime, part: Part | None) -> OfflineHistory:
        """What the offline store holds: of a part, the objects of those days that were put since."""
        self._live()
        self.parts.append(part)
        held = [row for row in self.rows if row["write_time"] <= as_of]
        if part is not None:
            held = [row for row in held if row["event_time"].date() in part.days and row["write_time"] >= part.since]
        return OfflineHistory(self.source, as_of, build_rows(held))

    def _save_manifests(self) -> None:
        """The first group's: of each day when the last of it was told."""
        for row in sorted(self.rows, key=lambda row: row["api_invocation_time"]):
            if row["api_invocation_time"] <= self.now:
                key = f"feature_store/country=NL/date={row['event_time'].date()}/data.parquet"
                self.memory.objects[key] = b"", row["api_invocation_time"]

    def _live(self) -> None:
        if self.calls_left is not None:
            if self.calls_left == 0:
                raise Killed
            self.calls_left -= 1

    def serve(self) -> pl.DataFrame:
        """What is online, as a training set's rows at the day's cut."""
        return parse_records(self.group.online, find_cut(self.now), EMBARGO)

    def train(self) -> pl.DataFrame:
        """What `training_set` says of everybody at the day's cut."""
        as_of = find_cut(self.now) + SETTLING
        seen = [row for row in self.rows if row["write_time"] <= as_of]
        try:
            made = build_customer_features(OfflineHistory(self.source, as_of, build_rows(seen)), Options())
        except RequestError:
            return self.serve().clear()
        return made.frame.drop(CUT)

    def serves_what_is_trained(self, updated: Updated) -> bool:
        trained = self.train()
        assert self.serve().equals(trained)
        balance = balance_customers(updated)
        assert balance.holds
        assert balance.served == balance.expected == trained.height
        assert set(read_manifest(self.tables)[CUSTOMER]) == set(self.group.online)
        return True


def read_tables(second: SecondGroup) -> list[bytes]:
    """What is stored of customers, as text."""
    stored = {key: body for key, (body, _) in second.memory.objects.items() if key.startswith("customer")}
    frames = [pl.read_parquet(body).write_csv() for key, body in stored.items() if key.endswith(".parquet")]
    return [frame.encode() for frame in frames]


def tell_contact(number: int, when: datetime, customer: str | None = "c1", **changed: Any) -> Row:
    """A contact that the store was told of an hour after it took place."""
    told = changed.pop("told", when + timedelta(hours=1))
    row = {
        "interaction_id": f"i{number}",
        "event_time": when,
        "customer_id": customer,
        "channel": "chat",
        "sentiment": "negative",
        "primary_topic": "billing_payment",
        "intent": "complain",
        "resolution_status": "pending",
        "urgency_score": 0.5,
        "csat_indicator": 0.3,
        "prompt_version": "t2-a",
        "model_id": "model",
        "api_invocation_time": told,
        "write_time": told + timedelta(minutes=5),
        "is_deleted": False,
    }
    return row | changed


def delete_contact(row: Row, told: datetime) -> Row:
    """The row that says of a contact that it was withdrawn."""
    kept = {name: row[name] for name in ("interaction_id", "event_time")}
    times = {"api_invocation_time": told, "write_time": told + timedelta(minutes=5)}
    return {**kept, **times, "is_deleted": True}
