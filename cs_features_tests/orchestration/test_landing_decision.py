"""What the landing sensor decides, by itself: reasons to run, what is no reason, and what it remembers."""

import itertools
import json
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cs_features.monitoring.findings import Differences, name_documents_finding
from cs_features.orchestration.failures import Cause
from cs_features.orchestration.sensors.landing_decision import (
    MAX_TRIES,
    RETRY_AFTER,
    Decision,
    Failed,
    Folder,
    Limits,
    Observed,
    Reason,
    decide_runs,
)
from cs_features.orchestration.sensors.landing_memory import Cursor, Request, read_cursor

NOW = datetime(2026, 11, 24, 12, tzinfo=timezone.utc)
QUIET, PATIENCE = timedelta(seconds=60), timedelta(minutes=25)
NL_23, NL_24, BE_24 = "NL|2026-11-23", "NL|2026-11-24", "BE|2026-11-24"


def folder(fingerprint: str, seconds_ago: float = 3600) -> Folder:
    return Folder(fingerprint, NOW - timedelta(seconds=seconds_ago))


def remember(asked: dict[str, Any], **fields: Any) -> Cursor:
    requests = {key: Request(fingerprint=it) if isinstance(it, str) else it for key, it in asked.items()}
    return Cursor(asked=requests, **fields)


def decide(
    asked: dict[str, Any],
    folders: dict[str, Folder],
    *,
    limit: int = 50,
    changing_since: dict[str, datetime] | None = None,
    failures: dict[str, Failed] | None = None,
    differences: Differences | None = None,
) -> Decision:
    cursor = remember(asked, changing_since=changing_since or {})
    observed = Observed(NOW, folders, failures or {}, differences or Differences())
    return decide_runs(cursor, observed, Limits(QUIET, PATIENCE, limit))


def failed(key: str, request: Request, ago: timedelta, cause: Cause = Cause.OUTAGE) -> dict[str, Failed]:
    return {key: Failed(Cursor().run_key(key, request), NOW - ago, cause)}


def fingerprints(decision: Decision) -> dict[str, str]:
    return {key: request.fingerprint for key, request in decision.runs.items()}


def run_key(key: str, decision: Decision) -> str:
    return Cursor().run_key(key, decision.runs[key])


# --- new and changed --------------------------------------------------------------------------


def test_a_new_folder_is_run_and_one_that_did_not_change_is_not() -> None:
    decision = decide({NL_23: "a"}, {NL_23: folder("a"), NL_24: folder("b")})
    assert fingerprints(decision) == {NL_24: "b"}
    assert decision.reasons == {NL_24: Reason.NEW}
    assert (decision.settling, decision.postponed, decision.given_up, decision.emptied) == ([], [], [], [])


def test_a_late_or_replaced_file_runs_its_day_again() -> None:
    """A cursor of keys had passed that day: files that came late were never processed."""
    decision = decide({NL_23: "a", NL_24: "b"}, {NL_23: folder("a2"), NL_24: folder("b")})
    assert fingerprints(decision) == {NL_23: "a2"}
    assert decision.reasons == {NL_23: Reason.CHANGED}


def test_a_folder_that_is_still_being_written_waits() -> None:
    """A trickle of files became a run for each, and each run read half of the day."""
    decision = decide({}, {NL_24: folder("a", 59.9), BE_24: folder("b", 60)})
    assert fingerprints(decision) == {BE_24: "b"}
    assert decision.settling == [NL_24]


def test_a_file_from_the_future_of_a_fast_clock_is_one_that_has_just_come() -> None:
    """S3's clock was two seconds ahead of ours: without a quiet period the folder waited for the time to come."""
    observed = Observed(NOW, {NL_24: folder("a", -2)})
    assert list(decide_runs(Cursor(), observed, Limits(timedelta(0), PATIENCE, 50)).runs) == [NL_24]
    assert decide({}, {NL_24: folder("a", -2)}).settling == [NL_24]


def test_a_folder_that_never_rests_is_run_when_patience_ends() -> None:
    """A chat system lands a file every ten seconds, all day: waiting for rest, its features came at midnight."""
    restless = {NL_24: folder("b", 1), BE_24: folder("b", 1)}
    decision = decide({}, restless, changing_since={NL_24: NOW - PATIENCE, BE_24: NOW - PATIENCE / 2})
    assert (fingerprints(decision), decision.settling) == ({NL_24: "b"}, [BE_24])


