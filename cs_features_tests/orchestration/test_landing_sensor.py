"""The landing sensor's ticks against a bucket: what it sees, asks for, says and remembers."""

import itertools
from datetime import datetime, timedelta, timezone

import dagster as dg
import pytest

from cs_features.monitoring.findings import Differences, name_documents_finding, write_reconciled_differences
from cs_features.orchestration.failures import passing_failure
from cs_features.orchestration.sensors import landing_decision
from cs_features.orchestration.sensors.landing import landing_sensor
from cs_features.orchestration.sensors.landing_memory import parse_cursor
from cs_features.orchestration.sensors.landing_survey import Window, fingerprint_folder, survey_landing
from cs_features.s3 import StoredObject
from cs_features_tests.support.documents import document, id_of, jsonl
from cs_features_tests.support.failed_runs import fail_blocking_check, fail_run
from cs_features_tests.support.lab import Lab
from cs_features_tests.support.landing_sensor import TODAY, YESTERDAY, MakeLab, key, leave_note, partitions, tick

NOW = datetime(2026, 11, 24, 12, tzinfo=timezone.utc)


def landed(key: str, etag: str = "e", size: int = 1, seconds_ago: int = 0) -> StoredObject:
    return StoredObject(key, etag, size, NOW - timedelta(seconds=seconds_ago))


def test_the_fingerprint_tells_content_and_names_and_not_the_order_of_the_listing() -> None:
    base = fingerprint_folder([landed("a"), landed("b", seconds_ago=9)])
    assert fingerprint_folder([landed("b", seconds_ago=9), landed("a")]) == base
    assert base.last_modified == NOW
    changes = [
        [landed("a")],
        [landed("a"), landed("c")],
        [landed("a"), landed("b", "f")],
        [landed("a"), landed("b", size=2)],
    ]
    fingerprints = {fingerprint_folder(objects).fingerprint for objects in changes} | {base.fingerprint}
    assert len(fingerprints) == 5


def test_the_fingerprint_of_a_folder_that_nobody_left_a_note_for_is_the_one_it_always_had() -> None:
    """Another way to take it would run every partition of every deployment once more."""
    assert (
        fingerprint_folder([landed("interactions/country=NL/date=2026-11-24/a.json")]).fingerprint == "7b78a0ff5f03c027"
    )


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
    landscape = survey_landing(lab.resources["landing"].zone(), Window(YESTERDAY, TODAY))
    assert list(landscape.folders) == [key("NL", TODAY)]
    strays = set(landscape.strays)
    assert {"country=XX", "country=nl", "country=NL/date=tomorrow"} <= strays, "nobody would look for them"
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
    assert len(set(run_keys)) == 3


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


def test_a_deleted_file_changes_its_day(lab: Lab) -> None:
    """Documents deleted for privacy must leave the feature store without anybody asking twice."""
    keys = [lab.land("NL", TODAY, name, b"x") for name in ("a.jsonl", "b.jsonl")]
    first = tick(lab)
    lab.unland(keys[0])
    second = tick(lab, first.cursor)
    assert partitions(second) == [key("NL", TODAY)]
    assert partitions(tick(lab, second.cursor)) == []


# --- suddenly empty ---------------------------------------------------------------------------


def said_today(number: int, country: str = "NL") -> bytes:
    return jsonl([document(number, country=country, occurred_at=f"{TODAY}T00:00:00Z")])


def test_a_folder_emptied_while_its_features_are_served_is_told_and_not_run(lab: Lab) -> None:
    """Fault 3: objects expired after thirty days with the window at thirty-five, and every day left the store."""
    landed_key = lab.land("NL", TODAY, "a.jsonl", said_today(1))
    cursor = tick(lab).cursor
    assert lab.process("NL", TODAY).success
    lab.unland(landed_key)
    for _ in range(3):
        data = tick(lab, cursor)
        cursor = data.cursor
        assert partitions(data) == []
        assert f"documents are gone and features still served, so nothing was run for {key('NL', TODAY)}" in (
            data.skip_message or ""
        )
    assert lab.online(id_of(1)) is not None

    lab.land("BE", TODAY, "a.jsonl", said_today(2, "BE"))
    data = tick(lab, cursor)
    assert partitions(data) == [key("BE", TODAY)], "one country's empty folder stops no other"
    remembered = parse_cursor(data.cursor or "")
    assert remembered is not None
    assert list(remembered.emptied) == [key("NL", TODAY)], "and what is told is not forgotten by a tick that runs some"


