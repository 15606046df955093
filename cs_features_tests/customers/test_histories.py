"""A training set against histories in which everything happens late, twice or back: what was known counts."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

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


def list_stores(seeds: range) -> Iterator[tuple[list[Story], Options]]:
    """The same stories, those of the same lag and embargo together: as customers of one store, read at once."""
    cases = list(list_cases(seeds))
    for options in dict.fromkeys(each for _, each in cases):
        yield [story for story, theirs in cases if theirs == options], options


def find_differences(stories: list[Story], options: Options) -> list[tuple[str, Any, Any]]:
    """(feature, value, value counted by hand) of whatever differs in a store of these stories."""
    went_live = min(row["api_invocation_time"] for story in stories for row in story.rows)
    asked = [(replace(story, went_live=went_live), customer, cut) for story in stories for customer, cut in story.spine]
    found = []
    rows = build_features(merge_stories(stories), options).iter_rows(named=True)
    for got, (story, customer, cut) in zip(rows, asked, strict=True):
        assert (got["customer_id"].partition("/")[2], got["cut"]) == (customer, cut)
        expected = judge_customer(story, customer, cut, options.embargo, options.assumed_lag)
        found += [(name, got[name], expected[name]) for name in NAMES if differ(got[name], expected[name])]
    return found


def test_random_histories_give_what_a_reader_would_count_by_hand() -> None:
    """Joins by event time took a correction of next week for what was known, and a backfill for news."""
    for stories, options in list_stores(range(200)):
        assert find_differences(stories, options) == []


def test_a_history_alone_in_its_store_gives_the_same() -> None:
    """What is known of when the store went live is then known from one customer's rows."""
    for story, options in list_cases(range(200, 218)):
        assert find_differences([story], options) == []


def test_sql_says_the_same(tmp_path: Path) -> None:
    """A second reader who shares no line with the first: DuckDB, with as many window functions as it takes."""
    cases = list(list_cases(range(300, 345)))
    for options in {each for _, each in cases}:
        story = merge_stories([each for each, theirs in cases if theirs == options])
        ours, theirs = build_features(story, options), count_in_duckdb(story, options, tmp_path)
        assert_frame_equal(ours.select(NAMES), theirs.select(NAMES), check_exact=False, rel_tol=1e-8, abs_tol=1e-8)


def test_what_was_not_known_at_a_cut_changes_nothing() -> None:
    """The proof that nothing leaks: whatever comes after the cut may be anything, and the row stays the same."""
    for stories, options in list_stores(range(400, 420)):
        without_lag = replace(options, assumed_lag=None)
        known = [replace(story, spine=[each]) for story in stories for each in story.spine if knows_any(story, each[1])]
        altered = [replace(story, rows=alter_unknown(story)) for story in known]
        expected = build_features(merge_stories(known), without_lag)
        assert build_features(merge_stories(altered), without_lag).equals(expected)


def knows_any(story: Story, cut: datetime) -> bool:
    return any(row["api_invocation_time"] <= cut for row in story.rows)


def alter_unknown(story: Story) -> list[Row]:
    """The story's rows; those after its one cut say something else."""
    ((_, cut),) = story.spine
    return [row if row["api_invocation_time"] <= cut else alter_row(row) for row in story.rows]


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
