"""Models with honest features, with none, and with features that look ahead; each on the customers held out.

Not here: the simulation's rules (`simulation.py`), the print (`__main__.py`).
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cs_features.customers.leaks import find_leaks
from cs_features.customers.training import Options, build_training_set
from cs_features.local.churn.models import Floats, accumulate_gains, compare_tenths, measure_auc, predict_held_out
from cs_features.local.churn.simulation import World, misread_counts, simulate_world
from cs_features.publishing.reading import OfflineHistory

NAMES = ("contacts_90d", "negative_share_90d", "open_90d", "escalated_90d", "intent_leave_30d")
HONEST = Options(features=NAMES, allow_unknown=True)
LEAKY = Options(features=NAMES, allow_unknown=True, embargo=timedelta(0))


@dataclass(frozen=True)
class Comparison:
    """AUC on customers that no model was trained on; what the check on leaks says of both ways to make features."""

    without: float  # the plan alone
    honest: float
    expected: float  # true features degraded by the known error of the extraction
    leaky: float
    deployed: float  # the leaky model, given what is known when it is served
    honest_leaks: dict[str, float]
    leaky_leaks: dict[str, float]
    tenths: list[tuple[float, float]]  # of the honest model: foretold, and left
    gains: dict[str, list[float]]  # the share of those who left, by tenths of the customers


def compare_models(customers: int, seed: int = 1) -> Comparison:
    """Simulate so many customers and train on half of them."""
    world = simulate_world(customers, seed)
    label = world.spine["left"].to_numpy()
    is_training = np.random.default_rng(seed + 1).random(customers) < 0.5
    trial = _Trial(world.spine["plan"].to_numpy(), label, is_training)
    honest = build_honest(world.spine, world.history.rows, world.history)
    leaky = build_leaky(world.spine, world.history.rows, world.history)
    likely = trial.predict(tabulate_features(honest))
    foretold = {
        "honest": likely,
        "the plan alone": trial.predict(np.zeros((customers, 1))),
        "leaky, when served": trial.deploy(tabulate_features(leaky), tabulate_features(honest)),
    }
    held_out = label[~is_training]
    return Comparison(
        without=measure_auc(foretold["the plan alone"], held_out),
        honest=measure_auc(likely, held_out),
        expected=trial.score(_degrade_truth(world, honest, seed)),
        leaky=trial.score(tabulate_features(leaky)),
        deployed=measure_auc(foretold["leaky, when served"], held_out),
        honest_leaks=_find_leaks(build_honest, world),
        leaky_leaks=_find_leaks(build_leaky, world),
        tenths=compare_tenths(likely, held_out),
        gains={name: accumulate_gains(each, held_out) for name, each in foretold.items()},
    )


@dataclass(frozen=True)
class _Trial:
    plan: Floats
    label: NDArray[np.bool_]
    is_training: NDArray[np.bool_]

    def predict(self, features: Floats) -> Floats:
        return predict_held_out(np.column_stack([self.plan, features]), self.label, self.is_training)

    def score(self, features: Floats) -> float:
        return measure_auc(self.predict(features), self.label[~self.is_training])

    def deploy(self, trained_on: Floats, served: Floats) -> Floats:
        """What is foretold where held-out customers have `served` in place of what the model was trained on."""
        return self.predict(np.where(self.is_training[:, None], trained_on, served))


def build_honest(spine: pl.DataFrame, rows: pl.DataFrame, history: OfflineHistory) -> pl.DataFrame:
    return build_training_set(spine, OfflineHistory(history.group, history.as_of, rows), HONEST).frame


def build_leaky(spine: pl.DataFrame, rows: pl.DataFrame, history: OfflineHistory) -> pl.DataFrame:
    """What a join by event time on today's table gives: each contact in its last version, as if known at once."""
    latest = rows.sort("api_invocation_time").unique("interaction_id", keep="last", maintain_order=True)
    event = pl.col("event_time").str.to_datetime("%Y-%m-%dT%H:%M:%S%.3fZ", time_unit="us")
    pretended = latest.with_columns(api_invocation_time=event, write_time=event)
    return build_training_set(spine, OfflineHistory(history.group, history.as_of, pretended), LEAKY).frame


def tabulate_features(frame: pl.DataFrame) -> Floats:
    """As numbers: how many contacts were negative stands in place of their share."""
    contacts = frame["contacts_90d"]
    negative = (frame["negative_share_90d"].fill_null(0) * contacts).round()
    counted = [frame[name] for name in NAMES if name != "negative_share_90d"]
    return np.column_stack([each.to_numpy().astype(float) for each in (negative, *counted)])


def _degrade_truth(world: World, honest: pl.DataFrame, seed: int) -> Floats:
    contacts = honest["contacts_90d"].to_numpy().astype(float)
    negative = misread_counts(np.random.default_rng(seed + 2), world, contacts)
    return np.column_stack([negative, contacts, world.true_open])


def _find_leaks(build: Any, world: World) -> dict[str, float]:
    def build_from(spine: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
        made: pl.DataFrame = build(spine, rows, world.history)
        return made

    return find_leaks(build_from, world.spine, world.history.rows, timedelta(days=1))