def test_the_patience_begins_with_the_first_change_and_ends_with_the_run() -> None:
    """Begun anew at each change it never ends; never ended, every change of the rest of the day is a run."""
    cursor, moment, runs = Cursor(), NOW, []
    for number in range(int(PATIENCE.total_seconds() * 3.5 / 10)):
        moment += timedelta(seconds=10)
        observed = Observed(moment, {NL_24: Folder(f"state {number}", moment)})
        decision = decide_runs(cursor, observed, Limits(QUIET, PATIENCE, 50))
        cursor = cursor.remember_decision(decision.runs, decision.settling, moment)
        runs += [moment] * bool(decision.runs)
    assert len(runs) == 3
    assert all(later - earlier >= PATIENCE for earlier, later in itertools.pairwise(runs))


def test_the_first_document_of_a_day_is_run_when_it_has_rested_however_long_the_patience() -> None:
    """A patience of half an hour for the busy countries kept the only document of a small one waiting as long."""
    assert list(decide({}, {NL_24: folder("a", QUIET.total_seconds())}).runs) == [NL_24]


def test_each_run_of_a_folder_doubles_the_rest_that_it_needs_up_to_the_patience() -> None:
    """With a rest of a minute for ever, 3,600 documents a day were 1,618 runs."""
    rests = []
    for change in (None, 0, 1, 2, 3, 4, 400):
        asked = {} if change is None else {NL_24: Request(fingerprint="a", change=change)}
        ages = (seconds for seconds in range(0, 2000, 10) if decide(asked, {NL_24: folder("b", seconds)}).runs)
        rests.append(next(ages))
    assert rests == [60, 120, 240, 480, 960, 1500, 1500]


def test_what_waits_is_not_marked_as_asked_for() -> None:
    """Marked while it waited, the folder would never be run."""
    waiting = decide({NL_24: "a"}, {NL_24: folder("b", 1)})
    assert fingerprints(decide({NL_24: "a", **waiting.runs}, {NL_24: folder("b")})) == {NL_24: "b"}


def test_the_newest_day_goes_first_and_the_rest_is_left_for_the_next_tick() -> None:
    """After an outage the backlog came oldest first, and today's features were late for a day."""
    days = {f"{country}|2026-11-{day:02}": folder("x") for country in ("BE", "NL") for day in range(20, 25)}
    decision = decide({}, days, limit=3)
    assert list(decision.runs) == ["NL|2026-11-24", "BE|2026-11-24", "NL|2026-11-23"]
    assert len(decision.postponed) == 7
    assert set(decide(dict(decision.runs), days, limit=50).runs) == set(decision.postponed)


def test_each_change_is_asked_for_under_a_run_key_of_its_own() -> None:
    """A file was added and deleted again: the state was the first one's, and Dagster never runs one key twice. The
    interactions of the deleted file stayed in the store."""
    asked, run_keys = dict[str, Request](), []
    for state in ("a", "b", "a", "b", "a"):
        decision = decide(dict(asked), {NL_24: folder(state)})
        run_keys.append(run_key(NL_24, decision))
        asked = dict(decision.runs)
    assert len(set(run_keys)) == 5


# --- gone -------------------------------------------------------------------------------------


@pytest.mark.parametrize("differences", [Differences(), Differences("night", name_documents_finding([NL_24]))])
def test_a_folder_whose_documents_are_gone_is_told_and_never_run(differences: Differences) -> None:
    """Fault 3: the landing bucket was set to another one, every partition of the window was "emptied", each was run,
    and the store was empty by noon, in green."""
    decision = decide({NL_24: "a", BE_24: "b"}, {BE_24: folder("b")}, differences=differences)
    assert (decision.runs, decision.emptied) == ({}, [NL_24])


def test_a_window_that_is_suddenly_empty_runs_nothing_at_all() -> None:
    """Fault 3: objects expired after thirty days, or a policy hid the prefix: an answer without objects is no order."""
    asked = {f"{country}|2026-11-{day:02}": "a" for country in ("BE", "NL") for day in range(1, 25)}
    decision = decide(asked, {})
    assert (decision.runs, decision.emptied) == ({}, sorted(asked))


def test_a_finding_about_a_folder_without_documents_runs_nothing_either() -> None:
    """Fault 3 through the back door: the cursor was reset, and the night's inventory asked for the empty folders."""
    decision = decide({}, {}, differences=Differences("night", name_documents_finding([NL_24])))
    assert (decision.runs, decision.emptied) == ({}, [NL_24])


