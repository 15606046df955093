"""What the daily update remembers of the offline store: the rows that features are counted from, by month.

The offline store only appends and grows into many small objects; read whole every day it would cost more than all
else. It is personal data: an erasure takes its rows out of these tables as out of any other. A state says up to when
and of which group it was read; without one, or with a month missing, everything is read anew. Not here: what is
counted from the rows.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import Literal

import polars as pl
from pydantic import BaseModel, ValidationError

from cs_features.customers.spine import CUSTOMER
from cs_features.customers.touched import ID
from cs_features.erasure.subjects import Erased
from cs_features.partitions import Month, Partition
from cs_features.publishing.reading import EVENT_TIME_FORMAT, HISTORY_SCHEMA, OfflineHistory, Part
from cs_features.retention.data_bucket import list_last_publications
from cs_features.s3 import Bucket
from cs_features.storage import Tables

CONTACTS = "customer_contacts"
STATE_KEY = f"{CONTACTS}/state.json"
_NOT_COUNTED = ("summary", "country", "language")
CONTACT_SCHEMA = pl.Schema({name: kind for name, kind in HISTORY_SCHEMA.items() if name not in _NOT_COUNTED})
# What was told before a manifest was saved is in the offline store long before a day is over, whoever was killed.
MARGIN = timedelta(days=1)
# An object has the moment at which its upload began, and may be seen a while later.
UPLOAD_MARGIN = timedelta(hours=1)
# What the offline store told later than that, or lost, or was told by somebody else, is found then.
BELIEVED_FOR = timedelta(days=28)

Months = Mapping[str, pl.DataFrame]
ReadHistory = Callable[[datetime, Part | None], OfflineHistory]
"""What the first group's offline store holds at a moment: all of it, or a part."""


class State(BaseModel, frozen=True):
    """How far the last update came."""

    version: Literal[1] = 1
    source: str  # the group whose offline store was read, see `require_group`
    read_until: datetime
    whole_read: datetime  # when everything was read for the last time
    months: tuple[str, ...]
    cut: datetime  # whose knowledge is served
    layout: str  # of the records, see `identify_layout`


def read_state(bucket: Bucket) -> State | None:
    """None where there is none, or one that another version wrote.

    Raises:
        AwsRefusal: when the data bucket cannot be read.
    """
    try:
        return State.model_validate_json(bucket.get(STATE_KEY) or b"")
    except ValidationError:
        return None


def write_state(bucket: Bucket, state: State) -> None:
    bucket.put(STATE_KEY, state.model_dump_json().encode())


def read_months(tables: Tables, state: State) -> Months | None:
    """What was read before; None when some of it is gone, and nothing of it can be trusted."""
    found: dict[str, pl.DataFrame] = {}
    for month in state.months:
        rows = tables.read(CONTACTS, Month(month))
        if rows is None or not set(CONTACT_SCHEMA) <= set(rows.columns):
            return None
        found[month] = rows.select(CONTACT_SCHEMA.names())
    return found


def choose_part(published: Mapping[str, datetime], state: State) -> Part:
    """What of the offline store may hold rows that were not read: of days that were published since, in any country.

    `published` has when the manifest of each partition was last saved, by folder.
    """
    since = state.read_until - MARGIN
    days = {day for folder, saved in published.items() if saved >= since and (day := _read_day(folder))}
    return Part(frozenset(days), state.read_until - UPLOAD_MARGIN)


def _read_day(folder: str) -> date | None:
    try:
        return Partition.from_folder(folder).date
    except ValueError:
        return None  # somebody else's


def merge_rows(before: Months, read: pl.DataFrame, erased: Erased) -> tuple[Months, pl.Series]:
    """The months that change by rows that were read, and the ids of contacts of which a row is new.

    Reading a row again changes nothing. Nobody comes back who was erased meanwhile: what is written holds none of his
    rows.
    """
    changed: dict[str, pl.DataFrame] = {}
    fresh = [pl.Series(ID, dtype=pl.String())]
    for month, told in _split_months(read).items():
        old = before.get(month, CONTACT_SCHEMA.to_frame())
        new = told.unique().join(old, on=CONTACT_SCHEMA.names(), how="anti", nulls_equal=True)
        both = pl.concat([old, new])
        left = leave_out_erased(both, erased)
        fresh.append(new[ID])
        if not new.is_empty() or left.height < both.height:
            changed[month] = left
    return changed, pl.concat(fresh).unique()


