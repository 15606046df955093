"""People's labels as `quality/calibration.py` takes them: a score as the model said it, and as people do. Pure.

Only of the prompt and model that are asked now; the corrections that were applied meanwhile make no difference, because
what is fitted is what the model itself said.
"""

import polars as pl

from cs_features.review.labelled import select_random_items
from cs_features.schemas import SCORES


def select_for_fitting(labelled: pl.DataFrame, model_id: str, asked_version: str) -> pl.DataFrame:
    """A row a text that was drawn at random."""
    current = select_random_items(labelled).filter(
        pl.col("model_id") == model_id, pl.col("asked_version") == asked_version
    )
    said = {name: pl.col(f"{name}_said") for name in SCORES}
    return current.select(*(f"{name}_label" for name in SCORES), **said)
