"""Personal data in texts: what is masked, what is not, and that the same value has the same placeholder."""

import re

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
# Each of these passed a filter that knew the plain spelling.
DISGUISED = [
    *(
        "06~12~34~56~78",
        "06'12'34'56'78",
        "06:12:34:56:78",
        "06, 12, 34, 56, 78",
        "06 [12] 34 [56] 78",
        "06\n12\n34\n56\n78",
    ),
    *("06\U0001f60012\U0001f60034\U0001f60056\U0001f60078", "0    6    1    2    3    4    5    6    7    8"),
    *(
        "\u2776\u2777\u2778\u2779\u277a\u277b\u277c\u277d",
        "06\u202712\u202734\u202756\u202778",
        "06\xa612\xa634\xa656\xa678",
    ),
    *("\u0660\u0666\u0661\u0662\u0663\u0664\u0665\u0666", "06\ufe0f12\u034f345678", "06 - - 12 - - 34 - - 56 - - 78"),
    *(
        "jan@@example.com",
        "jan@example,nl",
        "jan@gmail",
        "jan.de.vries at gmail",
        "jan_at_example.nl",
        "jan%40example.com",
    ),
    *(
        "jan-at-example-dot-com",
        "jan*at*example*dot*com",
        "jan(a)example.com",
        '"jan vries"@example.com',
        "jan&#64;example.com",
    ),
    *("j a n @ e x a m p l e . c o m", "j.a.n@e.x.a.m.p.l.e.c.o.m", "jan at sign example dot com"),
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


@pytest.mark.parametrize("value", DISGUISED, ids=ascii)
def test_no_disguise_lets_a_number_or_a_mail_through(value: str) -> None:
    masked = mask_personal_data(f"Bel of schrijf {value} vandaag nog.", "NL").text
    assert re.fullmatch(r"Bel of schrijf \[[A-Z]+_1\] vandaag nog\.", masked), ascii(masked)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("Me llamo Mercedes Vega.", "Me llamo [NAME_1]."),
        ("My name is April.", "My name is [NAME_1]."),
        ("Name: June Will", "Name: [NAME_1]"),
        ("Dear May", "Dear May"),
        ("My name will be known.", "My name will be known."),
        ("I need Dr. Vega ASAP.", "I need Dr. [NAME_1] ASAP."),
        ("My pin is 5380 or 7402.", "My pin is [LOGIN_1]."),
        ("Go\u015bcie p\u0142ac\u0105 o 42 proc. mniej.", "Go\u015bcie p\u0142ac\u0105 o 42 proc. mniej."),
    ],
)
def test_words_that_are_names_too_are_told_by_what_stands_before(text: str, kept: str) -> None:
    """Read in the real texts: cars, hotels and haste were people, and who is called Mercedes or April was not."""
    assert mask_personal_data(text, "ES").text == kept


def test_an_answer_to_the_question_for_a_name_is_a_name() -> None:
    """Chats give it bare: "Could I get your name, please?", "Brian White"."""
    masked = mask_conversation_turns(["Could I get your name, please?", "Brian White", "Thanks Brian."], "NL")
    assert masked[1].text == "[NAME_1]"
