"""How good answers are, by country, language and field, each measure with its 95 % interval.

Pure functions of frames: what was asked and answered is `golden_run.py`'s, whether another prompt is better
`comparison.py`'s, what a summary is worth `grounding.py`'s. With 15 or 30 items a language the intervals are
wide, and a measure that so few items do not carry is null and not 0.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl

from cs_features.quality.golden import GoldenItem
from cs_features.quality.grounding import (
    find_unsupported_claims,
    has_asked_length,
    is_english,
    measure_stated_facts,
    repeats_prompt_example,
)
from cs_features.schemas import CATEGORICAL, SCORES

ALL = "all"
Z = 1.959964  # 95 %
BINS = 5
# No answer to a score is as wrong as a score can be, or a prompt could gain by refusing the hard items.
WORST_ERROR = 1.0

ANSWERS_SCHEMA = pl.Schema(
    {
        "id": pl.String(),
        "country": pl.String(),
        "language": pl.String(),
        **{name: pl.String() for name in CATEGORICAL},
        **{name: pl.Float64() for name in SCORES},
        **{f"{name}_label": pl.String() for name in CATEGORICAL},
        **{f"{name}_label": pl.Float64() for name in SCORES},
        "summary": pl.String(),
        "summary_facts": pl.Float64(),
        "summary_english": pl.Boolean(),
        "summary_supported": pl.Boolean(),
        "summary_length": pl.Boolean(),
    }
)

QUALITY_SCHEMA = pl.Schema(
    {
        "country": pl.String(),
        "language": pl.String(),
        "field": pl.String(),
        "measure": pl.String(),
        "value": pl.Float64(),
        "low": pl.Float64(),
        "high": pl.Float64(),
        "items": pl.Int64(),
    }
)

# What is a share of items, by (field, measure): whether an item counts.
SHARES: Mapping[tuple[str, str], pl.Expr] = {
    **{(name, "accuracy"): (pl.col(name) == pl.col(f"{name}_label")).fill_null(False) for name in CATEGORICAL},
    ("summary", "all_facts"): pl.col("summary_facts") == 1.0,
    **{("summary", measure): pl.col(f"summary_{measure}") for measure in ("english", "supported", "length")},
}
# What is a distance to the label, by (field, measure): how far an item is off. Rounded, because equal
# distances on both sides of a label differ in the last bit.
ERRORS: Mapping[tuple[str, str], pl.Expr] = {
    (name, "mean_absolute_error"): (pl.col(name) - pl.col(f"{name}_label")).abs().round(6).fill_null(WORST_ERROR)
    for name in SCORES
}

Interval = tuple[float | None, float | None]


def compute_wilson_interval(right: float, items: float) -> tuple[float, float]:
    """The 95 % score interval of a share (Wilson 1927); (0, 1) for no items.

    Chosen over the exact interval because it is shorter and covers 95 % on average: between accuracies of
    0.55 and 0.95 never less than 91 % at 15 items, 92 % at 30.
    """
    if items == 0:
        return 0.0, 1.0
    share, z2 = right / items, Z * Z
    middle = share + z2 / (2 * items)
    spread = Z * math.sqrt(share * (1 - share) / items + z2 / (4 * items * items))
    low, high = (middle - spread) / (1 + z2 / items), (middle + spread) / (1 + z2 / items)
    return max(0.0, min(share, low)), min(1.0, max(share, high))  # the last bit must leave neither out


def compute_mean_interval(values: pl.Series, least: float = -1.0) -> Interval:
    """The 95 % interval of a mean (Student's t) in [`least`, 1]; nulls where the values do not vary."""
    from scipy.stats import ttest_1samp

    if values.n_unique() < 2:
        return None, None
    found = ttest_1samp(values.to_numpy(), 0.0).confidence_interval()
    return max(least, float(found.low)), min(1.0, float(found.high))


def build_answers_frame(
    items: Iterable[GoldenItem], answers: Mapping[str, Mapping[str, Any] | None], examples: frozenset[str]
) -> pl.DataFrame:
    """A row an item, answered or not: an item without an answer has nulls and counts as wrong.

    `examples` are the summaries of the prompt's own examples: one of them says nothing of an interaction.
    """
    rows = []
    for item in items:
        answer = answers.get(item.id)
        summary: str = answer["summary"] if answer else ""
        text = " ".join(turn.text for turn in item.turns)
        rows.append(
            {
                "id": item.id,
                "country": item.country,
                "language": item.language,
                **{name: answer[name] if answer else None for name in (*CATEGORICAL, *SCORES)},
                **{f"{name}_label": item.labels[name] for name in (*CATEGORICAL, *SCORES)},
                "summary": summary or None,
                "summary_facts": measure_stated_facts(summary, item.facts),
                "summary_english": is_english(summary, item.language),
                "summary_supported": is_summary_supported(summary, text, examples),
                "summary_length": has_asked_length(summary),
            }
        )
    return pl.DataFrame(rows, schema=ANSWERS_SCHEMA)


def is_summary_supported(summary: str, text: str, examples: frozenset[str]) -> bool:
    """Whether the summary is there, says nothing that the text does not, and is none of the prompt's examples."""
    return bool(summary) and not (find_unsupported_claims(summary, text) or repeats_prompt_example(summary, examples))


def measure_quality(answers: pl.DataFrame, by: tuple[str, ...] = ("country", "language")) -> pl.DataFrame:
    """A row a group, field and measure; `by` names the columns that make the groups, () for all items in one.

    `low` and `high` are the ends of a 95 % interval, null where there is none: calibration error and median
    length have none, and a correlation or a mean has none where the values do not vary.
    """
    groups = answers.group_by(*by) if by else [((), answers)]
    rows: list[tuple[Any, ...]] = []
    for key, group in sorted(groups, key=lambda pair: [str(part) for part in pair[0]]):
        where = dict(zip(by, key, strict=True))
        place = (where.get("country", ALL), where.get("language", ALL))
        rows += [(*place, *row) for row in _measure_group(group)]
    return pl.DataFrame(rows, schema=QUALITY_SCHEMA, orient="row")


def _measure_group(group: pl.DataFrame) -> list[tuple[Any, ...]]:
    items = group.height
    rows: list[tuple[Any, ...]] = []
    for (field, measure), counts in SHARES.items():
        hits = int(group.select(counts).to_series().sum())
        rows.append((field, measure, hits / items, *compute_wilson_interval(hits, items), items))
        if measure == "accuracy":
            rows.append((field, "macro_f1", *_macro_f1_with_interval(group[field], group[f"{field}_label"]), items))
    for (field, measure), error in ERRORS.items():
        pairs = group.select(answer=field, label=f"{field}_label").drop_nulls()
        errors = group.select(error).to_series()
        rows += [
            (field, "spearman", *_correlate_with_interval(pairs), pairs.height),
            (field, "calibration_error", calibration_error(pairs), None, None, pairs.height),
            (field, measure, errors.mean(), *compute_mean_interval(errors, least=0.0), items),
        ]
    summaries = group["summary"].drop_nulls()
    rows.append(("summary", "median_length", summaries.str.len_chars().median(), None, None, summaries.len()))
    return rows


def _macro_f1_with_interval(answers: pl.Series, labels: pl.Series) -> tuple[float, float, float]:
    """Macro-F1 and its interval: Wilson's, at the effective sample size of a mean over classes.

    That size is L² / sum(1 / n) for L labels with n items each: a mean of L shares varies as one share of so
    many items does. In simulations with this corpus's labels (errors of 5 to 45 %, spread evenly or drawn to
    a few values) it covers 90 to 99 % at 15 items and 95 to 98 % at 30; a percentile bootstrap covers 84 to
    88 % at 15, and knows no doubt at all when everything is right.
    """
    value = macro_f1(answers, labels)
    counts = labels.value_counts()["count"]
    effective = len(counts) ** 2 / float((1 / counts).sum())
    return value, *compute_wilson_interval(value * effective, effective)


def macro_f1(answers: pl.Series, labels: pl.Series) -> float:
    """The mean of the F1 of each value that occurs among the labels; a missing answer is a wrong one."""
    scores = []
    for value in labels.unique():
        hit = int(((answers == value) & (labels == value)).fill_null(False).sum())
        said, there = int((answers == value).fill_null(False).sum()), int((labels == value).sum())
        scores.append(2 * hit / (said + there))
    return sum(scores) / len(scores)


def _correlate_with_interval(pairs: pl.DataFrame) -> tuple[float | None, float | None, float | None]:
    """Rank correlation, and Fisher's z interval with the variance of Bonett and Wright (2000)."""
    if pairs.height < 3 or pairs["answer"].n_unique() < 2 or pairs["label"].n_unique() < 2:
        return None, None, None
    value = float(pairs.select(pl.corr("answer", "label", method="spearman")).item())
    if pairs.height < 4 or abs(value) > 1 - 1e-9:  # z is infinite, and certainty is not what a few items give
        return value, None, None
    z, spread = math.atanh(value), Z * math.sqrt((1 + value * value / 2) / (pairs.height - 3))
    return value, math.tanh(z - spread), math.tanh(z + spread)


def calibration_error(pairs: pl.DataFrame) -> float | None:
    """The mean distance between `answer` and `label` over bins of the answer, weighted by their items."""
    if pairs.is_empty():
        return None
    bins = pairs.with_columns(bin=(pl.col("answer") * BINS).floor().clip(0, BINS - 1))
    distance = bins.group_by("bin").agg(
        (pl.col("answer").mean() - pl.col("label").mean()).abs().alias("distance"), pl.len().alias("items")
    )
    return float((distance["distance"] * distance["items"]).sum()) / pairs.height


def list_evaluation_misses(answers: pl.DataFrame) -> pl.DataFrame:
    """What was answered otherwise than labelled: item, field, expected, given (`none` without an answer)."""
    misses = [
        answers.filter((pl.col(name) != pl.col(f"{name}_label")).fill_null(True)).select(
            pl.col("id").alias("item"),
            pl.lit(name).alias("field"),
            pl.col(f"{name}_label").alias("expected"),
            pl.col(name).fill_null("none").alias("given"),
        )
        for name in CATEGORICAL
    ]
    return pl.concat(misses).sort("item", "field")


def count_field_confusions(answers: pl.DataFrame, name: str) -> pl.DataFrame:
    """Labels as rows, answers as columns, both sorted, counts; `none` is an item without an answer."""
    return (
        answers.select(label=f"{name}_label", answer=pl.col(name).fill_null("none"))
        .group_by("label", "answer")
        .len()
        .sort("label", "answer")
        .pivot(on="answer", index="label", values="len", sort_columns=True)
        .fill_null(0)
    )
