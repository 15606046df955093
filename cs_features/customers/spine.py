"""The spine of a training set: customers, moments and whatever label the caller brings, checked before it is used.

Each mistake is one sentence, with numbers and never an id. Not here: what was known (`knowledge.py`).
"""

from datetime import datetime, timedelta, timezone

import polars as pl

from cs_features.customers.definitions import NAMES
from cs_features.errors import RequestError

CUSTOMER, CUT = "customer_id", "cut"
# Moments are compared as the store has them: in UTC, without a zone.
IN_UTC = pl.col(CUT).dt.convert_time_zone("UTC").dt.replace_time_zone(None).dt.cast_time_unit("us")


def check_read_moment(as_of: datetime, now: datetime) -> None:
    """Raises a RequestError when `as_of` is no moment, or one of which the store will be told more."""
    if as_of.tzinfo is None:
        raise RequestError("as_of needs a time zone, for example datetime.now(timezone.utc)")
    if as_of > now:
        raise RequestError(
            f"as_of lies ahead: at {now:%Y-%m-%d %H:%M:%S} UTC nobody knows yet what will have been known then: leave "
            "it out, or give a moment that has passed"
        )


def check_spine_columns(spine: pl.DataFrame, as_of: datetime) -> None:
    """Raises a RequestError when `spine` cannot be meant, whatever the store knows."""
    if not isinstance(spine, pl.DataFrame):
        raise RequestError("the spine is no polars DataFrame: make one of it, for example with pl.from_pandas")
    if missing := [name for name in (CUSTOMER, CUT) if name not in spine.columns]:
        raise RequestError(f"the spine has no column {missing[0]}: it needs customer_id (text) and cut (UTC)")
    if clash := sorted(set(spine.columns) & set(NAMES)):
        raise RequestError(f"the spine's column {clash[0]} has the name of a feature: rename it")
    if spine.is_empty():
        raise RequestError("the spine has no rows: there is nothing to make features for")
    _check_column_types(spine)
    nulls = spine.filter(pl.col(CUSTOMER).is_null() | pl.col(CUT).is_null()).height
    if nulls:
        raise RequestError(f"{nulls} rows of the spine have no customer or no cut: drop them or fill them in")
    twice = spine.height - spine.select(CUSTOMER, CUT).n_unique()
    if twice:
        raise RequestError(f"{twice} rows of the spine repeat a customer and cut that stand there already: drop them")
    _check_future_cuts(spine, as_of)


def _check_column_types(spine: pl.DataFrame) -> None:
    cut = spine.schema[CUT]
    if spine.schema[CUSTOMER] != pl.String:
        raise RequestError("the spine's customer_id is no text: cast it to the text that the landing documents have")
    if not isinstance(cut, pl.Datetime):
        raise RequestError("the spine's cut is no moment: give it as a Datetime with time zone UTC")
    if cut.time_zone is None:
        raise RequestError("the spine's cut has no time zone: say which with .dt.replace_time_zone('UTC')")


def _check_future_cuts(spine: pl.DataFrame, as_of: datetime) -> None:
    late = spine.filter(_strip_zone(as_of) < IN_UTC).height
    if late:
        raise RequestError(
            f"{late} cuts of the spine lie after {as_of:%Y-%m-%d %H:%M:%S} UTC, the moment that is read: nobody knows "
            "yet what will have been known then"
        )


def check_known_customers(spine: pl.DataFrame, versions: pl.DataFrame, allow_unknown: bool) -> None:
    """Raises a RequestError when the store knew nothing at the earliest cut, or never knew a customer of the spine."""
    first = versions["known_from"].min()
    if not isinstance(first, datetime):
        raise RequestError("the feature group has no row yet: publish interactions before a training set is made")
    early = spine.filter(first > IN_UTC).height
    if early:
        raise RequestError(
            f"{early} cuts lie before {first:%Y-%m-%d %H:%M:%S} UTC, when the first row was known: take later ones, or "
            "say with assumed_lag when backfilled history would have been known"
        )
    unknown = spine.join(versions.select(CUSTOMER), on=CUSTOMER, how="anti").height
    if unknown and not allow_unknown:
        raise RequestError(
            f"{unknown} of {spine.height} rows name customers that the store never knew: mend their ids, or say "
            "allow_unknown=True where a customer without any contact is meant"
        )


def measure_spine_windows(spine: pl.DataFrame, embargo: timedelta) -> pl.DataFrame:
    """`row`, customer, cut and the end of its windows, as UTC without a zone."""
    return spine.select(CUSTOMER, cut=IN_UTC).with_row_index("row").with_columns(end=pl.col(CUT) - embargo)


def _strip_zone(moment: datetime) -> datetime:
    return moment.astimezone(timezone.utc).replace(tzinfo=None)
