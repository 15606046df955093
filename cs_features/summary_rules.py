"""What the contract asks of a summary, a rule each: a reader can see it, it is plain English, it names nobody.

The length stands in `schemas.py`, where these rules guard the model's answer and the table alike. Python functions
and no patterns of a database: the engines of polars and Python differ on what a word and a digit are. What is
personal is told by the detector that masks the prompt (`privacy/`); bare names and diagnoses no pattern tells: they
are the prompt's job.
"""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from cs_features.languages import is_english
from cs_features.privacy.detection import find_personal_data
from cs_features.privacy.unseen import hides_something


@dataclass(frozen=True)
class SummaryRule:
    """`name` is the check's, `complaint` goes back to the model; neither quotes the summary."""

    name: str
    complaint: str
    keeps: Callable[[str], bool]


_HEAPED = "mmm"
# Where so many marks may stand. None is in ASCII, though the letter before them may be; one character is two of them.
_BEYOND_ASCII = re.compile(r"[\x00-\x7f]?[^\x00-\x7f]{2,}")


def is_readable_summary(summary: str) -> bool:
    """At least one letter, and nothing that a reader cannot see: control, bidi, tag and zero-width characters, those
    that choose a letter's shape and can spell out a whole text unseen, and marks heaped upon one letter."""
    if hides_something(summary) or any(_HEAPED in _show_marks(run) for run in _BEYOND_ASCII.findall(summary)):
        return False
    return any(map(str.isalpha, summary))


def _show_marks(summary: str) -> str:
    """An m for each mark that is no part of its letter, a blank for anything else."""
    composed = unicodedata.normalize("NFC", summary)
    return "".join("m" if unicodedata.category(each)[0] == "M" else " " for each in composed)


# Tags and what is left of them, entities, braces and escapes of JSON, fences, links and emphasis of Markdown, the
# turns of chat templates, and a first character that makes a spreadsheet run the cell as a formula.
_MARKUP = re.compile(
    r"<[/!?|<]?[a-z|]|[a-z\"|]>|/>|&(?:[a-z]{2,8}|#x?[0-9a-f]{1,6});|[{}\\]|```|\*\*|__|\]\(|^#{1,6} "
    r"|\[/?(?:inst|sys)\]|\bantml\b|\bfunction_calls?\b|^ *[=+@-]",
    re.IGNORECASE,
)


def is_plain_summary(summary: str) -> bool:
    """No markup, no residue of a tool call and no formula."""
    return _MARKUP.search(unicodedata.normalize("NFKC", summary)) is None


def names_no_person(summary: str) -> bool:
    """Nothing that the detector of the prompt finds, however it is spelled; its placeholders name nobody."""
    return not find_personal_data(summary)


SUMMARY_RULES = (
    SummaryRule("readable", "has no letter, or characters that cannot be seen", is_readable_summary),
    SummaryRule(
        "no_markup", "carries markup, code or the rest of a tool call; write plain sentences", is_plain_summary
    ),
    SummaryRule(
        "no_personal_data",
        "carries a name, an address, an account, a link, a date of birth or a long number",
        names_no_person,
    ),
    SummaryRule("in_english", "is not in English", is_english),
)


# The engine judges a summary, and then the gate, its check and the publication do, rule by rule and each from the first
# row to the last: of a partition with more rows than this holds, nothing would be found again.
@lru_cache(maxsize=32_768)
def find_broken_rule(summary: str) -> SummaryRule | None:
    """The first rule that the summary does not keep; what cannot be read is not asked for its language."""
    return next((rule for rule in SUMMARY_RULES if not rule.keeps(summary)), None)
