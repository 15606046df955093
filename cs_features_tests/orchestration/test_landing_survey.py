"""What a tick lists and what it leaves alone: and that nothing is concluded from what was not listed."""

from datetime import date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cs_features.monitoring.findings import Differences, name_documents_finding, write_reconciled_differences
from cs_features.orchestration.failures import Cause
from cs_features.orchestration.sensors.landing_decision import Failed, Folder, Limits, Observed, decide_runs
from cs_features.orchestration.sensors.landing_memory import Cursor, Request, parse_cursor
from cs_features.orchestration.sensors.landing_survey import (
    LISTED_SINGLY,
    WHOLE_WINDOW_EVERY,
    Scope,
    Window,
    choose_scope,
    fill_unlisted,
)
from cs_features.s3 import StoredObject
from cs_features_tests.support.documents import document, jsonl
from cs_features_tests.support.lab import Lab
from cs_features_tests.support.landing_sensor import TODAY, key, leave_note, partitions, tick
from cs_features_tests.support.refusals import refused_listing

NOW = datetime(2026, 11, 24, 12, tzinfo=timezone.utc)
WINDOW = Window(date(2026, 10, 20), date(2026, 11, 24))
YESTERDAY = date(2026, 11, 23)
LIMITS = Limits(timedelta(seconds=60), timedelta(minutes=25), 50)
OLD, NEW = "NL|2026-11-10", "NL|2026-11-24"
ASKED = {OLD: Request(fingerprint="a"), NEW: Request(fingerprint="b")}
FRESH = Cursor(asked=ASKED, surveyed_at=NOW - timedelta(minutes=30))


def choose(
    cursor: Cursor, known: Observed | None = None, notices: dict[str, list[StoredObject]] | None = None
) -> Scope:
    return choose_scope(cursor, known or Observed(NOW, {}), notices or {}, WINDOW, LIMITS)


# --- what is listed ---------------------------------------------------------------------------


def test_the_window_is_listed_every_hour_and_today_and_yesterday_in_each_tick() -> None:
    """At 1.3 million documents a year, a window of 35 days in each tick was 11.6 million listings a month: $63."""
    assert choose(FRESH) == Scope(YESTERDAY, is_whole=False)
    assert choose(FRESH.model_copy(update={"surveyed_at": NOW - WHOLE_WINDOW_EVERY})) == Scope(WINDOW.since)
    assert choose(Cursor(asked=ASKED)) == Scope(WINDOW.since), "a first tick, or a cursor of an older version"


def test_a_clock_that_was_set_back_lists_the_window_at_once() -> None:
    """Until the time came again nothing old would have been looked at: once, for a year."""
    assert choose(FRESH.model_copy(update={"surveyed_at": NOW + timedelta(days=365)})).is_whole


def test_an_older_folder_that_was_seen_changing_is_looked_at_in_each_tick() -> None:
    """It rested a minute later, and was run an hour later."""
    waiting = FRESH.model_copy(update={"changing_since": {OLD: NOW}})
    assert choose(waiting).singly == {OLD}


def test_a_failure_of_an_older_day_is_tried_again_as_early_as_any() -> None:
    failed = {OLD: Failed(FRESH.run_key(OLD, ASKED[OLD]), NOW - timedelta(minutes=6), Cause.OUTAGE)}
    assert choose(FRESH, Observed(NOW, {}, failed)).singly == {OLD}
    given_up = {OLD: Failed(FRESH.run_key(OLD, ASKED[OLD]), NOW - timedelta(minutes=6), Cause.BUDGET)}
    assert choose(FRESH, Observed(NOW, {}, given_up)).singly == frozenset(), "it would be listed at each tick for ever"


def test_a_finding_about_an_older_day_is_looked_at_and_one_that_was_run_is_not() -> None:
    night = Observed(NOW, {}, differences=Differences("night", name_documents_finding([OLD])))
    assert choose(FRESH, night).singly == {OLD}
    run = FRESH.model_copy(update={"asked": {OLD: Request(fingerprint="a", found_by="night")}})
    assert choose(run, night).singly == frozenset()


def test_a_notice_to_an_older_day_is_seen_before_the_next_hour() -> None:
    notice = StoredObject("superseded/x", "e", 1, NOW - timedelta(minutes=10))
    assert choose(FRESH, notices={"country=NL/date=2026-11-10": [notice]}).singly == {OLD}
    old = StoredObject("superseded/x", "e", 1, NOW - timedelta(minutes=40))
    assert choose(FRESH, notices={"country=NL/date=2026-11-10": [old]}).singly == frozenset()


