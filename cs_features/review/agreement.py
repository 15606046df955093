"""How far people agree with each other: Krippendorff's alpha, for any number of readers and missing labels. Pure.

1 is perfect agreement, 0 what chance gives. An answer cannot be expected to agree with people more than they agree
among themselves.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

RESAMPLES, SEED = 2_000, 20261127  # the same interval for the same labels, whoever computes it

Label = TypeVar("Label", bound=Hashable)


def differ(one: Hashable, other: Hashable) -> float:
    """The distance of names."""
    return float(one != other)


def square_value_distance(one: float, other: float) -> float:
    """The distance of numbers on an interval scale."""
    return (one - other) ** 2


def measure_krippendorff_alpha(
    units: Iterable[Sequence[Label]], distance: Callable[[Label, Label], float]
) -> float | None:
    """Krippendorff's alpha; `units` are the labels that each item got, those with fewer than two say nothing.

    None where nothing was labelled twice, or where all labels are the same: there is nothing to agree about.
    """
    pairable = [labels for labels in units if len(labels) > 1]
    totals = Counter(label for labels in pairable for label in labels)
    count = sum(totals.values())
    expected = _sum_pair_distances(totals, distance)
    if not expected:
        return None
    observed = sum(_sum_pair_distances(Counter(labels), distance) / (len(labels) - 1) for labels in pairable)
    return 1 - (count - 1) * observed / expected


@dataclass(frozen=True)
class Agreement:
    """Krippendorff's alpha with the ends of its 95 % interval; None where no item disagrees, which tells no spread."""

    value: float
    low: float | None
    high: float | None


def estimate_alpha(units: Sequence[Sequence[Label]], distance: Callable[[Label, Label], float]) -> Agreement | None:
    """Alpha and its interval by drawing the items anew: percentiles over `RESAMPLES` draws, with a fixed seed."""
    pairable = [labels for labels in units if len(labels) > 1]
    value = measure_krippendorff_alpha(pairable, distance)
    if value is None:
        return None
    if value == 1:
        return Agreement(value, None, None)
    drawn = _redraw_alphas(pairable, distance)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Agreement(value, min(value, float(low)), max(value, float(high)))


def _redraw_alphas(units: Sequence[Sequence[Label]], distance: Callable[[Label, Label], float]) -> "np.ndarray":
    """Alpha of each draw of as many items with replacement; draws in which all labels are the same tell none."""
    values = list(dict.fromkeys(label for labels in units for label in labels))
    apart = np.array([[distance(one, other) for other in values] for one in values])
    counts = np.array([[labels.count(value) for value in values] for labels in units])
    observed = np.array([_sum_pair_distances(Counter(labels), distance) / (len(labels) - 1) for labels in units])
    chances = np.full(len(units), 1 / len(units))
    draws = np.random.default_rng(SEED).multinomial(len(units), chances, size=RESAMPLES)
    totals = draws @ counts
    expected = ((totals @ apart) * totals).sum(axis=1)
    known = expected > 0
    return np.asarray(1 - (totals.sum(axis=1)[known] - 1) * (draws @ observed)[known] / expected[known])


def _sum_pair_distances(counts: Counter[Label], distance: Callable[[Label, Label], float]) -> float:
    """Over all ordered pairs of labels."""
    pairs = ((one, other) for one in counts for other in counts)
    return sum(counts[one] * counts[other] * distance(one, other) for one, other in pairs)
