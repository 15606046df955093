"""A country's figures by month, corrected by what people said of a sample: the table `country_report`. Pure.

Interactions of another model or prompt are another row: their answers err otherwise, and no label of one says anything
of the other. Where nobody has labelled any of them, the row has no corrected figure and says so.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from cs_features.review.estimates import (
    LEAST_ITEMS,
    Estimate,
    estimate_corrected_mean,
    estimate_corrected_share,
    estimate_naive_share,
)
from cs_features.review.labelled import select_random
from cs_features.schemas import CATEGORICAL, SCORES

UNCORRECTED, CORRECTED = "no labels: as answered", "corrected by labels"
PART = ["month", "model_id", "prompt_version"]

COUNTRY_REPORT_SCHEMA = pl.Schema(
    {
        "country": pl.String(),
        "month": pl.Date(),
        "model_id": pl.String(),
        "prompt_version": pl.String(),
        "parts": pl.Int64(),
        "interactions": pl.Int64(),
        "labels": pl.Int64(),
        "field": pl.String(),
        "value": pl.String(),
        "naive": pl.Float64(),
        "corrected": pl.Float64(),
        "low": pl.Float64(),
        "high": pl.Float64(),
        "state": pl.String(),
    }
)


@dataclass(frozen=True)
class _Part:
    """The interactions of one month, model and prompt, and those of them that people have labelled."""

    rows: pl.DataFrame
    labelled: pl.DataFrame


Figure = tuple[int, str, str | None, float, Estimate | None]


def correct_figures(frame: pl.DataFrame, labelled: pl.DataFrame, country: str) -> pl.DataFrame:
    """A row a value's share, and a score's mean, of each month, model and prompt.

    `frame` are all interactions with their answers (`frame.py`). `parts` says how many models and prompts the month
    has: more than one, and its rows are not to be added up as if they were the same.
    """
    dated = frame.with_columns(month=pl.col("date").dt.truncate("1mo"))
    parts = dated.partition_by(PART, as_dict=True)
    months = [key[0] for key in parts]
    at_random, made = select_random(labelled), []
    for key, rows in sorted(parts.items(), key=lambda pair: [str(each) for each in pair[0]]):
        month, model_id, version = key
        ours = at_random.filter(
            pl.col("month") == month, pl.col("model_id") == model_id, pl.col("prompt_version") == version
        )
        place = (country, month, model_id, version, months.count(month), rows.height)
        made += [_build_row(place, figure) for figure in _list_figures(_Part(rows, ours))]
    return pl.DataFrame(made, schema=COUNTRY_REPORT_SCHEMA, orient="row")


def _build_row(place: Sequence[Any], figure: Figure) -> tuple[Any, ...]:
    labels, name, value, naive, found = figure
    if found is None:
        return (*place, labels, name, value, naive, None, None, None, UNCORRECTED)
    return (*place, labels, name, value, naive, found.value, found.low, found.high, CORRECTED)


def _list_figures(part: _Part) -> Iterator[Figure]:
    for name in CATEGORICAL:
        yield from _list_shares(name, part)
    for name in SCORES:
        told = part.labelled.filter(pl.col(f"{name}_label").is_not_null())
        mean_said = float(part.rows[name].to_numpy().mean())
        found = None
        if told.height >= LEAST_ITEMS:
            said, label, weights = _take_columns(name, told)
            found = estimate_corrected_mean(said, label, weights, mean_said)
        yield told.height, name, None, mean_said, found


def _list_shares(name: str, part: _Part) -> Iterator[Figure]:
    """Every value that was answered or labelled."""
    told = part.labelled.filter(pl.col(f"{name}_label").is_not_null())
    said, label, weights = _take_columns(name, told)
    for value in sorted({*part.rows[name].unique(), *told[f"{name}_label"].unique()}):
        share_said = float((part.rows[name] == value).to_numpy().mean())
        found = None
        if told.height >= LEAST_ITEMS:
            found = estimate_corrected_share(said == value, label == value, weights, share_said)
        yield told.height, name, value, estimate_naive_share(share_said, part.rows.height).value, found


def _take_columns(name: str, told: pl.DataFrame) -> tuple["np.ndarray", "np.ndarray", "np.ndarray"]:
    return told[name].to_numpy(), told[f"{name}_label"].to_numpy(), told["weight"].to_numpy()
