"""The features of every customer now, for a model that is to score them: those that `training_set` says of this moment.

There is one way to count, so that a model is served what it was trained on. Not here: where scores go.
"""

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import polars as pl

from cs_features.customers.definitions import LONGEST
from cs_features.customers.knowledge import date_contact_versions
from cs_features.customers.spine import CUSTOMER, CUT, check_read_moment
from cs_features.customers.training import Options, TrainingSet, assume_backfilled_history, build_training_set
from cs_features.errors import RequestError
from cs_features.publishing.reading import OfflineHistory, read_history

# SageMaker writes a record to the offline store within 15 minutes: what was known then will not change any more.
SETTLING = timedelta(minutes=15)


def customer_features(
    options: Options | None = None, *, now: datetime | None = None, group: str | None = None
) -> TrainingSet:
    """A row for each customer with a contact in the last year, as of a quarter of an hour ago; with its recipe.

    Raises:
        AwsRefusal: the offline store cannot be read.
        RequestError: nobody has a contact, or an option cannot be meant.
    """
    clock = datetime.now(timezone.utc)
    check_read_moment(now or clock, clock)
    return build_customer_features(read_history(now, group=group), options or Options())


def build_customer_features(history: OfflineHistory, options: Options) -> TrainingSet:
    """`customer_features` of a history that was read; calls nothing."""
    spine = list_customers(history, options)
    if spine.is_empty():
        raise RequestError(
            "no customer has a contact that was known a quarter of an hour ago: there is nobody to score"
        )
    return build_training_set(spine, history, replace(options, allow_unknown=True))


def list_customers(history: OfflineHistory, options: Options) -> pl.DataFrame:
    """A spine of all customers that have a contact in the longest window, at the latest cut that will not change."""
    cut = (history.as_of - SETTLING).astimezone(timezone.utc)
    moment = cut.replace(tzinfo=None)
    versions = date_contact_versions(
        history.rows, history.as_of.replace(tzinfo=None), assume_backfilled_history(history, options)
    )
    age = pl.lit(moment - options.embargo) - pl.col("event_time")
    is_known = (pl.col("known_from") <= moment) & (moment < pl.col("known_until"))
    in_window = (age > timedelta(0)) & (age <= timedelta(days=LONGEST))
    customers = versions.filter(is_known & in_window)[CUSTOMER].drop_nulls().unique().sort()
    return customers.to_frame().with_columns(pl.lit(cut, pl.Datetime("us", "UTC")).alias(CUT))