def test_documents_that_are_seen_again_are_run_only_if_they_are_others() -> None:
    """For an hour a listing showed nothing. Nothing was run for that, and so nothing is to be repaired."""
    asked = {NL_24: "a"}
    assert decide(asked, {}).emptied == [NL_24]
    assert not decide(asked, {NL_24: folder("a")}).runs
    assert fingerprints(decide(asked, {NL_24: folder("b")})) == {NL_24: "b"}


# --- failed -----------------------------------------------------------------------------------


@pytest.mark.parametrize("cause", [Cause.OUTAGE, Cause.LOST, Cause.UNKNOWN])
def test_what_may_pass_is_tried_again_later_under_a_new_run_key_but_not_for_ever(cause: Cause) -> None:
    """Dagster never runs a key twice, whatever became of it: one bad hour of Bedrock lost the day for good."""
    folders, request, keys = {NL_24: folder("a")}, Request(fingerprint="a"), []
    for wait in RETRY_AFTER:
        keys.append(Cursor().run_key(NL_24, request))
        too_early = failed(NL_24, request, wait - timedelta(seconds=1), cause)
        assert not decide({NL_24: request}, folders, failures=too_early).runs
        decision = decide({NL_24: request}, folders, failures=failed(NL_24, request, wait, cause))
        assert decision.reasons == {NL_24: Reason.RETRY}
        request = decision.runs[NL_24]
    keys.append(Cursor().run_key(NL_24, request))
    last = decide({NL_24: request}, folders, failures=failed(NL_24, request, timedelta(days=1), cause))
    assert (last.runs, last.given_up) == ({}, [NL_24])
    assert len(set(keys)) == MAX_TRIES


@pytest.mark.parametrize("cause", [Cause.LASTING, Cause.BUDGET, Cause.CHECK, Cause.STOPPED])
def test_what_stays_until_somebody_mends_it_is_not_tried_again(cause: Cause) -> None:
    """Fault 49: a blocking check and a misspelt setting were retried like an outage, three times each. Fault 35: each
    retry renewed the budget."""
    request = Request(fingerprint="a")
    long_ago = failed(NL_24, request, timedelta(days=1), cause)
    decision = decide({NL_24: request}, {NL_24: folder("a")}, failures=long_ago)
    assert (decision.runs, decision.given_up) == ({}, [NL_24])


@pytest.mark.parametrize("cause", list(Cause))
def test_a_folder_that_changed_after_its_run_failed_begins_anew_whatever_the_cause(cause: Cause) -> None:
    """The file that broke the run was replaced: the new one deserves all its tries."""
    given_up = Request(fingerprint="a", tries=MAX_TRIES)
    failures = failed(NL_24, given_up, timedelta(0), cause)
    decision = decide({NL_24: given_up}, {NL_24: folder("b")}, failures=failures)
    assert decision.runs == {NL_24: Request(fingerprint="b", change=1)}


def test_the_failure_of_an_earlier_state_is_no_reason_to_run_the_present_one() -> None:
    earlier = failed(NL_24, Request(fingerprint="a"), timedelta(days=1))
    decision = decide({NL_24: "b"}, {NL_24: folder("b")}, failures=earlier)
    assert (decision.runs, decision.given_up) == ({}, [])


def test_run_keys_name_their_job() -> None:
    """Fault 12: the run of a week has a key of the same form, and it hid the failure of the day."""
    assert Cursor().run_key(NL_24, Request(fingerprint="a")) == "process_interactions:NL|2026-11-24:a"


# --- found ------------------------------------------------------------------------------------


def test_a_difference_found_by_reconciliation_is_run_once_for_each_finding() -> None:
    """Found every night and never run, it stays; run at every tick, it never ends."""
    folders, first = {NL_23: folder("a"), NL_24: folder("b")}, Differences("first", name_documents_finding([NL_23]))
    once = decide({NL_23: "a", NL_24: "b"}, folders, differences=first)
    assert once.reasons == {NL_23: Reason.DIFFERS}
    after = {NL_23: "a", NL_24: "b", **once.runs}
    assert not decide(after, folders, differences=first).runs
    again = decide(after, folders, differences=Differences("second", name_documents_finding([NL_23])))
    keys = {Cursor().run_key(NL_23, Request(fingerprint="a")), run_key(NL_23, once), run_key(NL_23, again)}
    assert len(keys) == 3


