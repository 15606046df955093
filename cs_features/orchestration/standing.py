"""What Dagster's instance says of the operation now: runs that failed and were not mended, checks that fail, sensors,
schedules and daemons that stand still. As the alerts that they would be.

A few queries, whatever the number of partitions. Not here: the words (`incidents.py`, `conditions.py`), what the
buckets say (`reporting/tables.py`), what is shown (`reporting/`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

import dagster as dg

from cs_features.monitoring.alerts import Alert
from cs_features.orchestration import conditions
from cs_features.orchestration.checks import list_check_keys
from cs_features.orchestration.checks.freshness import FEED_IS_FRESH
from cs_features.orchestration.failed_checks import find_failed_evaluations
from cs_features.orchestration.incidents import (
    NOT_PUBLISHED,
    PUBLISHED,
    EndedRun,
    Place,
    describe_evaluation,
    list_alerts,
)
from cs_features.orchestration.jobs import process_interactions, redrive_rejected
from cs_features.orchestration.sensors.landing import is_latest_run, landing_sensor, name_stopped_daemons
from cs_features.orchestration.sensors.landing_memory import parse_cursor

FAILED_RUNS_SINCE = timedelta(days=7)
# A warning is for a look on the day; an error stays until it is mended.
WARNINGS_SINCE = timedelta(hours=26)
MOST_RUNS = 100
LONGEST_RUN = timedelta(hours=6)
WHAT_RUNS_TELL = {
    dg.DagsterEventType.STEP_FAILURE,
    dg.DagsterEventType.ASSET_CHECK_EVALUATION,
    dg.DagsterEventType.RUN_FAILURE,
    dg.DagsterEventType.RUN_CANCELING,
}


@dataclass(frozen=True)
class Instance:
    """Dagster's instance, where its UI is, the hour, and how far back partitions are looked at."""

    instance: dg.DagsterInstance
    ui_url: str
    now: datetime
    window_days: int


def list_standing(look: Instance) -> list[Alert]:
    """Everything of the instance that needs a person, in no order."""
    return [
        *list_failed_runs(look),
        *list_failed_checks(look),
        *list_still_instigators(look),
        *list_stuck_runs(look),
    ]


# --- runs -------------------------------------------------------------------------------------


def list_failed_runs(look: Instance) -> Iterator[Alert]:
    """Runs that failed, and whose partition (or job, where there is none) was not run since."""
    filters = dg.RunsFilter(
        statuses=[dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED],
        updated_after=look.now - FAILED_RUNS_SINCE,
    )
    for record in look.instance.get_run_records(filters=filters, limit=MOST_RUNS):
        run = record.dagster_run
        if not is_unmended(look.instance, run):
            continue
        records = look.instance.get_records_for_run(run.run_id, of_type=WHAT_RUNS_TELL).records
        at = datetime.fromtimestamp(record.end_time or record.create_timestamp.timestamp(), timezone.utc)
        ended = EndedRun(run, [each.event_log_entry for each in records], f"{look.ui_url}/runs/{run.run_id}", at)
        yield from list_alerts(ended)


def is_unmended(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    if run.job_name in (process_interactions.name, redrive_rejected.name):
        return is_latest_run(instance, run)
    tags = {name: run.tags[name] for name in ("dagster/partition",) if name in run.tags}
    latest = instance.get_runs(filters=dg.RunsFilter(job_name=run.job_name, tags=tags), limit=1)
    return bool(latest) and latest[0].run_id == run.run_id


def list_stuck_runs(look: Instance) -> Iterator[Alert]:
    """Runs that wait in the queue, or go on, for longer than any should. A backfill's runs wait by design."""
    waiting_runs = dg.RunsFilter(statuses=[dg.DagsterRunStatus.QUEUED], exclude_subruns=True)
    queued = look.instance.get_run_records(waiting_runs, limit=MOST_RUNS, ascending=True)
    since = [datetime.fromtimestamp(record.create_timestamp.timestamp(), timezone.utc) for record in queued]
    if waiting := conditions.describe_queue(since, f"{look.ui_url}/runs?q[0]=status:QUEUED", look.now):
        yield waiting
    started = look.instance.get_run_records(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]), limit=MOST_RUNS)
    for record in started:
        begun = datetime.fromtimestamp(record.start_time or record.create_timestamp.timestamp(), timezone.utc)
        if look.now - begun > LONGEST_RUN:
            yield conditions.describe_long_run(record.dagster_run, begun, look.ui_url, look.now)


# --- checks -----------------------------------------------------------------------------------


def list_failed_checks(look: Instance) -> list[Alert]:
    """The latest evaluation of each check and partition that failed; of the feeds the page judges by itself."""
    alerts: list[Alert] = []
    keys = [key for key in list_check_keys() if key != FEED_IS_FRESH.key]
    since = (look.now - timedelta(days=look.window_days)).date().isoformat()
    for evaluation, at in find_failed_evaluations(look.instance, keys, since):
        is_warning = evaluation.severity is dg.AssetCheckSeverity.WARN
        if is_warning and look.now - at > WARNINGS_SINCE:
            continue
        alerts += describe_evaluation(evaluation, place_evaluation(evaluation, at, look.ui_url))
    return alerts


def place_evaluation(evaluation: dg.AssetCheckEvaluation, at: datetime, ui_url: str) -> Place:
    is_blocking = bool(evaluation.blocking) and evaluation.severity is dg.AssetCheckSeverity.ERROR
    meaning = NOT_PUBLISHED if is_blocking else PUBLISHED
    return Place(evaluation.partition or "", link_to_check(ui_url, evaluation), at, meaning)


def link_to_check(ui_url: str, evaluation: dg.AssetCheckEvaluation) -> str:
    return f"{ui_url}/assets/{evaluation.asset_key.path[-1]}?view=checks&checkDetail={evaluation.check_name}"


# --- sensors, schedules, daemons --------------------------------------------------------------


def list_still_instigators(look: Instance) -> Iterator[Alert]:
    """Sensors that cannot look, sensors and schedules that somebody has switched off, folders that were emptied."""
    if look.instance.schedule_storage is None:
        return  # a job that is executed in process, with nothing that looks by itself
    since = (look.now - conditions.BLIND_AFTER - timedelta(minutes=30)).timestamp()
    for state in look.instance.all_instigator_state():
        link = link_to_instigator(look.ui_url, state)
        if state.status.value == "STOPPED":
            yield conditions.describe_switched_off(state.instigator_name, link, look.now)
        if state.instigator_type.value != "SENSOR" or not state.is_running:
            continue
        ticks = look.instance.get_ticks(state.instigator_origin_id, state.selector_id, after=since)
        if blind := conditions.describe_blindness(state.instigator_name, ticks, link):
            yield blind
        yield from list_emptied_folders(state, link, look.now)
    stopped = name_stopped_daemons(look.instance)
    if alert := conditions.describe_daemons(stopped, f"{look.ui_url}/deployment/daemons", look.now):
        yield alert


def list_emptied_folders(state: Any, link: str, now: datetime) -> Sequence[Alert]:
    if state.instigator_name != landing_sensor.name or state.instigator_data is None:
        return []
    cursor = parse_cursor(state.instigator_data.cursor or "")
    return conditions.describe_emptied(cursor, link, now) if cursor else []


def link_to_instigator(ui_url: str, state: Any) -> str:
    location = state.origin.repository_origin.code_location_origin.location_name
    kind = "sensors" if state.instigator_type.value == "SENSOR" else "schedules"
    return f"{ui_url}/locations/{location}/{kind}/{state.instigator_name}"
