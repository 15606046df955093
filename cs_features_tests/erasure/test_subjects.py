"""Whose an id is, in whatever spelling a document, a table or a line has it: by the request, and by its tombstone."""

import json
import unicodedata
from typing import Any

import pytest

from cs_features.erasure.subjects import Subject, make_erasure_subject
from cs_features.erasure.tombstones import add_tombstone_entries, hash_subject_name, make_tombstone_entry
from cs_features_tests.support.documents import id_of
from cs_features_tests.support.memory_s3 import EIGHT

KEY = b"k" * 32
UUID = id_of(1)
JOSE = "jos\u00e9 1"


def remember(subject: Subject) -> Any:
    return add_tombstone_entries([make_tombstone_entry(subject, KEY)], KEY)


@pytest.mark.parametrize("spelled", [UUID, UUID.upper(), f"{{{UUID}}}", f"urn:uuid:{UUID}", UUID.replace("-", "")])
@pytest.mark.parametrize("asked", [UUID, UUID.upper()])
def test_an_interaction_is_his_in_every_spelling_of_its_id(spelled: str, asked: str) -> None:
    """Written in capitals by the next system, it would have come back."""
    subject = make_erasure_subject(None, [asked], EIGHT)
    assert subject.covers_interaction(spelled)
    assert remember(subject).covers_interaction(spelled)
    assert not subject.covers_interaction(id_of(2))
    assert not remember(subject).covers_interaction(id_of(2))


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("asked", [JOSE, unicodedata.normalize("NFD", JOSE), f" {JOSE} "])
def test_a_customer_is_the_same_with_accents_of_one_character_or_of_two(form: Any, asked: str) -> None:
    subject = make_erasure_subject(asked, [], EIGHT)
    spelled = unicodedata.normalize(form, JOSE)
    assert subject.covers_customer(spelled)
    assert remember(subject).covers_customer(f"{spelled} ", EIGHT)
    for other in (spelled.upper(), "jose 1", None):
        assert not subject.covers_customer(other)
        assert not remember(subject).covers_customer(other)


def test_what_an_older_version_hashed_as_it_was_spelled_is_erased_still() -> None:
    spelled = unicodedata.normalize("NFD", JOSE)
    entry = {
        **make_tombstone_entry(Subject(until=EIGHT), KEY),
        "customers": [hash_subject_name(KEY, "customer", spelled)],
    }
    assert add_tombstone_entries([entry], KEY).covers_customer(spelled, EIGHT)


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("spell", [str, lambda name: json.dumps(name)[1:-1]], ids=["as it is", "as JSON escapes it"])
def test_he_is_named_where_nothing_can_be_parsed_however_his_name_is_written(form: Any, spell: Any) -> None:
    """A line of another program says `jos\\u00e9`: the eraser took it for somebody else's."""
    name = spell(unicodedata.normalize(form, JOSE))
    subject = make_erasure_subject(JOSE, [UUID], EIGHT)
    assert subject.is_named_in(f"x;{name};y".encode())
    assert subject.is_named_in(f"x;{UUID.upper()};y".encode())
    assert not subject.is_named_in(f"x;{name}0;y".encode())
    assert not subject.is_named_in(f"x;a-{name};y".encode())
