"""Landing files from which documents were erased: the others stay as they were, in place and in time."""

import gzip
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cs_features.erasure.subjects import Subject
from cs_features.errors import AccessRefused
from cs_features.landing.earlier import recall_earlier_reading
from cs_features.landing.erased import (
    MARKER,
    count_unread_erased,
    erase_landed_documents,
    is_erased,
    screen_erased_files,
    withhold_erased_rows,
)
from cs_features.landing.zone import LandingZone
from cs_features.s3 import Bucket
from cs_features_tests.support.documents import document, gz, id_of, jsonl
from cs_features_tests.support.landing import count_landed, landed_file, outcomes, read, read_again
from cs_features_tests.support.memory_s3 import EIGHT, MemoryS3

ERASED = Subject(until=EIGHT, customer_id="c-1", interaction_ids=frozenset({id_of(1)}))


def erased(key: str, body: bytes) -> bytes:
    found = erase_landed_documents(key, body, ERASED)
    assert found is not None
    return found.body


@given(st.lists(st.sampled_from([1, 2, 3, "blank", "broken", "his broken"]), min_size=1), st.sampled_from(["", ".gz"]))
def test_every_line_keeps_its_number_and_every_other_its_bytes(kinds: list[Any], suffix: str) -> None:
    """Whoever rewrites a shared file by dropping lines moves every pointer into it."""
    made = {"blank": b"", "broken": b"{broken", "his broken": b'{"customer_id":"c-1", "text": "cut off'}
    lines = [made[kind] if kind in made else json.dumps(document(kind)).encode() for kind in kinds]
    body = b"\r\n".join(lines)
    found = erase_landed_documents(f"a.jsonl{suffix}", gz(body) if suffix else body, ERASED)
    expected = [MARKER if kind in (1, "his broken") else line for kind, line in zip(kinds, lines, strict=True)]
    after = body if found is None else gzip.decompress(found.body) if suffix else found.body
    assert after == b"\r\n".join(expected)


def test_a_marker_is_a_document_that_landed_and_was_rejected() -> None:
    """An erasure that made documents vanish would have broken the law of its partition, and everybody's trust in it."""
    body = jsonl([document(1), document(2), document(1), b"{broken"])
    assert outcomes(read(("a.jsonl", body))) == ["accepted", "accepted", "duplicate", "malformed_json"]
    raw = read(("a.jsonl", erased("a.jsonl", body)))
    assert outcomes(raw) == ["erased", "accepted", "erased", "malformed_json"]
    assert (
        raw.filter(reason="erased").select("interaction_id", "customer_id", "payload").rows() == [(None, None, "")] * 2
    )


def test_a_file_that_was_cut_off_stays_cut_off() -> None:
    """Made whole, it would say that nothing is missing; and what it has lost would be withdrawn from the store."""
    whole = gz(jsonl([document(number) for number in range(200)]))
    cut = whole[: len(whole) // 2]
    before, after = read(("a.jsonl.gz", cut)), read(("a.jsonl.gz", erased("a.jsonl.gz", cut)))
    assert before.height == after.height
    assert outcomes(after).count("truncated_gzip") == outcomes(before).count("truncated_gzip") == 1
    assert outcomes(after).count("erased") == 1


@pytest.mark.parametrize("is_cut", [False, True])
def test_a_file_of_two_hundred_members_loses_his_lines_alone(is_cut: bool) -> None:
    """Producers append a member a document; a line may reach over the end of one."""
    halves = [jsonl([document(number % 4)]) for number in range(100)]
    body = b"".join(gz(each[:20]) + gz(each[20:]) for each in halves)
    body = body[:-30] if is_cut else body
    before, after = read(("a.jsonl.gz", body)), read(("a.jsonl.gz", erased("a.jsonl.gz", body)))
    assert before.height == after.height
    assert outcomes(after).count("erased") == 25
    assert outcomes(after).count("truncated_gzip") == is_cut


@pytest.mark.parametrize("name", ["a.mp3", "a.jsonl.gz"])
def test_what_cannot_be_taken_apart_is_left_as_it_is(name: str) -> None:
    assert erase_landed_documents(name, b"c-1 says hello", ERASED) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"customer_id": "somebody else"},
        {"interaction_id": "{" + id_of(1).upper() + "}"},
        {"interaction_id": id_of(7)},
        {"country": 5},
        {"occurred_at": "yesterday"},
    ],
)
def test_a_document_is_his_by_either_id_however_wrong_it_is_otherwise(changes: dict[str, Any]) -> None:
    assert is_erased(json.dumps(document(1, **changes)).encode(), ERASED)


