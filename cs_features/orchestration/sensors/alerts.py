"""`alert_sensor`: one message an incident to the SNS topic, and none is lost.

Dagster's own run-status sensors move on when a reaction to a run fails: one publish that SNS refuses, and the
alert is gone. This one moves on when SNS has taken the message, so that its cursor is the outbox. A process
that is killed in between tells the same once more. The same incident is not told again for a while, however
many partitions it hits. What is told is decided in `alerts.py`.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from itertools import takewhile
from typing import Any

import dagster as dg
from pydantic import BaseModel

from cs_features import aws
from cs_features.errors import AwsRefusal
from cs_features.monitoring.alerts import BLIND_AFTER, SILENCE, Alert
from cs_features.orchestration.incidents import alerts_of, blindness_of
from cs_features.orchestration.resources import Alerts

# While its transaction is open an event cannot be seen, and one with a larger id can: a young one waits.
SETTLE = timedelta(seconds=5)
# Two publishes at their slowest still end within the minute that Dagster gives a tick.
MESSAGES_A_TICK = 2
EVENTS_A_TICK = 100
FINISHED: tuple[Any, ...] = (dg.DagsterEventType.RUN_FAILURE, dg.DagsterEventType.RUN_SUCCESS)
TELLING = {
    dg.DagsterEventType.STEP_FAILURE,
    dg.DagsterEventType.ASSET_CHECK_EVALUATION,
    dg.DagsterEventType.RUN_FAILURE,
}


class Cursor(BaseModel):
    """The sensor's memory: the last event of each kind that was dealt with, and which incidents were told when."""

    seen: dict[str, int]
    told: dict[str, datetime] = {}


def publish(alerts: Alerts, alert: Alert) -> None:
    """Raises AwsRefusal when SNS did not take it."""
    with aws.explained("Alerts topic", "CS_FEATURES_ALERTS_TOPIC_ARN"):
        alerts.client().publish(TopicArn=alerts.topic_arn, Subject=alert.subject, Message=alert.body)


def _is_ours(origin: Any, context: dg.SensorEvaluationContext) -> bool:
    """Whether a run or a sensor is of this code location; outside of a daemon none has one."""
    here = context.code_location_origin
    there = origin.repository_origin.code_location_origin if origin else None
    return here is None or there is None or here.location_name == there.location_name


def _blind_sensors(context: dg.SensorEvaluationContext, ui_url: str, now: datetime) -> Iterator[Alert]:
    since = (now - BLIND_AFTER - timedelta(minutes=5)).timestamp()
    for state in context.instance.all_instigator_state():
        name, watched = state.instigator_name, state.instigator_type.value == "SENSOR" and state.is_running
        if not watched or name == alert_sensor.name or not _is_ours(state.origin, context):
            continue
        ticks = context.instance.get_ticks(state.instigator_origin_id, state.selector_id, after=since)
        location = state.origin.repository_origin.code_location_origin.location_name
        if alert := blindness_of(name, ticks, f"{ui_url}/locations/{location}/sensors/{name}"):
            yield alert


def _finished_runs(
    context: dg.SensorEvaluationContext, seen: Mapping[str, int], now: datetime
) -> Iterator[tuple[str, dg.EventLogRecord]]:
    """(kind, event) of runs that ended after `seen`, the failed ones first, each oldest first."""
    for kind in FINISHED:
        wanted = dg.RunStatusChangeRecordsFilter(kind, after_storage_id=seen[kind.value])
        found = context.instance.fetch_run_status_changes(wanted, limit=EVENTS_A_TICK, ascending=True)
        for record in takewhile(lambda it: it.timestamp <= (now - SETTLE).timestamp(), found.records):
            yield kind.value, record


def _alerts_of(run: dg.DagsterRun, records: Sequence[dg.EventLogRecord], link: str, ended: float) -> list[Alert]:
    at = datetime.fromtimestamp(ended, timezone.utc)
    try:
        return alerts_of(run, [record.event_log_entry for record in records], link, at)
    except Exception as error:  # a defect of ours may not hold up every alert behind this one
        return [Alert("run not understood", f"{type(error).__name__} in alerts.py", "Open the run.", link, at)]


def _news(
    context: dg.SensorEvaluationContext, seen: Mapping[str, int], ui_url: str, now: datetime
) -> Iterator[tuple[Alert | None, Mapping[str, int]]]:
    """Alerts in order, each with what counts as seen once it is dealt with."""
    for alert in _blind_sensors(context, ui_url, now):
        yield alert, seen
    for kind, end in _finished_runs(context, seen, now):
        run, found = context.instance.get_run_by_id(end.run_id), []
        if run is not None and _is_ours(run.remote_job_origin, context):
            records = context.instance.get_records_for_run(run.run_id, of_type=TELLING).records
            found = _alerts_of(run, records, f"{ui_url}/runs/{run.run_id}", end.timestamp)
        for alert in found:
            yield alert, seen
        seen = {**seen, kind: end.storage_id}
        yield None, seen


def _from_now_on(instance: dg.DagsterInstance) -> Cursor:
    latest = {kind.value: instance.fetch_run_status_changes(kind, limit=1).records for kind in FINISHED}
    return Cursor(seen={kind: records[0].storage_id if records else 0 for kind, records in latest.items()})


@dg.sensor(
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="One message for each reason for which runs or checks fail, or a sensor cannot look.",
)
def alert_sensor(context: dg.SensorEvaluationContext, alerts: Alerts) -> dg.SensorResult:
    before = Cursor.model_validate_json(context.cursor) if context.cursor else _from_now_on(context.instance)
    now = datetime.now(timezone.utc)
    seen: Mapping[str, int] = before.seen
    told = {incident: at for incident, at in before.told.items() if now - at < SILENCE}
    sent = 0
    outcome = ""
    for alert, then_seen in _news(context, seen, alerts.ui_url, now):
        if alert and alert.incident not in told:
            if sent == MESSAGES_A_TICK:
                outcome = "; more in the next tick"
                break
            try:
                publish(alerts, alert)
            except AwsRefusal as refusal:
                if sent == 0 and seen == before.seen and context.cursor:
                    raise  # nothing to remember: a failed tick is seen best
                outcome = f"; the next one was refused and waits: {refusal}"
                break
            told[alert.incident] = now
            sent += 1
        seen = then_seen
    return dg.SensorResult(
        skip_reason=f"{sent} messages sent{outcome}",
        cursor=Cursor(seen=dict(seen), told=told).model_dump_json(),
    )
