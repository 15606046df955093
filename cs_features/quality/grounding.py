"""What a summary says of its interaction: the required facts, in English, at a fit length, and nothing made up.

Rules, not a second model, so that the same summary is always judged the same. They see numbers and names
alone: a false claim in plain words passes, and so does a name that begins a sentence.
"""

import re
import unicodedata
from collections.abc import Iterable
from difflib import SequenceMatcher

from cs_features.languages import detect_language

LENGTH = (90, 180)  # characters, as `prompts/instructions.md` asks
REPEATED = 0.9  # the share of words in common, in order, from which a summary counts as an example's
# A number up to here may stand as a word in the text, in any language, and as a digit in the summary.
MAX_SPELLED_NUMBER = 12

# A summary has one of few languages: English, the interaction's, or a big neighbour's.
_LANGUAGES = ("en", "nl", "fr", "es", "pl", "de")

# What English writes with a capital and other languages without, or by another name.
_NOT_NAMES = frozenset(
    """
    monday tuesday wednesday thursday friday saturday sunday january february march april may june july august
    september october november december christmas easter pentecost ascension ramadan eid carnival halloween
    valentine new year eve day mother father black cyber
    customer agent client caller guest patient reviewer user writer company internet wifi web app email mail
    mister mrs miss madam sir doctor atm cvv ceo diy dvd faq gdpr gps iban pdf pin qr rsvp sim sms tba usb vat vip
    europe european africa african america american asia asian arab arabic latin
    netherlands dutch holland belgium belgian flemish walloon france french spain spanish poland polish germany
    german austria austrian switzerland swiss luxembourg luxembourgish italy italian portugal portuguese brazil
    brazilian catalonia catalan basque galician frisian england english britain british scotland scottish ireland
    irish wales welsh turkey turkish ukraine ukrainian russia russian belarus belarusian czech slovakia slovak
    hungary hungarian romania romanian bulgaria bulgarian greece greek cyprus cypriot croatia croatian slovenia
    slovenian serbia serbian bosnia bosnian albania albanian denmark danish norway norwegian sweden swedish finland
    finnish iceland icelandic estonia estonian latvia latvian lithuania lithuanian malta maltese morocco moroccan
    algeria algerian tunisia tunisian egypt egyptian syria syrian lebanon lebanese iraq iraqi iran iranian israel
    israeli saudi emirates dubai china chinese japan japanese korea korean india indian pakistan pakistani thailand
    thai vietnam vietnamese indonesia indonesian surinam suriname surinamese kurdish berber mexico mexican argentina
    argentinian colombia colombian peru peruvian chile chilean canada canadian australia australian united states
    kingdom states usa
    brussels antwerp ghent bruges liege hague cologne munich vienna geneva basel zurich prague rome milan venice
    florence naples turin seville lisbon warsaw krakow cracow wroclaw lviv kyiv kiev moscow athens cairo
    marrakesh casablanca algiers tunis damascus beirut istanbul london paris
    """.split()  # noqa: SIM905
)
_TITLES = frozenset({"mr.", "mrs.", "ms.", "dr.", "st."})
_WORD = re.compile(r"[^\W\d_]+")
# Not decomposed by Unicode, but written so by whoever types without them.
_PLAIN_LETTERS = str.maketrans({"ł": "l", "ø": "o", "ß": "ss", "æ": "ae", "œ": "oe", "đ": "d", "ı": "i"})


def measure_stated_facts(summary: str, facts: list[list[str]]) -> float:
    """The share of the required facts that the summary states; any expression of a fact will do."""
    lower = summary.lower()
    return sum(_states_named_fact(lower, fact) for fact in facts) / len(facts)


def _states_named_fact(lower: str, fact: list[str]) -> bool:
    return any(expression in lower for expression in fact)


def is_english(summary: str, language: str) -> bool:
    """Whether the summary is English and not, for instance, in the interaction's `language` (ISO 639-1)."""
    return detect_language(summary, tuple(dict.fromkeys((*_LANGUAGES, language)))) == "en"


def has_asked_length(summary: str) -> bool:
    """Whether the summary has the length that the prompt asks for."""
    return LENGTH[0] <= len(summary) <= LENGTH[1]


def repeats_prompt_example(summary: str, examples: Iterable[str]) -> bool:
    """Whether the summary is one of the prompt's own examples, or nearly: weak models like to repeat them."""
    words = _split_words(summary)
    for example in examples:
        matcher = SequenceMatcher(None, words, _split_words(example), autojunk=False)
        if matcher.quick_ratio() >= REPEATED and matcher.ratio() >= REPEATED:
            return True
    return False


def find_unsupported_claims(summary: str, text: str) -> list[str]:
    """Numbers and names in the summary that the interaction does not contain: what cannot be grounded.

    Names are compared without accents and endings, for other languages inflect them; in a text of another
    script they cannot be compared at all and pass. Number words pass, and so do English names of days,
    months, countries, languages and the larger cities.
    """
    known = _list_stated_numbers(text)
    numbers = [str(number) for number in sorted(_list_stated_numbers(summary)) if number > MAX_SPELLED_NUMBER]
    wrong = [number for number in numbers if int(number) not in known]
    words = set(_split_words(text))
    if sum(word.isascii() for word in words) * 2 < len(words):
        return wrong
    return wrong + [name for name in _list_proper_names(summary) if not _occurs_in_text(_fold_text(name), words)]


def _occurs_in_text(name: str, words: set[str]) -> bool:
    stem = name[: max(3, len(name) - 2)]
    return any(word.startswith(stem) for word in words)


def _list_proper_names(summary: str) -> list[str]:
    """Capitalised words that do not begin a sentence."""
    found = []
    for match in _WORD.finditer(summary):
        word, before = match[0], summary[: match.start()].rstrip(" \"'“‘(")
        begins = not before or (before[-1] in ".!?:" and before.lower().split()[-1] not in _TITLES)
        if word[0].isupper() and len(word) > 2 and not begins and _fold_text(word) not in _NOT_NAMES:
            found.append(word)
    return found


def _list_stated_numbers(text: str) -> set[int]:
    """The whole numbers in the text, in any script's digits; 1.250,50 has 1250 and 50."""
    ungrouped = re.sub(r"(?<=\d)[.,'\s](?=\d{3}(?!\d))", "", text)
    return {int(number) for number in re.findall(r"\d+", ungrouped)}


def _split_words(text: str) -> list[str]:
    return [_fold_text(word) for word in _WORD.findall(text)]


def _fold_text(word: str) -> str:
    """Lower case, without accents."""
    decomposed = unicodedata.normalize("NFKD", word.lower().translate(_PLAIN_LETTERS))
    return "".join(character for character in decomposed if not unicodedata.combining(character))
