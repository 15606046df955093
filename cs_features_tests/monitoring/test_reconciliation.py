"""Reconciliation: what landed against what is held, and the way from a finding to a repaired partition."""

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import dagster as dg
import polars as pl
import pytest

from cs_features.monitoring.findings import (
    Differences,
    name_documents_finding,
    read_reconciled_differences,
    write_reconciled_differences,
)
from cs_features.monitoring.inventoried import list_partitions
from cs_features.monitoring.reconciliation import Sources, reconcile
from cs_features.monitoring.serving import GroupState
from cs_features.monitoring.settling import SETTLING_TIME
from cs_features.orchestration.failures import passing_failure
from cs_features.orchestration.jobs import daily_inventory
from cs_features.orchestration.sensors.landing_decision import RETRY_AFTER
from cs_features.orchestration.sensors.landing_survey import WHOLE_WINDOW_EVERY
from cs_features.partitions import Partition
from cs_features_tests.support.documents import document, gz, id_of, jsonl
from cs_features_tests.support.failed_runs import fail_run
from cs_features_tests.support.inventory import take_inventory
from cs_features_tests.support.kept_lab import KeptLab
from cs_features_tests.support.lab import AwsAndModel, Lab, Run
from cs_features_tests.support.landing_sensor import TODAY, YESTERDAY, key, partitions, tick

COUNTRIES = ("BE", "ES", "FR", "NL", "PL")
LAW = ("landed", "validated", "rejected", "duplicates", "missing")
LONG_AGO = timedelta(hours=-1)  # what settled before an hour from now has settled


@pytest.fixture(autouse=True)
def everything_has_settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """S3 dates what a test lands now; the tests about what still changes say so."""
    monkeypatch.setattr("cs_features.monitoring.settling.SETTLING_TIME", LONG_AGO)


def landed_on(day: date, number: int | str, country: str = "NL") -> dict[str, Any]:
    return document(number, country=country, occurred_at=f"{day}T00:00:00Z")


def findings(lab: Lab) -> dict[str, tuple[int, ...]]:
    """(landed, validated, rejected, duplicates, missing) of each partition, as the inventory's table has them."""
    body = lab.s3.get_object(Bucket=lab.settings.data_bucket, Key="reconciliation/data.parquet")["Body"].read()
    return {row[0]: row[1:] for row in pl.read_parquet(body).select("partition", *LAW).iter_rows()}


def differing(lab: Lab) -> set[str]:
    """What the sensor is told to run again."""
    return set(read_reconciled_differences(lab.resources["data"].tables()).partitions)


def process_asked(lab: Lab, data: Any) -> None:
    """What the daemon does with the sensor's requests."""
    for request in data.run_requests:
        partition = Partition.from_key(request.partition_key)
        run = lab.process(partition.country, partition.date)
        assert run.success, run.errors


@pytest.fixture(scope="module")
def processed(stack: AwsAndModel) -> tuple[KeptLab, str]:
    """Three good documents, one of them twice, and a broken one, processed; and the sensor's cursor."""
    lab = Lab(stack)
    documents = [landed_on(TODAY, n) for n in range(3)]
    lab.land("NL", TODAY, "a.jsonl", jsonl([*documents, documents[0], b"broken"]))
    data = tick(lab)
    process_asked(lab, data)
    return KeptLab(lab), str(data.cursor)


@pytest.fixture
def a_day_that_was_run(processed: tuple[KeptLab, str], make_lab: Callable[..., Lab]) -> tuple[Lab, str]:
    kept, cursor = processed
    return kept.restore(), cursor


def held(lab: Lab, day: date = TODAY, **heights: int | None) -> None:
    """Tables of a day by their number of rows; None for one that was never written."""
    for table, height in heights.items():
        if height is not None:
            frame = pl.DataFrame({"interaction_id": ["x"] * height})
            lab.resources["data"].tables().write(table, Partition("NL", day), frame)


def reconciled(lab: Lab) -> pl.DataFrame:
    """The inventory without a run."""
    zone, tables = lab.resources["landing"].zone(), lab.resources["data"].tables()
    sources = Sources(zone=zone, tables=tables, settling_time=LONG_AGO)
    return reconcile(list_partitions(zone, tables, COUNTRIES, YESTERDAY, TODAY), sources)


# --- what it finds ----------------------------------------------------------------------------


