"""Whose a ledger line is, what is left of it when one of them is erased, and that no refused answer is kept."""

import json
from pathlib import Path

import pytest

from cs_features.erasure.subjects import Subject
from cs_features.erasure.tombstones import add_tombstone_entries, make_tombstone_entry, read_tombstones, write_tombstone
from cs_features.extraction.attribution import drop_refused_answer, strip_erased_lines
from cs_features.extraction.bedrock import Reply
from cs_features.extraction.journal import Journal, format_reply_line, strip_erased_journals
from cs_features.extraction.ledger import Ledger
from cs_features.extraction.ledger_lines import Askings, format_ledger_line
from cs_features.s3 import Bucket
from cs_features_tests.support.documents import id_of
from cs_features_tests.support.ledgers import FOLDER, ONE_CALL, answered, failed
from cs_features_tests.support.memory_s3 import EIGHT, MemoryS3

KEY = "k" * 32
ONE, TWO = id_of(1), id_of(2)
ERASED = Subject(until=EIGHT, interaction_ids=frozenset({ONE}), requests=frozenset({"old"}))


def opened(s3: MemoryS3, folder: Path, owners: dict[str, list[str]]) -> Ledger:
    bucket = Bucket(s3, "data", "X")
    return Ledger(bucket, FOLDER, folder, owners, lambda: read_tombstones(bucket, KEY))


def lines_in(s3: MemoryS3) -> list[dict[str, object]]:
    bodies = [body for key, (body, _) in s3.objects.items() if key.startswith("ledger/")]
    return [json.loads(line) for body in bodies for line in body.splitlines()]


def test_a_line_says_whose_text_was_asked_and_goes_when_the_last_of_them_is_erased() -> None:
    """Lines carried the hash of their request alone: nobody could find a customer's, and seven texts were left."""
    line = format_ledger_line(answered("r"), [ONE, TWO]).rstrip()
    left = strip_erased_lines(line, ERASED)
    assert left is not None
    assert json.loads(left)["interactions"] == [TWO]
    assert Askings([left]).known == Askings([line]).known
    both = Subject(until=EIGHT, interaction_ids=frozenset({ONE, TWO}))
    assert strip_erased_lines(line, both) is None
    assert strip_erased_lines(format_ledger_line(answered("r"), [TWO]).rstrip(), ERASED) is not None


@pytest.mark.parametrize(("request_hash", "stays"), [("old", False), ("other", True)])
def test_a_line_of_an_older_version_goes_by_its_request(request_hash: str, stays: bool) -> None:
    entry = json.loads(format_ledger_line(answered(request_hash)))
    del entry["interactions"]
    line = json.dumps(entry).encode()
    assert strip_erased_lines(line, ERASED) == (line if stays else None)


def test_lines_of_others_and_lines_that_nobody_understands_stay_byte_for_byte() -> None:
    for line in (b"{torn", b"[1]", b'{"version":9}', b'{"interactions":"x","request":1}'):
        assert strip_erased_lines(line, ERASED) == line


def test_a_dead_journal_brings_nobody_back(tmp_path: Path) -> None:
    """A wiped ledger was refilled one run later, by the journal of a run that had died before the erasure."""
    s3 = MemoryS3()
    folder = tmp_path / "data" / FOLDER
    folder.mkdir(parents=True)
    replies = [format_reply_line("r-1", "unjudged", Reply(None, "x", ONE_CALL, 1), [ONE]).rstrip()]
    Journal(folder, [format_ledger_line(answered(1, "secret"), [ONE]).rstrip(), *replies]).close()
    write_tombstone(Bucket(s3, "data", "X"), ERASED, KEY)
    with opened(s3, tmp_path, {}) as ledger:
        assert ledger.known == {}
        assert ledger.unjudged == {}
    assert lines_in(s3) == []


def test_what_a_living_run_ships_after_an_erasure_is_gone_with_the_next_run(tmp_path: Path) -> None:
    s3 = MemoryS3()
    with opened(s3, tmp_path, {"1": [ONE], "2": [TWO]}) as ledger:
        write_tombstone(Bucket(s3, "data", "X"), ERASED, KEY)
        ledger.record_call_outcome(answered(1))
        ledger.record_call_outcome(answered(2))
    assert len(lines_in(s3)) == 2
    with opened(s3, tmp_path, {}) as ledger:
        assert set(ledger.known) == {"2"}
        ledger.compact_ledger_objects()
    assert [line["interactions"] for line in lines_in(s3)] == [[TWO]]


def test_journals_of_this_host_lose_who_is_erased_and_keep_the_others(tmp_path: Path) -> None:
    folder = tmp_path / "data" / FOLDER
    folder.mkdir(parents=True)
    Journal(
        folder, [format_ledger_line(answered(each), [whose]).rstrip() for each, whose in ((1, ONE), (2, TWO))]
    ).close()
    living = Journal(folder, [format_ledger_line(answered(3), [ONE]).rstrip()])
    assert strip_erased_journals(tmp_path, ERASED) == 1
    left = {path: path.read_bytes() for path in folder.glob("*.jsonl")}
    assert sorted(body.count(ONE.encode()) for body in left.values()) == [0, 1], "a living run's is left alone"
    assert sum(body.count(TWO.encode()) for body in left.values()) == 1
    living.close()


def test_an_answer_that_was_refused_is_in_no_line_and_older_lines_lose_theirs() -> None:
    """Summaries that the rule against personal data had refused stood in ledger and table, all twenty kinds of them."""
    old = json.dumps(
        {**json.loads(format_ledger_line(failed("x"))), "raw": '{"summary": "NL91ABNA0417164300"}'}
    ).encode()
    assert b"NL91" not in drop_refused_answer(old)
    askings = Askings([old, old])
    assert len(askings) == 1
    assert b"NL91" not in b"".join(askings)
    assert askings.known["x"].raw_answer is None
    assert askings.known["x"].cost_usd == failed("x").cost_usd


def test_tombstones_name_nobody() -> None:
    """Without the key nobody can try out the few million customer ids that there are."""
    subject = Subject(until=EIGHT, customer_id="c-1", interaction_ids=frozenset({ONE}), requests=frozenset({"r"}))
    told = json.dumps(make_tombstone_entry(subject, KEY.encode()))
    assert ONE not in told
    assert "c-1" not in told
    known = add_tombstone_entries([make_tombstone_entry(subject, KEY.encode())], KEY.encode())
    assert known.covers_interaction(ONE.upper())
    assert known.covers_request("r")
    assert not known.covers_request("c-1")
