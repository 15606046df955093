"""The corrections of the two scores as a country's file states them, applied to what the model said.

How they are fitted is `quality/calibration.py`'s. Pure functions.
"""

import numpy as np
import polars as pl

from cs_features.extraction.country_files import ModelCalibration
from cs_features.schemas import SCORES

# What the instructions' anchors call pressing, and dissatisfied: midway between 0.5 and 0.7, and 0.3 and 0.5.
URGENT_FROM, DISSATISFIED_TO = 0.6, 0.4
DECIMALS = 3

Knots = tuple[tuple[float, float], ...]


def corrected(frame: pl.DataFrame, calibration: ModelCalibration | None) -> pl.DataFrame:
    """The frame with its two scores as they count: corrected where the country's file says how, else as they are."""
    for score in SCORES:
        how = getattr(calibration, score, None)
        if how is not None:
            values = frame[score].cast(pl.Float64)
            moved = pl.Series(score, apply(how.knots, values.to_numpy()), dtype=pl.Float64)
            frame = frame.with_columns(pl.select(pl.when(values.is_not_null()).then(moved)).to_series().alias(score))
    return frame


def thresholds(calibration: ModelCalibration | None) -> tuple[float, float]:
    """(urgent from, dissatisfied up to): the country's own for the model, or those of the instructions' anchors."""
    urgency = calibration.urgency_score if calibration else None
    csat = calibration.csat_indicator if calibration else None
    return urgency.threshold if urgency else URGENT_FROM, csat.threshold if csat else DISSATISFIED_TO


def apply(knots: Knots, values: "np.ndarray") -> "np.ndarray":
    """Linear between the knots, level beyond them."""
    said, meant = zip(*knots, strict=True)
    return np.round(np.interp(values, said, meant), DECIMALS)
