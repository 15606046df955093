"""A country's figures by month, corrected by what people said of a sample: the table `country_report`. Pure.

Interactions of another model or prompt are another row: their answers err otherwise, and no label of one says anything
of the other. Where nobody has labelled any of them, the row has no corrected figure and says so; so does a language of
which too few are labelled, for its interval would hold almost everything.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import polars as pl

from cs_features.quality.evaluation import ALL
from cs_features.review.estimates import (
    LEAST_ITEMS,
    Estimate,
    estimate_corrected_mean,
    estimate_corrected_share,
    estimate_naive_share,
)
from cs_features.review.labelled import select_random_items
from cs_features.schemas import CATEGORICAL, SCORES
from cs_features.storage import fill_missing_columns

UNCORRECTED, CORRECTED, TOO_FEW = "no labels: as answered", "corrected by labels", "too few labels: as answered"
LEAST_OF_LANGUAGE = 10  # labels: the intervals cover from there on (bench `review`)
PART = ["month", "model_id", "prompt_version"]

COUNTRY_REPORT_SCHEMA = pl.Schema(
    {
        "country": pl.String(),
        "month": pl.Date(),
        "language": pl.String(),
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
    """The interactions of one month, model, prompt and language, and those of them that people have labelled.

    `least` labels are needed to correct a figure.
    """

    rows: pl.DataFrame
    labelled: pl.DataFrame
    least: int = LEAST_ITEMS


Figure = tuple[int, str, str | None, float, Estimate | None]


def correct_monthly_figures(frame: pl.DataFrame, labelled: pl.DataFrame, country: str) -> pl.DataFrame:
    """A row a value's share, and a score's mean, of each month, model and prompt; of all, and of each language.

    `frame` are all interactions with their answers (`frame.py`). `parts` says how many models and prompts the month
    has: more than one, and its rows are not to be added up as if they were the same.
    """
    dated = frame.with_columns(month=pl.col("date").dt.truncate("1mo"))
    parts = dated.partition_by(PART, as_dict=True)
    months = [key[0] for key in parts]
    at_random, made = select_random_items(labelled), []
    for key, rows in sorted(parts.items(), key=lambda pair: [str(each) for each in pair[0]]):
        month, model_id, version = key
        ours = at_random.filter(
            pl.col("month") == month, pl.col("model_id") == model_id, pl.col("prompt_version") == version
        )
        for language, part in _split_languages(_Part(rows, ours)):
            place = (country, month, language, model_id, version, months.count(month), part.rows.height)
            made += [_build_row(place, part, figure) for figure in _list_field_figures(part)]
    return pl.DataFrame(made, schema=COUNTRY_REPORT_SCHEMA, orient="row")


def read_older_report(report: pl.DataFrame, first: date) -> pl.DataFrame:
    """The months before `first` as they were reported; an older version knew no languages."""
    older = fill_missing_columns(report.filter(pl.col("month") < first), COUNTRY_REPORT_SCHEMA)
    return older.with_columns(pl.col("language").fill_null(ALL)).select(COUNTRY_REPORT_SCHEMA.names())


def _split_languages(whole: _Part) -> Iterator[tuple[str, _Part]]:
    """All of it, and each of its languages where it has several."""
    yield ALL, whole
    languages = sorted(whole.rows["language"].unique())
    for language in languages if len(languages) > 1 else []:
        rows, labelled = (each.filter(pl.col("language") == language) for each in (whole.rows, whole.labelled))
        yield language, _Part(rows, labelled, LEAST_OF_LANGUAGE)


def _build_row(place: Sequence[Any], part: _Part, figure: Figure) -> tuple[Any, ...]:
    labels, name, value, naive, found = figure
    if found is None:
        state = TOO_FEW if 0 < labels < part.least else UNCORRECTED
        return (*place, labels, name, value, naive, None, None, None, state)
    return (*place, labels, name, value, naive, found.value, found.low, found.high, CORRECTED)


def _list_field_figures(part: _Part) -> Iterator[Figure]:
    for name in CATEGORICAL:
        yield from _list_value_shares(name, part)
    for name in SCORES:
        told = part.labelled.filter(pl.col(f"{name}_label").is_not_null())
        mean_said = float(part.rows[name].to_numpy().mean())
        found = None
        if told.height >= part.least:
            said, label, weights = _take_columns(name, told)
            found = estimate_corrected_mean(said, label, weights, mean_said)
        yield told.height, name, None, mean_said, found


def _list_value_shares(name: str, part: _Part) -> Iterator[Figure]:
    """Every value that was answered or labelled."""
    told = part.labelled.filter(pl.col(f"{name}_label").is_not_null())
    said, label, weights = _take_columns(name, told)
    for value in sorted({*part.rows[name].unique(), *told[f"{name}_label"].unique()}):
        share_said = float((part.rows[name] == value).to_numpy().mean())
        found = None
        if told.height >= part.least:
            found = estimate_corrected_share(said == value, label == value, weights, share_said)
        yield told.height, name, value, estimate_naive_share(share_said, part.rows.height).value, found


def _take_columns(name: str, told: pl.DataFrame) -> tuple["np.ndarray", "np.ndarray", "np.ndarray"]:
    return told[name].to_numpy(), told[f"{name}_label"].to_numpy(), told["weight"].to_numpy()
