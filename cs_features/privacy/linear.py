"""The only door to patterns in this folder: an engine without backtracking, over bytes of ASCII.

A text is written by whoever wants to, and one that makes a pattern slow stops a partition. Here no pattern can: the
engine takes time in proportion to the text. `cs_features_tests/privacy/test_bounds.py` holds that nobody takes another.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from typing import Any

import re2

from cs_features.privacy.folding import fold_text

_ANYWHERE, _AT_START, _WHOLE = (
    re2._re2.RE2.Anchor.UNANCHORED,
    re2._re2.RE2.Anchor.ANCHOR_START,
    re2._re2.RE2.Anchor.ANCHOR_BOTH,
)
_NOWHERE = (-1, -1)
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

    def __init__(
        self, pattern: str, *, ignore_case: bool = False, longest: bool = False, has_groups: bool = True
    ) -> None:
        self._pattern = pattern
        self._ignore_case = ignore_case
        self._longest = longest
        self._has_groups = has_groups

    @classmethod
    def any_of(cls, patterns: Iterable["LinearPattern"]) -> "LinearPattern":
        """A pattern that is in a text exactly when one of `patterns` is: in most texts none of twenty is, and to ask
        for all at once takes as long as to ask for one."""
        parts = (f"(?i:{each._pattern})" if each._ignore_case else f"(?:{each._pattern})" for each in patterns)
        return cls("|".join(parts), has_groups=False)

    @cached_property
    def _search(self) -> Callable[[Any, bytes, int, int], list[tuple[int, int]]]:
        """Compiled when it is first asked: a tick of a sensor reads no text, and all patterns take a third of a second.

        The engine itself and not its wrapper, whose objects around each match cost more than the search: a hostile text
        has thousands of matches. The pin of google-re2 is for this line, too.
        """
        options = re2.Options()
        options.encoding = re2.Options.Encoding.LATIN1
        options.max_mem = _MEMORY
        options.case_sensitive = not self._ignore_case
        options.longest_match = self._longest
        options.never_capture = not self._has_groups
        options.log_errors = False
        return re2.compile(fold_text(self._pattern).data, options)._regexp.Match

    def find_spans(
        self, data: bytes, group: int = 0, start: int = 0, end: int | None = None
    ) -> Iterator[tuple[int, int]]:
        """Where `group` of each match stands, in order and apart from each other."""
        stop = len(data) if end is None else end
        while (spans := self._search(_ANYWHERE, data, start, stop))[0] != _NOWHERE:
            yield spans[group]
            start = max(spans[0][1], start + 1)
            if start > stop:
                return

    def search_span(
        self, data: bytes, group: int = 0, start: int = 0, end: int | None = None
    ) -> tuple[int, int] | None:
        """The first match at or after `start`."""
        spans = self._search(_ANYWHERE, data, start, len(data) if end is None else end)
        return None if spans[0] == _NOWHERE else spans[group]

    def match_span(self, data: bytes, group: int = 0, start: int = 0, end: int | None = None) -> tuple[int, int] | None:
        """The match that begins at `start`."""
        spans = self._search(_AT_START, data, start, len(data) if end is None else end)
        return None if spans[0] == _NOWHERE else spans[group]

    def is_in(self, data: bytes) -> bool:
        return self._search(_ANYWHERE, data, 0, len(data))[0] != _NOWHERE

    def matches_whole(self, data: bytes) -> bool:
        return self._search(_WHOLE, data, 0, len(data))[0] != _NOWHERE
