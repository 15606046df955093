"""What will be rejected costs little: neither memory nor time in proportion to more than the file."""

import io
import tracemalloc
import zlib
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import pytest

from cs_features.landing import files
from cs_features.landing.files import KEPT_BYTES, MAX_DOCUMENT_BYTES, MAX_FILE_LINES, split_file_documents
from cs_features.landing.reading import read_landed_partition
from cs_features.landing.zone import LandingZone
from cs_features.s3 import Bucket, Listing, StoredObject
from cs_features_tests.support.bad_documents import MIB, bomb
from cs_features_tests.support.documents import document, gz, jsonl
from cs_features_tests.support.landing import NOON, PARTITION, READER

TEN_MIB = 10 * MIB


class FreshBodies:
    """A bucket whose every object is made when it is read, as bytes come off the wire."""

    def __init__(self, make_body: Callable[[], bytes]) -> None:
        self.make_body = make_body

    def get_object(self, **_: Any) -> dict[str, Any]:
        moment = datetime(2026, 11, 24, tzinfo=timezone.utc)
        return {"Body": io.BytesIO(self.make_body()), "ETag": '"e"', "LastModified": moment}


def damaged_gzip() -> bytes:
    packer = zlib.compressobj(0, wbits=31)
    body = bytearray(packer.compress(bytes(TEN_MIB - 2_000)) + packer.flush())
    body[-3] ^= 0xFF
    return bytes(body)


REJECTED: dict[str, tuple[str, Callable[[], bytes], str]] = {
    "recordings": (".mp3", lambda: bytes(TEN_MIB), "unsupported_file"),
    "documents": (".json", lambda: b"x" * TEN_MIB, "document_too_large"),
    "lines": (".jsonl", lambda: b"x" * TEN_MIB, "document_too_large"),
    "too many lines": (".jsonl", lambda: b"1\n" * (TEN_MIB // 2), "file_too_large"),
    "damaged gzip": (".jsonl.gz", damaged_gzip, "corrupt_gzip"),
}


@pytest.mark.heavy
@pytest.mark.parametrize("kind", REJECTED)
def test_forty_files_that_will_be_rejected_cost_less_than_a_hundred_mebibytes(kind: str) -> None:
    """Fault 17: 1,148 MiB more for forty recordings, read all at once and kept as payloads."""
    suffix, make_body, reason = REJECTED[kind]
    body = make_body()
    client = FreshBodies(lambda: bytes(bytearray(body)))
    objects = [StoredObject(f"interactions/{PARTITION.folder}/{n}{suffix}", "e", TEN_MIB, NOON) for n in range(40)]
    zone = LandingZone(Bucket(client, "landing", "CS_FEATURES_LANDING_BUCKET"))
    tracemalloc.start()
    raw = read_landed_partition(zone, Listing("landing", objects, NOON), READER)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert raw["reason"].to_list() == [reason] * 40
    assert peak < 100 * MIB
    assert raw["payload"].str.len_bytes().max() <= KEPT_BYTES


@pytest.mark.heavy
def test_forty_thousand_gzip_members_are_read_one_after_the_other() -> None:
    """Fault 18: what followed each member was copied for the next, 20 seconds and half a terabyte in all."""
    member = gz(jsonl([document(1)]))
    pieces = list(split_file_documents("a.jsonl.gz", member * 40_000))
    assert [piece.line for piece in pieces] == list(range(1, 40_001))
    assert {piece.data for piece in pieces} == {jsonl([document(1)]).strip()}


@pytest.mark.parametrize("size", [MAX_DOCUMENT_BYTES, MAX_DOCUMENT_BYTES + 1])
@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".jsonl.gz"])
def test_the_limit_of_a_document_is_the_same_however_it_is_packed(size: int, suffix: str) -> None:
    body = b'"' + b"x" * (size - 2) + b'"'
    (piece,) = split_file_documents(f"a{suffix}", gz(body) if suffix.endswith(".gz") else body)
    assert (piece.refusal is None) == (size == MAX_DOCUMENT_BYTES)
    if piece.refusal is None:
        assert piece.data == body


@pytest.mark.parametrize("packed", [False, True])
def test_lines_are_split_alike_wherever_the_file_is_cut_into_chunks(packed: bool) -> None:
    """A line that lies across two chunks is one document; its number is the editor's."""
    lines = [b"%d%s" % (number, b"x" * (number * 7_919 % 70_000)) for number in range(60)]
    lines[7] = lines[30] = b" \t\r"
    body = b"\n".join(lines)
    pieces = list(split_file_documents("a.jsonl.gz", gz(body)) if packed else split_file_documents("a.jsonl", body))
    assert [(piece.line, piece.data) for piece in pieces] == [
        (number, line) for number, line in enumerate(lines, start=1) if line.strip()
    ]


@pytest.mark.parametrize("chunk", [1, 7, 64])
def test_a_gzip_that_is_cut_anywhere_yields_all_that_was_before_the_cut(
    monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    """Read in chunks, what the unpacker still held at the cut was left out, and the law was off by its lines."""
    monkeypatch.setattr(files, "_CHUNK", chunk)
    monkeypatch.setattr(files, "_FED", 5)
    packed = gz(b"12\n" * 200 + b"34\n" * 200)
    for end in range(1, len(packed)):
        at_once = zlib.decompressobj(wbits=31).decompress(packed[:end])
        *documents, cut = split_file_documents("a.jsonl.gz", packed[:end])
        assert len(documents) == at_once.count(b"\n")
        assert cut.data == at_once.rpartition(b"\n")[2]


@pytest.mark.heavy
def test_a_bomb_is_not_unpacked_beyond_its_limit() -> None:
    """A hundred kilobytes that unpack to gigabytes: looked over chunk by chunk, and left at the limit."""
    packed = bomb(160 * MIB)
    tracemalloc.start()
    (piece,) = split_file_documents("a.jsonl.gz", packed)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert piece.refusal is not None
    assert piece.refusal.reason == "file_too_large"
    assert peak < 8 * MIB


def test_a_file_of_the_most_lines_that_are_allowed_is_split() -> None:
    assert sum(1 for _ in split_file_documents("a.jsonl", b"1\n" * MAX_FILE_LINES)) == MAX_FILE_LINES
    (piece,) = split_file_documents("a.jsonl", b"1\n" * (MAX_FILE_LINES + 1))
    assert piece.refusal is not None
