"""What the contract asks of a summary, rule by rule: what must not pass, and what must."""

import json
import unicodedata
from datetime import date

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from cs_features.extraction.prompts import load_prompt_folder
from cs_features.languages import is_english
from cs_features.schemas import Extraction
from cs_features.summary_rules import (
    SUMMARY_RULES,
    find_broken_rule,
    is_plain_summary,
    is_readable_summary,
    names_no_person,
)
from cs_features_tests.support.features import VALID
from cs_features_tests.support.lab import PROMPTS
from cs_features_tests.support.summaries import ENGLISH, FOREIGN

HARMLESS = [
    "room 412",
    "\u20ac 1,299.00",
    "24/7",
    "by 18:30",
    "in 2026",
    "a T-shirt, size 42",
    "@ the desk",
    "invoice 123456",
    "on 2026-11-20",
    "on 20.11.2026",
    "on 20/11/2026",
    "on 20-11-2026",
    "from 2024-2026",
    "season 2024/2025",
    "2024/25 season",
    "between 20.11.2026 and 25.11.2026",
    "20.11.2026-25.11.2026",
    "20.11.2026 \u2013 25.11.2026",
    "2026-11-20/2026-11-25",
    "2026-11-20 18:30",
    "on 20. 11. 2026",
    "11/20/2026",
    "\u20ac 1.234.567",
    "1,234,567 points",
    "1.234,56 euros",
    "12 345,67 zł",
    "\u20ac 49.99-59.99",
    "from 18:30 to 19:45",
    "18:30-19:45",
    "12.5% to 15.75%",
    "between 10-20% and 30-40%",
    "2 x 500 ml and 3 x 250 ml",
    "1000 pieces at 12.50 each",
    "iOS 17.2.1 and 10.15.7",
    "ages 8-10, 12-14, 16-18",
    "flight on 3.1.2027 at 6.45",
    "2022, 2023 and 2024",
    "in 2022, 2023, 2024",
    "order of 1200 units in 2026",
    "(2024-2026)",
    "by 31.12.2026, not before",
    "on 20.11.2026.",
    "12345.67 euros",
    "from 1999 \u2013 2024",
    "the 1990s-2000s",
    "valid 01/01/2026 - 31/12/2026",
    "price rose from 12,99 to 14,99",
    "10 000 steps",
    "born three weeks ago, baby food late",
    "asks for a birthday cake for 8 people",
]

PERSONAL = [
    "phone 23.45.1967",
    "number 1967-23-05",
    "number 41/12/1999",
    "write to jan.de-vries+shop@example.co.uk",
    "IBAN NL91ABNA0417164300",
    "IBAN BE68 5390 0754 7034",
    "call +31 6 12345678",
    "call 06-12 34 56 78",
    "call (020) 123 4567",
    "card 4111 1111 1111 1111",
    "order 123456789",
    "order ١٢٣٤٥٦٧",
    "0471/23.45.67",
    "0471 23 45 67",
    "0471 23 45 67",
    "0471\u201323\u201345\u201367",
    "\uff10\uff14\uff17\uff11\uff12\uff13\uff14\uff15\uff16\uff17",
    "0\u200b4\u200b7\u200b1\u200b2\u200b3\u200b4\u200b5\u200b6\u200b7",
    "jos\xe9@\u4f8b\u3048.jp",
    "josé@correo.es",
    "jan at example dot com",
    "jan (at) example (dot) com",
    "jan\uff20example.com",
    "DNI 12.345.678-Z",
    "BSN 123456782",
    "NISS 85.07.30-033.28",
    "PESEL 44051401359",
    "card 4111-1111-1111-1111",
    "card 4111.1111.1111.1111",
    "order ORD-2026-00123",
    "order 2026-11-20-4711",
    "2026-11-20 0612345678",
    "+48 601 234 567",
    "601 234 567",
    "601.234.567",
    "601-234-567",
    "0033 1 23 45 67 89",
    "IP 192.168.100.24",
    "born on 12.04.1967",
    "date of birth 1967-04-12",
    "12345678",
    "NL91 ABNA 0417 1643 00",
    "LV80 BANK 0000 4351 9500 1",
    "https://x.nl/r?t=abc",
    "1 85 05 78 006 084 36",
    "customer 7654321",
    "+31(0)6-12345678",
    "4111,1111,1111,1111",
    "tel 12 34 567 89",
    "06·12·34·56·78",
    "phone 20.11.2026.4711",
]

