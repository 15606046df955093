"""The corrections of the two scores as a country's file states them, applied to what the model said.

What has been corrected is of another version: both are set in one place, `correct_answer_scores`. How corrections are
fitted is `quality/calibration.py`'s. Pure functions.
"""

import numpy as np
import polars as pl

from cs_features.extraction.country_files import ModelCalibration
from cs_features.extraction.prompts import Prompts
from cs_features.schemas import SCORES

# What the instructions' anchors call pressing, and dissatisfied: midway between 0.5 and 0.7, and 0.3 and 0.5.
URGENT_FROM, DISSATISFIED_TO = 0.6, 0.4
DECIMALS = 3

Knots = tuple[tuple[float, float], ...]


def correct_answer_scores(answers: pl.DataFrame, prompts: Prompts, country: str) -> pl.DataFrame:
    """`llm_extractions` of one country with its scores as they count, and `prompt_version` of all that made them.

    A row is corrected as its own model's answers are, whichever model is in use now.
    """
    calibrations = prompts.countries[country].calibration
    parts = [
        correct_country_scores(rows, calibrations.get(model_id))
        for (model_id,), rows in answers.partition_by("model_id", as_dict=True).items()
    ]
    corrected = pl.concat([answers.clear(), *parts])
    asked = corrected["prompt_version"].drop_nulls().unique()
    applied = [prompts.applied_version(country, version) for version in asked]
    return corrected.with_columns(pl.col("prompt_version").replace(asked, pl.Series(applied, dtype=pl.String)))


def correct_country_scores(frame: pl.DataFrame, calibration: ModelCalibration | None) -> pl.DataFrame:
    """The frame with its two scores as they count: corrected where the country's file says how, else as they are."""
    for score in SCORES:
        how = getattr(calibration, score, None)
        if how is not None:
            said = frame[score].cast(pl.Float64)
            meant = pl.Series(score, apply_calibration_knots(how.knots, said.to_numpy()), dtype=pl.Float64)
            # What is no score stays what it is, for the gate to reject: the knots would make one of it.
            frame = frame.with_columns(meant.zip_with(said.is_between(0, 1).fill_null(False), said))
    return frame


def choose_score_thresholds(calibration: ModelCalibration | None) -> tuple[float, float]:
    """(urgent from, dissatisfied up to): the country's own for the model, or those of the instructions' anchors."""
    urgency = calibration.urgency_score if calibration else None
    csat = calibration.csat_indicator if calibration else None
    return urgency.threshold if urgency else URGENT_FROM, csat.threshold if csat else DISSATISFIED_TO


def apply_calibration_knots(knots: Knots, values: "np.ndarray") -> "np.ndarray":
    """Linear between the knots, level beyond them."""
    said, meant = zip(*knots, strict=True)
    return np.round(np.interp(values, said, meant), DECIMALS)
