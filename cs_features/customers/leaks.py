"""Whether a way to make features looks ahead: what was not known at a cut is taken away, and nothing may change.

It works on any builder, ours or another, because it asks nothing about how features are made. Not here: features.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

import polars as pl

from cs_features.customers.spine import CUT, IN_UTC
from cs_features.errors import RequestError
from cs_features.publishing.reading import EVENT_TIME_FORMAT

Build = Callable[[pl.DataFrame, pl.DataFrame], pl.DataFrame]
"""From a spine and rows of `HISTORY_SCHEMA` to a frame of features, a row a row of the spine, in its order."""
CUTS_TRIED = 5


def find_leaks(build: Build, spine: pl.DataFrame, rows: pl.DataFrame, embargo: timedelta) -> dict[str, float]:
    """The features that look ahead, each with the share of rows in which it does; none when `build` is honest.

    The rows that a cut may not see are those that the store was told later, and contacts within the embargo. Up to
    five cuts are tried, spread over the spine's.

    Raises:
        RequestError: `build` gives another number of rows than the spine has.
    """
    changed: dict[str, int] = {}
    tried = 0
    for cut in _choose_leak_cuts(spine):
        asked = spine.filter(cut == IN_UTC)
        with_all = _require_scored_rows(build(asked, rows), asked)
        with_known = _require_scored_rows(build(asked, keep_known_rows(rows, cut, embargo)), asked)
        tried += asked.height
        for name in set(with_all.columns) - set(asked.columns):
            differs = with_all[name].ne_missing(with_known[name]).sum()
            changed[name] = changed.get(name, 0) + int(differs)
    return {name: count / tried for name, count in sorted(changed.items()) if count}


def keep_known_rows(rows: pl.DataFrame, cut: datetime, embargo: timedelta) -> pl.DataFrame:
    """The rows that features at `cut` (UTC, without a zone) may be made of."""
    happened = pl.col("event_time").str.to_datetime(EVENT_TIME_FORMAT, time_unit="us")
    return rows.filter((pl.col("api_invocation_time") <= cut) & (happened < cut - embargo))


def _choose_leak_cuts(spine: pl.DataFrame) -> list[datetime]:
    cuts = spine.select(IN_UTC.unique().sort())[CUT]
    return list(cuts.gather_every(max(1, len(cuts) // CUTS_TRIED)).head(CUTS_TRIED))


def _require_scored_rows(made: pl.DataFrame, spine: pl.DataFrame) -> pl.DataFrame:
    if made.height != spine.height:
        raise RequestError(f"the features have {made.height} rows for a spine of {spine.height}: give one a row of it")
    return made
