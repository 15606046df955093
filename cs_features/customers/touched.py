"""Whose features may be others than at the last update, and who has any: from the rows that the store was told. Pure.

A superset is enough, and simple: a contact that was told of since, whoever it was of before, and one that passed an
edge of a window. Not here: what his features are (`serving.py`).
"""

from datetime import datetime, timedelta, timezone

import polars as pl

from cs_features.customers.definitions import LONGEST, WINDOWS
from cs_features.customers.knowledge import date_contact_versions
from cs_features.customers.spine import CUSTOMER
from cs_features.publishing.feature_group import format_feature_value
from cs_features.publishing.reading import EVENT_TIME_FORMAT

ID = "interaction_id"


def find_touched(
    rows: pl.DataFrame, fresh: pl.Series, before: datetime, cut: datetime, embargo: timedelta
) -> pl.Series:
    """Customers whose features can differ between the cuts `before` and `cut`; `fresh` are ids that were just read."""
    was_told = pl.col("api_invocation_time").is_between(_strip_zone(before), _strip_zone(cut), closed="right")
    told = pl.concat([rows.filter(was_told)[ID], fresh]).unique()
    of_told = rows.filter(pl.col(ID).is_in(told.implode()))[CUSTOMER]
    passed = rows.filter(_passes_edge(before, cut, embargo))[CUSTOMER]
    return pl.concat([of_told, passed]).drop_nulls().unique().sort()


def _passes_edge(before: datetime, cut: datetime, embargo: timedelta) -> pl.Expr:
    """Event times are text that sorts as they do."""
    edges = [timedelta(0), *(timedelta(days=days) for days in WINDOWS)]
    begin, end = before - embargo, cut - embargo
    passes = [
        pl.col("event_time").is_between(
            pl.lit(format_feature_value(begin - edge)), pl.lit(format_feature_value(end - edge)), closed="left"
        )
        for edge in edges
    ]
    return pl.any_horizontal(passes)


def select_contacts(rows: pl.DataFrame, customers: pl.Series) -> pl.DataFrame:
    """All versions of the contacts that any version gives to one of `customers`."""
    ids = rows.filter(pl.col(CUSTOMER).is_in(customers.implode()))[ID].unique()
    return rows.filter(pl.col(ID).is_in(ids.implode()))


def find_expected(rows: pl.DataFrame, cut: datetime, embargo: timedelta) -> pl.Series:
    """Customers that have a contact in the longest window: those of whom a record is to be served."""
    known = select_known_versions(rows, cut)
    return known.filter(is_in_window(cut, embargo))[CUSTOMER].drop_nulls().unique().sort()


def is_in_window(cut: datetime, embargo: timedelta) -> pl.Expr:
    end = cut - embargo
    begin = end - timedelta(days=LONGEST)
    return pl.col("event_time").is_between(
        pl.lit(format_feature_value(begin)), pl.lit(format_feature_value(end)), closed="left"
    )


def select_known_versions(rows: pl.DataFrame, cut: datetime) -> pl.DataFrame:
    """The version of each contact that is known at `cut`: its customer and its event time.

    Most contacts have one version, and need not be put in order.
    """
    moment = _strip_zone(cut)
    told = rows.filter(pl.col("api_invocation_time") <= moment)
    is_single = told[ID].is_unique()
    singles = told.filter(is_single & ~told["is_deleted"]).select(CUSTOMER, "event_time")
    others = date_contact_versions(told.filter(~is_single), datetime.max)
    known = others.filter((pl.col("known_from") <= moment) & (moment < pl.col("known_until")))
    return pl.concat([singles, known.select(CUSTOMER, pl.col("event_time").dt.strftime(EVENT_TIME_FORMAT))])


def _strip_zone(moment: datetime) -> datetime:
    return moment.astimezone(timezone.utc).replace(tzinfo=None)
