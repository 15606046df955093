"""Which alerts to send, and exactly what was delivered of each incident: what is refused now is sent later.

An incident that was delivered is not sent again while its silence lasts; the partitions that it hits meanwhile are
held back and summed up in one message when the silence ends. Pure but for `send`, which is given. Not here: SNS,
Dagster's events (`orchestration/sensors/alerts.py`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from pydantic import BaseModel

from cs_features.errors import AwsRefusal
from cs_features.monitoring.alerts import Alert, summarize_held

HELD_AT_MOST = 500  # partitions of one incident that are remembered by name
# Two publishes at their slowest still end within the minute that Dagster gives a tick.
MESSAGES_A_TICK = 2


class Delivered(BaseModel):
    """What was delivered of one incident, and what has been held back since."""

    at: datetime
    silent_until: datetime
    partitions: list[str] = []
    held: list[str] = []
    latest_held: Alert | None = None

    def hold_back(self, alert: Alert) -> "Delivered":
        """With the partitions of `alert` to sum up later; those that were told or are held already count once."""
        new = [it for it in alert.partitions if it not in self.partitions and it not in self.held]
        if not new:
            return self
        return self.model_copy(update={"held": [*self.held, *new][:HELD_AT_MOST], "latest_held": alert})


class Outbox(BaseModel):
    """What was delivered, by incident, for as long as its silence lasts."""

    delivered: dict[str, Delivered] = {}

    def is_silent(self, alert: Alert, now: datetime) -> bool:
        before = self.delivered.get(alert.incident)
        return before is not None and now < before.silent_until

    def hold_back(self, alert: Alert) -> "Outbox":
        record = self.delivered[alert.incident].hold_back(alert)
        return Outbox(delivered={**self.delivered, alert.incident: record})

    def record_delivery(self, alert: Alert, now: datetime) -> "Outbox":
        record = Delivered(at=now, silent_until=now + alert.silence, partitions=list(alert.partitions))
        return Outbox(delivered={**self.delivered, alert.incident: record})

    def add_held(self, alert: Alert) -> Alert:
        """`alert` with the partitions that were held back of its incident, now that it is told again."""
        before = self.delivered.get(alert.incident)
        if before is None or not before.held:
            return alert
        return alert.model_copy(update={"partitions": tuple(sorted({*alert.partitions, *before.held}))})

    def list_summaries(self, now: datetime) -> list[Alert]:
        """One alert for each incident whose silence is over and that has hit more partitions meanwhile."""
        return [
            summarize_held(record.latest_held, record.held, record.at)
            for record in self.delivered.values()
            if record.latest_held is not None and now >= record.silent_until
        ]

    def forget_ended_silences(self, now: datetime) -> "Outbox":
        return Outbox(delivered={name: it for name, it in self.delivered.items() if now < it.silent_until})


@dataclass(frozen=True)
class Pending:
    """Alerts of one event, and how far everything is dealt with once they are; None for a state that lasts."""

    alerts: Sequence[Alert]
    position: Mapping[str, int] | None = None


@dataclass(frozen=True)
class Progress:
    """How far a tick has got: what was delivered, which events are dealt with, and what it stopped at, if anything."""

    outbox: Outbox
    position: Mapping[str, int]
    sent: int = 0
    is_full: bool = False
    refusal: AwsRefusal | None = None

    @property
    def has_stopped(self) -> bool:
        return self.is_full or self.refusal is not None


def deliver_pending(
    pending: Sequence[Pending], start: Progress, send: Callable[[Alert], None], now: datetime
) -> Progress:
    """Deliver in order, then what silence held back; the position moves past an event when all of it is dealt with."""
    progress = start
    summaries = [Pending([summary]) for summary in start.outbox.list_summaries(now)]
    for item in [*pending, *summaries]:
        for alert in item.alerts:
            progress = deliver_alert(alert, progress, send, now)
            if progress.has_stopped:
                return progress
        progress = replace(progress, position=item.position or progress.position)
    return replace(progress, outbox=progress.outbox.forget_ended_silences(now))


def deliver_alert(alert: Alert, progress: Progress, send: Callable[[Alert], None], now: datetime) -> Progress:
    """Send one alert, or hold it back while its incident is silent. What is not sent stops the tick."""
    if progress.outbox.is_silent(alert, now):
        return replace(progress, outbox=progress.outbox.hold_back(alert))
    if progress.sent == MESSAGES_A_TICK:
        return replace(progress, is_full=True)
    message = progress.outbox.add_held(alert)
    try:
        send(message)
    except AwsRefusal as refusal:
        return replace(progress, refusal=refusal)
    return replace(progress, outbox=progress.outbox.record_delivery(message, now), sent=progress.sent + 1)