RESIDUE = [
    "</parameter></invoke>",
    '<parameter name="summary">A customer asks.',
    "<function_calls>",
    "A customer asks.antml:invoke",
    "```json",
    '{"summary": "A customer asks."}',
    "[/INST] A customer asks.",
    "A customer asks.<|im_end|>",
    "<<SYS>>",
    "A **very** late parcel.",
    "# Summary",
    "[a link](somewhere)",
    "late &amp; angry",
    "late\\nangry",
    'sentiment="neutral" />',
    "A customer asks.</s>",
    "parameter>",
    "\uff1cb\uff1e",
    "=HYPERLINK(somewhere)",
    "+cmd",
    "-2 stars",
    "@SUM(1)",
    "  =cmd",
]
UNSEEN = [
    "",
    " ",
    "12 %",
    "...",
    "\U0001f44d\U0001f3fd",
    "\u200b\u200b",
    "A customer\x00 asks.",
    "A customer\x1b[31m asks.",
    "A customer\nasks.",
    "A customer \u202egnp.exe asks.",
    "A customer asks.\U000e0041\U000e0042",
    "A cus\u200btomer asks.",
    "A cus\u00adtomer asks.",
    "A customer\u2028asks.",
    "A customer \ud83d asks.",
    "A customer \ue000 asks.",
]


@pytest.mark.parametrize(
    "hidden", ["\ufe01\ufe02", "\U000e0101", "\u034f", "\u3164", "\u2800", "\u115f", "\u17b4", "\u180b"], ids=ascii
)
def test_a_summary_hides_nothing_from_its_reader(hidden: str) -> None:
    """Selectors of a letter's shape spell out a whole text that nobody sees: 256 of them, one for each byte."""
    assert not is_readable_summary(f"The customer{hidden} asks for help.")


def test_marks_heaped_upon_a_letter_are_no_spelling() -> None:
    assert not is_readable_summary("The customer asks f\u0301\u0302\u0303\u0304or help.")
    assert is_readable_summary("The customer \u2764\ufe0f Jose\u0301's help.")


@given(st.text(st.sampled_from("ae \u0301\u0302\u0344\u0958\u093c\u0f71\ufb2c\U0001d164é"), max_size=8))
@example("a\u0344\u0344")
def test_marks_are_counted_wherever_they_stand(text: str) -> None:
    """Only what is beyond ASCII is looked at: what that leaves out must hold no heap."""
    composed = unicodedata.normalize("NFC", f"A customer {text}")
    marks = "".join("m" if unicodedata.category(each)[0] == "M" else " " for each in composed)
    assert is_readable_summary(f"A customer {text}") == ("mmm" not in marks)


@pytest.mark.parametrize("text", PERSONAL, ids=ascii)
def test_what_identifies_somebody_does_not_pass(text: str) -> None:
    """Summaries are read by people who may not see the conversations, and live on in training data; a no-break
    space, an en dash, a slash, full-width digits or a zero-width character hid a phone number from the pattern."""
    assert not names_no_person(f"Customer says: {text}.") or not names_no_person(text)


@pytest.mark.parametrize("text", HARMLESS)
def test_dates_amounts_times_and_quantities_identify_nobody(text: str) -> None:
    """Summaries with 2026-11-20 or 20.11.2026 were asked for three times and then rejected as "a long number"
    (fault 32): 59 of 200 harmless ones were."""
    assert names_no_person(f"Customer asks {text} please.")