def test_a_day_that_holds_what_landed_is_told_with_its_numbers_and_not_asked_for(
    a_day_that_was_run: tuple[Lab, str],
) -> None:
    """A reconciliation that always finds something is switched off, and then it finds nothing."""
    lab, cursor = a_day_that_was_run
    run = take_inventory(lab)
    assert run.success, run.errors
    assert findings(lab) == {key("NL", TODAY): (5, 3, 1, 1, 0)}
    told = run.metadata("reconciliation")
    assert [told[name] for name in ("partitions", "partitions_differing", "documents_landed", "documents_missing")] == [
        1,
        0,
        5,
        0,
    ]
    check = run.checks["reconciled"]
    assert check.passed
    assert check.metadata["partitions_differing"].value == 0
    assert partitions(tick(lab, cursor)) == []


def test_a_table_that_lost_a_row_is_found_asked_for_and_repaired(a_day_that_was_run: tuple[Lab, str]) -> None:
    """A batch that failed dropped four hours of data, and every run was green: only a count of both ends shows it."""
    lab, cursor = a_day_that_was_run
    lab.overwrite("validated_features", lambda it: it[1:], "NL", TODAY)
    run = take_inventory(lab)
    assert findings(lab) == {key("NL", TODAY): (5, 2, 1, 1, 1)}
    assert run.metadata("reconciliation")["documents_missing"] == 1
    check = run.checks["reconciled"]
    assert not check.passed
    assert check.metadata["partitions_differing"].value == 1
    (row,) = check.metadata["differing"].value.records
    assert (row.data["partition"], row.data["landed"], row.data["missing"]) == (key("NL", TODAY), 5, 1)

    asked = tick(lab, cursor)
    assert partitions(asked) == [key("NL", TODAY)]
    process_asked(lab, asked)
    assert take_inventory(lab).checks["reconciled"].passed
    assert findings(lab) == {key("NL", TODAY): (5, 3, 1, 1, 0)}


@pytest.mark.parametrize(
    ("validated", "rejected", "missing"),
    [
        pytest.param(3, 1, 0, id="nothing"),
        pytest.param(3, None, 1, id="the rejects were never written"),
        pytest.param(None, 1, 3, id="the features were never written"),
        pytest.param(None, None, 4, id="nothing was ever written"),
        pytest.param(3, 2, -1, id="a document left by two doors"),
        pytest.param(0, 0, 4, id="every row is gone"),
    ],
)
def test_both_sides_are_counted_from_what_is_there(
    lab: Lab, validated: int | None, rejected: int | None, missing: int
) -> None:
    """What is missing is missing whoever lost it, and a table that is not there holds nothing."""
    lab.land("NL", TODAY, "a.jsonl", jsonl([landed_on(TODAY, 1), landed_on(TODAY, 2), landed_on(TODAY, 1)]))
    lab.land("NL", TODAY, "deeper/b.jsonl.gz", gz(jsonl([landed_on(TODAY, 3), b"broken"])))
    lab.land("NL", TODAY, "_SUCCESS", b"done")
    held(lab, validated_features=validated, rejected_records=rejected)
    (row,) = reconciled(lab).select("partition", *LAW).rows()
    assert row == (key("NL", TODAY), 5, validated or 0, rejected or 0, 1, missing)


def test_a_document_that_landed_while_sensor_and_daemon_were_down_is_found(a_day_that_was_run: tuple[Lab, str]) -> None:
    """Nothing had been asked for, so nothing had failed, and no alarm of runs could ring."""
    lab, _ = a_day_that_was_run
    lab.land("NL", TODAY, "late.jsonl", jsonl([landed_on(TODAY, "late")]))
    lab.land("BE", YESTERDAY, "never-run.jsonl", jsonl([landed_on(YESTERDAY, "never", "BE")]))
    take_inventory(lab)
    assert findings(lab) == {key("NL", TODAY): (6, 3, 1, 1, 1), key("BE", YESTERDAY): (1, 0, 0, 0, 1)}
    assert differing(lab) == {key("NL", TODAY), key("BE", YESTERDAY)}


