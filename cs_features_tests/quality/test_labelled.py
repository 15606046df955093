"""Texts with their own sources' labels: what is mapped to ours, what is left out, which are asked, what is told."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from cs_features.quality.evaluation import compute_wilson_interval
from cs_features.quality.labelled import (
    Expected,
    RequestError,
    build_labelled_frame,
    load_labelled_interactions,
    measure_label_agreement,
    translate_source_labels,
)
from cs_features_tests.support.labelled import REVIEWS, folder_of

GOAL, CALM, ANNOYED = (
    "Did the assistant reserve your hotel?",
    "Did the assistant stay calm and helpful throughout the dialogue?",
    "Did the user become aggressive or annoyed during the dialogue?",
)


def star(
    topic: str = "hotel_book", completion: str = "Complete", goal: bool | None = True, annoyed: bool | None = False
) -> dict[str, Any]:
    """STAR's labels, as `labels.jsonl` has them."""
    user = {CALM: True} if goal is None else {GOAL: goal, CALM: True}
    wizard = {} if annoyed is None else {"Did the user change his/her mind?": True, ANNOYED: annoyed}
    return {
        "topic": [topic],
        "completion": completion,
        "user_questionnaire": user if completion == "Complete" else {},
        "wizard_questionnaire": wizard,
    }


@pytest.mark.parametrize(
    ("source", "labels", "expected"),
    [
        ("polemo2.0-in", {"sentiment": "negative"}, Expected(sentiment="negative")),
        ("polemo2.0-out", {"sentiment": "neutral"}, Expected(sentiment="neutral")),
        ("star", star(), Expected(resolution_status="resolved", annoyed=False)),
        ("star", star("bank_balance", annoyed=True), Expected(resolution_status="resolved", annoyed=True)),
        ("star", star(completion="DisconnectDuringDialogue", annoyed=None), Expected(resolution_status="pending")),
        ("star", star(completion="EarlyDisconnectDuringDialogue", annoyed=None), Expected(resolution_status="pending")),
        ("star", star("bank_fraud_report", annoyed=True), Expected(annoyed=True)),
        ("star", star(goal=False, annoyed=True), Expected(annoyed=True)),
    ],
)
def test_a_source_label_says_in_our_terms_what_it_implies(source: str, labels: Any, expected: Expected) -> None:
    """A mapping that nobody wrote down cannot be argued with."""
    assert translate_source_labels(source, labels) == expected


@pytest.mark.parametrize(
    ("source", "labels"),
    [
        ("polemo2.0-in", {"sentiment": "ambivalent"}),  # our rules let the verdict decide
        ("star", star("bank_fraud_report")),  # somebody will look at it: pending by our rules
        ("star", star("hotel_service_request")),
        ("star", star(goal=False)),  # resolved if the customer accepts the refusal, which no label says
        ("star", star(goal=None)),
        ("abcd", {"topic": "product_defect"}),
    ],
)
def test_a_label_that_implies_nothing_of_ours_is_left_out(source: str, labels: Any) -> None:
    """Mapped by force, `ambivalent` counted a fair `negative` as an error in one of four reviews."""
    assert translate_source_labels(source, labels) == Expected(
        left_out=translate_source_labels(source, labels).left_out
    )
    assert translate_source_labels(source, labels).left_out


def test_what_has_no_label_of_ours_is_not_asked_but_counted(tmp_path: Path) -> None:
    """Each question costs money, also the one whose answer is compared with nothing."""
    items, left_out = load_labelled_interactions(folder_of(tmp_path, REVIEWS))
    assert Counter(item.expected.sentiment for item in items) == {"positive": 10, "negative": 10}
    assert left_out == {"PolEmo: ambivalent, which has no equivalent": 10}
    assert {item.interaction.language for item in items} == {"pl"}


