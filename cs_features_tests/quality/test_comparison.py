"""The gate: paired, cautious with `better`, quick with `worse`, and the same seen from either side."""

import random
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cs_features.quality.comparison import FALSE_BETTER, Comparison, compare_paired_answers, sign_test
from cs_features.schemas import CATEGORICAL, SCORES
from cs_features_tests.support.golden import frame_of

MEASURES = 10  # four fields, two scores, four of the summary


def said(right: list[bool], language: list[str] | None = None, **columns: list[Any]) -> pl.DataFrame:
    """Answers whose intent is right where told."""
    return frame_of(
        language=language or ["nl"] * len(right),
        intent=["yes" if each else "no" for each in right],
        intent_label=["yes"] * len(right),
        **columns,
    )


def of(found: list[Comparison], field: str, language: str = "nl", measure: str | None = None) -> Comparison:
    (one,) = [
        each for each in found if (each.field, each.language) == (field, language) and measure in (None, each.measure)
    ]
    return one


def test_the_difference_of_a_hand_made_case() -> None:
    """30 items: 2 gained, 9 lost. By hand, Agresti and Min: (-7 +- 1.96 sqrt(12 - 49 / 32)) / 32."""
    was = [False] * 2 + [True] * 28
    now = [True] * 2 + [False] * 9 + [True] * 19
    found = of(compare_paired_answers(said(was), said(now)), "intent")
    assert (found.in_use, found.candidate, found.items) == (28 / 30, 21 / 30, 30)
    assert found.difference == pytest.approx(-7 / 30)
    assert (found.low, found.high) == pytest.approx((-0.4170, -0.0205), abs=5e-4)
    from scipy.stats import binom

    assert found.p == pytest.approx(binom.sf(1, 11, 0.5))
    assert found.verdict == "worse"


def test_pairs_and_not_totals_are_compared() -> None:
    """15 items answered better and 15 worse is another finding than 30 answered alike, though both are 0 points."""
    alike = of(compare_paired_answers(said([True, False] * 15), said([True, False] * 15)), "intent")
    swapped = of(compare_paired_answers(said([True, False] * 15), said([False, True] * 15)), "intent")
    assert alike.difference == swapped.difference == 0
    assert swapped.high - swapped.low > 4 * (alike.high - alike.low)  # type: ignore[operator]


def test_items_are_paired_by_id_in_whatever_order_they_come() -> None:
    """The answers of a candidate came in the order of another corpus file, and everything was worse."""
    was = said([True] * 10 + [False] * 10)
    assert of(compare_paired_answers(was, was.reverse()), "intent").p == 1
    fewer = compare_paired_answers(was, was.head(10))
    assert of(fewer, "intent").items == 10
    assert of(fewer, "intent").in_use == 1


def test_better_needs_proof_that_holds_over_all_comparisons_of_the_run() -> None:
    """At 95 % each, three of 130 comparisons come out better by chance, and one was shipped for it."""
    level = FALSE_BETTER / MEASURES
    enough = next(count for count in range(1, 30) if 0.5**count <= level)
    for gained, verdict in ((enough, "better"), (enough - 1, "inconclusive")):
        found = of(compare_paired_answers(said([False] * gained + [True] * 20), said([True] * (gained + 20))), "intent")
        assert found.low is not None
        assert found.low > 0
        assert found.verdict == verdict
    # The same gain in one of three languages: four groups, four times as many comparisons.
    languages = ["nl"] * (enough + 20) + ["fr", "pl"]
    was, now = [False] * enough + [True] * 22, [True] * (enough + 22)
    several = compare_paired_answers(said(was, languages), said(now, languages))
    assert len(several) == 4 * MEASURES
    assert of(several, "intent").verdict == "inconclusive"


def test_worse_needs_its_own_interval_only() -> None:
    """A loss that is likely in one language alone is to be looked at, however many languages there are."""
    languages = [code for code in ("ar", "de", "en", "es", "fr", "nl", "pl") for _ in range(30)]
    was = [True] * len(languages)
    now = [not (code == "nl" and number % 30 < 6) for number, code in enumerate(languages)]
    found = compare_paired_answers(said(was, languages), said(now, languages))
    assert of(found, "intent").verdict == "worse"
    assert {each.verdict for each in found if each.field == "intent" and each.language not in ("nl", "all")} == {
        "inconclusive"
    }


