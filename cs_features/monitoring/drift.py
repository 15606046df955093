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
Phipson and Smyth (2010), on p-values of random rearrangements; Holm (1979). Not here: how the weeks are counted
(`distributions.py`). Pure functions.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from cs_features.monitoring.distributions import FEATURES, MIX, VERSIONS, Calendar, Counts, Distribution

BASELINE_WEEKS = 8  # recent enough to be the same business, and nine days of each weekday make rare ones visible
ALPHA = 0.01  # false alarms a country-week; five countries have one in about five months
# Five of a hundred interactions have another value, or lie on the other side of some score: about the least that
# can be seen in the picture, and that is worth a look.
RELEVANT = 0.05
MIN_ROWS = 100  # below, ten points are two standard errors
MIN_BASELINE_WEEKS = 4  # fewer do not show how much weeks differ
REARRANGEMENTS = 9_999  # the smallest p-value is a tenth of the strictest threshold, ALPHA / 9
ROUNDING = 1e-9  # distances that differ by less are equal

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


def judge_country_drift(distributions: Sequence[Distribution], calendar: Calendar) -> pl.DataFrame:
    """A row a feature, `VERDICTS`: drifted, steady, or too few to tell.

    `effect` is the `distance` between week and baseline, `effect_same_mix` what is left of it when the week is
    weighted to the baseline's mix of language and channel. `statistic` is the effect over the typical distance of
    rearranged weeks; `p_value` is Holm-adjusted. The same frames give the same answer, to the last digit.
    """
    frame = pl.DataFrame([_measure_drift_effect(each) for each in distributions], schema=VERDICTS)
    rows = frame.select(pl.min_horizontal("week_rows", "baseline_rows").min()).item()
    if rows < MIN_ROWS or not _has_enough_days(calendar):
        return frame
    tests = _test_feature_drift(distributions, calendar)
    is_drift = (pl.col("p_value") <= ALPHA) & (pl.col("effect") >= RELEVANT)
    return frame.with_columns(
        statistic=pl.Series(tests.statistic, dtype=pl.Float64),
        p_value=pl.Series(adjust_by_holm(tests.p_value), dtype=pl.Float64),
    ).with_columns(verdict=pl.when(is_drift).then(pl.lit("drifted")).otherwise(pl.lit("steady")))


def _measure_drift_effect(each: Distribution) -> dict[str, Any]:
    """The row of a feature before any test."""
    has_both = each.week.sum() > 0 and each.baseline.sum() > 0
    has_same_mix = each.feature in FEATURES and bool(each.same_mix.any())
    return {
        "feature": each.feature,
        "change": each.describe_distribution_change() if has_both else None,
        "verdict": "too few",
        "distance": "Kolmogorov" if each.is_ordered else "total variation",
        "effect": float(each.measure_distribution_distance(each.week, each.baseline)),
        "effect_same_mix": float(each.measure_distribution_distance(each.same_mix, each.baseline))
        if has_same_mix
        else None,
        "week_rows": int(each.week.sum()),
        "baseline_rows": int(each.baseline.sum()),
    }


def _has_enough_days(calendar: Calendar) -> bool:
    """Whether any difference at all could be significant."""
    arrangements = np.prod([float(len(days)) for days in calendar.list_interchangeable_days()])
    enough = arrangements >= len(FEATURES + MIX) / ALPHA
    return bool(enough) and len(calendar.list_baseline_weeks()) >= MIN_BASELINE_WEEKS


@dataclass(frozen=True)
class _Tests:
    """Of each feature, the effect over the typical distance of rearranged weeks, and its unadjusted p-value."""

    statistic: Counts
    p_value: Counts


def _test_feature_drift(distributions: Sequence[Distribution], calendar: Calendar) -> _Tests:
    chosen = _choose_rearranged_weeks(calendar)
    rearranged = [_measure_rearranged_weeks(each, chosen) for each in distributions]
    stretch = measure_day_stretch(distributions, rearranged, calendar)
    statistic, p_value = [], []
    for each, distances in zip(distributions, rearranged, strict=True):
        effect = each.measure_distribution_distance(each.week, each.baseline)
        statistic.append(effect / max(stretch * _root_mean_square(distances), ROUNDING))
        as_far = int((stretch * distances >= effect - ROUNDING).sum())
        # The week itself is one of the arrangements.
        p_value.append((1 + as_far) / (1 + REARRANGEMENTS))
    return _Tests(np.array(statistic), np.array(p_value))


