"""The law: for every partition, documents landed = validated + rejected + exact duplicates.

The landed side is counted from the landing objects themselves, of which a run can answer for those that it listed:
what it did not list landed since, whatever its date says. Of an object that was replaced or deleted since it was
read nothing is left to count, so its documents count as they were read; an object that was listed and is in no row
was lost, and is caught. Not here: how a file is counted (`document_count.py`), which counts are kept
(`kept_counts.py`), what is served (`serving.py`).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from functools import cached_property, partial
from typing import Any, NamedTuple

import polars as pl

from cs_features.errors import ObjectUnreadable
from cs_features.landing.documents import identity_of
from cs_features.landing.zone import LandingZone
from cs_features.monitoring.document_count import (
    FileCount,
    count_object_documents,
    digest_document_identity,
    is_one_document,
)
from cs_features.monitoring.kept_counts import CountMemory
from cs_features.s3 import Listing, StoredObject
from cs_features.schemas import Reason

READERS = 8
# Larger ones are read one at a time, so that the bodies in memory together are at most eight times so large.
LARGE_BYTES = 1024 * 1024
# Rows with these reasons keep the beginning of a document at the most, and a beginning is the same as nothing.
PAYLOAD_IS_A_PART = {Reason.DOCUMENT_TOO_LARGE.value, Reason.TRUNCATED_GZIP.value}


@dataclass(frozen=True)
class Balance:
    """Both sides of the law for one partition."""

    landed: int
    validated: int
    rejected: int
    duplicates: int

    @property
    def missing(self) -> int:
        """Documents that left by no door; below zero, documents that left by two."""
        return self.landed - self.validated - self.rejected - self.duplicates

    @property
    def holds(self) -> bool:
        return self.missing == 0

    def __str__(self) -> str:
        return (
            f"{self.landed} landed = {self.validated} validated + {self.rejected} rejected "
            f"+ {self.duplicates} duplicates" + ("" if self.holds else f" is off by {self.missing}")
        )


class LandedCount(NamedTuple):
    """Documents of a partition, and how many of them are exact duplicates of another."""

    documents: int
    duplicates: int


@dataclass(frozen=True)
class RunRecord:
    """What the latest run of a partition listed and what it read, both as ETags by uri; `rows` are those it made.

    Of an object that was `unreadable` for it, the rows are a reject and what runs before had read.
    """

    listed: Mapping[str, str]
    read: Mapping[str, str]
    rows: pl.DataFrame
    unreadable: frozenset[str] = frozenset()

    @cached_property
    def known_objects(self) -> Mapping[str, str]:
        """The newest version of each object that the run can have seen."""
        return {**self.listed, **self.read}

    @cached_property
    def withheld_lines(self) -> Mapping[str, frozenset[int]]:
        """The lines of each object that are of who is erased. Where the run may not write to landing they lie there
        still, and copies of one document would count as duplicates, of which the run knows nothing any more."""
        erased = self.rows.filter(pl.col("reason") == Reason.ERASED.value)
        lines = erased.group_by("source_uri").agg("source_line").iter_rows()
        return {uri: frozenset(numbers) for uri, numbers in lines}

    def find_withheld(self, uri: str) -> frozenset[int]:
        return self.withheld_lines.get(uri, frozenset())


@dataclass(frozen=True)
class CountPlan:
    """Where the documents of each object are counted from."""

    from_s3: Sequence[StoredObject] = ()
    as_read: Sequence[str] = ()  # uris of objects whose version that was read is no more
    lost: Sequence[str] = ()  # uris that were listed, never read, and are gone: a document each at the least
    landed_since: Sequence[StoredObject] = ()  # not listed by the run, and not counted


@dataclass(frozen=True)
class Counted:
    """What a plan came to; the uris are of objects that count as they were read, or as one document where none was."""

    landed: LandedCount
    changed: Sequence[str] = ()  # replaced or deleted since they were read
    unreadable: Sequence[str] = ()  # S3 refuses to show them now
    readable_again: int = 0  # objects that S3 refused to the run and gives now: of one document, the law sees no change


def recall_partition_run(
    listing: Listing | None, raw: pl.DataFrame, now: Listing, listed_at: datetime | None
) -> RunRecord:
    """What a run saw: from the listing that it saved, or where that is not this run's, from dates.

    `listed_at` is when the run that made `raw` listed its folder; None where nothing says it. By dates, an object that
    no row names is taken for listed if S3 dates it before that (both times are S3's, in whole seconds).
    """
    read = dict(raw.select("source_uri", "source_etag").unique().iter_rows())
    unreadable = frozenset(raw.filter(pl.col("reason") == Reason.UNREADABLE_OBJECT.value)["source_uri"])
    if listing is not None and listed_at in (None, listing.listed_at):
        return RunRecord(_etags_of(listing), read, raw, unreadable)
    listed = dict(read)
    for item in now.objects:
        if listed_at is not None and item.last_modified < listed_at.replace(microsecond=0):
            listed.setdefault(_make_uri(now, item), item.etag)
    return RunRecord(listed, read, raw, unreadable)


def plan_count_of_run(run: RunRecord, now: Listing) -> CountPlan:
    """How to count what `run` has to answer for, from a listing of now."""
    present = {_make_uri(now, item): item for item in now.objects}
    from_s3, as_read, lost = [], [], []
    for uri in sorted(run.listed.keys() | run.read.keys()):
        item = present.get(uri)
        if uri in run.unreadable:
            as_read.append(uri)
        elif item is not None and run.read.get(uri, item.etag) == item.etag:
            from_s3.append(item)
        elif uri in run.read:
            as_read.append(uri)
        else:
            lost.append(uri)
    landed_since = [item for uri, item in present.items() if uri not in run.known_objects]
    return CountPlan(from_s3, as_read, lost, landed_since)


def count_planned_documents(plan: CountPlan, run: RunRecord, zone: LandingZone, memory: CountMemory) -> Counted:
    """Count the documents of a partition as `plan` says; what `memory` has is not counted again, the rest it learns.

    Raises:
        AwsRefusal: when S3 cannot be asked; one object's own refusal is no error.
    """
    counts = [FileCount(documents=1) for _ in plan.lost]
    changed = [uri for uri in plan.as_read if uri not in run.unreadable]
    unreadable = [uri for uri in plan.as_read if uri in run.unreadable]
    withheld = {item.key: run.find_withheld(zone.uri(item.key)) for item in plan.from_s3}
    recalled = {item.key: memory.recall(item, withheld[item.key]) for item in plan.from_s3}
    counts += [count for count in recalled.values() if count is not None]
    uncounted = [item for item in plan.from_s3 if recalled[item.key] is None]
    for item, found in _read_kept_counts(uncounted, withheld, zone):
        if isinstance(found, FileCount):
            counts.append(found)
            memory.keep(item, found, withheld[item.key])
        elif found is NotCounted.CHANGED:
            changed.append(zone.uri(item.key))
        else:
            unreadable.append(zone.uri(item.key))
    for uri in changed + unreadable:
        counts.append(_count_table_rows(run.rows, uri) if uri in run.read else FileCount(documents=1))
    given = {zone.uri(item.key) for item in plan.from_s3} - {*changed, *unreadable}
    return Counted(add_up_counts(counts), changed, unreadable, len(run.unreadable & given))


def describe_law_balance(balance: Balance, plan: CountPlan, counted: Counted) -> str:
    """The law in one line, and what of it rests on the run's own reading."""
    parts = [str(balance)]
    if counted.changed:
        parts.append(
            f"{len(counted.changed)} objects were replaced or deleted after they were read and count as they were: "
            "the sensor asks for this partition again"
        )
    if plan.lost:
        parts.append(f"{len(plan.lost)} objects were listed, never read, and are gone")
    if counted.unreadable:
        parts.append(f"{len(counted.unreadable)} objects cannot be read now and count as they were read")
    return "; ".join(parts)


def add_up_counts(counts: Iterable[FileCount]) -> LandedCount:
    """Of equal identities, all but one are duplicates, in whatever files they are."""
    documents, with_identity = 0, 0
    identities = set()
    for count in counts:
        documents += count.documents
        with_identity += len(count.identities)
        identities.update(count.identities)
    return LandedCount(documents, with_identity - len(identities))


class NotCounted(Enum):
    """Why an object was not counted from its bytes."""

    CHANGED = "replaced or deleted since it was listed"
    UNREADABLE = "refused by S3"


def _read_kept_counts(
    objects: Sequence[StoredObject], withheld: Mapping[str, frozenset[int]], zone: LandingZone
) -> Iterator[tuple[StoredObject, FileCount | NotCounted]]:
    small = [item for item in objects if item.size <= LARGE_BYTES]
    read_count = partial(_read_object_count, withheld=withheld, zone=zone)
    with ThreadPoolExecutor(READERS, thread_name_prefix="count") as pool:
        yield from zip(small, pool.map(read_count, small), strict=True)
    for item in objects:
        if item.size > LARGE_BYTES:
            yield item, read_count(item)


def _read_object_count(
    item: StoredObject, withheld: Mapping[str, frozenset[int]], zone: LandingZone
) -> FileCount | NotCounted:
    if is_one_document(item.key, item.size):
        return FileCount(documents=1)
    try:
        found = zone.bucket.read(item.key)
    except ObjectUnreadable:
        return NotCounted.UNREADABLE
    if found is None or found[0].etag != item.etag:
        return NotCounted.CHANGED
    return count_object_documents(item.key, found[1], withheld[item.key])


def _count_table_rows(rows: pl.DataFrame, uri: str) -> FileCount:
    """The documents of an object as the run read them."""
    count = FileCount()
    for row in rows.filter(pl.col("source_uri") == uri).iter_rows(named=True):
        count.documents += 1
        identity = None if row["reason"] in PAYLOAD_IS_A_PART else _identify_landed_row(row)
        if identity is not None:
            count.identities.append(digest_document_identity(*identity))
    return count


def _identify_landed_row(row: Mapping[str, Any]) -> tuple[str, str] | None:
    """Of a row that says whose it is, what it says; older versions left that to the payload."""
    if row.get("reader") is not None:
        return None if row["document_id"] is None else (row["document_id"], row["content_hash"])
    return identity_of(row["payload"].encode()) if row["payload"] else None


def _etags_of(listing: Listing) -> dict[str, str]:
    return {_make_uri(listing, item): item.etag for item in listing.objects}


def _make_uri(listing: Listing, item: StoredObject) -> str:
    return f"s3://{listing.bucket}/{item.key}"
