"""What outlives its age and what does not."""

from datetime import date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cs_features.errors import AwsRefusal
from cs_features.retention.rules import EndedRun, choose_removable_runs, find_read_notices, is_old_day, is_old_spending
from cs_features.retention.sweeps import Sweeper, SweepResult, apply_retention_sweepers, build_sweep_frame
from cs_features.s3 import StoredObject

NOW = datetime(2026, 11, 24, 12, tzinfo=timezone.utc)
MONTH = timedelta(days=30)
FOLDER = "country=NL/date=2026-08-01"


@given(st.dictionaries(st.text(min_size=1), st.integers(0, 90)), st.sets(st.text()))
def test_of_old_runs_those_go_that_no_state_is_told_from_and_no_young_one_does(
    ages: dict[str, int], latest: set[str]
) -> None:
    """A partition whose last run was deleted shows as never materialized, and somebody pays for it again."""
    ended = [EndedRun(name, NOW - timedelta(days=days)) for name, days in ages.items()]
    chosen = choose_removable_runs(ended, latest, NOW, MONTH)
    old = {name for name, days in ages.items() if days > 30}
    assert set(chosen.deleted) == old - latest
    assert set(chosen.reduced) == old & latest


@pytest.mark.parametrize(
    ("published_days_ago", "is_swept"), [(90, False), (80, False), (79, False), (78, True), (0, True), (None, False)]
)
def test_a_notice_goes_only_after_its_partition_was_published_with_it(
    published_days_ago: int | None, is_swept: bool
) -> None:
    """Kind "absence": an interaction waits to be written again until its notice is read, however long that takes."""
    notice = StoredObject(f"superseded/{FOLDER}/BE-2026-08-02.json", "e", 10, NOW - timedelta(days=80))
    published = {} if published_days_ago is None else {FOLDER: NOW - timedelta(days=published_days_ago)}
    found = find_read_notices({FOLDER: [notice]}, published, NOW, MONTH)
    assert bool(found) is is_swept
    assert find_read_notices({FOLDER: [notice]}, published, NOW, timedelta(days=100)) == []


@pytest.mark.parametrize(
    ("folder", "is_old"),
    [
        ("country=NL/date=2026-10-24", True),
        ("country=NL/date=2026-10-25", False),
        ("golden/country=NL/language=nl", False),
        ("country=NL/date=long-ago", False),
    ],
)
def test_a_ledger_goes_by_its_day_and_a_corpus_never_does(folder: str, is_old: bool) -> None:
    """The golden corpus is asked again with each prompt: its ledger was a month's measurements."""
    assert is_old_day(folder, NOW, MONTH) is is_old


def test_what_was_spent_this_month_is_counted_whatever_its_age() -> None:
    """A cap that forgets spends twice."""
    assert not is_old_spending(date(2026, 11, 2), NOW, timedelta(days=7))
    assert is_old_spending(date(2026, 10, 31), NOW, timedelta(days=7))
    assert not is_old_spending(date(2026, 10, 31), NOW, MONTH)


def test_a_sweep_that_is_refused_stops_no_other_and_is_told() -> None:
    def refuse(now: datetime, dry_run: bool) -> SweepResult:
        raise AwsRefusal("Bucket x: allow s3:DeleteObject")

    swept = SweepResult("b", 5, 3, 2_000_000)
    results = apply_retention_sweepers([Sweeper("a", refuse), Sweeper("b", lambda *_: swept)], NOW, False)
    assert results == [SweepResult("a", 0, 0, 0, "Bucket x: allow s3:DeleteObject"), swept]
    assert build_sweep_frame(results).rows()[1] == ("b", 5, 3, 2.0, "")
