"""What a finding is, and which of several that overlap counts. What finds it stands in the modules of the kinds."""

from collections.abc import Iterable
from enum import Enum
from operator import itemgetter
from typing import NamedTuple


class Kind(str, Enum):
    """What a span is of; the value is the placeholder's word."""

    EMAIL = "EMAIL"
    URL = "URL"
    IP = "IP"
    TOKEN = "TOKEN"  # noqa: S105
    IBAN = "IBAN"
    CARD = "CARD"
    NATIONAL_ID = "NATIONAL_ID"
    PASSPORT = "PASSPORT"
    PLATE = "PLATE"
    PHONE = "PHONE"
    NUMBER = "NUMBER"
    ADDRESS = "ADDRESS"
    BIRTH_DATE = "BIRTH_DATE"
    LOGIN = "LOGIN"
    NAME = "NAME"
    LEFT_OUT = "LEFT_OUT"  # more than is searched: nobody knows what it holds


class Span(NamedTuple):
    """A value that identifies somebody, from `start` to `end` of the text it was found in.

    A tuple, because a hostile text makes ten thousand of them.
    """

    kind: Kind
    start: int
    end: int


def merge_overlapping_spans(spans: Iterable[Span]) -> list[Span]:
    """In order and apart: of those that overlap the longest gives the kind, and all that they cover is one."""
    merged: list[Span] = []
    end = 0  # of the last one that is merged
    for span in _sort_spans(spans):
        if span.start >= end:
            merged.append(span)
        elif span.end > end:
            merged[-1] = _unite(merged[-1], span)
        end = merged[-1].end
    return merged


def _sort_spans(spans: Iterable[Span]) -> list[Span]:
    """By their beginnings, of those that begin together the longest first, as they came otherwise."""
    by_end = sorted(spans, key=itemgetter(2), reverse=True)
    return sorted(by_end, key=itemgetter(1))


def _unite(first: Span, second: Span) -> Span:
    longer = first if first.end - first.start >= second.end - second.start else second
    return Span(longer.kind, first.start, max(first.end, second.end))