def test_a_folder_emptied_before_anything_was_published_of_it_is_no_incident(lab: Lab) -> None:
    """A file landed by mistake and taken away at once: nothing is served, and there is nothing to decide."""
    landed_key = lab.land("NL", TODAY, "a.jsonl", b"x")
    first = tick(lab)
    lab.unland(landed_key)
    data = tick(lab, first.cursor)
    assert partitions(data) == []
    assert "gone" not in (data.skip_message or "")
    assert key("NL", TODAY) not in data.cursor


def test_an_emptied_folder_is_told_until_its_records_were_withdrawn_by_a_person(lab: Lab) -> None:
    """Told for ever, nobody would have believed that the erasure had been done."""
    landed_key = lab.land("NL", TODAY, "a.jsonl", said_today(1))
    cursor = tick(lab).cursor
    assert lab.process("NL", TODAY).success
    lab.unland(landed_key)
    emptied = tick(lab, cursor)
    assert "gone" in (emptied.skip_message or "")
    lab.overwrite("feature_store", lambda it: it.clear(), "NL", TODAY)
    data = tick(lab, emptied.cursor)
    assert "gone" not in (data.skip_message or "")
    assert key("NL", TODAY) not in data.cursor


def test_another_landing_bucket_starts_a_new_memory_and_empties_nothing(lab: Lab, make_lab: MakeLab) -> None:
    """Fault 3: the variable named another, empty bucket; every partition was run, green, and 0 records were left."""
    lab.land("NL", TODAY, "a.jsonl", said_today(1))
    cursor = tick(lab).cursor
    assert lab.process("NL", TODAY).success
    swapped = lab.with_settings(landing_bucket=make_lab().settings.landing_bucket)
    data = tick(swapped, cursor)
    assert partitions(data) == []
    assert "The cursor is about the bucket" in (data.skip_message or "")
    assert partitions(tick(swapped, data.cursor)) == []
    back = tick(lab, data.cursor)
    assert partitions(back) == [key("NL", TODAY)], "what the other bucket left is made good"


def test_an_unreadable_cursor_fails_no_tick(lab: Lab) -> None:
    """A cursor cut off in the database raised at each tick, and nothing was processed until somebody reset it."""
    lab.land("NL", TODAY, "a.jsonl", b"x")
    data = tick(lab, tick(lab).cursor[:-5])
    assert partitions(data) == [key("NL", TODAY)]
    assert partitions(tick(lab, data.cursor)) == []


# --- what a run is told -----------------------------------------------------------------------


def test_a_run_asked_for_by_a_landing_does_not_ask_again_what_was_answered(lab: Lab) -> None:
    """Fault 36: the prompt was edited, one late document landed, and the whole day was paid for again."""
    lab.land("NL", TODAY, "a.jsonl", said_today(1))
    (request,) = tick(lab).run_requests
    assert request.run_config["ops"]["llm_extractions"] == {"config": {"reextract": False}}
    assert request.tags["cs_features/reason"] == "new documents"
    assert carry_out(lab, request).success


def tags_of(request: dg.RunRequest) -> dict[str, str]:
    """As the daemon tags the run that it makes of a request."""
    return {**request.tags, "dagster/run_key": request.run_key or ""}


def carry_out(lab: Lab, request: dg.RunRequest) -> dg.ExecuteInProcessResult:
    """What the daemon does with a request."""
    return lab.definitions.resolve_job_def("process_interactions").execute_in_process(
        partition_key=request.partition_key,
        run_config=request.run_config,
        tags=tags_of(request),
        instance=lab.instance,
        raise_on_error=False,
    )


