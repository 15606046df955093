"""The calls that carry out a publication, in an order that survives death; the same for every feature group.

What is about to change is marked in the manifest before the first call: a publisher killed between any two calls is
followed by one that finishes what it had begun. What is to change, and what an entry says, is the publication's.
"""

import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol, TypeVar

from cs_features.errors import PublishingFailed
from cs_features.publishing.feature_group import Record
from cs_features.publishing.manifest import AnyEntry, OpenManifest
from cs_features.publishing.records import (
    READ_AT_ONCE,
    WORKERS,
    WRITTEN_AT_ONCE,
    RecordStore,
    WriteResult,
    split_record_batches,
)

OwnEntry = TypeVar("OwnEntry", covariant=True)
Done = TypeVar("Done")


class Changes(Protocol[OwnEntry]):
    """A publication as the calls see it: ids of records to write and to withdraw, and what is known of each."""

    @property
    def store(self) -> RecordStore: ...

    @property
    def save_every(self) -> int:
        """Batches between two saves of the manifest."""

    @property
    def to_write(self) -> Collection[str]: ...

    @property
    def to_withdraw(self) -> Collection[str]: ...

    @property
    def replaces_records(self) -> bool:
        """Whether records leave the online store before others take their place."""

    def build_records(self, ids: Collection[str]) -> dict[str, Record]:
        """The records that are to be written, by id."""

    def mark_changes(self) -> Iterable[OwnEntry]:
        """Unfinished entries of all that is about to change."""

    def finish_entries(self, ids: Iterable[str]) -> Iterable[OwnEntry]:
        """Entries of records that were written."""

    def latest_event_times(self, ids: Iterable[str]) -> dict[str, str]:
        """The latest that this publication's manifest knows of each record; empty when it knows none."""

    def make_room(self, ids: list[str]) -> frozenset[str]:
        """What has to leave the online store before records are written, up to 100; returns ids that may not be."""

    def is_own(self, record: Record) -> bool:
        """Whether a record that is served may be withdrawn."""

    def advise(self, refused: Collection[str]) -> str:
        """What the error says of records that were not written."""


@dataclass(frozen=True)
class CarriedOut:
    """What a publication found on its way: withdrawn ids that somebody else serves by now, and ids that were not
    written because they are somebody else's."""

    handed_over: list[str]
    others: frozenset[str]


def carry_out(
    changes: Changes[AnyEntry], manifest: OpenManifest[AnyEntry], notify: Callable[[list[str]], object]
) -> CarriedOut:
    """Make the calls.

    `notify` is given the ids that were withdrawn, while the manifest still holds them.

    Raises:
        PublishingFailed: when records were refused, or left unprocessed or unread after all tries; the others were
            written, and the manifest knows which.
    """
    if not changes.to_write and not changes.to_withdraw:
        return CarriedOut([], frozenset())
    manifest.put_manifest_entries(changes.mark_changes())
    manifest.save()
    try:
        handed_over = _withdraw_records(changes)
        if changes.to_withdraw:
            notify(list(changes.to_withdraw))
            manifest.drop_manifest_entries(changes.to_withdraw)
        refused, others = _write_planned_records(changes, manifest)
    except BaseException:
        manifest.save()
        raise
    if refused:
        manifest.save()
        raise PublishingFailed(_describe_refused(changes, refused))
    return CarriedOut(handed_over, others)


def _describe_refused(changes: Changes[AnyEntry], refused: Mapping[str, str]) -> str:
    codes = ", ".join(sorted(set(refused.values())))
    numbers = f"{len(refused)} of {len(changes.to_write)} records were not written to {changes.store.group} ({codes})"
    return f"{numbers}{changes.advise(refused.keys())}"


def _withdraw_records(changes: Changes[AnyEntry]) -> list[str]:
    def withdraw(ids: list[str]) -> list[str]:
        return changes.store.withdraw_records(changes.latest_event_times(ids), changes.is_own)

    handed_over: list[str] = []
    with ThreadPoolExecutor(WORKERS, thread_name_prefix="feature-store") as pool:
        for ids in pool.map(withdraw, split_record_batches(changes.to_withdraw, WRITTEN_AT_ONCE)):
            handed_over += ids
    return handed_over


def _write_planned_records(
    changes: Changes[AnyEntry], manifest: OpenManifest[AnyEntry]
) -> tuple[dict[str, str], frozenset[str]]:
    """Returns the error codes of records that were not written, by id, and the ids of others' records.

    Room is made by taking the record of before out of the online store: where writing is refused, nothing is there.
    So one record goes first, and once a batch has failed no other is begun.
    """
    failed = threading.Event()

    def write(ids: list[str]) -> tuple[WriteResult, frozenset[str]]:
        if failed.is_set():
            return WriteResult([], {}), frozenset()
        written: list[str] = []
        refused: dict[str, str] = {}
        try:
            others = changes.make_room(ids)
            for batch in split_record_batches([key for key in ids if key not in others], WRITTEN_AT_ONCE):
                result = changes.store.write_records(changes.build_records(batch))
                written += result.written
                refused |= result.refused
        except BaseException:
            failed.set()
            raise
        return WriteResult(written, refused), others

    refused: dict[str, str] = {}
    of_others: frozenset[str] = frozenset()
    batches, unsaved = _split_with_one_first(changes), 0
    with ThreadPoolExecutor(WORKERS, thread_name_prefix="feature-store") as pool:
        for ids, (result, others) in zip(batches, _write_first_alone(pool, write, batches), strict=True):
            manifest.put_manifest_entries(changes.finish_entries(result.written))
            manifest.drop_manifest_entries(others)
            refused |= result.refused
            of_others |= others
            unsaved += len(ids)
            # What the last batch has done is saved by whoever asked for all of it.
            if unsaved >= changes.save_every * WRITTEN_AT_ONCE and ids is not batches[-1]:
                manifest.save()
                unsaved = 0
    return refused, of_others


def _split_with_one_first(changes: Changes[AnyEntry]) -> list[list[str]]:
    """The ids to write in batches. Where records of before are to be replaced the first one is of a single id, and none
    makes more room than it fills at once; where none are, there is hardly any to make, and a question is of many."""
    ids = list(changes.to_write)
    if not changes.replaces_records:
        return list(split_record_batches(ids, READ_AT_ONCE))
    return [ids[:1], *split_record_batches(ids[1:], WRITTEN_AT_ONCE)]


def _write_first_alone(
    pool: ThreadPoolExecutor, write: Callable[[list[str]], Done], batches: list[list[str]]
) -> Iterator[Done]:
    """The others begin when the first batch is done; what they did comes in their order."""
    for batch in batches[:1]:
        yield write(batch)
    yield from pool.map(write, batches[1:])
