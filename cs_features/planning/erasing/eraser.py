"""Erasing one person: who that is in ids, then everything of him, in an order that can be killed anywhere.

The tombstone goes first: from then on nothing comes back. Landing files follow, so that no later run reads him; then
the feature store; the tables that the law counts go last, because a second try finds him by them. What he is in one
object stands in `contents.py`.
"""

from functools import partial

import polars as pl

from cs_features.aws import explained
from cs_features.customers.plan import TABLE as MANIFEST_OF_CUSTOMERS
from cs_features.customers.serving import CUSTOMERS
from cs_features.erasure.receipts import Leftover, Receipt, Taken, keep_erasure_receipt
from cs_features.erasure.subjects import Subject
from cs_features.erasure.tombstones import (
    make_tombstone_entry,
    merge_tombstones,
    read_tombstones,
    require_hash_key,
    write_tombstone,
)
from cs_features.extraction.journal import strip_erased_journals
from cs_features.landing.earlier import FIRST_SEEN
from cs_features.landing.erased import erase_landed_documents, split_for_erasure
from cs_features.partitions import Partition
from cs_features.planning.erasing.contents import (
    PACKED,
    Doors,
    Replaced,
    Stripped,
    find_covered_rows,
    find_customer,
    follow_new_versions,
    strip_data_object,
    strip_door_tables,
    strip_parquet_table,
)
from cs_features.planning.erasing.customers import clear_customers, find_concerned
from cs_features.planning.erasing.leftovers import list_erasure_leftovers, name_groups
from cs_features.planning.erasing.places import Tally, Walk, count_named_keys, name_folder
from cs_features.planning.erasing.stores import Stores, list_data, list_history
from cs_features.planning.erasing.whose import complete_erasure_subject
from cs_features.publishing.feature_group import SETTING, Record
from cs_features.publishing.manifest import MANIFEST, OTHER_GROUPS
from cs_features.publishing.records import READ_AT_ONCE, WRITTEN_AT_ONCE, split_record_batches
from cs_features.storage import Tables, encode_parquet_table

MAX_PASSES = 3
DOORS = ("raw_interactions/", "rejected_records/")  # they are changed together
ANSWERS = ("ledger/", "llm_extractions/")


def erase_subject_everywhere(subject: Subject, stores: Stores, key: str | None, *, dry_run: bool) -> Receipt:
    """Take him out of every place, or say what that would take; `key` is the secret of the tombstones.

    Raises:
        AwsRefusal, PublishingFailed: half-way; the same call again does the rest.
        ConfigurationError: there is no key, and he could come back.
    """
    secret = require_hash_key(key)
    subject = complete_erasure_subject(subject, stores, read_tombstones(stores.data, key))
    other_groups = _find_other_groups(subject, stores)
    if not dry_run:
        write_tombstone(stores.data, subject, key)
        merge_tombstones(stores.data)
    tally = take_out(subject, stores, dry_run=dry_run)
    remaining = 0
    if not dry_run:
        remaining = _look_again_everywhere(subject, stores, tally)
    entry = make_tombstone_entry(subject, secret)
    receipt = Receipt(
        at=subject.until,
        dry_run=dry_run,
        who=() if dry_run else [*entry["customers"], *entry["interactions"]],
        interactions=len(subject.interaction_ids),
        taken=[Taken(place, tally.objects[place], rows) for place, rows in sorted(tally.rows.items())],
        remaining=remaining,
        leftovers=list_erasure_leftovers(
            (stores.landing, stores.data), tally, stores.list_iceberg_tables(), other_groups
        ),
    )
    if not dry_run:
        keep_erasure_receipt(stores.data, receipt)
    return receipt


def _look_again_everywhere(subject: Subject, stores: Stores, tally: Tally) -> int:
    """Look until nothing is found: what changed under the eraser's hands is taken with the next look."""
    for _ in range(MAX_PASSES):
        again = take_out(subject, stores, dry_run=False)
        if not again.found:
            return 0
        for place, rows in again.rows.items():
            tally.count(place, rows, again.objects[place])
    return again.found


def take_out(subject: Subject, stores: Stores, *, dry_run: bool) -> Tally:
    """One pass over all places."""
    tally = Tally()
    data = Walk(stores.data, tally, dry_run)
    replaced = _strip_landing_files(subject, stores, tally, dry_run)
    _clear_records(subject, stores, tally, dry_run)
    if not stores.offline.is_iceberg:
        _strip_history(subject, Walk(stores.offline.bucket, tally, dry_run), stores)
    clear_customers(subject, stores, tally, dry_run)
    others = [item for item in list_data(stores) if not item.key.startswith((*DOORS, MANIFEST_OF_CUSTOMERS))]
    tally.named += count_named_keys(others, subject)
    data.strip_data_objects(
        others, name_folder, partial(_strip_stored, subject=subject, answers=subject.claim_answers())
    )
    for partition in Tables(stores.data).partitions("raw_interactions"):
        _strip_partition_tables(partition, subject, data, replaced)
    if not dry_run and (removed := strip_erased_journals(stores.journals, subject.claim_answers())):
        tally.count("journals of this host", removed)
    return tally


