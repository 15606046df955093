"""Reading the landing bucket: every document becomes a row, and every id has one owner.

The kinds of bad document, and whatever else may land, are in `test_bad_documents.py`.

Each reading is counted a second time by `monitoring/document_count.py`, whose code shares nothing with the
reader: were the two to disagree, good partitions would be blocked, or lost documents go unnoticed.
"""

import json
import zlib
from datetime import datetime, timezone
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cs_features.landing.files import KEPT_BYTES
from cs_features_tests.support.documents import DAY, document, gz, id_of, jsonl
from cs_features_tests.support.landing import landed_file, one, outcomes, read, read_again


def encoded(**changes: Any) -> bytes:
    return json.dumps(document(**changes), ensure_ascii=False).encode()


def says(*texts: str, speaker: str = "customer") -> list[dict[str, str]]:
    return [{"speaker": speaker, "text": text} for text in texts]


@pytest.mark.parametrize("time", ["1741077000", "1741077000.5", "-1", "0"])
def test_a_unix_time_in_quotes_is_no_time_with_an_offset(time: str) -> None:
    """pydantic reads "1741077000" as seconds since 1970: an exporter's bug would pass as a time in UTC."""
    assert one(read(("a.json", encoded(occurred_at=time))))["reason"] in ("invalid_value", "wrong_type")


def test_the_times_of_a_row_are_in_utc() -> None:
    """`occurred_at` becomes the event time: kept in local time, records of one customer change their order."""
    row = one(read(("a.json", encoded(occurred_at="2025-03-05T00:30:00+01:00"))))
    assert row["occurred_at"] == datetime(2025, 3, 4, 23, 30, tzinfo=timezone.utc)


def test_a_stated_language_is_told_apart_from_one_to_be_detected() -> None:
    """A language that was only guessed must not look like one that the source system knew."""
    raw = read(("a.jsonl", jsonl([document(1, language="pl"), document(2, language=...)])))
    assert raw.select("language", "language_stated").rows() == [("pl", True), ("nl", False)]


def test_what_cannot_be_read_keeps_its_payload_and_its_place() -> None:
    """A dead letter that says neither what it was nor where it stood cannot be repaired."""
    raw = read(("a.jsonl", b"\n" + encoded() + b"\n\xffbroken\n"))
    bad = raw.filter(status="rejected").row(0, named=True)
    assert bad["payload"] == "\\xffbroken"
    assert (bad["source_uri"], bad["source_line"]) == (f"s3://landing/interactions/country=NL/date={DAY}/a.jsonl", 3)


def test_no_detail_quotes_the_customer() -> None:
    """Details go to logs and to the UI, where no customer's text may stand."""
    secret = "Jan de Vries, NL91ABNA0417164300"
    raw = read(
        (
            "a.jsonl",
            jsonl([document(1, channel=secret), document(2, customer_id=[secret]), document(3, country=secret)]),
        )
    )
    assert raw.filter(pl.col("detail").str.contains("Jan|NL91")).is_empty()
    assert outcomes(raw) == ["invalid_value", "wrong_type", "invalid_value"]


def test_a_document_that_is_too_large_keeps_the_beginning_of_its_payload() -> None:
    """A 3 MB mail thread with attachments in base64 would be carried through every table."""
    row = one(read(("a.jsonl", encoded(turns=says("x" * 3_000_000)))))
    assert len(row["payload"]) == KEPT_BYTES
    assert row["payload"].startswith('{"interaction_id"')


def test_a_document_that_is_too_large_and_delivered_twice_leaves_the_count_in_balance() -> None:
    """The count knew the second one as a duplicate and the reader did not: the partition was blocked for ever."""
    large = encoded(turns=says("x" * 3_000_000))
    raw = read(("a.jsonl", large + b"\n" + large))
    assert raw["reason"].drop_nulls().to_list()[0] == "document_too_large"


# --- files ------------------------------------------------------------------------------------


