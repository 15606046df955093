"""What a sample of labels says of all interactions, with 95 % intervals that follow from how it was drawn. Pure.

An item weighs 1 / its probability; `effective` is how many items of equal weight would tell as much (Kish 1965). The
corrected figures use that the answers of *all* interactions are known: labels only say how far answers are off.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from cs_features.quality.evaluation import Z, compute_wilson_interval
from cs_features.review.words import STEPS

# A label of a score is rounded to a step of its list: no spread of labels is less than what that hides.
ROUNDING_VARIANCE = (STEPS[1] - STEPS[0]) ** 2 / 12
LEAST_ITEMS = 3  # of a mean with an interval

Array = np.ndarray


@dataclass(frozen=True)
class Estimate:
    """A figure with the ends of its 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def width(self) -> float:
        return self.high - self.low


def count_effective_labels(weights: Array) -> float:
    """How many items of equal weight tell as much; 0 for none."""
    return float(weights.sum() ** 2 / (weights**2).sum()) if weights.size else 0.0


def estimate_labelled_share(meant: Array, weights: Array) -> Estimate:
    """A share by labels alone."""
    effective = count_effective_labels(weights)
    value = float(np.average(meant, weights=weights)) if weights.size else 0.5
    return Estimate(value, *compute_wilson_interval(value * effective, effective))


def estimate_corrected_share(said: Array, meant: Array, weights: Array, share_said: float) -> Estimate:
    """The share of a value among all interactions, of which `share_said` have it by their answers.

    Regression in two strata: of those that are said to have it, and of those that are not, labels tell how many do.
    The strata's score intervals are joined as Zou and Donner (2008) do, which keeps the skew of small shares; a
    stratum without a label could be anything.
    """
    value, below, above = 0.0, 0.0, 0.0
    for is_said, share in ((True, share_said), (False, 1 - share_said)):
        of_stratum = said == is_said
        found = estimate_labelled_share(meant[of_stratum], weights[of_stratum])
        value += share * found.value
        below += (share * (found.value - found.low)) ** 2
        above += (share * (found.high - found.value)) ** 2
    return Estimate(value, max(0.0, value - math.sqrt(below)), min(1.0, value + math.sqrt(above)))


def estimate_naive_share(share_said: float, rows: int) -> Estimate:
    """What answers alone make one believe."""
    return Estimate(share_said, *compute_wilson_interval(share_said * rows, rows))


def estimate_labelled_mean(labels: Array, weights: Array) -> Estimate:
    """A mean by labels alone."""
    return estimate_corrected_mean(np.zeros(labels.size), labels, weights, 0.0)


def estimate_corrected_mean(said: Array, labels: Array, weights: Array, mean_said: float) -> Estimate:
    """The mean of a score over all interactions, whose answers' mean is `mean_said`.

    The difference estimator with its coefficient fitted: where answers follow labels it removes their noise, where they
    say nothing it costs nothing. Too few labels could mean anything.
    """
    effective = count_effective_labels(weights)
    if labels.size < LEAST_ITEMS or effective <= 2:
        return Estimate(float(np.average(labels, weights=weights)) if labels.size else 0.5, 0.0, 1.0)
    mean_of_sample, mean_label = np.average(said, weights=weights), np.average(labels, weights=weights)
    spread = float(np.average((said - mean_of_sample) ** 2, weights=weights))
    slope, fitted = 0.0, 1
    if spread > 0:
        slope = float(np.average((said - mean_of_sample) * (labels - mean_label), weights=weights)) / spread
        fitted = 2
    distance = mean_said - float(mean_of_sample)
    residuals = labels - mean_label - slope * (said - mean_of_sample)
    freedom = max(1.0, effective - fitted)
    variance = max(float(np.average(residuals**2, weights=weights)) * effective / freedom, ROUNDING_VARIANCE)
    leverage = 1 + distance**2 / spread if fitted == 2 else 1.0
    value = min(1.0, max(0.0, float(mean_label) + slope * distance))
    half = quantile_of_t(round(freedom)) * math.sqrt(variance * leverage / effective)
    return Estimate(value, max(0.0, value - half), min(1.0, value + half))


def estimate_mean_error(said: Array, labels: Array, weights: Array) -> Estimate:
    """The mean distance between answer and label."""
    return estimate_labelled_mean(np.abs(said - labels), weights)


@lru_cache(maxsize=1_000)
def quantile_of_t(freedom: int) -> float:
    from scipy.stats import t

    return float(t.ppf(0.975, max(1, freedom)))


def estimate_macro_f1(said: Array, meant: Array, weights: Array) -> Estimate:
    """The mean over the labels' values of each one's F1; its interval as in `quality/evaluation.py`, by weights."""
    found = [_score_value(value, said, meant, weights) for value in sorted(set(meant))]
    value = sum(f1 for f1, _ in found) / len(found)
    effective = len(found) ** 2 / sum(1 / items for _, items in found)
    return Estimate(value, *compute_wilson_interval(value * effective, effective))


def _score_value(value: object, said: Array, meant: Array, weights: Array) -> tuple[float, float]:
    """F1 of one value, and the effective number of its labels."""
    is_said, is_meant = said == value, meant == value
    hit = float(weights[is_said & is_meant].sum())
    f1 = 2 * hit / float(weights[is_said].sum() + weights[is_meant].sum())
    return f1, count_effective_labels(weights[is_meant])


def correlate_score_ranks(said: Array, labels: Array, weights: Array) -> Estimate | None:
    """Spearman's correlation, each item with its weight; None where either does not vary.

    The interval is Fisher's after Bonett and Wright (2000), for as many items as the weights are worth.
    """
    effective = count_effective_labels(weights)
    if effective < 4 or len(set(said)) < 2 or len(set(labels)) < 2:
        return None
    value = _correlate(_rank_by_weight(said, weights), _rank_by_weight(labels, weights), weights)
    bounded = min(0.999, max(-0.999, value))
    z, spread = math.atanh(bounded), Z * math.sqrt((1 + bounded**2 / 2) / max(effective - 3, 1.0))
    return Estimate(value, min(value, math.tanh(z - spread)), max(value, math.tanh(z + spread)))


def _rank_by_weight(values: Array, weights: Array) -> Array:
    """Each value's rank among items that count as often as they weigh; equal values share the middle of theirs."""
    _, places = np.unique(values, return_inverse=True)
    heights = np.bincount(places, weights=weights)
    return np.asarray((np.cumsum(heights) - heights / 2)[places])


def _correlate(one: Array, other: Array, weights: Array) -> float:
    """Pearson's correlation of weighted items."""
    apart, beside = one - np.average(one, weights=weights), other - np.average(other, weights=weights)
    spread = np.average(apart**2, weights=weights) * np.average(beside**2, weights=weights)
    return float(np.average(apart * beside, weights=weights) / math.sqrt(spread))
