"""The measures and their intervals: right against hand-made cases and scipy, and silent where they know nothing."""

import math
import random
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cs_features.quality.evaluation import (
    QUALITY_SCHEMA,
    build_answers_frame,
    calibration_error,
    compute_mean_interval,
    compute_wilson_interval,
    count_field_confusions,
    list_evaluation_misses,
    macro_f1,
    measure_quality,
)
from cs_features.quality.golden import GoldenItem
from cs_features.schemas import CATEGORICAL, SCORES
from cs_features_tests.support.golden import LABELS, frame_of, item

SUMMARY = "Customer asks what it costs to send a parcel abroad; the agent names the price and the customer thanks them."


def answers(items: list[GoldenItem], **changes: dict[str, Any] | None) -> pl.DataFrame:
    """Right answers to all items, except for the changes by id (None: no answer)."""
    given = {each.id: {"summary": SUMMARY, **each.labels} for each in items}
    for identifier, change in changes.items():
        key = identifier.replace("_", "-")
        given[key] = None if change is None else {**given[key], **change}  # type: ignore[assignment]
    return build_answers_frame(items, given, frozenset())


def golden(*numbers: int, **changes: Any) -> list[GoldenItem]:
    return [GoldenItem.model_validate(item(number, **changes)) for number in numbers]


def value(measured: pl.DataFrame, field: str, measure: str, column: str = "value", **where: str) -> Any:
    found = measured.filter(field=field, measure=measure, **where)
    assert found.height == 1
    return found[column][0]


@given(st.integers(1, 300).flatmap(lambda items: st.tuples(st.integers(0, items), st.just(items))))
def test_the_interval_of_a_share_is_wilsons_as_scipy_has_it(counts: tuple[int, int]) -> None:
    """The plain +-1.96 standard errors say that 15 right of 15 is 100 %, give or take nothing."""
    right, items = counts
    from scipy.stats import binomtest

    theirs = binomtest(right, items).proportion_ci(method="wilson")
    low, high = compute_wilson_interval(right, items)
    assert (low, high) == pytest.approx((theirs.low, theirs.high), abs=1e-6)
    assert 0 <= low <= right / items <= high <= 1


