"""A year of documents as they land: 1.3 million in five countries, one file an interaction.

Made up, and seeded: nights, weekends and Mondays, a week before Christmas sales with three times as many, files that
come late, a few of them by days. Belongs here: when documents land and in which partition. Not here: what the sensor
makes of it (`arrivals.py`).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

import numpy as np
import numpy.typing as npt

from cs_features.partitions import Partition

DOCUMENTS_A_YEAR = 1_300_000
BEGIN = datetime(2026, 1, 1, tzinfo=timezone.utc)
SHARES = {"NL": 0.34, "FR": 0.25, "ES": 0.20, "BE": 0.13, "PL": 0.08}
# How busy each hour of a UTC day is: nights at a twentieth of the morning's peak.
HOURS = np.array([2, 1, 1, 1, 2, 5, 12, 24, 38, 40, 38, 34, 30, 32, 34, 34, 32, 28, 24, 20, 16, 12, 7, 4], float)
WEEKDAYS = np.array([1.35, 1.1, 1.05, 1.0, 1.05, 0.65, 0.5])  # from Monday on
CAMPAIGN = range(326, 333)  # days of the year: the week of Black Friday
CAMPAIGN_FACTOR = 3.0
MEDIAN_DELAY_SECONDS, SPREAD_OF_DELAY = 90.0, 1.0  # from the end of an interaction to its file, log-normal
LATE_SHARE, LATE_DAYS = 0.003, 20

Seconds = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Year:
    """Documents in the order in which they land: seconds since `BEGIN`, and the number of their partition."""

    days: int
    landed: Seconds
    partition: npt.NDArray[np.int64]
    keys: list[str]


def make_year(first_day: int, days: int, seed: int = 7) -> Year:
    """The documents of `days` days from the `first_day` of the year on."""
    generator = np.random.default_rng(seed)
    landed: list[Seconds] = []
    partition: list[npt.NDArray[np.int64]] = []
    keys: list[str] = []
    for day in range(first_day, first_day + days):
        date = (BEGIN + timedelta(days=day)).date()
        for country, share in SHARES.items():
            occurred = draw_day(day, date.weekday(), share, generator)
            landed.append((day - first_day) * 86_400 + occurred + draw_delays(occurred.size, generator))
            partition.append(np.full(occurred.size, len(keys)))
            keys.append(Partition(country, date).key)
    moments, numbers = np.concatenate(landed), np.concatenate(partition)
    order = np.argsort(moments, kind="stable")
    seen = order[moments[order] < days * 86_400]
    return Year(days, moments[seen], numbers[seen], keys)


def draw_day(day: int, weekday: int, share: float, generator: np.random.Generator) -> Seconds:
    """When a country's interactions of a day end, in seconds of the day."""
    mean_weekday = float(WEEKDAYS.mean())
    mean_campaign = 1 + len(CAMPAIGN) * (CAMPAIGN_FACTOR - 1) / 365
    factor = WEEKDAYS[weekday] / mean_weekday * (CAMPAIGN_FACTOR if day in CAMPAIGN else 1.0) / mean_campaign
    count = generator.poisson(DOCUMENTS_A_YEAR / 365 * share * factor)
    hours = generator.choice(24, count, p=HOURS / HOURS.sum())
    return (hours + generator.random(count)) * 3600


def draw_delays(count: int, generator: np.random.Generator) -> Seconds:
    delays = generator.lognormal(np.log(MEDIAN_DELAY_SECONDS), SPREAD_OF_DELAY, count)
    late = generator.random(count) < LATE_SHARE
    return np.where(late, generator.random(count) * LATE_DAYS * 86_400, delays)
