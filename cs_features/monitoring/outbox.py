"""Which alerts to send, and exactly what was delivered of each incident: what is refused now is sent later.

An incident that was delivered is not sent again while its silence lasts; what it hits meanwhile is held back. What
hits several countries at once is one message. When a silence ends, one digest sums up whatever was held back of every
incident, and each silence that begins then is longer, up to a day: a bad day is a handful of messages, and none of its
causes is hidden. Pure but for `send`, which is given. Not here: SNS, Dagster's events
(`orchestration/sensors/alerts.py`).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from pydantic import BaseModel

from cs_features.errors import AwsRefusal
from cs_features.monitoring.alerts import Alert, merge_country_incidents, summarize_held_incidents, write_alert_digest

HELD_AT_MOST = 500  # partitions of one incident that are remembered by name
# Two publishes at their slowest still end within the minute that Dagster gives a tick.
MESSAGES_A_TICK = 2
# What is told again is told again later each time: after an hour, four hours, sixteen, a day.
LONGER_BY, MOST_REPEATS = 4, 3
LONGEST_SILENCE = timedelta(days=1)
DIGESTS_APART = timedelta(hours=2)


class Delivered(BaseModel):
    """What was delivered of one incident, and what has been held back since."""

    at: datetime
    silent_until: datetime
    partitions: list[str] = []
    held: list[str] = []
    latest_held: Alert | None = None
    repeats: int = 0  # how often it was told again since it began

    def is_silent(self, now: datetime) -> bool:
        return now < self.silent_until

    def is_incident_forgotten(self, now: datetime) -> bool:
        """What has not come again for as long as its silence has ended: the next time it is news."""
        return self.latest_held is None and now >= self.silent_until + (self.silent_until - self.at)

    def hold_back(self, alert: Alert, now: datetime) -> "Delivered":
        """With the partitions of `alert` to sum up later. While it is silent, those that were told count once."""
        told = [*self.partitions, *self.held] if self.is_silent(now) else self.held
        new = [it for it in alert.partitions if it not in told]
        if not new and self.is_silent(now):
            return self
        return self.model_copy(update={"held": [*self.held, *new][:HELD_AT_MOST], "latest_held": alert})

    def tell_cause_again(self, silence: timedelta, now: datetime) -> "Delivered":
        longest = max(silence, LONGEST_SILENCE)
        repeats = min(self.repeats + 1, MOST_REPEATS)
        until = now + min(silence * LONGER_BY**repeats, longest)
        return Delivered(at=now, silent_until=until, partitions=self.held, repeats=repeats)


class Outbox(BaseModel):
    """What was delivered, by incident, until it is forgotten."""

    delivered: dict[str, Delivered] = {}
    digested_at: datetime | None = None

    def knows(self, alert: Alert) -> bool:
        return alert.incident in self.delivered

    def hold_back(self, alert: Alert, now: datetime) -> "Outbox":
        record = self.delivered[alert.incident].hold_back(alert, now)
        return self._with({**self.delivered, alert.incident: record})

    def _with(self, delivered: dict[str, Delivered]) -> "Outbox":
        return self.model_copy(update={"delivered": delivered})

    def record_alert_delivery(self, alerts: Iterable[Alert], now: datetime) -> "Outbox":
        records = {
            alert.incident: Delivered(at=now, silent_until=now + alert.silence, partitions=list(alert.partitions))
            for alert in alerts
        }
        return self._with({**self.delivered, **records})

    def list_held_causes(self, now: datetime) -> list[Delivered]:
        """Everything that is held back, once the silence of any of it is over and the latest digest was a while ago."""
        if self.digested_at is not None and now - self.digested_at < DIGESTS_APART:
            return []
        held = [record for record in self.delivered.values() if record.latest_held is not None]
        return held if any(not record.is_silent(now) for record in held) else []

    def record_digest_delivery(self, told: Iterable[Delivered], now: datetime) -> "Outbox":
        alerts = [(record, record.latest_held) for record in told]
        again = {
            alert.incident: record.tell_cause_again(alert.silence, now) for record, alert in alerts if alert is not None
        }
        return Outbox(delivered={**self.delivered, **again}, digested_at=now)

    def forget_ended_causes(self, now: datetime) -> "Outbox":
        known = {name: it for name, it in self.delivered.items() if not it.is_incident_forgotten(now)}
        is_recent = self.digested_at is not None and now - self.digested_at < DIGESTS_APART
        return Outbox(delivered=known, digested_at=self.digested_at if is_recent else None)


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


def deliver_pending_alerts(
    pending: Sequence[Pending], start: Progress, send: Callable[[Alert], None], now: datetime
) -> Progress:
    """Deliver in order, then what silence held back; the position moves past an event when all of it is dealt with."""
    progress = replace(start, outbox=start.outbox.forget_ended_causes(now))
    waiting = [alert for item in pending for alert in item.alerts]
    for item in pending:
        for alert in item.alerts:
            progress = deliver_one_alert(alert, waiting, progress, send, now)
            if progress.has_stopped:
                return progress
        progress = replace(progress, position=item.position or progress.position)
    return deliver_alert_digest(progress, send, now)


def deliver_one_alert(
    alert: Alert, waiting: Sequence[Alert], progress: Progress, send: Callable[[Alert], None], now: datetime
) -> Progress:
    """Send one alert with those of other countries that wait for the same cause, or hold it back where its incident
    is known. What is not sent stops the tick."""
    if progress.outbox.knows(alert):
        return replace(progress, outbox=progress.outbox.hold_back(alert, now))
    news = [alert, *find_elsewhere(alert, waiting, progress.outbox)]
    sent = send_sns_message(merge_country_incidents(news), progress, send)
    return sent if sent.has_stopped else replace(sent, outbox=sent.outbox.record_alert_delivery(news, now))


def find_elsewhere(alert: Alert, waiting: Sequence[Alert], outbox: Outbox) -> list[Alert]:
    """The first alert of each other country that waits for the same cause, and was not told."""
    found: dict[str, Alert] = {}
    for other in waiting:
        is_same = (other.cause, other.severity) == (alert.cause, alert.severity)
        if is_same and other.incident != alert.incident and not outbox.knows(other):
            found.setdefault(other.incident, other)
    return list(found.values())


def deliver_alert_digest(progress: Progress, send: Callable[[Alert], None], now: datetime) -> Progress:
    """One message for all that is held back, when it is due."""
    held = progress.outbox.list_held_causes(now)
    if not held:
        return progress
    parts = [
        summarize_held_incidents(each.latest_held, each.held, each.at) for each in held if each.latest_held is not None
    ]
    sent = send_sns_message(write_alert_digest(parts), progress, send)
    return sent if sent.has_stopped else replace(sent, outbox=sent.outbox.record_digest_delivery(held, now))


def send_sns_message(message: Alert, progress: Progress, send: Callable[[Alert], None]) -> Progress:
    if progress.sent == MESSAGES_A_TICK:
        return replace(progress, is_full=True)
    try:
        send(message)
    except AwsRefusal as refusal:
        return replace(progress, refusal=refusal)
    return replace(progress, sent=progress.sent + 1)