def test_known_intervals_of_a_share() -> None:
    """Newcombe (1998), table I."""
    assert compute_wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert compute_wilson_interval(15, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert compute_wilson_interval(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert compute_wilson_interval(0, 0) == (0.0, 1.0)


def test_an_item_without_an_answer_counts_as_wrong_in_every_field() -> None:
    """A prompt that failed on the hard items scored higher than one that answered them: they were left out."""
    measured = measure_quality(answers(golden(1, 2, 3, 4), nl_004=None))
    for field in CATEGORICAL:
        assert (value(measured, field, "accuracy"), value(measured, field, "accuracy", "items")) == (0.75, 4)
    for measure in ("english", "supported", "length"):
        assert value(measured, "summary", measure) == 0.75
    for field in SCORES:
        assert value(measured, field, "mean_absolute_error") == 0.25
        assert value(measured, field, "calibration_error", "items") == 3


def test_macro_f1_of_a_hand_made_case() -> None:
    """a: 2 hits, 3 said, 2 there; b: 1, 1, 3; c, which no label has, only takes a hit away."""
    labels = pl.Series(["a", "a", "b", "b", "b"])
    said = pl.Series(["a", "a", "a", "b", None])
    assert macro_f1(said, labels) == pytest.approx((4 / 5 + 2 / 4) / 2)
    assert macro_f1(pl.Series(["a", "c", "a", "b", None]), labels) == pytest.approx((2 / 4 + 2 / 4) / 2)


def test_macro_f1_sees_what_accuracy_hides() -> None:
    """A prompt that calls everything neutral is right in half the corpus."""
    items = golden(1, 2, 3) + golden(4, labels={"sentiment": "negative", "csat_indicator": 0.2})
    measured = measure_quality(answers(items, nl_004={"sentiment": "neutral"}))
    assert value(measured, "sentiment", "accuracy") == 0.75
    assert value(measured, "sentiment", "macro_f1") == pytest.approx((6 / 7 + 0) / 2)


def test_the_interval_of_macro_f1_is_wilsons_at_the_effective_sample_size() -> None:
    """Labels with 8, 1 and 1 items carry as much as 4.2 evenly spread; a bootstrap has no doubt about 10 of 10."""
    other = {"sentiment": "negative", "csat_indicator": 0.2}
    items = golden(*range(8)) + golden(8, labels=other) + golden(9, labels={"sentiment": "positive"})
    measured = measure_quality(answers(items))
    effective = 3**2 / (1 / 8 + 1 + 1)
    assert value(measured, "sentiment", "macro_f1") == 1
    assert value(measured, "sentiment", "macro_f1", "low") == pytest.approx(
        compute_wilson_interval(effective, effective)[0]
    )
    assert value(measured, "sentiment", "macro_f1", "low") < value(measured, "sentiment", "accuracy", "low")


@pytest.mark.heavy
def test_the_interval_of_macro_f1_covers_what_was_planted() -> None:
    """Fifteen items, eight labels, errors of 5 to 45 %: reported with a bootstrap it held in 84 of 100 corpora."""
    rng = random.Random(11)
    values = "abcdefgh"
    labels = pl.Series(list("aaaabbbccddefgh"))
    hits = draws = 0
    for _ in range(400):
        rate = rng.uniform(0.05, 0.45)
        said = [rng.choice(values.replace(label, "")) if rng.random() < rate else label for label in labels]
        f1 = []
        for there in labels.value_counts()["count"]:
            right, false = (1 - rate) * there, rate / 7 * (15 - there)
            f1.append(2 * right / (there + right + false))
        frame = frame_of(sentiment=said, sentiment_label=list(labels))
        measured = measure_quality(frame, ())
        low, high = (value(measured, "sentiment", "macro_f1", end) for end in ("low", "high"))
        draws, hits = draws + 1, hits + (low <= sum(f1) / len(f1) <= high)
    assert hits / draws > 0.92


def test_rank_correlation_is_scipys_and_its_interval_bonett_and_wrights() -> None:
    """Fisher's interval without their correction is too short for ranks: it held in 92 of 100."""
    rng = random.Random(5)
    labels = [round(rng.random(), 2) for _ in range(30)]
    said = [round(min(1, max(0, label + rng.gauss(0, 0.2))), 1) for label in labels]
    measured = measure_quality(frame_of(urgency_score=said, urgency_score_label=labels), ())
    from scipy.stats import spearmanr

    rho = spearmanr(said, labels).statistic
    spread = 1.959964 * math.sqrt((1 + rho**2 / 2) / 27)
    assert value(measured, "urgency_score", "spearman") == pytest.approx(rho)
    assert value(measured, "urgency_score", "spearman", "low") == pytest.approx(math.tanh(math.atanh(rho) - spread))
    assert value(measured, "urgency_score", "spearman", "high") == pytest.approx(math.tanh(math.atanh(rho) + spread))


@pytest.mark.parametrize(
    ("said", "labels", "known"),
    [
        ([0.3, 0.3, 0.3, 0.3], [0.1, 0.2, 0.3, 0.4], False),  # one answer to everything
        ([0.1, 0.2, 0.3, 0.4], [0.3, 0.3, 0.3, 0.3], False),
        ([0.1, 0.2], [0.1, 0.2], False),
        ([None, None, None, None], [0.1, 0.2, 0.3, 0.4], False),
        ([0.1, 0.2, 0.3], [0.1, 0.3, 0.2], True),
        ([0.1, 0.2, 0.3, 0.4], [0.2, 0.3, 0.4, 0.5], True),  # a perfect order, of which four items give no certainty
    ],
)
def test_what_so_few_items_cannot_tell_is_null_and_not_zero(
    said: list[float | None], labels: list[float], known: bool
) -> None:
    """A correlation of 0.0 for a language with two items was read as "urgency is random in Ukrainian"."""
    measured = measure_quality(frame_of(urgency_score=said, urgency_score_label=labels), ())
    assert (value(measured, "urgency_score", "spearman") is not None) == known
    assert value(measured, "urgency_score", "spearman", "low") is None
    assert value(measured, "urgency_score", "spearman", "high") is None
    assert (value(measured, "urgency_score", "calibration_error") is None) == (said[0] is None)


def test_calibration_error_of_a_hand_made_case() -> None:
    """Ranks in perfect order, and everything 0.3 too urgent: correlation alone calls that perfect."""
    pairs = pl.DataFrame({"answer": [0.1, 0.15, 0.95, 1.0], "label": [0.2, 0.25, 0.5, 0.55]})
    assert calibration_error(pairs) == pytest.approx((2 * 0.1 + 2 * 0.45) / 4)
    # Within a bin too high and too low cancel out: it is calibration, not precision.
    assert calibration_error(pl.DataFrame({"answer": [0.5, 0.5], "label": [0.3, 0.7]})) == pytest.approx(0)
    assert calibration_error(pl.DataFrame({"answer": [1.0], "label": [1.0]})) == 0
    assert calibration_error(pairs.clear()) is None


def test_a_mean_has_an_interval_where_its_values_vary() -> None:
    """Student's t for 0.1, 0.2, 0.3: 0.2 +- 4.303 x 0.0577."""
    assert compute_mean_interval(pl.Series([0.1, 0.2, 0.3])) == pytest.approx((0.2 - 0.24841, 0.2 + 0.24841), abs=1e-4)
    assert compute_mean_interval(pl.Series([0.1, 0.2, 0.3]), least=0.0)[0] == 0  # no error is below zero
    assert compute_mean_interval(pl.Series([0.5])) == (None, None)
    assert compute_mean_interval(pl.Series([0.0, 0.0, 0.0])) == (None, None)
    measured = measure_quality(frame_of(csat_indicator=[0.5, 0.5, 0.9], csat_indicator_label=[0.5] * 3), ())
    assert value(measured, "csat_indicator", "mean_absolute_error") == pytest.approx(0.4 / 3)
    assert value(measured, "csat_indicator", "mean_absolute_error", "low") == 0


def test_summaries_are_measured_by_length_as_the_prompt_asks_for_it() -> None:
    """Summaries came out too terse, and nobody saw it before the churn model was trained on them."""
    short, long = "Customer asks.", "Customer asks. " * 13
    measured = measure_quality(
        answers(golden(1, 2, 3, 4), nl_002={"summary": short}, nl_003={"summary": long}, nl_004=None)
    )
    assert value(measured, "summary", "length") == 0.25
    assert value(measured, "summary", "median_length") == len(SUMMARY)
    assert value(measured, "summary", "median_length", "items") == 3
    nothing = measure_quality(answers(golden(1), nl_001=None))
    assert value(nothing, "summary", "median_length") is None


def test_a_summary_counts_for_its_facts_when_it_states_all_of_them() -> None:
    """One fact of two told is the summary that was too terse."""
    measured = measure_quality(answers(golden(1, 2), nl_002={"summary": SUMMARY.replace("parcel", "thing")}))
    assert value(measured, "summary", "all_facts") == 0.5


def test_a_summary_copied_from_an_example_is_unsupported() -> None:
    """The small model answers half the corpus with the prompt's first example, in fluent English."""
    items = golden(1)
    given = {items[0].id: {"summary": SUMMARY, **LABELS}}
    assert build_answers_frame(items, given, frozenset())["summary_supported"].to_list() == [True]
    assert build_answers_frame(items, given, frozenset({SUMMARY.upper()}))["summary_supported"].to_list() == [False]


def test_a_summary_with_an_amount_that_nobody_named_is_unsupported() -> None:
    """It reads as well as a true one, and is worse than none."""
    measured = measure_quality(answers(golden(1, 2), nl_002={"summary": f"{SUMMARY} It was 350 euros."}))
    assert value(measured, "summary", "supported") == 0.5


def test_quality_is_grouped_as_asked_and_complete_in_each_group() -> None:
    """A measure missing in one language shifted the columns of the printed table."""
    items = golden(1, 2) + golden(3, country="BE") + golden(4, language="de")
    frame = answers(items)
    for by, groups in (
        (("country", "language"), {("BE", "nl"), ("NL", "nl"), ("NL", "de")}),
        (("language",), {("all", "nl"), ("all", "de")}),
        ((), {("all", "all")}),
    ):
        measured = measure_quality(frame, by)
        assert measured.schema == QUALITY_SCHEMA
        assert set(measured.select("country", "language").iter_rows()) == groups
        rows = measured.group_by("country", "language").len()["len"]
        assert rows.n_unique() == 1
        assert not measured.select("country", "language", "field", "measure").is_duplicated().any()


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["a", "b", "c", "d", None])), min_size=1))
def test_a_confusion_matrix_counts_every_item_once(pairs: list[tuple[str, str | None]]) -> None:
    """Items without an answer fell out of the matrix, and its rows no longer added up to the labels."""
    labels, said = zip(*pairs, strict=True)
    matrix = count_field_confusions(frame_of(intent=list(said), intent_label=list(labels)), "intent")
    assert matrix["label"].to_list() == sorted(set(labels))
    assert matrix.columns == ["label", *sorted({each or "none" for each in said})]
    for row in matrix.iter_rows(named=True):
        for answer in matrix.columns[1:]:
            assert row[answer] == sum(pair == (row["label"], None if answer == "none" else answer) for pair in pairs)


def test_misses_name_item_field_expected_and_given() -> None:
    """After an evaluation one wants to read what was missed, and not only how much."""
    answers = pl.DataFrame(
        [
            {
                "id": name,
                **dict.fromkeys(CATEGORICAL, given),
                **{f"{field}_label": "right" for field in CATEGORICAL},
            }
            for name, given in (("a", "right"), ("b", "wrong"), ("c", None))
        ]
    )
    misses = list_evaluation_misses(answers)
    assert misses.height == 2 * len(CATEGORICAL)
    assert misses.filter(pl.col("field") == "intent").rows() == [
        ("b", "intent", "right", "wrong"),
        ("c", "intent", "right", "none"),
    ]
