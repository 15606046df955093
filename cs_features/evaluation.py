"""How good answers are, by country, language and field, with intervals; and whether another prompt is better.

Pure functions of frames: what was asked and answered comes from the golden corpus and the engine. With
30 items a language an interval is wide, and a comparison is mostly inconclusive: both are said, not hidden.
"""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import polars as pl

from cs_features.golden import GoldenItem
from cs_features.languages import detect_language

CATEGORICAL = ("sentiment", "primary_topic", "intent", "resolution_status")
SCORES = ("urgency_score", "csat_indicator")
Z = 1.959964  # 95 %
BINS = 5

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


def wilson(right: int, items: int) -> tuple[float, float]:
    """The 95 % Wilson score interval of a share; (0, 1) for no items."""
    if items == 0:
        return 0.0, 1.0
    share, z2 = right / items, Z * Z
    middle = share + z2 / (2 * items)
    spread = Z * math.sqrt(share * (1 - share) / items + z2 / (4 * items * items))
    return max(0.0, (middle - spread) / (1 + z2 / items)), min(1.0, (middle + spread) / (1 + z2 / items))


def answers_frame(
    items: Iterable[GoldenItem], answers: Mapping[str, Mapping[str, Any] | None], examples: frozenset[str]
) -> pl.DataFrame:
    """A row an item, answered or not: an item without an answer has nulls and counts as wrong.

    `examples` are the summaries of the prompt's own examples, which a weak model likes to repeat.
    """
    rows = []
    for item in items:
        answer = answers.get(item.id)
        summary = answer["summary"] if answer else None
        text = " ".join(turn.text for turn in item.turns)
        rows.append(
            {
                "id": item.id,
                "country": item.country,
                "language": item.language,
                **{name: answer[name] if answer else None for name in (*CATEGORICAL, *SCORES)},
                **{f"{name}_label": item.labels[name] for name in (*CATEGORICAL, *SCORES)},
                "summary": summary,
                "summary_facts": facts_told(summary, item.facts) if summary else 0.0,
                "summary_english": bool(summary) and detect_language(summary or "", ("en", item.language)) == "en"
                if item.language != "en"
                else bool(summary),
                "summary_supported": bool(summary) and not unsupported(summary or "", text) and summary not in examples,
            }
        )
    return pl.DataFrame(rows, schema=ANSWERS_SCHEMA)


def facts_told(summary: str, facts: list[list[str]]) -> float:
    """The share of the required facts that the summary states."""
    lower = summary.lower()
    return sum(any(expression in lower for expression in fact) for fact in facts) / len(facts)


def unsupported(summary: str, text: str) -> list[str]:
    """Numbers and names in the summary that the interaction does not contain: what cannot be grounded."""
    # A capitalised word that does not begin a sentence is taken for a name.
    names = re.findall(r"(?<=[a-z,;:] )[A-Z][\w-]{2,}", summary)
    numbers = re.findall(r"\d[\d.,]*", summary)
    lower = text.lower()
    return [found for found in names + numbers if found.lower().rstrip(".,") not in lower and found not in _KNOWN_NAMES]


_KNOWN_NAMES = frozenset({"Customer", "Agent", "English", "Dutch", "French", "Spanish", "Polish", "German"})


def quality(answers: pl.DataFrame, by: tuple[str, ...] = ("country", "language")) -> pl.DataFrame:
    """A row a group, field and measure, with a 95 % interval where the measure is a share."""
    rows: list[tuple[Any, ...]] = []
    for key, group in sorted(answers.group_by(*by), key=lambda pair: [str(part) for part in pair[0]]):
        where = dict(zip(by, key, strict=True))
        place = (where.get("country", "all"), where.get("language", "all"))
        rows += [(*place, *row) for row in _measures(group)]
    return pl.DataFrame(rows, schema=QUALITY_SCHEMA, orient="row")


