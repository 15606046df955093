"""How far people agree with each other: Krippendorff's alpha, for any number of readers and missing labels. Pure.

1 is perfect agreement, 0 what chance gives. An answer cannot be expected to agree with people more than they agree
among themselves.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TypeVar

Label = TypeVar("Label", bound=Hashable)


def differ(one: Hashable, other: Hashable) -> float:
    """The distance of names."""
    return float(one != other)


def square_distance(one: float, other: float) -> float:
    """The distance of numbers on an interval scale."""
    return (one - other) ** 2


def measure_alpha(units: Iterable[Sequence[Label]], distance: Callable[[Label, Label], float]) -> float | None:
    """Krippendorff's alpha; `units` are the labels that each item got, those with fewer than two say nothing.

    None where nothing was labelled twice, or where all labels are the same: there is nothing to agree about.
    """
    pairable = [labels for labels in units if len(labels) > 1]
    totals = Counter(label for labels in pairable for label in labels)
    count = sum(totals.values())
    expected = _sum_distances(totals, distance)
    if not expected:
        return None
    observed = sum(_sum_distances(Counter(labels), distance) / (len(labels) - 1) for labels in pairable)
    return 1 - (count - 1) * observed / expected


def _sum_distances(counts: Counter[Label], distance: Callable[[Label, Label], float]) -> float:
    """Over all ordered pairs of labels."""
    pairs = ((one, other) for one in counts for other in counts)
    return sum(counts[one] * counts[other] * distance(one, other) for one, other in pairs)
