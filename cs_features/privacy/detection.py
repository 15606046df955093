"""Everything personal in one text: each kind is asked, what overlaps is one. What becomes of it: `masking.py`."""

from collections.abc import Iterator

from cs_features.privacy import addresses, births, ibans, identifiers, numbers, spoken_numbers
from cs_features.privacy.addresses import find_postal_addresses
from cs_features.privacy.births import find_birth_dates
from cs_features.privacy.contacts import find_contact_details
from cs_features.privacy.folding import Folded, fold_text
from cs_features.privacy.ibans import find_iban_spans
from cs_features.privacy.identifiers import find_identifier_spans
from cs_features.privacy.linear import LinearPattern
from cs_features.privacy.names import find_names
from cs_features.privacy.numbers import find_birth_dates_by_age, find_number_spans
from cs_features.privacy.spans import Kind, Span, merge_overlapping_spans
from cs_features.privacy.spoken_numbers import find_spoken_numbers

# No conversation is longer. What lies between the first and the last half of that is left out, not passed on unread.
MAX_SEARCHED = 120_000

# What is asked first, of a text that mostly has nothing of the sort.
_PAPERS_AND_NUMBERS = LinearPattern.any_of(
    [*ibans.SEARCHED, *identifiers.SEARCHED, *numbers.SEARCHED, *spoken_numbers.SEARCHED]
)
_BIRTHS_AND_ADDRESSES = LinearPattern.any_of([*births.SEARCHED, *addresses.SEARCHED])
ASKED_FIRST = (_PAPERS_AND_NUMBERS, _BIRTHS_AND_ADDRESSES)


def find_personal_data(text: str, country: str = "") -> list[Span]:
    """The spans of `text` that identify somebody, in order and apart; `country` says whose phones are likely."""
    if len(text) > MAX_SEARCHED:
        return _search_span_ends(text, country)
    folded = fold_text(text)
    found = merge_overlapping_spans(_find_all(folded.data, country))
    return found if folded.keeps_offsets else [_locate(folded, span) for span in found]


def _search_span_ends(text: str, country: str) -> list[Span]:
    half = MAX_SEARCHED // 2
    rest = len(text) - half
    tail = [Span(span.kind, span.start + rest, span.end + rest) for span in find_personal_data(text[rest:], country)]
    return merge_overlapping_spans([*find_personal_data(text[:half], country), Span(Kind.LEFT_OUT, half, rest), *tail])


def _locate(folded: Folded, span: Span) -> Span:
    start, end = folded.locate_original_span(span.start, span.end)
    return Span(span.kind, start, end)


def find_structured_spans(data: bytes, country: str) -> Iterator[Span]:
    """What has a form, in folded text: contacts, papers, accounts, numbers."""
    yield from find_contact_details(data)
    if _PAPERS_AND_NUMBERS.is_in(data):
        yield from find_spoken_numbers(data)
        yield from find_iban_spans(data)
        yield from find_identifier_spans(data)
        yield from find_number_spans(data, country)
        yield from find_birth_dates_by_age(data)


def _find_all(data: bytes, country: str) -> Iterator[Span]:
    yield from find_structured_spans(data, country)
    if _BIRTHS_AND_ADDRESSES.is_in(data):
        yield from find_birth_dates(data)
        yield from find_postal_addresses(data)
    yield from find_names(data)