# --- after a failure --------------------------------------------------------------------------


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What may be tried again is tried again in the next tick."""
    monkeypatch.setattr(landing_decision, "RETRY_AFTER", (timedelta(0), timedelta(0), timedelta(0)))


def fail_once(lab: Lab, **settings: object) -> str:
    """A landed partition whose run failed under `settings`; returns the cursor."""
    lab.land("NL", TODAY, "a.jsonl", said_today(1))
    data = tick(lab)
    assert not carry_out(lab.with_settings(**settings), data.run_requests[0]).success
    return str(data.cursor)


def test_a_lost_run_counts_as_failed_and_is_asked_for_again(lab: Lab, at_once: None) -> None:
    """Fault 19: all of Dagster was killed in the middle of a run; run monitoring ends it without any step's failure."""
    lab.land("NL", TODAY, "a.jsonl", said_today(1))
    data = tick(lab)
    (request,) = data.run_requests
    job = lab.definitions.resolve_job_def("process_interactions")
    run = lab.instance.create_run_for_job(
        job,
        run_config=request.run_config,
        tags=tags_of(request),
        status=dg.DagsterRunStatus.STARTED,
    )
    assert partitions(tick(lab, data.cursor)) == [], "it may still live"
    lab.instance.report_run_failed(run, "Detected run worker status UNKNOWN. Marking run as failed.")
    again = tick(lab, data.cursor)
    assert partitions(again) == [key("NL", TODAY)]
    assert again.run_requests[0].run_key != request.run_key
    assert again.run_requests[0].tags["cs_features/reason"] == "failed before"


def test_a_run_that_somebody_stopped_is_left_alone(lab: Lab, at_once: None) -> None:
    """He stopped it because of its cost, and thirty seconds later it ran again."""
    lab.land("NL", TODAY, "a.jsonl", said_today(1))
    data = tick(lab)
    (request,) = data.run_requests
    job = lab.definitions.resolve_job_def("process_interactions")
    run = lab.instance.create_run_for_job(job, run_config=request.run_config, tags=tags_of(request))
    lab.instance.report_run_canceling(run)
    lab.instance.report_run_canceled(run)
    after = tick(lab, data.cursor)
    assert partitions(after) == []
    assert f"failed and not tried again: {key('NL', TODAY)}" in (after.skip_message or "")


def test_a_budget_that_is_spent_is_bought_again_by_no_retry_and_by_no_finding(lab: Lab, at_once: None) -> None:
    """Faults 35 and 46: each retry brought a fresh budget, and so did the finding of the next inventory."""
    cursor = fail_once(lab, max_cost_usd=0.0)
    write_reconciled_differences(
        lab.resources["data"].tables(), Differences("n", name_documents_finding([key("NL", TODAY)]))
    )
    data = tick(lab, cursor)
    assert partitions(data) == []
    assert "not tried again" in (data.skip_message or "")


def test_a_blocking_check_is_not_tried_again_until_something_lands(lab: Lab, at_once: None) -> None:
    """Fault 49: a day that breaks a rule breaks it again: two more runs, two more mails."""
    lab.land("NL", TODAY, "a.jsonl", said_today(1))
    data = tick(lab)
    fail_blocking_check(lab.instance, tags_of(data.run_requests[0]))
    assert partitions(tick(lab, data.cursor)) == []
    lab.land("NL", TODAY, "b.jsonl", said_today(2))
    assert partitions(tick(lab, data.cursor)) == [key("NL", TODAY)]


def test_an_outage_is_tried_again_and_the_run_of_a_week_does_not_hide_it(lab: Lab, at_once: None) -> None:
    """Fault 12: the week's key was that of its Monday, watch_drift ran, and the failed Monday was never tried again."""
    lab.land("NL", TODAY, "a.jsonl", said_today(1))
    data = tick(lab)
    fail_run(lab.instance, passing_failure("Bedrock was down"), tags_of(data.run_requests[0]))
    drift = lab.definitions.resolve_job_def("watch_drift")
    week = {"dagster/partition": key("NL", TODAY), "dagster/partition/week": str(TODAY)}
    lab.instance.create_run_for_job(drift, tags=week, status=dg.DagsterRunStatus.SUCCESS)
    assert partitions(tick(lab, data.cursor)) == [key("NL", TODAY)]


def test_a_partition_that_somebody_has_run_since_is_not_run_again(lab: Lab, at_once: None) -> None:
    """He had mended and run it by hand, and the sensor ran it once more beside him."""
    lab.land("NL", TODAY, "a.jsonl", said_today(1))
    data = tick(lab)
    fail_run(lab.instance, passing_failure("Bedrock was down"), tags_of(data.run_requests[0]))
    assert lab.process("NL", TODAY).success
    assert partitions(tick(lab, data.cursor)) == []


def test_the_sensor_runs_without_being_switched_on() -> None:
    """A fresh deployment processed nothing for a weekend: sensors are stopped by default."""
    assert landing_sensor.default_status == dg.DefaultSensorStatus.RUNNING
    assert landing_sensor.job_name == "process_interactions"
