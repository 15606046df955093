"""What an update remembers of contacts: who is counted again because of it, and who is left out of it."""

import itertools
from contextlib import suppress
from copy import deepcopy
from datetime import datetime, timedelta, timezone
from functools import cache
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cs_features.customers.contacts import leave_out_erased
from cs_features.customers.law import balance_customers
from cs_features.erasure.subjects import Subject
from cs_features.erasure.tombstones import add_tombstone_entries, make_tombstone_entry
from cs_features.local.bench.training_histories import build_rows
from cs_features.publishing.feature_group import get_record_feature
from cs_features.storage import encode_parquet_table
from cs_features_tests.support.publications import Killed
from cs_features_tests.support.second_group import SecondGroup, read_tables, tell_contact

NOON = datetime(2026, 6, 1, 12, tzinfo=timezone.utc)
DAY = timedelta(days=1)
KEY = b"k" * 32


def serve_forty(written: datetime = NOON - timedelta(hours=20)) -> SecondGroup:
    return deepcopy(_serve_forty_once(written))


@cache
def _serve_forty_once(written: datetime) -> SecondGroup:
    """Customers c2 to c41, who wrote once each, so many days ago; what the store was told of them was put then."""
    told = {"told": NOON - timedelta(hours=20), "write_time": written}
    second = SecondGroup([tell_contact(number, NOON - number * DAY, f"c{number}", **told) for number in range(2, 42)])
    second.update(NOON)
    return second


def test_a_row_that_is_read_again_does_not_count_its_customer_again() -> None:
    """What was put just before the last update is read by the next one, too, and its customers were counted twice."""
    second = serve_forty(NOON - timedelta(minutes=30))
    updated = second.update(NOON + timedelta(hours=1))
    assert updated.memory.read_rows == 40
    assert len(updated.decision.records.hashes) == 0


def test_what_was_put_long_before_the_last_update_is_not_read_again() -> None:
    """Two days' objects were read every day, each a request."""
    assert serve_forty().update(NOON + timedelta(hours=1)).memory.read_rows == 0


@pytest.mark.heavy
def test_what_was_told_late_is_counted_whenever_the_update_dies_that_read_it() -> None:
    """It stood in the memory, and nobody had been told: of what is remembered nobody asks whether it was published."""
    told = NOON.replace(hour=1, minute=50)
    late = tell_contact(50, NOON - 9 * DAY, "c30", told=told, write_time=NOON + timedelta(hours=3))
    for dies_after in range(100):
        second = serve_forty()
        second.rows.append(late)
        try:
            second.update(NOON + timedelta(hours=4), dies_after=dies_after)
            break
        except Killed:
            second.update(NOON + timedelta(hours=5))
        assert count_contacts(second, "c30") == "2", dies_after


def count_contacts(second: SecondGroup, customer: str) -> str:
    return get_record_feature(second.group.online[customer], "contacts_365d")


SPELLINGS = ["c1", " c1", "c1 ", "cafe\u0301", "café", "C1", None, "c2"]


@settings(max_examples=50)
@given(
    st.lists(st.tuples(st.sampled_from(SPELLINGS), st.integers(0, 3), st.integers(0, 5)), max_size=12),
    st.sampled_from(["c1", "café", "c2"]),
    st.sets(st.integers(0, 5)),
)
def test_rows_are_left_out_as_if_each_was_asked_for_alone(
    told: list[tuple[str | None, int, int]], customer: str, ids: set[int]
) -> None:
    rows = build_rows([tell_contact(number, NOON - days * DAY, name) for name, days, number in told])
    erased = forget(customer, ids)
    left = leave_out_erased(rows, erased)
    expected = rows.filter(
        pl.Series([not is_erased(row, erased) for row in rows.iter_rows(named=True)], dtype=pl.Boolean)
    )
    assert left.sort(pl.all()).equals(expected.sort(pl.all()))


def forget(customer: str, numbers: set[int], until: datetime = NOON - DAY) -> Any:
    subject = Subject(until=until, customer_id=customer, interaction_ids=frozenset(f"i{number}" for number in numbers))
    return add_tombstone_entries([make_tombstone_entry(subject, KEY)], KEY)


def is_erased(row: dict[str, Any], erased: Any) -> bool:
    happened = datetime.fromisoformat(row["event_time"].replace("Z", "+00:00"))
    return bool(
        erased.covers_interaction(row["interaction_id"]) or erased.covers_customer(row["customer_id"], happened)
    )


@pytest.mark.heavy
def test_who_is_erased_while_an_update_dies_is_out_of_the_memory_after_the_next() -> None:
    """The eraser had stripped the month that the update then wrote with him in it, a moment before it was killed."""
    for erased_at in range(3, 33, 6):
        for dies_after in (*range(erased_at + 2, 35, 2), 1_000):
            second = serve_forty()
            second.rows.append(tell_contact(50, NOON - 9 * DAY, "c31", told=NOON + timedelta(hours=1)))
            erase_at_call(second, erased_at, "c30")
            with suppress(Killed):
                second.update(NOON + DAY, dies_after=dies_after)
            second.group.called = second.memory.before_call = second._live
            updated = second.update(NOON + DAY + timedelta(hours=1))
            assert "c30" not in second.group.online, (erased_at, dies_after)
            assert balance_customers(updated).holds
            assert not any(b"c30" in body for body in read_tables(second)), (erased_at, dies_after)


def erase_at_call(second: SecondGroup, number: int, customer: str) -> None:
    """An eraser who does all that he has to do between two calls of an update."""
    calls = itertools.count()

    def live() -> None:
        if next(calls) == number:
            second.erased = forget(customer, set(), NOON + DAY)
            second.group.online.pop(customer, None)
            second.rows = [row for row in second.rows if row.get("customer_id") != customer]
            strip_tables(second, customer)
        second._live()

    second.group.called = second.memory.before_call = live


def strip_tables(second: SecondGroup, customer: str) -> None:
    for key, (body, _) in list(second.memory.objects.items()):
        if key.startswith("customer") and key.endswith(".parquet"):
            left = pl.read_parquet(body).filter(pl.col("customer_id").ne_missing(customer))
            second.memory.objects[key] = encode_parquet_table(left), second.now