def test_all_languages_together_have_the_power_that_each_lacks() -> None:
    """Two items lost in each of twelve languages is noise twelve times, and 24 of 180 is not."""
    languages = [f"{chr(97 + number)}x" for number in range(12) for _ in range(15)]
    was = [True] * 180
    now = [number % 15 > 1 for number in range(180)]
    found = [
        each for each in compare_paired_answers(said(was, languages), said(now, languages)) if each.field == "intent"
    ]
    assert {each.language: each.verdict for each in found} == {
        "all": "worse",
        **dict.fromkeys(sorted(set(languages)), "inconclusive"),
    }


def test_a_score_is_compared_by_its_distance_to_the_label() -> None:
    """Above zero is better for errors too: one table, one way to read it."""
    labels = [number / 20 for number in range(20)]
    far = [min(1.0, label + 0.3) for label in labels]
    near = [min(1.0, label + 0.1 + 0.001 * number) for number, label in enumerate(labels)]
    was = frame_of(urgency_score=far, urgency_score_label=labels)
    now = frame_of(urgency_score=near, urgency_score_label=labels)
    found = of(compare_paired_answers(was, now), "urgency_score")
    assert found.in_use > found.candidate
    assert found.difference == pytest.approx(found.in_use - found.candidate)
    assert found.verdict == "better"
    assert of(compare_paired_answers(now, was), "urgency_score").verdict == "worse"


def test_a_missing_score_is_as_wrong_as_a_score_can_be() -> None:
    """A candidate that refuses the hard items would have the smaller mean error."""
    labels: list[float | None] = [0.5] * 20
    was = frame_of(csat_indicator=[0.8] * 20, csat_indicator_label=labels)
    now = frame_of(csat_indicator=[0.5] * 10 + [None] * 10, csat_indicator_label=labels)
    assert of(compare_paired_answers(was, now), "csat_indicator").difference == pytest.approx(0.3 - 0.5)


def test_an_item_that_the_candidate_no_longer_answers_is_lost() -> None:
    """Nulls compare as nothing: ten refusals were neither gained nor lost, and the candidate was as good."""
    was = frame_of(intent=["yes"] * 20, intent_label=["yes"] * 20)
    now = frame_of(intent=["yes"] * 10 + [None] * 10, intent_label=["yes"] * 20)
    found = of(compare_paired_answers(was, now), "intent")
    assert (found.difference, found.verdict) == (-0.5, "worse")
    assert of(compare_paired_answers(now, was), "intent").p == pytest.approx(0.5**10)


def test_distances_equal_on_paper_are_equal() -> None:
    """0.4 is as far from 0.3 as 0.2 is, but not in floating point: thirty ties counted as thirty gains."""
    labels = [0.3] * 30
    was = frame_of(urgency_score=[0.4] * 30, urgency_score_label=labels)
    now = frame_of(urgency_score=[0.2] * 30, urgency_score_label=labels)
    for found in (
        of(compare_paired_answers(was, now), "urgency_score"),
        of(compare_paired_answers(now, was), "urgency_score"),
    ):
        assert (found.difference, found.p) == (0, 1)


def test_more_small_gains_than_large_losses_are_not_better() -> None:
    """Nineteen scores nearer by a hundredth and three off by everything: the signs alone would call that better."""
    labels = [0.0] * 22
    was = frame_of(urgency_score=[0.1] * 22, urgency_score_label=labels)
    now = frame_of(urgency_score=[0.09] * 19 + [1.0] * 3, urgency_score_label=labels)
    found = of(compare_paired_answers(was, now), "urgency_score")
    assert found.p < FALSE_BETTER / MEASURES
    assert found.difference < 0
    assert found.verdict != "better"


