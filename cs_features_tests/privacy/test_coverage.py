"""The published figures of the detector, on a small part of the planted corpus: what the bars promise is held here."""

import random
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cs_features.local.bench.planted_values import CHECKSUM_KINDS
from cs_features.local.bench.privacy import SURE_KINDS, measure_share, plant_innocent, plant_values
from cs_features.privacy.addresses import find_postal_addresses
from cs_features.privacy.births import find_birth_dates
from cs_features.privacy.folding import fold_text
from cs_features.privacy.ibans import find_iban_spans
from cs_features.privacy.identifiers import find_identifier_spans
from cs_features.privacy.numbers import find_birth_dates_by_age, find_number_spans

PLANTED = list(plant_values(random.Random(7), 4))
BARS = {**dict.fromkeys(SURE_KINDS, 1.0), "passport": 0.95, "address": 0.9, "introduced name": 0.9}


@pytest.mark.parametrize("kind", BARS)
def test_whole_values_are_covered_as_promised(kind: str) -> None:
    """A phone with a slash, a NIR with no-break spaces and a passport all stood in the store."""
    plain = [each for each in PLANTED if each.kind == kind and not each.is_evasive]
    assert len(plain) >= 40
    assert measure_share(plain) >= BARS[kind]


@pytest.mark.parametrize("kind", SURE_KINDS)
def test_spelling_a_value_otherwise_does_not_hide_it(kind: str) -> None:
    """Half of the checksum kinds passed in full-width digits, with zero-width characters or as "at" and "dot"."""
    evasive = [each for each in PLANTED if each.kind == kind and each.is_evasive]
    assert measure_share(evasive) >= 0.97, [ascii(each.text) for each in evasive if not each.is_covered()][:3]


def test_what_is_innocent_is_left_alone() -> None:
    """A masked price or date takes the matter itself from the model."""
    innocent = list(plant_innocent(random.Random(7)))
    touched = [each.text for each in innocent if each.is_touched()]
    assert len(touched) <= 0.02 * len(innocent), touched


def find_what_needs_digits(data: bytes) -> list[object]:
    numbers = [*find_iban_spans(data), *find_number_spans(data, "NL"), *find_birth_dates_by_age(data)]
    return [*numbers, *find_identifier_spans(data), *find_birth_dates(data), *find_postal_addresses(data)]


@pytest.mark.parametrize("instead", ["", "x", "O"])
def test_no_planted_value_of_a_kind_with_digits_is_found_without_them(instead: str) -> None:
    """A text without digits is not searched for these kinds: one that could do without would pass unmasked."""
    texts = [re.sub("[0-9]", instead, fold_text(each.text).data.decode()) for each in PLANTED]
    assert [text for text in texts if find_what_needs_digits(text.encode())] == []


@given(st.text(st.sampled_from("ABCXNLOabcdenlx .,:/-@'\n"), max_size=80))
@example("passport ABCDEFGHI, kenteken AB-CD-EF, born in May, Kerkstraat A, NL AB CDEF GHIJ")
def test_nothing_of_a_kind_with_digits_is_found_where_there_are_none(text: str) -> None:
    assert find_what_needs_digits(text.encode()) == []


def test_the_planted_numbers_have_the_checksums_of_their_kinds() -> None:
    """A corpus of numbers that are none would prove nothing."""
    from stdnum import iban, luhn
    from stdnum.be import nn
    from stdnum.es import dni, nie
    from stdnum.fr import nir
    from stdnum.nl import bsn
    from stdnum.pl import pesel

    checks = {"NL": bsn, "BE": nn, "FR": nir, "PL": pesel}
    for each in PLANTED:
        value = each.text[each.start : each.end]
        if each.is_evasive or each.kind not in CHECKSUM_KINDS:
            continue
        if each.kind == "iban":
            assert iban.is_valid(value, check_country=False)
        elif each.kind == "national_id" and each.country == "ES":
            assert dni.is_valid(value) or nie.is_valid(value)
        else:
            rule = luhn if each.kind == "card" else checks[each.country]
            assert rule.is_valid(value.replace(" ", "")), each.kind