def test_a_changed_folder_that_is_also_found_to_differ_is_run_once() -> None:
    """Found at night, seen in the morning: the change and the finding were two runs of one partition at once."""
    night = Differences("night", name_documents_finding([NL_24]))
    decision = decide({NL_24: "a"}, {NL_24: folder("b")}, differences=night)
    assert decision.runs[NL_24].found_by == "night"
    assert not decide(dict(decision.runs), {NL_24: folder("b")}, differences=night).runs


def test_a_finding_buys_no_partition_a_second_budget() -> None:
    """Fault 46: the country's budget was spent at 17:27, and the inventory's finding launched it again at 17:30."""
    request = Request(fingerprint="a")
    night = Differences("night", name_documents_finding([NL_24]))
    for cause, runs in ((Cause.BUDGET, 0), (Cause.LASTING, 1), (Cause.CHECK, 1), (Cause.OUTAGE, 1)):
        failures = failed(NL_24, request, timedelta(hours=1), cause)
        decision = decide({NL_24: request}, {NL_24: folder("a")}, failures=failures, differences=night)
        assert len(decision.runs) == runs, cause


def test_a_finding_gives_a_partition_all_its_tries_again() -> None:
    """Given up in an outage of a night; the inventory found it in the morning, and one more hiccup was the end."""
    given_up = Request(fingerprint="a", tries=MAX_TRIES)
    failures = failed(NL_24, given_up, timedelta(hours=5))
    decision = decide(
        {NL_24: given_up},
        {NL_24: folder("a")},
        failures=failures,
        differences=Differences("n", name_documents_finding([NL_24])),
    )
    assert decision.runs[NL_24].tries == 1


def test_a_finding_about_one_partition_asks_for_no_other() -> None:
    folders = {NL_24: folder("a"), BE_24: folder("b")}
    night = Differences("night", name_documents_finding([NL_24]))
    assert list(decide({NL_24: "a", BE_24: "b"}, folders, differences=night).runs) == [NL_24]


@pytest.mark.parametrize(
    ("kinds", "verifies"),
    [({"documents"}, False), ({"superseded"}, False), ({"unpublished"}, True), ({"documents", "taken_out"}, True)],
)
def test_what_differs_in_the_store_is_run_so_that_the_store_is_asked(kinds: set[str], verifies: bool) -> None:
    """Fault 45: a record was deleted online, and a run that believes its manifest says unchanged for ever."""
    night = Differences("night", {NL_24: frozenset(kinds)})
    for asked in ({NL_24: "a"}, {NL_24: "before"}, {}):
        (request,) = decide(asked, {NL_24: folder("a")}, differences=night).runs.values()
        assert request.verify_online is verifies
        retried = decide({NL_24: request}, {NL_24: folder("a")}, failures=failed(NL_24, request, RETRY_AFTER[0]))
        assert retried.runs[NL_24].verify_online is verifies


# --- always -----------------------------------------------------------------------------------

STATES = st.sampled_from(["a", "b"])
KEYS = st.sampled_from([NL_23, NL_24, BE_24])


@given(st.dictionaries(KEYS, STATES), st.dictionaries(KEYS, st.tuples(STATES, st.integers(0, 120))), st.integers(1, 3))
def test_the_decision_always_comes_to_rest(
    before: dict[str, str], found: dict[str, tuple[str, int]], limit: int
) -> None:
    """Repeated on a bucket at rest, the sensor asks for each change once and then for nothing."""
    folders = {key: folder(state) for key, (state, _) in found.items()}
    asked: dict[str, Any] = dict(before)
    runs = []
    for _ in range(5):
        decision = decide(asked, folders, limit=limit)
        assert len(decision.runs) <= limit
        runs += list(decision.runs)
        asked |= decision.runs
    assert sorted(runs) == sorted(key for key, (state, _) in found.items() if before.get(key) != state)
    assert decide(asked, folders).emptied == sorted(before.keys() - found.keys())


