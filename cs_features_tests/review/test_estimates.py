"""The statistics of labels: intervals that cover, agreement as published, and prompts that are not mixed."""

import math
from datetime import date
from itertools import product
from random import Random

import numpy as np
import polars as pl
import pytest

from cs_features.local.bench.review import simulate_mean, simulate_share
from cs_features.review.agreement import differ, estimate_alpha, measure_krippendorff_alpha, square_value_distance
from cs_features.review.corrected import CORRECTED, TOO_FEW, UNCORRECTED, correct_monthly_figures, read_older_report
from cs_features.review.estimates import (
    correlate_score_ranks,
    count_effective_labels,
    estimate_corrected_mean,
    estimate_corrected_share,
    estimate_macro_f1,
)
from cs_features.review.human_quality import measure_human_quality
from cs_features.review.labelled import LABELLED_SCHEMA
from cs_features.review.sampling import allocate_random_items, divide_sheet_size, draw_systematically
from cs_features.schemas import CATEGORICAL, SCORES
from cs_features_tests.support.review import fill_month, make_tables

RANDOM = np.random.default_rng(5)


# --- agreement --------------------------------------------------------------------------------

# Four observers and twelve units: Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011), example C.
PUBLISHED = [
    [1, 1, 1],
    [2, 2, 3, 2],
    [3, 3, 3, 3],
    [3, 3, 3, 3],
    [2, 2, 2, 2],
    [1, 2, 3, 4],
    [4, 4, 4, 4],
    [1, 1, 2, 1],
    [2, 2, 2, 2],
    [5, 5, 5],
    [1, 1],
    [3],
]


def test_alpha_is_that_of_the_published_example() -> None:
    alpha = measure_krippendorff_alpha(PUBLISHED, differ)
    interval = measure_krippendorff_alpha(PUBLISHED, square_value_distance)
    assert alpha == pytest.approx(0.743, abs=5e-4)
    assert interval == pytest.approx(0.849, abs=5e-4)


def test_alpha_has_an_interval_that_is_the_same_each_time() -> None:
    """Of twelve units nobody knows an agreement to three digits. Resampled one by one, it is the same interval."""
    found = estimate_alpha(PUBLISHED, differ)
    assert found is not None
    assert found == estimate_alpha(PUBLISHED, differ)
    assert found.value == pytest.approx(0.743, abs=5e-4)
    assert found.low is not None
    assert found.high is not None
    chance = Random(1)
    pairable = [unit for unit in PUBLISHED if len(unit) > 1]
    drawn = sorted(
        measure_krippendorff_alpha(chance.choices(pairable, k=len(pairable)), differ) or 0.0 for _ in range(4_000)
    )
    assert found.low == pytest.approx(drawn[100], abs=0.03)
    assert found.high == pytest.approx(drawn[3_900], abs=0.03)
    many = estimate_alpha([*PUBLISHED] * 5, differ)
    assert many is not None
    assert (many.high or 0) - (many.low or 0) < (found.high - found.low) / 2


def test_agreement_without_a_dissent_has_no_interval() -> None:
    found = estimate_alpha([["a", "a"], ["b", "b"]], differ)
    assert found is not None
    assert (found.value, found.low, found.high) == (1.0, None, None)
    assert estimate_alpha([["a"], ["b"]], differ) is None


def test_alpha_knows_what_it_cannot_know() -> None:
    assert measure_krippendorff_alpha([["a"], ["b"]], differ) is None
    assert measure_krippendorff_alpha([["a", "a"], ["a", "a"]], differ) is None
    assert measure_krippendorff_alpha([["a", "a"], ["b", "b"]], differ) == 1.0


# --- intervals --------------------------------------------------------------------------------


@pytest.mark.parametrize(("prevalence", "accuracy", "labels"), product((0.02, 0.3), (0.6, 0.97), (50, 300)))
def test_the_corrected_share_covers_the_truth(prevalence: float, accuracy: float, labels: int) -> None:
    """300 draws of each place; the bench `review` has 2,000 of 45. Answers alone are certain, and wrong."""
    cell = simulate_share(prevalence, accuracy, labels, 300, np.random.default_rng(1))
    assert cell.coverage >= 0.89
    assert min(cell.widths) > 0
    assert np.mean(cell.naive) < 0.5


@pytest.mark.parametrize("correlation", [0.0, 0.7])
def test_the_corrected_mean_covers_the_truth_and_costs_nothing_where_answers_say_nothing(correlation: float) -> None:
    cell = simulate_mean(correlation, 150, 300, np.random.default_rng(1))
    assert cell.coverage >= 0.9
    assert cell.relative_width <= (0.8 if correlation else 1.05)


