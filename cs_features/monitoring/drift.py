"""Has a country's week moved away from the weeks before it, feature by feature?

One test for every feature: a permutation test whose unit is the day. If nothing changed, the week's Monday is a
Monday like those of the baseline, and any of them could be in its place: how far from the baseline are weeks that
are put together from such days? That answers for what an i.i.d. test (chi-square, Kolmogorov-Smirnov) ignores and
calls drift as soon as there are thousands of rows: interactions of one day resemble each other, weekdays differ,
rare values are rare. An outage day is one of nine like it, and alone is never drift.

Days that follow each other are alike too, and rearranged days do not follow each other. So the distances of
rearranged weeks are stretched by how much farther apart the baseline's real weeks lie than rearranged ones: one
factor, the median over the features, because eight weeks are too few to tell it for each. One feature whose days
remember much longer than the others' is therefore called a little too often.

`drifted` needs significance (Holm over the features of the country-week) and a difference that matters. A week that
differs every month or every year, such as that of the invoices or of Christmas, differs and is told.

Sources: Good, Permutation, Parametric and Bootstrap Tests of Hypotheses (2005), on rearranging within blocks;
Phipson and Smyth (2010), on p-values of random rearrangements; Holm (1979). Pure functions; no Dagster, no I/O.
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

BASELINE_WEEKS = 8  # recent enough to be the same business, and nine days of each weekday make rare ones visible
ALPHA = 0.01  # false alarms a country-week; five countries have one in about five months
# Five of a hundred interactions have another value, or lie on the other side of some score: about the least that
# can be seen in the picture, and that is worth a look.
RELEVANT = 0.05
MIN_ROWS = 100  # below, ten points are two standard errors
MIN_BASELINE_WEEKS = 4  # fewer do not show how much weeks differ
REARRANGEMENTS = 9_999  # the smallest p-value is a tenth of the strictest threshold, ALPHA / 9

COLUMNS = pl.Schema(
    {
        "event_time": pl.Datetime("us", "UTC"),
        **{name: pl.String() for name in (*CATEGORICAL, *LENGTHS, *MIX, *VERSIONS)},
        **{name: pl.Float64() for name in SCORES},
    }
)
"""What is read of `validated_features`."""

VERDICTS = pl.Schema(
    {
        "feature": pl.String(),
        "change": pl.String(),
        "verdict": pl.String(),
        "distance": pl.String(),
        "effect": pl.Float64(),
        "effect_same_mix": pl.Float64(),
        "statistic": pl.Float64(),
        "p_value": pl.Float64(),
        "week_rows": pl.Int64(),
        "baseline_rows": pl.Int64(),
    }
)

Counts = npt.NDArray[np.float64]


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
    def ordered(self) -> bool:
        return self.feature not in (*CATEGORICAL, *MIX)

    def distance(self, week: Counts, baseline: Counts) -> Counts:
        """Total variation of categories, Kolmogorov's distance of numbers, in [0, 1]; over the last axis."""
        difference = _shares(week) - _shares(baseline)
        if self.ordered:
            return np.abs(np.cumsum(difference, axis=-1)).max(axis=-1, initial=0.0)
        return np.abs(difference).sum(axis=-1) / 2

    @property
    def change(self) -> str:
        """Where the week differs most, in words, such as "negative 21 % -> 38 %"."""
        was, now = _shares(self.baseline), _shares(self.week)
        if self.ordered:
            was, now = 1 - np.cumsum(was), 1 - np.cumsum(now)
        at = int(np.abs(now - was).argmax())
        value = self.values[at]
        if self.feature in LENGTHS:
            value = f"longer than {value:.0f} characters"
        elif self.ordered:
            value = f"above {value:g}"
        return f"{value} {100 * was[at]:.0f} % -> {100 * now[at]:.0f} %"


def _shares(counts: Counts) -> Counts:
    return counts / np.maximum(counts.sum(axis=-1, keepdims=True), 1e-9)


