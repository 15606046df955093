"""The outbox by itself: what is sent, what is held back, and what it remembers of both, whatever is refused."""

import itertools
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from cs_features.errors import AwsRefusal
from cs_features.monitoring.alerts import SILENCE, Alert, Severity
from cs_features.monitoring.outbox import HELD_AT_MOST, MESSAGES_A_TICK, Outbox, Pending, Progress, deliver_pending

NOON = datetime(2026, 11, 24, 12, tzinfo=timezone.utc)
MINUTE = timedelta(minutes=1)


def alert_of(title: str, *partitions: str, country: str = "FR") -> Alert:
    return Alert(
        severity=Severity.ERROR, title=title, reason=title, meaning="m", advice="a", link="l", at=NOON,
        country=country, partitions=partitions,
    )  # fmt: skip


def accept(sent: list[Alert], refused: Callable[[Alert], bool] = lambda _: False) -> Callable[[Alert], None]:
    """SNS, that keeps what it takes."""

    def send(alert: Alert) -> None:
        if refused(alert):
            raise AwsRefusal("Alerts topic: no")
        sent.append(alert)

    return send


def event(number: int, *alerts: Alert) -> Pending:
    return Pending(alerts, {"failed": number})


START = Progress(Outbox(), {"failed": 0})


def test_an_incident_is_sent_once_and_its_next_partitions_are_held_back() -> None:
    """An outage of Bedrock fails every partition of the day: two hundred messages, and the next one went unread."""
    sent: list[Alert] = []
    days = [f"FR 2026-11-{day:02}" for day in range(1, 14)]
    pending = [event(number, alert_of("outage", day)) for number, day in enumerate(days, start=1)]
    progress = deliver_pending(pending, START, accept(sent), NOON)
    assert [alert.partitions for alert in sent] == [("FR 2026-11-01",)]
    assert (progress.position, progress.sent, progress.has_stopped) == ({"failed": 13}, 1, False)

    again = deliver_pending([], Progress(progress.outbox, progress.position), accept(sent), NOON + SILENCE)
    assert len(sent) == 2
    assert sent[1].reason.startswith("12 more partitions of FR for the same reason since 12:00 UTC.")
    assert sent[1].partitions == tuple(days[1:])

    end = deliver_pending([], Progress(again.outbox, again.position), accept(sent), NOON + 2 * SILENCE)
    assert len(sent) == 2, "summed up once"
    assert end.outbox == Outbox(), "and then forgotten"


def test_nothing_is_summed_up_before_the_silence_ends_and_nothing_where_nothing_was_held() -> None:
    sent: list[Alert] = []
    progress = deliver_pending([event(1, alert_of("outage", "FR 1"))], START, accept(sent), NOON)
    progress = deliver_pending([event(2, alert_of("outage", "FR 2"))], progress, accept(sent), NOON + MINUTE)
    deliver_pending([], Progress(progress.outbox, {}), accept(sent), NOON + SILENCE - MINUTE)
    assert len(sent) == 1
    alone = deliver_pending([event(1, alert_of("outage", "FR 1"))], START, accept([]), NOON)
    deliver_pending([], Progress(alone.outbox, {}), accept(sent), NOON + SILENCE)
    assert len(sent) == 1


def test_a_partition_that_was_told_and_fails_again_is_not_one_more() -> None:
    """Its retry failed in the hour: "1 more partition", and it was the same."""
    sent: list[Alert] = []
    pending = [event(1, alert_of("outage", "FR 1")), event(2, alert_of("outage", "FR 1"))]
    progress = deliver_pending(pending, START, accept(sent), NOON)
    deliver_pending([], Progress(progress.outbox, {}), accept(sent), NOON + SILENCE)
    assert len(sent) == 1


def test_told_again_after_the_silence_it_names_what_was_held_back_too() -> None:
    """Still broken, and told again: two messages at once, the summary and the news, of one thing."""
    sent: list[Alert] = []
    progress = deliver_pending(
        [event(1, alert_of("outage", "FR 1")), event(2, alert_of("outage", "FR 2"))], START, accept(sent), NOON
    )
    later = [event(3, alert_of("outage", "FR 3"))]
    progress = deliver_pending(later, Progress(progress.outbox, progress.position), accept(sent), NOON + SILENCE)
    assert [alert.partitions for alert in sent] == [("FR 1",), ("FR 2", "FR 3")]
    deliver_pending([], Progress(progress.outbox, {}), accept(sent), NOON + 2 * SILENCE)
    assert len(sent) == 2


def test_what_is_refused_waits_and_is_not_taken_for_sent() -> None:
    """The first message was refused, and the silence that follows a message followed it."""
    sent: list[Alert] = []
    pending = [event(1, alert_of("outage", "FR 1")), event(2, alert_of("budget", "FR 2"))]
    refused = deliver_pending(pending, START, accept(sent, lambda _: True), NOON)
    assert refused.refusal is not None
    assert (refused.outbox, refused.position, sent) == (START.outbox, START.position, [])
    deliver_pending(pending, START, accept(sent), NOON)
    assert [alert.title for alert in sent] == ["outage", "budget"]


