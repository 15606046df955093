"""A text as its reader sees it, in plain ASCII: compatibility forms, accents, spaces, dashes, digits of every script,
invisible characters; letters of other alphabets stand for their sounds. With the way back to the original.

Not for showing: two texts that look alike become one, so that one spelling of each pattern and word is enough.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, repeat

# A letter for a letter, so that offsets stay. What decomposes (accents, ligatures) needs no line here.
_LETTERS = dict(zip("łøđðıßæœþħŧĸŋə", "loddisaothtkne", strict=True))
_LETTERS |= dict(zip("абвгґдеєжзиіїйклмнопрстуфхцчшщьъюяыэёўј", "abvggdeejziiijklmnoprstufxcqwwhhyaieeuj", strict=True))
_LETTERS |= dict(zip("αβγδεζηθικλμνξοπρσςτυφχψω", "abgdezhtiklmnxoprsstyfxpo", strict=True))
_LETTERS |= dict(zip("ابتثجحخدذرزسشصضطظعغفقكلمنهويىةءپچژگکی", "abttjhxddrzsssdtzegfqklmnhwyyhapczgky", strict=True))
# Between the turns of an interaction: no pattern reaches over it.
TURN_END = "\n\x1d\n"
FOLDED_TURN_END = b"\n~\n"
_SIGNS = {
    "\x1d": "~",
    "\u00b7": ".",
    "\u2022": ".",
    "\u2027": ".",
    "\u2219": ".",
    "\u30fb": ".",
    "\u02d9": ".",
    "\xa6": "|",
    "\u01c0": "|",
    "\u2026": ".",
    "\u3002": ".",
    "\u2212": "-",
    "\u2044": "/",
    "\u2215": "/",
    "\u20ac": "$",
    "\u00a3": "$",
    "\u00b0": "o",
    "\u2019": "'",
    "\u2018": "'",
    "\u02bc": "'",
    "\u0640": "",  # the Arabic line that stretches a word
    "\u3164": "",
    "\u115f": "",
    "\u1160": "",
    "\u2800": "",
}
_BY_CATEGORY = {"Zs": " ", "Zl": "\n", "Zp": "\n", "Pd": "-", "Pi": '"', "Pf": '"', "Ps": "(", "Pe": ")", "Pc": "_"}


def _fold_one_character(character: str) -> str:
    if character in _SIGNS:
        return _SIGNS[character]
    if " " <= character <= "~" or character == "\n":
        return character
    if character in "\t\r\x0b\x0c\x85":
        return "\n" if character in "\x0b\x0c\x85" else " "
    return "".join(map(_fold_part, unicodedata.normalize("NFKD", character)))


def _fold_part(part: str) -> str:
    if " " <= part <= "~":
        return part
    category = unicodedata.category(part)
    if category == "Nd":
        return str(unicodedata.decimal(part))
    if category == "No":  # in a circle, negative or not
        return str(unicodedata.digit(part, "~"))
    if category[0] == "L":
        return _fold_one_letter(part)
    if category[0] in "MC":  # marks on letters, control, format, surrogates
        return ""
    return _SIGNS.get(part) or _BY_CATEGORY.get(category, "~")


def _fold_one_letter(letter: str) -> str:
    small = letter.lower()
    folded = _LETTERS.get(small, "x")
    return folded if small == letter else folded.upper()


class _FoldTable(dict[int, str]):
    """What each character becomes, worked out when it is first met; `uneven` are those that do not become one."""

    def __init__(self) -> None:
        super().__init__()
        self.uneven: set[str] = set()

    def __missing__(self, code: int) -> str:
        folded = _fold_one_character(chr(code))
        if len(folded) != 1:
            self.uneven.add(chr(code))
        self[code] = folded
        return folded


_TABLE = _FoldTable()


@dataclass(frozen=True)
class Folded:
    """`data` is ASCII, `text` what it was folded from, `keeps_offsets` whether each of its characters became one."""

    data: bytes
    text: str
    keeps_offsets: bool

    @cached_property
    def starts(self) -> Sequence[int]:
        """Where each character of `data` stands in the original; the original's length ends it. Most texts have
        nothing of which that is asked."""
        size = len(self.text)
        if self.keeps_offsets:
            return range(size + 1)
        lengths = map(len, map(_TABLE.__getitem__, map(ord, self.text)))
        return [*chain.from_iterable(map(repeat, range(size), lengths)), size]

    def locate_original_span(self, start: int, end: int) -> tuple[int, int]:
        """The same span in the original, with the invisible characters that follow it."""
        return self.starts[start], max(self.starts[end], self.starts[end - 1] + 1)


def fold_text(text: str) -> Folded:
    """The text as its reader sees it."""
    folded = text.translate(_TABLE)
    return Folded(folded.encode("ascii"), text, _TABLE.uneven.isdisjoint(text))
