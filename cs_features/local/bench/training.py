"""Training sets: a year's contacts and a million rows of spine, and random histories against two other readers.

The figures are of one process of its own. What a history is and what is right for it stands in `training_histories.py`,
`training_oracle.py` and `training_sql.py`.
"""

import resource
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from cs_features.customers.definitions import NAMES
from cs_features.customers.training import Options, TrainingSet, build_training_set
from cs_features.local.bench.customers import measure_customers
from cs_features.local.bench.figures import Figure, Say, at_least, at_most, equal_to
from cs_features.local.bench.training_histories import Story, merge_stories, tell_story
from cs_features.local.bench.training_oracle import differ, judge_customer, know_contacts
from cs_features.local.bench.training_sql import count_in_duckdb
from cs_features.local.bench.training_year import AS_OF, draw_history

CONTACTS, ROWS, HISTORIES = 1_300_000, 1_000_000, 10_000
AT_ONCE = 250  # histories of one query
OPTIONS = [
    Options(embargo=embargo, assumed_lag=lag, allow_unknown=True)
    for embargo in (timedelta(0), timedelta(days=1), timedelta(days=9))
    for lag in (None, timedelta(0), timedelta(days=2))
]


def measure_training(quick: bool, say: Say) -> list[Figure]:
    scale = 20 if quick else 1
    say(f"{CONTACTS // scale} contacts, {ROWS // scale} rows")
    with get_context("spawn").Pool(1) as pool:  # first: a process takes over the peak memory of whoever starts it
        large = pool.apply(build_year, (CONTACTS // scale, ROWS // scale))
    say(f"{HISTORIES // scale} histories")
    by_hand, by_sql = compare_readers(HISTORIES // scale, say)
    return [
        equal_to("values that a reader by hand counts otherwise", by_hand, 0, f"{HISTORIES // scale} histories"),
        equal_to("values that DuckDB counts otherwise", by_sql, 0, f"{HISTORIES // scale} histories"),
        at_least("features", len(NAMES), 60, lambda value: f"{value:.0f}"),
        at_most("seconds for the large set", large["seconds"], 60, lambda value: f"{value:.1f} s"),
        Figure("of these, seconds of CPU", f"{large['cpu']:.1f} s", large["cpu"]),
        at_most("peak memory, the history included", large["peak_mib"], 2048, lambda value: f"{value:.0f} MiB"),
        equal_to("rows that change when all that was not known is altered", large["changed"], 0),
        *measure_customers(quick, say),
    ]


def compare_readers(histories: int, say: Say) -> tuple[int, int]:
    """Values in which the product differs from the oracle, and from DuckDB."""
    by_hand = by_sql = 0
    with tempfile.TemporaryDirectory() as folder:
        for number, start in enumerate(range(0, histories, AT_ONCE)):
            options = OPTIONS[number % len(OPTIONS)]
            stories = list(_tell_stories(range(start, min(start + AT_ONCE, histories)), options))
            merged = merge_stories(stories)
            made = build_training_set(merged.build_spine(), merged.build_history(), options)
            by_hand += _count_differences(made.frame, _judge_stories(stories, options))
            by_sql += _count_differences(made.frame, count_in_duckdb(merged, options, Path(folder)).to_dicts())
            say(f"{start + len(stories)} histories")
    return by_hand, by_sql


def _tell_stories(seeds: range, options: Options) -> Iterator[Story]:
    for seed in seeds:
        story = tell_story(seed)
        written = [row for row in story.rows if not row["is_deleted"]]
        spine = [each for each in story.spine if know_contacts(written, each[1], options.assumed_lag)]
        yield replace(story, spine=spine)


def _judge_stories(stories: list[Story], options: Options) -> list[dict[str, Any]]:
    went_live = min(row["api_invocation_time"] for story in stories for row in story.rows)
    asked = [(story, customer, cut) for story in stories for customer, cut in story.spine]
    return [
        judge_customer(replace(story, went_live=went_live), customer, cut, options.embargo, options.assumed_lag)
        for story, customer, cut in asked
    ]


def _count_differences(frame: pl.DataFrame, expected: list[dict[str, Any]]) -> int:
    rows = zip(frame.iter_rows(named=True), expected, strict=True)
    return sum(differ(got[name], right[name]) for got, right in rows for name in NAMES)


# --- the large set ----------------------------------------------------------------------------


def build_year(contacts: int, rows: int) -> dict[str, float]:
    """In a process of its own: the time and memory of one training set, and whether what is unknown changes it."""
    cut = AS_OF - timedelta(days=30)
    history = draw_history(contacts, rows * 2 // 5)
    spine = _draw_spine(rows, cut)
    options = Options(allow_unknown=True)
    started, cpu = time.monotonic(), time.process_time()
    made = build_training_set(spine, history, options)
    seconds, cpu = time.monotonic() - started, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    altered = replace(history, rows=_alter_unknown(history.rows, cut))
    changed = _count_changed(made, build_training_set(spine, altered, options))
    return {"seconds": seconds, "cpu": cpu, "peak_mib": peak, "changed": changed}


def _draw_spine(count: int, last: datetime) -> pl.DataFrame:
    """Two and a half cuts a customer, in the 300 days before `last`."""
    dice = np.random.default_rng(2)
    cuts = np.datetime64(last.replace(tzinfo=None), "us") - dice.integers(0, 300 * 86_400, count) * np.timedelta64(
        1, "s"
    )
    customers = pl.Series(np.arange(count) % (count * 2 // 5)).cast(pl.String)
    spine = pl.DataFrame({"customer_id": customers, "cut": cuts})
    return spine.with_columns(pl.col("cut").dt.replace_time_zone("UTC")).unique(maintain_order=True)


def _alter_unknown(rows: pl.DataFrame, last: datetime) -> pl.DataFrame:
    """Everything that no cut may see says something else."""
    unknown = pl.col("api_invocation_time") > last.replace(tzinfo=None)
    other = {"sentiment": "negative", "intent": "leave_company", "primary_topic": "topic_0", "customer_id": "1"}
    told = {name: pl.when(unknown).then(pl.lit(value)).otherwise(name) for name, value in other.items()}
    return rows.with_columns(**told, csat_indicator=pl.when(unknown).then(0.0).otherwise("csat_indicator"))


def _count_changed(made: TrainingSet, again: TrainingSet) -> int:
    differs = [made.frame[name].ne_missing(again.frame[name]) for name in NAMES]
    return int(pl.DataFrame(differs).select(pl.any_horizontal(pl.all())).to_series().sum())