def test_what_was_sent_before_a_refusal_is_remembered_though_its_event_is_not_done() -> None:
    """The second of two checks of one run was refused for an hour, and the first came a hundred and twenty times."""
    sent: list[Alert] = []
    pending = [event(1, alert_of("schema", "FR 1"), alert_of("one_door", "FR 1"))]
    second_refused = accept(sent, lambda alert: alert.title == "one_door")
    progress = deliver_pending(pending, START, second_refused, NOON)
    assert progress.position == START.position
    for _ in range(3):
        progress = deliver_pending(pending, Progress(progress.outbox, progress.position), second_refused, NOON + MINUTE)
    assert [alert.title for alert in sent] == ["schema"]
    progress = deliver_pending(pending, Progress(progress.outbox, progress.position), accept(sent), NOON + MINUTE)
    assert [alert.title for alert in sent] == ["schema", "one_door"]
    assert progress.position == {"failed": 1}


def test_more_incidents_than_a_tick_may_send_are_sent_in_the_next_ones() -> None:
    """SNS was slow, the tick was cut off at its sixty seconds, and sent the first messages again each time."""
    sent: list[Alert] = []
    pending = [event(number, alert_of("outage", country=f"country {number * 'x'}")) for number in range(1, 6)]
    progress = deliver_pending(pending, START, accept(sent), NOON)
    assert (len(sent), progress.is_full, progress.position) == (MESSAGES_A_TICK, True, {"failed": 2})
    while progress.is_full:
        rest = [item for item in pending if item.position and item.position["failed"] > progress.position["failed"]]
        progress = deliver_pending(rest, Progress(progress.outbox, progress.position), accept(sent), NOON)
    assert len(sent) == len({alert.incident for alert in sent}) == 5


def test_a_state_that_lasts_is_told_again_after_its_own_silence() -> None:
    """A folder that stays empty was told every hour, until the topic was muted."""
    sent: list[Alert] = []
    state = alert_of("documents gone", "FR 1").model_copy(update={"silence": timedelta(days=1)})
    progress = START
    for hour in range(48):
        now = NOON + timedelta(hours=hour)
        progress = deliver_pending([Pending([state])], Progress(progress.outbox, {}), accept(sent), now)
    assert len(sent) == 2


def test_what_is_held_back_is_bounded() -> None:
    """The cursor is a column of a database: a year's backfill that fails may not fill it."""
    pending = [event(number, alert_of("outage", f"FR {number}")) for number in range(2 * HELD_AT_MOST)]
    progress = deliver_pending(pending, START, accept([]), NOON)
    assert len(progress.outbox.model_dump_json()) < 20_000


def name_hits(alerts: Iterable[Alert]) -> set[tuple[str, str]]:
    return {(alert.incident, partition) for alert in alerts for partition in alert.partitions}


TITLES = st.sampled_from(["outage", "budget", "schema"])
ALERTS = st.builds(alert_of, TITLES, st.sampled_from(["FR 1", "FR 2", "NL 1"]))


@given(
    st.lists(st.lists(ALERTS, max_size=3), max_size=8),
    st.lists(st.tuples(st.booleans(), st.integers(0, 90)), min_size=1, max_size=30),
)
def test_every_partition_of_every_incident_is_told_whatever_sns_refuses_and_when(
    events: list[list[Alert]], ticks: list[tuple[bool, int]]
) -> None:
    """None is lost, and none is sent while its incident is silent."""
    sent: list[tuple[Alert, datetime]] = []
    pending = [event(number, *alerts) for number, alerts in enumerate(events, start=1)]
    progress, now = START, NOON

    def tick(is_refusing: bool) -> None:
        nonlocal progress

        def send(alert: Alert) -> None:
            if is_refusing:
                raise AwsRefusal("no")
            sent.append((alert, now))

        rest = [item for item in pending if item.position and item.position["failed"] > progress.position["failed"]]
        outbox = Outbox.model_validate_json(progress.outbox.model_dump_json())
        progress = deliver_pending(rest, Progress(outbox, progress.position), send, now)

    for is_refusing, minutes in ticks:
        now += minutes * MINUTE
        tick(is_refusing)
    for _ in range(20):  # the refusals have ended, and time goes on
        now += SILENCE / 4
        tick(False)

    told = {(alert.incident, partition) for alert, _ in sent for partition in alert.partitions}
    assert told == {
        (alert.incident, partition) for alerts in events for alert in alerts for partition in alert.partitions
    }
    for incident in {alert.incident for alert, _ in sent}:
        moments = [at for alert, at in sent if alert.incident == incident]
        assert all(later - earlier >= SILENCE for earlier, later in itertools.pairwise(moments))
