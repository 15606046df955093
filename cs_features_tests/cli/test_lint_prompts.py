"""`make lint` on `prompts/`: whatever is wrong is named with file and line, before anybody pays for it."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from cs_features.cli.lint_prompts import main
from cs_features.quality.leaks import find_shared_words
from cs_features_tests.support.lab import PROMPTS


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The shipped prompts, with the beginning of each golden file: reading all of them takes longer than the rest."""
    copy = shutil.copytree(PROMPTS, tmp_path / "prompts")
    for path in (copy / "golden").glob("*.jsonl"):
        path.write_text("".join(path.read_text(encoding="utf-8").splitlines(keepends=True)[:5]), encoding="utf-8")
    return copy


def line_of(path: Path, piece: str) -> int:
    return next(n for n, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1) if piece in line)


def test_the_shipped_prompts_are_clean(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(PROMPTS) == 0
    assert "17 examples and 297 golden items are valid" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("file", "old", "new", "at", "told"),
    [
        ("countries/NL.md", "## Tone and calibration\n", "", None, "the section `## Tone and calibration` is missing"),
        ("countries/NL.md", "## Tone", "## Tune", "## Tune", "`## Tune and calibration` is no section"),
        ("countries/NL.md", "languages: [nl,", "languages: [xq, nl,", "languages:", "xq is no ISO 639-1 code"),
        ("countries/NL.md", "floors: {sentiment: 0.70", "floors: {sentiment: 70", "floors:", "floors.sentiment"),
        ("countries/NL.md", "floors:", "flours:", None, "floors: Field required"),
        ("countries/NL.md", "name: Netherlands", "name: [", None, "NL.md:"),
        (
            "countries/NL.md",
            "name: Netherlands\n",
            "name: Netherlands\nname: Nederland\n",
            "Nederland",
            "name occurs twice",
        ),
        ("countries/NL.md", '"sentiment": "negative"', '"sentiment": "angry"', '"angry"', "the example's sentiment"),
        ("countries/NL.md", '"csat_indicator": 0.1}', '"csat_indicator": 0.1', '"csat_indicator": 0.1', "no JSON"),
        ("countries/NL.md", '"summary": "Customer complains', '"resume": "Customer complains', '"resume"', "summary"),
        ("countries/NL.md", 'channel="chat"', 'channel="fax"', 'channel="fax"', "'fax' is no channel"),
        (
            "countries/NL.md",
            'language="nl" country="NL"',
            'language="es" country="NL"',
            'language="es"',
            "in es for NL",
        ),
        ("countries/NL.md", 'language="nl" country="NL"', 'language="nl" country="BE"', 'country="BE"', "nl for BE"),
        ("countries/NL.md", "```json\n", "```\n", "<interaction", "has no answer after it"),
        ("countries/NL.md", "\n</interaction>", "\n</interaktion>", None, "is not closed"),
        ("countries/NL.md", '<interaction channel="chat"', "<interaction", "<interaction", "an example begins with"),
        ("instructions.md", '"intent": "complain"', '"intent": "cheer"', '"cheer"', "the example's intent"),
        ("instructions.md", "{{taxonomy}}", "{{topics}}", None, "must hold {{taxonomy}} exactly once"),
        ("taxonomy.yaml", "- id: billing_payment", "- id: Billing", "Billing", "topics.0.id"),
    ],
)
def test_a_wrong_file_is_named_with_its_line(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    file: str,
    old: str,
    new: str,
    at: str | None,
    told: str,
) -> None:
    """Found by the model, an example with an impossible value costs a country's day; found here, a minute."""
    path = folder / file
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    assert main(folder) == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if told in line]
    assert lines
    where = f"{path}:{line_of(path, at)}:" if at else f"{path}:"
    assert any(line.startswith(where) for line in lines), lines


def test_a_correction_that_turns_scores_around_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Typed by hand: the more urgent of two customers would come out as the less urgent one."""
    path = folder / "countries" / "NL.md"
    text = re.sub(r"(?m)^calibration:.*\n(?:[ \t]+.*\n)*", "", path.read_text(encoding="utf-8"))
    falling = "calibration: {m: {urgency_score: {threshold: 0.5, knots: [[0.5, 0.6], [0.4, 0.7]]}}}"
    path.write_text(text.replace("country: NL\n", f"country: NL\n{falling}\n", 1), encoding="utf-8")
    assert main(folder) == 1
    assert f"{path}:3: calibration.m.urgency_score.knots: Value error, knots must rise" in capsys.readouterr().err


def test_an_impossible_golden_label_is_named_with_its_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A label that no answer can match counts against every model for ever."""
    path = folder / "golden" / "nl.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines()
    lines[4] = lines[4].replace('"sentiment": "', '"sentiment": "very ')
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert main(folder) == 1
    assert any(line.startswith(f"{path}:5: ") and "sentiment" in line for line in capsys.readouterr().err.splitlines())


def test_all_wrong_files_are_named_at_once(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One mistake a run, and five countries take an afternoon."""
    for country in ("NL", "ES", "PL"):
        path = folder / "countries" / f"{country}.md"
        path.write_text(path.read_text(encoding="utf-8").replace("## Examples", "## Example"), encoding="utf-8")
    assert main(folder) == 1
    told = capsys.readouterr().err
    assert all(f"{country}.md:" in told for country in ("NL", "ES", "PL"))


def copied(example: str) -> str:
    return example


@pytest.mark.parametrize("change", [copied, str.upper, lambda text: text.replace(" ", "  \n").replace(",", " -")])
def test_a_golden_item_that_repeats_an_example_is_named_with_both_places(
    folder: Path, capsys: pytest.CaptureFixture[str], change: Callable[[str], str]
) -> None:
    """An evaluation of what stands in the prompt measures memory and calls it quality."""
    path = folder / "golden" / "nl.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines()
    item = json.loads(lines[3])
    item["turns"][0]["text"] += " " + change("derde keer dat jullie monteur niet komt opdagen")
    lines[3] = json.dumps(item, ensure_ascii=False)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert main(folder) == 1
    told = capsys.readouterr().err
    country = folder / "countries" / "NL.md"
    assert f"{path}:4: {item['id']} says" in told
    assert f"{country}:{line_of(country, '<interaction')}" in told


def test_letter_formulas_and_four_words_are_no_leak() -> None:
    assert (
        find_shared_words("Sehr geehrte Damen und Herren, es ist so.", "Sehr geehrte Damen und Herren, nein.") is None
    )
    assert find_shared_words("one two three four", "one two three four five") is None
    assert find_shared_words("one two three four five", "zero one two three four five") == "one two three four five"
