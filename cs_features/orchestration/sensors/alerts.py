"""`alert_sensor`: one message an incident to the SNS topic, and none is lost.

Dagster's own run-status sensors move on when a reaction to a run fails: one publish that SNS refuses, and the alert
is gone. This one moves on when SNS has taken the message, so that its cursor is the outbox. A process that is killed
in between tells the same once more. Here: what it looks at, and SNS. Not here: what is told (`incidents.py`,
`conditions.py`) and what was (`monitoring/outbox.py`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from functools import partial
from itertools import takewhile
from typing import Any

import dagster as dg
from pydantic import BaseModel, ValidationError

from cs_features import aws
from cs_features.monitoring.alerts import Alert, Severity
from cs_features.monitoring.outbox import Outbox, Pending, Progress, deliver_pending_alerts
from cs_features.orchestration import conditions
from cs_features.orchestration.boundary import guard_boundary
from cs_features.orchestration.incidents import EndedRun, list_alerts
from cs_features.orchestration.resources import Alerts
from cs_features.orchestration.sensors.landing import landing_sensor, name_stopped_daemons
from cs_features.orchestration.sensors.landing_memory import parse_cursor

# While its transaction is open an event cannot be seen, and one with a larger id can: a young one waits.
SETTLE = timedelta(seconds=5)
EVENTS_A_TICK = 100
FINISHED: tuple[Any, ...] = (dg.DagsterEventType.RUN_FAILURE, dg.DagsterEventType.RUN_SUCCESS)
WHAT_RUNS_TELL = {
    dg.DagsterEventType.STEP_FAILURE,
    dg.DagsterEventType.ASSET_CHECK_EVALUATION,
    dg.DagsterEventType.RUN_FAILURE,
}


def utc_now() -> datetime:
    return datetime.now(timezone.utc)


class Memory(BaseModel):
    """The sensor's cursor: the last event of each kind that was dealt with, and what was delivered."""

    seen: dict[str, int]
    outbox: Outbox = Outbox()


@dataclass(frozen=True)
class Recalled:
    """A memory to go on with, and what is to be told where it had to be begun anew."""

    memory: Memory
    pending: Sequence[Pending] = ()


@dataclass(frozen=True)
class Look:
    """One tick's look at Dagster's instance."""

    context: dg.SensorEvaluationContext
    ui_url: str
    now: datetime

    @property
    def instance(self) -> dg.DagsterInstance:
        return self.context.instance


def publish_alert(alerts: Alerts, alert: Alert) -> None:
    """Raises AwsRefusal when SNS did not take it."""
    with aws.explained("Alerts topic", "CS_FEATURES_ALERTS_TOPIC_ARN"):
        alerts.client().publish(TopicArn=alerts.topic_arn, Subject=alert.subject, Message=alert.body)


# --- what is pending --------------------------------------------------------------------------


def list_pending(look: Look, seen: Mapping[str, int]) -> list[Pending]:
    """States that last, then every run that ended after `seen`, in order."""
    states = [*list_blind_sensors(look), *list_emptied_folders(look), *list_stuck(look)]
    return [*([Pending(states)] if states else []), *list_ended_runs(look, seen)]


def list_blind_sensors(look: Look) -> Iterator[Alert]:
    since = (look.now - conditions.BLIND_AFTER - timedelta(minutes=5)).timestamp()
    for state in list_sensors(look):
        if state.instigator_name == alert_sensor.name:
            continue
        ticks = look.instance.get_ticks(state.instigator_origin_id, state.selector_id, after=since)
        if alert := conditions.describe_blindness(state.instigator_name, ticks, link_to_sensor(look, state)):
            yield alert


def list_emptied_folders(look: Look) -> Iterator[Alert]:
    for state in list_sensors(look):
        if state.instigator_name != landing_sensor.name or state.instigator_data is None:
            continue
        if cursor := parse_cursor(state.instigator_data.cursor or ""):
            yield from conditions.describe_emptied(cursor, link_to_sensor(look, state), look.now)


def list_stuck(look: Look) -> Iterator[Alert]:
    """Runs that wait for too long, and daemons that have stopped. A backfill's runs wait by design."""
    queued = dg.RunsFilter(statuses=[dg.DagsterRunStatus.QUEUED], exclude_subruns=True)
    waiting = look.instance.get_run_records(queued, limit=EVENTS_A_TICK, ascending=True)
    since = [datetime.fromtimestamp(record.create_timestamp.timestamp(), timezone.utc) for record in waiting]
    stopped = name_stopped_daemons(look.instance)
    found = (
        conditions.describe_queue(since, f"{look.ui_url}/runs?q[0]=status:QUEUED", look.now),
        conditions.describe_daemons(stopped, f"{look.ui_url}/deployment/daemons", look.now),
    )
    yield from (alert for alert in found if alert)


