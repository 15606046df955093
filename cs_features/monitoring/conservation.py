"""The law: for every partition, documents landed = validated + rejected + exact duplicates.

The documents are counted here from the landing objects themselves, by code that shares nothing with
the reader in `landing.py` but the notion of when two documents are the same. Pure functions.
"""

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

import polars as pl

from cs_features.landing.documents import identity_of
from cs_features.landing.files import MAX_FILE_BYTES, MAX_FILE_LINES, Unread
from cs_features.landing.zone import LandedFile, LandingZone
from cs_features.s3 import StoredObject

NOTHING: Mapping[str, Sequence[str]] = MappingProxyType({})


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


@dataclass(frozen=True)
class ChangedSince:
    """Keys that changed after a run read its partition: what landed, and what was replaced or deleted."""

    landed: frozenset[str]
    replaced: frozenset[str]


def changed_since(
    objects: Sequence[StoredObject], raw: pl.DataFrame, listed_at: datetime, zone: LandingZone
) -> ChangedSince:
    """Compare a listing of now with the sources that `raw_interactions` was made of, listed at `listed_at`.

    An object that raw does not hold is excused only if S3 dates it at or after the listing that the
    run worked from (both times are S3's, in whole seconds); an older one was lost, and counts.
    """
    read = dict(raw.select("source_uri", "source_etag").unique().iter_rows())
    now = {zone.uri(item.key): item for item in objects}
    landed = {
        item.key
        for uri, item in now.items()
        if uri not in read and item.last_modified >= listed_at.replace(microsecond=0)
    }
    replaced = {uri for uri, etag in read.items() if uri not in now or now[uri].etag != etag}
    return ChangedSince(frozenset(landed), frozenset(replaced))


def count_landed(files: Iterable[LandedFile], taken_over: Mapping[str, Sequence[str]] = NOTHING) -> tuple[int, int]:
    """(documents, exact duplicates among them) of the files of one partition.

    A file that cannot be read counts as one, and with it the payloads that the run took over in its place
    (`landing/earlier.py`), by its key.
    """
    documents, seen, duplicates = 0, set(), 0
    for landed, content in files:
        if isinstance(content, Unread):
            found, cut = [payload.encode() for payload in taken_over.get(landed.key, ())], 1
        else:
            found, cut = _documents(landed.key, content)
        documents += len(found) + cut
        for identity in filter(None, map(identity_of, found)):
            duplicates += identity in seen
            seen.add(identity)
    return documents, duplicates


def _documents(key: str, body: bytes) -> tuple[list[bytes], int]:
    """The documents of a file, and how many more it holds that cannot be read."""
    if key.endswith(".json"):
        return [body], 0
    if key.endswith(".jsonl"):
        return _split(body, 0)
    if not key.endswith(".jsonl.gz"):
        return [], 1
    inflated = bytearray()
    while body:
        stream = zlib.decompressobj(wbits=31)
        try:
            inflated += stream.decompress(body, MAX_FILE_BYTES + 1 - len(inflated))
        except zlib.error:
            return [], 1  # damaged: no part of it is trusted
        if len(inflated) > MAX_FILE_BYTES:
            return [], 1
        if not stream.eof:
            return _split(bytes(inflated[: inflated.rfind(b"\n") + 1]), 1)
        body = stream.unused_data.lstrip(b"\0")
    return _split(bytes(inflated), 0)


def _split(text: bytes, cut: int) -> tuple[list[bytes], int]:
    if text.count(b"\n") > MAX_FILE_LINES:
        return [], 1
    return [line for line in text.split(b"\n") if line.strip()], cut
