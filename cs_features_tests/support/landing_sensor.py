"""Decisions of the landing sensor by themselves, and whole ticks of it. What lands, and what a run makes of it, is
the test's."""

from collections.abc import Callable
from datetime import date, datetime, timedelta, timezone

import dagster as dg
from dagster._core.definitions.sensor_definition import SensorExecutionData

from cs_features.monitoring.findings import Differences
from cs_features.orchestration.sensors.landing import (
    Asked,
    Cursor,
    Decision,
    Observed,
    decide,
    landing_sensor,
)
from cs_features.partitions import Partition
from cs_features_tests.support.lab import Lab

NOW = datetime(2026, 11, 24, 12, tzinfo=timezone.utc)
QUIET = timedelta(seconds=60)
NL_23, NL_24, BE_24 = "NL|2026-11-23", "NL|2026-11-24", "BE|2026-11-24"
MakeLab = Callable[..., Lab]


def seen(fingerprint: str, seconds_ago: float = 3600) -> Observed:
    return Observed(fingerprint, NOW - timedelta(seconds=seconds_ago))


def decided(
    asked: dict[str, str | Asked],
    observed: dict[str, Observed],
    limit: int = 50,
    changing_since: dict[str, datetime] | None = None,
    failures: dict[str, datetime] | None = None,
    differences: Differences | None = None,
) -> Decision:
    before = {key: Asked(fingerprint=what) if isinstance(what, str) else what for key, what in asked.items()}
    cursor = Cursor(asked=before, changing_since=changing_since or {})
    return decide(cursor, observed, failures or {}, differences or Differences(), NOW, QUIET, limit)


TODAY = datetime.now(timezone.utc).date()
YESTERDAY = TODAY - timedelta(days=1)


def key(country: str, day: date) -> str:
    return str(Partition(country, day).key)


def tick(lab: Lab, cursor: str | None = None) -> SensorExecutionData:
    """What the daemon gets: partition keys validated, as in production."""
    with dg.build_sensor_context(
        instance=lab.instance, cursor=cursor, definitions=lab.definitions, resources=lab.resources
    ) as context:
        return landing_sensor.evaluate_tick(context)


def partitions(data: SensorExecutionData) -> list[str]:
    return [str(request.partition_key) for request in data.run_requests]


def leave_note(lab: Lab, country: str, day: date, note: str = "first") -> None:
    lab.s3.put_object(
        Bucket=lab.settings.data_bucket, Key=f"superseded/country={country}/date={day}/BE.json", Body=note.encode()
    )
