"""A person in the second feature group: his record, its history, and who else's record counts a contact that is erased.

Of a customer who is not erased himself a record leaves, too, that counts an erased contact; the next daily update
serves him without it. What is found of him here is found by the contacts that the update remembers, so that those go
after all this.
"""

import io
from collections.abc import Collection
from dataclasses import dataclass

import polars as pl

from cs_features.aws import explained
from cs_features.customers.contacts import CONTACTS
from cs_features.customers.plan import TABLE
from cs_features.customers.serving import SETTING, format_event_time
from cs_features.customers.spine import CUSTOMER
from cs_features.erasure.subjects import Subject
from cs_features.planning.erasing.contents import Stripped, find_covered_rows
from cs_features.planning.erasing.places import Tally, Walk
from cs_features.planning.erasing.stores import CustomerStores, Stores
from cs_features.publishing.records import READ_AT_ONCE, WRITTEN_AT_ONCE, split_record_batches
from cs_features.storage import Tables, encode_parquet_table


@dataclass(frozen=True)
class Concerned:
    """Customers whose records count something that is erased, and the groups that hold such records."""

    customers: frozenset[str]
    groups: frozenset[str]  # identities, see `require_group`


def find_concerned(subject: Subject, stores: Stores) -> Concerned:
    """Whoever the remembered contacts and the manifest name; and who the request names.

    Raises:
        AwsRefusal: the data bucket cannot be read.
    """
    customers = {subject.customer_id} if subject.customer_id else set()
    walk = Walk(stores.data, Tally(), dry_run=True)
    for _, body in walk.read_objects(stores.data.list_bucket_objects(f"{CONTACTS}/month=").objects):
        rows = pl.read_parquet(io.BytesIO(body), hive_partitioning=False)
        customers.update(rows.filter(find_covered_rows(rows, subject))[CUSTOMER].drop_nulls())
    manifest = Tables(stores.data).read(TABLE, None)
    if manifest is None:
        return Concerned(frozenset(customers), frozenset())
    named = manifest[CUSTOMER].map_elements(subject.covers_customer, return_dtype=pl.Boolean)
    customers.update(manifest.filter(named)[CUSTOMER])
    theirs = manifest.filter(pl.col(CUSTOMER).is_in(list(customers)))
    return Concerned(frozenset(customers), frozenset(theirs["group"]))


def clear_customers(subject: Subject, stores: Stores, tally: Tally, dry_run: bool) -> None:
    """Their records out of both stores of the second group, and out of its manifest."""
    concerned = find_concerned(subject, stores).customers
    if stores.customers is not None:
        _clear_records(concerned, stores.customers, tally, dry_run)
        if not stores.customers.offline.is_iceberg:
            _strip_history(subject, concerned, stores.customers, Walk(stores.customers.offline.bucket, tally, dry_run))
    found = stores.data.read(Tables(stores.data).key(TABLE, None))
    if found is not None:
        walk = Walk(stores.data, tally, dry_run)
        walk.strip_data_objects([found[0]], lambda _: TABLE, lambda _, body: strip_customers(body, concerned, None))


def _clear_records(concerned: Collection[str], second: CustomerStores, tally: Tally, dry_run: bool) -> None:
    served: list[str] = []
    with explained(f"Feature group {second.records.group}", SETTING):
        for ids in split_record_batches(sorted(concerned), READ_AT_ONCE):
            served += second.records.read_records(ids)
        for ids in split_record_batches([] if dry_run else served, WRITTEN_AT_ONCE):
            second.records.clear_online_records(dict.fromkeys(ids, ""))
    if served:
        tally.count("online store of customers", len(served), objects=len(served))


def _strip_history(subject: Subject, concerned: Collection[str], second: CustomerStores, walk: Walk) -> None:
    """What was told up to the erasure; later rows count nothing that is erased."""
    until = format_event_time(subject.until)
    objects = second.offline.bucket.list_bucket_objects(second.offline.prefix).objects
    files = [item for item in objects if item.key.endswith(".parquet")]
    walk.strip_data_objects(
        files, lambda _: "offline store of customers", lambda _, body: strip_customers(body, concerned, until)
    )


def strip_customers(body: bytes, customers: Collection[str], until: str | None) -> Stripped | None:
    """A table without rows of `customers` that were published up to then; without any of theirs for None."""
    frame = pl.read_parquet(io.BytesIO(body), hive_partitioning=False)
    theirs = pl.col(CUSTOMER).is_in(list(customers))
    left = frame.filter(~(theirs if until is None else theirs & (pl.col("event_time") <= until)))
    if left.height == frame.height:
        return None
    body_left = None if left.is_empty() and until is not None else encode_parquet_table(left)
    return Stripped(body_left, frame.height - left.height)
