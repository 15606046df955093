"""The landing sensor: `decide` by itself, then whole ticks against the bucket."""

import itertools
import time
from datetime import timedelta
from typing import Any

import dagster as dg
from hypothesis import given
from hypothesis import strategies as st

from cs_features.monitoring.findings import Differences, name_documents_finding
from cs_features.orchestration.sensors.landing import (
    MAX_TRIES,
    PATIENCE,
    RETRY_AFTER,
    Asked,
    Cursor,
    Decision,
    Observed,
    decide,
    landing_sensor,
    look,
    next_cursor,
    observe,
)
from cs_features.s3 import StoredObject
from cs_features_tests.support.documents import document, jsonl
from cs_features_tests.support.lab import Lab
from cs_features_tests.support.landing_sensor import (
    BE_24,
    NL_23,
    NL_24,
    NOW,
    QUIET,
    TODAY,
    YESTERDAY,
    MakeLab,
    decided,
    key,
    leave_note,
    partitions,
    seen,
    tick,
)


def states(decision: Decision) -> dict[str, str]:
    return {key: asked.fingerprint for key, asked in decision.run.items()}


# --- decide -----------------------------------------------------------------------------------


def test_a_new_folder_is_run_and_one_that_did_not_change_is_not() -> None:
    decision = decided({NL_23: "a"}, {NL_23: seen("a"), NL_24: seen("b")})
    assert states(decision) == {NL_24: "b"}
    assert (decision.settling, decision.postponed, decision.given_up) == ([], [], [])


def test_a_late_or_replaced_file_runs_its_day_again() -> None:
    """A cursor of keys had passed that day: files that came late were never processed."""
    assert states(decided({NL_23: "a", NL_24: "b"}, {NL_23: seen("a2"), NL_24: seen("b")})) == {NL_23: "a2"}


def test_an_emptied_folder_is_run_once_more_and_then_left_alone() -> None:
    """Deleted for privacy: the features must go from the store too, and once is enough."""
    first = decided({NL_24: "a"}, {})
    assert list(first.run) == [NL_24]
    assert not decided({NL_24: "a", **first.run}, {}).run


def test_a_folder_that_is_still_being_written_waits() -> None:
    """A trickle of files became a run for each, and each run read half of the day."""
    decision = decided({}, {NL_24: seen("a", 59.9), BE_24: seen("b", 60)})
    assert states(decision) == {BE_24: "b"}
    assert decision.settling == [NL_24]


def test_a_folder_that_never_rests_is_run_when_patience_ends() -> None:
    """A chat system lands a file every ten seconds, all day: waiting for rest, its features came at midnight."""
    restless = {NL_24: seen("b", 1), BE_24: seen("b", 1)}
    decision = decided({}, restless, changing_since={NL_24: NOW - PATIENCE, BE_24: NOW - PATIENCE / 2})
    assert (states(decision), decision.settling) == ({NL_24: "b"}, [BE_24])


def test_the_patience_begins_with_the_first_change_and_ends_with_the_run() -> None:
    """Begun anew at each change it never ends; never ended, every change of the rest of the day is a run."""
    cursor, moment, runs = Cursor(), NOW, []
    for number in range(int(PATIENCE.total_seconds() * 3 / 10)):
        moment += timedelta(seconds=10)
        observed = {NL_24: Observed(f"state {number}", moment)}
        decision = decide(cursor, observed, {}, Differences(), moment, QUIET, 50)
        cursor = next_cursor(cursor, decision, moment, NOW.date())
        runs += [moment] * bool(decision.run)
    assert 2 <= len(runs) <= 3
    assert all(later - earlier >= PATIENCE for earlier, later in itertools.pairwise(runs))


def test_what_waits_is_not_marked_as_asked_for() -> None:
    """Marked while it waited, the folder would never be run."""
    waiting = decided({NL_24: "a"}, {NL_24: seen("b", 1)})
    assert states(decided({NL_24: "a", **waiting.run}, {NL_24: seen("b")})) == {NL_24: "b"}


