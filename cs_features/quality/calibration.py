"""Monotone corrections of the two scores, per country and model, fitted on the golden corpus.

A model may rank well and still call everything 0.7. An isotonic regression maps what it says to what its
labels mean, and never turns the order of two scores around. Pure functions: how a correction is applied is
`validation/calibration.py`'s, and who writes it to a file `cli/calibrate.py`'s.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from cs_features.extraction.country_files import CountryFile, ModelCalibration, ScoreCalibration
from cs_features.schemas import SCORES
from cs_features.validation.calibration import DECIMALS, DISSATISFIED_TO, URGENT_FROM, Knots, apply_calibration_knots

FOLDS = 5
MIN_ITEMS = 25
# Of so many corrections of scores that rank nothing, one is kept: a run fits ten.
RANKS_BY_CHANCE = 0.01
PERMUTATIONS = 999
# Standard deviation of corrected scores. Less is one opinion of everybody; the prompt's anchors are 0.2 apart.
LEAST_SPREAD = 0.05


@dataclass(frozen=True)
class Fit:
    """One score's correction, and what it does to items that it was not fitted on.

    The mean distance to the label without and with it; `rank` is Spearman's correlation of corrected scores with
    labels, null where they do not vary, and `rank_p` the chance of one as high where answers say nothing.

    `kept` only if it ranks beyond chance, differs between items, and is nearer to the labels by more than chance:
    twice the standard error of the paired differences. A level correction is nearest for a model that knows
    nothing, and hides that it does.
    """

    score: str
    items: int
    distance_before: float
    distance_after: float
    rank: float | None
    rank_p: float
    kept: bool
    calibration: ScoreCalibration


def fit_score_correction(score: str, answers: "np.ndarray", labels: "np.ndarray") -> Fit:
    """The correction of one score. Too few items, or no gain or no rank on unseen ones: `kept` is false."""
    knots = fit_isotonic_knots(answers, labels)
    unseen = _correct_unseen_items(answers, labels)
    before, after = np.abs(answers - labels), np.abs(unseen - labels)
    enough = labels.size >= MIN_ITEMS
    rank = _correlate_ranks(unseen, labels)
    rank_p = _test_rank_correlation(unseen, labels, rank) if enough and rank is not None else 1.0
    return Fit(
        score=score,
        items=int(labels.size),
        distance_before=float(before.mean()) if labels.size else 0.0,
        distance_after=float(after.mean()) if labels.size else 0.0,
        rank=rank,
        rank_p=rank_p,
        kept=bool(
            enough
            and rank_p <= RANKS_BY_CHANCE
            and float(unseen.std()) >= LEAST_SPREAD
            and _is_gain_beyond_chance(before - after)
        ),
        calibration=ScoreCalibration(
            threshold=_find_best_threshold(score, apply_calibration_knots(knots, answers), labels), knots=knots
        ),
    )


def _correct_unseen_items(answers: "np.ndarray", labels: "np.ndarray") -> "np.ndarray":
    """Each answer as the correction moves it that was fitted on the other folds."""
    unseen = np.array(answers, dtype=float)
    folds = np.arange(labels.size) % FOLDS
    for fold in range(FOLDS):
        seen = folds != fold
        if seen.any() and (~seen).any():
            unseen[~seen] = apply_calibration_knots(fit_isotonic_knots(answers[seen], labels[seen]), answers[~seen])
    return unseen


def _is_gain_beyond_chance(gain: "np.ndarray") -> bool:
    error = float(gain.std(ddof=1)) / float(np.sqrt(gain.size))
    return float(gain.mean()) > 2 * error


def _correlate_ranks(one: "np.ndarray", other: "np.ndarray") -> float | None:
    """Spearman's correlation; None where either does not vary."""
    from scipy.stats import rankdata

    if np.unique(one).size < 2 or np.unique(other).size < 2:
        return None
    return float(np.corrcoef(rankdata(one), rankdata(other))[0, 1])


