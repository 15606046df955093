"""The gate: a candidate prompt or model against the one in use, on the same items, paired.

`worse` and `better` are not held to the same proof. A false alarm costs a look; a false `better` ships a bad
prompt, and a run makes a hundred comparisons, of which some come out well by chance. So `worse` is a 95 %
interval below zero, and `better` an exact test that holds over all comparisons of the run together.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import polars as pl

from cs_features.quality.evaluation import ALL, ERRORS, SHARES, Interval, Z, compute_mean_interval

# The chance that a run calls anything better that is not, whatever the number of its comparisons.
FALSE_BETTER = 0.025
# The chance that one comparison is called worse without being it: the other side of a 95 % interval.
WORSE_BY_CHANCE = 0.025

Verdict = Literal["better", "worse", "inconclusive"]


@dataclass(frozen=True)
class Comparison:
    """A candidate against what is in use: one measure, in one language or in `all` together.

    `in_use` and `candidate` are the two values. `difference` is the candidate's advantage: above zero it is
    better, also where the measure is an error and less is better. `low` and `high` are the ends of its 95 %
    interval, null where the items do not carry one. `p` is the one-sided exact p-value of "not better".
    """

    language: str
    field: str
    measure: str
    in_use: float
    candidate: float
    difference: float
    low: float | None
    high: float | None
    p: float
    items: int
    verdict: Verdict


def compare_paired_answers(in_use: pl.DataFrame, candidate: pl.DataFrame) -> list[Comparison]:
    """Compare the answers of two prompts or models (`build_answers_frame`) to the same items.

    Every measure in every language, and in all of them together where there are several: the latter has
    the power that 15 or 30 items lack.
    """
    in_use, candidate = (
        mine.join(other.select("id"), on="id", how="semi").sort("id")
        for mine, other in ((in_use, candidate), (candidate, in_use))
    )
    languages = sorted(in_use["language"].unique())
    groups = {language: in_use["language"] == language for language in languages}
    if len(languages) > 1:
        groups = {ALL: pl.repeat(True, in_use.height, eager=True), **groups}
    level = FALSE_BETTER / (len(groups) * (len(SHARES) + len(ERRORS)))
    return [
        found
        for language, chosen in groups.items()
        for found in _compare_answer_group(language, in_use.filter(chosen), candidate.filter(chosen), level)
    ]


def _compare_answer_group(
    language: str, in_use: pl.DataFrame, candidate: pl.DataFrame, level: float
) -> Iterator[Comparison]:
    for (field, measure), expression in {**SHARES, **ERRORS}.items():
        is_share = (field, measure) in SHARES
        was, now = (frame.select(expression.cast(pl.Float64)).to_series() for frame in (in_use, candidate))
        advantage = now - was if is_share else was - now
        gained, lost = int((advantage > 0).sum()), int((advantage < 0).sum())
        low, high = _interval_of_shares(gained, lost, advantage.len()) if is_share else compute_mean_interval(advantage)
        p = sign_test(gained, lost)
        yield Comparison(
            language=language,
            field=field,
            measure=measure,
            in_use=_average_field_values(was),
            candidate=_average_field_values(now),
            difference=_average_field_values(advantage),
            low=low,
            high=high,
            p=p,
            items=advantage.len(),
            verdict=_judge_paired_difference(low, high, p, level),
        )


def _average_field_values(values: pl.Series) -> float:
    return float(values.sum()) / values.len()


def _judge_paired_difference(low: float | None, high: float | None, p: float, level: float) -> Verdict:
    if high is not None and high < 0:
        return "worse"
    # The interval too: more items may have gained than lost, and still lost more than was gained.
    return "better" if p <= level and low is not None and low > 0 else "inconclusive"


def sign_test(gained: int, lost: int) -> float:
    """One-sided exact p-value of "the candidate gains no more items than it loses"; McNemar's for shares."""
    from scipy.stats import binomtest

    return float(binomtest(gained, gained + lost, alternative="greater").pvalue) if gained + lost else 1.0


def _interval_of_shares(gained: int, lost: int, items: int) -> Interval:
    """The 95 % interval of a paired difference of shares: adjusted Wald, Agresti and Min (2005)."""
    middle = (gained - lost) / (items + 2)
    variance = (gained + lost + 1) - (gained - lost) ** 2 / (items + 2)
    spread = Z * math.sqrt(variance) / (items + 2)
    return max(-1.0, middle - spread), min(1.0, middle + spread)