def test_weights_make_up_for_what_was_drawn_more_often() -> None:
    """A small language is drawn at a higher rate: unweighted, its errors would pass for the country's."""
    meant = np.array([True] * 30 + [False] * 30)
    weights = np.array([1.0] * 30 + [9.0] * 30)
    found = estimate_corrected_share(np.zeros(60, bool), meant, weights, 0.0)
    assert found.value == pytest.approx(0.1)
    assert count_effective_labels(weights) == pytest.approx(300**2 / (30 + 30 * 81))


def test_no_interval_has_no_width_and_none_leaves_zero_to_one() -> None:
    for size in (0, 1, 2, 3, 40):
        said, weights = np.ones(size, bool), np.ones(size)
        share = estimate_corrected_share(said, said, weights, 1.0)
        mean = estimate_corrected_mean(np.full(size, 0.5), np.full(size, 0.5), weights, 0.5)
        for found in (share, mean):
            assert 0 <= found.low <= found.value <= found.high <= 1
            assert found.width > 0


def test_macro_f1_and_ranks_are_those_of_their_definitions() -> None:
    said, meant = np.array(list("aabbc")), np.array(list("aabcc"))
    assert estimate_macro_f1(said, meant, np.ones(5)).value == pytest.approx((1 + 2 / 3 + 2 / 3) / 3)
    ranks = correlate_score_ranks(np.arange(10.0), np.arange(10.0) ** 2, np.ones(10))
    assert ranks is not None
    assert ranks.value == pytest.approx(1)
    assert correlate_score_ranks(np.zeros(10), np.arange(10.0), np.ones(10)) is None


def test_ranks_are_those_of_a_textbook_and_of_items_written_as_often_as_they_weigh() -> None:
    """Ten people's IQ and hours of television, -29/165; unweighted, a language drawn at a high rate ruled it."""
    iq = np.array([106.0, 100, 86, 101, 99, 103, 97, 113, 112, 110])
    hours = np.array([7.0, 27, 2, 50, 28, 29, 20, 12, 6, 17])
    plain = correlate_score_ranks(iq, hours, np.ones(10))
    assert plain is not None
    assert plain.value == pytest.approx(-29 / 165)
    said, labels = RANDOM.integers(0, 11, (2, 60)) / 10
    weights = RANDOM.integers(1, 6, 60)
    weighted = correlate_score_ranks(said, labels, weights.astype(float))
    from scipy.stats import spearmanr  # here: to load it takes long

    written_out = spearmanr(np.repeat(said, weights), np.repeat(labels, weights)).statistic
    assert weighted is not None
    assert weighted.value == pytest.approx(written_out)
    equal = correlate_score_ranks(said, labels, np.full(60, 7.0))
    assert equal is not None
    assert equal.high - equal.low < weighted.high - weighted.low, "unequal weights tell less"


# --- the sample -------------------------------------------------------------------------------


def test_every_position_has_the_chance_that_is_on_record() -> None:
    random, seen = Random(3), np.zeros(17)
    for _ in range(4_000):
        drawn = draw_systematically(5, 17, random)
        assert len(set(drawn)) == 5
        seen[drawn] += 1
    assert np.abs(seen / 4_000 - 5 / 17).max() < 0.03


def test_small_languages_get_more_than_their_share_and_none_more_than_it_has() -> None:
    given = allocate_random_items({"nl": 10_000, "en": 400, "ar": 3}, 50)
    assert sum(given.values()) == 50
    assert given["ar"] <= 3
    assert given["en"] > 50 * 400 / 10_403
    assert allocate_random_items({"nl": 4}, 50) == {"nl": 4}


def test_a_fifth_of_a_sheet_is_hard_and_most_of_it_random() -> None:
    sizes = divide_sheet_size(50, doublable=40, repeatable=40)
    assert (sizes.random, sizes.hard, sizes.doubled, sizes.repeated) == (32, 10, 5, 3)
    assert divide_sheet_size(50, 0, 0).random == 40


# --- the tables -------------------------------------------------------------------------------


