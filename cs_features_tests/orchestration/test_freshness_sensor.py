"""`freshness_sensor` and its check: a run where a country stands otherwise, else one a day; and the alert."""

from datetime import datetime, timedelta, timezone

import dagster as dg
import pytest

from cs_features.monitoring.freshness import QUARTER, Arrivals, Freshness, FreshnessState, write_arrival_times
from cs_features.orchestration.incidents import EndedRun, list_alerts
from cs_features.orchestration.sensors.freshness import Reported, choose_reports, freshness_sensor, read_reported
from cs_features.s3 import Bucket
from cs_features_tests.support.lab import Lab, Run
from cs_features_tests.support.refusals import refused_listing

NOW = datetime.now(timezone.utc)
TODAY = NOW.date()
FRESH, LATE = Freshness(FreshnessState.FRESH), Freshness(FreshnessState.LATE)


def remember_silence(lab: Lab) -> None:
    """NL has delivered every quarter of an hour for eight weeks, and nothing since yesterday."""
    first = datetime(TODAY.year, TODAY.month, TODAY.day, tzinfo=timezone.utc) - timedelta(days=59)
    moments = [first + number * QUARTER for number in range(58 * 96)]
    bucket = Bucket(lab.s3, lab.settings.data_bucket, "CS_FEATURES_DATA_BUCKET")
    write_arrival_times(bucket, Arrivals({"NL": moments[-1]}, {"NL": moments}))


def test_a_country_is_reported_when_it_stands_otherwise_and_once_a_day() -> None:
    found = {"BE": FRESH, "NL": LATE}
    first = Reported().add_reports(found, ["BE", "NL"], TODAY)
    assert choose_reports(found, Reported(), TODAY) == ["BE", "NL"]
    assert choose_reports(found, first, TODAY) == []
    assert choose_reports({"BE": FRESH, "NL": FRESH}, first, TODAY) == ["NL"]
    assert choose_reports(found, first, TODAY + timedelta(days=1)) == ["BE", "NL"]


@pytest.mark.parametrize("text", [None, "", "{", '{"states": {"NL": "of another version"}}'])
def test_a_cursor_that_cannot_be_read_is_a_fresh_one(text: str | None) -> None:
    assert read_reported(text) == Reported()


def test_a_busy_country_hides_no_silent_one(lab: Lab) -> None:
    """Fault 51: Dagster's own freshness reads the latest materialization of any partition."""
    remember_silence(lab)
    lab.land("BE", TODAY, "a.jsonl", b"{}")
    definitions = lab.definitions
    with dg.build_sensor_context(instance=lab.instance, definitions=definitions, resources=lab.resources) as context:
        ticked = freshness_sensor.evaluate_tick(context)
    assert {request.partition_key for request in ticked.run_requests or []} == {"BE", "ES", "FR", "NL", "PL"}
    job = definitions.resolve_job_def("watch_feeds")
    states = {}
    for country in ("BE", "NL"):
        run = Run(job.execute_in_process(instance=lab.instance, partition_key=country), lab.instance)
        states[country] = run.checks["freshness"]
    assert states["BE"].passed
    assert not states["NL"].passed
    assert (states["NL"].description or "").startswith("NL is silent: the newest document of NL is of")
    assert states["NL"].partition == "NL"
    log = lab.instance.all_logs(run.result.run_id)
    (alert,) = list_alerts(EndedRun(run.result.dagster_run, log, "https://ui", NOW))
    assert alert.subject == "cs-features ERROR: freshness, NL"
    assert "the owner of the feed" in alert.advice


def test_a_country_that_cannot_be_listed_is_unknown_and_stops_no_other(lab: Lab) -> None:
    """One folder's permission was taken away, and every other feed could have fallen silent unseen."""
    remember_silence(lab)
    lab.land("BE", TODAY, "a.jsonl", b"{}")

    def tick() -> dg.SensorResult:
        with dg.build_sensor_context(
            instance=lab.instance, definitions=lab.definitions, resources=lab.resources
        ) as context:
            return freshness_sensor.evaluate_tick(context)  # type: ignore[return-value]

    with refused_listing("interactions/country=ES"):
        assert {request.partition_key for request in tick().run_requests or []} == {"BE", "FR", "NL", "PL"}
    with refused_listing("interactions/country="):
        told = tick()
    assert not told.run_requests
    assert "ListObjectsV2" in (told.skip_message or "")  # type: ignore[attr-defined]
