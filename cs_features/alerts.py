"""What goes to the SNS topic behind which a mailbox, a chat or a pager listens: one message an incident.

A message names country, partition and reason, and links to the run where it can be acted on. The same
reason is not repeated for a while, however many partitions it hits. No text of an interaction is in it.
"""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import dagster as dg

from cs_features import aws
from cs_features.jobs import process_interactions, redrive_rejected, take_inventory
from cs_features.resources import Alerts

# One message for one reason in this time: an outage fails every partition of the day.
SILENCE = timedelta(minutes=60)
TAG = "cs_features/alert"


def incident(kind: str, reason: str) -> str:
    """What makes two alerts the same: the reason without its partition and numbers."""
    plain = re.sub(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b|\b[A-Z]{2} \d{4}-\d{2}-\d{2}\b|[\d.]+", "", reason)
    return f"{kind}: {' '.join(plain.split())}"[:200]


def message(kind: str, partition: str | None, reason: str, run_url: str) -> tuple[str, str]:
    """(subject, body) for SNS. A subject has at most 100 ASCII characters."""
    where = partition.replace("|", " ") if partition else "all partitions"
    subject = f"cs-features {where}: {kind}".encode("ascii", "replace").decode()[:100]
    body = (
        f"{reason}\n\nPartition: {where}\nRun: {run_url}\n\n"
        f"The same reason is not reported again for {SILENCE.seconds // 60} minutes, whatever partition it hits."
    )
    return subject, body


def _reason(context: dg.RunFailureSensorContext) -> str:
    for event in context.get_step_failure_events():
        data = event.step_failure_data
        if data.user_failure_data and data.user_failure_data.description:
            return data.user_failure_data.description
        if data.error:
            return f"{event.step_key}: {_told(data.error)}"
    return context.failure_event.message or "the run failed without a message"


# Errors whose words are our own or Dagster's about its own names.
_SPEAKING = (
    "AwsRefusal",
    "PublishingFailed",
    "UnknownModelError",
    "UnknownPriceError",
    "PromptError",
    "DagsterAssetCheckFailedError",
)


def _told(error: Any) -> str:
    """The first of our own errors in the chain, in its words; of others the class: they may quote a customer."""
    chain = [error]
    while chain[-1].cause is not None:
        chain.append(chain[-1].cause)
    for each in chain:
        if each.cls_name in _SPEAKING:
            return each.message.strip().removeprefix(f"{each.cls_name}: ")[:500]
    return f"{chain[-1].cls_name}: see the run"


def _tell(context: dg.RunStatusSensorContext, alerts: Alerts, kind: str, reason: str) -> None:
    """Publish, unless the same incident was told of lately."""
    run, same = context.dagster_run, incident(kind, reason)
    recent = dg.RunsFilter(tags={TAG: same}, updated_after=datetime.now(timezone.utc) - SILENCE)
    if context.instance.get_runs(filters=recent, limit=1):
        context.log.info(f"told already: {same}")
        return
    subject, body = message(kind, run.tags.get("dagster/partition"), reason, f"{alerts.ui_url}/runs/{run.run_id}")
    with aws.explained("Alerts topic", "CS_FEATURES_ALERTS_TOPIC_ARN"):
        alerts.client().publish(TopicArn=alerts.topic_arn, Subject=subject, Message=body)
    context.instance.add_run_tags(run.run_id, {TAG: same})


def alert_sensors() -> Iterator[dg.SensorDefinition]:
    """The sensors to load when a topic is set."""
    jobs = [process_interactions, redrive_rejected, take_inventory]

    @dg.run_failure_sensor(
        monitored_jobs=jobs,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="One message for each reason for which runs fail: an outage, a budget, a blocking check.",
    )
    def alert_on_failure(context: dg.RunFailureSensorContext, alerts: Alerts) -> None:
        _tell(context, alerts, "run failed", _reason(context))

    @dg.run_status_sensor(
        run_status=dg.DagsterRunStatus.SUCCESS,
        monitored_jobs=jobs,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="One message for each warning check that failed in a run that went through.",
    )
    def alert_on_warning(context: dg.RunStatusSensorContext, alerts: Alerts) -> None:
        records = context.instance.get_records_for_run(
            context.dagster_run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION
        ).records
        found = [record.event_log_entry.asset_check_evaluation for record in records]
        failed = sorted(f"{it.check_name} of {it.asset_key.to_user_string()}" for it in found if it and not it.passed)
        if not failed:
            return
        _tell(context, alerts, "checks warn", f"These checks failed: {', '.join(failed)}")

    yield alert_on_failure
    yield alert_on_warning
