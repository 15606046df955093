"""The published figures of the detector, on a small part of the planted corpus: what the bars promise is held here."""

import random
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cs_features.local.bench.planted_values import CHECKSUM_KINDS
from cs_features.local.bench.privacy import SURE_KINDS, measure_share, plant_innocent, plant_values
from cs_features.privacy import contacts, detection, names
from cs_features.privacy.detection import find_personal_data
from cs_features.privacy.linear import LinearPattern
from cs_features.privacy.spans import Span

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


def find_one_by_one(text: str) -> list[Span]:
    """What is found where each pattern is asked, whatever those say that stand for many of them."""
    with patch.object(LinearPattern, "is_in", return_value=True):
        return find_personal_data(text, "NL")


def test_what_is_planted_is_found_by_asking_many_patterns_at_once() -> None:
    """A pattern that is forgotten where many are asked at once is asked no more, in silence."""
    texts = [each.text for each in (*PLANTED, *plant_innocent(random.Random(7)))]
    assert [text for text in texts if find_personal_data(text, "NL") != find_one_by_one(text)] == []


def test_every_pattern_that_is_asked_of_a_whole_text_is_among_those_that_are_asked_at_once() -> None:
    """Of one that is forgotten there nothing is found where no other pattern happens to stand beside it."""
    asked: set[LinearPattern] = set()

    def find_no_spans(pattern: LinearPattern, *_: Any, **__: Any) -> Iterator[tuple[int, int]]:
        asked.add(pattern)
        return iter(())

    def search_in_vain(pattern: LinearPattern, *_: Any, **__: Any) -> None:
        asked.add(pattern)

    together = [*detection.ASKED_FIRST, contacts.MACHINES_AND_SECRETS, names.ANNOUNCED]
    with patch.multiple(LinearPattern, find_spans=find_no_spans, search_span=search_in_vain):
        find_one_by_one("a:b:c")
    asked.remove(contacts._MAIL_HINT)  # is one itself
    assert len(asked) >= 30
    for pattern in asked:
        assert any(pattern._pattern in each._pattern for each in together), pattern._pattern[:60]


PIECES = [
    *("aa:bb:cc:dd:ee:ff", "2001:db8::1:2", "10.0.0.1", "abc1-def2-ghi3-jkl4", "login: jan", "passport C12345678"),
    *("kenteken 12-AB-34", "1234 BCD", "A B 1 2 3 4 5 6", "geboren 1 mei 1960", "born in 1960", "12 March 1961"),
    *("Kerkstraat 12", "dorpsstraat 4", "postcode 1234 ab", "1234 AB", "0 6 1 2 3 4 5 6 7", "01-02-1960", "12345678Z"),
    *(
        "My name is Jan Smit",
        "Naam: Jan",
        "Ayşe Hanım",
        "Mevrouw Smit",
        "Groeten, Jan",
        "Hi Jan,",
        "what is your name?",
    ),
]


@given(st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=6)), max_size=4), st.sampled_from([" ", "\n", ""]))
def test_many_patterns_at_once_find_what_one_by_one_finds(pieces: list[str], between: str) -> None:
    text = between.join(pieces)
    assert find_personal_data(text, "NL") == find_one_by_one(text)


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
