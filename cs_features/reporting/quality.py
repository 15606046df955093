"""The worst field of a country's answers to the golden corpus, and what that knowledge comes from. Pure.

Worst is the field that has least above its floor, over all languages of the country that were measured with the
prompt and model in use. Not here: measuring (`quality/evaluation.py`), and whether a floor blocks (`quality/floor.py`).
"""

from collections.abc import Mapping

import polars as pl

from cs_features.extraction.country_files import Floors
from cs_features.quality.evaluation import compute_wilson_interval
from cs_features.reporting.facts import FieldQuality, Quality
from cs_features.schemas import CATEGORICAL


def find_worst_field(
    measured: Mapping[str, pl.DataFrame | None], floors: Floors, model_id: str, prompt_version: str
) -> Quality:
    """`measured`: the latest `extraction_quality` of each language of the country; None was never measured."""
    frames = [frame for frame in measured.values() if frame is not None]
    if not frames:
        return Quality(worst=None, source="never measured")
    of_now = (pl.col("model_id") == model_id) & (pl.col("prompt_version") == prompt_version)
    current = pl.concat(frames, how="diagonal").filter(pl.col("measure") == "accuracy", of_now)
    if current.is_empty():
        return Quality(worst=None, source="not with this prompt")
    fields = [judge_worst_field(current.filter(pl.col("field") == name), name, floors) for name in CATEGORICAL]
    worst = min(fields, key=lambda field: (field.margin, field.name))
    languages = current["language"].n_unique()
    part = "" if languages == len(measured) else f", {languages} of {len(measured)} languages"
    return Quality(worst=worst, source=f"golden, {worst.items} items{part}")


def judge_worst_field(rows: pl.DataFrame, name: str, floors: Floors) -> FieldQuality:
    items = int(rows["items"].sum())
    right = sum(round(value * count) for value, count in rows.select("value", "items").iter_rows())
    low, high = compute_wilson_interval(right, items)
    return FieldQuality(
        name=name,
        value=right / items if items else 0.0,
        low=low,
        high=high,
        floor=float(getattr(floors, name)),
        items=items,
    )
