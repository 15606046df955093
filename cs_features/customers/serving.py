"""The second feature group: a record a customer, in a training set's features; how it is written, and read back.

A record is written when it changes, and a value that changes by itself would be written every day: the moment of the
last contact is served, and the days since then are counted for whoever reads. Not here: how features are counted
(`pairs.py`), which records are written (`plan.py`).
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta, timezone
from functools import cached_property, lru_cache
from typing import Any

import polars as pl

from cs_features.customers.definitions import (
    DAYS_SINCE_LAST,
    LAST_CONTACT,
    NAMES,
    SCHEMA,
    identify_feature_definitions,
    list_served,
    measure_days,
)
from cs_features.customers.knowledge import date_contact_versions
from cs_features.customers.pairs import count_contact_features
from cs_features.customers.scoring import SETTLING
from cs_features.customers.spine import CUSTOMER, CUT, measure_spine_windows
from cs_features.customers.training import Options
from cs_features.hashing import content_hash
from cs_features.publishing.feature_group import EVENT_TIME, GroupLayout, Record, format_feature_value
from cs_features.publishing.reading import EVENT_TIME_FORMAT

SETTING = "CS_FEATURES_CUSTOMER_FEATURE_GROUP"
ROWS_AT_ONCE, PARTS_AT_ONCE = 1_000, 16
HASH_DIGITS = 32  # of a customer's record: the manifest holds half a million, and is written twice a day
EMBARGO = Options().embargo  # what is trained on by default
CUT_HOUR = 2  # UTC: the day's contacts are known, and nobody is awake yet who reads the features
SERVED = list_served()
(MOMENT,), (DAYS,) = LAST_CONTACT.names, DAYS_SINCE_LAST.names
_SERVED_SCHEMA = pl.Schema({CUSTOMER: pl.String(), **{name: SCHEMA.get(name, LAST_CONTACT.dtype) for name in SERVED}})
_KINDS: Mapping[pl.DataType, str] = {pl.UInt32(): "Integral", pl.Float64(): "Fractional"}

CUSTOMERS = GroupLayout(
    identifier=CUSTOMER,
    types={name: _KINDS.get(SCHEMA.get(name, pl.String()), "String") for name in (CUSTOMER, EVENT_TIME, *SERVED)},
    setting=SETTING,
    asset="customer_features",
)


def find_cut(now: datetime) -> datetime:
    """The moment whose knowledge is served: the latest of its hour of which the offline store has told everything."""
    settled = now.astimezone(timezone.utc) - SETTLING
    today = settled.replace(hour=CUT_HOUR, minute=0, second=0, microsecond=0)
    return today if today <= settled else today - timedelta(days=1)


def identify_layout() -> str:
    """Tells apart versions of what is served; another one, and every record is made anew."""
    return content_hash([identify_feature_definitions(), *SERVED])[:16]


def build_spine(customers: pl.Series, cut: datetime) -> pl.DataFrame:
    """The spine of a training set that asks for what is served of `customers`."""
    moment = pl.lit(cut.astimezone(timezone.utc), pl.Datetime("us", "UTC"))
    return customers.alias(CUSTOMER).to_frame().with_columns(moment.alias(CUT))


# --- records ----------------------------------------------------------------------------------


class CustomerRecords:
    """What is served of customers, of `count_served`'s rows; a record's event time is when it was published, so that
    the online store takes it.

    All records together would take gigabytes: they are built when they are written, a part of the rows at a time.
    """

    def __init__(self, served: pl.DataFrame, event_time: str) -> None:
        self.event_time = event_time
        self._served = served
        self._names = (EVENT_TIME, *served.columns)
        self._read_part = lru_cache(PARTS_AT_ONCE)(self._spell_part)

    @cached_property
    def hashes(self) -> dict[str, str]:
        """By customer, of all that is served but the event time."""
        layout = identify_layout()
        parts = map(self._spell_part, range(-(-self._served.height // ROWS_AT_ONCE)))
        return {str(row[0]): content_hash([layout, *row])[:HASH_DIGITS] for part in parts for row in part}

    @cached_property
    def _places(self) -> dict[str, int]:
        return {customer: place for place, customer in enumerate(self._served[CUSTOMER])}

    def build_records(self, customers: Iterable[str]) -> dict[str, Record]:
        return {customer: self._build_record(self._places[customer]) for customer in customers}

    def _build_record(self, place: int) -> Record:
        values = self._read_part(place // ROWS_AT_ONCE)[place % ROWS_AT_ONCE]
        named = zip(self._names, (self.event_time, *values), strict=True)
        return [{"FeatureName": name, "ValueAsString": value} for name, value in named if value is not None]

    def _spell_part(self, number: int) -> list[tuple[str | None, ...]]:
        """Rows of a part as text, each value as it is read back: to the last digit."""
        part = self._served.slice(number * ROWS_AT_ONCE, ROWS_AT_ONCE)
        return part.with_columns(pl.col(MOMENT).dt.strftime(EVENT_TIME_FORMAT)).cast(pl.String()).rows()


def count_served(rows: pl.DataFrame, customers: pl.Series, cut: datetime, embargo: timedelta) -> pl.DataFrame:
    """A row for each of `customers` that has a contact in the longest window, as `training_set` counts it at `cut`.

    `rows` are all versions of their contacts, as the offline store told them.
    """
    if customers.is_empty():
        return _SERVED_SCHEMA.to_frame()
    spine = build_spine(customers, cut)
    versions = date_contact_versions(rows, datetime.max)
    counted = count_contact_features(measure_spine_windows(spine, embargo), versions, SERVED)
    served = pl.concat([spine.select(CUSTOMER), counted.features], how="horizontal")
    return served.filter(pl.col(MOMENT).is_not_null())


def format_event_time(moment: datetime) -> str:
    return str(format_feature_value(moment))


# --- read back --------------------------------------------------------------------------------


def parse_records(records: Mapping[str, Record], cut: datetime, embargo: timedelta) -> pl.DataFrame:
    """Records that are served as the rows that a training set has of them at `cut`, sorted by customer."""
    values = [_list_values(record) for _, record in sorted(records.items())]
    columns = {name: [each.get(name) for each in values] for name in (CUSTOMER, *SERVED)}
    text = pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String()))
    typed = text.with_columns(pl.col(name).cast(SCHEMA[name]) for name in SERVED if name in SCHEMA)
    end = pl.lit(cut.astimezone(timezone.utc).replace(tzinfo=None) - embargo)
    age = end - pl.col(MOMENT).str.to_datetime(EVENT_TIME_FORMAT, time_unit="us")
    return typed.with_columns(measure_days(age).alias(DAYS)).select(CUSTOMER, *NAMES)


def _list_values(record: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    return {pair["FeatureName"]: pair["ValueAsString"] for pair in record}
