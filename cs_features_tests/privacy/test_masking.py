"""Personal data in texts: what is masked, what is not, and that the same value has the same placeholder."""

import pytest

from cs_features.privacy.masking import mask_conversation_turns, mask_personal_data

VALUES = [
    ("NL", "Mail jan (at) voorbeeld (punt) nl graag", "jan (at) voorbeeld (punt) nl", "EMAIL"),
    ("NL", "Bel 06-12 34 56 78 morgen", "06-12 34 56 78", "PHONE"),
    ("NL", "Mijn BSN is 123456782.", "123456782", "NATIONAL_ID"),
    ("NL", "Naar NL91 ABNA 0417 1643 00 graag overmaken", "NL91 ABNA 0417 1643 00", "IBAN"),
    ("NL", "Ik woon op Keizersgracht 123-2, 1015 CJ Amsterdam.", "Keizersgracht 123-2, 1015 CJ Amsterdam", "ADDRESS"),
    ("BE", "Mijn rijksregisternummer: 85.07.30-033.28", "85.07.30-033.28", "NATIONAL_ID"),
    ("FR", "Bonjour, je m'appelle Hélène Dupont et", "Hélène Dupont", "NAME"),
    ("FR", "12 bis rue de la République, 75011 Paris", "12 bis rue de la République, 75011 Paris", "ADDRESS"),
    ("FR", "née le 3 mars 1967 à", "3 mars 1967", "BIRTH_DATE"),
    ("ES", "DNI 12.345.678-Z, gracias", "12.345.678-Z", "NATIONAL_ID"),
    ("ES", "pasaporte AAA123456 caducado", "AAA123456", "PASSPORT"),
    ("PL", "PESEL 44051401359 mój", "44051401359", "NATIONAL_ID"),
    ("PL", "nazywam się Łukasz Wiśniewski, dzień", "Łukasz Wiśniewski", "NAME"),
    ("PL", "Мене звати Олена Шевченко.", "Олена Шевченко", "NAME"),
    ("NL", "card 4111-1111-1111-1111 weg", "4111-1111-1111-1111", "CARD"),
    ("NL", "zie https://x.nl/r?t=abc dus", "https://x.nl/r?t=abc", "URL"),
    ("NL", "server 10.0.0.1 down", "10.0.0.1", "IP"),
    (
        "NL",
        "klant 0\u200b6\u200b1\u200b2\u200b3\u200b4\u200b5\u200b6\u200b7\u200b8 ja",
        "0\u200b6\u200b1\u200b2\u200b3\u200b4\u200b5\u200b6\u200b7\u200b8",
        "PHONE",
    ),
]
INNOCENT = [
    "Op 2026-11-20 om 18:30 betaalde ik € 1.234,56 voor 2 stuks.",
    "Seizoen 2024/2025, van 20.11.2026 tot 25.11.2026.",
    "Stan licznika 1 234 567 kWh, 12 345,67 zł.",
    "My iPhone 15 Pro with iOS 17.2.1 shows error 404.",
    "The parcel of 2.5 kg is late; see www.shop.example/help for more.",
]


@pytest.mark.parametrize(("country", "text", "value", "kind"), VALUES, ids=lambda value: ascii(value)[:30])
def test_a_value_is_masked_whole_and_named_for_what_it_is(country: str, text: str, value: str, kind: str) -> None:
    """Names, health and addresses reached the store; full-width digits, a slash or "at" hid the rest."""
    masked = mask_personal_data(text, country)
    assert masked.text == text.replace(value, f"[{kind}_1]")
    assert [(span.kind.value, text[span.start : span.end]) for span in masked.spans] == [(kind, value)]


@pytest.mark.parametrize("text", INNOCENT)
def test_dates_amounts_times_and_products_are_left_as_they_are(text: str) -> None:
    """A masked amount costs the model the very thing that the customer speaks of."""
    assert mask_personal_data(text, "NL").text == text


def test_a_value_has_the_same_placeholder_in_all_turns_however_it_is_spelled() -> None:
    """Otherwise the model cannot tell that two numbers are one."""
    masked = mask_conversation_turns(["Bel 0612345678.", "U bedoelt 06-12 34 56 78?", "Nee, 0687654321"], "NL")
    assert [each.text for each in masked] == ["Bel [PHONE_1].", "U bedoelt [PHONE_1]?", "Nee, [PHONE_2]"]


def test_an_answer_to_the_question_for_a_name_is_a_name() -> None:
    """Chats give it bare: "Could I get your name, please?", "Brian White"."""
    masked = mask_conversation_turns(["Could I get your name, please?", "Brian White", "Thanks Brian."], "NL")
    assert masked[1].text == "[NAME_1]"
