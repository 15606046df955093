"""A line of the ledger, and what several say together: also of lines that other versions have written."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cs_features.extraction.engine import Outcome
from cs_features.extraction.ledger_lines import VERSION, Askings, format_ledger_line, parse_ledger_line
from cs_features.extraction.pricing import TokenUsage
from cs_features.schemas import Reason
from cs_features_tests.support.ledgers import ONE_CALL, answered, failed, outcomes


def changed(**fields: Any) -> bytes:
    """A line of ours with other fields; `...` takes one out."""
    entry = {**json.loads(format_ledger_line(answered(1))), **fields}
    return json.dumps({name: value for name, value in entry.items() if value is not ...}).encode()


@given(outcomes)
def test_an_outcome_reads_back_as_it_was_written(outcome: Outcome) -> None:
    """Line ends, lone surrogates and U+2028 in a summary must neither split a line nor fail the writing of it."""
    line = format_ledger_line(outcome)
    assert line.endswith(b"\n")
    assert len(line.splitlines()) == 1
    assert parse_ledger_line(line) == outcome


@given(outcomes, st.data())
def test_no_beginning_of_a_line_reads_as_an_outcome(outcome: Outcome, data: st.DataObject) -> None:
    """A torn line that parsed would be an answer with half its features."""
    line = format_ledger_line(outcome)
    assert parse_ledger_line(line[: data.draw(st.integers(0, len(line) - 2))]) is None


@pytest.mark.heavy
@given(st.lists(outcomes, max_size=20), st.randoms(use_true_random=False))
def test_what_is_answered_and_paid_does_not_depend_on_the_order_of_lines(found: list[Outcome], random: Any) -> None:
    """Parts of two hosts have no order: a failure that came later in the listing hid a paid answer."""
    lines = [format_ledger_line(outcome) for outcome in found]
    one, other = Askings(lines), Askings(random.sample(lines, len(lines)))
    assert {key for key, each in one.known.items() if each.answered} == {
        key for key, each in other.known.items() if each.answered
    }
    assert set(one.known) == set(other.known) == {outcome.request_hash for outcome in found}
    for key, each in one.known.items():
        assert each.usage == other.known[key].usage
        assert each.cost_usd == pytest.approx(other.known[key].cost_usd)


@pytest.mark.heavy
@given(st.lists(outcomes, max_size=20))
def test_an_answer_beats_a_failure_and_the_bill_is_that_of_all_askings(found: list[Outcome]) -> None:
    """A redrive that failed after a success must not undo it; one that succeeded must count, and so must what the
    failures before it had cost (fault 37)."""
    known = Askings(map(format_ledger_line, found)).known
    for key, outcome in known.items():
        same = [other for other in found if other.request_hash == key]
        winner = ([other for other in same if other.answered] or same)[-1]
        assert (outcome.answer, outcome.error, outcome.detail) == (winner.answer, winner.error, winner.detail)
        assert outcome.cost_usd == pytest.approx(sum(other.cost_usd for other in same))
        assert outcome.usage == sum((other.usage for other in same), TokenUsage())
        assert outcome.attempts == sum(other.attempts for other in same)


@pytest.mark.heavy
@given(st.lists(outcomes, max_size=20), st.integers(0, 20))
def test_lines_that_are_read_twice_are_paid_once(found: list[Outcome], cut: int) -> None:
    """A journal that was shipped and recovered, a compaction beside what it has merged: each holds the same lines."""
    lines = [format_ledger_line(outcome) for outcome in found]
    merged = Askings(lines[:cut])
    assert Askings([*merged, *lines[cut:], *lines]).known == Askings(lines).known


def test_two_askings_that_cost_the_same_are_two() -> None:
    """Told apart by their content alone, a redrive that failed in the same way would be free."""
    first, second = format_ledger_line(failed("x")), format_ledger_line(failed("x"))
    assert first != second
    assert Askings([first, second]).known["x"].cost_usd == pytest.approx(0.002)


def test_what_only_the_service_failed_is_asked_again_and_its_bill_is_kept() -> None:
    """A repair that met an outage had cost a call, which no column ever showed."""
    paid = failed("x", Reason.SERVICE_FAILED)
    askings = Askings([format_ledger_line(paid)])
    assert askings.known == {}
    assert askings.totals["x"].cost_usd == paid.cost_usd
    askings.add_ledger_line(format_ledger_line(answered("x")))
    assert askings.known["x"].answered
    assert askings.known["x"].cost_usd == pytest.approx(paid.cost_usd + answered("x").cost_usd)


@pytest.mark.parametrize(
    "line",
    [
        changed(answer=None, error="a_reason_of_tomorrow"),
        changed(version=VERSION + 1),
        changed(request=...),
        changed(request=17),
        changed(answer="a text"),
        changed(answer=["a", "list"]),
        changed(cost_usd="0.1"),
        changed(cost_usd=-1),
        changed(cost_usd=None),
        changed(tokens=[1, 2, 3, "4"]),
        changed(tokens=[1, 2, 3, 4, 5]),
        changed(tokens=17),
        changed(attempts=1.5),
        changed(attempts=True),
        changed(raw={"a": 1}),
        changed(version="two"),
        changed(answer=None),
        b"[]",
        b"null",
        b'"text"',
        b"not JSON",
        b"[" * 100_000,
        '{"request": "é"}'.encode("latin-1"),
        json.dumps({"request": "1", "answer": {}, "cost_usd": float("nan")}).encode(),
    ],
)
def test_a_line_that_this_version_cannot_understand_says_nothing_and_stays(line: bytes) -> None:
    """One line of a newer version, and the partition could not run any more: "is not a valid Reason" (fault 8)."""
    assert parse_ledger_line(line) is None
    askings = Askings([format_ledger_line(answered("known")), line])
    assert set(askings.known) == {"known"}
    assert line in list(askings), "dropped at the next compaction"


def test_a_line_of_the_first_version_is_understood() -> None:
    """The lines that are in production's buckets today."""
    old = {
        "request": "1", "answer": {"summary": "s"}, "raw": "{}", "error": None, "detail": None,
        "tokens": [100, 2_000, 10, 50], "cost_usd": 0.001, "latency_ms": 7, "attempts": 1,
    }  # fmt: skip
    assert parse_ledger_line(json.dumps(old).encode()) == Outcome(
        "1", {"summary": "s"}, "{}", usage=ONE_CALL, cost_usd=0.001, latency_ms=7, attempts=1
    )


def test_missing_fields_read_as_nothing_and_extra_ones_are_ignored() -> None:
    """A newer version may say more, and a tool of somebody's less."""
    assert parse_ledger_line(b'{"request": "1", "answer": {"summary": "s"}, "mood": 3}') == Outcome(
        "1", {"summary": "s"}
    )
    assert parse_ledger_line(changed(tokens=..., raw=...)) is not None


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda each: st.lists(each), max_leaves=5))
def test_no_value_in_any_field_raises(value: Any) -> None:
    """The thread that learns what other runs have shipped dies of what it cannot read."""
    for name in json.loads(format_ledger_line(answered(1))):
        parse_ledger_line(changed(**{name: value}))
