"""A budget outlives the run: what each run spends counts for the next, for the day and for the month."""

import re
import threading
from datetime import date, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cs_features.errors import AwsRefusal, Outage, RunStopper
from cs_features.extraction.spending import (
    CLOSING_TIME,
    EXCHANGE_SECONDS,
    Limits,
    SharedBudget,
    Spent,
    format_spending_key,
    latest_of_each_run,
    parse_key,
    read_spending_totals,
)
from cs_features.s3 import Bucket
from cs_features_tests.support.desk import PATIENCE, Clock
from cs_features_tests.support.ledgers import FOLDER
from cs_features_tests.support.memory_s3 import MemoryS3

NOON = datetime(2026, 11, 26, 12, tzinfo=timezone.utc)
PLENTY = Limits(partition=1_000.0, day=1_000.0, month=1_000.0)


class Day:
    """A clock of the wall that the test moves, and one of the process beside it."""

    def __init__(self, now: datetime = NOON) -> None:
        self.now = now
        self.clock = Clock()

    def __call__(self) -> datetime:
        return self.now

    def pass_seconds(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        self.clock.now += seconds


def budget_on(s3: MemoryS3, day: Day, limits: Limits = PLENTY, folder: str = FOLDER) -> SharedBudget:
    """The budget of a run that begins now."""
    return SharedBudget(Bucket(s3, "data", "CS_FEATURES_DATA_BUCKET"), folder, limits, now=day, clock=day.clock)


def spend_a_run(s3: MemoryS3, day: Day, *costs: float, folder: str = FOLDER) -> None:
    """A whole run that asks and pays."""
    budget = budget_on(s3, day, folder=folder)
    for cost in costs:
        budget.check()
        budget.spend(cost)
    budget.save_spending()


def totals_of(s3: MemoryS3, now: datetime, folder: str = FOLDER) -> tuple[float, float, float]:
    found = read_spending_totals(Bucket(s3, "data", "X"), folder, now)
    return found.partition, found.day, found.month


# --- a partition ------------------------------------------------------------------------------


def test_the_budget_of_a_partition_outlives_its_runs() -> None:
    """$0.00486 of a budget of $0.002 were spent, because each retry of the sensor began with a fresh one (fault 35)."""
    s3, day, limits = MemoryS3(), Day(), Limits(partition=0.002, day=50, month=500)
    spend_a_run(s3, day, 0.0012)
    again = budget_on(s3, day, limits)
    again.check()
    again.spend(0.0009)
    with pytest.raises(RunStopper, match=r"\$0\.0021 of CS_FEATURES_MAX_COST_USD=0\.002"):
        again.check()
    again.save_spending()
    with pytest.raises(RunStopper, match="this partition's runs of today"):
        budget_on(s3, day, limits).check()


def test_another_partition_and_another_day_have_budgets_of_their_own() -> None:
    """One busy partition must not stop the others, nor yesterday today."""
    s3, day, limits = MemoryS3(), Day(), Limits(partition=1.0, day=50, month=500)
    spend_a_run(s3, day, 1.0)
    budget_on(s3, day, limits, folder="country=BE/date=2025-03-04").check()
    day.pass_seconds(86_400)
    budget_on(s3, day, limits).check()


def test_a_spent_budget_is_no_outage() -> None:
    """As an outage the sensor would launch it again after 5 and after 30 minutes (fault 46)."""
    with pytest.raises(RunStopper) as caught:
        budget_on(MemoryS3(), Day(), Limits(partition=0.0, day=50, month=500)).check()
    assert not isinstance(caught.value, Outage)


# --- a day and a month ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limits", "setting", "counts"),
    [
        (Limits(partition=9, day=3, month=9), "CS_FEATURES_MAX_COST_USD_PER_DAY", "all runs of today"),
        (Limits(partition=9, day=9, month=5), "CS_FEATURES_MAX_COST_USD_PER_MONTH", "all runs of this month"),
    ],
)
def test_a_cap_over_all_runs_says_which_it_is_what_was_spent_and_what_to_set(
    limits: Limits, setting: str, counts: str
) -> None:
    """A backfill of 30 days could spend 30 budgets, and nothing stood between (fault 46)."""
    s3, day = MemoryS3(), Day(NOON - timedelta(days=3))
    spend_a_run(s3, day, 2.0, folder="country=BE/date=2025-03-04")
    day.pass_seconds(3 * 86_400)
    for country in ("NL", "FR", "ES"):
        spend_a_run(s3, day, 1.0, folder=f"country={country}/date=2025-03-04")
    with pytest.raises(RunStopper) as caught:
        budget_on(s3, day, limits, folder="country=PL/date=2025-03-04").check()
    assert counts in str(caught.value)
    spent = 3 if "DAY" in setting else 5
    assert f"${spent}.0000 of {setting}={spent}" in str(caught.value)
    assert f"raise {setting}" in str(caught.value)


