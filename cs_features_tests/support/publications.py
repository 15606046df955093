"""A feature group of its own and one partition's publications to it, which may die after any call.

What must hold after them is `Store.holds_exactly`; the histories are the tests'."""

import itertools
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from typing import Any

import polars as pl

from cs_features.publishing import publisher
from cs_features.publishing.feature_group import record_of
from cs_features.publishing.manifest import UNFINISHED
from cs_features.publishing.publisher import publish
from cs_features.publishing.reading import read_features
from cs_features.schemas import FEATURE_COLUMNS
from cs_features_tests.support.documents import DAY, id_of
from cs_features_tests.support.features import frame, row
from cs_features_tests.support.lab import Lab

MORNING = datetime(2025, 3, 4, 8, 30, tzinfo=timezone.utc)


def features(number: int, summary: str = "first", minutes: int = 0, **changes: Any) -> dict[str, Any]:
    """A row of `validated_features`; event times lie whole minutes after a fixed one."""
    event_time = MORNING + timedelta(minutes=minutes)
    return row(interaction_id=id_of(number), summary=summary, event_time=event_time, **changes)


class Killed(BaseException):
    """The process is gone: nothing that a publisher catches."""


@dataclass
class Store:
    """A feature group, and one partition's work on it: the manifest is what was saved last, whatever happened then."""

    lab: Lab
    group: str
    country: str = "NL"
    day: date = DAY
    manifest: pl.DataFrame | None = None
    calls_left: int | None = None
    withdrawn: list[str] = field(default_factory=list)
    before_call: Callable[[int], None] = lambda number: None
    _calls: Iterator[int] = field(default_factory=itertools.count)
    _lock: Any = field(default_factory=threading.Lock)

    def publish(
        self, *rows: dict[str, Any], dies_after: int | None = None, disturbed: Mapping[str, datetime] | None = None
    ) -> publisher.Published:
        self.calls_left = dies_after
        return publish(
            frame(*rows),
            self.manifest,
            self,
            self.group,
            self._save,
            country=self.country,
            day=self.day,
            disturbed=disturbed or {},
            withdraw=self._withdraw,
        )

    def _withdraw(self, ids: list[str]) -> None:
        self._live()
        assert set(ids) <= set(self.manifest["interaction_id"]), "killed here, nobody would be told"
        self.withdrawn += ids

    def _save(self, manifest: pl.DataFrame) -> None:
        self._live()
        self.manifest = manifest

    def _live(self) -> None:
        self.before_call(next(self._calls))
        with self._lock:
            if self.calls_left is not None:
                if self.calls_left == 0:
                    raise Killed
                self.calls_left -= 1

    def batch_write_record(self, **request: Any) -> Any:
        self._live()
        return self.lab.runtime.batch_write_record(**request)

    def batch_get_record(self, **request: Any) -> Any:
        self._live()
        return self.lab.runtime.batch_get_record(**request)

    def delete_record(self, **request: Any) -> Any:
        self._live()
        return self.lab.runtime.delete_record(**request)

    def online(self, numbers: range = range(100)) -> dict[str, dict[str, str]]:
        """Every record that is served, by identifier."""
        wanted = {"FeatureGroupName": self.group, "RecordIdentifiersValueAsString": [id_of(n) for n in numbers]}
        records = self.lab.runtime.batch_get_record(Identifiers=[wanted])["Records"]
        return {
            record["RecordIdentifierValueAsString"]: {
                pair["FeatureName"]: pair["ValueAsString"] for pair in record["Record"]
            }
            for record in records
        }

    def offline(self) -> pl.DataFrame:
        """What a model is trained on."""
        self.lab.stack.local.feature_store.flush()
        return read_features(group=self.group)

    def holds_exactly(self, *rows: dict[str, Any]) -> bool:
        served = {
            each["interaction_id"]: {pair["FeatureName"]: pair["ValueAsString"] for pair in record_of(each)}
            for each in rows
        }
        assert self.online() == served
        assert self.offline().equals(frame(*rows).select(FEATURE_COLUMNS).sort("interaction_id"))
        assert self.manifest is not None
        assert set(self.manifest["interaction_id"]) == set(served)
        assert UNFINISHED not in self.manifest["content_hash"]
        return True


_numbers = itertools.count(1)


def store_in(lab: Lab) -> Store:
    group = f"{lab.settings.feature_group}-{next(_numbers)}"
    lab._create_group(group, lab.settings.data_bucket)
    return Store(lab, group)
