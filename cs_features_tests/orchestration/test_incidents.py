"""From what Dagster recorded of a run to alerts: the right cause, the right words, and no word of a customer.

The runs are real ones, of tiny jobs that fail as the product's steps do.
"""

from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

import dagster as dg
import pytest
from dagster._core.events import DagsterEvent, DagsterEventType, JobFailureData, RunFailureReason

from cs_features.errors import AwsRefusal, PublishingFailed
from cs_features.monitoring.alerts import Alert
from cs_features.orchestration.checks import CHECKS, advice_of
from cs_features.orchestration.checks.quality import advise_on_quality
from cs_features.orchestration.failures import BUDGET, lasting_failure, passing_failure
from cs_features.orchestration.incidents import EndedRun, list_alerts
from cs_features.orchestration.sensors.alerts import WHAT_RUNS_TELL
from cs_features.orchestration.sensors.landing_decision import MAX_TRIES
from cs_features.quality.floor import KnownQuality
from cs_features_tests.support.failed_runs import fail_blocking_check, fail_run
from cs_features_tests.support.memory_instance import memory_instance

SECRET = "Mijn man Pieter is overleden"
NOW = datetime(2026, 11, 24, 12, tzinfo=timezone.utc)
OF_NL = {"dagster/partition": "NL|2025-03-04"}
LINK = "https://dagster.example.org/runs/1"


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with memory_instance() as made:
        yield made


def alerts_of(instance: dg.DagsterInstance, run: dg.DagsterRun) -> list[Alert]:
    latest = instance.get_run_by_id(run.run_id)
    assert latest is not None
    records = instance.get_records_for_run(run.run_id, of_type=WHAT_RUNS_TELL).records
    return list_alerts(EndedRun(latest, [record.event_log_entry for record in records], LINK, NOW))


def asked_by_sensor(tries: int = 1) -> dict[str, str]:
    key = "process_interactions:NL|2025-03-04:abc" + (f":try{tries}" if tries > 1 else "")
    return {**OF_NL, "dagster/sensor_name": "landing_sensor", "dagster/run_key": key}


# --- failures ---------------------------------------------------------------------------------


def test_a_failed_run_is_one_alert_with_cause_country_partition_meaning_advice_and_link(
    instance: dg.DagsterInstance,
) -> None:
    """`process_interactions failed`, forty times in the night, and each had to be opened to know what and where."""
    error = passing_failure("NL 2025-03-04: Bedrock failed 17 of 312 calls for good. Every answer is kept")
    (alert,) = alerts_of(instance, fail_run(instance, error, OF_NL))
    assert alert.subject == "cs-features ERROR: Bedrock failed 17 of 312 calls for good, NL"
    assert alert.reason.endswith("Every answer is kept")
    assert alert.partitions == ("NL 2025-03-04",)
    assert "published nothing more" in alert.meaning
    assert "run it again from its page" in alert.advice
    assert (alert.link, alert.at) == (LINK, NOW)


@pytest.mark.parametrize(
    ("error", "title", "reason"),
    [
        (AwsRefusal("Bucket x (NoSuchBucket at GetObject): set it"), "Bucket x (NoSuchBucket at GetObject)", "set it"),
        (PublishingFailed("3 of 40 records were not written. Run it"), "3 of 40 records were not written", "Run it"),
        (lasting_failure("fr below 0.70, nl below 0.65", cause="quality_floor"), "quality_floor", "fr below 0.70"),
        (KeyError(SECRET), "KeyError in llm_extractions", "ended with KeyError"),
        (dg.Failure(SECRET), "Failure in llm_extractions", "ended with Failure"),
        (ValueError(f"invalid literal: {SECRET}"), "ValueError in llm_extractions", "ended with ValueError"),
    ],
    ids=["refusal", "publishing", "named cause", "KeyError", "a failure that nobody of us made", "ValueError"],
)
def test_the_words_of_our_own_errors_are_told_and_of_others_the_class_alone(
    instance: dg.DagsterInstance, error: BaseException, title: str, reason: str
) -> None:
    """A message goes to mailboxes and chats outside of the region; pydantic and json quote what they cannot read."""
    (alert,) = alerts_of(instance, fail_run(instance, error, OF_NL))
    assert alert.title == title
    assert reason in alert.reason
    assert "Pieter" not in alert.subject + alert.body