def test_blank_lines_are_no_documents_but_count_as_lines() -> None:
    """Editors and exporters leave blank lines; the line number must be the one that an editor shows."""
    raw = read(("a.jsonl", b"\n  \n" + encoded() + b"\n\n\t\nbroken"))
    assert raw.select("source_line", "status").rows() == [(3, "accepted"), (6, "rejected")]


def test_windows_line_ends_do_not_spoil_the_documents() -> None:
    """A CRLF export: the carriage return ends up inside the last field or makes blank lines documents."""
    raw = read(("a.jsonl", jsonl([document(1), document(2)]).replace(b"\n", b"\r\n") + b"\r\n"))
    assert outcomes(raw) == ["accepted", "accepted"]


def test_a_last_line_without_line_end_is_a_document() -> None:
    assert outcomes(read(("a.jsonl", jsonl([document(1)]) + encoded(interaction_id=id_of(2))))) == ["accepted"] * 2


def test_a_json_file_is_one_document_however_many_lines_it_has() -> None:
    """A pretty-printed document read line by line would be thirty malformed ones."""
    raw = read(("a.json", json.dumps(document(), indent=4).encode()), ("b.json", jsonl([document(2), document(3)])))
    assert outcomes(raw) == ["accepted", "malformed_json"]


@pytest.mark.parametrize("name", ["a.csv", "a.json.gz", "a.jsonl.zip", "a.JSON", "a", "a.jsonl.gz.part"])
def test_a_file_of_another_kind_is_rejected_and_not_passed_over(name: str) -> None:
    """A changed extension once looked like a day without interactions."""
    row = one(read((name, jsonl([document()]))))
    assert (row["reason"], row["payload"]) == ("unsupported_file", "")
    assert row["source_uri"].endswith(f"/{name}")


def test_a_gzip_file_of_several_members_is_read_to_its_end() -> None:
    """Log shippers append members; reading only the first loses the rest without an error."""
    parts = [gz(jsonl([document(1)])), gz(jsonl([document(2)])), b"\0" * 512]
    assert outcomes(read(("a.jsonl.gz", b"".join(parts)))) == ["accepted", "accepted"]


