"""A paid reply is on the disk before anybody looks at it, and whoever comes next judges it without paying again."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cs_features.errors import RunStopper
from cs_features.extraction.bedrock import Reply
from cs_features.extraction.engine import Outcome
from cs_features.extraction.journal import (
    Journal,
    format_reply_line,
    merge_unjudged_replies,
    parse_unjudged_replies,
    read_journal_content,
)
from cs_features.extraction.ledger import Ledger
from cs_features.extraction.ledger_lines import format_ledger_line
from cs_features.extraction.prompts import TOOL_NAME
from cs_features.extraction.session import Session, extract_needed_answers
from cs_features.s3 import Bucket
from cs_features_tests.support.desk import GOOD, extractor_in, key_of, requests_of
from cs_features_tests.support.ledgers import FOLDER, ONE_CALL, answered
from cs_features_tests.support.memory_s3 import MemoryS3

BAD = {**GOOD, "sentiment": "furious"}


def reply_of(answer: Any) -> Reply:
    return Reply({"toolUseId": "t-1", "name": TOOL_NAME, "input": answer}, "tool_use", ONE_CALL, 7)


class Killed(BaseException):
    """Stands for SIGKILL: nothing of ours catches it."""


class Host:
    """One host's journals, a ledger that survives it, and runs whose replies are given."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.s3 = MemoryS3()
        self.billed = 0

    def open_ledger(self) -> Ledger:
        return Ledger(Bucket(self.s3, "bucket", "X"), FOLDER, self.folder / "journals")

    def run(self, *replies: Reply, requests: dict[str, Any] | None = None, model: Any = None) -> Session:
        """A run over one request, answered by `replies` in turn."""
        waiting = list(replies)

        def call(_: Any) -> Reply:
            self.billed += 1
            return waiting.pop(0)

        extractor = extractor_in(self.folder, call=call)
        if model is not None:
            extractor = replace(extractor, answer_model=model)
        with self.open_ledger() as ledger:
            return extract_needed_answers(
                requests_of(1) if requests is None else requests,
                ledger,
                extractor,
                1,
                lambda session: None,
            )

    @property
    def journal_files(self) -> list[Path]:
        return list(self.folder.rglob("*.jsonl"))

    def kill_while_judging(self, *replies: Any) -> None:
        class Model:
            @staticmethod
            def model_validate(_: Any) -> None:
                raise Killed

        with pytest.raises(Killed):
            self.run(*replies, model=Model)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_a_reply_whose_judge_dies_is_judged_by_the_next_run_without_a_call(host: Host) -> None:
    """More rules stood between a reply and its journal line: of 2,000 answers 81 were paid for twice over 200 kills."""
    host.kill_while_judging(reply_of(GOOD))
    session = host.run()
    outcome = session.outcomes[key_of(1)]
    assert outcome.answered
    assert (outcome.usage, outcome.attempts, host.billed) == (ONE_CALL, 1, 1)
    assert not session.asked, "the run claims to have paid for what another one did"
    assert not host.journal_files


def test_a_refused_reply_of_a_dead_run_goes_on_to_its_repair_and_both_are_on_the_bill(host: Host) -> None:
    """The conversation goes on where it was: the first answer is not paid for again, and is on the bill once."""
    host.kill_while_judging(reply_of(BAD))
    session = host.run(reply_of(GOOD))
    outcome = session.outcomes[key_of(1)]
    assert outcome.answered
    assert (outcome.attempts, outcome.usage, host.billed) == (2, ONE_CALL + ONE_CALL, 2)
    assert session.asked == {key_of(1): outcome}


def test_a_dead_run_that_dies_again_while_it_is_recovered_is_still_paid_for_once(host: Host) -> None:
    """The lines are carried from journal to journal, and stand in two of them for a moment."""
    for _ in range(3):
        host.kill_while_judging(*([reply_of(GOOD)] if host.billed == 0 else []))
    carried = host.journal_files[0]
    carried.with_name("copy.jsonl").write_bytes(carried.read_bytes())
    outcome = host.run().outcomes[key_of(1)]
    assert (outcome.attempts, outcome.usage, host.billed) == (1, ONE_CALL, 1)


def test_a_refused_answer_never_leaves_the_host_but_as_its_outcome(host: Host) -> None:
    """The ledger keeps what was judged: what the model said of a customer before its repair is nowhere in S3."""
    host.kill_while_judging(reply_of({**GOOD, "summary": "Call Anna on 0612345678.", "sentiment": "x"}))
    host.run(reply_of(GOOD))
    assert b"Anna" not in b"".join(body for body, _ in host.s3.objects.values())
    assert not host.journal_files


