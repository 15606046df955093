"""Answers beside people's labels: a row an interaction that was drawn at random, with the chance that it had.

Several sheets of a month are one sample: an interaction's chance is that of being drawn by any of those that came
back. A sheet that never came back, and a cell that is empty, are taken for missing by chance.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from cs_features.review.records import DRAWN_SCHEMA, LABELS_SCHEMA, Records, Sheet
from cs_features.review.sampling import RANDOM
from cs_features.review.words import ASKED

LABELLED_SCHEMA = pl.Schema(
    {
        **DRAWN_SCHEMA,
        "reader": pl.Int64(),
        "month": pl.Date(),
        **{f"{name}_label": LABELS_SCHEMA[name] for name in ASKED},
        "cannot_tell": LABELS_SCHEMA["cannot_tell"],
        "weight": pl.Float64(),
    }
)


@dataclass(frozen=True)
class Returned:
    """One sheet that came back, with what was drawn and what was labelled."""

    sheet: Sheet
    drawn: pl.DataFrame
    labels: pl.DataFrame


def read_returned_labels(records: Records, country: str) -> list[Returned]:
    """The sheets of a country that came back, oldest first."""
    found = []
    for sheet in records.list_drawn_sheets(country):
        labels = records.read_labels(sheet)
        if labels is not None:
            found.append(Returned(sheet, records.read_drawn_items(sheet), labels))
    return found


def join_label_answers(returned: Sequence[Returned]) -> pl.DataFrame:
    """Every labelled item of every kind; `weight` is null where an item was not drawn at random."""
    parts = [LABELLED_SCHEMA.to_frame()]
    for each in returned:
        labels = each.labels.rename({name: f"{name}_label" for name in ASKED})
        joined = each.drawn.select(DRAWN_SCHEMA.names()).join(labels, on="token")
        parts.append(
            joined.with_columns(
                reader=pl.lit(each.sheet.reader, pl.Int64),
                month=pl.lit(each.sheet.month),
                weight=weigh_sampled_items(joined, each.sheet, [other.sheet for other in returned]),
            ).select(LABELLED_SCHEMA.names())
        )
    return pl.concat(parts)


def weigh_sampled_items(items: pl.DataFrame, sheet: Sheet, sheets: Sequence[Sheet]) -> pl.Series:
    """1 / the chance of being drawn at random by any of the month's sheets for the same model and prompt."""
    alike = [
        each
        for each in sheets
        if (each.month, each.model_id, each.prompt_version) == (sheet.month, sheet.model_id, sheet.prompt_version)
    ]
    weights = []
    for language, day, kind in items.select("language", "date", "kind").iter_rows():
        missed = 1.0
        for each in alike:
            stratum = each.strata.get(language)
            if stratum and day <= each.until:
                missed *= 1 - stratum["drawn"] / stratum["rows"]
        weights.append(1 / (1 - missed) if kind == RANDOM and missed < 1 else None)
    return pl.Series("weight", weights, dtype=pl.Float64)


def select_random_items(labelled: pl.DataFrame) -> pl.DataFrame:
    """What estimates are made of: the random items, each once."""
    kept = labelled.filter(pl.col("weight").is_not_null())
    return kept.unique("interaction_id", keep="first", maintain_order=True)