def test_our_error_is_found_below_what_it_was_wrapped_in(instance: dg.DagsterInstance) -> None:
    """`Error occurred while executing op`: the message said so of every failure, and hid the second one in the hour."""
    wrapped = RuntimeError(SECRET)
    wrapped.__cause__ = AwsRefusal("Bucket x: the bucket does not exist")
    (alert,) = alerts_of(instance, fail_run(instance, wrapped, OF_NL))
    assert alert.title == "Bucket x"
    assert "Pieter" not in alert.body


def end_without_step(instance: dg.DagsterInstance, message: str, data: JobFailureData | None = None) -> dg.DagsterRun:
    @dg.job(name="process_interactions")
    def nothing() -> None:
        pass

    run = instance.create_run_for_job(nothing, tags=OF_NL, status=dg.DagsterRunStatus.STARTED)
    end = DagsterEvent(DagsterEventType.RUN_FAILURE.value, run.job_name, message=message, event_specific_data=data)
    instance.report_dagster_event(end, run.run_id)
    return run


def test_of_a_run_without_a_failed_step_nothing_that_its_log_says_is_relayed(instance: dg.DagsterInstance) -> None:
    """Fault 38: ECS puts the last lines of a task's log into the message, and a customer's name was sent by SNS."""
    logs = f"Task arn:aws:ecs:eu-central-1:1:task/{{}} stopped: OutOfMemory. Last log lines: {SECRET}"
    alerts = [alerts_of(instance, end_without_step(instance, logs.format(id)))[0] for id in ("abc123", "def456")]
    assert all("Pieter" not in alert.subject + alert.body for alert in alerts)
    assert [alert.title for alert in alerts] == ["run lost", "run lost"]
    assert alerts[0].incident == alerts[1].incident, "two tasks were two incidents of one"
    assert "ran out of memory" in alerts[0].reason


def test_a_run_that_did_not_start_in_time_is_told_as_that(instance: dg.DagsterInstance) -> None:
    """Fault 19: what is to be looked for is a place for a process, and not a process."""
    data = JobFailureData(error=None, failure_reason=RunFailureReason.START_TIMEOUT)
    (alert,) = alerts_of(instance, end_without_step(instance, "Run timed out", data))
    assert alert.title == "run did not start"


def test_a_run_that_dagster_retries_is_told_when_its_last_retry_failed(instance: dg.DagsterInstance) -> None:
    """With run retries on, each hiccup of a container was told, and mended itself before anybody had read it."""
    tags = {**OF_NL, "dagster/will_retry": "true"}
    assert alerts_of(instance, fail_run(instance, KeyError(), tags)) == []


@pytest.mark.parametrize(
    ("error", "tries", "title", "advice"),
    [
        (passing_failure("Bedrock was down"), 1, "Bedrock was down", "tries again in 5 minutes"),
        (passing_failure("Bedrock was down"), 2, "Bedrock was down", "tries again in 30 minutes"),
        (passing_failure("Bedrock was down"), MAX_TRIES, "given up, Bedrock was down", "failed 4 times"),
        (lasting_failure("5 would be withdrawn"), 1, "5 would be withdrawn", "is not tried again, because"),
        (lasting_failure("it is spent", cause=BUDGET), 1, "budget spent", "raise CS_FEATURES_MAX_COST_USD"),
        (KeyError(), 1, "KeyError in llm_extractions", "tries again in 5 minutes"),
    ],
    ids=["outage", "outage again", "given up", "brake", "budget", "unknown"],
)
def test_the_advice_says_whether_somebody_tries_again_and_fits_the_cause(
    instance: dg.DagsterInstance, error: BaseException, tries: int, title: str, advice: str
) -> None:
    """He waited for the retry that the message promised, and the third one had been the last. Fault 49: of a budget
    that was spent, the message said that the sensor tries again."""
    (alert,) = alerts_of(instance, fail_run(instance, error, asked_by_sensor(tries)))
    assert alert.title == title
    assert advice in alert.advice


@pytest.mark.parametrize(
    ("key", "country", "partition"),
    [
        ("NL|2025-03-04", "NL", "NL 2025-03-04"),
        ("nl-BE", "BE", "nl-BE"),
        ("", "all countries", None),
        ("something else", "all countries", "something else"),
    ],
)
def test_the_country_is_that_of_the_partition_or_the_locale(
    instance: dg.DagsterInstance, key: str, country: str, partition: str | None
) -> None:
    """A locale's run was told under all countries, and its neighbour's was silenced by it."""
    (alert,) = alerts_of(instance, fail_run(instance, KeyError(), {"dagster/partition": key} if key else {}))
    assert alert.country == country
    assert alert.partitions == ((partition,) if partition else ())


