"""Two frames have one hash exactly when they say the same."""

from datetime import datetime, timezone

import polars as pl
import pytest

from cs_features.customers.fingerprints import hash_frame_values

FRAME = pl.DataFrame(
    {
        "text": ["a", None, "bc", ""],
        "number": [1, None, 3, 0],
        "value": [0.5, None, -0.0, 2.0],
        "flag": [True, None, False, True],
        "moment": [datetime(2026, 1, 1, tzinfo=timezone.utc), None, None, None],
        "many": [["x"], None, [], ["y", "z"]],
    }
)


def test_what_stands_in_memory_does_not_matter() -> None:
    """After a gather the texts lay in another order, and the same training set had another hash."""
    chunked = pl.concat([FRAME[:1], FRAME[1:]], rechunk=False)
    gathered = FRAME.reverse().reverse()
    hidden = FRAME.with_columns(number=pl.when(pl.col("number").is_null()).then(None).otherwise("number"))
    masked = FRAME.with_columns(
        number=pl.when(pl.Series([True, False, True, True])).then(pl.col("number").fill_null(9))
    )
    for same in (chunked, gathered, hidden, masked):
        assert same.equals(FRAME)
        assert hash_frame_values(same) == hash_frame_values(FRAME)


@pytest.mark.parametrize(
    "other",
    [
        FRAME.rename({"number": "count"}),
        FRAME.with_columns(pl.col("number").cast(pl.Int32)),
        FRAME.with_columns(pl.col("number").fill_null(0)),
        FRAME.with_columns(pl.col("text").fill_null("")),
        FRAME.with_columns(text=pl.Series(["ab", None, "c", ""])),
        FRAME.with_columns(flag=pl.Series([True, False, None, True])),
        FRAME.with_columns(moment=pl.col("moment").dt.replace_time_zone(None)),
        FRAME.reverse(),
        FRAME[:3],
        FRAME.select(reversed(FRAME.columns)),
    ],
    ids=["name", "type", "zero", "empty", "border", "null", "zone", "order", "fewer", "columns"],
)
def test_what_says_something_else_has_another_hash(other: pl.DataFrame) -> None:
    assert hash_frame_values(other) != hash_frame_values(FRAME)
