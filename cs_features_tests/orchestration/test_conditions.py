"""States that no run fails of: a sensor that cannot look, folders without documents, a queue that stands, daemons."""

from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pytest
from dagster._core.scheduler.instigation import TickStatus

from cs_features.orchestration.conditions import (
    BLIND_AFTER,
    QUEUED_AFTER,
    describe_blindness,
    describe_daemons,
    describe_emptied,
    describe_queue,
)
from cs_features.orchestration.sensors.landing import REFUSED
from cs_features.orchestration.sensors.landing_memory import Cursor
from cs_features.orchestration.sensors.prompts import UNUSABLE

NOW = datetime(2026, 11, 24, 12, tzinfo=timezone.utc)
LINK = "https://dagster.example.org/sensors/landing_sensor"
BEYOND = BLIND_AFTER.total_seconds() / 60 + 1


def a_tick(minutes_ago: float, status: TickStatus = TickStatus.SKIPPED, reason: str | None = None) -> Any:
    error = SimpleNamespace(cls_name="KeyError", message="KeyError: 'secret'", cause=None)
    return SimpleNamespace(
        timestamp=(NOW - timedelta(minutes=minutes_ago)).timestamp(),
        is_failure=status is TickStatus.FAILURE,
        is_completed=status is not TickStatus.STARTED,
        skip_reason=reason,
        error=error if status is TickStatus.FAILURE else None,
    )


def blind(minutes_ago: float) -> Any:
    return a_tick(minutes_ago, reason=f"{REFUSED}Landing bucket x: the credentials have expired: renew them")


@pytest.mark.parametrize(
    ("ticks", "reason"),
    [
        ([blind(n / 2) for n in range(int(2 * BEYOND))], "Landing bucket x: the credentials have expired: renew them"),
        ([a_tick(0, TickStatus.STARTED), blind(1), blind(BEYOND + 1)], "Landing bucket x: the credentials"),
        ([a_tick(1, reason=f"{UNUSABLE}NL.md:3: no"), a_tick(BEYOND + 1, reason=f"{UNUSABLE}x")], f"{UNUSABLE}NL.md:3"),
        ([a_tick(1, TickStatus.FAILURE), blind(BEYOND + 1)], "landing_sensor ended with KeyError"),
    ],
    ids=["refused", "refused, and looking again", "half-written prompt", "failed"],
)
def test_a_sensor_that_could_not_look_for_a_quarter_of_an_hour_is_told(ticks: list[Any], reason: str) -> None:
    """The key had expired on Friday evening. No run failed of it, because none was asked for until Monday."""
    alert = describe_blindness("landing_sensor", ticks, LINK)
    assert alert is not None
    assert alert.title == "landing_sensor cannot look"
    assert alert.reason.split(" or before: ")[1].startswith(reason)
    assert "secret" not in alert.body


@pytest.mark.parametrize(
    "ticks",
    [
        [],
        [blind(0), blind(5)],
        [blind(0), a_tick(8, reason="12 partitions with documents, none changed"), blind(BEYOND)],
        [a_tick(0, TickStatus.SUCCESS), blind(1), blind(BEYOND + 2)],
        [a_tick(BEYOND, TickStatus.FAILURE)],
        [a_tick(n) for n in range(20)],
    ],
    ids=["none yet", "not for long", "once it could", "it can again", "one that failed", "nothing to do"],
)
def test_a_sensor_that_could_look_is_not_told(ticks: list[Any]) -> None:
    """S3 answers 503 to one listing in a thousand: an alert for each would be muted by Friday."""
    assert describe_blindness("landing_sensor", ticks, LINK) is None


def test_emptied_folders_are_told_by_country_with_their_bucket_and_the_way_out() -> None:
    """Fault 3: documents expired after thirty days, in green; what is served of them is now somebody's decision."""
    cursor = Cursor(bucket="cs-landing", emptied={"NL|2026-11-01": "a", "NL|2026-11-02": "b", "FR|2026-11-01": "c"})
    alerts = {alert.country: alert for alert in describe_emptied(cursor, LINK, NOW)}
    assert {country: alert.partitions for country, alert in alerts.items()} == {
        "FR": ("FR 2026-11-01",),
        "NL": ("NL 2026-11-01", "NL 2026-11-02"),
    }
    assert alerts["NL"].subject == "cs-features ERROR: documents gone, NL"
    assert "cs-landing" in alerts["NL"].reason
    assert "allow_deletions: true" in alerts["NL"].advice
    assert alerts["NL"].silence == timedelta(days=1)
    assert describe_emptied(Cursor(bucket="cs-landing"), LINK, NOW) == []


def test_runs_that_wait_for_hours_are_told() -> None:
    """Fault 19: two dead runs held the two places, nothing was started for a weekend, and nothing had failed."""
    waiting = [NOW - QUEUED_AFTER - timedelta(minutes=5), NOW - QUEUED_AFTER, NOW - timedelta(minutes=1)]
    alert = describe_queue(waiting, LINK, NOW)
    assert alert is not None
    assert alert.reason.startswith("2 runs in the queue since 2026-11-24 09:55 UTC")
    assert describe_queue(waiting[2:], LINK, NOW) is None
    assert describe_queue([], LINK, NOW) is None


def test_a_daemon_that_stopped_beside_the_one_of_the_sensors_is_told() -> None:
    """The sensors looked and asked, and the daemon that starts runs had crashed in its thread."""
    alert = describe_daemons(["QUEUED_RUN_COORDINATOR"], LINK, NOW)
    assert alert is not None
    assert alert.title == "daemon stopped: QUEUED_RUN_COORDINATOR"
    assert describe_daemons([], LINK, NOW) is None
