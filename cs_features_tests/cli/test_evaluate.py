"""`make evaluate` from end to end: engine, ledger and the scripted endpoint, and what is printed of it."""

import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cs_features.cli.evaluate import WORSE, main
from cs_features.local.bench.quality import PlantedAnswerer, ask_draw, figures_of, user_text
from cs_features.local.converse import ConverseRequest, Reply
from cs_features.local.scripted import Script, hash_text
from cs_features.quality.golden import GoldenItem, load_golden_corpus
from cs_features.quality.golden_run import ask_golden_items
from cs_features_tests.support.desk import DEFAULT, PROMPTS_READ
from cs_features_tests.support.http import read_model_stats
from cs_features_tests.support.lab import HAIKU_4_5, PROMPTS, AwsAndModel, Lab
from cs_features_tests.support.labelled import REVIEWS, folder_of

CORPUS = load_golden_corpus(PROMPTS, PROMPTS_READ)
DUTCH = [item for item in CORPUS if item.language == "nl"]
ITALIAN = [item for item in CORPUS if item.language == "it"]
SUMMARY = "Customer asks for help with a matter and the agent looks into it; how it ends can be read in the labels."


def right(items: list[GoldenItem], **changes: Any) -> dict[str, Any]:
    """`Script.labels` that answer as the golden labels say, but for the changes."""
    return {
        hash_text(user_text(PROMPTS_READ, DEFAULT.model_id, item)): {"summary": SUMMARY, **item.labels, **changes}
        for item in items
    }


