"""The only door to patterns in this folder: an engine without backtracking, over bytes of ASCII.

A text is written by whoever wants to, and one that makes a pattern slow stops a partition. Here no pattern can: the
engine takes time in proportion to the text. `cs_features_tests/privacy/test_bounds.py` holds that nobody takes another.
"""

from collections.abc import Iterator
from typing import Any

import re2

from cs_features.privacy.folding import fold_text

_MEMORY = 64 << 20  # a pattern of many words needs room for its states, or the engine falls back to a slower one


def split_words(words: str) -> list[str]:
    """Words and phrases that are written with commas between them, folded, the longest first."""
    folded = {fold_text(word.strip()).data.decode("ascii") for word in words.replace("\n", " ").split(",")}
    return sorted((" ".join(word.split()) for word in folded if word), key=len, reverse=True)


def one_of(words: str) -> str:
    """A pattern of any of the words, which may hold patterns themselves; a full stop is a full stop."""
    return "(?:" + "|".join(word.replace(".", r"\.") for word in split_words(words)) + ")"


class LinearPattern:
    """A pattern over folded text, folded itself: its words are written as their languages write them.

    Spans are offsets, (-1, -1) for a group that took no part.
    """

    def __init__(self, pattern: str, *, ignore_case: bool = False, longest: bool = False) -> None:
        options = re2.Options()
        options.encoding = re2.Options.Encoding.LATIN1
        options.max_mem = _MEMORY
        options.case_sensitive = not ignore_case
        options.longest_match = longest
        options.log_errors = False
        self._compiled: Any = re2.compile(fold_text(pattern).data, options)

    def find_spans(
        self, data: bytes, group: int = 0, start: int = 0, end: int | None = None
    ) -> Iterator[tuple[int, int]]:
        """Where `group` of each match stands, in order and apart from each other."""
        for found in self._compiled.finditer(data, start, end):
            yield found.span(group)

    def search_span(
        self, data: bytes, group: int = 0, start: int = 0, end: int | None = None
    ) -> tuple[int, int] | None:
        """The first match at or after `start`."""
        found = self._compiled.search(data, start, end)
        return None if found is None else found.span(group)

    def match_span(self, data: bytes, group: int = 0, start: int = 0, end: int | None = None) -> tuple[int, int] | None:
        """The match that begins at `start`."""
        found = self._compiled.match(data, start, end)
        return None if found is None else found.span(group)

    def matches_whole(self, data: bytes) -> bool:
        return self._compiled.fullmatch(data) is not None
