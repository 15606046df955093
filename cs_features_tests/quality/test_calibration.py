"""Corrections of the scores: monotone, fitted on labels, kept only where they help, written into country files."""

import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cs_features.extraction.country_files import ModelCalibration, ScoreCalibration
from cs_features.extraction.prompts import load_prompt_folder
from cs_features.quality.calibration import (
    Fit,
    fit_country_corrections,
    fit_isotonic_knots,
    fit_score_correction,
    replace_calibration_section,
)
from cs_features.validation.calibration import (
    DISSATISFIED_TO,
    URGENT_FROM,
    apply_calibration_knots,
    choose_score_thresholds,
    correct_country_scores,
)
from cs_features_tests.support.documents import DAY, document, jsonl
from cs_features_tests.support.lab import PROMPTS, Lab
from cs_features_tests.support.text_tables import read_text_table

scores = st.floats(0, 1).map(lambda value: round(value, 3))
pairs = st.lists(st.tuples(scores, scores), min_size=1, max_size=60)


def squeezed(items: int = 60, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Labels over the whole scale, and a model that says 0.6 to 0.8 to all of it, in the right order."""
    labels = np.linspace(0.05, 0.95, items)
    rng = np.random.default_rng(seed)
    order = rng.permutation(items)
    return (0.6 + 0.2 * labels + rng.normal(0, 0.005, items)).clip(0, 1)[order], labels[order]


@given(pairs)
def test_a_correction_never_turns_two_scores_around_and_stays_between_0_and_1(found: list[tuple[float, float]]) -> None:
    """The order of two customers is what a churn model learns from."""
    said, meant = (np.array(column) for column in zip(*found, strict=True))
    grid = apply_calibration_knots(fit_isotonic_knots(said, meant), np.linspace(0, 1, 101))
    assert (np.diff(grid) >= 0).all()
    assert grid.min() >= 0
    assert grid.max() <= 1
    ScoreCalibration(threshold=0.5, knots=fit_isotonic_knots(said, meant))  # what is fitted may be written


@given(pairs)
def test_a_correction_keeps_the_mean_of_the_labels(found: list[tuple[float, float]]) -> None:
    """Pooled blocks stand at their labels' mean: a correction that shifts everything is none."""
    said, meant = (np.array(column) for column in zip(*found, strict=True))
    assert apply_calibration_knots(fit_isotonic_knots(said, meant), said).mean() == pytest.approx(
        meant.mean(), abs=0.01
    )


def test_a_model_that_says_0_7_to_everything_but_ranks_well_is_corrected() -> None:
    """What took two months after a launch: the scale of one country, squeezed into the upper middle."""
    found = fit_score_correction("urgency_score", *squeezed())
    assert found.kept
    assert found.distance_after < found.distance_before / 4


def test_a_correction_of_noise_is_not_kept() -> None:
    """Twenty per cent of luck on seen items is nothing on unseen ones."""
    rng = np.random.default_rng(3)
    labels = rng.uniform(0.3, 0.7, 60)
    found = fit_score_correction("csat_indicator", (labels + rng.normal(0, 0.01, 60)).clip(0, 1), labels)
    assert not found.kept


def test_a_correction_that_says_the_same_of_everybody_is_not_kept() -> None:
    """The mean of all labels is nearest for a model that cannot tell customers apart, and looks like knowledge."""
    rng = np.random.default_rng(5)
    labels = np.sort(rng.uniform(0.4, 0.8, 60))
    answers = np.linspace(0.95, 0.05, 60)  # the wrong way round: all is pooled into one block
    found = fit_score_correction("csat_indicator", answers, labels)
    assert found.distance_after < found.distance_before / 2
    assert not found.kept


def test_scores_that_rank_the_wrong_way_round_are_not_corrected() -> None:
    """rho -0.43, and nine of ten corrections were kept (fault 44)."""
    rng = np.random.default_rng(7)
    labels = rng.uniform(0, 1, 60)
    answers = (0.95 - 0.3 * labels + rng.normal(0, 0.15, 60)).clip(0, 1)
    found = fit_score_correction("csat_indicator", answers, labels)
    assert found.distance_after < found.distance_before
    assert not found.kept


def test_of_many_corrections_of_scores_that_rank_nothing_almost_none_is_kept() -> None:
    """First knot below last knot is true of every fit of noise (fault 44). Far from the labels, all of them gain."""
    kept = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        labels = rng.uniform(0, 1, 30)
        answers = rng.choice([0.7, 0.8, 0.9, 1.0], 30)  # says nothing, and far too much of it
        kept += fit_score_correction("urgency_score", answers, labels).kept
    assert kept <= 1


def test_a_correction_that_says_nearly_the_same_of_everybody_is_not_kept() -> None:
    """The order is right and the answer always 0.5: one opinion of all customers, with three decimals (fault 44)."""
    rng = np.random.default_rng(9)
    labels = np.linspace(0.47, 0.53, 60)[rng.permutation(60)]
    found = fit_score_correction("csat_indicator", (labels * 2 - 0.1).clip(0, 1), labels)
    assert found.rank is not None
    assert found.rank > 0.9
    assert found.distance_after < found.distance_before
    assert not found.kept


def test_one_answer_to_everything_is_not_corrected() -> None:
    found = fit_score_correction("csat_indicator", np.full(40, 0.7), np.linspace(0, 1, 40))
    assert (found.rank_p <= 0.01, found.kept) == (False, False)


def test_a_handful_of_items_corrects_nothing() -> None:
    """Ten golden items would otherwise rewrite the scores of a country."""
    answers, labels = squeezed(10)
    assert not fit_score_correction("urgency_score", answers, labels).kept


def test_the_threshold_is_where_the_labels_part() -> None:
    """`urgent from 0.6` means nothing where the corrected scale ends at 0.5."""
    labels = np.array([0.1] * 30 + [0.7] * 30)
    answers = np.array([0.40] * 30 + [0.45] * 30)
    found = fit_score_correction("urgency_score", answers, labels)
    called = apply_calibration_knots(found.calibration.knots, answers) >= found.calibration.threshold
    assert (called == (labels >= URGENT_FROM)).all()


def test_without_a_calibration_scores_stay_and_thresholds_are_those_of_the_instructions() -> None:
    frame = pl.DataFrame({"urgency_score": [0.1, None], "csat_indicator": [0.9, None]})
    assert correct_country_scores(frame, None).equals(frame)
    assert correct_country_scores(frame, ModelCalibration()).equals(frame)
    assert choose_score_thresholds(None) == (URGENT_FROM, DISSATISFIED_TO)


def test_only_the_score_that_has_knots_is_corrected_and_a_missing_answer_stays_missing() -> None:
    """A failed interaction with a score of its own would be published as an opinion."""
    how = ModelCalibration(urgency_score=ScoreCalibration(threshold=0.5, knots=((0.0, 0.2), (1.0, 0.4))))
    frame = pl.DataFrame({"urgency_score": [0.0, 0.5, None], "csat_indicator": [0.3, 0.3, None]})
    assert correct_country_scores(frame, how).to_dict(as_series=False) == {
        "urgency_score": [0.2, 0.3, None],
        "csat_indicator": [0.3, 0.3, None],
    }


def test_what_is_written_into_a_country_file_is_read_back_and_replaces_only_its_model(tmp_path: Path) -> None:
    """A second `make calibrate` that adds a second block leaves a file that no one can read."""
    folder = tmp_path / "prompts"
    (folder / "countries").mkdir(parents=True)
    for name in ("instructions.md", "taxonomy.yaml", "countries/NL.md"):
        (folder / name).write_text((PROMPTS / name).read_text(encoding="utf-8"), encoding="utf-8")
    path = folder / "countries" / "NL.md"
    answers, labels = squeezed()
    answered = pl.DataFrame(
        {
            "urgency_score": answers,
            "csat_indicator": answers,
            "urgency_score_label": labels,
            "csat_indicator_label": labels,
        }
    )
    for model_id in ("model-one", "model-two", "model-one"):
        text = path.read_text(encoding="utf-8")
        file = load_prompt_folder(folder).countries["NL"]
        path.write_text(
            replace_calibration_section(text, file, model_id, fit_country_corrections(answered)), encoding="utf-8"
        )
    read, original = load_prompt_folder(folder).countries["NL"], load_prompt_folder(PROMPTS).countries["NL"]
    assert read.calibration.keys() == original.calibration.keys() | {"model-one", "model-two"}
    assert path.read_text(encoding="utf-8").count("calibration:") == 1
    assert (read.body, read.floors, read.languages) == (original.body, original.floors, original.languages)

    flat = answered.with_columns(pl.col("urgency_score_label", "csat_indicator_label") * 0 + 0.7)
    for model_id in read.calibration:
        text, file = path.read_text(encoding="utf-8"), load_prompt_folder(folder).countries["NL"]
        noise = fit_country_corrections(flat.with_columns(urgency_score=0.7, csat_indicator=0.7))
        path.write_text(replace_calibration_section(text, file, model_id, noise), encoding="utf-8")
    assert load_prompt_folder(folder).countries["NL"].calibration == {}
    assert "calibration:" not in path.read_text(encoding="utf-8")


def test_the_table_of_answers_keeps_what_the_model_said_and_the_features_what_it_means(
    lab: Lab, tmp_path: Path
) -> None:
    """A correction that is written into the file and applied to nothing: two months of calibration for no value."""
    folder = shutil.copytree(PROMPTS, tmp_path / "prompts")
    path = folder / "countries" / "NL.md"
    how = ScoreCalibration(threshold=0.1, knots=((0.0, 0.2), (1.0, 0.3)))
    found = Fit("urgency_score", 60, 0.3, 0.1, 0.9, 0.001, kept=True, calibration=how)
    file = load_prompt_folder(folder).countries["NL"]
    text = replace_calibration_section(
        path.read_text(encoding="utf-8"), file, lab.settings.model_id, {"urgency_score": found}
    )
    path.write_text(text, encoding="utf-8")
    other = lab.with_settings(prompts_dir=folder)
    other.land("NL", DAY, "a.jsonl", jsonl(document(number) for number in range(6)))
    run = other.process()
    assert run.success
    both = lab.table("validated_features").join(lab.table("llm_extractions"), on="interaction_id", suffix="_said")
    assert both.height == 6
    assert both["urgency_score"].to_list() == pytest.approx(
        (0.2 + 0.1 * both["urgency_score_said"]).to_list(), abs=0.001
    )
    assert both["csat_indicator"].equals(both["csat_indicator_said"].alias("csat_indicator"))
    # Fault 7: what was asked, and what was made of it, are two versions.
    prompts = load_prompt_folder(folder)
    assert set(both["prompt_version_said"]) == {prompts.asked_version("NL")}
    assert set(both["prompt_version"]) == {prompts.version("NL")} != {prompts.asked_version("NL")}
    # The threshold of the file counts, too: all of 0.2 to 0.3 lie above 0.1 and below the usual 0.6.
    (row,) = read_text_table(run.metadata("validated_features")["by_language"])
    assert row["urgent"] == "6"
