"""`make new-country`: a file that works as it is, and every step that it cannot take itself."""

import shutil
from pathlib import Path

import pytest

from cs_features.cli import lint_prompts
from cs_features.cli.new_country import main, write_country_file
from cs_features.errors import PromptError, RequestError
from cs_features.extraction.prompts import load_prompt_folder
from cs_features.partitions import list_countries
from cs_features_tests.support.lab import PROMPTS


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(PROMPTS, tmp_path / "prompts"))


@pytest.mark.heavy
@pytest.mark.parametrize(("country", "languages"), [("DE", ["de", "en", "tr"]), ("PT", ["pt"]), ("SE", ["en"])])
def test_the_file_of_a_new_country_is_valid_as_it_is_written(folder: Path, country: str, languages: list[str]) -> None:
    """Copied from a neighbour by hand, it calibrated Germany on Dutch irony (fault 42)."""
    before = load_prompt_folder(folder)
    write_country_file(country, languages, folder)
    after = load_prompt_folder(folder)
    assert after.countries[country].languages == languages
    assert country in list_countries(folder)
    assert {each: after.version(each) for each in before.countries} == {
        each: before.version(each) for each in before.countries
    }
    assert lint_prompts.main(folder) == 0


def test_the_command_says_what_the_file_does_not_do(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Until definitions were reloaded each tick called its folder a stray, and nothing said so (fault 42)."""
    monkeypatch.setenv("CS_FEATURES_PROMPTS_DIR", str(folder))
    assert main(["DE", "--language", "de", "en"]) == 0
    printed = capsys.readouterr().out
    for needed in (str(folder / "countries" / "DE.md"), "Reload the definitions", "golden/de.jsonl", "stray"):
        assert needed in printed


@pytest.mark.parametrize(
    ("country", "told"),
    [("UK", "the United Kingdom's is GB"), ("de", "did you mean DE"), ("XX", "no ISO 3166"), ("", "no ISO 3166"),
     ("../NL", "no ISO 3166"), ("NL", "is there already")],
)  # fmt: skip
def test_a_country_that_cannot_be_new_is_refused_in_one_sentence(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], country: str, told: str
) -> None:
    """A file UK.md waits for ever for documents whose country is GB."""
    monkeypatch.setenv("CS_FEATURES_PROMPTS_DIR", str(folder))
    before = {path: path.read_bytes() for path in (folder / "countries").iterdir()}
    assert main([country]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert told in line
    assert {path: path.read_bytes() for path in (folder / "countries").iterdir()} == before


def test_a_language_that_does_not_exist_leaves_no_file(folder: Path) -> None:
    """A file that cannot be used, left behind by the command that was to write one that can."""
    with pytest.raises(PromptError, match="xq is no ISO 639-1 code"):
        write_country_file("DE", ["de", "xq"], folder)
    assert not (folder / "countries" / "DE.md").exists()


def test_a_file_that_is_there_is_never_overwritten(folder: Path) -> None:
    with pytest.raises(RequestError, match="is there already"):
        write_country_file("PL", ["pl"], folder)