def test_a_month_ends() -> None:
    """The cap of November must not stop December."""
    s3, day = MemoryS3(), Day(datetime(2026, 11, 30, 23, tzinfo=timezone.utc))
    spend_a_run(s3, day, 5.0)
    assert totals_of(s3, day()) == (5, 5, 5)
    day.pass_seconds(2 * 3_600)
    assert totals_of(s3, day()) == (0, 0, 0)


def test_a_run_over_midnight_counts_each_dollar_for_its_own_day() -> None:
    """A run that began yesterday would have yesterday's cap and today's, or neither."""
    s3, day = MemoryS3(), Day(NOON.replace(hour=23, minute=59))
    budget = budget_on(s3, day, Limits(partition=9, day=3, month=9))
    budget.check()
    budget.spend(2.0)
    day.pass_seconds(120)
    budget.check()
    budget.spend(2.5)
    day.pass_seconds(EXCHANGE_SECONDS)
    budget.check()
    assert totals_of(s3, day()) == (2.5, 2.5, 4.5)
    budget.spend(0.5)
    with pytest.raises(RunStopper, match=r"\$3\.0000 of CS_FEATURES_MAX_COST_USD_PER_DAY"):
        budget.check()


# --- runs at the same time --------------------------------------------------------------------


def test_runs_at_the_same_time_see_each_other_after_a_few_seconds() -> None:
    """Checked at the start alone, fifty runs that start together spend fifty caps."""
    s3, day, limits = MemoryS3(), Day(), Limits(partition=9, day=1.0, month=9)
    one = budget_on(s3, day, limits)
    other = budget_on(s3, day, limits, folder="country=BE/date=2025-03-04")
    for budget in (one, other):
        budget.check()
    one.spend(0.7)
    other.spend(0.4)
    day.pass_seconds(EXCHANGE_SECONDS)
    one.check()
    with pytest.raises(RunStopper, match=r"\$1\.1000 of CS_FEATURES_MAX_COST_USD_PER_DAY"):
        other.check()
    day.pass_seconds(EXCHANGE_SECONDS)
    with pytest.raises(RunStopper, match=r"\$1\.1000"):
        one.check()


def test_between_two_looks_a_run_asks_s3_nothing() -> None:
    """A listing a call would cost as much as the calls."""
    made: list[int] = []
    s3, day = MemoryS3(lambda: made.append(1)), Day()
    budget = budget_on(s3, day)
    budget.check()
    before = len(made)
    for _ in range(1_000):
        budget.check()
        budget.spend(0.0001)
    assert len(made) == before


def test_a_run_that_asks_nothing_reads_and_writes_nothing() -> None:
    """Most runs of a trickle find everything in the ledger."""
    made: list[int] = []
    budget_on(MemoryS3(lambda: made.append(1)), Day()).save_spending()
    assert made == []


