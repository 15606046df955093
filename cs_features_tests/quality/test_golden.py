"""The golden corpus: what is wrong in it is told with file and line, and the shipped one is what it says it is."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from cs_features.errors import PromptError
from cs_features.quality.golden import GoldenItem, load_golden_corpus
from cs_features_tests.support.desk import PROMPTS_READ
from cs_features_tests.support.golden import LABELS, item
from cs_features_tests.support.lab import PROMPTS


def corpus(folder: Path, *lines: Any, language: str = "nl") -> Path:
    """A prompts folder whose golden corpus has these lines; text is taken as it is."""
    (folder / "golden").mkdir(exist_ok=True)
    text = "".join((line if isinstance(line, str) else json.dumps(line, ensure_ascii=False)) + "\n" for line in lines)
    (folder / "golden" / f"{language}.jsonl").write_text(text, encoding="utf-8")
    return folder


def problems(folder: Path) -> list[str]:
    """What is told of the corpus, without the folder's name."""
    with pytest.raises(PromptError) as told:
        load_golden_corpus(folder, PROMPTS_READ)
    return [line.removeprefix(f"{folder}/golden/") for line in str(told.value).splitlines()]


@pytest.mark.parametrize(
    ("labels", "where"),
    [
        ({"sentiment": "angry"}, "sentiment"),
        ({"primary_topic": "weather"}, "primary_topic"),
        ({"intent": "billing_payment"}, "intent"),
        ({"resolution_status": "closed"}, "resolution_status"),
        ({"urgency_score": 1.2}, "urgency_score"),
        ({"csat_indicator": "high"}, "csat_indicator"),
    ],
)
def test_a_label_that_no_answer_can_have_is_told_with_its_line(
    tmp_path: Path, labels: dict[str, Any], where: str
) -> None:
    """A topic renamed in the taxonomy and not in the corpus made every answer to its items wrong, for a month."""
    told = problems(corpus(tmp_path, item(1), item(2, labels=labels)))
    assert all(line.startswith("nl.jsonl:2: ") for line in told)
    assert told[0].startswith(f"nl.jsonl:2: labels.{where}: ")


def test_a_missing_or_additional_label_is_told(tmp_path: Path) -> None:
    """Scored as it stood, an item without its csat label stopped the whole evaluation with a KeyError."""
    short = {name: value for name, value in LABELS.items() if name != "csat_indicator"}
    long = LABELS | {"summary": "Customer asks."}
    told = problems(corpus(tmp_path, item(1) | {"labels": short, "labellings": [short, short]}, item(2, labels=long)))
    assert [line.split(": ")[:2] for line in told] == [
        ["nl.jsonl:1", "labels"],
        ["nl.jsonl:1", "labellings.0"],
        ["nl.jsonl:1", "labellings.1"],
        ["nl.jsonl:2", "labels"],
        ["nl.jsonl:2", "labellings.0"],
        ["nl.jsonl:2", "labellings.1"],
    ]


@pytest.mark.parametrize(
    "labels", [{"sentiment": "negative", "csat_indicator": 0.5}, {"sentiment": "positive", "csat_indicator": 0.5}]
)
def test_sentiment_and_satisfaction_that_contradict_each_other_are_told(tmp_path: Path, labels: dict[str, Any]) -> None:
    """The prompt keeps a negative customer at 0.4 or below; a label beyond that no faithful answer can meet."""
    told = problems(corpus(tmp_path, item(1, labels=labels)))
    assert told[0] == f"nl.jsonl:1: labels: sentiment {labels['sentiment']} does not go with csat_indicator 0.5"


def test_all_problems_are_told_at_once_each_with_its_line(tmp_path: Path) -> None:
    """Told one a run, the twelve errors of a new language took twelve runs of `make lint`."""
    corpus(tmp_path, item(1), "{broken", item(2, country="XX", language="fr"), item(1), "")
    corpus(tmp_path, item(1, id="pl-001", country="PL", language="pl", channel="fax"), language="pl")
    told = problems(tmp_path)
    assert [line.split(": ")[0] for line in told] == [
        "nl.jsonl:2",
        "nl.jsonl:3",
        "nl.jsonl:3",
        "nl.jsonl:4",
        "nl.jsonl:5",
        "pl.jsonl:1",
    ]
    assert "Invalid JSON" in told[0]
    assert "language fr does not belong in this file" in told[1]
    assert "no country file for XX" in told[2]
    assert "id nl-001 is taken" in told[3]
    assert "nl.jsonl:1 has it" in told[3]
    assert "channel" in told[5]


