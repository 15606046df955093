"""A country's week and the weeks before it, counted: how many interactions have each value of each feature, by day.

Not here: whether a difference is one (`drift.py`), and how it is drawn (`orchestration/plots.py`). Pure functions.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from cs_features.schemas import CATEGORICAL, SCORES

LENGTHS = ("summary",)
FEATURES = (*CATEGORICAL, *SCORES, *LENGTHS)
# What people write in and where is no feature, but explains why features move.
MIX = ("language", "channel")
# Ours to change: when one is new, it is the first suspect.
VERSIONS = ("model_id", "prompt_version")

COLUMNS = pl.Schema(
    {
        "event_time": pl.Datetime("us", "UTC"),
        **{name: pl.String() for name in (*CATEGORICAL, *LENGTHS, *MIX, *VERSIONS)},
        **{name: pl.Float64() for name in SCORES},
    }
)
"""What is read of `validated_features`."""

Counts = npt.NDArray[np.float64]
Days = npt.NDArray[np.int64]

BEFORE_ANY_DATE = -1_000_000  # as a day's number: the days of the week sort before those of the baseline


@dataclass(frozen=True)
class Distribution:
    """A feature's values in order, and how many interactions have each: in the week, in the baseline.

    `values` are the categories, or the numbers: hundredths of a score, characters of a length. `same_mix` is the
    week weighted to the baseline's mix of language and channel. `days` is days x values, each weekday of the week
    first and the days of the baseline after.
    """

    feature: str
    values: Sequence[Any]
    week: Counts
    baseline: Counts
    same_mix: Counts
    days: Counts

    @property
    def is_ordered(self) -> bool:
        return self.feature not in (*CATEGORICAL, *MIX)

    def measure_distribution_distance(self, week: Counts, baseline: Counts) -> Counts:
        """Total variation of categories, Kolmogorov's distance of numbers, in [0, 1]; over the last axis."""
        difference = share_of_total(week) - share_of_total(baseline)
        if self.is_ordered:
            return np.abs(np.cumsum(difference, axis=-1)).max(axis=-1, initial=0.0)
        return np.abs(difference).sum(axis=-1) / 2

    def describe_distribution_change(self) -> str:
        """Where the week differs most, in words, such as "negative 21 % -> 38 %"."""
        was, now = share_of_total(self.baseline), share_of_total(self.week)
        if self.is_ordered:
            was, now = 1 - np.cumsum(was), 1 - np.cumsum(now)
        at = int(np.abs(now - was).argmax())
        return f"{self._describe_changed_value(at)} {100 * was[at]:.0f} % -> {100 * now[at]:.0f} %"

    def _describe_changed_value(self, at: int) -> str:
        value = self.values[at]
        if self.feature in LENGTHS:
            return f"longer than {value:.0f} characters"
        return f"above {value:g}" if self.is_ordered else str(value)


@dataclass(frozen=True)
class Calendar:
    """Which weekday and which week each of `Distribution.days` is; the first `days_of_week` of them are the week's."""

    weekday: Days
    week: Days
    days_of_week: int

    def list_interchangeable_days(self) -> list[Days]:
        """For each weekday of the week, the days that could have been in its place, itself included."""
        return [np.flatnonzero(self.weekday == weekday) for weekday in self.weekday[: self.days_of_week]]

    def list_baseline_weeks(self) -> list[Days]:
        """The days of each week of the baseline."""
        week_of_day = self.week[self.days_of_week :]
        return [self.days_of_week + np.flatnonzero(week_of_day == week) for week in np.unique(week_of_day)]


def count_feature_distributions(week: pl.DataFrame, baseline: pl.DataFrame) -> tuple[list[Distribution], Calendar]:
    """Every feature and the mix, counted. Both frames have `COLUMNS`; of the baseline count the week's weekdays.

    So a week that is still going on is compared with the same part of other weeks.
    """
    week = _number_days_of_week(week)
    baseline = _number_days_of_baseline(baseline)
    baseline = baseline.filter(pl.col("weekday").is_in(week["weekday"].unique().to_list()))
    weights = np.concatenate([_weigh_to_mix_of(baseline, week), np.zeros(baseline.height)])
    rows = pl.concat([week, baseline]).with_columns(
        pl.Series("weight", weights, pl.Float64),
        pl.col(*SCORES).round(2),
        pl.col(*LENGTHS).str.len_chars().cast(pl.Float64),
    )
    days = rows.group_by("day").agg(pl.first("weekday", "monday")).sort("day")
    weekdays = days["weekday"].to_numpy().astype(np.int64)
    calendar = Calendar(weekdays, days["monday"].to_numpy(), week["weekday"].n_unique())
    return [_count_feature_values(rows, name, calendar.days_of_week) for name in FEATURES + MIX], calendar


def _number_days_of_week(week: pl.DataFrame) -> pl.DataFrame:
    weekday = pl.col("event_time").dt.weekday()
    return week.with_columns(
        day=weekday.cast(pl.Int64) + BEFORE_ANY_DATE,
        weekday=weekday,
        monday=pl.lit(0, pl.Int64),
    )


def _number_days_of_baseline(baseline: pl.DataFrame) -> pl.DataFrame:
    return baseline.with_columns(
        day=pl.col("event_time").dt.epoch("d").cast(pl.Int64),
        weekday=pl.col("event_time").dt.weekday(),
        monday=pl.col("event_time").dt.truncate("1w").dt.epoch("d").cast(pl.Int64),
    )


def _weigh_to_mix_of(baseline: pl.DataFrame, week: pl.DataFrame) -> Counts:
    """What each row of the week counts, for the week to have the baseline's mix; 0 where that has no such rows."""
    had = baseline.group_by(*MIX).agg(had=pl.len() / max(baseline.height, 1))
    cells = week.select(*MIX, has=pl.len().over(*MIX) / max(week.height, 1))
    joined = cells.join(had, on=MIX, how="left", maintain_order="left")
    weights = joined.select((pl.col("had") / pl.col("has")).fill_null(0.0).alias("weight"))
    return weights["weight"].to_numpy()


def _count_feature_values(rows: pl.DataFrame, name: str, days_of_week: int) -> Distribution:
    values = rows[name].unique().sort()
    day, value = _number_densely(rows["day"]), _number_densely(rows[name])
    shape = (rows["day"].n_unique(), len(values))
    counts = np.bincount(day * shape[1] + value, minlength=shape[0] * shape[1])
    days = counts.reshape(shape).astype(np.float64)
    weighted = np.bincount(value, rows["weight"].to_numpy(), shape[1]).astype(np.float64)
    return Distribution(
        feature=name,
        values=values.to_list(),
        week=days[:days_of_week].sum(axis=0),
        baseline=days[days_of_week:].sum(axis=0),
        same_mix=weighted,
        days=days,
    )


def _number_densely(column: pl.Series) -> Days:
    """The place of each row's value among the column's values, from 0."""
    return column.rank("dense").to_numpy().astype(np.int64) - 1


def share_of_total(counts: Counts) -> Counts:
    """Each count over the sum of the last axis; zeros where that is zero."""
    return counts / np.maximum(counts.sum(axis=-1, keepdims=True), 1e-9)
