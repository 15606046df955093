"""What a new reading may not forget: when a content was first seen, and what stood in objects that cannot be read."""

import json
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cs_features.landing.documents import RAW_SCHEMA
from cs_features.landing.earlier import recall_earlier_reading
from cs_features.landing.files import Unread
from cs_features.schemas import Reason
from cs_features_tests.support.documents import document, id_of, jsonl
from cs_features_tests.support.landing import landed_file, outcomes, read, read_again

REFUSED = Unread(Reason.UNREADABLE_OBJECT, "AccessDenied")
FIRST = json.dumps(document(1, text="te laat", turns=...)).encode()
CORRECTION = json.dumps(document(1, text="op tijd", turns=...)).encode()


def accepted(raw: pl.DataFrame) -> list[str]:
    return sorted(json.loads(payload)["text"] for payload in raw.filter(status="accepted")["payload"])


def accepted_ids(raw: pl.DataFrame) -> set[str]:
    return set(raw.filter(status="accepted")["interaction_id"])


# --- first seen -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "files",
    [
        [("a.jsonl", FIRST, 9), ("b.jsonl", CORRECTION, 1)],
        [("a.jsonl", FIRST, 0), ("b.jsonl", CORRECTION, 1), ("backup/a.jsonl", FIRST, 9)],
        [("a.jsonl", FIRST + b" ", 9), ("b.jsonl", CORRECTION, 8)],
        [("a.jsonl", FIRST[:-1] + b', "exported_at": 9}', 9), ("b.jsonl", CORRECTION, 1)],
    ],
    ids=["in place", "under another name", "re-encrypted in another order", "exported again"],
)
def test_a_copy_does_not_undo_a_correction(files: list[tuple[str, bytes, int]]) -> None:
    """Fault 21: a restore gave the first version a new date, and its features replaced the corrected ones."""
    earlier = recall_earlier_reading(read(("a.jsonl", FIRST), ("b.jsonl", CORRECTION)))
    raw = read_again(*(landed_file(*file) for file in files), earlier=earlier)
    assert accepted(raw) == ["op tijd"]


def test_a_copy_stays_a_copy_in_every_run_after() -> None:
    """The date of first sight is passed on from run to run, or the third run would believe the second's."""
    raw = read(("a.jsonl", FIRST), ("b.jsonl", CORRECTION))
    for minute in (5, 6, 7):
        files = landed_file("a.jsonl", FIRST, minute), landed_file("b.jsonl", CORRECTION, 1)
        raw = read_again(*files, earlier=recall_earlier_reading(raw))
    assert accepted(raw) == ["op tijd"]


def test_of_several_copies_the_oldest_says_when_a_content_was_first_seen() -> None:
    """Dated by its latest copy, the first version would be younger than its correction."""
    earlier = recall_earlier_reading(read(("a.jsonl", FIRST), ("b.jsonl", CORRECTION), ("c.jsonl", FIRST)))
    raw = read_again(landed_file("a.jsonl", FIRST, 9), landed_file("b.jsonl", CORRECTION, 1), earlier=earlier)
    assert accepted(raw) == ["op tijd"]


def test_what_is_new_is_as_old_as_its_object() -> None:
    """A correction that lands is a correction, whatever was seen before it."""
    earlier = recall_earlier_reading(read(("a.jsonl", CORRECTION)))
    raw = read_again(landed_file("a.jsonl", CORRECTION), landed_file("c.jsonl", FIRST, 4), earlier=earlier)
    assert accepted(raw) == ["te laat"]


@pytest.mark.parametrize("column", RAW_SCHEMA.names())
def test_a_table_of_an_older_version_is_read_as_far_as_it_goes(column: str) -> None:
    """Fault 8: a reader that asks for a column of tomorrow stops every partition of yesterday."""
    older = read(("a.jsonl", FIRST), ("b.jsonl", CORRECTION)).drop(column)
    files = landed_file("a.jsonl", REFUSED), landed_file("b.jsonl", CORRECTION, 1)
    raw = read_again(*files, earlier=recall_earlier_reading(older))
    assert raw.schema == RAW_SCHEMA
    assert "op tijd" in accepted(raw)


def test_columns_that_a_newer_version_added_are_passed_over() -> None:
    newer = read(("a.jsonl", FIRST)).with_columns(mood=pl.lit("fine"))
    (row,) = next(iter(recall_earlier_reading(newer).rows.values()))
    assert list(row) == RAW_SCHEMA.names()


def test_before_the_first_run_nothing_is_known() -> None:
    assert recall_earlier_reading(None).rows == {}
    assert recall_earlier_reading(None).first_seen == {}
    assert outcomes(read_again(landed_file("a.jsonl", REFUSED), earlier=recall_earlier_reading(None))) == [
        "unreadable_object"
    ]


