"""The independent count of one file: whatever it holds, the number is that of the reader, by other code and in linear
time."""

import gzip
import json
import zlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cs_features.landing.documents import MAX_DOCUMENT_BYTES
from cs_features.monitoring import document_count
from cs_features.monitoring.conservation import add_up_counts
from cs_features.monitoring.document_count import FileCount, count_object_documents, is_one_document
from cs_features_tests.support.documents import document, gz, jsonl

THREE = [document(n) for n in range(3)]


def documents(name: str, body: bytes) -> int:
    return count_object_documents(name, body).documents


@pytest.mark.parametrize(
    ("name", "body", "expected"),
    [
        pytest.param("a.json", json.dumps(document(1)).encode(), 1, id="one document"),
        pytest.param("a.json", b"broken", 1, id="one that cannot be read"),
        pytest.param("a.jsonl", jsonl(THREE), 3, id="a line a document"),
        pytest.param("a.jsonl", jsonl(THREE).rstrip(b"\n"), 3, id="no line break at the end"),
        pytest.param("a.jsonl", b"\n \r\n" + jsonl(THREE) + b"\n\n", 3, id="blank lines are none"),
        pytest.param("a.jsonl", b"\n", 0, id="nothing but a line break"),
        pytest.param("a.jsonl", b"broken\n{}\n", 2, id="lines that are no documents are counted"),
        pytest.param("a.jsonl.gz", gz(jsonl(THREE)), 3, id="compressed"),
        pytest.param("a.jsonl.gz", gz(jsonl(THREE)) + gz(jsonl(THREE)), 6, id="two members"),
        pytest.param("a.jsonl.gz", gz(jsonl(THREE)) + b"\0" * 4096 + gz(jsonl(THREE)), 6, id="padding between members"),
        pytest.param("a.jsonl.gz", gz(b"{}") + gz(b"{}\n"), 1, id="a line over two members"),
        pytest.param("a.jsonl.gz", gz(jsonl(THREE))[:-20], 3, id="cut off: what stands at the cut is one"),
        pytest.param("a.jsonl.gz", gz(jsonl(THREE))[:-1], 4, id="cut off in the checksum"),
        pytest.param("a.jsonl.gz", gz(jsonl(THREE))[:5], 1, id="cut off in the header"),
        pytest.param("a.jsonl.gz", gz(jsonl(THREE)) + b"garbage", 1, id="garbage after the end"),
        pytest.param("a.jsonl.gz", b"\0" * 10, 1, id="padding alone is no archive"),
        pytest.param("a.jsonl.gz", jsonl(THREE), 1, id="not compressed at all"),
        pytest.param("a.mp3", jsonl(THREE), 1, id="another suffix"),
    ],
)
def test_a_file_has_as_many_documents_as_it_says(name: str, body: bytes, expected: int) -> None:
    """The law compares this number with the rows of the reader: one rule that differs blocks every such day."""
    if expected == 3 and name.endswith(".gz") and not body.endswith(gz(jsonl(THREE))[-8:]):
        # What of the last lines survives the cut is zlib's business: the whole lines, and one more.
        whole = zlib.decompressobj(wbits=31).decompress(body)
        expected = whole.count(b"\n") + 1
    assert documents(name, body) == expected


def test_a_damaged_archive_gives_no_identities_either() -> None:
    """Half of it had been read before the damage showed, and its documents counted as duplicates of the whole copy."""
    damaged = bytearray(gz(jsonl(THREE)))
    damaged[-5] ^= 1
    assert count_object_documents("a.jsonl.gz", bytes(damaged)) == FileCount(documents=1)


