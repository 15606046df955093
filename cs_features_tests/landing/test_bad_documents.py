"""Whatever lands: each kind of bad document gets its one reason, nothing crashes, and no good neighbour is lost.

`read` compares each reading with `monitoring/document_count.py`, whose code shares nothing with the reader.
"""

import gzip
import json
import struct
import time
from typing import Any

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cs_features.extraction.models import capabilities_of
from cs_features.extraction.prompts import load_prompt_folder
from cs_features.extraction.table import plan_partition_requests
from cs_features.landing.documents import read_landed_document
from cs_features.landing.files import MAX_FILE_BYTES, split_file_documents
from cs_features.schemas import Reason
from cs_features_tests.support.bad_documents import (
    FILES,
    LINES,
    MIB,
    ODD_FILES,
    ODD_LINES,
    Body,
    body_of,
    bomb,
    made,
    uuid_of,
)
from cs_features_tests.support.documents import DAY, document, gz, id_of, jsonl
from cs_features_tests.support.lab import PROMPTS, Lab
from cs_features_tests.support.landing import READER, outcomes, read

PROMPTS_READ = load_prompt_folder(PROMPTS)
HAIKU = capabilities_of("eu.anthropic.claude-haiku-5-5")
NEIGHBOURS = document("before"), document("after")

KINDS = {name: (body, reason) for reason, kinds in LINES.items() for name, body in kinds.items()}
ALL_FILES = {**FILES, **ODD_FILES}


