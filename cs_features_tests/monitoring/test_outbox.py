"""The outbox by itself: what is sent, what is held back, and what it remembers of both, whatever is refused."""

import itertools
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from cs_features.errors import AwsRefusal
from cs_features.monitoring.alerts import SILENCE, Alert, Severity, write_alert_digest
from cs_features.monitoring.outbox import (
    HELD_AT_MOST,
    MESSAGES_A_TICK,
    Outbox,
    Pending,
    Progress,
    deliver_pending_alerts,
)

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
    progress = deliver_pending_alerts(pending, START, accept(sent), NOON)
    assert [alert.partitions for alert in sent] == [("FR 2026-11-01",)]
    assert (progress.position, progress.sent, progress.has_stopped) == ({"failed": 13}, 1, False)

    again = deliver_pending_alerts([], Progress(progress.outbox, progress.position), accept(sent), NOON + SILENCE)
    assert len(sent) == 2
    assert sent[1].reason.startswith("12 more partitions of FR for the same reason since 12:00 UTC.")
    assert sent[1].partitions == tuple(days[1:])

    end = deliver_pending_alerts([], Progress(again.outbox, again.position), accept(sent), NOON + timedelta(days=1))
    assert len(sent) == 2, "summed up once"
    assert end.outbox == Outbox(), "and then forgotten"


def test_nothing_is_summed_up_before_the_silence_ends_and_nothing_where_nothing_was_held() -> None:
    sent: list[Alert] = []
    progress = deliver_pending_alerts([event(1, alert_of("outage", "FR 1"))], START, accept(sent), NOON)
    progress = deliver_pending_alerts([event(2, alert_of("outage", "FR 2"))], progress, accept(sent), NOON + MINUTE)
    deliver_pending_alerts([], Progress(progress.outbox, {}), accept(sent), NOON + SILENCE - MINUTE)
    assert len(sent) == 1
    alone = deliver_pending_alerts([event(1, alert_of("outage", "FR 1"))], START, accept([]), NOON)
    deliver_pending_alerts([], Progress(alone.outbox, {}), accept(sent), NOON + SILENCE)
    assert len(sent) == 1


def test_a_partition_that_was_told_and_fails_again_is_not_one_more() -> None:
    """Its retry failed in the hour: "1 more partition", and it was the same."""
    sent: list[Alert] = []
    pending = [event(1, alert_of("outage", "FR 1")), event(2, alert_of("outage", "FR 1"))]
    progress = deliver_pending_alerts(pending, START, accept(sent), NOON)
    deliver_pending_alerts([], Progress(progress.outbox, {}), accept(sent), NOON + SILENCE)
    assert len(sent) == 1


def test_told_again_after_the_silence_it_names_what_was_held_back_too() -> None:
    """Still broken, and told again: two messages at once, the summary and the news, of one thing."""
    sent: list[Alert] = []
    progress = deliver_pending_alerts(
        [event(1, alert_of("outage", "FR 1")), event(2, alert_of("outage", "FR 2"))], START, accept(sent), NOON
    )
    later = [event(3, alert_of("outage", "FR 3"))]
    progress = deliver_pending_alerts(later, Progress(progress.outbox, progress.position), accept(sent), NOON + SILENCE)
    assert [alert.partitions for alert in sent] == [("FR 1",), ("FR 2", "FR 3")]
    deliver_pending_alerts([], Progress(progress.outbox, {}), accept(sent), NOON + 2 * SILENCE)
    assert len(sent) == 2


def test_what_is_refused_waits_and_is_not_taken_for_sent() -> None:
    """The first message was refused, and the silence that follows a message followed it."""
    sent: list[Alert] = []
    pending = [event(1, alert_of("outage", "FR 1")), event(2, alert_of("budget", "FR 2"))]
    refused = deliver_pending_alerts(pending, START, accept(sent, lambda _: True), NOON)
    assert refused.refusal is not None
    assert (refused.outbox, refused.position, sent) == (START.outbox, START.position, [])
    deliver_pending_alerts(pending, START, accept(sent), NOON)
    assert [alert.title for alert in sent] == ["outage", "budget"]


def test_what_was_sent_before_a_refusal_is_remembered_though_its_event_is_not_done() -> None:
    """The second of two checks of one run was refused for an hour, and the first came a hundred and twenty times."""
    sent: list[Alert] = []
    pending = [event(1, alert_of("schema", "FR 1"), alert_of("one_door", "FR 1"))]
    second_refused = accept(sent, lambda alert: alert.title == "one_door")
    progress = deliver_pending_alerts(pending, START, second_refused, NOON)
    assert progress.position == START.position
    for _ in range(3):
        progress = deliver_pending_alerts(
            pending, Progress(progress.outbox, progress.position), second_refused, NOON + MINUTE
        )
    assert [alert.title for alert in sent] == ["schema"]
    progress = deliver_pending_alerts(
        pending, Progress(progress.outbox, progress.position), accept(sent), NOON + MINUTE
    )
    assert [alert.title for alert in sent] == ["schema", "one_door"]
    assert progress.position == {"failed": 1}


