"""The example of docs/training.md: that it does what the page says, and that a leak is found."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cs_features.local.churn.__main__ import describe_comparison
from cs_features.local.churn.comparison import Comparison, compare_models
from cs_features.local.churn.models import measure_auc, predict_held_out
from cs_features.local.churn.picture import draw_comparison
from cs_features_tests.support.lab import REPOSITORY

pytestmark = pytest.mark.heavy


@pytest.fixture(scope="module")
def found() -> Comparison:
    return compare_models(20_000)


def test_the_planted_signal_is_found_as_far_as_the_extraction_lets_it(found: Comparison) -> None:
    """Without the truth nobody could say whether 0.68 is good, or what a bug of the features has cost."""
    assert found.honest == pytest.approx(found.expected, abs=0.01)
    assert found.honest > found.without + 0.05


def test_the_leaky_variant_looks_better_and_serves_worse(found: Comparison) -> None:
    assert found.leaky > found.honest + 0.2
    assert found.deployed < found.honest


def test_a_leak_is_found_in_the_leaky_variant_alone(found: Comparison) -> None:
    assert found.honest_leaks == {}
    assert set(found.leaky_leaks) >= {"intent_leave_30d", "escalated_90d", "negative_share_90d"}


def test_what_is_foretold_is_what_happens(found: Comparison) -> None:
    assert all(abs(foretold - left) < 0.05 for foretold, left in found.tenths)


def test_the_figures_of_the_docs_are_those_of_the_example(found: Comparison) -> None:
    page = (REPOSITORY / "docs" / "training.md").read_text(encoding="utf-8")
    told = [float(each) for each in re.findall(r"^\| [^|]+ \| (0\.\d{3}) \|$", page, re.M)]
    measured = [found.without, found.honest, found.expected, found.leaky, found.deployed]
    assert told == pytest.approx(measured, abs=0.002)


def test_the_example_says_that_its_data_is_simulated(found: Comparison) -> None:
    assert describe_comparison(found)[0].startswith("Simulated customers")


def test_the_likeliest_tenth_holds_more_of_those_who_left_than_a_tenth(found: Comparison) -> None:
    """Whoever asks the likeliest first reaches more; by the leaky model, fewer than by asking at random."""
    assert found.gains["honest"][1] > 0.2 > 0.1 > found.gains["leaky, when served"][1]
    assert all(reached[-1] == 1 for reached in found.gains.values())


def test_the_picture_is_drawn(found: Comparison, tmp_path: Path) -> None:
    draw_comparison(found, tmp_path / "picture.png")
    with Image.open(tmp_path / "picture.png") as picture:
        assert picture.size == (900, 400)
        assert len(set(picture.convert("L").tobytes())) > 10


def test_the_regression_finds_weights_that_are_known() -> None:
    dice = np.random.default_rng(1)
    features = dice.normal(size=(20_000, 2))
    likely = 1 / (1 + np.exp(-(0.5 + features @ np.array([1.0, -2.0]))))
    label = dice.random(len(features)) < likely
    training = np.arange(len(features)) < 10_000
    foretold = predict_held_out(features, label, training)
    assert np.abs(foretold - likely[~training]).mean() < 0.02
    assert measure_auc(np.array([0.1, 0.2, 0.2, 0.3]), np.array([False, True, False, True])) == 0.875