@pytest.mark.heavy
@given(st.dates(date(2010, 1, 1), date(2099, 12, 31)), st.sampled_from(["%Y-%m-%d", "%d.%m.%Y", "%d/%m/%Y"]))
def test_every_date_passes_and_no_longer_number_hides_behind_one(day, spelling) -> None:  # type: ignore[no-untyped-def]
    """An order number that begins like a date is an order number. Older dates are of births."""
    spelled = day.strftime(spelling)
    assert names_no_person(f"Customer asks for {spelled} instead.")
    assert not names_no_person(f"Customer names {spelled}-4711 instead.")
    assert not names_no_person(f"Customer names {spelled} 4711234 instead.")


@given(
    st.text("0123456789", min_size=7, max_size=19),
    st.sampled_from(["", " ", "-", "/", "\u00a0", "\u2013", "\u200b", " (", ")"]),
)
def test_a_long_number_does_not_pass_whatever_stands_between_them(digits: str, between: str) -> None:
    """Phones, cards, accounts, customers and orders: nobody can list their spellings, so what is harmless is listed."""
    assert not names_no_person(f"Customer names {between.join(digits)} as theirs.")


@pytest.mark.parametrize("text", RESIDUE, ids=ascii)
def test_residue_of_markup_and_tool_calls_does_not_pass(text: str) -> None:
    """Claude ends a tool's input with </parameter></invoke> now and then: it was validated and published (fault 30).
    A summary that begins with = is run by the spreadsheet in which somebody opens the export."""
    assert not is_plain_summary(text)


@pytest.mark.parametrize("text", UNSEEN, ids=ascii)
def test_what_a_reader_cannot_see_does_not_pass(text: str) -> None:
    """Bidi and tag characters, NUL and ANSI all reached the online store."""
    assert not is_readable_summary(text)


def test_english_summaries_pass_though_names_in_them_are_foreign() -> None:
    """A refused summary is paid for three times and lost: at most one of a hundred."""
    refused = [summary for summary in ENGLISH if find_broken_rule(summary)]
    assert len(ENGLISH) >= 199
    assert len(refused) <= 2, refused


def test_the_examples_that_the_model_is_shown_keep_every_rule() -> None:
    examples = [example.answer["summary"] for example in load_prompt_folder(PROMPTS).list_examples()]
    assert [summary for summary in examples if find_broken_rule(summary)] == []


@pytest.mark.parametrize(("language", "summary"), FOREIGN)
def test_a_summary_in_another_language_does_not_pass(language: str, summary: str) -> None:
    """Dutch and Polish summaries were validated, and nothing noticed (fault 31)."""
    assert not is_english(summary)


@pytest.mark.parametrize("summary", ["Refund.", "Password reset.", "Praise for staff.", "Demande de facture."])
def test_a_summary_that_is_too_short_to_tell_passes(summary: str) -> None:
    """A library that must answer calls "Password reset." French."""
    assert is_english(summary)


@pytest.mark.parametrize("rule", SUMMARY_RULES, ids=lambda rule: rule.name)
def test_a_complaint_does_not_quote_the_summary(rule) -> None:  # type: ignore[no-untyped-def]
    """The complaint goes back to the model, into tables and into logs."""
    wrong = {
        "readable": "jan@\u202eexample.com",
        "no_markup": "jan@example.com</s>",
        "no_personal_data": "jan@example.com",
        "in_english": "Klant vraagt of jan wel thuis is en waar het pakket dan blijft.",
    }[rule.name]
    with pytest.raises(ValidationError) as refusal:
        Extraction.model_validate(VALID | {"summary": wrong})
    assert refusal.value.errors()[0]["type"] == rule.name
    assert "jan" not in json.dumps(refusal.value.errors(include_input=False, include_url=False))


@pytest.mark.parametrize(
    "piece", ["a", "1 ", "< ", "a@", "(1) ", "at ", "2026-11-20 ", "1.234.567 ", "\u00a0", "AB12", "["]
)
def test_the_rules_take_time_in_proportion_to_the_text(piece: str) -> None:
    """A pattern that tries every split of 24,000 characters held a worker for seconds: here it would for hours."""
    text = piece * (200_000 // len(piece))
    for rule in SUMMARY_RULES:
        rule.keeps(text)