@dataclass(frozen=True)
class Calendar:
    """The days of `Distribution.days`: which weekday and which week each is; the first `in_week` are the week's."""

    weekday: npt.NDArray[np.int64]
    week: npt.NDArray[np.int64]
    in_week: int

    @property
    def alike(self) -> list[npt.NDArray[np.int64]]:
        """For each weekday of the week, the days that could have been in its place, itself included."""
        return [np.flatnonzero(self.weekday == weekday) for weekday in self.weekday[: self.in_week]]

    @property
    def baseline_weeks(self) -> list[npt.NDArray[np.int64]]:
        of_day = self.week[self.in_week :]
        return [self.in_week + np.flatnonzero(of_day == week) for week in np.unique(of_day)]

    @property
    def tells(self) -> bool:
        """Whether there are enough days for any difference at all to be significant."""
        arrangements = np.prod([float(len(days)) for days in self.alike])
        enough = arrangements >= len(FEATURES + MIX) / ALPHA
        return bool(enough) and len(self.baseline_weeks) >= MIN_BASELINE_WEEKS


def distributions(week: pl.DataFrame, baseline: pl.DataFrame) -> tuple[list[Distribution], Calendar]:
    """Every feature and the mix, counted. Both frames have `COLUMNS`; of the baseline count the week's weekdays.

    So a week that is still going on is compared with the same part of other weeks.
    """
    weekday = pl.col("event_time").dt.weekday()
    # Before any date: the week's days come first.
    week = week.with_columns(day=weekday.cast(pl.Int64) - 1_000_000, weekday=weekday, monday=pl.lit(0, pl.Int64))
    baseline = baseline.with_columns(
        day=pl.col("event_time").dt.epoch("d").cast(pl.Int64),
        weekday=weekday,
        monday=pl.col("event_time").dt.truncate("1w").dt.epoch("d").cast(pl.Int64),
    ).filter(pl.col("weekday").is_in(week["weekday"].unique().to_list()))
    rows = pl.concat([week, baseline]).with_columns(
        pl.Series("weight", np.concatenate([_weights(week, baseline), np.zeros(baseline.height)]), pl.Float64),
        pl.col(*SCORES).round(2),
        pl.col(*LENGTHS).str.len_chars().cast(pl.Float64),
    )
    days = rows.group_by("day").agg(pl.first("weekday", "monday")).sort("day")
    calendar = Calendar(
        days["weekday"].to_numpy().astype(np.int64), days["monday"].to_numpy(), week["weekday"].n_unique()
    )
    return [_counted(rows, name, calendar.in_week) for name in FEATURES + MIX], calendar


def _weights(week: pl.DataFrame, baseline: pl.DataFrame) -> Counts:
    """What each row of the week counts, for the week to have the baseline's mix; 0 where that has no such rows."""
    had = baseline.group_by(*MIX).agg(had=pl.len() / max(baseline.height, 1))
    cells = week.select(*MIX, has=pl.len().over(*MIX) / max(week.height, 1))
    return (
        cells.join(had, on=MIX, how="left", maintain_order="left")
        .select((pl.col("had") / pl.col("has")).fill_null(0.0))["had"]
        .to_numpy()
    )


def _counted(rows: pl.DataFrame, name: str, in_week: int) -> Distribution:
    values = rows[name].unique().sort()
    shape = (rows["day"].n_unique(), len(values))
    day, value = (rows[column].rank("dense").to_numpy().astype(np.int64) - 1 for column in ("day", name))
    cell = day * shape[1] + value
    days = np.bincount(cell, minlength=shape[0] * shape[1]).reshape(shape).astype(np.float64)
    weighted = np.bincount(value, rows["weight"].to_numpy(), shape[1]).astype(np.float64)
    return Distribution(name, values.to_list(), days[:in_week].sum(axis=0), days[in_week:].sum(axis=0), weighted, days)


def verdicts(counted: Sequence[Distribution], calendar: Calendar) -> pl.DataFrame:
    """A row a feature, `VERDICTS`: drifted, steady, or too few to tell.

    `effect` is the `distance` between week and baseline, `effect_same_mix` what is left of it when the week is
    weighted to the baseline's mix of language and channel. `statistic` is the effect over the typical distance of
    rearranged weeks; `p_value` is Holm-adjusted. The same frames give the same answer, to the last digit.
    """
    frame = pl.DataFrame(
        [
            {
                "feature": each.feature,
                "change": each.change if each.week.sum() and each.baseline.sum() else None,
                "verdict": "too few",
                "distance": "Kolmogorov" if each.ordered else "total variation",
                "effect": float(each.distance(each.week, each.baseline)),
                "effect_same_mix": float(each.distance(each.same_mix, each.baseline))
                if each.feature in FEATURES and each.same_mix.any()
                else None,
                "week_rows": int(each.week.sum()),
                "baseline_rows": int(each.baseline.sum()),
            }
            for each in counted
        ],
        schema=VERDICTS,
    )
    rows = frame.select(pl.min_horizontal("week_rows", "baseline_rows").min()).item()
    if rows < MIN_ROWS or not calendar.tells:
        return frame
    statistic, p_value = _tested(counted, calendar)
    drifted = (pl.col("p_value") <= ALPHA) & (pl.col("effect") >= RELEVANT)
    return frame.with_columns(
        statistic=pl.Series(statistic, dtype=pl.Float64), p_value=pl.Series(_holm(p_value), dtype=pl.Float64)
    ).with_columns(verdict=pl.when(drifted).then(pl.lit("drifted")).otherwise(pl.lit("steady")))