@given(
    st.dictionaries(KEYS, STATES),
    st.dictionaries(KEYS, STATES),
    st.dictionaries(KEYS, st.tuples(st.sampled_from(list(Cause)), st.integers(0, 10_000))),
    st.sets(KEYS),
)
def test_whatever_is_known_each_partition_has_one_verdict_and_no_empty_folder_is_run(
    asked: dict[str, str], found: dict[str, str], failures: dict[str, tuple[Cause, int]], differing: set[str]
) -> None:
    """Fault 3: whichever reasons come together, none of them may run a partition without documents."""
    ended = {
        key: Failed(Cursor().run_key(key, Request(fingerprint=asked.get(key, "a"))), NOW - timedelta(seconds=ago), it)
        for key, (it, ago) in failures.items()
    }
    folders = {key: folder(state) for key, state in found.items()}
    decision = decide(asked, folders, failures=ended, differences=Differences("n", name_documents_finding(differing)))
    assert decision.runs.keys() <= found.keys()
    verdicts = [*decision.runs, *decision.settling, *decision.postponed, *decision.emptied, *decision.given_up]
    assert len(verdicts) == len(set(verdicts))


# --- the memory -------------------------------------------------------------------------------


def test_a_cursor_comes_back_as_it_was_written() -> None:
    cursor = remember({NL_24: Request(fingerprint="a", tries=2, found_by="n", verify_online=True, change=3)})
    cursor = cursor.model_copy(update={"bucket": "cs-landing", "emptied": {BE_24: "e"}, "beat_at": NOW})
    recalled = read_cursor(cursor.model_dump_json(exclude_defaults=True), "cs-landing", NOW)
    assert (recalled.cursor, recalled.warning) == (cursor, "")


def test_a_cursor_about_another_bucket_is_a_fresh_start_that_empties_nothing() -> None:
    """Fault 3: CS_FEATURES_LANDING_BUCKET was set to another, empty bucket; back again, its runs were asked for under
    run keys that Dagster had seen, and the store kept what the other bucket had left."""
    first = remember({NL_24: "a"}, bucket="cs-landing")
    other = read_cursor(first.model_dump_json(), "cs-other", NOW)
    assert "cs-landing" in other.warning
    assert "cs-other" in other.warning
    assert other.cursor.asked == {}
    observed = Observed(NOW, {})
    decision = decide_runs(other.cursor, observed, Limits(QUIET, PATIENCE, 50))
    assert (decision.runs, decision.emptied) == ({}, [])

    back = read_cursor(other.cursor.model_dump_json(), "cs-landing", NOW + timedelta(hours=1)).cursor
    decision = decide_runs(back, Observed(NOW, {NL_24: folder("a")}), Limits(QUIET, PATIENCE, 50))
    assert back.run_key(NL_24, decision.runs[NL_24]) != first.run_key(NL_24, first.asked[NL_24])


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "null",
        "[]",
        '"NL"',
        '{"asked": {"NL|2026-11-24": 7}}',
        '{"asked": {"NL|2026-11-24": {"tries": 2}}}',
        "\x00",
    ],
)
def test_a_cursor_that_cannot_be_read_is_a_fresh_start_with_a_warning(text: str) -> None:
    """Kind "memory": an unreadable cursor raised at every tick, of all countries, until somebody reset it by hand."""
    recalled = read_cursor(text, "cs-landing", NOW)
    assert recalled.cursor.asked == {}
    assert "cannot be read" in recalled.warning
    assert recalled.cursor.run_key(NL_24, Request(fingerprint="a")) != Cursor().run_key(NL_24, Request(fingerprint="a"))


def test_a_cursor_of_an_older_version_goes_on_and_one_of_a_newer_version_too() -> None:
    """Rule 4: readers of stored state tolerate other versions. An upgrade that forgets runs every partition again."""
    older = {"asked": {NL_24: {"fingerprint": "a", "reconciled": "n", "change": 2}}, "changing_since": {}}
    recalled = read_cursor(json.dumps(older), "cs-landing", NOW)
    assert (recalled.warning, recalled.cursor.bucket) == ("", "cs-landing")
    assert not decide_runs(recalled.cursor, Observed(NOW, {NL_24: folder("a")}), Limits(QUIET, PATIENCE, 50)).runs
    newer = {"bucket": "cs-landing", "asked": {NL_24: {"fingerprint": "a", "mood": 1}}, "weather": ["fine"]}
    assert read_cursor(json.dumps(newer), "cs-landing", NOW).cursor.asked == {NL_24: Request(fingerprint="a")}


@pytest.mark.heavy
@given(
    st.text()
    | st.recursive(st.none() | st.integers() | st.text(), lambda it: st.dictionaries(st.text(), it)).map(json.dumps)
)
def test_no_text_whatever_makes_a_cursor_raise(text: str) -> None:
    assert read_cursor(text, "cs-landing", NOW).cursor.bucket == "cs-landing"