def test_where_many_older_days_wait_the_window_is_listed_instead() -> None:
    """A month uploaded at once is a listing a day and tick otherwise: thousands an hour."""
    days = [f"{country}|2026-11-{day:02}" for country in ("BE", "NL") for day in range(1, 2 + LISTED_SINGLY // 2)]
    assert choose(FRESH.model_copy(update={"changing_since": dict.fromkeys(days, NOW)})).is_whole


# --- what is concluded ------------------------------------------------------------------------


def test_what_was_not_listed_is_neither_gone_nor_changed() -> None:
    """Kind "absence taken for an order": a listing that was not made says nothing."""
    scope = Scope(YESTERDAY, is_whole=False)
    folders = fill_unlisted({}, scope, FRESH, NOW)
    assert folders == {OLD: Folder("a", NOW)}
    decision = decide_runs(FRESH, Observed(NOW, folders), LIMITS)
    assert (decision.runs, decision.emptied) == ({}, [NEW])


def test_what_was_known_to_be_empty_stays_so_until_it_is_listed_again() -> None:
    cursor = FRESH.model_copy(update={"emptied": {OLD: "etag"}})
    assert OLD not in fill_unlisted({}, Scope(YESTERDAY, is_whole=False), cursor, NOW)


@pytest.mark.parametrize(
    ("scope", "covered"),
    [
        (Scope(WINDOW.since), {OLD, NEW}),
        (Scope(YESTERDAY, is_whole=False), {NEW}),
        (Scope(YESTERDAY, is_whole=False, singly=frozenset({OLD})), {OLD, NEW}),
    ],
)
def test_a_scope_covers_what_it_lists(scope: Scope, covered: set[str]) -> None:
    assert {each for each in (OLD, NEW) if scope.covers(each)} == covered


# --- always -----------------------------------------------------------------------------------

DAYS = [f"{country}|2026-11-{day:02}" for country in ("BE", "NL") for day in (10, 11, 23, 24)]
HAPPENINGS = st.one_of(st.sampled_from(DAYS), st.sampled_from([-120, 1, 7, 30, 90]))


class Desk:
    """Ticks over folders that are counters; a negative step is a clock that is set back."""

    def __init__(self) -> None:
        self.now, self.cursor = NOW - timedelta(hours=6), Cursor()
        self.folders: dict[str, Folder] = {}
        self.served: dict[str, str] = {}

    def land(self, key: str) -> None:
        before = self.folders.get(key)
        count = int(before.fingerprint) if before else 0
        self.folders[key] = Folder(str(count + 1), self.now)

    def tick(self) -> Scope:
        scope = choose_scope(self.cursor, Observed(self.now, {}), {}, WINDOW, LIMITS)
        listed = {key: folder for key, folder in self.folders.items() if scope.covers(key)}
        folders = fill_unlisted(listed, scope, self.cursor, self.now)
        decision = decide_runs(self.cursor, Observed(self.now, folders), LIMITS)
        assert decision.emptied == [], "nothing was ever taken away"
        # The run lists the folder itself.
        self.served |= {key: self.folders[key].fingerprint for key in decision.runs}
        waiting = [*decision.settling, *decision.postponed]
        self.cursor = self.cursor.remember_decision(decision.runs, waiting, self.now)
        if scope.is_whole:
            self.cursor = self.cursor.model_copy(update={"surveyed_at": self.now})
        return scope


@pytest.mark.heavy
@given(st.lists(HAPPENINGS, max_size=40))
def test_whatever_lands_whenever_all_of_it_is_run_in_the_end(happenings: list[str | int]) -> None:
    """Listed hourly, an older day must end as it would if it were listed in each tick, whatever the clock does."""
    desk = Desk()
    for each in happenings:
        if isinstance(each, str):
            desk.land(each)
        else:
            desk.now += timedelta(minutes=each)
        desk.tick()
    # A clock that went back makes files come from the future: until then they are new.
    for _ in range(60):
        desk.now += timedelta(minutes=30)
        desk.tick()
    assert desk.served == {key: folder.fingerprint for key, folder in desk.folders.items()}


# --- ticks ------------------------------------------------------------------------------------

LAST_WEEK = TODAY - timedelta(days=7)


def expire(cursor: str | None) -> str:
    """The cursor of an hour later."""
    remembered = parse_cursor(cursor or "")
    assert remembered is not None
    assert remembered.surveyed_at is not None
    earlier = remembered.surveyed_at - WHOLE_WINDOW_EVERY
    return remembered.model_copy(update={"surveyed_at": earlier}).model_dump_json(exclude_defaults=True)


def test_a_late_file_in_an_older_day_is_found_within_the_hour_and_a_deleted_folder_is_not_invented(lab: Lab) -> None:
    lab.land("NL", LAST_WEEK, "a.jsonl", jsonl([document()]))
    lab.land("NL", TODAY, "a.jsonl", jsonl([document()]))
    first = tick(lab)
    assert partitions(first) == [key("NL", TODAY), key("NL", LAST_WEEK)]
    lab.land("NL", LAST_WEEK, "late.jsonl", jsonl([document()]))
    lab.land("NL", TODAY, "b.jsonl", jsonl([document()]))
    between = tick(lab, first.cursor)
    assert partitions(between) == [key("NL", TODAY)]
    assert partitions(tick(lab, between.cursor)) == []
    hourly = tick(lab, expire(between.cursor))
    assert partitions(hourly) == [key("NL", LAST_WEEK)]
    assert partitions(tick(lab, hourly.cursor)) == []


def test_a_country_that_cannot_be_listed_stops_no_other_and_keeps_what_it_was_asked_for(lab: Lab) -> None:
    """One country's prefix was denied by the bucket's policy, and no tick ever ended: nothing of the other four was
    run."""
    lab.land("PL", TODAY, "a.jsonl", jsonl([document()]))
    cursor = tick(lab).cursor
    lab.land("PL", TODAY, "b.jsonl", jsonl([document()]))
    lab.land("NL", TODAY, "a.jsonl", jsonl([document()]))
    with refused_listing("interactions/country=PL"):
        blind = tick(lab, cursor)
        assert partitions(blind) == [key("NL", TODAY)]
        told = tick(lab, blind.cursor).skip_message or ""
    assert "PL is left as it was" in told
    assert "AccessDenied" in told
    assert partitions(tick(lab, blind.cursor)) == [key("PL", TODAY)]
    with refused_listing("interactions/"):
        assert tick(lab, blind.cursor).cursor == blind.cursor


def test_ticks_between_ask_s3_for_a_listing_a_country_and_no_more(lab: Lab) -> None:
    """Eleven million a month, of which hardly one showed anything new."""
    for ago in range(5):
        lab.land("NL", TODAY - timedelta(days=ago), "a.jsonl", jsonl([document()]))
    cursor = tick(lab).cursor
    assert lab.count_listings(lambda: tick(lab, cursor)) == 5 + 1, "five countries, and the notices"


def test_a_stray_is_told_by_the_ticks_between_too(lab: Lab) -> None:
    lab.land("XX", TODAY, "a.jsonl", b"x")
    first = tick(lab)
    assert "country=XX" in (first.skip_message or "")
    assert "country=XX" in (tick(lab, first.cursor).skip_message or "")


def test_a_note_to_an_older_day_is_run_by_the_next_tick(lab: Lab) -> None:
    lab.land("NL", LAST_WEEK, "a.jsonl", b"x")
    cursor = tick(lab).cursor
    leave_note(lab, "NL", LAST_WEEK)
    assert partitions(tick(lab, cursor)) == [key("NL", LAST_WEEK)]


def test_a_finding_about_a_day_that_was_never_asked_for_waits_for_the_hour_and_empties_nothing(lab: Lab) -> None:
    lab.land("NL", TODAY, "a.jsonl", b"x")
    cursor = tick(lab).cursor
    lab.land("NL", LAST_WEEK, "a.jsonl", b"x")
    write_reconciled_differences(
        lab.resources["data"].tables(), Differences("n", name_documents_finding([key("NL", LAST_WEEK)]))
    )
    between = tick(lab, cursor)
    assert partitions(between) == []
    assert "gone" not in (between.skip_message or "")
    assert partitions(tick(lab, expire(between.cursor))) == [key("NL", LAST_WEEK)]


def test_todays_documents_go_before_older_ones_and_before_what_has_no_priority(lab: Lab) -> None:
    """Fault 47: a backfill of a month stood before today's documents for ten minutes."""
    for day in (TODAY, TODAY - timedelta(days=1), LAST_WEEK):
        lab.land("NL", day, "a.jsonl", b"x")
    tags = [request.tags for request in tick(lab).run_requests]
    assert [each["dagster/priority"] for each in tags] == ["10", "10", "5"]
    assert ["cs_features/lane" in each for each in tags] == [False, False, True]