# --- checks -----------------------------------------------------------------------------------


def evaluation(name: str, severity: dg.AssetCheckSeverity, blocking: bool = False, **metadata: Any) -> Any:
    return dg.AssetCheckEvaluation(
        dg.AssetKey("validated_features"),
        name,
        False,
        {key: dg.MetadataValue.int(it) if isinstance(it, int) else it for key, it in metadata.items()},
        severity=severity,
        blocking=blocking,
    )


def finished_with(instance: dg.DagsterInstance, *checks: Any, tags: dict[str, str] | None = None) -> list[Alert]:
    """The alerts of a run that went through with these checks failed."""

    @dg.job(name="process_interactions")
    def nothing() -> None:
        pass

    run = instance.create_run_for_job(nothing, tags=tags or {}, status=dg.DagsterRunStatus.STARTED)
    for check in checks:
        event = DagsterEvent(DagsterEventType.ASSET_CHECK_EVALUATION.value, run.job_name, event_specific_data=check)
        instance.report_dagster_event(event, run.run_id)
    instance.report_dagster_event(DagsterEvent(DagsterEventType.RUN_SUCCESS.value, run.job_name), run.run_id)
    return alerts_of(instance, run)


WARN, ERROR = dg.AssetCheckSeverity.WARN, dg.AssetCheckSeverity.ERROR


def test_a_warning_check_in_a_run_that_went_through_is_told_with_its_numbers(instance: dg.DagsterInstance) -> None:
    """Half of a feed was rejected for a week: the runs were green, and nobody opens a green run."""
    (alert,) = finished_with(instance, evaluation("rejected_share", WARN, rejected=3), tags=OF_NL)
    assert alert.subject == "cs-features WARNING: rejected_share, NL"
    assert "(rejected 3)" in alert.reason
    assert alert.partitions == ("NL 2025-03-04",)
    assert alert.advice == advice_of("rejected_share")
    assert "all others are published" in alert.meaning


def test_two_checks_that_fail_in_one_run_are_two_incidents(instance: dg.DagsterInstance) -> None:
    """With one message for both, the second check was told anew with each other one that failed beside it."""
    alerts = finished_with(instance, evaluation("latency_p95", WARN), evaluation("of_tomorrow", ERROR))
    assert [alert.title for alert in alerts] == ["latency_p95", "of_tomorrow"]
    assert len({alert.incident for alert in alerts}) == 2
    assert all(alert.advice for alert in alerts), "a check that nobody has written advice for has some, too"


def test_a_check_over_all_partitions_is_told_by_country_with_the_partitions_that_it_is_about(
    instance: dg.DagsterInstance,
) -> None:
    """Fault 41: `reconciled` named no partition: two countries, three days, and one had to open it to know which."""
    keys = ["NL|2026-11-23", "NL|2026-11-24", "FR|2026-11-24", SECRET, "NL|2026-11-24 and more"]
    table = dg.MetadataValue.table([dg.TableRecord({"partition": key, "missing": 1}) for key in keys])
    alerts = finished_with(instance, evaluation("reconciled", ERROR, differing=table))
    assert {alert.country: alert.partitions for alert in alerts} == {
        "FR": ("FR 2026-11-24",),
        "NL": ("NL 2026-11-23", "NL 2026-11-24"),
    }
    assert all("Pieter" not in alert.body for alert in alerts)


def test_of_a_checks_metadata_only_numbers_are_told(instance: dg.DagsterInstance) -> None:
    """The table of failure cases holds what the model wrote of a customer."""
    texts = {"first": dg.MetadataValue.text(SECRET), "rest": dg.MetadataValue.json([SECRET])}
    (alert,) = finished_with(instance, evaluation("schema", WARN, rows=3, **texts))
    assert "rows 3" in alert.reason
    assert "Pieter" not in alert.body


def test_a_check_may_say_itself_what_to_do_this_time(instance: dg.DagsterInstance) -> None:
    """Fault 41: of a quality that is unknown it was advised: "Below its floor: mend the prompt"."""
    advice = dg.MetadataValue.text("Materialize extraction_quality.")
    (alert,) = finished_with(instance, evaluation("quality_floor", WARN, advice=advice))
    assert alert.advice == "Materialize extraction_quality."