def list_sensors(look: Look) -> list[Any]:
    """The states of this code location's sensors that are switched on."""
    return [
        state
        for state in look.instance.all_instigator_state()
        if state.instigator_type.value == "SENSOR" and state.is_running and is_ours(state.origin, look.context)
    ]


def link_to_sensor(look: Look, state: Any) -> str:
    location = state.origin.repository_origin.code_location_origin.location_name
    return f"{look.ui_url}/locations/{location}/sensors/{state.instigator_name}"


def is_ours(origin: Any, context: dg.SensorEvaluationContext) -> bool:
    """Whether a run or a sensor is of this code location; outside of a daemon none has one."""
    here = context.code_location_origin
    there = origin.repository_origin.code_location_origin if origin else None
    return here is None or there is None or here.location_name == there.location_name


def list_ended_runs(look: Look, seen: Mapping[str, int]) -> Iterator[Pending]:
    """Runs that ended after `seen`, the failed ones first, each oldest first; what each leaves dealt with."""
    settled = (look.now - SETTLE).timestamp()
    for kind in FINISHED:
        wanted = dg.RunStatusChangeRecordsFilter(kind, after_storage_id=seen[kind.value])
        found = look.instance.fetch_run_status_changes(wanted, limit=EVENTS_A_TICK, ascending=True)
        for record in takewhile(lambda it: it.timestamp <= settled, found.records):
            seen = {**seen, kind.value: record.storage_id}
            yield Pending(describe_run(look, record), seen)


def describe_run(look: Look, record: dg.EventLogRecord) -> list[Alert]:
    run = look.instance.get_run_by_id(record.run_id)
    if run is None or not is_ours(run.remote_job_origin, look.context):
        return []
    entries = look.instance.get_records_for_run(run.run_id, of_type=WHAT_RUNS_TELL).records
    at = datetime.fromtimestamp(record.timestamp, timezone.utc)
    link = f"{look.ui_url}/runs/{run.run_id}"
    try:
        return list_alerts(EndedRun(run, [entry.event_log_entry for entry in entries], link, at))
    except Exception as error:  # a defect of ours may not hold up every alert behind this one
        return [describe_defect(f"a run was not understood: {type(error).__name__} in incidents.py", link, at)]


def describe_defect(reason: str, link: str, at: datetime) -> Alert:
    return Alert(
        severity=Severity.ERROR,
        title="alert_sensor failed",
        reason=reason,
        meaning="Features are as they were; something about them that should have been told in full is told here only.",
        advice="Open it, and report the defect.",
        link=link,
        at=at,
    )


# --- the sensor -------------------------------------------------------------------------------


def read_memory(context: dg.SensorEvaluationContext, look: Look) -> Recalled:
    """The cursor. A new deployment begins with what happens from now on; an unreadable cursor does so and says it."""
    fresh = Memory(seen=find_latest_events(look.instance))
    if not context.cursor:
        return Recalled(fresh)
    try:
        memory = Memory.model_validate_json(context.cursor)
        return Recalled(memory.model_copy(update={"seen": {**fresh.seen, **memory.seen}}))
    except ValidationError:
        reason = "The cursor of alert_sensor cannot be read; what ended before this message may not have been told."
        return Recalled(fresh, [Pending([describe_defect(reason, f"{look.ui_url}/runs", look.now)])])


def find_latest_events(instance: dg.DagsterInstance) -> dict[str, int]:
    latest = {kind.value: instance.fetch_run_status_changes(kind, limit=1).records for kind in FINISHED}
    return {kind: records[0].storage_id if records else 0 for kind, records in latest.items()}


@dg.sensor(
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="One message for each reason for which runs or checks fail, or a sensor cannot look.",
)
@guard_boundary
def alert_sensor(context: dg.SensorEvaluationContext, alerts: Alerts) -> dg.SensorResult:
    look = Look(context, alerts.ui_url, utc_now())
    recalled = read_memory(context, look)
    before = recalled.memory
    pending = [*recalled.pending, *list_pending(look, before.seen)]
    progress = deliver_pending_alerts(
        pending, Progress(before.outbox, before.seen), partial(publish_alert, alerts), look.now
    )
    after = Memory(seen=dict(progress.position), outbox=progress.outbox)
    if progress.refusal and context.cursor and after == before:
        raise progress.refusal  # nothing to remember: a failed tick is seen best
    return dg.SensorResult(skip_reason=describe_progress(progress), cursor=after.model_dump_json(exclude_defaults=True))


def describe_progress(progress: Progress) -> str:
    if progress.refusal:
        return f"{progress.sent} messages sent; the next one was refused and waits: {progress.refusal}"
    return f"{progress.sent} messages sent" + ("; more in the next tick" if progress.is_full else "")
