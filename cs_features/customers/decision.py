"""From what is known of contacts to what is done with each customer: who is counted, and who leaves for which reason.

Pure: what is known was read in `contacts.py`, and what is done is `plan.py`'s and `update.py`'s.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from cs_features.customers.contacts import Memory, leave_out_erased
from cs_features.customers.plan import Entry, Plan, Reason, find_reason, list_entries, plan_update
from cs_features.customers.serving import CustomerRecords, count_served, format_event_time, identify_layout
from cs_features.customers.spine import CUSTOMER
from cs_features.customers.touched import find_expected, find_touched, select_contacts, select_known_versions
from cs_features.erasure.subjects import Erased
from cs_features.publishing.feature_group import EVENT_TIME
from cs_features.publishing.manifest import UNFINISHED

CUSTOMERS_AT_ONCE = 50_000


@dataclass(frozen=True)
class Moment:
    """When an update began, by S3's clock, and whose knowledge it serves."""

    began: datetime
    cut: datetime
    embargo: timedelta


@dataclass(frozen=True)
class Decision:
    """The plan, the entries of all whom it names, and everybody who is to be served."""

    plan: Plan
    records: CustomerRecords
    entries: Mapping[str, Entry]
    expected: pl.Series


def decide_update(memory: Memory, manifest: pl.DataFrame, moment: Moment, erased: Erased) -> Decision:
    """`manifest` is that of the group in use."""
    expected = find_expected(memory.rows, moment.cut, moment.embargo)
    chosen = choose_customers(memory, manifest, expected, moment)
    served = count_chosen(memory.rows, chosen, moment, erased)
    # Whose rows an eraser has not yet taken out is not expected either.
    gone = chosen.filter(~chosen.is_in(served[CUSTOMER].implode()))
    expected = expected.filter(~expected.is_in(gone.implode()))
    records = CustomerRecords(served, choose_event_time(manifest, moment.began))
    leaving = list_entries(manifest.filter(~pl.col(CUSTOMER).is_in(expected.implode())))
    known = list_entries(manifest.filter(pl.col(CUSTOMER).is_in(served[CUSTOMER].implode())))
    reasons = find_reasons(leaving, memory.rows, moment.cut, erased)
    return Decision(plan_update(records.hashes, known, reasons), records, known | leaving, expected)


def choose_customers(memory: Memory, manifest: pl.DataFrame, expected: pl.Series, moment: Moment) -> pl.Series:
    """Whose features are counted: who was touched since the last update, and who should be served and is not."""
    state = memory.state
    if state is None or state.layout != identify_layout():
        return expected
    finished = manifest.filter(pl.col("content_hash") != UNFINISHED)[CUSTOMER]
    missing = expected.filter(~expected.is_in(finished.implode()))
    before = min(state.cut, moment.cut)
    touched = find_touched(memory.rows, memory.fresh, before, moment.cut, moment.embargo)
    return pl.concat([missing, touched]).unique().sort()


def count_chosen(rows: pl.DataFrame, chosen: pl.Series, moment: Moment, erased: Erased) -> pl.DataFrame:
    """What is served of `chosen`, some of them at a time: all contacts at once would take half a gigabyte more."""
    counted = []
    for start in range(0, max(len(chosen), 1), CUSTOMERS_AT_ONCE):
        customers = chosen.slice(start, CUSTOMERS_AT_ONCE)
        contacts = leave_out_erased(select_contacts(rows, customers), erased)
        counted.append(count_served(contacts, customers, moment.cut, moment.embargo))
    return pl.concat(counted)


def choose_event_time(manifest: pl.DataFrame, began: datetime) -> str:
    """Later than that of every record before: the online store takes no other, whatever a clock says."""
    latest = manifest[EVENT_TIME].max()
    if not isinstance(latest, str):
        return format_event_time(began)
    after = datetime.fromisoformat(latest.replace("Z", "+00:00")) + timedelta(milliseconds=1)
    return format_event_time(max(began, after))


def find_reasons(
    leaving: Mapping[str, Entry], rows: pl.DataFrame, cut: datetime, erased: Erased
) -> dict[str, Reason | None]:
    """Of each who is served and should not be, why; None where the history has no row of his."""
    customers = pl.Series(CUSTOMER, list(leaving), pl.String())
    contacts = select_contacts(rows, customers)
    standing = set(select_known_versions(contacts, cut)[CUSTOMER])
    found = {key: key in standing for key in contacts[CUSTOMER].unique() if key in leaving}
    return {key: find_reason(entry, _is_erased(entry, erased), found) for key, entry in leaving.items()}


def _is_erased(entry: Entry, erased: Erased) -> bool:
    published = datetime.fromisoformat(entry.event_time.replace("Z", "+00:00"))
    return bool(erased) and erased.covers_customer(entry.customer_id, published)
