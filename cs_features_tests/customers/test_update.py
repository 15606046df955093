"""The daily update of customers' features: served as trained, nobody lost, nobody withdrawn without a reason."""

import random
from datetime import datetime, timedelta, timezone
from typing import Any

import polars as pl
import pytest

from cs_features.customers.contacts import STATE_KEY, read_state
from cs_features.customers.law import balance_customers, compare_with_training
from cs_features.customers.plan import Reason
from cs_features.customers.serving import CUSTOMERS, SERVED, find_cut
from cs_features.customers.spine import CUSTOMER
from cs_features.customers.update import read_manifest
from cs_features.erasure.subjects import Subject
from cs_features.erasure.tombstones import add_tombstone_entries, make_tombstone_entry
from cs_features.errors import WithdrawalStopped
from cs_features.local.bench.training_histories import AS_OF, BEGIN, WENT_LIVE, merge_stories, tell_story
from cs_features.publishing.records import RecordStore
from cs_features_tests.support.publications import Killed
from cs_features_tests.support.second_group import SecondGroup, delete_contact, read_tables, tell_contact

NOON = datetime(2026, 6, 1, 12, tzinfo=timezone.utc)
DAY = timedelta(days=1)
KEY = b"k" * 32


@pytest.mark.heavy
@pytest.mark.parametrize("seeds", [range(2), pytest.param(range(2, 30), marks=pytest.mark.slow)])
def test_after_any_days_with_any_deaths_everybody_is_served_what_training_says(seeds: range) -> None:
    """Whoever was counted only when he wrote kept the month's figures for ever; and a killed update lost its day."""
    compared = 0
    for seed in seeds:
        dice = random.Random(seed)
        second = SecondGroup(merge_stories([tell_story(seed * 100 + number) for number in range(6)]).rows)
        now = BEGIN + timedelta(days=WENT_LIVE + dice.randrange(40))
        while now < AS_OF:
            for _ in range(dice.randrange(3)):
                try:
                    second.update(now, dies_after=dice.randrange(30))
                except Killed:
                    now += timedelta(minutes=dice.randrange(90))
            assert second.serves_what_is_trained(second.update(now))
            compared += len(second.group.online)
            now += timedelta(days=dice.choice([1, 1, 1, 2, 7, 40]), hours=dice.randrange(24))
    assert compared > 80 * len(seeds)


def serve_forty() -> SecondGroup:
    """Customers c2 to c41, who wrote once each, so many days ago."""
    second = SecondGroup([tell_contact(number, NOON - number * DAY, f"c{number}") for number in range(2, 42)])
    second.update(NOON)
    return second


def test_a_rerun_writes_nothing_and_the_next_day_reads_and_writes_what_changed() -> None:
    second = serve_forty()
    before = dict(second.group.online)
    again = second.update(NOON + timedelta(hours=3))
    assert not again.decision.plan.write
    assert second.group.online == before
    late = tell_contact(50, NOON - 9 * DAY, "c30", told=NOON + timedelta(hours=5))
    second.rows.append(late)
    updated = second.update(NOON + DAY)
    assert second.serves_what_is_trained(updated)
    assert second.parts[-1] is not None
    assert late["event_time"].date() in second.parts[-1].days
    # And of two a contact left the windows of 7 and of 30 days.
    changed = {key for key, record in second.group.online.items() if before.get(key) != record}
    assert set(updated.decision.plan.write) == changed
    assert "c30" in changed
    assert len(changed) == 3


def test_a_corrected_contact_changes_both_customers_whose_it_was_and_is() -> None:
    """Of a contact that was given to another customer the first one kept the complaint."""
    second = serve_forty()
    moved = tell_contact(5, NOON - 5 * DAY, "c6", told=NOON + timedelta(hours=1))
    second.rows.append(moved)
    updated = second.update(NOON + DAY)
    assert updated.decision.plan.withdraw == {"c5": Reason.WITHDRAWN}
    assert second.serves_what_is_trained(updated)