def test_the_newest_day_goes_first_and_the_rest_is_left_for_the_next_tick() -> None:
    """After an outage the backlog came oldest first, and today's features were late for a day."""
    days = {f"{country}|2026-11-{day:02}": seen("x") for country in ("BE", "NL") for day in range(20, 25)}
    decision = decided({}, days, limit=3)
    assert list(decision.run) == ["NL|2026-11-24", "BE|2026-11-24", "NL|2026-11-23"]
    assert len(decision.postponed) == 7
    assert set(decided(decision.run, days, limit=50).run) == set(decision.postponed)


def test_a_failed_run_is_asked_for_again_later_and_under_a_new_run_key_but_not_for_ever() -> None:
    """Dagster never runs a key twice, whatever became of it: one bad hour of Bedrock lost the day for good."""
    observed, asked, keys = {NL_24: seen("a")}, Asked(fingerprint="a"), []
    for wait in RETRY_AFTER:
        key = asked.run_key(NL_24)
        keys.append(key)
        just_failed = NOW - wait + timedelta(seconds=1)
        assert not decided({NL_24: asked}, observed, failures={key: just_failed}).run
        asked = decided({NL_24: asked}, observed, failures={key: NOW - wait}).run[NL_24]
    keys.append(asked.run_key(NL_24))
    last = decided({NL_24: asked}, observed, failures={keys[-1]: NOW - timedelta(days=1)})
    assert (last.run, last.given_up) == ({}, [NL_24])
    assert len(set(keys)) == MAX_TRIES


def test_a_folder_that_changed_after_its_run_was_given_up_begins_anew() -> None:
    """The file that broke the run was replaced: the new one deserves all its tries."""
    given_up = Asked(fingerprint="a", tries=MAX_TRIES)
    decision = decided({NL_24: given_up}, {NL_24: seen("b")}, failures={given_up.run_key(NL_24): NOW})
    assert decision.run == {NL_24: Asked(fingerprint="b", change=1)}


def test_each_change_is_asked_for_under_a_run_key_of_its_own() -> None:
    """A file was added and deleted again: the state was the first one's, and Dagster never runs one key twice. The
    interactions of the deleted file stayed in the store."""
    asked, run_keys = dict[str, Asked](), []
    for state in ("a", "b", "a", "b", "", "a"):
        asked = decided(dict(asked), {NL_24: seen(state)} if state else {}).run
        run_keys.append(asked[NL_24].run_key(NL_24))
    assert run_keys[0] == f"{NL_24}:a"
    assert len(set(run_keys)) == 6


def test_the_failure_of_an_earlier_state_is_no_reason_to_run_the_present_one() -> None:
    earlier = Asked(fingerprint="a").run_key(NL_24)
    assert not decided({NL_24: "b"}, {NL_24: seen("b")}, failures={earlier: NOW - timedelta(days=1)}).run


def test_a_difference_found_by_reconciliation_is_run_once_for_each_finding() -> None:
    """Found every night and never run, it stays; run at every tick, it never ends."""
    observed, first = {NL_23: seen("a"), NL_24: seen("b")}, Differences("first", name_documents_finding([NL_23]))
    once = decided({NL_23: "a", NL_24: "b"}, observed, differences=first)
    assert list(once.run) == [NL_23]
    after = {NL_23: "a", NL_24: "b", **once.run}
    assert not decided(after, observed, differences=first).run
    again = decided(after, observed, differences=Differences("second", name_documents_finding([NL_23])))
    keys = {Asked(fingerprint="a").run_key(NL_23)} | {each.run[NL_23].run_key(NL_23) for each in (once, again)}
    assert len(keys) == 3


@given(
    st.dictionaries(st.sampled_from([NL_23, NL_24, BE_24]), st.sampled_from(["a", "b"])),
    st.dictionaries(
        st.sampled_from([NL_23, NL_24, BE_24]), st.tuples(st.sampled_from(["a", "b"]), st.integers(0, 120))
    ),
    st.integers(1, 3),
)
def test_the_decision_always_comes_to_rest(
    before: dict[str, str], found: dict[str, tuple[str, int]], limit: int
) -> None:
    """Repeated on a bucket at rest, the sensor asks for each change once and then for nothing."""
    observed = {key: seen(*what) for key, what in found.items()}
    asked: dict[str, str | Asked] = dict(before)
    runs = []
    for _ in range(5):
        decision = decided(asked, {key: Observed(it.fingerprint, NOW - QUIET) for key, it in observed.items()}, limit)
        assert len(decision.run) <= limit
        runs += list(decision.run)
        asked |= decision.run
    changed = {key for key in {**before, **observed} if before.get(key) != (key in found and found[key][0])}
    assert sorted(runs) == sorted(changed)


