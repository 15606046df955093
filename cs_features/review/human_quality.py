"""How good the answers are by people's judgement, by language and field, for each model and prompt: `human_quality`.

Beside it stands how far people agree with each other, which is as much as can be asked of a model. Pure; the
statistics are `estimates.py`'s and `agreement.py`'s, which items count is `labelled.py`'s.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl

from cs_features.quality.evaluation import ALL, QUALITY_SCHEMA
from cs_features.review.agreement import differ, estimate_alpha, square_value_distance
from cs_features.review.estimates import (
    Estimate,
    correlate_score_ranks,
    count_effective_labels,
    estimate_labelled_mean,
    estimate_labelled_share,
    estimate_macro_f1,
    estimate_mean_error,
)
from cs_features.review.labelled import select_random_items
from cs_features.review.words import ASKED
from cs_features.schemas import CATEGORICAL, SCORES

HUMAN_QUALITY_SCHEMA = pl.Schema(
    {**QUALITY_SCHEMA, "effective": pl.Float64(), "model_id": pl.String(), "prompt_version": pl.String()}
)

Row = tuple[str, str, float | None, float | None, float | None, int, float | None]


def measure_human_quality(labelled: pl.DataFrame, country: str) -> pl.DataFrame:
    """A row a language, field and measure; alpha is of all languages, models and prompts together."""
    rows: list[tuple[Any, ...]] = []
    keys = ["model_id", "prompt_version"]
    at_random = select_random_items(labelled)
    for (model_id, version), of_version in _partition(at_random, keys):
        groups = [(ALL, of_version), *((key[0], part) for key, part in _partition(of_version, ["language"]))]
        for language, group in groups:
            rows += [(country, language, *row, model_id, version) for row in _measure_group(group)]
    rows += [(country, ALL, *row, None, None) for row in _measure_people_agreement(labelled)]
    return pl.DataFrame(rows, schema=HUMAN_QUALITY_SCHEMA, orient="row")


def _partition(frame: pl.DataFrame, keys: list[str]) -> list[tuple[tuple[Any, ...], pl.DataFrame]]:
    return sorted(frame.partition_by(keys, as_dict=True).items(), key=lambda pair: [str(part) for part in pair[0]])


def _measure_group(group: pl.DataFrame) -> Iterator[Row]:
    for name in ASKED:
        told = group.filter(pl.col(f"{name}_label").is_not_null())
        asked = told.height + int(group["cannot_tell"].list.contains(name).sum())
        if asked:
            yield name, "cannot_tell", 1 - told.height / asked, None, None, asked, None
        if told.is_empty():
            continue
        said, label = told[name].to_numpy(), told[f"{name}_label"].to_numpy()
        weights = told["weight"].to_numpy()
        effective = count_effective_labels(weights)
        for measure, found in _list_field_measures(name, said, label, weights):
            yield name, measure, found.value, found.low, found.high, told.height, effective


def _list_field_measures(
    name: str, said: "np.ndarray", label: "np.ndarray", weights: "np.ndarray"
) -> Iterator[tuple[str, Estimate]]:
    if name in CATEGORICAL:
        yield "accuracy", estimate_labelled_share(said == label, weights)
        yield "macro_f1", estimate_macro_f1(said, label, weights)
        return
    yield "mean_absolute_error", estimate_mean_error(said, label, weights)
    yield "mean_error", _estimate_score_bias(said, label, weights)
    ranks = correlate_score_ranks(said, label, weights)
    if ranks is not None:
        yield "spearman", ranks


def _estimate_score_bias(said: "np.ndarray", label: "np.ndarray", weights: "np.ndarray") -> Estimate:
    """How far answers are too high; the interval of a mean is made for numbers from 0 to 1."""
    shifted = estimate_labelled_mean((said - label + 1) / 2, weights)
    return Estimate(2 * shifted.value - 1, 2 * shifted.low - 1, 2 * shifted.high - 1)


def _measure_people_agreement(labelled: pl.DataFrame) -> Iterator[Row]:
    """Between readers, on what several were asked; of readers with themselves, on what they were asked again."""
    between = labelled.unique(["interaction_id", "reader"], keep="first", maintain_order=True)
    for name in ASKED:
        yield from _measure_label_units(name, "alpha", between, ["interaction_id"])
        yield from _measure_label_units(name, "alpha_again", labelled, ["interaction_id", "reader"])


def _measure_label_units(name: str, measure: str, labelled: pl.DataFrame, unit: list[str]) -> Iterator[Row]:
    told = labelled.filter(pl.col(f"{name}_label").is_not_null())
    grouped = told.group_by(unit, maintain_order=True).agg(pl.col(f"{name}_label"))
    units = [labels for labels in grouped[f"{name}_label"].to_list() if len(labels) > 1]
    alpha = estimate_alpha(units, square_value_distance) if name in SCORES else estimate_alpha(units, differ)
    if alpha is not None:
        yield name, measure, alpha.value, alpha.low, alpha.high, len(units), None