def test_a_correction_whose_run_failed_is_found_though_the_numbers_are_equal(
    a_day_that_was_run: tuple[Lab, str],
) -> None:
    """The storm found it: as many documents as before, the old features served, and every check was green."""
    lab, _ = a_day_that_was_run
    lab.overwrite(
        "validated_features",
        lambda rows: rows.with_columns(content_hash=pl.concat_str(pl.lit("old"), "content_hash")),
        "NL",
        TODAY,
    )
    take_inventory(lab)
    assert differing(lab) == {key("NL", TODAY)}


def test_an_empty_landing_bucket_differs_in_nothing(lab: Lab) -> None:
    run = take_inventory(lab)
    assert run.success, run.errors
    assert run.checks["reconciled"].passed
    assert findings(lab) == {}


def test_days_before_the_window_are_left_alone(make_lab: Callable[..., Lab]) -> None:
    """Landing folders expire after a month: a year of them gone would be a year of features to delete."""
    lab = make_lab(landing_window_days=2)
    for ago in (2, 3):
        held(lab, TODAY - timedelta(days=ago), validated_features=1)
    take_inventory(lab)
    assert findings(lab) == {key("NL", TODAY - timedelta(days=2)): (0, 1, 0, 0, -1)}


def test_a_landing_bucket_that_cannot_be_listed_is_no_finding(lab: Lab) -> None:
    """Taken for empty, it would have asked for every partition to be emptied."""
    held(lab, validated_features=2)
    write_reconciled_differences(lab.resources["data"].tables(), Differences("before", name_documents_finding(["x"])))
    run = take_inventory(lab.with_settings(landing_bucket="no-such-bucket"))
    assert not run.success
    assert "CS_FEATURES_LANDING_BUCKET" in run.errors
    assert differing(lab) == {"x"}


# --- from the finding to the repair -----------------------------------------------------------


@pytest.mark.parametrize("files", [2, pytest.param(20, marks=pytest.mark.slow)])
def test_objects_that_nobody_saw_in_five_countries_are_found_and_repaired_without_a_person(
    make_lab: Callable[..., Lab], files: int
) -> None:
    """The sensor had asked, the runs were lost with their host, and a run key is never run twice: the day was gone."""
    lab = make_lab(requests_per_minute=60_000.0)
    for country in COUNTRIES:
        for number in range(files):
            each = landed_on(TODAY, f"{country}-{number}", country)
            lab.land(country, TODAY, f"{number}.jsonl", jsonl([each]))
    lost = tick(lab)
    assert len(lost.run_requests) == 5
    assert partitions(tick(lab, lost.cursor)) == [], "the sensor by itself never asks for them again"

    assert not take_inventory(lab).checks["reconciled"].passed
    assert findings(lab) == {key(country, TODAY): (files, 0, 0, 0, files) for country in COUNTRIES}
    repair = tick(lab, lost.cursor)
    assert sorted(partitions(repair)) == [key(country, TODAY) for country in COUNTRIES]
    keys = {request.run_key for data in (lost, repair) for request in data.run_requests}
    assert len(keys) == 10, "Dagster swallows a request with a run key that it has seen"
    process_asked(lab, repair)

    run = take_inventory(lab)
    assert run.checks["reconciled"].passed
    assert run.metadata("reconciliation")["documents_landed"] == 5 * files
    assert partitions(tick(lab, repair.cursor)) == []
    for country in COUNTRIES:
        assert all(lab.online(id_of(f"{country}-{number}")) for number in (0, files - 1))


def test_one_finding_is_asked_for_once_and_the_next_one_anew(a_day_that_was_run: tuple[Lab, str]) -> None:
    """Asked for at every tick, a difference that no run mends would have run every thirty seconds, all night."""
    lab, cursor = a_day_that_was_run
    tables, run_keys, asked = lab.resources["data"].tables(), [], []
    for finding in ("first", "first", "second", "second"):
        write_reconciled_differences(tables, Differences(finding, name_documents_finding([key("NL", TODAY)])))
        data = tick(lab, cursor)
        cursor = data.cursor
        asked.append(len(data.run_requests))
        run_keys += [request.run_key for request in data.run_requests]
    assert asked == [1, 0, 1, 0]
    assert len(set(run_keys)) == 2


def test_a_folder_that_changed_is_not_run_a_second_time_for_a_finding_from_before(
    a_day_that_was_run: tuple[Lab, str],
) -> None:
    """Found at night, seen in the morning: the change and the finding were two runs of one partition at once."""
    lab, cursor = a_day_that_was_run
    lab.land("NL", TODAY, "late.jsonl", jsonl([landed_on(TODAY, "late")]))
    take_inventory(lab)
    first = tick(lab, cursor)
    assert partitions(first) == [key("NL", TODAY)]
    assert partitions(tick(lab, first.cursor)) == []


