"""Each kind of fault, read at seven in the morning: what happened, where and when, what it means for the features, what
to do, and a link that opens something.

The kinds are those of the faults that were once proven from outside; each stands for what is sent of it today.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest

from cs_features.errors import AwsRefusal, BudgetSpent, Outage, RunStopper, WithdrawalStopped
from cs_features.monitoring.alerts import Alert
from cs_features.monitoring.freshness import Freshness, FreshnessState
from cs_features.monitoring.silence import describe_country_silence
from cs_features.orchestration import conditions
from cs_features.orchestration.checks.registry import _SPECS
from cs_features.orchestration.failures import lasting_failure, make_failure
from cs_features.orchestration.incidents import NOT_PUBLISHED, PUBLISHED, EndedRun, Place, list_alerts
from cs_features.orchestration.incidents import describe_evaluation as describe
from cs_features.orchestration.sensors.alerts import WHAT_RUNS_TELL, describe_defect
from cs_features.orchestration.sensors.landing import REFUSED
from cs_features.orchestration.sensors.landing_memory import Cursor
from cs_features.orchestration.standing import link_to_check
from cs_features.reporting.concerns import describe_figures
from cs_features.reporting.facts import Quality, Source
from cs_features_tests.support.facts import change_country, normal_facts
from cs_features_tests.support.failed_runs import fail_run
from cs_features_tests.support.memory_instance import memory_instance

UI = "https://dagster.example.org"
NOW = datetime(2026, 11, 24, 7, tzinfo=timezone.utc)
KEY = "NL|2026-11-23"
TAGS = {"dagster/partition": KEY}
# Pages of Dagster 1.13 that were opened in a browser; `/runs/queued` and `/jobs/NAME` are none.
PAGES = re.compile(
    rf"{UI}/(runs(/[\w-]+|\?q\[0\]=status:\w+)?|deployment/daemons|assets/\w+(\?view=checks(&checkDetail=\w+)?)?"
    r"|locations/cs_features\.definitions/(jobs|sensors|schedules)/\w+)"
)

SPEAKS_OF_FEATURES = re.compile(r"\b(features?|records?|publishe[sd]|served|lands|interaction)\b", re.IGNORECASE)

Send = Callable[[dg.DagsterInstance], list[Alert]]


def fail_with(error: BaseException, job: str = "process_interactions") -> Send:
    """The mail of a run that ended so, as Dagster recorded it."""

    def send(instance: dg.DagsterInstance) -> list[Alert]:
        run = instance.get_run_by_id(fail_run(instance, error, TAGS).run_id)
        assert run is not None
        records = instance.get_records_for_run(run.run_id, of_type=WHAT_RUNS_TELL).records
        log = [record.event_log_entry for record in records]
        return list_alerts(EndedRun(run._replace(job_name=job), log, f"{UI}/runs/{run.run_id}", NOW))

    return send


def fail_check(name: str, *partitions: str, **numbers: float) -> Send:
    """The mail of a check that failed: in its partition, or for the partitions that its table names."""

    def send(_: dg.DagsterInstance) -> list[Alert]:
        spec = _SPECS[name]
        records = [dg.TableRecord({"partition": each}) for each in partitions]
        schema = dg.TableSchema(columns=[dg.TableColumn("partition")])
        evaluation = dg.AssetCheckEvaluation(
            asset_key=spec.asset_key,
            check_name=name,
            passed=False,
            metadata={**numbers, "differing": dg.MetadataValue.table(records=records, schema=schema)},
            severity=dg.AssetCheckSeverity.ERROR if spec.blocking else dg.AssetCheckSeverity.WARN,
            blocking=spec.blocking,
            partition=None if spec.partitions_def is None else KEY,
        )
        outcome = NOT_PUBLISHED if spec.blocking else PUBLISHED
        return describe(evaluation, Place(evaluation.partition or "", link_to_check(UI, evaluation), NOW, outcome))

    return send


def state(alert: Alert | None) -> Send:
    assert alert is not None
    return lambda _: [alert]


def blind_ticks(reason: str) -> list[Any]:
    moments = [NOW - timedelta(minutes=minutes) for minutes in (1, 10, 20)]
    return [
        SimpleNamespace(is_completed=True, is_failure=False, skip_reason=reason, timestamp=at.timestamp(), error=None)
        for at in moments
    ]


SENSOR = f"{UI}/locations/cs_features.definitions/sensors/landing_sensor"
SILENT = Freshness(
    FreshnessState.LATE, NOW - timedelta(days=1), timedelta(days=1), timedelta(hours=3), days_compared=40
)
LONG_RUN = conditions.describe_long_run(
    dg.DagsterRun(job_name="process_interactions", tags=TAGS), NOW - timedelta(hours=9), UI, NOW
)
UNMEASURED = change_country(normal_facts(NOW), "NL", quality=Quality(worst=None, source="never measured"))
UNREAD = Source(name="reconciliation", made_at=NOW - timedelta(days=3))

KINDS: dict[str, list[Send]] = {
    "absence taken for an order to delete": [
        fail_check("extraction_failures", unanswered_NL=60, accepted_NL=60),
        fail_with(make_failure("NL 2026-11-23: 15 of 20 records would be withdrawn", WithdrawalStopped("15 of 20"))),
        state(conditions.describe_emptied(Cursor(bucket="cs-landing", emptied={KEY: "etag"}), SENSOR, NOW)[0]),
    ],
    "memory that does not say whose it is": [fail_check("served", KEY), fail_check("reconciled", KEY)],
    "the law ends before the last door": [fail_check("served", KEY), fail_check("conservation", missing_NL=3)],
    "outside the query": [fail_check("misfiled", objects=6), fail_check("id_conflicts", documents_NL=2)],
    "one bad thing stops the rest": [
        fail_with(AwsRefusal("Bucket cs-landing (AccessDenied at GetObject): allow it")),
        state(LONG_RUN),
        state(conditions.describe_queue([NOW - timedelta(hours=3)], f"{UI}/runs?q[0]=status:QUEUED", NOW)),
        state(conditions.describe_blindness("landing_sensor", blind_ticks(f"{REFUSED}Denied"), SENSOR)),
        state(conditions.describe_switched_off("landing_sensor", SENSOR, NOW)),
        state(conditions.describe_daemons(["SCHEDULER"], f"{UI}/deployment/daemons", NOW)),
    ],
    "time taken for order": [fail_check("reconciled", KEY), fail_check("one_door", in_both_NL=1)],
    "wrong class of error": [
        fail_with(make_failure("NL 2026-11-23: Bedrock is down. Every answer is kept", Outage("down"))),
        fail_with(make_failure("NL 2026-11-23: bedrock:InvokeModel is not allowed", RunStopper("not allowed"))),
        fail_with(KeyError("x")),
    ],
    "the contract without a guard": [
        fail_check("schema", rows_failed_NL=2),
        fail_check("copied_summaries", copied_NL=4),
    ],
    "money": [
        fail_with(make_failure("NL 2026-11-23: the budget is spent: $25.00", BudgetSpent("spent"))),
        fail_check("cost_per_interaction", cost_usd_NL=0.002),
        fail_check("prompt_cache_hits", share_NL=0.0),
    ],
    "countries, alerts, quality": [
        fail_check("quality_floor"),
        fail_check("rejected_share", share_NL=0.67, limit_NL=0.1),
        fail_check("drift"),
        fail_check("latency_p95", p95_ms_NL=9_000),
        fail_check("text_cannot_act", obeyed=9),
        fail_check("preflight", wrong=2),
        fail_with(lasting_failure("NL.md:3: the front matter must be lines"), "measure_quality"),
        fail_with(AwsRefusal("Bucket cs-data (AccessDenied at GetObject): allow it"), "take_inventory"),
        state(describe_country_silence("NL", SILENT, NOW, UI)),
        lambda _: list(describe_figures(UNMEASURED, UI)),
    ],
    "messages": [state(describe_defect("The cursor of alert_sensor cannot be read.", f"{UI}/runs", NOW))],
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_message_says_what_where_what_it_means_what_to_do_and_where_to_look(kind: str) -> None:
    """The subject was always "check failed", the body a rule as if it held; two links led to pages that are none."""
    with memory_instance() as instance:
        alerts = [alert for send in KINDS[kind] for alert in send(instance)]
    assert len(alerts) >= len(KINDS[kind])
    for alert in alerts:
        assert alert.country in alert.subject
        assert len(alert.reason.split()) > 3, alert.reason
        assert alert.country == "all countries" or alert.partitions or "UTC" in alert.body
        assert SPEAKS_OF_FEATURES.search(alert.meaning), alert.meaning
        assert len(alert.advice.split()) > 2, alert.advice
        assert PAGES.fullmatch(alert.link), alert.link


def test_a_rule_that_was_broken_is_not_told_as_if_it_held() -> None:
    """ "rejected_share: At most 10 % of the documents are rejected", said the mail about a day with 67 %."""
    with memory_instance() as instance:
        (alert,) = fail_check("rejected_share", share_NL=0.67)(instance)
    assert "this does not hold: At most 10% of the documents are rejected. (share 0.67)" in alert.reason


def test_every_check_says_what_its_failure_means_for_the_features() -> None:
    with memory_instance() as instance:
        told = [fail_check(name)(instance)[0] for name in _SPECS]
    assert len({alert.meaning for alert in told}) == len(_SPECS)
    assert all("The run went through" not in alert.meaning for alert in told)


def test_the_page_names_sources_whose_links_open_a_page() -> None:
    alerts = list(describe_figures(replace(normal_facts(NOW), sources=[UNREAD]), UI))
    assert [PAGES.fullmatch(alert.link) is not None for alert in alerts] == [True]