def _measures(group: pl.DataFrame) -> list[tuple[str, str, float | None, float | None, float | None, int]]:
    items = group.height
    rows: list[tuple[str, str, float | None, float | None, float | None, int]] = []
    for name in CATEGORICAL:
        right = int((group[name] == group[f"{name}_label"]).fill_null(False).sum())
        rows.append((name, "accuracy", right / items, *wilson(right, items), items))
        rows.append((name, "macro_f1", macro_f1(group[name], group[f"{name}_label"]), None, None, items))
    for name in SCORES:
        pairs = group.select(answer=name, label=f"{name}_label").drop_nulls()
        rows.append((name, "spearman", _spearman(pairs), None, None, pairs.height))
        rows.append((name, "calibration_error", calibration_error(pairs), None, None, pairs.height))
    told = int((group["summary_facts"] == 1.0).sum())
    rows.append(("summary", "all_facts", told / items, *wilson(told, items), items))
    for measure in ("english", "supported"):
        count = int(group[f"summary_{measure}"].sum())
        rows.append(("summary", measure, count / items, *wilson(count, items), items))
    return rows


def macro_f1(answers: pl.Series, labels: pl.Series) -> float:
    """The mean of the F1 of each value that occurs among the labels; a missing answer is a wrong one."""
    scores = []
    for value in labels.unique():
        hit = int(((answers == value) & (labels == value)).fill_null(False).sum())
        said, there = int((answers == value).fill_null(False).sum()), int((labels == value).sum())
        scores.append(2 * hit / (said + there))
    return sum(scores) / len(scores)


def _spearman(pairs: pl.DataFrame) -> float | None:
    if pairs.height < 3 or pairs["answer"].n_unique() < 2 or pairs["label"].n_unique() < 2:
        return None
    return float(pairs.select(pl.corr("answer", "label", method="spearman")).item())


def calibration_error(pairs: pl.DataFrame) -> float | None:
    """The mean distance between answer and label over bins of the answer, weighted by their items."""
    if pairs.is_empty():
        return None
    bins = pairs.with_columns(bin=(pl.col("answer") * BINS).floor().clip(0, BINS - 1))
    distance = bins.group_by("bin").agg(
        (pl.col("answer").mean() - pl.col("label").mean()).abs().alias("distance"), pl.len().alias("items")
    )
    return float((distance["distance"] * distance["items"]).sum()) / pairs.height


def confusion(answers: pl.DataFrame, name: str) -> pl.DataFrame:
    """Labels as rows, answers as columns, counts; `none` is an item without an answer."""
    return (
        answers.select(label=f"{name}_label", answer=pl.col(name).fill_null("none"))
        .group_by("label", "answer")
        .len()
        .pivot(on="answer", index="label", values="len")
        .fill_null(0)
        .sort("label")
    )


@dataclass(frozen=True)
class Comparison:
    """A candidate against the one in use on the same items: the difference in accuracy, and what it means."""

    language: str
    field: str
    difference: float
    low: float
    high: float
    items: int

    @property
    def verdict(self) -> Literal["better", "worse", "inconclusive"]:
        if self.low > 0:
            return "better"
        return "worse" if self.high < 0 else "inconclusive"


def compare(in_use: pl.DataFrame, candidate: pl.DataFrame) -> list[Comparison]:
    """Paired, per language and categorical field, with the adjusted Wald interval of Agresti and Min (2005)."""
    both = in_use.join(candidate, on="id", suffix="_candidate")
    found = []
    for (language,), group in sorted(both.group_by("language"), key=lambda pair: str(pair[0])):
        for name in CATEGORICAL:
            label = group[f"{name}_label"]
            was = (group[name] == label).fill_null(False)
            now = (group[f"{name}_candidate"] == label).fill_null(False)
            gained, lost, n = int((now & ~was).sum()), int((was & ~now).sum()), group.height
            middle = (gained - lost) / (n + 2)
            variance = (gained + lost + 1) - (gained - lost) ** 2 / (n + 2)
            spread = Z * math.sqrt(max(variance, 0.0)) / (n + 2)
            found.append(Comparison(str(language), name, (gained - lost) / n, middle - spread, middle + spread, n))
    return found