def test_a_repair_that_fails_is_asked_for_again_until_one_succeeds(
    a_day_that_was_run: tuple[Lab, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bedrock was down at half past four: the repair failed, and its finding counted as dealt with."""
    monkeypatch.setattr(
        "cs_features.orchestration.sensors.landing_decision.RETRY_AFTER", tuple(timedelta(0) for _ in RETRY_AFTER)
    )
    lab, cursor = a_day_that_was_run
    lab.overwrite("validated_features", lambda it: it[1:], "NL", TODAY)
    take_inventory(lab)

    first = tick(lab, cursor)
    (request,) = first.run_requests
    fail_run(lab.instance, passing_failure("Bedrock was down"), {**request.tags, "dagster/run_key": request.run_key})
    second = tick(lab, first.cursor)
    assert first.run_requests[0].run_key != second.run_requests[0].run_key
    process_asked(lab, second)
    assert partitions(tick(lab, second.cursor)) == []
    assert take_inventory(lab).checks["reconciled"].passed


# --- the last door ----------------------------------------------------------------------------

TABLES = ["raw_interactions", "llm_extractions", "validated_features", "rejected_records"]


def kinds(lab: Lab) -> dict[str, set[str]]:
    return {
        key: set(found) for key, found in read_reconciled_differences(lab.resources["data"].tables()).findings.items()
    }


def number(run: Run, check: str, name: str) -> Any:
    return run.checks[check].metadata[name].value


def test_a_publication_that_never_happened_is_found_and_made_good(lab: Lab) -> None:
    """Fault 9: the store was away for an hour and the run was given up. Every table was right, and 3 validated rows
    were never online."""
    lab.land("NL", TODAY, "a.jsonl", jsonl([landed_on(TODAY, n) for n in range(3)]))
    asked = tick(lab)
    assert lab.process(day=TODAY, only=TABLES).success
    run = take_inventory(lab)
    assert run.checks["reconciled"].passed
    assert not run.checks["served"].passed
    (row,) = run.checks["served"].metadata["differing"].value.records
    assert (row.data["partition"], row.data["served"], row.data["unpublished"]) == (key("NL", TODAY), 0, 3)
    assert kinds(lab) == {key("NL", TODAY): {"unpublished"}}

    repair = tick(lab, asked.cursor)
    assert partitions(repair) == [key("NL", TODAY)]
    process_asked(lab, repair)
    run = take_inventory(lab)
    assert run.checks["served"].passed
    assert [number(run, "served", f"records_{name}_online") for name in ("asked", "missing")] == [3, 0]
    assert kinds(lab) == {}


def test_a_record_that_somebody_took_out_is_found_and_the_run_that_is_asked_for_looks(
    a_day_that_was_run: tuple[Lab, str],
) -> None:
    """Fault 45: deleted in the console. The manifest said "15 unchanged", and nothing ever wrote it again."""
    lab, cursor = a_day_that_was_run
    lab.runtime.delete_record(
        FeatureGroupName=lab.settings.feature_group,
        RecordIdentifierValueAsString=id_of(1),
        EventTime=f"{TODAY + timedelta(days=1)}T00:00:00Z",
    )
    run = take_inventory(lab)
    assert run.checks["reconciled"].passed
    assert not run.checks["served"].passed
    assert [number(run, "served", f"records_{name}_online") for name in ("asked", "missing")] == [3, 1]
    assert kinds(lab) == {key("NL", TODAY): {"taken_out"}}
    (request,) = tick(lab, cursor).run_requests
    assert request.run_config["ops"]["feature_store"]["config"]["verify_online"]


def test_a_group_that_was_set_since_serves_nothing_yet(a_day_that_was_run: tuple[Lab, str]) -> None:
    """Fault 5: a second group was created and set, every run said "unchanged", and it stayed empty for ever."""
    lab, cursor = a_day_that_was_run
    other = f"{lab.settings.feature_group}-second"
    lab._create_group(other, lab.settings.data_bucket)
    lab = lab.with_settings(feature_group=other)
    run = take_inventory(lab)
    assert not run.checks["served"].passed
    assert kinds(lab) == {key("NL", TODAY): {"unpublished"}}
    process_asked(lab, tick(lab, cursor))
    assert take_inventory(lab).checks["served"].passed
    assert lab.online(id_of(1)) is not None


def test_an_offline_store_that_takes_no_records_is_told(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault 10: half a write was taken for a whole: served online, and never trained on."""
    blocked = GroupState("arn", "Blocked")
    monkeypatch.setattr("cs_features.orchestration.checks.inventory.describe_served_group", lambda *_: blocked)
    run = take_inventory(lab)
    assert not run.checks["served"].passed
    assert number(run, "served", "offline_store") == "Blocked"


def test_a_feature_group_that_is_not_there_leaves_the_documents_known(a_day_that_was_run: tuple[Lab, str]) -> None:
    lab, _ = a_day_that_was_run
    run = take_inventory(lab.with_settings(feature_group="no-such-group"))
    assert run.success, run.errors
    assert run.checks["reconciled"].passed
    assert not run.checks["served"].passed
    assert number(run, "served", "partitions_unknown") == 1
    assert kinds(lab) == {}


# --- what is still moving ---------------------------------------------------------------------


def test_a_live_feed_at_the_time_of_the_inventory_is_no_error(
    a_day_that_was_run: tuple[Lab, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault 24: `reconciled` failed as an ERROR although the sensor only waited for quiet."""
    monkeypatch.setattr("cs_features.monitoring.settling.SETTLING_TIME", SETTLING_TIME)
    lab, _ = a_day_that_was_run
    lab.land("NL", TODAY, "late.jsonl", jsonl([landed_on(TODAY, "late")]))
    lab.land("BE", TODAY, "first.jsonl", jsonl([landed_on(TODAY, "first", "BE")]))
    run = take_inventory(lab)
    assert run.checks["reconciled"].passed
    assert number(run, "reconciled", "partitions_settling") == 2
    assert kinds(lab) == {}


@pytest.mark.parametrize(
    ("job", "passed"),
    [
        pytest.param("process_interactions", True, id="the flow"),
        pytest.param("watch_drift", False, id="a week of the same name"),
    ],
)
def test_a_partition_of_which_a_run_goes_on_is_left_to_that_run(
    a_day_that_was_run: tuple[Lab, str], job: str, passed: bool
) -> None:
    """Fault 24: it had been asked for a minute before, and was called a difference. Fault 12: the week of a Monday has
    the key of that day, and says nothing about it."""
    lab, _ = a_day_that_was_run
    lab.overwrite("validated_features", lambda it: it[1:], "NL", TODAY)
    lab.instance.create_run_for_job(
        lab.definitions.resolve_job_def(job),
        status=dg.DagsterRunStatus.STARTED,
        tags={"dagster/partition": key("NL", TODAY)},
    )
    assert take_inventory(lab).checks["reconciled"].passed is passed


# --- days before the window -------------------------------------------------------------------


def test_a_correction_of_a_day_that_has_left_the_window_is_found_and_made_good(make_lab: Callable[..., Lab]) -> None:
    """Fault 11: within the window of the correction's own day and outside the sensor's: both days validated it, and
    `reconciled` passed."""
    lab = make_lab(landing_window_days=3)
    first, second = TODAY - timedelta(days=5), TODAY - timedelta(days=3)
    lab.land("NL", first, "a.jsonl", jsonl([landed_on(first, 1), landed_on(first, 2)]))
    assert lab.process(day=first).success
    asked = tick(lab)
    lab.land("NL", second, "a.jsonl", jsonl([landed_on(second, 1)]))
    asked = tick(lab, asked.cursor, later=WHOLE_WINDOW_EVERY)
    assert partitions(asked) == [key("NL", second)]
    process_asked(lab, asked)

    run = take_inventory(lab)
    assert not run.checks["reconciled"].passed
    (row,) = run.checks["reconciled"].metadata["differing"].value.records
    assert (row.data["partition"], row.data["state"], row.data["superseded_elsewhere"]) == (key("NL", first), "past", 1)
    assert run.checks["served"].passed
    assert kinds(lab) == {key("NL", first): {"superseded"}}
    repair = tick(lab, asked.cursor)
    assert partitions(repair) == [key("NL", first)]
    process_asked(lab, repair)
    assert take_inventory(lab).checks["reconciled"].passed
    notified = tick(lab, repair.cursor)
    assert partitions(notified) == [key("NL", second)], "whose record the withdrawal may have hit"
    process_asked(lab, notified)
    assert partitions(tick(lab, notified.cursor)) == []
    record = lab.online(id_of(1))
    assert record is not None
    assert record["event_time"].startswith(f"{second}")
    assert [lab.table("validated_features", day=day)["interaction_id"].to_list() for day in (first, second)] == [
        [id_of(2)],
        [id_of(1)],
    ]


# --- a folder that was deleted ----------------------------------------------------------------


def test_a_deleted_landing_folder_is_found_by_what_the_tables_still_hold(a_day_that_was_run: tuple[Lab, str]) -> None:
    """Withdrawn for privacy, and the sensor was down: the features of these customers stayed in the store."""
    lab, _ = a_day_that_was_run
    lab.unland(f"interactions/country=NL/date={TODAY}/a.jsonl")
    run = take_inventory(lab)
    assert not run.checks["reconciled"].passed
    assert findings(lab) == {key("NL", TODAY): (0, 3, 1, 0, -4)}
    assert differing(lab) == {key("NL", TODAY)}


def test_a_deleted_landing_folder_that_reconciliation_found_is_told_and_never_run(
    a_day_that_was_run: tuple[Lab, str],
) -> None:
    """Fault 3: whether documents were deleted, expired or only not seen is for a person to say."""
    lab, cursor = a_day_that_was_run
    lab.unland(f"interactions/country=NL/date={TODAY}/a.jsonl")
    take_inventory(lab)
    for before in (cursor, None):
        data = tick(lab, before)
        assert partitions(data) == []
        assert f"nothing was run for {key('NL', TODAY)}" in (data.skip_message or "")
    assert all(lab.online(id_of(n)) for n in range(3))


def test_a_finding_about_what_is_no_partition_any_more_fails_no_tick(make_lab: Callable[..., Lab]) -> None:
    """A country was taken out, or a day left the window, between the night's finding and the tick: one request for
    an unknown partition fails the tick of all others."""
    lab = make_lab(landing_window_days=3)
    lab.land("NL", TODAY, "a.jsonl", b"x")
    gone = frozenset([f"XX|{TODAY}", "NL|2024-12-31", key("NL", TODAY - timedelta(days=9))])
    write_reconciled_differences(lab.resources["data"].tables(), Differences("night", name_documents_finding(gone)))
    assert partitions(tick(lab)) == [key("NL", TODAY)]


# --- strays -----------------------------------------------------------------------------------


def test_stray_folders_in_the_landing_bucket_stop_nothing(lab: Lab) -> None:
    """One folder with a misspelt date kept the whole inventory from being taken."""
    lab.land("NL", TODAY, "a.jsonl", jsonl([landed_on(TODAY, 1)]))
    for folder in ("country=XX/date=2026-01-01", "country=NL/date=tomorrow", "country=NL/notes", "country=nl/x"):
        lab.s3.put_object(Bucket=lab.settings.landing_bucket, Key=f"interactions/{folder}/a.jsonl", Body=b"x")
    lab.land("NL", TODAY + timedelta(days=1), "a.jsonl", b"x")
    run = take_inventory(lab)
    assert run.success, run.errors
    assert findings(lab) == {key("NL", TODAY): (1, 0, 0, 0, 1)}


@pytest.mark.parametrize(
    "stray",
    ["country=NL/", "country=NL/date=tmp/data.parquet", "country=NL/_temporary/0/data.parquet", "country=XX/a/b/c"],
)
def test_stray_objects_beside_the_tables_stop_nothing(lab: Lab, stray: str) -> None:
    """A console makes a folder as an object of its own, a query engine leaves its temporary files behind."""
    held(lab, validated_features=2)
    lab.s3.put_object(Bucket=lab.settings.data_bucket, Key=f"validated_features/{stray}", Body=b"")
    assert reconciled(lab).select("partition", *LAW).rows() == [(key("NL", TODAY), 0, 2, 0, 0, -2)]


def test_the_daily_inventory_runs_by_itself() -> None:
    """A fresh deployment had never reconciled anything: schedules are stopped by default."""
    assert daily_inventory.default_status == dg.DefaultScheduleStatus.RUNNING
    assert daily_inventory.job_name == "take_inventory"
