"""Summaries against their texts: made-up numbers and names are found, and what a faithful summary writes is not."""

import pytest

from cs_features.quality.grounding import (
    LENGTH,
    find_unsupported_claims,
    has_asked_length,
    is_english,
    measure_stated_facts,
    repeats_prompt_example,
)
from cs_features_tests.support.desk import PROMPTS_READ
from cs_features_tests.support.lab import PROMPTS

DUTCH = "Ik heb op 14 maart € 1.250,50 betaald aan Van Dijk, en het is nog niet geleverd. Bel me na twee weken."


@pytest.mark.parametrize(
    ("summary", "text", "found"),
    [
        ("Customer paid 1,250 euros on 14 March and waits for delivery.", DUTCH, []),
        ("Customer paid 1,520 euros on 15 March.", DUTCH, ["15", "1520"]),
        ("Customer wants a call in two weeks.", DUTCH, []),
        ("Customer wants a call in 2 weeks.", DUTCH, []),  # the text says it in a word, in its own language
        ("Customer paid Van Dijk and not Jansen.", DUTCH, ["Jansen"]),
        ("Customer paid van Dijk, says Mr. Jansen. Jansen waits.", DUTCH, ["Jansen"]),
        ("The Dutch customer in Belgium waits since a Monday in March, before Easter.", DUTCH, []),
        ("Customer asks the Agent for a PDF by WhatsApp.", DUTCH, ["WhatsApp"]),
        ("This was the worst. The customer leaves.", DUTCH, []),
        ("Customer met Kowalski in Warsaw.", "Byłam u pana Kowalskiego w Warszawie.", []),
        ("Customer visited Lodz and Gdansk.", "Jadę z Łodzi do Gdańska.", []),
        ("Customer praises Anna.", "Chwalę panią Annę za pomoc.", []),
        ("Customer flew to Brussels.", "Mon vol pour Bruxelles est annulé.", []),
        (
            "Customer Ahmed paid 300 and 700.",
            "دفعت ٣٠٠ درهم، أنا أحمد",
            ["700"],
        ),  # a name cannot be compared across scripts
        ("Customer says the Wi-Fi in room 204 is slow.", "wifi traag op kamer 204", []),
    ],
)
def test_what_the_text_lacks_is_found_and_what_it_has_is_not(summary: str, text: str, found: list[str]) -> None:
    """A summary named an amount that nobody had said; and an English weekday in a Dutch text is no invention."""
    assert find_unsupported_claims(summary, text) == found


def test_no_worked_example_of_the_prompts_is_called_ungrounded_foreign_or_unfit() -> None:
    """They are what the model is told to write like: a rule that they break would be the rule's fault."""
    examples = PROMPTS_READ.list_examples()
    assert len(examples) > 10
    for example in examples:
        summary = example.answer["summary"]
        assert find_unsupported_claims(summary, example.text) == []
        assert is_english(summary, example.language)
        assert has_asked_length(summary)
        assert not repeats_prompt_example(
            summary, [other.answer["summary"] for other in examples if other is not example]
        )


def test_a_summary_that_repeats_an_example_with_small_changes_is_found() -> None:
    """The small model copies the first example and changes a word; equality alone let that through."""
    example = PROMPTS_READ.examples[0].answer["summary"]
    assert repeats_prompt_example(example, [example])
    assert repeats_prompt_example(example.upper().replace(",", "").replace(".", "!"), [example])
    assert repeats_prompt_example(example.replace("noon", "one", 1), [example])
    assert not repeats_prompt_example(
        "Customer wanted a table, and the restaurant had none left for the evening.", [example]
    )


@pytest.mark.parametrize(
    ("summary", "language", "english"),
    [
        ("Customer asks where the parcel is and gets no answer.", "nl", True),
        ("Klant vraagt waar het pakket blijft en krijgt geen antwoord.", "nl", False),
        ("Cliente pregunta dónde está su paquete y no recibe respuesta.", "ca", False),
        ("El client pregunta on és el paquet i no rep resposta.", "ca", False),
        ("Müşteri kargonun nerede olduğunu soruyor ve yanıt alamıyor.", "tr", False),
        ("Klant vraagt waar het pakket blijft en krijgt geen antwoord.", "en", False),
        ("Kunde fragt, wo das Paket bleibt, und bekommt keine Antwort.", "tr", False),
        ("Client demande un remboursement.", "en", False),
        ("", "en", False),
    ],
)
def test_a_summary_in_another_language_is_not_english(summary: str, language: str, english: bool) -> None:
    """Summaries are read by people who know no Polish; for English items, any language passed."""
    assert is_english(summary, language) == english


def test_the_fit_length_is_the_one_that_the_prompt_asks_for() -> None:
    """Changed in the instructions alone, the measure would go on judging by the old length."""
    assert f"{LENGTH[0]} to {LENGTH[1]} characters" in (PROMPTS / "instructions.md").read_text(encoding="utf-8")
    assert [has_asked_length("x" * length) for length in (89, 90, 180, 181)] == [False, True, True, False]


def test_facts_are_told_by_any_of_their_expressions_in_any_case() -> None:
    """ "Reimbursed" is as good as "refund"; a summary that has both still tells one fact."""
    facts = [["refund", "reimburs"], ["late", "delay"]]
    assert measure_stated_facts("Customer was REIMBURSED for the delay.", facts) == 1
    assert measure_stated_facts("Refund, reimbursed, money back.", facts) == 0.5
    assert measure_stated_facts("", facts) == 0