def label_some(frame: pl.DataFrame, count: int, kind: str = "random") -> pl.DataFrame:
    """`count` of the interactions, labelled by somebody who agrees with every answer."""
    rows = frame.sample(count, seed=1).drop("number", "event_time", "truncated", "suspected_injection")
    names = (*CATEGORICAL, *SCORES)
    labelled = rows.with_columns(
        **{f"{name}_label": pl.col(name) for name in names},
        **{f"{name}_said": pl.col(name) for name in SCORES},
        asked_version=pl.col("prompt_version"),
        token=pl.col("interaction_id"),
        kind=pl.lit(kind),
        probability=pl.lit(count / frame.height),
        reader=pl.lit(1, pl.Int64),
        month=pl.lit(date(2026, 11, 1)),
        cannot_tell=pl.lit([], pl.List(pl.String)),
        weight=pl.lit(frame.height / count if kind == "random" else None, pl.Float64),
    )
    return labelled.select(LABELLED_SCHEMA.names())


def test_hard_cases_are_in_no_estimate() -> None:
    frame = fill_month(make_tables())
    hard = label_some(frame, 40, kind="hard").with_columns(weight=pl.lit(None, pl.Float64))
    assert measure_human_quality(hard, "NL").is_empty()


def test_what_people_say_is_told_by_language_and_for_all() -> None:
    frame = fill_month(make_tables())
    measured = measure_human_quality(label_some(frame, 60), "NL")
    accuracy = measured.filter(pl.col("measure") == "accuracy", pl.col("field") == "sentiment")
    assert accuracy["language"].to_list() == ["all", "en", "nl"]
    assert accuracy["value"].to_list() == [1.0, 1.0, 1.0]
    assert accuracy["low"].is_between(0.6, 0.99).all()
    assert accuracy["items"].to_list()[0] == 60


@pytest.mark.parametrize("windows", [15, pytest.param(200, marks=pytest.mark.slow)])
def test_a_prompt_that_changed_in_the_month_has_rows_of_its_own_in_every_window(windows: int) -> None:
    """The change anywhere in them: the labels of one prompt never correct the figures of the other."""
    random = Random(11)
    frame = fill_month(make_tables(), rows=200)
    for _ in range(windows):
        change = random.randrange(1, 200)
        changed = frame.with_columns(
            prompt_version=pl.when(pl.col("number") < change).then(pl.lit("v1")).otherwise(pl.lit("v2"))
        )
        labelled = label_some(changed.filter(pl.col("prompt_version") == "v2"), min(20, 200 - change))
        report = correct_monthly_figures(changed, labelled, "NL").filter(field="urgency_score", language="all")
        assert report["prompt_version"].to_list() == ["v1", "v2"]
        assert report["parts"].to_list() == [2, 2]
        assert report["interactions"].to_list() == [change, 200 - change]
        assert report["state"][0] == UNCORRECTED
        assert report["corrected"][0] is None


def test_a_corrected_figure_stands_beside_the_naive_one() -> None:
    frame = fill_month(make_tables(), rows=200)
    wrong = label_some(frame, 80).with_columns(sentiment_label=pl.lit("negative"))
    report = (
        correct_monthly_figures(frame, wrong, "NL")
        .filter(field="sentiment", value="negative", language="all")
        .row(0, named=True)
    )
    assert report["state"] == CORRECTED
    assert report["naive"] == pytest.approx(frame.filter(sentiment="negative").height / 200)
    assert report["corrected"] == pytest.approx(1.0)
    assert report["low"] > report["naive"]
    assert not math.isclose(report["low"], report["high"])


def test_shares_are_told_by_language_and_one_with_too_few_labels_says_so() -> None:
    """Belgium's figure was that of its Flemish; of its French nobody could say anything, and nothing said that."""
    frame = fill_month(make_tables(), rows=200)
    agreed = label_some(frame, 80)
    few = pl.concat([agreed.filter(language="nl"), agreed.filter(language="en").head(4)])
    report = correct_monthly_figures(frame, few, "NL").filter(field="sentiment", value="negative")
    assert report["language"].to_list() == ["all", "en", "nl"]
    assert report["state"].to_list() == [CORRECTED, TOO_FEW, CORRECTED]
    assert report["interactions"].to_list() == [200, 50, 150]
    assert report["labels"].to_list() == [few.height, 4, few.height - 4]
    assert report["corrected"][1] is None
    for language in ("en", "nl"):
        share = frame.filter(language=language, sentiment="negative").height / frame.filter(language=language).height
        assert report.filter(language=language)["naive"][0] == pytest.approx(share)
    alone = correct_monthly_figures(frame.filter(language="nl"), agreed, "NL")
    assert alone["language"].unique().to_list() == ["all"], "one language is all of it"


def test_a_report_that_knew_no_languages_is_of_all_of_them() -> None:
    frame = fill_month(make_tables(), rows=40)
    report = correct_monthly_figures(frame, label_some(frame, 20), "NL").filter(language="all")
    older = read_older_report(report.drop("language"), date(2026, 12, 1))
    assert older.equals(report)
