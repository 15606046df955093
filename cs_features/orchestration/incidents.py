"""From what Dagster recorded of a run, a check or a sensor to the alerts that somebody should read.

What an alert is stands in `monitoring/alerts.py`, sending them in `sensors/alerts.py`. Pure functions.
"""

from collections.abc import Sequence
from datetime import datetime, timezone
from functools import partial
from itertools import takewhile
from typing import Any

import dagster as dg
from dagster._core.errors import DagsterAssetCheckFailedError

from cs_features.errors import every_error
from cs_features.monitoring.alerts import BLIND_AFTER, Alert
from cs_features.orchestration.checks import advice_of, rule_of, steps_of_checks
from cs_features.orchestration.sensors.landing import REFUSED, landing_sensor
from cs_features.orchestration.sensors.landing_decision import MAX_TRIES, RETRY_AFTER

_MINUTES = " and ".join(f"{delay.seconds // 60}" for delay in RETRY_AFTER)

# Dagster keeps the class of an error as text. The words of ours are our own, and Dagster's of a failed check are
# about its own names; any other's may quote a customer.
_SPEAKING = {error.__name__ for error in (*every_error(), DagsterAssetCheckFailedError)}


def _told(error: Any) -> str:
    """The first of our own errors in the chain, in its words; of others the class: they may quote a customer."""
    chain = [error]
    while chain[-1].cause is not None:
        chain.append(chain[-1].cause)
    for each in chain:
        if each.cls_name in _SPEAKING:
            return each.message.strip().removeprefix(f"{each.cls_name}: ")[:500]
    return f"{chain[-1].cls_name}: see its log"


def _prospects(run: dg.DagsterRun) -> tuple[bool, str]:
    """Whether nobody will try this run again, and what its reader has to do."""
    mended = "when the cause is mended; what it has paid for is kept"
    if run.tags.get("dagster/sensor_name") != landing_sensor.name:
        return False, f"Run it again from its page {mended}."
    if run.tags.get("dagster/run_key", "").endswith(f":try{MAX_TRIES}"):
        return True, f"It failed {MAX_TRIES} times and is not tried again: run the partition {mended}."
    return False, f"Mend the cause: landing_sensor tries again {_MINUTES} minutes after a failure, then no more."


def _of_check(check: dg.AssetCheckEvaluation) -> tuple[str, str]:
    """(reason, advice). Of its metadata the numbers alone: texts and tables may quote a customer."""
    rule = check.description or rule_of(check.check_name)
    values = {name: value.value for name, value in check.metadata.items()}
    numbers = ", ".join(f"{name} {value:g}" for name, value in values.items() if isinstance(value, (int, float)))
    reason = f"{check.check_name} of {check.asset_key.to_user_string()}: {rule}{f' ({numbers})' if numbers else ''}"
    return reason, advice_of(check.check_name)


def _cause(events: Sequence[dg.DagsterEvent]) -> tuple[str, str]:
    """(kind, reason) of a failure: of the first step that failed, or of the run where no step did."""
    step = next((event for event in events if event.is_step_failure), None)
    if step is None:
        end = next((event for event in events if event.event_type is dg.DagsterEventType.RUN_FAILURE), None)
        error = getattr(end.event_specific_data, "error", None) if end else None
        return "run failed", _told(error) if error else (end and end.message) or "it ended without a message"
    data = step.step_failure_data
    kind = "check crashed" if step.step_key in steps_of_checks() else "run failed"
    if data.user_failure_data and data.user_failure_data.description:
        return kind, data.user_failure_data.description
    return kind, f"{step.step_key}: {_told(data.error) if data.error else 'it ended without a message'}"


def _stopped_by_a_check(events: Sequence[dg.DagsterEvent]) -> bool:
    step = next((event for event in events if event.is_step_failure), None)
    error = step.step_failure_data.error if step else None
    return error is not None and error.cls_name == DagsterAssetCheckFailedError.__name__


def alerts_of(run: dg.DagsterRun, log: Sequence[dg.EventLogEntry], link: str, at: datetime) -> list[Alert]:
    """What a run that ended at `at` gives to tell: why it failed, or else each check that failed in it.

    `log` has its failures and its checks. A check that failed and one that crashed are two kinds: the first
    is about the data, the second about the check.
    """
    partition = run.tags.get("dagster/partition")
    alert = partial(Alert, link=link, at=at, where=partition.replace("|", " ") if partition else "all partitions")
    events = [event for entry in log if (event := entry.dagster_event)]
    failed = [check for entry in log if (check := entry.asset_check_evaluation) and not check.passed]
    if run.is_success:
        return [alert("check failed", *_of_check(check)) for check in failed]
    if run.tags.get("dagster/will_retry") == "true":
        return []  # the last of its retries is told
    given_up, advice = _prospects(run)
    suffix = ", given up" if given_up else ""
    blocking = [check for check in failed if check.blocking and check.severity is dg.AssetCheckSeverity.ERROR]
    if blocking and _stopped_by_a_check(events):
        return [alert(f"blocking check failed{suffix}", *_of_check(check)) for check in blocking]
    kind, reason = _cause(events)
    return [alert(f"{kind}{suffix}", reason, advice)]


def blindness_of(sensor: str, ticks: Sequence[Any], link: str) -> Alert | None:
    """Told when every finished one of a sensor's latest ticks (newest first) could not look, for `BLIND_AFTER`."""

    def blind(tick: Any) -> bool:
        return tick.is_failure or (tick.skip_reason or "").startswith(REFUSED)

    dark = list(takewhile(blind, (tick for tick in ticks if tick.is_completed)))
    if not dark or dark[0].timestamp - dark[-1].timestamp < BLIND_AFTER.total_seconds():
        return None
    latest = dark[0]
    return Alert(
        kind=f"{sensor} cannot look",
        reason=_told(latest.error) if latest.error else latest.skip_reason.removeprefix(REFUSED),
        advice="Mend it: what lands meanwhile is not processed, and is found by the first tick that can look again.",
        link=link,
        at=datetime.fromtimestamp(latest.timestamp, timezone.utc),
    )