def landed(key: str, etag: str = "e", size: int = 1, seconds_ago: int = 0) -> StoredObject:
    return StoredObject(key, etag, size, NOW - timedelta(seconds=seconds_ago))


def test_the_fingerprint_tells_content_and_names_and_not_the_order_of_the_listing() -> None:
    base = observe([landed("a"), landed("b", seconds_ago=9)])
    assert observe([landed("b", seconds_ago=9), landed("a")]) == base
    assert base.last_modified == NOW
    changes = [
        [landed("a")],
        [landed("a"), landed("c")],
        [landed("a"), landed("b", "f")],
        [landed("a"), landed("b", size=2)],
    ]
    fingerprints = {observe(objects).fingerprint for objects in changes} | {base.fingerprint}
    assert len(fingerprints) == 5


def test_the_fingerprint_of_a_folder_that_nobody_left_a_note_for_is_the_one_it_always_had() -> None:
    """Another way to take it would run every partition of every deployment once more."""
    assert observe([landed("interactions/country=NL/date=2026-11-24/a.json")]).fingerprint == "7b78a0ff5f03c027"


# --- ticks ------------------------------------------------------------------------------------


def test_each_partition_that_landed_is_asked_for_once(lab: Lab) -> None:
    lab.land("NL", TODAY, "a.jsonl", jsonl([document()]))
    lab.land("NL", TODAY, "deeper/b.jsonl", jsonl([document()]))
    lab.land("BE", YESTERDAY, "a.jsonl.gz", b"x")
    first = tick(lab)
    assert partitions(first) == [key("NL", TODAY), key("BE", YESTERDAY)]
    assert all(request.tags["dagster/partition"] == request.partition_key for request in first.run_requests)
    second = tick(lab, first.cursor)
    assert partitions(second) == []
    assert "none changed" in second.skip_message
    assert second.cursor == first.cursor


def test_strays_stop_nobody(lab: Lab) -> None:
    """One folder of an unknown country failed every tick, for all countries, until somebody removed it."""
    lab.land("NL", TODAY, "a.jsonl", jsonl([document()]))
    lab.land("XX", TODAY, "a.jsonl", b"x")
    lab.land("nl", TODAY, "a.jsonl", b"x")
    lab.land("NL", TODAY + timedelta(days=2), "a.jsonl", b"x")
    for folder in ("date=tomorrow", f"date={TODAY:%Y%m%d}", f"date={TODAY}T00", "notes.txt", f"x{TODAY}"):
        lab.s3.put_object(Bucket=lab.settings.landing_bucket, Key=f"interactions/country=NL/{folder}/a", Body=b"x")
    lab.s3.put_object(Bucket=lab.settings.landing_bucket, Key="interactions/readme.txt", Body=b"x")
    lab.s3.put_object(Bucket=lab.settings.landing_bucket, Key="elsewhere/a.jsonl", Body=b"x")
    assert partitions(tick(lab)) == [key("NL", TODAY)]
    observed, strays = look(lab.resources["landing"].zone(), YESTERDAY)
    assert list(observed) == [key("NL", TODAY)]
    assert {"country=XX", "country=nl", "country=NL/date=tomorrow"} <= set(strays), "nobody would look for them"
    lab.s3.delete_object(Bucket=lab.settings.landing_bucket, Key=f"interactions/country=NL/date={TODAY}/a.jsonl")
    assert "country=XX" in (tick(lab).skip_message or ""), "and nobody reads logs"


def test_an_empty_file_or_a_marker_is_no_landing(lab: Lab) -> None:
    """Consoles create folders as zero-byte objects, and Spark leaves a _SUCCESS behind."""
    lab.land("NL", TODAY, "", b"")
    lab.land("NL", TODAY, "a.jsonl", b"")
    lab.land("BE", TODAY, "_SUCCESS", b"done")
    lab.land("FR", TODAY, ".b.jsonl.part", b"x")
    assert partitions(tick(lab)) == []