def test_summaries_are_compared_too() -> None:
    """A candidate that answers in Dutch kept every label right and passed the gate."""
    yes, no = [True] * 30, [False] * 10 + [True] * 20
    for measure in ("english", "supported", "length"):
        found = compare_paired_answers(frame_of(**{f"summary_{measure}": yes}), frame_of(**{f"summary_{measure}": no}))
        assert of(found, "summary", measure=measure).verdict == "worse"
    told = compare_paired_answers(frame_of(summary_facts=[1.0] * 30), frame_of(summary_facts=[0.5] * 10 + [1.0] * 20))
    assert of(told, "summary", measure="all_facts").verdict == "worse"


ITEM = st.tuples(
    st.sampled_from(["nl", "fr"]),
    *(st.tuples(st.booleans(), st.booleans()) for _ in CATEGORICAL),
    *(
        st.tuples(st.sampled_from([0.0, 0.1, 0.35, 1.0, None]), st.sampled_from([0.0, 0.1, 0.35, 1.0, None]))
        for _ in SCORES
    ),
)


def frames_of(items: list[Any]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Two frames of answers from drawn items: language, then a pair a field."""
    language, *fields = zip(*items, strict=True)
    sides: list[dict[str, list[Any]]] = [{"language": list(language)} for _ in range(2)]
    for name, pairs in zip((*CATEGORICAL, *SCORES), fields, strict=True):
        for side, values in zip(sides, zip(*pairs, strict=True), strict=True):
            is_score = name in SCORES
            side[name] = list(values) if is_score else ["right" if value else "wrong" for value in values]
            side[f"{name}_label"] = [0.3 if is_score else "right"] * len(items)
    return frame_of(**sides[0]), frame_of(**sides[1])


@pytest.mark.heavy
@given(st.lists(ITEM, min_size=1, max_size=60))
def test_swapping_the_two_turns_every_sign_around(items: list[Any]) -> None:
    """A comparison that prefers the side it is given first is none."""
    one, other = frames_of(items)
    for there, back in zip(compare_paired_answers(one, other), compare_paired_answers(other, one), strict=True):
        assert (there.in_use, there.candidate) == (back.candidate, back.in_use)
        assert there.difference == pytest.approx(-back.difference)
        assert (there.low is None) == (back.low is None)
        if there.low is not None and there.high is not None:
            assert (back.high, back.low) == pytest.approx((-there.low, -there.high))
        if there.verdict == "better":
            assert back.verdict == "worse"
        assert there.p + back.p >= 1 - 1e-9


@pytest.mark.heavy
@given(st.lists(ITEM, min_size=1, max_size=60))
def test_nothing_is_better_or_worse_than_itself(items: list[Any]) -> None:
    """The prompt in use, given as its own candidate, must not be called better in anything, nor worse."""
    one, _ = frames_of(items)
    for found in compare_paired_answers(one, one):
        assert (found.verdict, found.difference, found.p) == ("inconclusive", 0, 1)


def test_the_sign_test_is_the_binomial_tail() -> None:
    """McNemar's exact test, one-sided: 9 of 10 changed items in the candidate's favour, by hand 11 / 1024."""
    assert sign_test(9, 1) == pytest.approx(11 / 1024)
    assert sign_test(1, 9) == pytest.approx(1023 / 1024)
    assert sign_test(0, 0) == 1


@pytest.mark.heavy
def test_candidates_that_are_no_better_are_almost_never_called_so() -> None:
    """The promise of FALSE_BETTER: at most one run in forty, whatever the number of comparisons."""
    rng = random.Random(3)
    languages = [code for code in ("aa", "bb", "cc", "dd") for _ in range(30)]
    runs = false = 0
    for _ in range(60):
        columns = [
            {name: ["right" if rng.random() < 0.8 else "wrong" for _ in languages] for name in CATEGORICAL}
            | {f"{name}_label": ["right"] * len(languages) for name in CATEGORICAL}
            for _ in range(2)
        ]
        found = compare_paired_answers(*(frame_of(language=languages, **each) for each in columns))
        runs, false = runs + 1, false + any(each.verdict == "better" for each in found)
    assert false <= 0.05 * runs
