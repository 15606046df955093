"""`freshness_sensor`: looks at every country's feed, and reports the check `freshness` for each.

A check that runs in a run would cost five processes an hour. Not here: the rule (`monitoring/freshness.py`), the
check (`checks/freshness.py`), the mail (`sensors/alerts.py`).
"""

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone

import dagster as dg
from pydantic import BaseModel, ValidationError

from cs_features.errors import AwsRefusal
from cs_features.monitoring.freshness import (
    Freshness,
    FreshnessState,
    judge_freshness,
    look_at_feeds,
    read_arrivals,
    write_arrivals,
)
from cs_features.monitoring.silence import FRESHNESS, describe_freshness
from cs_features.orchestration.checks.freshness import describe_figures
from cs_features.orchestration.partitions import country_partitions
from cs_features.orchestration.resources import DataBucket, Landing
from cs_features.orchestration.sensors.landing import REFUSED

# A state that lasts is reported so often, that its figures plot; a new one at once.
REPORT_EVERY = timedelta(hours=3)


def utc_now() -> datetime:
    return datetime.now(timezone.utc)


class Reported(BaseModel):
    """How each country stood when it was last reported, and when that was."""

    states: dict[str, FreshnessState] = {}
    at: datetime | None = None


def read_reported(text: str | None) -> Reported:
    try:
        return Reported.model_validate_json(text or "{}")
    except ValidationError:
        return Reported()


def choose_reports(found: Mapping[str, Freshness], before: Reported, now: datetime) -> list[str]:
    """The countries to report: those that stand otherwise than before, and all of them every few hours."""
    if before.at is None or now - before.at >= REPORT_EVERY:
        return sorted(found)
    return sorted(country for country, each in found.items() if before.states.get(country) is not each.state)


def make_evaluation(country: str, found: Freshness, now: datetime) -> dg.AssetCheckEvaluation:
    return dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey("landed_documents"),
        check_name=FRESHNESS,
        passed=found.state is not FreshnessState.LATE,
        severity=dg.AssetCheckSeverity.ERROR,
        description=describe_freshness(country, found, now),
        metadata=describe_figures(found),
        partition=country,
    )


def describe_tick(found: Mapping[str, Freshness]) -> str:
    late = sorted(country for country, each in found.items() if each.state is FreshnessState.LATE)
    return f"silent: {', '.join(late)}" if late else f"{len(found)} feeds, none silent"


@dg.sensor(
    minimum_interval_seconds=600,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Looks whether every country's feed still delivers, and reports the check freshness for each.",
)
def freshness_sensor(
    context: dg.SensorEvaluationContext, landing: Landing, data: DataBucket
) -> dg.SensorResult | dg.SkipReason:
    now, bucket = utc_now(), data.bucket()
    countries = country_partitions.get_partition_keys()
    try:
        arrivals = look_at_feeds(landing.zone(), read_arrivals(bucket), countries, now)
        write_arrivals(bucket, arrivals)
    except AwsRefusal as error:
        return dg.SkipReason(f"{REFUSED}{error}")
    found = {country: judge_freshness(arrivals, country, now) for country in countries}
    before = read_reported(context.cursor)
    reported = choose_reports(found, before, now)
    is_full = len(reported) == len(found)
    after = Reported(states={country: each.state for country, each in found.items()}, at=now if is_full else before.at)
    return dg.SensorResult(
        asset_events=[make_evaluation(country, found[country], now) for country in reported],
        skip_reason=describe_tick(found),
        cursor=after.model_dump_json(),
    )
