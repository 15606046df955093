"""The places where a person may be: both buckets and the offline store, object by object.

Each is read, its content without him decided elsewhere (`contents.py`, `landing/erased.py`), and put back only if it
is still what was read. Nothing is written in a dry run.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import NamedTuple

from cs_features.erasure.subjects import Subject
from cs_features.errors import ObjectUnreadable
from cs_features.planning.erasing.contents import Stripped
from cs_features.s3 import Bucket, StoredObject

READERS = 8

Strip = Callable[[str, bytes], Stripped | None]


class Found(NamedTuple):
    """One object with his data: where, as which version, how much, and its new version where it was put."""

    place: str
    key: str
    before: str
    removed: int
    stored: StoredObject | None = None


@dataclass
class Tally:
    """What a pass over the places has found: rows and objects by place, and what could not be dealt with."""

    rows: Counter[str] = field(default_factory=Counter)
    objects: Counter[str] = field(default_factory=Counter)
    unread: list[str] = field(default_factory=list)  # uris that cannot be read, or taken apart
    named: int = 0  # objects whose very key names him

    def count(self, place: str, removed: int, objects: int = 1) -> None:
        self.rows[place] += removed
        self.objects[place] += objects

    @property
    def found(self) -> int:
        return sum(self.rows.values())


@dataclass(frozen=True)
class Walk:
    """One pass over one bucket."""

    bucket: Bucket
    tally: Tally
    dry_run: bool

    def read_objects(self, objects: Iterable[StoredObject]) -> Iterator[tuple[StoredObject, bytes]]:
        """The objects that can be read; those that are gone by now are left out."""
        with ThreadPoolExecutor(READERS, thread_name_prefix="erasing") as pool:
            for found in pool.map(self._read_object, objects):
                if found is not None:
                    yield found

    def _read_object(self, item: StoredObject) -> tuple[StoredObject, bytes] | None:
        try:
            return self.bucket.read(item.key)
        except ObjectUnreadable:
            self.tally.unread.append(self.bucket.uri(item.key))
            return None

    def strip_data_objects(
        self, objects: Sequence[StoredObject], place: Callable[[str], str], strip: Strip
    ) -> list[Found]:
        """Take him out of every object that holds him."""
        found = []
        for stored, body in self.read_objects(objects):
            try:
                left = strip(stored.key, body)
            except ValueError:
                self.tally.unread.append(self.bucket.uri(stored.key))
                continue
            if left is not None:
                put = self.put_back(stored, left.body)
                self.tally.count(place(stored.key), left.removed)
                found.append(Found(place(stored.key), stored.key, stored.etag, left.removed, put))
        return found

    def put_back(self, stored: StoredObject, body: bytes | None) -> StoredObject | None:
        """The new version; None for one that was deleted, that changed meanwhile, or that is left in a dry run."""
        if self.dry_run:
            return None
        if body is None:
            self.bucket.delete([stored.key])
            return None
        return self.bucket.replace(stored, body)


def name_folder(key: str) -> str:
    """The place of an object in the data bucket: its table, or whatever its first folder is."""
    return key.split("/", 1)[0]


def count_named_keys(objects: Iterable[StoredObject], subject: Subject) -> int:
    return sum(subject.is_named_in(item.key.encode()) for item in objects)