@pytest.mark.heavy
def test_an_archive_of_40000_members_is_counted_in_steps_of_its_members(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault 18: at each member the rest of the archive was copied: 1.1, 4.0 and 20 seconds for 10, 20 and 40 thousand.

    Counted are the bytes that are given to zlib, not seconds: a busy machine is slow and not wrong."""
    given_bytes = []

    class Counting:
        def __init__(self, wbits: int) -> None:
            self.member = zlib_decompressobj(wbits=wbits)

        def decompress(self, data: bytes, limit: int) -> bytes:
            given_bytes.append(len(data))
            return self.member.decompress(data, limit)

        def __getattr__(self, name: str) -> object:
            return getattr(self.member, name)

    zlib_decompressobj = zlib.decompressobj
    monkeypatch.setattr(document_count.zlib, "decompressobj", Counting)
    work = []
    for members in (10_000, 20_000, 40_000):
        given_bytes.clear()
        body = b"".join(gzip.compress(b"%d\n" % n, 1, mtime=0) for n in range(members))
        assert documents("a.jsonl.gz", body) == members
        work.append(sum(given_bytes))
    assert all(later <= 2.1 * earlier for earlier, later in pairwise(work))


def test_lines_are_joined_in_linear_time_however_the_chunks_fall(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line of megabytes comes in thousands of chunks; added up one by one, each would copy all before it."""
    monkeypatch.setattr(document_count, "SLICE_BYTES", 3)
    body = b'{"a": "' + b"x" * 1_000 + b'"}\n' + jsonl(THREE)
    assert documents("a.jsonl", body) == 4
    assert documents("a.jsonl.gz", gz(body)) == 4


def test_an_archive_that_inflates_to_more_than_a_slice_is_counted_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """zlib had taken in the last bytes of a file that was cut off and still held lines: the reader had them, and the
    count did not."""
    monkeypatch.setattr(document_count, "SLICE_BYTES", 16)
    packed = gz(b"x\n" * 10_000)
    assert documents("a.jsonl.gz", packed) == 10_000
    whole = zlib.decompressobj(wbits=31).decompress(packed[:-9])
    assert documents("a.jsonl.gz", packed[:-9]) == whole.count(b"\n") + 1


@pytest.mark.parametrize("compressed", [False, True])
def test_a_file_beyond_the_limits_is_one_document(monkeypatch: pytest.MonkeyPatch, compressed: bool) -> None:
    """A bomb of a few kilobytes is a gigabyte of lines: it is one reject, and no part of it is kept."""
    body = jsonl(THREE)
    name, packed = ("a.jsonl.gz", gz(body)) if compressed else ("a.jsonl", body)
    monkeypatch.setattr(document_count, "MAX_FILE_BYTES", len(body) - 1)
    assert count_object_documents(name, packed) == FileCount(documents=1)
    monkeypatch.setattr(document_count, "MAX_FILE_BYTES", len(body))
    assert documents(name, packed) == 3
    monkeypatch.setattr(document_count, "MAX_FILE_LINES", 2)
    assert count_object_documents(name, packed) == FileCount(documents=1)
    monkeypatch.setattr(document_count, "MAX_FILE_LINES", 3)
    assert documents(name, packed) == 3


def test_what_is_one_document_by_name_or_size_need_not_be_read() -> None:
    """Fault 17: forty recordings of ten megabytes were read to be counted as forty."""
    assert is_one_document("a.mp3", 1)
    assert is_one_document("a.json", MAX_DOCUMENT_BYTES + 1)
    assert not is_one_document("a.json", MAX_DOCUMENT_BYTES)
    assert is_one_document("a.jsonl", document_count.MAX_FILE_BYTES + 1)
    assert not is_one_document("a.jsonl.gz", document_count.MAX_FILE_BYTES)


def test_duplicates_are_counted_over_all_files() -> None:
    """Delivered twice, in two files and once more in the same: two of the three are duplicates."""
    first = count_object_documents("a.jsonl", jsonl([document(1), document(2)]))
    second = count_object_documents("b.jsonl.gz", gz(jsonl([document(1), document(1), b"broken", b"broken"])))
    assert add_up_counts([first, second]) == (6, 2)


@given(st.lists(st.binary(max_size=40), max_size=8), st.integers(1, 50), st.integers(1, 50))
def test_every_file_counts_the_same_however_it_is_packed(lines: list[bytes], chunk: int, slice_bytes: int) -> None:
    """Chunks end in the middle of lines and members: none of it may show in the number."""
    body = b"\n".join(lines)
    expected = sum(bool(line.strip()) for line in body.split(b"\n"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(document_count, "CHUNK_BYTES", chunk)
        patch.setattr(document_count, "SLICE_BYTES", slice_bytes)
        members = b"".join(gz(body[at : at + 7]) for at in range(0, len(body), 7)) or gz(b"")
        assert documents("a.jsonl", body) == expected
        assert documents("a.jsonl.gz", gz(body)) == expected
        assert documents("a.jsonl.gz", members) == expected