def of(kinds: dict[str, Any]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("kind", kinds)


def test_the_corpus_is_as_large_as_it_is_said_to_be() -> None:
    """Sixty kinds were promised; a name that is there twice would hide one."""
    assert sum(map(len, LINES.values())) == len(KINDS) > 250
    assert len(FILES) > 30
    used = {*LINES, *(outcome for _, _, found in FILES.values() for outcome in found)}
    of_landing = {reason.value for reason in Reason if reason.stage == "landing"}
    # Of the others in `test_documents.py` and `test_corrections.py`: they need a second document.
    assert of_landing - used <= {"file_too_large", "duplicate_id", "superseded", "id_conflict", "unreadable_object"}


# --- one kind at a time -----------------------------------------------------------------------


@of(KINDS)
def test_a_bad_document_gets_its_reason_and_a_detail(kind: str) -> None:
    """A dead letter without a reason sends the engineer to the file, and a wrong reason to the wrong one."""
    body, reason = body_of(KINDS[kind][0]), KINDS[kind][1]
    for name in ("a.json", "a.jsonl"):
        (row,) = read((name, body)).to_dicts()
        assert (row["status"], row["reason"]) == ("rejected", reason)
        assert row["detail"]
        assert len(row["detail"]) <= 500


@of(KINDS)
def test_a_bad_document_costs_its_neighbours_nothing(kind: str) -> None:
    """Four hours of data were lost, because one unreadable line failed the whole batch."""
    body, reason = body_of(KINDS[kind][0]), KINDS[kind][1]
    before, after = map(json.dumps, NEIGHBOURS)
    raw = read(("a.jsonl", b"\n".join([before.encode(), body, after.encode()])))
    assert outcomes(raw) == ["accepted", reason, "accepted"]
    good = raw.filter(status="accepted")
    assert good["payload"].to_list() == [before, after]
    assert good["interaction_id"].to_list() == [each["interaction_id"] for each in NEIGHBOURS]


@of(ALL_FILES)
def test_a_file_yields_what_is_good_in_it_and_costs_other_files_nothing(kind: str) -> None:
    """One damaged upload, and the partition of the day could not be read."""
    suffix, body, expected = ALL_FILES[kind]
    raw = read((f"a{suffix}", body_of(body)), ("z.jsonl", jsonl(NEIGHBOURS)))
    assert outcomes(raw) == [*expected, "accepted", "accepted"]
    assert raw.filter(status="accepted")["payload"].to_list()[-2:] == [json.dumps(each) for each in NEIGHBOURS]


@of(ODD_LINES)
def test_what_only_looks_bad_is_accepted_and_can_be_put_to_the_model(kind: str) -> None:
    """A document that is accepted here and read differently later fails the run of its whole partition."""
    raw = read(("a.jsonl", ODD_LINES[kind]))
    assert outcomes(raw) == ["accepted"]
    needed, requests = plan_partition_requests(
        raw.with_columns(pl.col("language").fill_null("nl")), PROMPTS_READ, HAIKU
    )
    assert [item.interaction_id for item in needed] == raw["interaction_id"].to_list()
    assert len(requests) == 1


@pytest.mark.heavy
def test_no_kind_takes_long() -> None:
    """Sixty thousand complaints about one document took seconds, and a feed can hold many such documents."""
    for name, (body, _) in KINDS.items():
        content = body_of(body)
        started = time.thread_time()
        for piece in split_file_documents("a.jsonl", content):
            read_landed_document(piece, READER)
        assert time.thread_time() - started < 1.5, name


# --- bombs ------------------------------------------------------------------------------------

BOMBS: dict[str, tuple[Body, str]] = {
    "one line": (lambda: bomb(MAX_FILE_BYTES + MIB), "file_too_large"),
    "one line just within the limit": (lambda: bomb(MAX_FILE_BYTES - MIB), "document_too_large"),
    "nothing but line ends": (lambda: bomb(32 * MIB, b"\n"), "file_too_large"),
    "millions of tiny documents": (lambda: bomb(4 * MIB, b"1\n"), "file_too_large"),
    "one bomb behind the other": (lambda: bomb(MAX_FILE_BYTES // 2) * 3, "file_too_large"),
    "cut off": (lambda: bomb(MAX_FILE_BYTES * 2)[:-1_000], "file_too_large"),
}


@pytest.mark.heavy
@of(BOMBS)
def test_a_bomb_at_the_real_limit_is_one_rejected_document(kind: str) -> None:
    """A hundred kilobytes became half a gigabyte, or a hundred million lines, and the container died of it."""
    body, reason = BOMBS[kind]
    packed = body_of(body)
    assert len(packed) < MIB
    assert outcomes(read(("a.jsonl.gz", packed), ("b.jsonl", jsonl(NEIGHBOURS)))) == [reason, "accepted", "accepted"]


def test_as_many_lines_as_are_allowed_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit that is off by one rejects a whole file for its last line."""
    for module in ("landing.files", "monitoring.document_count"):
        monkeypatch.setattr(f"cs_features.{module}.MAX_FILE_LINES", 3)
    three = jsonl([document(1), document(2), document(3)])
    for name, body in (("a.jsonl", three), ("a.jsonl.gz", gz(three)), ("a.jsonl.gz", gz(three + b"x")[:-9])):
        assert outcomes(read((name, body)))[:3] == ["accepted"] * 3
    for name, body in (
        ("a.jsonl", three + b"\n"),
        ("a.jsonl.gz", gz(three + b"\n")),
        ("a.jsonl.gz", gz(three * 2)[:-1]),
    ):
        assert outcomes(read((name, body))) == ["file_too_large"]


# --- all of them at once ----------------------------------------------------------------------


def test_all_kinds_together_in_one_partition_go_through_the_whole_chain(lab: Lab) -> None:
    """The worst day there can be: every kind lands, and each good document is in the feature store in the end."""
    expected: dict[tuple[str, int], str] = {}
    good: set[str] = set()

    def uri_of(number: int, suffix: str) -> str:
        return f"s3://{lab.settings.landing_bucket}/interactions/country=NL/date={DAY}/{number:03}{suffix}"

    def landed(number: int, suffix: str, body: bytes) -> None:
        lab.land("NL", DAY, f"{number:03}{suffix}", body)

    batches = [(reason, batch) for reason, kinds in LINES.items() for batch in batches_of(list(kinds.values()), 10)]
    for number, (reason, bodies) in enumerate(batches):
        lines = [made()]
        for place, body in enumerate(bodies, start=1):
            lines += [body_of(body), made()]
            expected[uri_of(number, ".jsonl"), 2 * place] = reason
        landed(number, ".jsonl", b"\n".join(lines))
        good |= {uuid_of(line) for line in lines[::2]}
    for number, (suffix, body, found) in enumerate(ALL_FILES.values(), start=500):
        landed(number, suffix, body_of(body))
        rejects = [outcome for outcome in found if outcome != "accepted"]
        expected |= {(uri_of(number, suffix), place): reason for place, reason in enumerate(rejects)}
    accepted_in_files = sum(found.count("accepted") for _, _, found in ALL_FILES.values())
    landed(900, ".jsonl", b"\n".join(ODD_LINES.values()))

    run = lab.process()

    assert run.success, run.errors
    assert run.checks["conservation"].passed
    rejected = lab.table("rejected_records").sort("source_uri", "source_line")
    # Files count their lines as they come: what is expected of one is the order of its documents.
    told = rejected.select("source_uri", "reason").rows()
    assert told == [(uri, reason) for (uri, _), reason in sorted(expected.items())]
    assert set(rejected["stage"]) == {"landing"}
    validated = set(lab.table("validated_features")["interaction_id"])
    assert validated >= good
    assert len(validated) == len(good) + accepted_in_files + len(ODD_LINES)
    assert in_online_store(lab, validated) == validated


def batches_of(bodies: list[Body], size: int) -> list[list[Body]]:
    """Files of so many documents: more than ten of ten megabytes are too large for one."""
    return [bodies[start : start + size] for start in range(0, len(bodies), size)]


def in_online_store(lab: Lab, identifiers: set[str]) -> set[str]:
    ordered, served = sorted(identifiers), set()
    for start in range(0, len(ordered), 100):
        wanted = {
            "FeatureGroupName": lab.settings.feature_group,
            "RecordIdentifiersValueAsString": ordered[start : start + 100],
        }
        answer = lab.runtime.batch_get_record(Identifiers=[wanted])
        served |= {record["RecordIdentifierValueAsString"] for record in answer["Records"]}
    return served


# --- whatever else there may be ---------------------------------------------------------------

json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=4)),
    max_leaves=10,
)
fields = st.sampled_from([*document(), "text"])
GOOD = json.dumps(document()).encode()


def reads_beside_neighbours(line: bytes) -> None:
    """One line of anything: no exception, as many rows as are counted, and both neighbours as they were."""
    line = line.replace(b"\n", b" ")
    first, last = (json.dumps(each).encode() for each in NEIGHBOURS)
    raw = read(("a.jsonl", b"\n".join([first, line, last])))
    accepted = raw.filter(status="accepted")["payload"].to_list()
    assert accepted[0] == first.decode()
    assert accepted[-1] == last.decode()
    assert raw.height == 2 + bool(line.strip())
    assert raw.filter(status="rejected")["reason"].null_count() == 0


@given(st.binary(max_size=60))
def test_any_bytes_are_one_document(line: bytes) -> None:
    reads_beside_neighbours(line)


@given(json_values)
def test_any_json_is_one_document(value: Any) -> None:
    reads_beside_neighbours(json.dumps(value).encode())


@pytest.mark.heavy
@given(st.dictionaries(fields, json_values, max_size=4))
def test_a_good_document_with_anything_in_its_fields_is_one_document(changes: dict[str, Any]) -> None:
    """Types, texts and nesting that no list of kinds thought of, and the same in what becomes a call."""
    line = json.dumps(document() | changes).encode()
    reads_beside_neighbours(line)
    raw = read(("a.json", line))
    plan_partition_requests(raw.with_columns(pl.col("language").fill_null("nl")), PROMPTS_READ, HAIKU)


@st.composite
def mutations(draw: st.DrawFn, of: bytes = GOOD) -> bytes:
    """Bytes flipped, dropped, doubled, put in and cut off."""
    body = bytearray(of)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(len(body) - 1, 0)))
        span = draw(st.integers(1, 12))
        kind = draw(st.sampled_from(["flip", "set", "drop", "double", "insert", "cut"]))
        if kind == "flip" and body:
            body[at] ^= 1 << draw(st.integers(0, 7))
        elif kind == "set" and body:
            body[at] = draw(st.integers(0, 255))
        elif kind == "drop":
            del body[at : at + span]
        elif kind == "double":
            body[at:at] = body[at : at + span]
        elif kind == "insert":
            body[at:at] = draw(st.binary(max_size=4))
        elif kind == "cut":
            del body[at:]
    return bytes(body)


@given(mutations())
@example(b"")
def test_a_good_document_that_was_damaged_is_one_document(line: bytes) -> None:
    reads_beside_neighbours(line)


@st.composite
def some_gzip(draw: st.DrawFn) -> bytes:
    """Gzip members, some with names and checksums in their headers, one after the other; padding or dirt behind."""
    members = []
    for content in draw(
        st.lists(st.sampled_from([b"", GOOD, b"\n", GOOD + b"\n{}", b"\xff\n"]), min_size=1, max_size=3)
    ):
        body = gzip.compress(content, draw(st.sampled_from([0, 9])), mtime=0)
        flags = draw(st.sampled_from([0, 0, 0, 1, 2, 4, 8, 16]))
        field = {2: b"\0\0", 4: struct.pack("<H", 3) + b"abc", 8: b"name\0", 16: b"comment\0"}.get(flags, b"")
        members.append(body[:3] + bytes([flags]) + body[4:10] + field + body[10:])
    return b"".join(members) + draw(st.sampled_from([b"", b"", b"\0", b"\0\0\0", b"\x1f", b"\x1f\x8b", b"x"]))


@pytest.mark.heavy
@given(st.one_of(some_gzip(), some_gzip().flatmap(mutations)))
@example(b"")
@example(b"\x1f\x8b")
def test_any_gzip_however_damaged_becomes_as_many_rows_as_are_counted(body: bytes) -> None:
    """Python's gzip module is more lenient than zlib: where both are used, a partition is blocked for ever."""
    raw = read(("a.jsonl.gz", body), ("b.jsonl", jsonl(NEIGHBOURS)))
    assert raw.filter(status="rejected")["reason"].null_count() == 0
    assert {id_of("before"), id_of("after")} <= set(raw.filter(status="accepted")["interaction_id"])