def test_who_leaves_does_so_for_a_reason_and_who_vanishes_is_kept_and_counted() -> None:
    """A history that was read from an emptied bucket once took every customer's features out of the store."""
    second = serve_forty()
    second.rows = [row for row in second.rows if row["customer_id"] != "c3"]
    second.rows.append(delete_contact(tell_contact(9, NOON - 9 * DAY), NOON + timedelta(hours=1)))
    updated = second.update(NOON + DAY, read_everything=True)
    assert updated.decision.plan.withdraw == {"c9": Reason.WITHDRAWN}
    assert updated.decision.plan.kept == {"c3"}
    balance = balance_customers(updated)
    assert balance.holds
    assert (balance.served, balance.expected, balance.kept) == (39, 38, 1)
    assert "c3" in second.group.online


def test_a_year_after_his_last_contact_a_customer_leaves_and_so_do_the_rows_he_was_counted_from() -> None:
    second = serve_forty()
    end = NOON + 367 * DAY
    updated = second.update(end)
    assert set(updated.decision.plan.withdraw.values()) == {Reason.EXPIRED}
    assert second.group.online == {}
    assert read_manifest(second.tables).is_empty()
    second.update(end + 62 * DAY)
    assert [key for key in second.memory.objects if key.startswith("customer_contacts/month=")] == []


def test_an_update_that_would_withdraw_many_stops_and_says_so() -> None:
    second = serve_forty()
    gone = [delete_contact(row, NOON + timedelta(hours=1)) for row in second.rows[10:20]]
    second.rows += gone
    before = dict(second.group.online)
    with pytest.raises(WithdrawalStopped, match=r"10 of 40 records \(10 withdrawn\) would be withdrawn") as stopped:
        second.update(NOON + DAY, allow_deletions=False)
    assert "materialize customer_features with allow_deletions: true" in str(stopped.value)
    assert second.group.online == before
    assert second.serves_what_is_trained(second.update(NOON + DAY))


def test_of_another_version_of_the_features_everybody_is_counted_again() -> None:
    second = serve_forty()
    state = read_state(second.tables.bucket)
    assert state is not None
    other = state.model_copy(update={"layout": "another"}).model_dump_json().encode()
    second.memory.objects[STATE_KEY] = other, second.now
    plan = second.update(NOON + DAY).decision.plan
    assert plan.unchanged + len(plan.write) == len(second.group.online)


@pytest.mark.parametrize("lost", [STATE_KEY, "customer_contacts/month=2026-05/data.parquet"])
def test_without_its_memory_an_update_reads_everything_and_writes_only_what_differs(lost: str) -> None:
    second = serve_forty()
    del second.memory.objects[lost]
    updated = second.update(NOON + timedelta(hours=2))
    assert second.parts[-1] is None
    assert not updated.decision.plan.write
    assert second.serves_what_is_trained(updated)


def test_another_first_group_is_read_from_the_beginning() -> None:
    second = serve_forty()
    second.source, second.rows = "recreated group", second.rows[:30]
    updated = second.update(NOON + DAY)
    assert second.parts[-2:] != [None, None]
    assert second.parts[-1] is None
    assert len(updated.decision.plan.kept) == 10


def test_into_another_second_group_every_record_is_written_and_the_old_ones_are_remembered() -> None:
    second = serve_forty()
    second.identity, old = "another second group", second.group.online.copy()
    second.group.online.clear()
    assert len(second.update(NOON + timedelta(hours=1)).decision.plan.write) == len(old)
    assert read_manifest(second.tables)["group"].value_counts().height == 2


def test_the_check_finds_what_is_not_served_as_it_is_trained() -> None:
    """Somebody wrote a record by hand, and the law, which counts, was content."""
    second = serve_forty()
    updated = second.update(NOON + timedelta(hours=1))
    store = RecordStore(second.group, "second", CUSTOMERS)
    assert compare_with_training(updated, store).differing == 0
    record = second.group.online["c7"]
    second.group.online["c7"] = [
        {**pair, "ValueAsString": "99"} if pair["FeatureName"] == "contacts_30d" else pair for pair in record
    ]
    del second.group.online["c8"]
    found = compare_with_training(updated, store)
    assert (found.asked, found.missing, found.differing, found.features) == (40, 1, 1, ("contacts_30d",))


def test_a_record_does_not_change_by_itself() -> None:
    """Days since the last contact, served as such, were written for every customer on every day."""
    assert not {name for name in SERVED if "days_since" in name}
    second = serve_forty()
    assert not second.update(NOON + timedelta(hours=13)).decision.plan.write  # the same cut
    assert find_cut(NOON) == datetime(2026, 6, 1, 2, tzinfo=timezone.utc)
    assert find_cut(datetime(2026, 6, 1, 2, 14, tzinfo=timezone.utc)) == datetime(2026, 5, 31, 2, tzinfo=timezone.utc)