def _test_rank_correlation(unseen: "np.ndarray", labels: "np.ndarray", rank: float) -> float:
    """One-sided p-value of `rank` among those with the labels dealt out anew.

    Rather too high than too low: what is left out of a fit lies on the other side of its mean, so corrections of
    nothing rank unseen items a little wrongly.
    """
    from scipy.stats import rankdata

    ranks, label_ranks = (rankdata(values) - (labels.size + 1) / 2 for values in (unseen, labels))
    dealt = np.random.default_rng(0).permuted(np.tile(label_ranks, (PERMUTATIONS, 1)), axis=1)
    by_chance = dealt @ ranks / np.sqrt((ranks @ ranks) * (label_ranks @ label_ranks))
    as_high = int((by_chance >= rank - 1e-9).sum())
    return (as_high + 1) / (PERMUTATIONS + 1)


def fit_isotonic_knots(answers: "np.ndarray", labels: "np.ndarray") -> Knots:
    """Knots of the isotonic regression of labels on answers (pool adjacent violators, scipy's)."""
    from scipy.optimize import isotonic_regression

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


def _find_best_threshold(score: str, corrected_answers: "np.ndarray", labels: "np.ndarray") -> float:
    """The cut that tells the labels' two sides apart best: the mean of both sides' hit rates is highest."""
    usual = URGENT_FROM if score == "urgency_score" else DISSATISFIED_TO
    flagged = labels >= usual if score == "urgency_score" else labels <= usual
    if flagged.all() or not flagged.any():
        return usual

    def measure_class_separation(cut: float) -> float:
        called = corrected_answers >= cut if score == "urgency_score" else corrected_answers <= cut
        return float(called[flagged].mean() + (~called)[~flagged].mean())

    levels = np.unique(corrected_answers)
    cuts = [usual, *np.round((levels[1:] + levels[:-1]) / 2, DECIMALS)]
    # Among equals the one nearest to the usual.
    return float(max(cuts, key=lambda cut: (measure_class_separation(float(cut)), -abs(float(cut) - usual))))


def format_calibration_section(calibration: Mapping[str, ModelCalibration]) -> str:
    """The `calibration:` block of a country file's front matter, as text."""
    lines = ["# Fitted on the golden corpus by `make calibrate`: [[the model says, it means], ...].", "calibration:"]
    for model_id, scores in calibration.items():
        lines.append(f"  {model_id}:")
        for score in SCORES:
            how = getattr(scores, score)
            if how is not None:
                knots = ", ".join(f"[{said:g}, {meant:g}]" for said, meant in how.knots)
                lines.append(f"    {score}: {{threshold: {how.threshold:g}, knots: [{knots}]}}")
    return "\n".join(lines) + "\n"


def fit_country_corrections(answers: pl.DataFrame) -> dict[str, Fit]:
    """The fit of each score on the answered items of one country."""
    found = {}
    for score in SCORES:
        pairs = answers.select(answer=score, label=f"{score}_label").drop_nulls()
        if pairs.height:
            found[score] = fit_score_correction(score, pairs["answer"].to_numpy(), pairs["label"].to_numpy())
    return found


def replace_calibration_section(text: str, file: CountryFile, model_id: str, fits: dict[str, Fit]) -> str:
    """The text of a country file with the corrections of `model_id` replaced by those of `fits` that are kept."""
    kept = {score: found.calibration for score, found in fits.items() if found.kept}
    calibration = {model: each for model, each in file.calibration.items() if model != model_id}
    if kept:
        calibration[model_id] = ModelCalibration(**kept)
    front, body = re.fullmatch(r"---\n(.*?\n)---\n(.*)", text, re.S).groups()  # type: ignore[union-attr]
    front = re.sub(r"(?m)^# Fitted on the golden corpus.*\n|^calibration:.*\n(?:[ \t]+.*\n)*", "", front)
    return f"---\n{front}{format_calibration_section(calibration) if calibration else ''}---\n{body}"
