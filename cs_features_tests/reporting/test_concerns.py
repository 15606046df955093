"""Thirty planted faults, each on line one of the page the same day; and sixty normal days on which nothing is told.

Faults of Dagster are the alerts that `conditions.py` and `incidents.py` make of them; those that only figures show are
planted in the figures.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest

from cs_features.monitoring.alerts import Alert
from cs_features.monitoring.freshness import Freshness, FreshnessState
from cs_features.orchestration import conditions
from cs_features.orchestration.checks import CHECKS
from cs_features.orchestration.checks.quality import DRIFT
from cs_features.orchestration.incidents import PUBLISHED, Place, describe_evaluation
from cs_features.orchestration.sensors.landing import REFUSED
from cs_features.orchestration.sensors.landing_memory import Cursor
from cs_features.reporting.concerns import SHOWN_CONCERNS, Concern, list_page_concerns
from cs_features.reporting.facts import Documents, Operations, Quality, Source
from cs_features.reporting.page import render_report_page, write_first_lines
from cs_features_tests.support.facts import NOW, TODAY, YESTERDAY, change_country, normal_facts

UI = "https://dagster.example.org"
KEY = f"NL|{YESTERDAY}"
Planted = tuple[Operations, Sequence[Alert]]


def judge(planted: Planted) -> list[Concern]:
    facts, standing = planted
    return list_page_concerns(facts, standing, UI, "cs-landing")


def in_figures(change: Callable[[Operations], Operations]) -> Planted:
    return change(normal_facts()), []


def of_country(**changes: Any) -> Planted:
    return in_figures(lambda facts: change_country(facts, "NL", **changes))


def in_check(name: str, *, warn: bool = False, key: str | None = KEY, found: Sequence[str] = ()) -> Planted:
    """A check that failed for a partition, or for those that its table names."""
    specs = [spec for check in CHECKS for spec in check.check_specs] + [DRIFT]
    (spec,) = [spec for spec in specs if spec.name == name]
    metadata = {}
    if found:
        records = [dg.TableRecord({"partition": each}) for each in found]
        schema = dg.TableSchema(columns=[dg.TableColumn("partition")])
        metadata["differing"] = dg.MetadataValue.table(records=records, schema=schema)
    severity = dg.AssetCheckSeverity.WARN if warn else dg.AssetCheckSeverity.ERROR
    evaluation = dg.AssetCheckEvaluation(
        asset_key=spec.asset_key, check_name=name, passed=False, severity=severity, metadata=metadata, partition=key
    )
    return normal_facts(), describe_evaluation(evaluation, Place(key or "", f"{UI}/x", NOW, PUBLISHED))


def in_instance(*alerts: Alert | None) -> Planted:
    return normal_facts(), [alert for alert in alerts if alert is not None]


def failed_run(title: str, reason: str) -> Planted:
    """As `incidents.describe_failure` tells it, which test_incidents holds."""
    alert = conditions.describe_queue([NOW - timedelta(hours=3)], UI, NOW)
    assert alert is not None
    return normal_facts(), [
        alert.model_copy(update={"title": title, "reason": reason, "country": "NL", "partitions": (f"NL {YESTERDAY}",)})
    ]


def blind_ticks(reason: str) -> list[Any]:
    moments = [NOW - timedelta(minutes=minutes) for minutes in (1, 10, 20)]
    return [
        SimpleNamespace(
            is_completed=True, is_failure=False, skip_reason=reason, timestamp=moment.timestamp(), error=None
        )
        for moment in moments
    ]


def with_day(**changes: Any) -> Planted:
    facts = normal_facts()
    (country,) = [each for each in facts.countries if each.country == "NL"]
    assert country.documents is not None
    days = {day: replace(documents, **changes) for day, documents in country.documents.items()}
    return change_country(facts, "NL", documents=days), []


def with_spending(**changes: Any) -> Planted:
    return in_figures(lambda facts: replace(facts, spending=replace(facts.spending, **changes)))


def with_sources(*sources: Source) -> Planted:
    return in_figures(lambda facts: replace(facts, sources=sources))


SILENT = Freshness(
    FreshnessState.LATE, NOW - timedelta(days=1), timedelta(days=1), timedelta(hours=3), days_compared=40
)
EMPTIED = Cursor(bucket="cs-landing", emptied={KEY: "etag"})
A_RUN = dg.DagsterRun(job_name="process_interactions", tags={"dagster/partition": KEY})

FAULTS: dict[str, tuple[Callable[[], Planted], str, str]] = {
    # landing
    "a silent country": (lambda: of_country(freshness=SILENT), "freshness", "NL is silent"),
    "a feed in the wrong folder": (lambda: in_check("misfiled", key=None), "misfiled", "no run will ever read"),
    "half of a feed is broken": (lambda: in_check("rejected_share", warn=True), "rejected_share", "At most 10%"),
    "documents lost on their way": (lambda: in_check("conservation"), "conservation", "landed = validated"),
    "one document by two doors": (lambda: in_check("one_door"), "one_door", "both validated and rejected"),
    "a folder that was emptied": (
        lambda: in_instance(*conditions.describe_emptied(EMPTIED, UI, NOW)),
        "documents gone",
        "without documents in the landing bucket",
    ),
    "landed and never run": (lambda: in_check("reconciled", key=None, found=[KEY]), "reconciled", "what landed"),
    # the model
    "a country below its floor": (lambda: in_check("quality_floor"), "quality_floor", "worse than the floors"),
    "a prompt that nobody measured": (
        lambda: of_country(quality=Quality(worst=None, source="not with this prompt")),
        "quality_floor",
        "Nobody knows",
    ),
    "features that drifted": (lambda: in_check("drift", warn=True), "drift", "away from the 8 weeks before"),
    "a model that answers little": (
        lambda: in_check("extraction_failures"),
        "extraction_failures",
        "without an answer",
    ),
    "a model that repeats the examples": (
        lambda: in_check("copied_summaries", warn=True),
        "copied_summaries",
        "summary",
    ),
    "a model that is slow": (lambda: in_check("latency_p95", warn=True), "latency_p95", "95 of 100 calls"),
    "rows that break the schema": (lambda: in_check("schema"), "schema", "pandera"),
    # the account
    "a missing permission": (
        lambda: failed_run("bedrock:InvokeModel is not allowed", "NL: bedrock:InvokeModel is not allowed on it"),
        "bedrock:InvokeModel",
        "not allowed",
    ),
    "an outage that did not end": (
        lambda: failed_run("given up, Bedrock was down", "Bedrock was down. Every answer is kept"),
        "given up",
        "Bedrock was down",
    ),
    # the store
    "a store that serves something else": (lambda: in_check("served", key=None, found=[KEY]), "served", "serves"),
    "withdrawals that were stopped": (
        lambda: failed_run("withdrawals stopped", "15 of 20 records would be withdrawn"),
        "withdrawals stopped",
        "would be withdrawn",
    ),
    "records that nobody renews": (lambda: with_day(kept=60), "kept records", "older prompt"),
    # quota
    "runs that wait": (
        lambda: in_instance(conditions.describe_queue([NOW - timedelta(hours=3)], UI, NOW)),
        "runs wait in the queue",
        "1 run in the queue since",
    ),
    "a run that never ends": (
        lambda: in_instance(conditions.describe_long_run(A_RUN, NOW - timedelta(hours=9), UI, NOW)),
        "run goes on for hours",
        "process_interactions",
    ),
    # prompts
    "a country file that cannot be read": (
        lambda: in_instance(
            conditions.describe_blindness("prompt_sensor", blind_ticks("Prompt files cannot be used. NL.md:3"), UI)
        ),
        "prompt_sensor cannot look",
        "NL.md:3",
    ),
    # cost
    "a budget that is spent": (lambda: failed_run("budget spent", "$25.00 are spent"), "budget spent", "$25.00"),
    "a month that runs out": (lambda: with_spending(month=430.0), "spending", "$430 of this month's $500"),
    "a day that costs three times as much": (lambda: with_spending(today=9.0), "spending", "$9.00 were spent in a day"),
    "an interaction that is dear": (lambda: in_check("cost_per_interaction", warn=True), "cost_per", "at most $"),
    "a cache that caches nothing": (lambda: in_check("prompt_cache_hits", warn=True), "prompt_cache_hits", "cache"),
    # sensors and daemons
    "a sensor that cannot look": (
        lambda: in_instance(conditions.describe_blindness("landing_sensor", blind_ticks(f"{REFUSED}Denied"), UI)),
        "landing_sensor cannot look",
        "Denied",
    ),
    "a sensor that somebody switched off": (
        lambda: in_instance(conditions.describe_switched_off("landing_sensor", UI, NOW)),
        "landing_sensor is switched off",
        "switched landing_sensor off",
    ),
    "a daemon that stopped": (
        lambda: in_instance(conditions.describe_daemons(["SCHEDULER"], UI, NOW)),
        "daemon stopped",
        "No sign of life",
    ),
    "an inventory that is not taken": (
        lambda: with_sources(Source(name="reconciliation", made_at=NOW - timedelta(days=3))),
        "inventory is old",
        "3 days ago",
    ),
    "a table that cannot be read": (
        lambda: with_sources(Source(name="open_rejects", error="AccessDenied")),
        "source unreadable",
        "AccessDenied",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_line_one_with_link_and_command(fault: str) -> None:
    plant, title, words = FAULTS[fault]
    planted = plant()
    concerns = judge(planted)
    line = write_first_lines(concerns)[0]
    assert concerns[0].title.startswith(title)
    assert words in line, line
    page = render_report_page(planted[0], concerns, UI)
    first = page[page.index("<ol>") :].split("</li>")[0]
    assert title in first
    assert 'href="https://' in first
    assert concerns[0].command


def test_thirty_faults_are_planted() -> None:
    assert len(FAULTS) >= 30


def test_a_normal_day_says_nothing() -> None:
    facts = normal_facts()
    assert judge((facts, [])) == []
    assert write_first_lines([]) == ["Nothing needs you today."]
    assert "Nothing." in render_report_page(facts, [], UI)


def test_over_sixty_normal_days_of_five_countries_at_most_two_are_called_out() -> None:
    """What every normal day calls out nobody reads on the day that matters."""
    days = [normal_facts(datetime(2026, 9, 1, 5, tzinfo=timezone.utc) + timedelta(days=day), day) for day in range(60)]
    alarms = [concern.title for facts in days for concern in judge((facts, []))]
    assert len(alarms) <= 2, alarms


def test_one_cause_in_five_countries_is_one_line_that_names_them_and_their_partitions() -> None:
    facts = normal_facts()
    standing = [
        alert
        for country in ("NL", "BE", "FR", "ES", "PL")
        for alert in in_check("conservation", key=f"{country}|{YESTERDAY}")[1]
    ]
    (concern,) = judge((facts, standing))
    assert concern.countries == ("BE", "ES", "FR", "NL", "PL")
    assert concern.command.endswith(f"--partitions '{','.join(f'{c}|{YESTERDAY}' for c in concern.countries)}'")


def test_what_loses_data_comes_before_what_costs_and_what_only_looks_odd() -> None:
    names = ("latency_p95", "cost_per_interaction", "misfiled", "conservation")
    standing = [alert for name in names for alert in in_check(name, warn=name == "latency_p95")[1]]
    assert [concern.title for concern in judge((normal_facts(), standing))] == list(reversed(names))


def test_more_than_five_are_named_and_none_is_hidden() -> None:
    names = [spec.name for check in CHECKS for spec in check.check_specs if spec.name != "freshness"]
    standing = [alert for name in names for alert in in_check(name)[1]]
    concerns = judge((normal_facts(), standing))
    lines = write_first_lines(concerns)
    assert len(lines) == SHOWN_CONCERNS + 1
    assert all(name in "\n".join(lines) for name in names)
    page = render_report_page(normal_facts(), concerns, UI)
    assert all(name in page for name in names)


def test_many_partitions_are_run_by_the_days_that_they_span() -> None:
    """A command that named the first eight of twenty partitions would do half of the work."""
    keys = [f"NL|{YESTERDAY - timedelta(days=back)}" for back in range(20)]
    standing = [alert for key in keys for alert in in_check("conservation", key=key)[1]]
    (concern,) = judge((normal_facts(), standing))
    span = f"--country NL --first {YESTERDAY - timedelta(days=19)} --last {YESTERDAY}"
    assert concern.command.endswith(f"cs_features.cli.backfill {span}")


def test_unknown_quality_is_advised_to_measure_and_not_to_mend() -> None:
    (concern,) = judge(of_country(quality=Quality(worst=None, source="never measured")))
    assert "Materialize extraction_quality" in concern.advice
    assert "mend" not in concern.advice.lower()
    assert "measure_quality" in concern.command


def test_a_month_is_projected_only_when_a_week_of_it_is_known() -> None:
    first = datetime(2026, 11, 3, 5, tzinfo=timezone.utc)
    facts = normal_facts(first)
    early = replace(facts, spending=replace(facts.spending, month=40.0))
    late = replace(normal_facts(), spending=replace(facts.spending, month=390.0))
    assert judge((early, [])) == []
    assert [concern.title for concern in judge((late, []))] == ["spending"]


def test_kept_records_are_called_out_by_their_share() -> None:
    few = {YESTERDAY: Documents(state="settled", landed=99, validated=90, kept=3, served=93)}
    assert judge(of_country(documents=few)) == []
    many = {date(2026, 11, 20): Documents(state="settled", landed=99, validated=50, kept=40, served=90)}
    (concern,) = judge(of_country(documents=many))
    assert concern.partitions == ("NL 2026-11-20",)
    assert "redrive_rejected" in concern.command
    assert TODAY > YESTERDAY
