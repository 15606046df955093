"""The table between documents and requests: its columns add up to what was paid, and answers of before can be kept."""

from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from cs_features.errors import RequestError
from cs_features.extraction.engine import Outcome
from cs_features.extraction.pricing import TokenUsage
from cs_features.extraction.table import (
    BILL,
    EXTRACTIONS_SCHEMA,
    Needed,
    build_extraction_table,
    keep_answered_rows,
    plan_partition_requests,
    sort_as,
)
from cs_features.schemas import Reason
from cs_features_tests.support.desk import DEFAULT, PROMPTS_READ
from cs_features_tests.support.ledgers import ONE_CALL, answered, failed


def needs(*keys: str) -> list[Needed]:
    """A row a key: interactions i0, i1, ... whose contents are c0, c1, ..."""
    return [Needed(f"i{number}", key, truncated=False, content_hash=f"c{number}") for number, key in enumerate(keys)]


def frame_of(keys: str, outcomes: list[Outcome], asked: str = "", **changes: Any) -> pl.DataFrame:
    by_key = {outcome.request_hash: outcome for outcome in outcomes}
    return build_extraction_table(needs(*keys), by_key, set(asked), "m", "v1", **changes)


def raw_of(contents: dict[str, str], *, rejected: tuple[str, ...] = ()) -> pl.DataFrame:
    """As much of `raw_interactions` as matters here: content by interaction."""
    rows = [
        {"interaction_id": key, "content_hash": content, "status": "rejected" if key in rejected else "accepted"}
        for key, content in contents.items()
    ]
    return pl.DataFrame(rows, schema={"interaction_id": pl.String, "content_hash": pl.String, "status": pl.String})


# --- the bill ---------------------------------------------------------------------------------

keys = st.text("abc", max_size=12)
bills = st.fixed_dictionaries({key: st.integers(0, 9) for key in "abc"})


@given(keys, bills, st.sets(st.sampled_from("abc")))
def test_the_columns_add_up_to_what_was_paid_whoever_shares_a_request_and_whoever_asked(
    rows: str, bill: dict[str, int], asked: set[str]
) -> None:
    """Five identical texts, run again: `sum(cost_usd)` was five times too high (fault 37)."""
    outcomes = [
        Outcome(key, answer={}, usage=TokenUsage(n, 2 * n, 3 * n, 4 * n), cost_usd=n / 8, attempts=n)
        for key, n in bill.items()
    ]
    frame = frame_of(rows, outcomes, "".join(asked))
    paid = sum(bill[key] for key in set(rows))
    assert frame["cost_usd"].sum() == paid / 8
    assert [frame[name].sum() for name in BILL] == [paid, 2 * paid, 3 * paid, 4 * paid, paid / 8, paid]
    assert frame.height == len(rows)


def test_reused_says_which_rows_this_run_did_not_pay_for() -> None:
    """The redriven request is this run's, though its row carries what the failures before had cost, too."""
    frame = frame_of("aab", [answered("a"), answered("b")], asked="a")
    assert frame["reused"].to_list() == [False, True, True]
    assert frame["cost_usd"].to_list() == [0.001, 0.0, 0.001]
    assert frame["content_hash"].to_list() == ["c0", "c1", "c2"]


def test_a_request_without_an_outcome_has_no_row() -> None:
    """The run was stopped before it."""
    assert frame_of("ab", [answered("a")])["interaction_id"].to_list() == ["i0"]


# --- answers of before ------------------------------------------------------------------------


def table(**contents: str) -> pl.DataFrame:
    """An earlier table: each interaction answered by a request of its own, of that content."""
    needed = [Needed(key, f"old-{key}", truncated=False, content_hash=content) for key, content in contents.items()]
    outcomes = {f"old-{key}": answered(f"old-{key}") for key in contents}
    return build_extraction_table(needed, outcomes, set(outcomes), "old model", "old prompt")


def test_answers_are_kept_with_the_prompt_and_model_that_made_them() -> None:
    """A prompt was edited, then one document came late: eleven calls where one was promised (fault 36)."""
    previous = table(i0="c0", i1="c1")
    kept = keep_answered_rows(previous, raw_of({"i0": "c0", "i1": "c1", "late": "c"}))
    assert_frame_equal(kept, previous.with_columns(reused=pl.lit(True)))
    assert set(kept["prompt_version"]) == {"old prompt"}