def test_a_larger_limit_keeps_what_a_smaller_one_has_asked(tmp_path: Path) -> None:
    """Drawn anew, a sample of 120 paid again for the 60 that were asked the day before."""
    folder = folder_of(folder_of(tmp_path, REVIEWS), [("star", star())] * 20, language="en")
    chosen = []
    for limit in (3, 8, 50):
        items, _ = load_labelled_interactions(folder, limit)
        count = Counter(item.interaction.language for item in items)
        assert count == {"pl": min(limit, 20), "en": min(limit, 20)}
        chosen.append({str(item.interaction.interaction_id) for item in items})
    assert chosen[0] < chosen[1] < chosen[2]
    # And the sample is not the beginning of the file, where one source stands.
    ids = [json.loads(line)["interaction_id"] for line in (folder / "labels.jsonl").read_text().splitlines()]
    assert chosen[1] & set(ids[30:]) != set(ids[30:38])


def test_a_folder_that_cannot_be_read_is_told_by_file_and_line_without_its_text(tmp_path: Path) -> None:
    """The error printed the customer's whole letter into the terminal, and from there into a ticket."""
    with pytest.raises(RequestError, match=r"labels\.jsonl does not exist"):
        load_labelled_interactions(tmp_path)
    folder = folder_of(tmp_path, REVIEWS[:2])
    landing = next((folder / "landing").rglob("*.jsonl"))
    whole = landing.read_text()
    landing.write_text(whole.replace('"channel": "review", "text": "Tekst 1"', '"channel": "Tajny list", "text": "a"'))
    with pytest.raises(RequestError, match=r"pl\.jsonl:2: channel") as told:
        load_labelled_interactions(folder)
    assert "Tajny" not in str(told.value)
    landing.write_text(whole.splitlines()[0] + "\n")
    with pytest.raises(RequestError, match="no document in landing/"):
        load_labelled_interactions(folder)
    (folder / "labels.jsonl").write_text('{"source": "star"}\n')
    with pytest.raises(RequestError, match=r"labels\.jsonl:1: no label"):
        load_labelled_interactions(folder)


def test_agreement_is_told_for_each_label_and_an_unanswered_item_agrees_with_none(tmp_path: Path) -> None:
    """Six of seven STAR chats are resolved: always saying so has an accuracy of 0.86 and a recall of 0."""
    chats = [("star", star())] * 6 + [("star", star(completion="DisconnectDuringDialogue", annoyed=None))] * 2
    items, _ = load_labelled_interactions(folder_of(tmp_path, chats, language="en"))
    answers: dict[str, Any] = {
        str(item.interaction.interaction_id): {"sentiment": "neutral", "resolution_status": "resolved"}
        for item in items
    }
    resolved = next(item for item in items if item.expected.resolution_status == "resolved")
    answers[str(resolved.interaction.interaction_id)] = None
    rows = {
        (row["field"], row["measure"], row["among"]): (row["value"], row["low"], row["high"], row["items"])
        for row in measure_label_agreement(build_labelled_frame(items, answers)).iter_rows(named=True)
    }
    assert rows == {
        ("resolution_status", "accuracy", "all"): (5 / 8, *compute_wilson_interval(5, 8), 8),
        ("resolution_status", "recall", "resolved"): (5 / 6, *compute_wilson_interval(5, 6), 6),
        ("resolution_status", "recall", "pending"): (0, *compute_wilson_interval(0, 2), 2),
        ("sentiment", "called negative", "not annoyed"): (0, *compute_wilson_interval(0, 6), 6),
    }


def test_annoyed_customers_are_set_against_the_others() -> None:
    """Annoyance is a manner: that half of the annoyed are called negative says something only beside the rest."""
    frame = pl.DataFrame(
        {
            "language": ["en"] * 8,
            "sentiment": ["negative", "negative", "neutral", None, "negative", "neutral", "positive", "neutral"],
            "resolution_status": ["pending"] * 8,
            "sentiment_label": [None] * 8,
            "resolution_status_label": [None] * 8,
            "annoyed": [True, True, True, True, False, False, False, None],
        },
        schema_overrides={"sentiment_label": pl.String(), "resolution_status_label": pl.String()},
    )
    found = measure_label_agreement(frame)
    assert found.select("among", "value", "items").rows() == [("annoyed", 0.5, 4), ("not annoyed", 1 / 3, 3)]