def test_all_threads_of_a_run_know_the_totals_before_any_of_them_asks() -> None:
    """The first thread fetched them; the others took the budget for untouched and called."""
    s3, day = MemoryS3(), Day()
    spend_a_run(s3, day, 1.0)
    inside, go_on = threading.Event(), threading.Event()

    def held() -> None:
        inside.set()
        go_on.wait(PATIENCE)

    s3.before_call = held
    budget, told = budget_on(s3, day, Limits(partition=1.0, day=9, month=9)), []

    def check() -> None:
        try:
            budget.check()
        except RunStopper:
            told.append(1)

    threads = [threading.Thread(target=check) for _ in range(4)]
    threads[0].start()
    assert inside.wait(PATIENCE)
    for thread in threads[1:]:
        thread.start()
    go_on.set()
    for thread in threads:
        thread.join(PATIENCE)
    assert len(told) == 4


# --- what S3 does -----------------------------------------------------------------------------


def refuse(_: Any = None) -> None:
    raise AwsRefusal("SlowDown")


def test_without_the_totals_no_call_is_made() -> None:
    """A data bucket that cannot be read looks like one in which nothing was spent."""
    with pytest.raises(AwsRefusal):
        budget_on(MemoryS3(refuse), Day()).check()


def test_once_they_are_known_a_refusal_of_s3_does_not_stop_the_run() -> None:
    """A minute of SlowDown; what was spent is written with the next exchange."""
    s3, day = MemoryS3(), Day()
    budget = budget_on(s3, day)
    budget.check()
    budget.spend(0.3)
    s3.before_call = refuse
    day.pass_seconds(EXCHANGE_SECONDS)
    budget.check()
    budget.save_spending()
    s3.before_call = lambda: None
    assert totals_of(s3, day()) == (0, 0, 0)
    day.pass_seconds(EXCHANGE_SECONDS)
    budget.check()
    assert totals_of(s3, day()) == (0.3, 0.3, 0.3)


def test_a_run_has_one_object_a_day_whatever_it_spends_and_how_long() -> None:
    """An object a second is what the listing of every later run has to go through."""
    s3, day = MemoryS3(), Day()
    budget = budget_on(s3, day)
    for _ in range(50):
        budget.check()
        budget.spend(0.01)
        day.pass_seconds(EXCHANGE_SECONDS)
    budget.save_spending()
    assert sum(key.startswith("spending/date=") for key in s3.objects) == 1
    assert len(s3.objects) == 2, "the other one is the sum of the month's days before"
    assert totals_of(s3, day())[0] == pytest.approx(0.5)