def _tested(counted: Sequence[Distribution], calendar: Calendar) -> tuple[Counts, Counts]:
    """(statistic, unadjusted p-value) of each feature."""
    generator = np.random.default_rng(0)
    # Rearranged weeks x days: 1 where the week has the day.
    chosen = np.zeros((REARRANGEMENTS, len(calendar.weekday)))
    for alike in calendar.alike:
        chosen[np.arange(REARRANGEMENTS), generator.choice(alike, REARRANGEMENTS)] = 1
    effects, rearranged, stretches = [], [], []
    for each in counted:
        total = each.days.sum(axis=0)
        weeks = chosen @ each.days
        rearranged.append(each.distance(weeks, total - weeks))
        effects.append(each.distance(each.week, each.baseline))
        real = np.array([each.days[days].sum(axis=0) for days in calendar.baseline_weeks])
        if _typical(rearranged[-1]):
            stretches.append(_typical(each.distance(real, each.baseline - real)) / _typical(rearranged[-1]))
    stretch = max(1.0, float(np.median(stretches))) if stretches else 1.0
    pairs = list(zip(effects, rearranged, strict=True))
    statistic = [effect / max(stretch * _typical(distances), 1e-9) for effect, distances in pairs]
    # Equal up to rounding is as far; the week itself is one of the arrangements.
    as_far = [int((stretch * distances >= effect - 1e-9).sum()) for effect, distances in pairs]
    return np.array(statistic), (1 + np.array(as_far)) / (1 + REARRANGEMENTS)


def _typical(distances: Counts) -> float:
    return float(np.sqrt(np.mean(np.square(distances))))


def _holm(p_values: Counts) -> Counts:
    """Adjusted p-values, which control the errors of all tests together."""
    order = np.argsort(p_values)
    steps = np.maximum.accumulate((len(p_values) - np.arange(len(p_values))) * p_values[order])
    adjusted = np.empty_like(p_values)
    adjusted[order] = np.minimum(steps, 1.0)
    return adjusted


def new_versions(week: pl.DataFrame, baseline: pl.DataFrame) -> list[str]:
    """Models and prompts that the week has and the baseline has not, such as "prompt_version 3f2a"."""
    return [
        f"{name} {value}"
        for name in VERSIONS
        for value in sorted(set(week[name]) - set(baseline[name]))
        if baseline.height
    ]


def told(frame: pl.DataFrame, new: Sequence[str]) -> str:
    """The verdicts in one line."""
    rows = frame.row(0, named=True)
    sizes = f"{rows['week_rows']:,} rows against {rows['baseline_rows']:,}"
    if rows["verdict"] == "too few":
        least = f"{MIN_ROWS} rows each, {MIN_BASELINE_WEEKS} weeks of baseline and most days of the week"
        return f"Too few to tell: {sizes}; it takes {least}"
    drifted = frame.filter(pl.col("verdict") == "drifted").sort("effect", descending=True)
    explained = pl.when(pl.col("effect_same_mix") < RELEVANT).then(pl.lit(" (explained by the mix)"))
    lines = drifted.select("feature", told=pl.format("{} {}{}", "feature", "change", explained.otherwise(pl.lit(""))))
    features = lines.filter(pl.col("feature").is_in(FEATURES))["told"].to_list()
    mix = lines.filter(pl.col("feature").is_in(MIX))["told"].to_list()
    parts = ["; ".join(features) if features else f"Steady, {sizes}"]
    if mix:
        parts.append(f"the mix: {', '.join(mix)}")
    if new:
        parts.append(f"new: {', '.join(new)}")
    return "; ".join(parts)