class Shell:
    """Runs `make evaluate`'s command, and tells how many calls the endpoint saw of it."""

    def __init__(self, lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
        self.lab = lab
        self._capsys = capsys
        self.output = ""

    def run(self, *arguments: str | Path) -> tuple[int, int]:
        """(exit code, calls)"""
        before = self._requests()
        code = main([str(argument) for argument in arguments])
        self.printed, self.errors = self._capsys.readouterr()
        return code, self._requests() - before

    def ledgers(self) -> Counter[str]:
        """The folders of the ledger, and how many objects each has."""
        listed = self.lab.s3.list_objects_v2(Bucket=self.lab.settings.data_bucket, Prefix="ledger/")
        return Counter(entry["Key"].rsplit("/", 1)[0] for entry in listed["Contents"])

    def _requests(self) -> int:
        return int(read_model_stats(self.lab.stack.local.environment["AWS_ENDPOINT_URL_BEDROCK_RUNTIME"])["requests"])


@pytest.fixture
def shell(
    make_lab: Callable[..., Lab], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Shell]:
    lab = make_lab()
    monkeypatch.setenv("CS_FEATURES_DATA_BUCKET", lab.settings.data_bucket)
    monkeypatch.setenv("CS_FEATURES_REQUESTS_PER_MINUTE", "60000")
    lab.stack.answerer.script = Script(labels=right(CORPUS))
    return Shell(lab, capsys)


@pytest.fixture
def candidate(tmp_path: Path) -> Path:
    """A copy of the prompts in use, without the corpus."""
    return Path(shutil.copytree(PROMPTS, tmp_path / "candidate", ignore=shutil.ignore_patterns("golden")))


def append(path: Path, text: str) -> None:
    path.write_text(path.read_text(encoding="utf-8") + text, encoding="utf-8")


def test_an_unchanged_prompt_is_asked_once(shell: Shell) -> None:
    """Evaluated before every merge, the corpus was paid for twenty times a day."""
    assert shell.run("--language", "it") == (0, len(ITALIAN))
    assert re.search(r"^it .*1\.00 \(0\.80-1\.00\)", shell.printed.replace("│ ", ""), re.M)
    first = shell.printed
    assert shell.run("--language", "it") == (0, 0)
    assert shell.printed == first
    assert "0 calls, $0.0000" in shell.errors
    # More items of the same prompt ask only for what is new.
    assert shell.run("--language", "it", "nl") == (0, len(DUTCH))
    # Merged after each run: the tenth reads one object, and not what nine have left.
    assert shell.ledgers() == Counter({f"ledger/golden/{DEFAULT.model_id}": 1})


def test_a_change_to_one_country_asks_for_its_items_alone(shell: Shell, candidate: Path) -> None:
    """A line in one country's file must not cost the corpus of the other four."""
    append(candidate / "countries" / "BE.md", "\nA line more.\n")
    in_belgium = [item for item in DUTCH if item.country == "BE"]
    assert 0 < len(in_belgium) < len(DUTCH)
    assert shell.run("--language", "nl", "--candidate", candidate) == (0, len(DUTCH) + len(in_belgium))
    assert "better 0, worse 0, inconclusive 10." in shell.printed
    assert shell.run("--language", "nl", "--candidate", candidate) == (0, 0)


def test_a_candidate_model_is_compared_on_the_same_items(shell: Shell) -> None:
    """Its answers must not be mistaken for those of the model in use: same prompt, same texts."""
    assert shell.run("--language", "it", "--candidate-model", HAIKU_4_5) == (0, 2 * len(ITALIAN))
    assert f"Candidate: {HAIKU_4_5}" in shell.printed
    assert shell.run("--language", "it", "--candidate-model", HAIKU_4_5) == (0, 0)
    assert shell.run("--language", "it") == (0, 0)


def test_the_gate_fails_for_what_is_worse_and_for_nothing_else(
    shell: Shell, candidate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A prompt that mistook irony for praise was merged, because the table was printed and nobody read it."""
    append(candidate / "instructions.md", "\nThe candidate.\n")
    answerer = shell.lab.stack.answerer
    answer = answerer.answer
    scripts = {False: Script(labels=right(DUTCH)), True: Script(labels=right(DUTCH, sentiment="positive"))}

    async def by_prompt(request: ConverseRequest) -> Reply:
        answerer.script = scripts["The candidate." in request.system_text]
        return await answer(request)

    monkeypatch.setattr(answerer, "answer", by_prompt)
    worse = ("--language", "nl", "--candidate", candidate)
    assert shell.run(*worse, "--gate") == (WORSE, 2 * len(DUTCH))
    assert re.search(r"sentiment .* accuracy .* worse", shell.printed)
    assert "better 0, worse 1, inconclusive 9." in shell.printed
    assert shell.run(*worse)[0] == 0  # without the gate it is a report
    monkeypatch.setenv("CS_FEATURES_PROMPTS_DIR", str(candidate))
    shutil.copytree(PROMPTS / "golden", candidate / "golden")
    assert shell.run("--language", "nl", "--candidate", PROMPTS, "--gate") == (0, 0)
    assert "better 1, worse 0, inconclusive 9." in shell.printed


def test_a_candidate_that_cannot_give_the_labels_is_told_before_it_is_asked(shell: Shell, candidate: Path) -> None:
    """With a topic renamed, every item about it counted as a loss of the candidate, at full price."""
    taxonomy = candidate / "taxonomy.yaml"
    taxonomy.write_text(taxonomy.read_text(encoding="utf-8").replace("id: fraud_security", "id: fraud"), "utf-8")
    for path in [candidate / "instructions.md", *(candidate / "countries").glob("*.md")]:
        path.write_text(path.read_text(encoding="utf-8").replace("fraud_security", "fraud"), encoding="utf-8")
    assert shell.run("--language", "it", "--candidate", candidate) == (2, 0)
    assert re.search(r"golden/\w\w\.jsonl:\d+: labels\.primary_topic", shell.errors)
    (candidate / "countries" / "FR.md").unlink()
    assert shell.run("--language", "it", "--candidate", candidate) == (2, 0)
    assert "no country file for FR" in shell.errors


def test_no_text_of_a_customer_and_no_summary_is_printed(shell: Shell, candidate: Path) -> None:
    """The tables go into tickets and chats; what customers wrote does not belong there."""
    append(candidate / "countries" / "NL.md", "\nA line more.\n")
    shell.run("--language", "nl", "--confusion", "sentiment", "intent", "--candidate", candidate)
    output = shell.printed + shell.errors
    assert len(output) > 1_000
    assert SUMMARY not in output
    texts = [turn.text for item in DUTCH for turn in item.turns if len(turn.text) > 20]
    assert not [text for text in texts if text[:20] in output]


def test_confusion_matrices_are_printed_on_request(shell: Shell) -> None:
    """Which two values are mixed up is what tells how to change the prompt."""
    shell.lab.stack.answerer.script = Script(labels=right(CORPUS, resolution_status="escalated"))
    shell.run("--language", "it", "ca", "--confusion", "resolution_status")
    assert [line for line in shell.printed.splitlines() if line.startswith("resolution_status,")] == [
        f"resolution_status, {where}: labels in rows, answers in columns" for where in ("ca", "it", "all")
    ]
    counts = Counter(item.labels["resolution_status"] for item in CORPUS if item.language in ("it", "ca"))
    for label, count in counts.items():
        assert re.search(rf"│ {label} +┆ {count} +│", shell.printed)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--gate"], "--gate needs"),
        (["--limit", "5"], "--limit is"),
        (["--labelled", "x", "--language", "nl"], "--labelled takes"),
        (["--labelled", "x", "--limit", "0"], "--limit is"),
        (["--candidate-model", "global.anthropic.claude"], "invalid choice"),
    ],
)
def test_options_that_make_no_sense_together_are_refused(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--gate` without a candidate passed for months: it had nothing to fail for."""
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 2
    assert told in capsys.readouterr().err


def test_a_language_without_items_is_told(shell: Shell, candidate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A typing error in LANGUAGES ended in a division by zero."""
    assert shell.run("--language", "it", "sv") == (2, 0)
    assert "no items in sv" in shell.errors
    monkeypatch.setenv("CS_FEATURES_PROMPTS_DIR", str(candidate))
    assert shell.run() == (2, 0)
    assert "no items in any language" in shell.errors


def test_labelled_texts_are_asked_once_and_a_larger_sample_asks_the_difference(shell: Shell, tmp_path: Path) -> None:
    """A second, independent source at the price of the texts that have something to compare."""
    folder = folder_of(tmp_path, REVIEWS)
    assert shell.run("--labelled", folder, "--limit", "5") == (0, 5)
    assert shell.run("--labelled", folder, "--limit", "12") == (0, 7)
    assert shell.run("--labelled", folder) == (0, 8)
    assert shell.run("--labelled", folder) == (0, 0)
    assert re.search(r"│ pl +┆ sentiment +┆ accuracy +┆ all +┆ 0\.\d+ +┆ 0\.\d+ +┆ 0\.\d+ +┆ 20 ", shell.printed)
    assert "left out 10: PolEmo: ambivalent, which has no equivalent" in shell.printed
    assert "Tekst" not in shell.printed + shell.errors
    assert shell.ledgers() == Counter({f"ledger/labelled/{DEFAULT.model_id}": 1})
    assert shell.run("--labelled", tmp_path / "nowhere") == (2, 0)
    assert "labels.jsonl does not exist" in shell.errors


def test_a_country_whose_file_is_half_written_is_left_out_and_named(
    shell: Shell, candidate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DE.md was being written, and nobody could be evaluated (fault 43)."""
    shutil.copytree(PROMPTS / "golden", candidate / "golden")
    path = candidate / "countries" / "BE.md"
    path.write_text(path.read_text(encoding="utf-8").split("## Examples", 1)[0], encoding="utf-8")
    monkeypatch.setenv("CS_FEATURES_PROMPTS_DIR", str(candidate))
    code, calls = shell.run("--language", "it")
    assert (code, calls) == (0, 8)  # those of France; seven are Belgian
    assert "left out: " in shell.errors
    assert "BE.md:" in shell.errors


def test_labelled_texts_of_a_country_without_prompts_are_told(
    shell: Shell, candidate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The corpus of a country that is not served yet ended in a KeyError."""
    (candidate / "countries" / "PL.md").unlink()
    monkeypatch.setenv("CS_FEATURES_PROMPTS_DIR", str(candidate))
    assert shell.run("--labelled", folder_of(tmp_path, REVIEWS)) == (2, 0)
    assert "countries/PL.md does not exist" in shell.errors


def test_scores_are_evaluated_as_they_count_and_fitted_as_they_were_said(
    make_lab: Callable[..., Lab], candidate: Path
) -> None:
    """Evaluated without its country's correction, a score that is right in the store was called wrong."""
    country = candidate / "countries" / "NL.md"
    text = re.sub(r"(?m)^calibration:.*\n(?:[ \t]+.*\n)*", "", country.read_text(encoding="utf-8"))
    knots = f"{{{DEFAULT.model_id}: {{urgency_score: {{threshold: 0.6, knots: [[0, 0], [1, 0.5]]}}}}}}"
    country.write_text(text.replace("country: NL\n", f"country: NL\ncalibration: {knots}\n", 1), encoding="utf-8")
    lab = make_lab(prompts_dir=candidate)
    lab.stack.answerer.script = Script(labels=right(DUTCH))
    model, data = lab.resources["model"], lab.resources["data"]
    counted = ask_golden_items(DUTCH, model, data, lambda *_: None)
    as_said = ask_golden_items(DUTCH, model, data, lambda *_: None, as_said=True)
    assert (counted.calls, as_said.calls) == (len(DUTCH), 0)
    assert as_said.frame["urgency_score"].to_list() == [item.labels["urgency_score"] for item in DUTCH]
    corrected = dict(counted.frame.select("id", "urgency_score").iter_rows())
    assert corrected == {
        item.id: pytest.approx(item.labels["urgency_score"] / (2 if item.country == "NL" else 1), abs=1e-3)
        for item in DUTCH
    }


def test_intervals_cover_planted_errors_and_a_planted_drop_is_never_better(
    make_lab: Callable[..., Lab], stack: AwsAndModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reduced form of `python -m cs_features.local.bench quality`, which draws 200 times over all languages."""
    lab = make_lab(requests_per_minute=60_000)
    monkeypatch.setattr(stack.answerer, "answer", PlantedAnswerer().answer)
    items = [item for item in CORPUS if item.language in ("it", "uk")]
    seen = [ask_draw(number, items, lab.resources["model"], lab.resources["data"]) for number in range(4)]
    assert [each["calls"] for each in seen] == [2 * len(items)] * 4
    assert {len(each["comparisons"]) for each in seen} == {3 * 10}
    figures = {figure.what: figure for figure in figures_of(seen)}
    assert figures["accuracy intervals that cover the planted accuracy"].value >= 0.9  # type: ignore[operator]
    assert figures["macro-F1 intervals that cover the planted one"].value >= 0.9  # type: ignore[operator]
    assert figures["a 5-point drop called better, of all comparisons"].met