def test_an_object_that_could_not_be_deleted_is_not_counted_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed between the two calls, or without the permission to delete."""
    s3, day = MemoryS3(), Day()
    answer = {"Errors": [{"Code": "AccessDenied"}]}
    monkeypatch.setattr(s3, "delete_objects", lambda **request: answer)
    budget = budget_on(s3, day)
    for _ in range(3):
        budget.check()
        budget.spend(0.1)
        day.pass_seconds(EXCHANGE_SECONDS)
    budget.save_spending()
    assert sum(key.startswith("spending/date=") for key in s3.objects) == 3
    assert totals_of(s3, day())[1] == pytest.approx(0.3)


def test_days_that_are_over_are_summed_up_so_that_listings_stay_short() -> None:
    """1,400 runs a day are 42,000 objects at the end of a month, listed by every one of them."""
    listed: list[int] = []
    s3, day = MemoryS3(), Day(datetime(2026, 11, 1, 12, tzinfo=timezone.utc))
    for _ in range(25):
        for number in range(4):
            spend_a_run(s3, day, 0.25, folder=f"country=NL/date=2025-03-{number + 1:02}")
        day.pass_seconds(86_400)
    spend_a_run(s3, day, 1.0)
    s3.before_call = lambda: listed.append(1)
    assert totals_of(s3, day()) == (1.0, 1.0, 26.0)
    assert len(listed) <= 16, "a page holds two objects here: a month's sums, and one day"


def test_a_day_is_summed_up_only_when_its_runs_have_written_their_last() -> None:
    """The last amounts of a day are written after midnight: summed up before, they were never counted."""
    s3, day = MemoryS3(), Day(NOON.replace(hour=23, minute=59))
    spend_a_run(s3, day, 0.25, folder="country=FR/date=2025-03-04")
    budget = budget_on(s3, day)
    budget.check()
    budget.spend(1.0)
    day.pass_seconds(60 + CLOSING_TIME.seconds - 5)
    spend_a_run(s3, day, 0.5, folder="country=BE/date=2025-03-04")
    budget.save_spending()
    day.pass_seconds(10)
    assert totals_of(s3, day())[2] == pytest.approx(1.75)
    assert totals_of(s3, day())[2] == pytest.approx(1.75), "after it was summed up"


@pytest.mark.parametrize(
    "key",
    [
        "spending/date=2026-11-26/notes.txt",
        "spending/date=2026-11-26/country=NL/date=2025-03-04/x-1.json",
        f"spending/date=2026-11-26/{FOLDER}/{'a' * 32}-1.5.json",
        f"spending/date=2026-11-26/{FOLDER}/{'a' * 32}--1.500000000.json",
        "spending/month=2026-11/2026-11-25.json",
        "spending/month=2026-11/2026-11-31-1.500000000.json",
        f"spending/date=2026-11-31/{FOLDER}/{'a' * 32}-1.500000000.json",
    ],
)
def test_what_others_put_there_is_nobodys_spending(key: str) -> None:
    """A stray object must not stop every run of the month."""
    s3 = MemoryS3()
    s3.put_object(Key=key, Body=b"")
    assert parse_key(key) is None
    assert totals_of(s3, NOON) == (0, 0, 0)


# --- names ------------------------------------------------------------------------------------

amounts = st.integers(0, 10**12).map(lambda number: number / 10**9)
runs = st.builds(
    Spent,
    day=st.dates(date(2025, 1, 1), date(2030, 1, 1)),
    folder=st.sampled_from([FOLDER, "golden/eu.model-v1:0", "preview"]),
    run=st.sampled_from(["a" * 32, "0123456789abcdef" * 2]),
    usd=amounts,
)


@given(runs)
def test_a_name_reads_back_as_it_was_written(spent: Spent) -> None:
    """The amount stands nowhere else."""
    assert parse_key(format_spending_key(spent)) == spent
    assert re.fullmatch(r"spending/date=\d{4}-\d\d-\d\d/.*\.json", format_spending_key(spent))


@given(st.lists(runs, max_size=12))
def test_of_each_run_and_day_the_largest_amount_counts(found: list[Spent]) -> None:
    """A run's spending only grows; its objects come in any order."""
    kept = {(each.day, each.folder, each.run): each.usd for each in latest_of_each_run(found)}
    for each in found:
        same = [
            other.usd for other in found if (other.day, other.folder, other.run) == (each.day, each.folder, each.run)
        ]
        assert kept[each.day, each.folder, each.run] == max(same)


def test_a_budget_in_threads_counts_every_dollar() -> None:
    """A lost update is a cap that is never reached."""
    s3, day = MemoryS3(), Day()
    budget = budget_on(s3, day)

    def spend() -> None:
        for _ in range(500):
            budget.spend(0.001)

    threads = [threading.Thread(target=spend) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    budget.save_spending()
    assert totals_of(s3, day())[1] == pytest.approx(2.0)


def test_spending_is_told_by_one_listing_from_a_days_first_run_on() -> None:
    """Each run listed the days and the sums apart, and where nothing had been spent the whole month (issue 11)."""
    s3 = MemoryS3()
    bucket, asked = Bucket(s3, "data", "X"), []
    noon = datetime(2026, 11, 24, 12, tzinfo=timezone.utc)
    for day in (20, 21, 24):
        bucket.put(format_spending_key(Spent(date(2026, 11, day), "NL", f"{day:032x}", 0.5)), b"{}")
    first = read_spending_totals(bucket, "NL", noon)
    s3.before_call = lambda: asked.append(1)
    assert read_spending_totals(bucket, "NL", noon) == first
    assert (first.day, first.month) == (0.5, 1.5)
    assert len(asked) == 1