@pytest.mark.parametrize(
    ("contents", "rejected"),
    [({"i0": "corrected"}, ()), ({"other": "c0"}, ()), ({"i0": "c0"}, ("i0",)), ({}, ())],
    ids=["corrected", "another interaction", "rejected now", "gone"],
)
def test_an_answer_whose_document_is_not_what_it_was_is_not_kept(
    contents: dict[str, str], rejected: tuple[str, ...]
) -> None:
    """Features of an old text under a corrected document (fault 6)."""
    assert keep_answered_rows(table(i0="c0"), raw_of(contents, rejected=rejected)).is_empty()


def test_a_failure_is_not_kept_but_asked_again() -> None:
    """It is no answer; the prompt of today may get one."""
    previous = frame_of("ab", [answered("a"), failed("b", Reason.MODEL_REFUSED)])
    assert keep_answered_rows(previous, raw_of({"i0": "c0", "i1": "c1"}))["interaction_id"].to_list() == ["i0"]


def test_a_bill_whose_row_is_gone_moves_to_another_row_of_its_request() -> None:
    """The first of three identical texts carried the cost; corrected, it took the bill of the other two with it."""
    previous = frame_of("aaab", [answered("a"), answered("b")], asked="ab")
    kept = keep_answered_rows(previous, raw_of({"i0": "corrected", "i1": "c1", "i2": "c2", "i3": "c3"}))
    assert kept["cost_usd"].to_list() == [0.001, 0.0, 0.001]
    assert kept["attempts"].to_list() == [1, 0, 1]
    assert kept.schema == EXTRACTIONS_SCHEMA


def test_a_request_that_a_kept_row_has_the_bill_of_is_billed_once() -> None:
    """A late document with the text of an older one."""
    frame = frame_of("ab", [answered("a"), answered("b")], billed=["a"])
    assert frame["cost_usd"].to_list() == [0.0, 0.001]
    assert frame["reused"].to_list() == [True, True]


@pytest.mark.parametrize("lost", ["content_hash", "reused", "truncated", "cost_usd"])
def test_a_table_of_another_version_is_read_and_claims_nothing_that_it_does_not_say(lost: str) -> None:
    """Tables written before a column was there lie in every bucket; of unknown content nothing may be kept."""
    previous = table(i0="c0").drop(lost).with_columns(of_tomorrow=pl.lit(1))
    kept = keep_answered_rows(previous, raw_of({"i0": "c0"}))
    assert kept.schema == EXTRACTIONS_SCHEMA
    assert kept.height == (0 if lost == "content_hash" else 1)


def test_where_there_was_no_table_nothing_is_kept() -> None:
    """The first run of a partition."""
    assert keep_answered_rows(None, raw_of({"i0": "c0"})).schema == EXTRACTIONS_SCHEMA


def test_texts_that_were_forgotten_by_age_are_told_and_no_traceback() -> None:
    """Sixty days later `llm_extractions` by itself, a quote and a backfill ended in pydantic's words about a null."""
    raw = raw_of({"a": "one", "b": "two"}).with_columns(payload=pl.lit(None, pl.String()), language=pl.lit("nl"))
    with pytest.raises(RequestError, match=r"texts of 2 of 2 interactions .*materialize raw_interactions"):
        plan_partition_requests(raw, PROMPTS_READ, DEFAULT)


def test_rows_stand_in_the_order_of_their_documents() -> None:
    """Kept ones first would make every table differ from the one before."""
    made = frame_of("abc", [answered(key) for key in "abc"])
    raw = raw_of({"i2": "c2", "other": "x", "i0": "c0", "i1": "c1"}, rejected=("other",))
    ordered = sort_as(raw, made)
    assert ordered["interaction_id"].to_list() == ["i2", "i0", "i1"]
    assert ordered.schema == EXTRACTIONS_SCHEMA
    assert ordered["input_tokens"].sum() == 3 * ONE_CALL.input_tokens
