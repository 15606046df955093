"""The plan of a daily update: which customers' records are written, withdrawn, kept and left alone. Pure.

A record is withdrawn for a reason that is known: the customer was erased, none of his contacts lies in the window any
more, or all of them were withdrawn. Who is gone from the history for no reason that it tells is kept, and counted.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from typing import Any

import polars as pl

from cs_features.customers.serving import CUSTOMERS
from cs_features.customers.spine import CUSTOMER
from cs_features.publishing.brake import Leave, stop_withdrawals
from cs_features.publishing.manifest import UNFINISHED

TABLE = "customer_features"  # the manifest of the second group, a row a customer
MANIFEST_SCHEMA = pl.Schema(
    {
        CUSTOMER: pl.String(),
        "event_time": pl.String(),  # when the record was published
        "content_hash": pl.String(),  # of what is served; UNFINISHED while it is changed
        "written_at": pl.Datetime("us", "UTC"),  # when the update that wrote it began, by S3's clock
        "leaving": pl.String(),  # why it is being withdrawn; null while it is served
        "group": pl.String(),  # the feature group, see `require_group`
    }
)


class Reason(str, Enum):
    """Why a customer's record leaves the store."""

    ERASED = "erased"  # a tombstone says so
    EXPIRED = "expired"  # his last contact is older than the longest window
    WITHDRAWN = "withdrawn"  # he has no contact any more: they were deleted, or are another customer's
    BEGUN = "begun"  # an update had begun to withdraw it when it died


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One row of the manifest."""

    customer_id: str
    event_time: str
    content_hash: str
    written_at: datetime
    leaving: str | None = None
    group: str

    @property
    def key(self) -> str:
        return self.customer_id

    def mark_unfinished(self, leaving: Reason | None = None) -> "Entry":
        return replace(self, content_hash=UNFINISHED, leaving=leaving.value if leaving else None)


@dataclass(frozen=True)
class Plan:
    """What an update does with each customer, by id."""

    write: Mapping[str, str]  # the hash of what is served then
    withdraw: Mapping[str, Reason]
    kept: Collection[str]  # served, though the history has no contact of theirs and tells no reason
    unchanged: int


def plan_update(hashes: Mapping[str, str], entries: Mapping[str, Entry], reasons: Mapping[str, Reason | None]) -> Plan:
    """Bring the group to the records of `hashes`; `entries` are those of their customers.

    `reasons` has every customer that is served and should not be, with why; None where nobody knows.
    """
    write = {key: new for key, new in hashes.items() if key not in entries or entries[key].content_hash != new}
    withdraw = {key: reason for key, reason in reasons.items() if reason is not None}
    kept = frozenset(key for key, reason in reasons.items() if reason is None)
    return Plan(write, withdraw, kept, len(hashes) - len(write))


def find_reason(entry: Entry, is_erased: bool, contacts: Mapping[str, bool]) -> Reason | None:
    """Why the record of a customer without a contact in the window leaves.

    `contacts` has those of whom the history tells anything, and whether one of their contacts still stands.
    """
    if is_erased:
        return Reason.ERASED
    if entry.leaving is not None:
        return Reason.BEGUN
    if entry.key not in contacts:
        return None
    return Reason.EXPIRED if contacts[entry.key] else Reason.WITHDRAWN


def check_withdrawals(plan: Plan, served: int, max_share: float) -> None:
    """Stop an update that would withdraw too much at once; an erasure is an order with evidence of its own.

    Raises:
        WithdrawalStopped: more than `max_share` of the records served.
    """
    exempt = (Reason.ERASED, Reason.BEGUN)
    reasons = Counter(reason.value for reason in plan.withdraw.values() if reason not in exempt)
    stop_withdrawals(Leave(reasons, served, max_share, CUSTOMERS.asset))


# --- the manifest -----------------------------------------------------------------------------


def list_entries(manifest: pl.DataFrame) -> dict[str, Entry]:
    return {row[CUSTOMER]: Entry(**row) for row in manifest.iter_rows(named=True)}


def build_manifest(entries: Collection[Entry]) -> pl.DataFrame:
    """The rows of `entries`."""
    columns: dict[str, list[Any]] = {name: [getattr(entry, name) for entry in entries] for name in MANIFEST_SCHEMA}
    return pl.DataFrame(columns, schema=MANIFEST_SCHEMA)