@pytest.mark.parametrize(
    ("found", "says", "does_not_say"),
    [
        (KnownQuality(["nl sentiment 0.5"], [], []), "put the old one back", "Nobody has measured"),
        (KnownQuality([], ["nl"], []), "Nobody has measured this prompt", "Mend the country's prompt"),
        (KnownQuality([], [], ["fy"]), "Write golden items", "Mend the country's prompt"),
        (KnownQuality(["x"], ["nl"], ["fy"]), "Nobody has measured this prompt", "nothing"),
    ],
    ids=["below", "unmeasured", "without items", "all of it"],
)
def test_the_advice_on_quality_fits_what_is_known_of_it(found: KnownQuality, says: str, does_not_say: str) -> None:
    """Fault 41: of a quality that is unknown it was advised: "Below its floor: mend the prompt"."""
    assert says in advise_on_quality(found)
    assert does_not_say not in advise_on_quality(found)


def test_a_blocking_check_that_stopped_its_run_is_the_cause_and_says_so(instance: dg.DagsterInstance) -> None:
    """`1 blocking asset check failed`: which one was known to those who opened the run."""
    (alert,) = alerts_of(instance, fail_blocking_check(instance, OF_NL))
    assert alert.subject == "cs-features ERROR: conservation, NL"
    assert alert.advice == advice_of("conservation")
    assert "published nothing more" in alert.meaning


def test_a_step_that_crashed_beside_a_failed_check_is_the_cause_and_the_check_is_not(
    instance: dg.DagsterInstance,
) -> None:
    """The wrong cause in a check's alert: the run had died of an outage, and the mail blamed the check that had failed
    before it without stopping anything."""
    run = fail_run(instance, passing_failure("Bedrock was down"), OF_NL)
    latest = instance.get_run_by_id(run.run_id)
    assert latest is not None
    records = instance.get_records_for_run(run.run_id, of_type=WHAT_RUNS_TELL).records
    log: list[Any] = [record.event_log_entry for record in records]

    class Evaluated:
        dagster_event = None
        asset_check_evaluation = evaluation("conservation", ERROR, blocking=True)

    for entries in ([Evaluated(), *log], [*log, Evaluated()]):
        (alert,) = list_alerts(EndedRun(latest, entries, LINK, NOW))
        assert alert.title == "Bedrock was down"


def test_a_check_that_only_warns_is_no_cause_beside_the_one_that_blocked(instance: dg.DagsterInstance) -> None:
    """The mail named three checks, and two of them had nothing to do with it."""
    run = fail_blocking_check(instance, OF_NL)
    latest = instance.get_run_by_id(run.run_id)
    assert latest is not None
    records = instance.get_records_for_run(run.run_id, of_type=WHAT_RUNS_TELL).records

    class Evaluated:
        dagster_event = None
        asset_check_evaluation = evaluation("quality_floor", WARN, blocking=True)

    entries: list[Any] = [Evaluated(), *(record.event_log_entry for record in records)]
    assert [alert.title for alert in list_alerts(EndedRun(latest, entries, LINK, NOW))] == ["conservation"]


def test_a_check_that_crashed_is_not_told_as_one_that_failed(instance: dg.DagsterInstance) -> None:
    """For a day he looked for lost documents, and there was a typo in the check."""
    step = next(step.node_def.name for step in CHECKS if any(key.name == "conservation" for key in step.check_keys))

    @dg.op(name=step)
    def crash() -> None:
        raise KeyError(SECRET)

    @dg.job(executor_def=dg.in_process_executor)
    def crashing() -> None:
        crash()

    run = crashing.execute_in_process(instance=instance, tags=OF_NL, raise_on_error=False).dagster_run
    (alert,) = alerts_of(instance, run)
    assert alert.title == f"{step} crashed"
    assert "says nothing about the data" in alert.reason
    assert "Pieter" not in alert.body


def test_the_names_of_checks_in_advice_are_those_of_checks_that_exist() -> None:
    """A check was renamed, and its message said from then on what the others say."""
    names = {spec.name for check in CHECKS for spec in check.check_specs}
    assert all(advice_of(name) != advice_of("of tomorrow") for name in names)
