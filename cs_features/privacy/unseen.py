"""Characters that are written and not seen: whoever compares, shows or keeps a text asks here.

Control characters, directions, tags, blanks that count as letters, and those that choose a letter's shape, of which
there are enough to spell out a whole text. Not here: what of them the model is not sent (`extraction/envelope.py`).
"""

import json
import unicodedata

_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
# The selector that makes a sign an emoji is left out.
_LETTERS = frozenset(
    [
        *"\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0",
        *map(chr, range(0xFE00, 0xFE0F)),
        *map(chr, range(0xE0100, 0xE01F0)),
    ]
)
_PLAIN = frozenset(map(chr, range(ord(" "), ord("~") + 1)))  # most of a text, and all of it is seen
_FORMULA = ("=", "+", "-", "@")


def is_unseen(character: str) -> bool:
    return unicodedata.category(character) in _CATEGORIES or character in _LETTERS


def hides_something(text: str) -> bool:
    return any(map(is_unseen, set(text) - _PLAIN))


def spell_out_unseen(text: str, spare: str = "\n\t") -> str:
    """The text with what cannot be seen as JSON escapes it; JSON stays JSON that means the same."""
    unseen = {ord(each): json.dumps(each)[1:-1] for each in set(text).difference(spare) if is_unseen(each)}
    return text.translate(unseen) if unseen else text


def spell_out_cell(text: str) -> str:
    """The same for a cell that people open in a spreadsheet: with an apostrophe where it would be run."""
    shown = spell_out_unseen(text, spare="")
    return f"'{shown}" if shown.lstrip().startswith(_FORMULA) else shown