def test_every_four_weeks_nothing_that_was_remembered_is_believed() -> None:
    """A row that the offline store tells a week late, of a day that nobody publishes again, was never read."""
    second = serve_forty()
    lost = tell_contact(50, NOON - 9 * DAY, "c30", told=NOON - 8 * DAY)
    second.rows.append(lost | {"write_time": NOON + 9 * DAY})
    second.update(NOON + 10 * DAY)
    assert second.parts[-1] is not None
    assert second.serves_what_is_trained(second.update(NOON + 28 * DAY))
    assert second.parts[-1] is None


def test_who_is_erased_while_his_record_is_written_is_taken_out_by_the_same_update() -> None:
    """The eraser had deleted his record and his contacts a second before the update wrote both again."""
    second = serve_forty()
    second.rows.append(tell_contact(50, NOON - 9 * DAY, "c30", told=NOON + timedelta(hours=1)))
    entry = make_tombstone_entry(Subject(until=NOON + timedelta(days=1, hours=1), customer_id="c30"), KEY)

    def erase_him(**request: Any) -> Any:
        second.erased = add_tombstone_entries([entry], KEY)
        return write(**request)

    write, second.group.batch_write_record = second.group.batch_write_record, erase_him  # type: ignore[method-assign]
    updated = second.update(NOON + DAY)
    assert updated.decision.plan.withdraw == {"c30": Reason.ERASED}
    assert "c30" not in second.group.online
    assert balance_customers(updated).holds
    assert not any(b"c30" in body for body in read_tables(second))


def test_of_who_is_erased_nothing_is_written_though_his_contacts_are_still_remembered() -> None:
    """A tombstone is the first that an eraser writes, and the tables are the last that he comes to."""
    second = serve_forty()
    second.erased = add_tombstone_entries(
        [make_tombstone_entry(Subject(until=NOON + DAY, customer_id="c31"), KEY)], KEY
    )
    updated = second.update(NOON + DAY)  # his contact leaves the window of 30 days
    assert updated.decision.plan.withdraw == {"c31": Reason.ERASED}
    assert balance_customers(updated).holds


def test_what_was_told_after_the_cut_counts_at_the_next_though_it_was_read_before() -> None:
    """At 02:14 the cut is that of the day before, and what was told since stands in the memory."""
    second = serve_forty()
    night = NOON.replace(hour=2, minute=2) + DAY
    second.rows.append(tell_contact(50, NOON - 9 * DAY, "c33", told=night))
    assert second.update(night + timedelta(minutes=12)).memory.read_rows == 1
    assert find_cut(second.now) < night
    assert second.serves_what_is_trained(second.update(NOON + DAY))
    assert second.serves_what_is_trained(second.update(NOON + 2 * DAY))
    assert count_contacts(second, "c33") == 2


def test_what_the_offline_store_tells_late_counts_as_soon_as_it_is_there() -> None:
    second = serve_forty()
    told = NOON.replace(hour=1, minute=50) + DAY
    second.rows.append(tell_contact(50, NOON - 9 * DAY, "c30", told=told, write_time=told + timedelta(hours=2)))
    second.update(NOON.replace(hour=2, minute=20) + DAY)
    assert count_contacts(second, "c30") == 1
    second.update(NOON + DAY)
    assert count_contacts(second, "c30") == 2


def count_contacts(second: SecondGroup, customer: str) -> int:
    return int(second.serve().filter(pl.col(CUSTOMER) == customer)["contacts_365d"].item())


def test_a_withdrawal_that_a_person_let_through_and_that_died_is_finished_without_him() -> None:
    second = serve_forty()
    second.rows += [delete_contact(row, NOON + timedelta(hours=1)) for row in second.rows[10:20]]
    calls = iter(range(1_000))

    def die_at_the_fifth(**request: Any) -> Any:
        if next(calls) == 4:
            raise Killed
        return delete(**request)

    delete, second.group.delete_record = second.group.delete_record, die_at_the_fifth  # type: ignore[method-assign]
    with pytest.raises(Killed):
        second.update(NOON + DAY)
    assert second.serves_what_is_trained(second.update(NOON + DAY, allow_deletions=False))