def _strip_stored(key: str, body: bytes, subject: Subject, answers: Subject) -> Stripped | None:
    return strip_data_object(key, body, answers if key.startswith(ANSWERS) else subject)


def _strip_landing_files(subject: Subject, stores: Stores, tally: Tally, dry_run: bool) -> dict[str, Replaced]:
    """Returns the ETags of each landing file that was put anew, by uri."""
    objects = stores.landing.list_bucket_objects("").objects
    tally.named += count_named_keys(objects, subject)

    def strip(key: str, body: bytes) -> Stripped | None:
        found = erase_landed_documents(key, body, subject)
        is_opaque = found is None and split_for_erasure(key, body) is None
        if is_opaque and (key.endswith(PACKED) or subject.is_named_in(body)):
            raise ValueError("it cannot be taken apart, and names him or may")
        return None if found is None else Stripped(found.body, len(found.lines))

    found = Walk(stores.landing, tally, dry_run).strip_data_objects(objects, lambda _: "landing bucket", strip)
    return {stores.landing.uri(each.key): Replaced(each.before, each.stored.etag) for each in found if each.stored}


def _clear_records(subject: Subject, stores: Stores, tally: Tally, dry_run: bool) -> None:
    with explained(f"Feature group {stores.records.group}", SETTING):
        served: list[str] = []
        for ids in split_record_batches(sorted(subject.interaction_ids | subject.contested_ids), READ_AT_ONCE):
            served += [key for key, record in stores.records.read_records(ids).items() if _is_his(key, record, subject)]
        for ids in split_record_batches([] if dry_run else served, WRITTEN_AT_ONCE):
            stores.records.clear_online_records(dict.fromkeys(ids, ""))
    if served:
        tally.count("online store", len(served), objects=len(served))


def _is_his(interaction_id: str, record: Record, subject: Subject) -> bool:
    return subject.covers_interaction(interaction_id) or subject.covers_customer(find_customer(record))


def _strip_history(subject: Subject, walk: Walk, stores: Stores) -> None:
    files = [item for item in list_history(stores) if item.key.endswith(".parquet")]
    walk.strip_data_objects(
        files, lambda _: "offline store", lambda _, body: strip_parquet_table(body, subject, drop_when_empty=True)
    )


def _strip_partition_tables(partition: Partition, subject: Subject, walk: Walk, replaced: dict[str, Replaced]) -> None:
    """The two tables that the law counts: the rejects first, because the other one is the evidence."""
    tables = Tables(walk.bucket)
    found = walk.bucket.read(tables.key("raw_interactions", partition))
    if found is None:
        return
    stored, body = found
    raw = pl.read_parquet(body, hive_partitioning=False)
    rejected = walk.bucket.read(tables.key("rejected_records", partition))
    doors = Doors(raw, None if rejected is None else pl.read_parquet(rejected[1], hive_partitioning=False))
    after, removed = strip_door_tables(doors, subject, subject.until)
    followed = follow_new_versions(after.raw, replaced)
    if removed:
        walk.tally.count("raw_interactions", removed)
        if rejected is not None and after.rejected is not None:
            walk.tally.count("rejected_records", removed)
            walk.put_back(rejected[0], encode_parquet_table(after.rejected))
    if removed:
        _forget_earlier_contents(tables.key(FIRST_SEEN, partition), raw, followed, walk)
    if not followed.equals(raw):
        walk.put_back(stored, encode_parquet_table(followed))


def _forget_earlier_contents(key: str, before: pl.DataFrame, after: pl.DataFrame, walk: Walk) -> None:
    """When his contents were first seen, by their hash, is of use to nobody."""
    found = walk.bucket.read(key)
    if found is None:
        return
    stored, body = found
    gone = set(before["content_hash"]) - set(after["content_hash"])
    table = pl.read_parquet(body, hive_partitioning=False)
    left = table.filter(~pl.col("content_hash").is_in(list(gone)))
    if left.height < table.height:
        walk.tally.count(FIRST_SEEN, table.height - left.height)
        walk.put_back(stored, encode_parquet_table(left))


def _find_other_groups(subject: Subject, stores: Stores) -> list[Leftover]:
    """Groups that his records were once written to and that are not the ones in use."""
    tables = Tables(stores.data)
    groups: set[str] = set()
    for name in (MANIFEST, OTHER_GROUPS):
        for partition in tables.partitions(name):
            manifest = tables.read(name, partition)
            if manifest is not None and "group" in manifest.columns:
                groups.update(manifest.filter(find_covered_rows(manifest, subject))["group"].drop_nulls())
    of_customers = find_concerned(subject, stores).groups
    second = {stores.customers.identity} if stores.customers else set()
    return name_groups(groups - {stores.identity}, SETTING) + name_groups(of_customers - second, CUSTOMERS.setting)