def test_a_missing_bucket_is_told_with_its_variable_and_forgets_nothing(lab: Lab) -> None:
    """A failed listing taken for an empty bucket would have deleted every feature of the window."""
    lab.land("NL", TODAY, "a.jsonl", b"x")
    cursor = tick(lab).cursor
    blind = tick(lab.with_settings(landing_bucket="no-such-bucket"), cursor)
    assert partitions(blind) == []
    assert "CS_FEATURES_LANDING_BUCKET" in blind.skip_message
    assert "no-such-bucket" in blind.skip_message
    assert blind.cursor == cursor


def test_a_replaced_file_is_asked_for_under_another_run_key(lab: Lab) -> None:
    """Dagster remembers run keys for ever: under the same one the replaced file was never processed."""
    lab.land("NL", TODAY, "a.jsonl", b"first")
    first = tick(lab)
    lab.land("NL", TODAY, "a.jsonl", b"other")
    second = tick(lab, first.cursor)
    assert partitions(first) == partitions(second) == [key("NL", TODAY)]
    assert first.run_requests[0].run_key != second.run_requests[0].run_key


def test_going_back_to_an_earlier_content_is_asked_for_under_a_new_run_key(lab: Lab) -> None:
    """first, other, first again: the third run key was the first one's, the run was swallowed, and the store
    kept the features of a file that is no longer there."""
    run_keys, cursor = [], None
    for content in (b"first", b"other", b"first"):
        lab.land("NL", TODAY, "a.jsonl", content)
        data = tick(lab, cursor)
        cursor = data.cursor
        run_keys += [request.run_key for request in data.run_requests]
        time.sleep(1.1)  # S3 dates objects in whole seconds
    assert len(set(run_keys)) == 3


def test_a_folder_emptied_for_the_second_time_is_asked_for_under_a_new_run_key(lab: Lab) -> None:
    """The second deletion was swallowed, and deleted customers stayed in the feature store."""
    run_keys, cursor = [], None
    for content in (b"first", None, b"other", None):
        if content:
            landed_key = lab.land("NL", TODAY, "a.jsonl", content)
        else:
            lab.unland(landed_key)
        data = tick(lab, cursor)
        cursor = data.cursor
        run_keys += [request.run_key for request in data.run_requests]
    assert len(set(run_keys)) == 4


def test_a_note_of_another_partition_is_a_change_of_the_one_it_is_for(lab: Lab) -> None:
    """Its interaction had been corrected elsewhere, nothing had landed in its own folder, and it was never run."""
    for day in (TODAY, YESTERDAY):
        lab.land("NL", day, "a.jsonl", b"x")
    data = tick(lab)
    run_keys = [request.run_key for request in data.run_requests]
    for note in ("first", "second"):
        leave_note(lab, "NL", TODAY, note)
        data = tick(lab, data.cursor)
        assert partitions(data) == [key("NL", TODAY)]
        run_keys.append(data.run_requests[0].run_key)
    assert len(set(run_keys)) == 4
    assert partitions(tick(lab, data.cursor)) == []


def test_a_fresh_note_waits_for_its_partition_to_rest(make_lab: MakeLab) -> None:
    """A day of corrections elsewhere became a run for each of them."""
    lab = make_lab(landing_quiet_seconds=3600)
    lab.land("NL", TODAY, "a.jsonl", b"x")
    rested = tick(lab.with_settings(landing_quiet_seconds=0))
    leave_note(lab, "NL", TODAY)
    waiting = tick(lab, rested.cursor)
    assert partitions(waiting) == []
    assert f"still changing: {key('NL', TODAY)}" in waiting.skip_message
    assert partitions(tick(lab.with_settings(landing_quiet_seconds=0), waiting.cursor)) == [key("NL", TODAY)]


