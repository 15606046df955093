"""What the contract asks of a summary, a rule each: a reader can see it, it is plain English, it names nobody.

The length stands in `schemas.py`, where these rules guard the model's answer and the table alike. Python functions
and no patterns of a database: the engines of polars and Python differ on what a word and a digit are. Every
pattern here is linear: no repetition inside a repetition that can match the same characters.

Names of people, addresses and diagnoses cannot be told by a pattern: they are the prompt's job.
"""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from cs_features.languages import is_english


@dataclass(frozen=True)
class SummaryRule:
    """`name` is the check's, `complaint` goes back to the model; neither quotes the summary."""

    name: str
    complaint: str
    keeps: Callable[[str], bool]


def is_readable(summary: str) -> bool:
    """At least one letter, and nothing that a reader cannot see: control, bidi, tag and zero-width characters."""
    hidden = ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")
    return any(map(str.isalpha, summary)) and all(unicodedata.category(each) not in hidden for each in summary)


# Tags and what is left of them, entities, braces and escapes of JSON, fences, links and emphasis of Markdown, the
# turns of chat templates, and a first character that makes a spreadsheet run the cell as a formula.
_MARKUP = re.compile(
    r"<[/!?|<]?[a-z|]|[a-z\"|]>|/>|&(?:[a-z]{2,8}|#x?[0-9a-f]{1,6});|[{}\\]|```|\*\*|__|\]\(|^#{1,6} "
    r"|\[/?(?:inst|sys)\]|\bantml\b|\bfunction_calls?\b|^ *[=+@-]",
    re.IGNORECASE,
)


def is_plain(summary: str) -> bool:
    """No markup, no residue of a tool call and no formula."""
    return _MARKUP.search(unicodedata.normalize("NFKC", summary)) is None


_CONTACT = re.compile(
    r"[^\s@]@[^\s@.]+\.[^\s@.]"
    r"|(?:\bat\b|\(at\)|\[at\]) ?[\w-]{1,63} ?(?:\bdot\b|\(dot\)|\[dot\]) ?[a-z]{2}"
    r"|https?://",  # whoever reads a link with a token in it may be let in
    re.IGNORECASE,
)
_ACCOUNT = re.compile(r"\b[A-Z]{2}[0-9]{2}(?:[ -]?[A-Z0-9]{4}){3}")  # an IBAN
_BIRTH = re.compile(r"\b(?:born|birthdate|date of birth)\b.{0,25}\b(?:19|20)[0-9]{2}\b", re.IGNORECASE)

# Digits with what people write between them. Seven or more are a phone, card, order or customer number ...
_NUMBER = re.compile(r"[0-9](?:(?:,|[ ()./-]{0,3})[0-9])*")
_MIN_DIGITS = 7
# ... unless they are dates, spans of years, prices or amounts below ten million, each between spaces: a part of a
# longer number may look like a date.
_DAY, _MONTH, _YEAR = r"(?:0?[1-9]|[12][0-9]|3[01])", r"(?:0?[1-9]|1[0-2])", r"(?:19|20)[0-9]{2}"
_SPELLINGS = [
    *(rf"{_YEAR}{mark}{_MONTH}{mark}{_DAY}" for mark in ("-", "/", r"\.")),
    *(rf"{_DAY}{mark}{_MONTH}{mark}{_YEAR}" for mark in ("-", "/", r"\.", r"\. ")),
    rf"{_MONTH}/{_DAY}/{_YEAR}",
]
_DATE = f"(?:{'|'.join(_SPELLINGS)})"
_PRICE = r"[1-9][0-9]{0,3}[.,][0-9]{2}"
_HARMLESS = [
    rf"{_DATE}(?: ?[-/] ?{_DATE})?",
    rf"{_YEAR} ?[-/] ?(?:{_YEAR}|[0-9]{{2}})",
    rf"{_PRICE} ?- ?{_PRICE}",
    r"[1-9](?:[.,][0-9]{3}){2}(?:[.,][0-9]{1,2})?",
    r"[1-9][0-9]{0,2}[ .,]?[0-9]{3}[.,][0-9]{1,2}",
]
_HARMLESS_NUMBER = re.compile(rf"(?<![^ (])(?:{'|'.join(_HARMLESS)})(?=$|[ )]|[.,] )")


def names_nobody(summary: str) -> bool:
    """No mail address, link, account, date of birth or long number, however it is spelled."""
    seen = _spell_plainly(summary)
    if any(pattern.search(seen) for pattern in (_CONTACT, _ACCOUNT, _BIRTH)):
        return False
    return not any(_is_long_number(number[0]) for number in _NUMBER.finditer(seen))


def _is_long_number(number: str) -> bool:
    rest = _HARMLESS_NUMBER.sub(" ", number)
    return sum(map(str.isdigit, rest)) >= _MIN_DIGITS


def _spell_plainly(text: str) -> str:
    """The text as its reader sees it, in few characters: full-width and Arabic digits, all dashes, all spaces."""
    return "".join(map(_simplify_character, unicodedata.normalize("NFKC", text)))


def _simplify_character(character: str) -> str:
    if character.isascii():
        return character
    category = unicodedata.category(character)
    if category == "Nd":
        return str(unicodedata.decimal(character))
    if category == "Cf":  # zero-width
        return ""
    return _LOOKS_LIKE.get(category) or _LOOKS_LIKE.get(character, character)


_LOOKS_LIKE = {"Pd": "-", "Zs": " ", "\u2212": "-", "\u00b7": ".", "\u2022": ".", "\u2044": "/", "\u2215": "/"}

SUMMARY_RULES = (
    SummaryRule("readable", "has no letter, or characters that cannot be seen", is_readable),
    SummaryRule("no_markup", "carries markup, code or the rest of a tool call; write plain sentences", is_plain),
    SummaryRule("no_personal_data", "carries a mail address, an account, a link or a long number", names_nobody),
    SummaryRule("in_english", "is not in English", is_english),
)


@lru_cache(maxsize=8192)  # the engine, the gate, its check and the publication judge the same summaries
def find_broken_rule(summary: str) -> SummaryRule | None:
    """The first rule that the summary does not keep; what cannot be read is not asked for its language."""
    return next((rule for rule in SUMMARY_RULES if not rule.keeps(summary)), None)