def test_more_incidents_than_a_tick_may_send_are_sent_in_the_next_ones() -> None:
    """SNS was slow, the tick was cut off at its sixty seconds, and sent the first messages again each time."""
    sent: list[Alert] = []
    causes = ("outage", "budget", "schema", "misfiled", "drift")
    pending = [event(number, alert_of(cause)) for number, cause in enumerate(causes, start=1)]
    progress = deliver_pending_alerts(pending, START, accept(sent), NOON)
    assert (len(sent), progress.is_full, progress.position) == (MESSAGES_A_TICK, True, {"failed": 2})
    while progress.is_full:
        rest = [item for item in pending if item.position and item.position["failed"] > progress.position["failed"]]
        progress = deliver_pending_alerts(rest, Progress(progress.outbox, progress.position), accept(sent), NOON)
    assert len(sent) == len({alert.incident for alert in sent}) == 5


def test_a_state_that_lasts_is_told_again_after_its_own_silence() -> None:
    """A folder that stays empty was told every hour, until the topic was muted."""
    sent: list[Alert] = []
    state = alert_of("documents gone", "FR 1").model_copy(update={"silence": timedelta(days=1)})
    progress = START
    for hour in range(48):
        now = NOON + timedelta(hours=hour)
        progress = deliver_pending_alerts([Pending([state])], Progress(progress.outbox, {}), accept(sent), now)
    assert len(sent) == 2


def test_what_is_held_back_is_bounded() -> None:
    """The cursor is a column of a database: a year's backfill that fails may not fill it."""
    pending = [event(number, alert_of("outage", f"FR {number}")) for number in range(2 * HELD_AT_MOST)]
    progress = deliver_pending_alerts(pending, START, accept([]), NOON)
    assert len(progress.outbox.model_dump_json()) < 20_000


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
        progress = deliver_pending_alerts(rest, Progress(outbox, progress.position), send, now)

    for is_refusing, minutes in ticks:
        now += minutes * MINUTE
        tick(is_refusing)
    for _ in range(60):  # the refusals have ended, and time goes on
        now += SILENCE / 2
        tick(False)

    def names(message: Alert, alert: Alert, partition: str) -> bool:
        return alert.title in message.title + message.reason and partition in message.partitions

    for alert in itertools.chain.from_iterable(events):
        for partition in alert.partitions:
            assert any(names(message, alert, partition) for message, _ in sent)
    for title in {alert.title for alert, _ in sent if "still going on" not in alert.title}:
        moments = [at for alert, at in sent if alert.title == title]
        assert all(later - earlier >= SILENCE for earlier, later in itertools.pairwise(moments))


COUNTRIES = ("BE", "ES", "FR", "NL", "PL")
CAUSES = ("Bedrock was down", "budget spent", "conservation", "misfiled", "rejected_share")


def live_through_a_bad_day(strikes: Callable[[int, str, str], bool]) -> list[Alert]:
    """Ten hours of ticks; `strikes` says which cause hits which country in which minute."""
    sent: list[Alert] = []
    progress = START
    for minute in range(0, 600, 5):
        now = NOON + minute * MINUTE
        hits = [
            event(minute, alert_of(cause, f"{country} {minute}", country=country))
            for cause in CAUSES
            for country in COUNTRIES
            if strikes(minute, cause, country)
        ]
        progress = deliver_pending_alerts(hits, Progress(progress.outbox, progress.position), accept(sent), now)
        while progress.is_full:
            progress = deliver_pending_alerts(hits, Progress(progress.outbox, progress.position), accept(sent), now)
    return sent


def assert_all_are_named(sent: list[Alert], pairs: Iterable[tuple[str, str]]) -> None:
    for cause, country in pairs:
        assert any(cause in it.title + it.reason and country in it.country for it in sent), (cause, country)


def test_a_bad_day_of_five_causes_in_five_countries_is_eight_messages_and_hides_none() -> None:
    """Faults 40 and 41: twelve messages for one reason, and none for the country that lost everything."""
    begins = dict(zip(CAUSES, (0, 20, 60, 70, 120), strict=True))
    sent = live_through_a_bad_day(
        lambda minute, cause, _: minute >= begins[cause] and minute % 30 == begins[cause] % 30
    )
    assert len(sent) <= 8, [it.subject for it in sent]
    assert_all_are_named(sent, itertools.product(CAUSES, COUNTRIES))
    for cause, begin in begins.items():
        first = next(it for it in sent if cause in it.title)
        assert f"BE {begin}" in first.partitions, "the first time at once"


def test_a_bad_day_of_a_cause_a_country_is_eight_messages_too() -> None:
    home = dict(zip(CAUSES, COUNTRIES, strict=True))
    sent = live_through_a_bad_day(lambda minute, cause, country: country == home[cause] and minute % 20 == 0)
    assert len(sent) <= 8, [it.subject for it in sent]
    assert_all_are_named(sent, home.items())


def test_a_digest_fits_into_one_message_and_names_what_to_do() -> None:
    parts = [alert_of(cause, f"{country} 1", country=country) for cause in CAUSES for country in COUNTRIES]
    digest = write_alert_digest([part.model_copy(update={"reason": "x" * 900}) for part in parts])
    assert len(digest.subject) < 100
    assert len(digest.reason) < 6_000
    assert digest.country == "BE, ES, FR, NL, PL"
    assert all(f"{cause}: a" in digest.advice for cause in CAUSES)
