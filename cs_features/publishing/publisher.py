"""Publishing a partition: what is read for the plan, and what was done in the end.

What is to change is decided in `plan.py`, and carried out in `changes.py`. No row is judged here.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

import polars as pl

from cs_features.aws import explained
from cs_features.erasure.tombstones import NO_TOMBSTONES, Tombstones
from cs_features.freed_memory import give_memory_back
from cs_features.landing.corrections import find_ids_held_elsewhere
from cs_features.landing.notices import notify_of_withdrawal, read_partition_notices
from cs_features.partitions import Partition
from cs_features.publishing.brake import check_withdrawals
from cs_features.publishing.changes import carry_out
from cs_features.publishing.feature_group import SETTING
from cs_features.publishing.manifest import (
    MANIFEST,
    Entry,
    OpenManifest,
    encode_manifest,
    put_other_groups_aside,
    read_manifest,
    recall_manifest_entries,
)
from cs_features.publishing.plan import (
    build_records,
    choose_records_to_read,
    collect_partition_documents,
    complete_manifest_entries,
    find_erased_entries,
    leave_out_erased,
    plan_publication,
    require_current_records,
)
from cs_features.publishing.publication import Destination, Publication
from cs_features.publishing.records import read_online_records
from cs_features.storage import Tables, decode_parquet_table


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a run made of the partition's documents: the three tables before the last step."""

    raw: pl.DataFrame
    validated: pl.DataFrame | pl.LazyFrame  # a lazy one is read when its records are made, and not held
    rejected: pl.DataFrame
    erased: Tombstones = NO_TOMBSTONES  # the publication asks for itself: a run may be older than an erasure


@dataclass(frozen=True, kw_only=True)
class PublicationRules:
    """What a publication may do."""

    window_days: int  # how far apart two partitions may lie that have documents of one interaction
    max_withdrawn_share: float
    allow_deletions: bool = False
    verify_online: bool = False
    read_tombstones: Callable[[], Tombstones] = lambda: NO_TOMBSTONES


@dataclass(frozen=True, kw_only=True)
class Published:
    """What one publication did, counted in records; the manifest is what the group holds of the partition now."""

    encoded: bytes  # the manifest
    written: int
    withdrawn: int
    handed_over: int  # withdrawn here, and served by another partition by now
    kept: int  # served from before, though this run has no features of them
    hidden: int  # of those, whose landing file is damaged, so that nobody can tell whether their documents stand
    unchanged: int
    others: int  # not written, because the record that is served under the id is another interaction's

    @property
    def manifest(self) -> pl.DataFrame:
        return decode_parquet_table(self.encoded, MANIFEST)


def publish_partition(
    partition: Partition, outcome: Outcome, tables: Tables, destination: Destination, rules: PublicationRules
) -> Published:
    """Bring the feature group to what a run made of `partition`, and the manifest with it.

    A row replaces a record that another partition has online under its id, and a record is not withdrawn when it
    is another partition's by now. Who claims a withdrawn id is notified before the manifest forgets it. Who is erased
    while records are written may have been deleted before his was: then it is published once more, without him.

    The manifest of a publication that succeeds is the caller's to write: until then it says that the changes are
    unfinished, and whoever publishes next finishes them again.

    Raises:
        AwsRefusal: when a bucket or the group refuses; says what to set.
        PublishingFailed: when records were refused, or left unprocessed or unread after all tries.
        RequestError: when the tables are of different states of the documents.
        WithdrawalStopped: when too much would be withdrawn; nothing was changed.
    """
    outcome = replace(outcome, erased=rules.read_tombstones())
    published = _publish_partition_once(partition, outcome, tables, destination, rules)
    while published.written and (known := rules.read_tombstones()) != outcome.erased:
        outcome = replace(outcome, erased=known)
        tables.put(MANIFEST, partition, published.encoded)
        published = _publish_partition_once(partition, outcome, tables, destination, rules)
    return published


def _publish_partition_once(
    partition: Partition, outcome: Outcome, tables: Tables, destination: Destination, rules: PublicationRules
) -> Published:
    notices = read_partition_notices(partition, tables)
    records = build_records(leave_out_erased(outcome.validated.lazy().collect(), outcome.erased))
    stored = read_manifest(tables, partition)
    entries = recall_manifest_entries(stored, destination.identity, tables, partition)
    unseen = entries.keys() - records.keys() - set(outcome.raw["interaction_id"])
    held_elsewhere = find_ids_held_elsewhere(unseen, partition, tables, rules.window_days)
    documents = replace(
        collect_partition_documents(outcome.raw, outcome.rejected, held_elsewhere),
        erased=find_erased_entries(entries, outcome.erased),
    )
    require_current_records(records, documents)

    doubtful = choose_records_to_read(entries, rules.verify_online)
    with explained(f"Feature group {destination.records.group}", SETTING):
        online = read_online_records(doubtful, partition, destination.records)
    entries = complete_manifest_entries(entries, online)
    plan = plan_publication(records, documents, entries, notices.withdrawn, online)
    if not rules.allow_deletions:
        check_withdrawals(plan, documents, entries, rules.max_withdrawn_share)

    put_other_groups_aside(stored, destination.identity, tables, partition)
    publication = Publication(partition, plan, entries, documents, destination, notices.listed_at, rules.window_days)

    def save_manifest(entries: Collection[Entry]) -> None:
        give_memory_back()  # of the records that were sent since it was saved last
        tables.put(MANIFEST, partition, encode_manifest(entries))

    manifest = OpenManifest(publication.confirm_served_entries(), save_manifest)
    with explained(f"Feature group {destination.records.group}", SETTING):
        done = carry_out(
            publication, manifest, lambda ids: notify_of_withdrawal(ids, partition, tables, rules.window_days)
        )
    return Published(
        encoded=encode_manifest(manifest.entries),
        written=len(plan.write) - len(done.others),
        withdrawn=len(plan.withdraw) - len(done.handed_over),
        handed_over=len(done.handed_over),
        others=len(done.others),
        kept=len({entry.key for entry in manifest.entries} - records.keys()),
        hidden=len(plan.keep.keys() - documents.accepted.keys()),
        unchanged=len(plan.unchanged),
    )