def test_of_a_reply_that_no_request_needs_any_more_the_bill_is_kept(host: Host) -> None:
    """The document was corrected between the kill and the restart: the money was spent all the same."""
    host.kill_while_judging(reply_of(GOOD))
    host.run(reply_of(GOOD), requests=requests_of(2))
    with host.open_ledger() as ledger:
        assert set(ledger.known) == {key_of(2)}, "an answer that nobody judged passes for one"
        earlier = ledger.record_call_outcome(Outcome(key_of(1), answer=GOOD, usage=ONE_CALL, cost_usd=0.0, attempts=1))
    assert earlier.usage == ONE_CALL + ONE_CALL
    assert not host.journal_files


def test_replies_that_a_stopped_run_did_not_judge_wait_for_the_next_one(host: Host) -> None:
    """A run that ends in an error takes its journal away: what it had not come to judge would be paid for again."""
    host.kill_while_judging(reply_of(GOOD))
    with pytest.raises(RunStopper), host.open_ledger():
        raise RunStopper("access denied")
    assert len(host.journal_files) == 1
    assert host.run().outcomes[key_of(1)].answered
    assert host.billed == 1


def test_a_reader_of_the_ledger_alone_takes_no_reply_away(host: Host) -> None:
    """A preview opens the ledgers of partitions whose own run has died."""
    host.kill_while_judging(reply_of(GOOD))
    with host.open_ledger():
        pass
    assert host.run().outcomes[key_of(1)].answered
    assert host.billed == 1


def test_an_outcome_settles_the_replies_before_it_and_no_later_one() -> None:
    """A redrive asks the same request again: its reply stands behind the old outcome, and is not settled by it."""
    first, second = format_reply_line("a", "1", reply_of(BAD)), format_reply_line("b", "1", reply_of(GOOD))
    settled = read_journal_content([first, format_ledger_line(answered("1"))])
    assert settled.unjudged == {}
    again = read_journal_content([first, format_ledger_line(answered("1")), second])
    assert parse_unjudged_replies(again.unjudged["1"]) == [reply_of(GOOD)]
    assert len(again.outcomes) == 1


replies = st.builds(
    Reply,
    tool_use=st.none()
    | st.dictionaries(
        st.text(max_size=9), st.none() | st.booleans() | st.integers() | st.text(max_size=30), max_size=4
    ),
    stop_reason=st.text(max_size=20),
    usage=st.just(ONE_CALL),
    latency_ms=st.integers(0, 10**6),
)


@given(said=st.lists(st.tuples(st.sampled_from("abc"), replies), max_size=8), torn=st.integers(0, 30))
def test_a_journal_gives_back_what_was_written_whatever_the_model_said(
    said: list[tuple[str, Reply]], torn: int
) -> None:
    """Half a surrogate pair, a line break, a torn end: none may hide the replies before it."""
    lines = [format_reply_line(str(number), *each) for number, each in enumerate(said)]
    content = read_journal_content([*lines, format_reply_line("last", "d", Reply(None, "x", ONE_CALL, 1))[: 20 + torn]])
    found = {
        request: parse_unjudged_replies(kept) for request, kept in merge_unjudged_replies([content, content]).items()
    }
    expected: dict[str, list[Reply]] = {}
    for request, reply in said:
        expected.setdefault(request, []).append(reply)
    assert found == expected
    assert content.outcomes == []


@pytest.mark.parametrize(
    "line",
    [
        b'{"reply":"1","version":2,"request":"a","tool_use":null}',
        b'{"reply":"1","version":1,"request":"a","tool_use":[],"stop_reason":"x","tokens":[1,1,1,1],"latency_ms":1}',
        b'{"reply":"1","version":1,"request":"a","tool_use":null,"stop_reason":"x","tokens":"many","latency_ms":1}',
        b'{"reply":"1","version":1,"request":"a"}',
    ],
)
def test_a_reply_of_another_version_is_none_and_is_not_sent_to_s3(line: bytes) -> None:
    """Whoever reads stored state tolerates what newer versions wrote, and asks again."""
    content = read_journal_content([line])
    assert content.outcomes == []
    assert parse_unjudged_replies(content.unjudged["a"]) == []


def test_a_full_disk_is_an_error_and_not_half_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line that was not written whole must not pass for one that was."""
    journal = Journal(tmp_path)

    class Full:
        def write(self, line: bytes) -> int:
            return len(line) - 1

    monkeypatch.setattr(journal, "_file", Full())
    with pytest.raises(OSError, match="disk full"):
        journal.append_journal_line(b"line\n")
