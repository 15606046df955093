"""The features of customers that are served now, for a model that is to score them: read from the second group.

In the columns of a training set, at the cut of the day's update. Not here: features of any other moment
(`training.py`), and those of everybody, counted anew (`scoring.py`).
"""

from collections.abc import Iterable
from datetime import datetime, timezone

import polars as pl

from cs_features import aws
from cs_features.customers.serving import CUSTOMERS, EMBARGO, find_cut, parse_records
from cs_features.environments import settings
from cs_features.errors import RequestError
from cs_features.publishing.feature_group import Record
from cs_features.publishing.records import READ_AT_ONCE, RecordStore, split_record_batches


def read_served_features(
    customers: Iterable[str], *, now: datetime | None = None, group: str | None = None
) -> pl.DataFrame:
    """A row for each of `customers` of whom a record is served, sorted by customer; none for one without a contact in
    the last year.

    Raises:
        AwsRefusal, PublishingFailed: the records cannot be read.
        RequestError: there is no second group, or the customers cannot be meant.
    """
    if isinstance(customers, str):
        raise RequestError("customers is one text, and would be asked for letter by letter: give a list of ids")
    wanted = set(customers)
    if not all(isinstance(each, str) and each for each in wanted):
        raise RequestError("some customers are empty or no text: give ids as the landing documents have them")
    name = group or settings().customer_feature_group
    if not name:
        raise RequestError(f"{CUSTOMERS.setting} is empty: no customer's features are served")
    store = RecordStore(aws.client("sagemaker-featurestore-runtime"), name, CUSTOMERS)
    found: dict[str, Record] = {}
    with aws.explained(f"Feature group {name}", CUSTOMERS.setting):
        for ids in split_record_batches(sorted(wanted), READ_AT_ONCE):
            found |= store.read_records(ids)
    return parse_records(found, find_cut(now or datetime.now(timezone.utc)), EMBARGO)