def test_an_id_may_not_occur_in_two_files(tmp_path: Path) -> None:
    """Answers are joined to items by id: two items of one id were compared with each other's answers."""
    corpus(tmp_path, item(1))
    corpus(tmp_path, item(1, country="PL", language="pl"), language="pl")
    (told,) = problems(tmp_path)
    assert told.startswith("pl.jsonl:1: id nl-001 is taken")


def test_labels_and_labellings_must_agree_on_what_was_reconciled(tmp_path: Path) -> None:
    """A label changed by hand, with both labellings saying otherwise, leaves no trace of who decided it."""
    other = LABELS | {"intent": "report_problem"}
    told = problems(
        corpus(
            tmp_path,
            item(1) | {"labels": other},
            item(2, reconciled="The first is right."),
            item(3) | {"labellings": [LABELS, other]},
            item(4) | {"labellings": [LABELS]},
        )
    )
    assert [line.split(": ")[0] for line in told] == [f"nl.jsonl:{number}" for number in (1, 2, 3, 4)]
    assert "labels differ" in told[0]
    assert "reconciled must be null" in told[1]
    assert "reconciled must be null" in told[2]


@pytest.mark.parametrize("facts", [[], [[]], [[""]], [["Refund"]]])
def test_a_fact_that_no_summary_can_state_or_that_every_one_does_is_told(tmp_path: Path, facts: Any) -> None:
    """Summaries are searched in lower case: a fact written `Refund` was never found, an empty one always."""
    (told,) = problems(corpus(tmp_path, item(1, facts=facts)))
    assert told.startswith("nl.jsonl:1: facts")


def test_a_text_may_hold_characters_at_which_python_splits_lines(tmp_path: Path) -> None:
    """A line separator (U+2028) pasted from a web chat shifted the line of every later error by one."""
    corpus(tmp_path, item(1, turns=[{"speaker": "customer", "text": "Hallo\u2028daar\x85"}]), item(2, country="XX"))
    assert problems(tmp_path) == ["nl.jsonl:2: there is no country file for XX"]


def test_a_file_that_is_not_utf_8_is_told_with_its_line(tmp_path: Path) -> None:
    """Saved by an old editor, one accent stopped `make lint` with a traceback that named no file."""
    corpus(tmp_path, item(1))
    path = tmp_path / "golden" / "nl.jsonl"
    path.write_bytes(path.read_bytes() + json.dumps(item(2)).encode().replace(b"kost", b"k\xf3st") + b"\n")
    (told,) = problems(tmp_path)
    assert told.startswith("nl.jsonl:2: ")


SHIPPED = load_golden_corpus(PROMPTS, PROMPTS_READ)


def test_the_shipped_corpus_has_thirty_items_of_each_main_language_and_fifteen_of_six_more() -> None:
    """Below fifteen, an interval spans half the scale and the figure of a language says nothing."""
    count = Counter(item.language for item in SHIPPED)
    assert all(count[language] >= 30 for language in ("nl", "fr", "es", "pl", "de", "en"))
    assert sum(number >= 15 for number in count.values()) >= 12


def test_each_shipped_country_has_items_in_the_languages_of_its_own() -> None:
    """A country without items is one whose quality nobody knows."""
    assert {item.country for item in SHIPPED} == set(PROMPTS_READ.countries)


def test_every_label_value_of_the_taxonomy_occurs_in_the_shipped_corpus() -> None:
    """A topic that no item has could be answered at random, unseen."""
    assert {item.labels["primary_topic"] for item in SHIPPED} == {entry.id for entry in PROMPTS_READ.taxonomy.topics}
    assert {item.labels["intent"] for item in SHIPPED} == {entry.id for entry in PROMPTS_READ.taxonomy.intents}


def test_an_item_becomes_the_interaction_that_a_landing_document_would() -> None:
    """Asked in another shape than real documents, the corpus would measure another prompt."""
    golden = GoldenItem.model_validate(item(1))
    interaction = golden.as_interaction()
    assert (interaction.country, interaction.language, interaction.channel) == ("NL", "nl", "chat")
    assert interaction.utterances == golden.turns
    assert interaction.interaction_id == GoldenItem.model_validate(item(1)).as_interaction().interaction_id
    assert interaction.interaction_id != GoldenItem.model_validate(item(2)).as_interaction().interaction_id