def test_notes_about_what_is_no_partition_or_holds_no_documents_stop_nothing(make_lab: MakeLab) -> None:
    """A note outlives the documents that it is about, and the window."""
    lab = make_lab(landing_window_days=3)
    lab.land("NL", TODAY, "a.jsonl", b"x")
    cursor = tick(lab).cursor
    for country, day in (("XX", TODAY), ("BE", TODAY), ("NL", TODAY - timedelta(days=9)), ("NL", "tomorrow")):
        leave_note(lab, country, day)
    lab.s3.put_object(Bucket=lab.settings.data_bucket, Key="superseded/readme.txt", Body=b"x")
    assert partitions(tick(lab, cursor)) == []


def test_notes_that_cannot_be_listed_forget_nothing(lab: Lab) -> None:
    """Taken for no notes, every partition that has some would have changed, and changed back."""
    lab.land("NL", TODAY, "a.jsonl", b"x")
    cursor = tick(lab).cursor
    blind = tick(lab.with_settings(data_bucket="no-such-bucket"), cursor)
    assert partitions(blind) == []
    assert "CS_FEATURES_DATA_BUCKET" in blind.skip_message
    assert blind.cursor == cursor


def test_a_folder_in_motion_is_asked_for_when_it_rests(make_lab: MakeLab) -> None:
    lab = make_lab(landing_quiet_seconds=3600)
    lab.land("NL", TODAY, "a.jsonl", b"x")
    waiting = tick(lab)
    assert partitions(waiting) == []
    assert f"still changing: {key('NL', TODAY)}" in waiting.skip_message
    rested = tick(lab.with_settings(landing_quiet_seconds=0), waiting.cursor)
    assert partitions(rested) == [key("NL", TODAY)]


def test_days_before_the_window_are_neither_asked_for_nor_kept_in_the_cursor(make_lab: MakeLab) -> None:
    """Two years of folders listed at every tick ran into the sensor's timeout; the cursor must not grow either."""
    lab = make_lab(landing_window_days=3)
    days = [TODAY - timedelta(days=ago) for ago in range(6)]
    for day in days:
        lab.land("NL", day, "a.jsonl", b"x")
    everything = tick(lab.with_settings(landing_window_days=30))
    assert partitions(everything) == [key("NL", day) for day in days]
    data = tick(lab, everything.cursor)
    assert partitions(data) == []
    assert partitions(tick(lab)) == [key("NL", day) for day in days[:4]]
    remembered = {day for day in days if key("NL", day) in data.cursor}
    assert remembered == set(days[:4])


def test_a_backlog_is_asked_for_in_portions_and_to_its_end(make_lab: MakeLab) -> None:
    """A week of five countries at once is more runs than the queue should hold; none of them may be forgotten."""
    lab = make_lab(landing_max_requests=3)
    wanted = [(country, TODAY - timedelta(days=ago)) for ago in range(2) for country in ("PL", "NL", "FR", "BE")]
    for country, day in wanted:
        lab.land(country, day, "a.jsonl", b"x")
    portions, cursor = [], None
    for _ in itertools.repeat(None, 4):
        data = tick(lab, cursor)
        portions.append(partitions(data))
        cursor = data.cursor
    assert [len(portion) for portion in portions] == [3, 3, 2, 0]
    assert list(itertools.chain(*portions)) == [key(*each) for each in wanted]


def test_a_deleted_file_changes_its_day_and_the_last_one_empties_it(lab: Lab) -> None:
    """Documents deleted for privacy must leave the feature store without anybody asking twice."""
    keys = [lab.land("NL", TODAY, name, b"x") for name in ("a.jsonl", "b.jsonl")]
    first = tick(lab)
    told: list[Any] = []
    cursor = first.cursor
    for landed_key in keys:
        lab.unland(landed_key)
        data = tick(lab, cursor)
        cursor = data.cursor
        told.append(partitions(data))
    assert told == [[key("NL", TODAY)], [key("NL", TODAY)]]
    assert partitions(tick(lab, cursor)) == []


def test_the_sensor_runs_without_being_switched_on() -> None:
    """A fresh deployment processed nothing for a weekend: sensors are stopped by default."""
    assert landing_sensor.default_status == dg.DefaultSensorStatus.RUNNING
    assert landing_sensor.job_name == "process_interactions"
