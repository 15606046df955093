"""Calibrations as they are applied: which rows, within which bounds, and under which version."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cs_features.extraction.country_files import ModelCalibration, ScoreCalibration
from cs_features.extraction.prompts import CountryFiles, Prompts, load_prompt_folder
from cs_features.extraction.table import EXTRACTIONS_SCHEMA
from cs_features.validation.calibration import correct_answer_scores, correct_country_scores
from cs_features_tests.support.lab import PROMPTS

NOTHING = dict.fromkeys(EXTRACTIONS_SCHEMA)
HALVED = ModelCalibration(urgency_score=ScoreCalibration(threshold=0.3, knots=((0.0, 0.0), (1.0, 0.5))))


def prompts_with(**calibration: ModelCalibration) -> Prompts:
    prompts = load_prompt_folder(PROMPTS)
    file = prompts.countries["NL"].model_copy(update={"calibration": calibration})
    countries = CountryFiles({**prompts.countries, "NL": file}, {}, PROMPTS)
    return Prompts(prompts.instructions, prompts.taxonomy, countries, prompts.examples)


def answers(*rows: tuple[str | None, float | None, str | None]) -> pl.DataFrame:
    """Rows of (model, urgency, asked version)."""
    return pl.DataFrame(
        [
            {**NOTHING, "model_id": model, "urgency_score": urgency, "prompt_version": asked}
            for model, urgency, asked in rows
        ],
        schema=EXTRACTIONS_SCHEMA,
    )


def test_each_row_is_corrected_as_its_own_models_answers_are() -> None:
    """The model was changed and validated_features run again: the corrections of the new model, fitted on its
    answers, were applied to those of the old one."""
    prompts = prompts_with(new=HALVED)
    corrected = correct_answer_scores(answers(("old", 0.8, "a"), ("new", 0.8, "b"), (None, 0.8, None)), prompts, "NL")
    assert dict(corrected.select("model_id", "urgency_score").iter_rows()) == {"old": 0.8, "new": 0.4, None: 0.8}


def test_what_was_corrected_is_of_another_version_and_so_is_what_is_corrected_otherwise() -> None:
    """`make calibrate` between two steps: urgency 0.11 became 0.906 under the old prompt_version (fault 7)."""
    asked = answers(("new", 0.8, "a"), ("new", 0.8, "b"))
    versions = [
        correct_answer_scores(asked, prompts, "NL").sort("prompt_version")["prompt_version"].to_list()
        for prompts in (prompts_with(), prompts_with(new=HALVED), prompts_with(new=ModelCalibration()))
    ]
    assert versions[0] == ["a", "b"]
    assert len({version for both in versions for version in both}) == 6


def test_an_empty_day_is_corrected_to_an_empty_day() -> None:
    corrected = correct_answer_scores(answers(), prompts_with(new=HALVED), "NL")
    assert (corrected.height, corrected.schema) == (0, EXTRACTIONS_SCHEMA)


@pytest.mark.parametrize("wrong", [7.0, -0.01, float("nan"), float("inf"), None], ids=str)
def test_what_is_no_score_is_not_corrected_into_one(wrong: float | None) -> None:
    """Level beyond the last knot, a 7.0 became a 0.9 that looks right."""
    frame = pl.DataFrame({"urgency_score": [wrong, 0.5], "csat_indicator": [0.5, 0.5]}, strict=False)
    corrected = correct_country_scores(frame, HALVED)["urgency_score"]
    assert corrected.equals(pl.Series("urgency_score", [wrong, 0.25], dtype=pl.Float64))


some_knots = st.lists(st.floats(0, 1), min_size=2, max_size=6, unique=True).flatmap(
    lambda said: st.lists(st.floats(0, 1), min_size=len(said), max_size=len(said)).map(
        lambda meant: tuple(zip(sorted(said), sorted(meant), strict=True))
    )
)


@given(some_knots, st.lists(st.floats(0, 1), min_size=1))
def test_corrected_scores_stay_scores_and_keep_their_order(
    knots: tuple[tuple[float, float], ...], said: list[float]
) -> None:
    """A correction may shift and squeeze; it may not leave the scale, nor turn two interactions around."""
    how = ModelCalibration(urgency_score=ScoreCalibration(threshold=0.5, knots=knots))
    corrected = correct_country_scores(pl.DataFrame({"urgency_score": sorted(said)}), how)["urgency_score"]
    assert corrected.is_between(0, 1).all()
    assert corrected.is_sorted()


@pytest.mark.parametrize(
    "knots", [((0.0, 0.5), (1.0, 0.4)), ((0.0, 0.1), (0.5, 0.9), (1.0, 0.8)), ((0.5, 0.1), (0.5, 0.2))]
)
def test_knots_that_fall_or_stand_still_are_refused(knots: tuple[tuple[float, float], ...]) -> None:
    """With falling knots the most urgent interaction of a day was its least urgent."""
    with pytest.raises(ValueError, match="knots must rise"):
        ScoreCalibration(threshold=0.5, knots=knots)
