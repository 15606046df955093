"""A logistic regression in a few lines of numpy, and how well its answers rank and how far they can be believed.

The project needs no library of models for one example. Not here: which features it is given (`comparison.py`).
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
RIDGE = 1.0  # keeps a feature that never varies from having any weight
STEPS = 25


def predict_held_out(features: Floats, label: NDArray[np.bool_], is_training: NDArray[np.bool_]) -> Floats:
    """Probabilities for the rows that are not trained on."""
    mean, spread = features[is_training].mean(axis=0), features[is_training].std(axis=0)
    scaled = (features - mean) / np.where(spread > 0, spread, 1.0)
    design = np.column_stack([np.ones(len(scaled)), scaled])
    weights = fit_weights(design[is_training], label[is_training].astype(float))
    return squash(design[~is_training] @ weights)


def fit_weights(design: Floats, label: Floats) -> Floats:
    """Newton's method on the likelihood with a small ridge."""
    weights = np.zeros(design.shape[1])
    penalty = RIDGE * np.eye(design.shape[1])
    for _ in range(STEPS):
        likely = squash(design @ weights)
        slope = design.T @ (likely - label) + penalty @ weights
        curve = (design * (likely * (1 - likely))[:, None]).T @ design + penalty
        step = np.linalg.solve(curve, slope)
        weights = weights - step
        if np.abs(step).max() < 1e-9:
            break
    return weights


def squash(values: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-np.clip(values, -30, 30))))


def measure_auc(likely: Floats, label: NDArray[np.bool_]) -> float:
    """How often one who left is ranked above one who stayed; half for a tie."""
    from scipy.stats import rankdata

    ranks = rankdata(likely)
    left, stayed = int(label.sum()), int((~label).sum())
    return float((ranks[label].sum() - left * (left + 1) / 2) / (left * stayed))


def accumulate_gains(likely: Floats, label: NDArray[np.bool_]) -> list[float]:
    """The share of those who left among no, one, ... ten tenths of the customers, the likeliest first."""
    order = np.argsort(-likely, kind="stable")
    reached = [int(label[part].sum()) for part in np.array_split(order, 10)]
    return [0.0, *(float(each) for each in np.cumsum(reached) / label.sum())]


def compare_tenths(likely: Floats, label: NDArray[np.bool_]) -> list[tuple[float, float]]:
    """By tenths of the customers, from the least likely on: what was foretold, and the share that left."""
    order = np.argsort(likely, kind="stable")
    return [(float(likely[part].mean()), float(label[part].mean())) for part in np.array_split(order, 10)]