def _split_months(rows: pl.DataFrame) -> Months:
    dated = rows.select(*CONTACT_SCHEMA, month=pl.col("event_time").str.slice(0, len("2026-11")))
    return {str(month): part for (month,), part in dated.partition_by("month", as_dict=True, include_key=False).items()}


def leave_out_erased(rows: pl.DataFrame, erased: Erased) -> pl.DataFrame:
    """Rows of nobody who is erased. Each name costs a keyed hash or two, so that it is asked for once."""
    if not erased or rows.is_empty():
        return rows
    ids = _select_covered(rows[ID], erased.covers_interaction)
    left = rows.filter(~pl.col(ID).is_in(ids.implode()))
    customers = _select_covered(left[CUSTOMER].drop_nulls(), erased.covers_customer)
    is_named = pl.col(CUSTOMER).is_in(customers.implode()).fill_null(False)
    named = left.filter(is_named)
    happened = named["event_time"].str.to_datetime(EVENT_TIME_FORMAT).dt.replace_time_zone("UTC")
    covered = map(erased.covers_customer, named[CUSTOMER], happened)
    later = named.filter(~pl.Series(list(covered), dtype=pl.Boolean()))
    return pl.concat([left.filter(~is_named), later])


def _select_covered(names: pl.Series, is_covered: Callable[[str], bool]) -> pl.Series:
    unique = names.unique()
    return unique.filter(pl.Series([is_covered(name) for name in unique], dtype=pl.Boolean()))


# --- what is remembered, and what is new ------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Memory:
    """All that is known of contacts after the new rows were read."""

    source: str
    months: Months
    changed: Months  # of these, what the tables do not hold yet
    fresh: pl.Series  # ids of the contacts of which a row was read that was not remembered
    read_rows: int
    state: State | None  # of the last update; None when this one begins anew

    @cached_property
    def rows(self) -> pl.DataFrame:
        return pl.concat([CONTACT_SCHEMA.to_frame(), *self.months.values()])


def recall_contacts(tables: Tables, read: ReadHistory, began: datetime, erased: Erased, *, anew: bool) -> Memory:
    """What was remembered with what the offline store was told since; `anew` believes nothing that was remembered, and
    after four weeks nothing is believed either.

    Raises:
        AwsRefusal: a bucket or the group cannot be read.
    """
    state = None if anew else read_state(tables.bucket)
    is_fresh = state is not None and began - state.whole_read < BELIEVED_FOR
    months = read_months(tables, state) if state and is_fresh else None
    if state is not None and months is not None:
        history = read(began, choose_part(list_last_publications(tables.bucket), state))
        if history.group == state.source:
            return _remember(months, history, erased, state)
    return _remember({}, read(began, None), erased, None)


def _remember(before: Months, history: OfflineHistory, erased: Erased, state: State | None) -> Memory:
    changed, fresh = merge_rows(before, history.rows, erased)
    return Memory(
        source=history.group,
        months={**before, **changed},
        changed=changed,
        fresh=fresh,
        read_rows=history.rows.height,
        state=state,
    )


def save_memory(tables: Tables, memory: Memory) -> None:
    """Only after what is new in it was published: what is remembered is not counted again when an update has died."""
    for month, rows in memory.changed.items():
        tables.write(CONTACTS, Month(month), rows)


def forget_old_months(tables: Tables, memory: Memory, first: date) -> list[str]:
    """Delete months that ended before `first`, or that nothing is known of; returns those that are left."""
    left = [month for month in memory.months if month >= f"{first:%Y-%m}"]
    kept = {tables.key(CONTACTS, Month(month)) for month in left} | {STATE_KEY}
    tables.bucket.delete(
        item.key for item in tables.bucket.list_bucket_objects(f"{CONTACTS}/").objects if item.key not in kept
    )
    return sorted(left)
