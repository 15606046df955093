"""`freshness_sensor`: looks at every country's feed, and has the check `freshness` run where a feed stands otherwise.

A run an hour and country would cost more than the look. Dagster 1.13 stores a check of a partition that is reported
without a run once and never again, so each report is a run. Not here: the rule (`monitoring/freshness.py`), the check
(`checks/freshness.py`), the mail (`sensors/alerts.py`).
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timezone

import dagster as dg
from pydantic import BaseModel, ValidationError

from cs_features.errors import AwsRefusal
from cs_features.landing.zone import LandingZone
from cs_features.monitoring.freshness import (
    Arrivals,
    Freshness,
    FreshnessState,
    judge_country_freshness,
    look_at_feeds,
    read_arrival_times,
    write_arrival_times,
)
from cs_features.orchestration.boundary import guard_boundary
from cs_features.orchestration.jobs import watch_feeds
from cs_features.orchestration.partitions import country_partitions
from cs_features.orchestration.resources import DataBucket, Landing
from cs_features.orchestration.sensors.landing import REFUSED


def utc_now() -> datetime:
    return datetime.now(timezone.utc)


class Reported(BaseModel):
    """How each country stood when it was last reported, and on which day."""

    states: dict[str, FreshnessState] = {}
    days: dict[str, date] = {}

    def add_reports(self, found: Mapping[str, Freshness], countries: list[str], today: date) -> "Reported":
        states = {country: found[country].state for country in countries}
        return Reported(states=self.states | states, days=self.days | dict.fromkeys(countries, today))


def read_reported(text: str | None) -> Reported:
    """A cursor that cannot be read is a fresh one: each country is reported once more."""
    try:
        return Reported.model_validate_json(text or "{}")
    except ValidationError:
        return Reported()


def choose_reports(found: Mapping[str, Freshness], before: Reported, today: date) -> list[str]:
    """The countries that stand otherwise than they were reported, or were not reported today."""
    return sorted(
        country
        for country, each in found.items()
        if before.states.get(country) is not each.state or before.days.get(country) != today
    )


def describe_tick(found: Mapping[str, Freshness]) -> str:
    late = sorted(country for country, each in found.items() if each.state is FreshnessState.LATE)
    return f"silent: {', '.join(late)}" if late else f"{len(found)} feeds, none silent"


@dg.sensor(
    job=watch_feeds,
    minimum_interval_seconds=600,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Looks whether every country's feed still delivers, and has the check freshness say so.",
)
@guard_boundary
def freshness_sensor(
    context: dg.SensorEvaluationContext, landing: Landing, data: DataBucket
) -> dg.SensorResult | dg.SkipReason:
    now, bucket = utc_now(), data.bucket()
    countries = country_partitions.get_partition_keys()
    try:
        arrivals, refused = look_at_each_feed(landing.zone(), read_arrival_times(bucket), countries, now)
        write_arrival_times(bucket, arrivals)
    except AwsRefusal as error:
        return dg.SkipReason(f"{REFUSED}{error}")
    for country, refusal in refused.items():
        context.log.warning(f"{country} is not judged: {refusal}")
    # A feed that could not be looked at is unknown, and not silent.
    seen = [country for country in countries if country not in refused]
    found = {country: judge_country_freshness(arrivals, country, now) for country in seen}
    before = read_reported(context.cursor)
    reports = choose_reports(found, before, now.date())
    return dg.SensorResult(
        run_requests=[dg.RunRequest(partition_key=country) for country in reports],
        skip_reason=None if reports else describe_tick(found),
        cursor=before.add_reports(found, reports, now.date()).model_dump_json(),
    )


def look_at_each_feed(
    zone: LandingZone, remembered: Arrivals, countries: Sequence[str], now: datetime
) -> tuple[Arrivals, dict[str, AwsRefusal]]:
    """What has landed, and by country why a folder was not listed.

    Raises:
        AwsRefusal: no country's folder can be listed.
    """
    arrivals, refused = remembered, dict[str, AwsRefusal]()
    for country in countries:
        try:
            arrivals = look_at_feeds(zone, arrivals, [country], now)
        except AwsRefusal as error:
            refused[country] = error
    if refused and len(refused) == len(countries):
        raise next(iter(refused.values()))
    return arrivals, refused