# --- objects that cannot be read --------------------------------------------------------------


def test_an_object_that_cannot_be_read_is_one_reject_with_its_key() -> None:
    """Fault 15: its partition failed without naming it."""
    raw = read_again(landed_file("a.jsonl", REFUSED), landed_file("b.jsonl", CORRECTION, 1))
    assert outcomes(raw) == ["unreadable_object", "accepted"]
    row = raw.filter(status="rejected").row(0, named=True)
    assert row["source_uri"].endswith("/a.jsonl")
    assert (row["source_line"], row["payload"], row["interaction_id"]) == (1, "", None)


@pytest.mark.parametrize("minute", [0, 7], ids=["the same object", "another one under its key"])
def test_its_documents_stand_as_they_were_last_read(minute: int) -> None:
    """An object that nobody may read is no evidence that its documents are gone: their records were withdrawn."""
    before = read(("a.jsonl", jsonl([document(1), document(2), b"broken", document(3, channel="fax")])))
    again = read_again(landed_file("a.jsonl", REFUSED, minute), earlier=recall_earlier_reading(before))
    assert accepted_ids(again) == accepted_ids(before)
    assert sorted(outcomes(again)) == sorted(["unreadable_object", *outcomes(before)])
    kept = again.filter(pl.col("reason").ne_missing("unreadable_object"))
    same = [name for name in RAW_SCHEMA.names() if name not in ("listed_at",)]
    assert kept.select(same).equals(before.select(same))


def test_they_stand_for_as_long_as_it_cannot_be_read() -> None:
    before = raw = read(("a.jsonl", jsonl([document(1), document(2)])))
    for _ in range(3):
        raw = read_again(landed_file("a.jsonl", REFUSED), earlier=recall_earlier_reading(raw))
    assert raw.height == 3
    assert accepted_ids(raw) == accepted_ids(before)
    whole = read_again(landed_file("a.jsonl", jsonl([document(1)])), earlier=recall_earlier_reading(raw))
    assert accepted_ids(whole) == {id_of(1)}


def test_a_correction_elsewhere_wins_over_what_cannot_be_read_and_gives_way_when_it_goes() -> None:
    """Taken over with its verdict, a document that lost its id to another would never have it back."""
    before = read(("a.jsonl", FIRST), ("b.jsonl", CORRECTION))
    both = read_again(
        landed_file("a.jsonl", REFUSED), landed_file("b.jsonl", CORRECTION, 1), earlier=recall_earlier_reading(before)
    )
    assert accepted(both) == ["op tijd"]
    alone = read_again(landed_file("a.jsonl", REFUSED), earlier=recall_earlier_reading(both))
    assert accepted(alone) == ["te laat"]


def test_what_another_partition_superseded_is_judged_anew() -> None:
    """`superseded` is an earlier run's verdict; the document itself is valid, and may have its id back by now."""
    raw = read(("a.jsonl", FIRST))
    lost = pl.lit("rejected").alias("status"), pl.lit("superseded").alias("reason"), pl.lit("there").alias("detail")
    again = read_again(landed_file("a.jsonl", REFUSED), earlier=recall_earlier_reading(raw.with_columns(lost)))
    assert accepted(again) == ["te laat"]


def test_a_deleted_object_leaves_nothing_behind() -> None:
    """Only what is listed and refused stands: deletion by the feed is deletion."""
    before = recall_earlier_reading(read(("a.jsonl", FIRST), ("b.jsonl", jsonl([document(2)]))))
    assert accepted_ids(read_again(landed_file("b.jsonl", REFUSED), earlier=before)) == {id_of(2)}


lines = st.builds(
    lambda number, text, channel: json.dumps(document(number, turns=..., text=text, channel=channel)).encode(),
    st.integers(0, 3),
    st.sampled_from(["een", "twee"]),
    st.sampled_from(["chat", "chat", "fax"]),
)
bodies = st.lists(st.one_of(lines, st.just(b"broken")), max_size=4).map(b"\n".join)


@pytest.mark.heavy
@given(st.lists(bodies, min_size=1, max_size=4), st.data())
def test_whatever_cannot_be_read_no_accepted_document_leaves(files: list[bytes], data: Any) -> None:
    """The sentence of the house: what the latest run sees replaces what is served, and here it saw less."""
    landed = [landed_file(f"{minute}.jsonl", body, minute) for minute, body in enumerate(files)]
    before = read_again(*landed)
    refused = data.draw(st.sets(st.sampled_from(range(len(files)))))
    again = read_again(
        *(landed_file(f"{n}.jsonl", REFUSED if n in refused else body, n) for n, body in enumerate(files)),
        earlier=recall_earlier_reading(before),
    )
    assert accepted_ids(again) == accepted_ids(before)
    assert accepted(again) == accepted(before)
    assert again.filter(reason="unreadable_object").height == len(refused)