def test_what_a_customer_writes_after_his_erasure_is_read() -> None:
    new = document(7, customer_id="c-1", occurred_at="2026-12-01T09:00:00Z")
    assert not is_erased(json.dumps(new).encode(), ERASED)


def test_a_file_that_is_delivered_again_is_put_back_without_him_and_no_newer_than_it_was() -> None:
    """Rewriting a shared file made its other documents the newest: a correction of somebody else's was undone."""
    s3 = MemoryS3()
    zone = LandingZone(Bucket(s3, "landing", "X"))
    for name, body in (("a", [document(1), document(2)]), ("b", [document(2, text="Corrected.", turns=...)])):
        zone.bucket.put(f"interactions/country=NL/date=2025-03-04/{name}.jsonl", jsonl(body))
    objects = zone.bucket.list_bucket_objects("interactions/").objects
    screened = list(screen_erased_files(zone.read_landed_files(objects), zone.bucket, ERASED))
    assert [landed.source.last_modified for landed in screened] == [item.last_modified for item in objects]
    now = zone.bucket.list_bucket_objects("interactions/").objects
    assert now[0].last_modified > objects[1].last_modified
    again = list(zone.read_landed_files(now))
    assert [file.source.last_modified for file in again] == [item.last_modified for item in objects]
    assert [file.source.etag for file in again] == [file.source.etag for file in screened]
    assert b"c-1" not in again[0].content  # type: ignore[operator]
    raw = read_again(*again)
    assert raw.filter(status="accepted")["content_hash"].n_unique() == 1
    assert "Corrected." in raw.filter(status="accepted")["payload"][0]


def test_a_file_that_somebody_replaced_meanwhile_is_not_overwritten_and_he_is_not_read() -> None:
    s3 = MemoryS3()
    bucket = Bucket(s3, "landing", "X")
    bucket.put("a.jsonl", jsonl([document(1)]))
    found = bucket.read("a.jsonl")
    assert found is not None
    bucket.put("a.jsonl", jsonl([document(3)]))
    (screened,) = screen_erased_files([landed_file("a.jsonl", found[1])], bucket, ERASED)
    assert screened.content == MARKER + b"\n"
    assert s3.objects["a.jsonl"][0] == jsonl([document(3)])


def test_rows_that_an_earlier_run_had_read_are_withheld_as_their_markers_would_be() -> None:
    """An object that cannot be read now is taken from the earlier table: he came back from there."""
    file = landed_file("a.jsonl", jsonl([document(1), document(2), b'{"customer_id":"c-1"}']))
    raw = read_again(file)
    held = withhold_erased_rows(raw, ERASED)
    assert outcomes(held) == ["erased", "accepted", "erased"]
    of_markers = read_again(landed_file("a.jsonl", erased("a.jsonl", file.content)))  # type: ignore[arg-type]
    assert held.equals(of_markers)
    assert count_landed(file).documents == held.height
    assert recall_earlier_reading(held).first_seen == recall_earlier_reading(of_markers).first_seen


def test_a_run_that_may_not_write_to_landing_reads_nothing_of_him_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """On AWS the role of a run may read landing and no more: refused, it would stop at each delivery that holds him."""
    bucket = Bucket(MemoryS3(), "landing", "X")
    bucket.put("a.jsonl", jsonl([document(1), document(2)]))

    def refuse(*_: Any) -> None:
        raise AccessRefused("allow s3:PutObject")

    monkeypatch.setattr(Bucket, "replace", refuse)
    (screened,) = screen_erased_files([landed_file("a.jsonl", jsonl([document(1), document(2)]))], bucket, ERASED)
    raw = read_again(screened)
    assert outcomes(raw) == ["erased", "accepted"]
    assert (screened.unread_lines, count_unread_erased(raw)) == ({1}, 1)
    assert screened.source.etag == "etag-0", "unchanged, so that the next run keeps the rows"
