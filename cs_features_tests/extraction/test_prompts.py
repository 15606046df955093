"""What the files under `prompts/` say: two versions of a prompt, and one file that is its country's and no other's."""

import json
import shutil
from pathlib import Path

import pytest
from pydantic import ValidationError

from cs_features.errors import PromptError
from cs_features.extraction.prompts import check_country_files, load_prompt_folder
from cs_features_tests.support.desk import GOOD
from cs_features_tests.support.lab import PROMPTS
from cs_features_tests.support.taxonomies import remove_topic

CALIBRATION = "calibration: {m: {urgency_score: {threshold: 0.5, knots: [[0, 0.1], [1, 0.9]]}}}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(PROMPTS, tmp_path / "prompts"))


def calibrate(folder: Path, country: str, front_matter: str = CALIBRATION) -> None:
    """Put a correction into a country's file by hand."""
    path = folder / "countries" / f"{country}.md"
    path.write_text(path.read_text(encoding="utf-8").replace("---\n", f"---\n{front_matter}", 1), encoding="utf-8")


def test_a_calibration_changes_what_is_applied_and_not_what_is_asked(folder: Path) -> None:
    """Urgency 0.11 became 0.906 under the `prompt_version` of before: one column for two things (fault 7)."""
    before = load_prompt_folder(folder)
    calibrate(folder, "NL")
    after = load_prompt_folder(folder)
    assert after.asked_version("NL") == before.asked_version("NL")
    assert after.version("NL") != before.version("NL")
    assert (after.version("BE"), after.asked_version("BE")) == (before.version("BE"), before.asked_version("BE"))


def test_answers_to_an_older_prompt_are_told_apart_after_the_correction_too(folder: Path) -> None:
    """A late document beside rows of last week's prompt: corrected alike, they are still of two prompts (fault 36)."""
    calibrate(folder, "NL")
    prompts = load_prompt_folder(folder)
    now, earlier = (prompts.applied_version("NL", asked) for asked in (prompts.asked_version("NL"), "0123456789ab"))
    assert now == prompts.version("NL")
    assert len({now, earlier, "0123456789ab", prompts.asked_version("NL")}) == 4


def test_without_a_correction_what_is_asked_is_what_is_applied() -> None:
    prompts = load_prompt_folder(PROMPTS)
    country = next(country for country, file in prompts.countries.items() if not file.calibration)
    assert prompts.applied_version(country, "0123456789ab") == "0123456789ab"
    assert prompts.version(country) == prompts.asked_version(country)


def test_each_version_of_the_prompt_says_which_taxonomy_its_values_are_of(folder: Path) -> None:
    """A model trained on topics of two meanings cannot tell the rows apart unless each of them says its own."""
    calibrate(folder, "NL")
    prompts = load_prompt_folder(folder)
    prefix = f"t{prompts.taxonomy.version}-"
    for country in ("NL", "BE"):
        assert prompts.asked_version(country).startswith(prefix)
        assert prompts.version(country).startswith(prefix)


@pytest.mark.parametrize("name", ["de.md", "DE.MD", "DEU.md", "De.markdown"])
def test_a_file_that_is_meant_to_be_a_countrys_and_is_read_by_nobody_is_told(folder: Path, name: str) -> None:
    """A country in small letters was no country, and `make lint` found 18 examples valid."""
    shutil.copy(folder / "countries" / "NL.md", folder / "countries" / name)
    (folder / "countries" / "README.md").write_text("Who writes what.", encoding="utf-8")
    (problem,) = check_country_files(load_prompt_folder(folder))
    assert f"{name}: is no country's file, and nothing reads it" in problem


def test_a_folder_in_the_place_of_a_countrys_file_stops_that_country_alone(folder: Path) -> None:
    (folder / "countries" / "AT.md").mkdir()
    prompts = load_prompt_folder(folder)
    assert "NL" in prompts.countries
    with pytest.raises(PromptError, match=r"AT\.md cannot be read: Is a directory"):
        prompts.countries["AT"]


def test_a_value_that_is_removed_is_no_answer_any_more_and_stays_a_feature_of_the_rows_that_have_it(
    folder: Path,
) -> None:
    """One late document of an old day, and the records of that day with the removed topic were invalid: the publication
    was stopped by its brake, or withdrew them."""
    remove_topic(folder, "loyalty_promotions")
    prompts = load_prompt_folder(folder)
    row = {**GOOD, "primary_topic": "loyalty_promotions"}
    assert prompts.features_model.model_validate(row)
    with pytest.raises(ValidationError):
        prompts.answer_model.model_validate(row)
    with pytest.raises(ValidationError):
        prompts.features_model.model_validate({**GOOD, "primary_topic": "never_was"})
    assert "loyalty_promotions" not in json.dumps(prompts.tool)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("version: 2\nchanges", "version: 3\nchanges", "each version from 2"),
        ("added: [overall_experience]", "added: [overall_experiences]", "overall_experiences was added"),
    ],
)
def test_a_taxonomy_that_does_not_tell_what_changed_is_refused(folder: Path, old: str, new: str, problem: str) -> None:
    """A renamed value without a word changes a feature's meaning for every model, and nobody knows since when."""
    path = folder / "taxonomy.yaml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(PromptError, match=problem):
        load_prompt_folder(folder)