def _choose_rearranged_weeks(calendar: Calendar) -> Counts:
    """Rearranged weeks x days: 1 where the week has the day."""
    generator = np.random.default_rng(0)
    chosen = np.zeros((REARRANGEMENTS, len(calendar.weekday)))
    for days in calendar.list_interchangeable_days():
        chosen[np.arange(REARRANGEMENTS), generator.choice(days, REARRANGEMENTS)] = 1
    return chosen


def _measure_rearranged_weeks(each: Distribution, chosen: Counts) -> Counts:
    """How far each rearranged week is from the days that it leaves."""
    weeks = chosen @ each.days
    return each.measure_distribution_distance(weeks, each.days.sum(axis=0) - weeks)


def measure_day_stretch(
    distributions: Sequence[Distribution], rearranged: Sequence[Counts], calendar: Calendar
) -> float:
    """How much farther from the others real weeks of the baseline lie than rearranged ones; never less than 1."""
    weeks = calendar.list_baseline_weeks()
    stretches = []
    for each, distances in zip(distributions, rearranged, strict=True):
        typical = _root_mean_square(distances)
        if typical:
            real = np.array([each.days[days].sum(axis=0) for days in weeks])
            apart = each.measure_distribution_distance(real, each.baseline - real)
            stretches.append(_root_mean_square(apart) / typical)
    return max(1.0, float(np.median(stretches))) if stretches else 1.0


def _root_mean_square(distances: Counts) -> float:
    return float(np.sqrt(np.mean(np.square(distances))))


def adjust_by_holm(p_values: Counts) -> Counts:
    """Adjusted p-values, which control the errors of all tests together."""
    order = np.argsort(p_values)
    steps = np.maximum.accumulate((len(p_values) - np.arange(len(p_values))) * p_values[order])
    adjusted = np.empty_like(p_values)
    adjusted[order] = np.minimum(steps, 1.0)
    return adjusted


def find_new_versions(week: pl.DataFrame, baseline: pl.DataFrame) -> list[str]:
    """Models and prompts that the week has and the baseline has not, such as "prompt_version 3f2a"."""
    if baseline.is_empty():
        return []
    found = []
    for name in VERSIONS:
        known = set(baseline[name])
        found += [f"{name} {value}" for value in sorted(set(week[name].drop_nulls()) - known)]
    return found


def summarize_drift_verdicts(verdicts: pl.DataFrame, new_versions: Sequence[str]) -> str:
    """The verdicts in one line."""
    rows = verdicts.row(0, named=True)
    sizes = f"{rows['week_rows']:,} rows against {rows['baseline_rows']:,}"
    if rows["verdict"] == "too few":
        least = f"{MIN_ROWS} rows each, {MIN_BASELINE_WEEKS} weeks of baseline and most days of the week"
        return f"Too few to tell: {sizes}; it takes {least}"
    features = _describe_drifted_features(verdicts, FEATURES)
    mix = _describe_drifted_features(verdicts, MIX)
    parts = ["; ".join(features) if features else f"Steady, {sizes}"]
    if mix:
        parts.append(f"the mix: {', '.join(mix)}")
    if new_versions:
        parts.append(f"new: {', '.join(new_versions)}")
    return "; ".join(parts)


def _describe_drifted_features(verdicts: pl.DataFrame, among: Sequence[str]) -> list[str]:
    """What drifted of `among`, the largest effect first."""
    is_explained = pl.col("effect_same_mix") < RELEVANT
    note = pl.when(is_explained).then(pl.lit(" (explained by the mix)")).otherwise(pl.lit(""))
    drifted = verdicts.filter(pl.col("verdict") == "drifted", pl.col("feature").is_in(among))
    lines = drifted.sort("effect", descending=True).select(line=pl.format("{} {}{}", "feature", "change", note))
    return lines["line"].to_list()
