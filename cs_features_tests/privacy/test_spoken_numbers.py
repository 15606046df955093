"""What a customer dictates on the telephone is masked in the transcript as what he types is in a chat."""

import pytest

from cs_features.privacy.masking import mask_personal_data

DICTATED = {
    "nl": "nul zes, twaalf, vierendertig, zesenvijftig, achtenzeventig",
    "nl, one by one": "nul zes een twee drie vier vijf zes zeven acht",
    "fr": "zéro six, douze, trente-quatre, cinquante-six, soixante-dix-huit",
    "fr of Belgium": "zéro quatre septante-huit douze nonante-neuf trente et un",
    "es": "seiscientos doce trescientos cuarenta y cinco seiscientos setenta y ocho",
    "pl": "sześćset dwanaście trzysta czterdzieści pięć sześćset siedemdziesiąt osiem",
    "en": "oh six one two, three four five, double six eight",
    "de": "null sechs zwölf vierunddreißig sechsundfünfzig achtundsiebzig",
    "it": "zero uno due trentaquattro cinquantasei settantotto",
    "pt": "nove um dois três quatro cinco seis sete oito",
    "uk": "нуль шість сім один два три чотири п'ять",
    "digits among them": "06 twaalf 34 zesenvijftig 7 8 acht",
    "over two lines": "one two three four\nfive six seven",
}

HARMLESS = (
    "Ik heb er een, twee of drie keer over gebeld.",
    "Quatre-vingt-dix-neuf euros, et un autre à deux mille neuf cent quatre-vingt-dix-neuf.",
    "Cuesta dos mil trescientos cuarenta y cinco con sesenta y siete.",
    "Dwa tysiące trzysta czterdzieści pięć złotych, od dwudziestego pierwszego maja.",
    "Sizes 1, 2, 3, 4, 5, 6 and seven are sold out; one or two are on their way.",
    "De un à dix, je donne un sept ou un huit.",
    "Van negen tot vijf, op een, twee en drie mei tweeduizend vijfentwintig.",
)


@pytest.mark.parametrize("number", DICTATED.values(), ids=DICTATED)
def test_a_number_that_was_dictated_is_masked_whole(number: str) -> None:
    """It stood in the request and in two summaries, because every pattern looked for digits."""
    masked = mask_personal_data(f"Mon numéro: {number}, merci", "FR").text
    assert masked.replace("Mon numéro: ", "").replace(", merci", "") == "[NUMBER_1]"


@pytest.mark.parametrize("text", HARMLESS)
def test_prices_dates_and_choices_in_words_are_left_alone(text: str) -> None:
    """A masked price takes the matter itself from the model."""
    assert mask_personal_data(text, "NL").text == text