def test_a_truncated_gzip_keeps_its_whole_lines() -> None:
    """An upload broke off: the documents before the cut were good, and the one at the cut must be told."""
    noise = [document(n, turns=says(f"{zlib.crc32(str(n).encode())} " * 20)) for n in range(200)]
    body = gz(jsonl(noise))
    raw = read(("a.jsonl.gz", body[: len(body) * 2 // 3]))
    kept = raw.filter(status="accepted")["interaction_id"].to_list()
    assert 50 < len(kept) < 200
    assert kept == [id_of(n) for n in range(len(kept))]
    last = raw.row(-1, named=True)
    assert (last["reason"], last["source_line"]) == ("truncated_gzip", len(kept) + 1)


def test_a_gzip_that_lost_only_its_trailer_says_so() -> None:
    """All lines are there, and still nobody can know whether more were written after them."""
    raw = read(("a.jsonl.gz", gz(jsonl([document(1), document(2)]))[:-8]))
    assert outcomes(raw) == ["accepted", "accepted", "truncated_gzip"]


TWO = gz(jsonl([document(1), document(2)]))


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(TWO + TWO[:1], id="cut one byte into the second member"),
        pytest.param(TWO[:3] + b"\xe0" + TWO[4:], id="reserved flags"),
        pytest.param(TWO[:3] + b"\x02" + TWO[4:10] + b"\0\0" + TWO[10:], id="wrong checksum of the header"),
        pytest.param(b"\x1f", id="one byte"),
        pytest.param(gz(b""), id="nothing inside"),
        pytest.param(TWO + b"\0", id="padding"),
    ],
)
def test_the_reader_and_the_count_agree_on_odd_gzip_headers(body: bytes) -> None:
    """Python's gzip module is more lenient than zlib: where they differ, a partition is blocked for ever."""
    read(("a.jsonl.gz", body))


# --- ids --------------------------------------------------------------------------------------


def test_the_same_document_twice_is_a_duplicate_and_no_rejection() -> None:
    """At-least-once delivery is normal: a redelivered file must neither be billed twice nor raise an alarm."""
    again = {key: document(1)[key] for key in reversed(document(1))}
    raw = read(("a.jsonl", jsonl([document(1), document(2)])), ("b.json", json.dumps(again, indent=1).encode()))
    assert outcomes(raw) == ["accepted", "accepted", "duplicate"]


@pytest.mark.parametrize(
    "again",
    [
        document(1, exported_at="2025-03-05T00:00:00Z"),
        document(1, turns=[{**turn, "author": "Jan"} for turn in document(1)["turns"]]),
        document(1, **{"": None, "Country": "BE"}),
    ],
)
def test_unknown_fields_do_not_make_another_document(again: dict[str, Any]) -> None:
    """Delivery is not version: an export that stamps each delivery made every document a correction of itself."""
    raw = read(("a.json", encoded()), ("b.json", json.dumps(again).encode()))
    assert outcomes(raw) == ["accepted", "duplicate"]
    assert raw["content_hash"].n_unique() == 1


@pytest.mark.parametrize("changes", [{"customer_id": "c-2"}, {"channel": "email"}, {"language": "en"}])
def test_every_field_of_the_contract_makes_another_document(changes: dict[str, Any]) -> None:
    raw = read(("a.json", encoded()), ("b.json", encoded(**changes)))
    assert outcomes(raw) == ["duplicate_id", "accepted"]
    assert raw["content_hash"].n_unique() == 2


def test_an_invalid_document_twice_is_rejected_once() -> None:
    """A redelivered dead letter doubled the rejected share and raised the alarm."""
    raw = read(("a.jsonl", jsonl([document(1, channel="fax"), document(1, channel="fax")])))
    assert outcomes(raw) == ["invalid_value", "duplicate"]


def test_of_two_documents_with_one_id_the_one_that_landed_last_wins() -> None:
    """A correction under the same id must replace the first version, and the first must not vanish silently."""
    early, late = document(1, turns=says("te laat")), document(1, turns=says("toch op tijd"))
    raw = read(("z.json", json.dumps(early).encode()), ("a.json", json.dumps(late).encode()))
    winner = raw.filter(status="accepted").row(0, named=True)
    loser = raw.filter(status="rejected").row(0, named=True)
    assert "toch op tijd" in winner["payload"]
    assert loser["reason"] == "duplicate_id"
    assert loser["interaction_id"] is None
    assert id_of(1) in loser["detail"]
    assert winner["source_uri"] in loser["detail"]


def test_within_one_file_the_later_line_wins() -> None:
    raw = read(("a.jsonl", jsonl([document(1, turns=says(text)) for text in ("een", "twee", "drie")])))
    assert outcomes(raw) == ["duplicate_id", "duplicate_id", "accepted"]


def test_a_first_version_that_is_delivered_again_does_not_undo_its_correction() -> None:
    """first, correction, first again: the redelivery is a duplicate, and the correction stays."""
    first, correction = document(1, turns=says("een")), document(1, turns=says("twee"))
    assert outcomes(read(("a.jsonl", jsonl([first, correction, first])))) == ["duplicate_id", "accepted", "duplicate"]


@pytest.mark.parametrize("order", [[0, 1], [1, 0]])
def test_an_invalid_document_does_not_take_the_id_of_a_valid_one(order: list[int]) -> None:
    """With the id on both sides, a redrive would ask for an interaction that is already in the feature store."""
    both = [document(1), document(1, channel="fax")]
    raw = read(("a.jsonl", jsonl([both[n] for n in order])))
    good, bad = (raw.filter(status=status).row(0, named=True) for status in ("accepted", "rejected"))
    assert good["interaction_id"] == id_of(1)
    assert (bad["interaction_id"], bad["reason"]) == (None, "invalid_value")
    assert id_of(1) in bad["detail"]


def test_an_invalid_document_with_the_id_in_capitals_does_not_take_it_either() -> None:
    """The same UUID in two spellings stood on both sides, unseen by a comparison of strings."""
    raw = read(("a.jsonl", jsonl([document(1), document(1, interaction_id=id_of(1).upper(), channel="fax")])))
    assert raw.filter(status="rejected")["interaction_id"].to_list() == [None]


def test_an_invalid_document_alone_keeps_its_id() -> None:
    """Whoever asks what became of an interaction must find it among the rejected."""
    assert one(read(("a.json", encoded(channel="fax"))))["interaction_id"] == id_of(1)


def test_one_id_in_two_spellings_is_one_interaction() -> None:
    """Two records of one interaction would overwrite each other in the feature group."""
    raw = read(("a.jsonl", jsonl([document(1), document(1, interaction_id=id_of(1).upper())])))
    assert sorted(outcomes(raw)) == ["accepted", "duplicate_id"]


# --- properties -------------------------------------------------------------------------------

some_documents = st.builds(
    lambda number, changes: json.dumps(document(number, **changes)).encode(),
    st.integers(0, 2),
    st.sampled_from(
        [{}, {}, {"channel": "fax"}, {"turns": []}, {"extra": 1}, {"country": "BE"}, {"interaction_id": 5}]
    ),
)
some_lines = st.one_of(
    some_documents,
    st.binary(max_size=30),
    st.tuples(some_documents, st.integers(0, 200), st.binary(max_size=3)).map(
        lambda it: it[0][: it[1]] + it[2] + it[0][it[1] :]
    ),
    st.sampled_from(
        [
            b"",
            b" ",
            b"\r",
            b"\x0b",
            b"\x1c",
            b"\xa0",
            b"{}",
            b"[]",
            b"null",
            b"\xef\xbb\xbf",
            b'{"interaction_id": "x"}',
            b'{"interaction_id":"x"}',
        ]
    ),
)
some_files = st.lists(some_lines, max_size=6).map(b"\n".join)


@pytest.mark.heavy
@given(st.lists(st.tuples(st.sampled_from(["a.json", "b.jsonl", "c.jsonl", "d.csv"]), some_files), max_size=3))
def test_any_files_become_as_many_rows_and_duplicates_as_are_counted(files: list[tuple[str, bytes]]) -> None:
    """`read` compares both counts; no bytes at all may raise."""
    raw = read(*files)
    assert set(raw["status"]) <= {"accepted", "rejected", "duplicate"}
    assert raw.filter(status="rejected")["reason"].null_count() == 0


@pytest.mark.heavy
@given(st.lists(st.tuples(st.sampled_from(["a.json", "b.jsonl", "c.jsonl.gz"]), some_files), min_size=1, max_size=3))
def test_every_id_has_at_most_one_owner_and_is_never_on_both_sides(files: list[tuple[str, bytes]]) -> None:
    """The law of the ids: accepted ids are unique, and no rejected row carries one of them."""
    raw = read(*((name, gz(body) if name.endswith(".gz") else body) for name, body in files))
    accepted = raw.filter(status="accepted")["interaction_id"].to_list()
    assert len(set(accepted)) == len(accepted)
    assert not set(accepted) & set(raw.filter(status="rejected")["interaction_id"])


@pytest.mark.heavy
@given(st.lists(some_documents, min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_the_order_in_which_s3_answers_decides_nothing(lines: list[bytes], random: Any) -> None:
    """Sixteen threads read the files: the winner of an id must not be whoever came first that day."""
    landed = [landed_file(f"{minute}.json", line, minute) for minute, line in enumerate(lines)]
    shuffled = random.sample(landed, len(landed))
    assert read_again(*landed).equals(read_again(*shuffled))
