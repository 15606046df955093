"""Monotone corrections of the two scores, per country and model, fitted on the golden corpus.

A model may rank well and still call everything 0.7. An isotonic regression maps what it says to what its
labels mean, and never turns the order of two scores around. Pure functions: how a
correction is applied stands in `validation/calibration.py`, and who writes it to a file in `cli/calibrate.py`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from cs_features.extraction.country_files import CountryFile, ModelCalibration, ScoreCalibration
from cs_features.schemas import SCORES
from cs_features.validation.calibration import DECIMALS, DISSATISFIED_TO, URGENT_FROM, Knots, apply

FOLDS = 5
MIN_ITEMS = 25


@dataclass(frozen=True)
class Fit:
    """One score's correction, and the mean distance to the label without and with it on items it has not seen.

    `kept` only if it still ranks, and is nearer by more than chance: twice the standard error of the paired
    differences. A level correction is nearest for a model that knows nothing, and hides that it does.
    """

    score: str
    items: int
    distance_before: float
    distance_after: float
    kept: bool
    calibration: ScoreCalibration


def fit(score: str, answers: "np.ndarray", labels: "np.ndarray") -> Fit:
    """The correction of one score. Too few items, or no gain on unseen ones: `kept` is false."""
    knots = isotonic(answers, labels)
    unseen = np.empty_like(labels)
    folds = np.arange(labels.size) % FOLDS
    for fold in range(FOLDS):
        seen = folds != fold
        if seen.any() and (~seen).any():
            unseen[~seen] = apply(isotonic(answers[seen], labels[seen]), answers[~seen])
    before, after = np.abs(answers - labels), np.abs(unseen - labels)
    gain = before - after
    error = float(gain.std(ddof=1)) / float(np.sqrt(gain.size)) if gain.size > 1 else float("inf")
    return Fit(
        score=score,
        items=int(labels.size),
        distance_before=float(before.mean()) if labels.size else 0.0,
        distance_after=float(after.mean()) if labels.size else 0.0,
        kept=labels.size >= MIN_ITEMS and knots[0][1] < knots[-1][1] and float(gain.mean()) > 2 * error,
        calibration=ScoreCalibration(threshold=_threshold(score, apply(knots, answers), labels), knots=knots),
    )


def isotonic(answers: "np.ndarray", labels: "np.ndarray") -> Knots:
    """Knots of the isotonic regression of labels on answers (pool adjacent violators, scipy's)."""
    from scipy.optimize import isotonic_regression  # here: only a fit needs it, and every run imports this module

    said, place = np.unique(np.round(answers, DECIMALS), return_inverse=True)
    counts = np.bincount(place)
    means = np.bincount(place, weights=labels) / counts
    meant = isotonic_regression(means, weights=counts).x
    # A level stretch is drawn by its two ends.
    ends = [
        index
        for index in range(said.size)
        if index in (0, said.size - 1) or meant[index] != meant[index - 1] or meant[index] != meant[index + 1]
    ]
    knots = [(round(float(said[index]), DECIMALS), round(float(meant[index]), DECIMALS)) for index in ends]
    if len(knots) == 1:  # one answer to everything
        return ((0.0, knots[0][1]), (1.0, knots[0][1]))
    return tuple(knots)


def _threshold(score: str, corrected_answers: "np.ndarray", labels: "np.ndarray") -> float:
    """The cut that tells the labels' two sides apart best: the mean of both sides' hit rates is highest."""
    usual = URGENT_FROM if score == "urgency_score" else DISSATISFIED_TO
    flagged = labels >= usual if score == "urgency_score" else labels <= usual
    if flagged.all() or not flagged.any():
        return usual

    def separation(cut: float) -> float:
        called = corrected_answers >= cut if score == "urgency_score" else corrected_answers <= cut
        return float(called[flagged].mean() + (~called)[~flagged].mean())

    levels = np.unique(corrected_answers)
    cuts = [usual, *np.round((levels[1:] + levels[:-1]) / 2, DECIMALS)]
    # Among equals the one nearest to the usual.
    return float(max(cuts, key=lambda cut: (separation(float(cut)), -abs(float(cut) - usual))))


def as_yaml(calibration: Mapping[str, ModelCalibration]) -> str:
    """The `calibration:` block of a country file's front matter, as text."""
    lines = ["# Fitted on the golden corpus by `make calibrate`: [[the model says, it means], ...].", "calibration:"]
    for model_id, scores in calibration.items():
        lines.append(f"  {model_id}:")
        for score in ("urgency_score", "csat_indicator"):
            how = getattr(scores, score)
            if how is not None:
                knots = ", ".join(f"[{said:g}, {meant:g}]" for said, meant in how.knots)
                lines.append(f"    {score}: {{threshold: {how.threshold:g}, knots: [{knots}]}}")
    return "\n".join(lines) + "\n"


def fits_of(answers: pl.DataFrame) -> dict[str, Fit]:
    """The fit of each score on the answered items of one country."""
    found = {}
    for score in SCORES:
        pairs = answers.select(answer=score, label=f"{score}_label").drop_nulls()
        if pairs.height:
            found[score] = fit(score, pairs["answer"].to_numpy(), pairs["label"].to_numpy())
    return found


def with_calibration(text: str, file: CountryFile, model_id: str, fits: dict[str, Fit]) -> str:
    """The text of a country file with the corrections of `model_id` replaced by those of `fits` that are kept."""
    kept = {score: found.calibration for score, found in fits.items() if found.kept}
    calibration = {model: each for model, each in file.calibration.items() if model != model_id}
    if kept:
        calibration[model_id] = ModelCalibration(**kept)
    front, body = re.fullmatch(r"---\n(.*?\n)---\n(.*)", text, re.S).groups()  # type: ignore[union-attr]
    front = re.sub(r"(?m)^# Fitted on the golden corpus.*\n|^calibration:.*\n(?:[ \t]+.*\n)*", "", front)
    return f"---\n{front}{as_yaml(calibration) if calibration else ''}---\n{body}"
