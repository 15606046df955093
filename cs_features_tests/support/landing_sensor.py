"""Ticks of `landing_sensor` as the daemon evaluates them, on a laboratory, and short names for what they ask for."""

from collections.abc import Callable
from datetime import date, datetime, time, timedelta, timezone
from unittest.mock import patch

import dagster as dg
from dagster._core.definitions.sensor_definition import SensorExecutionData

from cs_features.orchestration.sensors.landing import landing_sensor
from cs_features.partitions import Partition
from cs_features_tests.support.lab import Lab

MakeLab = Callable[..., Lab]
TODAY = datetime.now(timezone.utc).date()
YESTERDAY = TODAY - timedelta(days=1)
END_OF_TODAY = datetime.combine(TODAY, time.max, timezone.utc)


def tell_time() -> datetime:
    """The time of the sensor: it stays on the day on which the tests began, also after midnight."""
    return min(datetime.now(timezone.utc), END_OF_TODAY)


def key(country: str, day: date) -> str:
    return Partition(country, day).key


def tick(lab: Lab, cursor: str | None = None, later: timedelta = timedelta(0)) -> SensorExecutionData:
    """What the daemon gets: partition keys validated, as in production; `later` than it is."""
    with (
        patch("cs_features.orchestration.sensors.landing.utc_now", lambda: min(tell_time() + later, END_OF_TODAY)),
        dg.build_sensor_context(
            instance=lab.instance, cursor=cursor, definitions=lab.definitions, resources=lab.resources
        ) as context,
    ):
        return landing_sensor.evaluate_tick(context)


def partitions(data: SensorExecutionData) -> list[str]:
    return [str(request.partition_key) for request in data.run_requests]


def leave_note(lab: Lab, country: str, day: date, note: str = "first") -> None:
    lab.s3.put_object(
        Bucket=lab.settings.data_bucket, Key=f"superseded/country={country}/date={day}/BE.json", Body=note.encode()
    )
