"""Invented customers of one country over a week and the weeks before it, for the tests of drift and its pictures."""

from datetime import date, datetime, timedelta, timezone
from typing import Any

import numpy as np
import polars as pl

from cs_features.monitoring.distributions import COLUMNS
from cs_features.monitoring.drift import BASELINE_WEEKS
from cs_features.schemas import SCORES

MONDAY = date(2026, 11, 16)
FIRST = MONDAY - timedelta(weeks=BASELINE_WEEKS)
DAYS = 7 * (BASELINE_WEEKS + 1)
WEEK = slice(7 * BASELINE_WEEKS, DAYS)


# Mondays are busy, Sundays are not.
WEEKDAY_VOLUME = np.array([1.3, 1.1, 1.0, 1.0, 1.0, 0.8, 0.8])
SENTIMENTS = {"positive": 0.35, "neutral": 0.4, "negative": 0.25}
CATEGORIES = {
    "sentiment": SENTIMENTS,
    "primary_topic": {f"topic {n}": 0.8**n for n in range(14)},
    "intent": {f"intent {n}": 0.8**n for n in range(12)},
    "resolution_status": {"resolved": 0.6, "escalated": 0.1, "pending": 0.3},
    "language": {"nl": 0.8, "en": 0.15, "fr": 0.03, "tr": 0.02},
    "channel": {"chat": 0.5, "email": 0.3, "phone": 0.15, "review": 0.05},
}

Shares = Any  # days x categories


def customers(
    seed: int,
    rows_a_day: float = 285,
    *,
    spread: float = 0.0,
    memory: float = 0.0,
    shares: dict[str, Shares] | None = None,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(week, baseline) of one country.

    `spread` is the standard deviation of the days' log odds: 0.15 moves a share of 40 % by 3.6 points from day to
    day. `memory` is the correlation of a day with the next. `shares` replaces a feature's shares of each day.
    """
    generator = np.random.default_rng(seed)
    of_day = generator.poisson(rows_a_day * np.tile(WEEKDAY_VOLUME, BASELINE_WEEKS + 1))
    day = np.repeat(np.arange(DAYS), of_day)

    def shocks(size: int) -> Any:
        found = generator.normal(size=(DAYS, size))
        for today in range(1, DAYS):
            found[today] = memory * found[today - 1] + np.sqrt(1 - memory**2) * found[today]
        return spread * found

    columns: dict[str, Any] = {}
    for name, plain in CATEGORIES.items():
        odds = np.array(list(plain.values())) * np.exp(shocks(len(plain)))
        odds = (shares or {}).get(name, odds)
        reached = np.cumsum(odds / odds.sum(axis=1, keepdims=True), axis=1)[day]
        which = (generator.random(len(day))[:, None] > reached).sum(axis=1).clip(0, len(plain) - 1)
        columns[name] = pl.Series(list(plain)).gather(which)
    for name in SCORES:
        columns[name] = np.clip(generator.beta(2, 3, len(day)) + 0.2 * shocks(1)[day, 0], 0, 1)
    length = np.clip(generator.normal(120, 30, len(day)) + 30 * shocks(1)[day, 0], 1, 200).astype(int)
    columns["summary"] = pl.Series(["x" * n for n in range(201)]).gather(length)
    moment = datetime(FIRST.year, FIRST.month, FIRST.day, 9, tzinfo=timezone.utc)
    frame = pl.DataFrame(
        {**columns, "model_id": "m", "prompt_version": "p", "day": day},
    ).with_columns(event_time=pl.lit(moment) + pl.duration(days="day"))
    frame = frame.with_columns(pl.col("event_time").cast(COLUMNS["event_time"]))
    in_week = pl.col("day") >= 7 * BASELINE_WEEKS
    return frame.filter(in_week).select(*COLUMNS), frame.filter(~in_week).select(*COLUMNS)


def usual(name: str) -> Shares:
    """The usual shares, the same every day."""
    return np.tile(np.array(list(CATEGORIES[name].values())), (DAYS, 1))


def moved(days: slice | int, points: float) -> dict[str, Shares]:
    """So many points of positive customers turn negative on these days."""
    shares = usual("sentiment")
    shares[days] += [-points / 100, 0, points / 100]
    return {"sentiment": shares}
