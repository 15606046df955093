"""What a finding is, and which of several that overlap counts. What finds it stands in the modules of the kinds."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum


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


@dataclass(frozen=True, slots=True)
class Span:
    """A value that identifies somebody, from `start` to `end` of the text it was found in."""

    kind: Kind
    start: int
    end: int


def merge_spans(spans: Iterable[Span]) -> list[Span]:
    """In order and apart: of those that overlap the longest gives the kind, and all that they cover is one."""
    merged: list[Span] = []
    for span in sorted(spans, key=lambda each: (each.start, -each.end)):
        if merged and span.start < merged[-1].end:
            merged[-1] = _unite(merged[-1], span)
        else:
            merged.append(span)
    return merged


def _unite(first: Span, second: Span) -> Span:
    longer = first if first.end - first.start >= second.end - second.start else second
    return Span(longer.kind, first.start, max(first.end, second.end))
