"""A training set against histories in which everything happens late, twice or back: what was known counts."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from cs_features.customers.definitions import NAMES
from cs_features.customers.training import Options, build_training_set
from cs_features.local.bench.training_histories import BEGIN, Row, Story, merge_stories, tell_story
from cs_features.local.bench.training_oracle import differ, judge_customer, know_contacts
from cs_features.local.bench.training_sql import count_in_duckdb

pytestmark = pytest.mark.heavy

LAGS = (None, timedelta(0), timedelta(days=2))
EMBARGOES = (timedelta(0), timedelta(days=1), timedelta(days=9))


def build_features(story: Story, options: Options) -> pl.DataFrame:
    return build_training_set(story.build_spine(), story.build_history(), options).frame


def list_cases(seeds: range) -> Iterator[tuple[Story, Options]]:
    """Stories with cuts at which something was known, under every lag and embargo."""
    for seed in seeds:
        options = Options(embargo=EMBARGOES[seed // 3 % 3], assumed_lag=LAGS[seed % 3], allow_unknown=True)
        story = tell_story(seed)
        written = [row for row in story.rows if not row["is_deleted"]]
        spine = [each for each in story.spine if know_contacts(written, each[1], options.assumed_lag)]
        if spine:
            yield replace(story, spine=spine), options


@pytest.mark.parametrize("block", range(4))
def test_random_histories_give_what_a_reader_would_count_by_hand(block: int) -> None:
    """Joins by event time took a correction of next week for what was known, and a backfill for news."""
    found = []
    for story, options in list_cases(range(50 * block, 50 * block + 50)):
        for got in build_features(story, options).iter_rows(named=True):
            expected = judge_customer(story, got["customer_id"], got["cut"], options.embargo, options.assumed_lag)
            found += [(name, got[name], expected[name]) for name in NAMES if differ(got[name], expected[name])]
    assert found == []


def test_sql_says_the_same(tmp_path: Path) -> None:
    """A second reader who shares no line with the first: DuckDB, with as many window functions as it takes."""
    cases = list(list_cases(range(300, 345)))
    for options in {each for _, each in cases}:
        story = merge_stories([each for each, theirs in cases if theirs == options])
        ours, theirs = build_features(story, options), count_in_duckdb(story, options, tmp_path)
        assert_frame_equal(ours.select(NAMES), theirs.select(NAMES), check_exact=False, rel_tol=1e-8, abs_tol=1e-8)


def test_what_was_not_known_at_a_cut_changes_nothing() -> None:
    """The proof that nothing leaks: whatever comes after the cut may be anything, and the row stays the same."""
    for story, options in list_cases(range(400, 420)):
        without_lag = replace(options, assumed_lag=None)
        for customer, cut in story.spine:
            if not any(row["api_invocation_time"] <= cut for row in story.rows):
                continue
            one = replace(story, spine=[(customer, cut)])
            altered = replace(
                one, rows=[row if row["api_invocation_time"] <= cut else alter_row(row) for row in story.rows]
            )
            assert build_features(altered, without_lag).equals(build_features(one, without_lag))


def alter_row(row: Row) -> Row:
    other = {"customer_id": "c0", "sentiment": "negative", "intent": "leave_company", "csat_indicator": 0.0}
    return row | other | {"event_time": BEGIN + timedelta(days=150), "urgency_score": 1.0, "is_deleted": False}


def test_no_order_of_rows_or_customers_changes_a_bit() -> None:
    """Sums of floats depend on their order, and files of the offline store have none."""
    for story, options in list_cases(range(500, 510)):
        first = build_training_set(story.build_spine(), story.build_history(), options)
        again = replace(story, rows=sorted(story.rows, key=str))
        second = build_training_set(again.build_spine(), again.build_history(), options)
        assert second.recipe == first.recipe
