"""The landing bucket as S3 shows it: which keys hold whose documents, what is listed, what can be read and what not.

What the bytes mean is decided in `files.py` and `documents.py`, and which days and countries are partitions by who
asks. Only what is listed counts: a key that is in no partition's folder is `Misfiled`, never invisible.
"""

from collections import deque
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import date
from enum import Enum
from typing import NamedTuple

from cs_features.errors import AwsRefusal, ObjectUnreadable
from cs_features.landing.files import Unread, refuse_unread_object
from cs_features.partitions import Partition
from cs_features.s3 import Bucket, Listing, StoredObject
from cs_features.schemas import Reason
from cs_features.short_names import shorten_object_key

PREFIX = "interactions"
READERS = 16
MIN_REFUSED = 5  # objects, and all of them, that make a refusal the account's; fewer are rejects of their own
# Of objects that are read ahead of what is being split: sixteen large ones together would be gigabytes.
MAX_BYTES_AHEAD = 32 * 1024 * 1024


class Misfiled(str, Enum):
    """Why a key belongs to no partition."""

    OUTSIDE = "not under interactions/"
    NO_COUNTRY = "not in a folder country=CC, with the country in capitals"
    NO_DATE = "not in a folder date=YYYY-MM-DD below its country's"
    HIDDEN = "in a folder or under a name that begins with _ or ., where no documents are looked for"


class LandedFile(NamedTuple):
    """An object as it was when it was read, with its bytes; or as it was listed, and why it was not read."""

    source: StoredObject
    content: bytes | Unread
    unread_lines: frozenset[int] = frozenset()  # where markers stand in `content`, and erased documents in the bucket


def classify_landing_key(key: str) -> Partition | Misfiled:
    """Whose documents an object holds by its key alone; the country and the day need not be a partition's yet."""
    if is_hidden(key):
        return Misfiled.HIDDEN
    prefix, _, below = key.partition("/")
    if prefix != PREFIX:
        return Misfiled.OUTSIDE
    country, _, below = below.partition("/")
    code = country.removeprefix("country=")
    if country == code or len(code) != 2 or not (code.isascii() and code.isalpha() and code.isupper()):
        return Misfiled.NO_COUNTRY
    day, slash, _ = below.partition("/")
    try:
        partition = Partition.from_folder(f"{country}/{day}")
    except ValueError:
        return Misfiled.NO_DATE
    # Python reads more spellings of a date than a folder may have.
    return partition if slash and partition.folder == f"{country}/{day}" else Misfiled.NO_DATE


def is_hidden(key: str) -> bool:
    """Whether any element of the key begins with _ or .: markers, and what a writer has not committed."""
    return any(element.startswith(("_", ".")) for element in key.split("/"))


def is_document_file(item: StoredObject) -> bool:
    """Hidden and temporary files, zero bytes and folders' own objects hold no documents."""
    return item.size > 0 and item.name != "" and not is_hidden(item.key)


class LandingZone:
    """The landing bucket."""

    def __init__(self, bucket: Bucket) -> None:
        self.bucket = bucket

    def uri(self, key: str) -> str:
        return self.bucket.uri(key)

    def list_documents(self, partition: Partition) -> Listing:
        """What a run of `partition` reads: the objects of its folder that hold documents."""
        listing = self.list_landing_folder(partition.folder)
        return replace(listing, objects=[item for item in listing.objects if is_document_file(item)])

    def list_landing_folder(self, folder: str, start_after_date: date | None = None) -> Listing:
        """Objects below `interactions/{folder}`, and when S3 says it listed them (its clock, not ours).

        With `start_after_date`, `folder` is a country's, and older days are not even listed: keys come
        in lexicographic order, which is the order of ISO dates.
        """
        prefix = f"{PREFIX}/{folder}/"
        start_after = f"{prefix}date={start_after_date.isoformat()}" if start_after_date else ""
        return self.bucket.list_bucket_objects(prefix, start_after)

    def list_country_folders(self) -> list[str]:
        """The country codes that have a folder, known to the project or not."""
        folders = self.bucket.list_bucket_folders(f"{PREFIX}/")
        return sorted(folder.rstrip("/").rsplit("/", 1)[-1].removeprefix("country=") for folder in folders)

    def list_other_prefixes(self) -> list[str]:
        """The folders beside `interactions/`: a feed that writes to one of them is misfiled as a whole."""
        return [folder for folder in self.bucket.list_bucket_folders("") if folder != f"{PREFIX}/"]

    def iterate_all_objects(self) -> Iterator[StoredObject]:
        """All that lies under `interactions/`, whatever its folder, in the order of keys."""
        return self.bucket.iterate_bucket_objects(f"{PREFIX}/")

    def read_landed_files(self, objects: Iterable[StoredObject]) -> Iterator[LandedFile]:
        """Each object as it is now, or why it was not read, in the order given; deleted ones are left out.

        Raises:
            AwsRefusal: when whoever asks is refused, or S3 does not answer; one object's own refusal is its content.
                Several, and all that were asked for, are not their own.
        """
        tally = _Tally()
        for file in self._read_files_ahead(objects):
            tally.count_file(file)
            yield file
        tally.check()

    def _read_files_ahead(self, objects: Iterable[StoredObject]) -> Iterator[LandedFile]:
        ahead: deque[_ReadAhead] = deque()
        with ThreadPoolExecutor(READERS, thread_name_prefix="landing") as pool:
            for item in objects:
                size = 0 if refuse_unread_object(item.key, item.size) else item.size
                while ahead and not _has_prefetch_room(ahead, size):
                    yield from ahead.popleft().files()
                ahead.append(_ReadAhead(size, pool.submit(self._read_landed_file, item)))
            while ahead:
                yield from ahead.popleft().files()

    def _read_landed_file(self, item: StoredObject) -> LandedFile | None:
        """None for an object that was deleted since it was listed."""
        refusal = refuse_unread_object(item.key, item.size)
        if refusal is not None:
            return LandedFile(item, refusal)
        try:
            found = self.bucket.read(item.key)
        except ObjectUnreadable as error:
            return LandedFile(item, Unread(Reason.UNREADABLE_OBJECT, error.why))
        return None if found is None else LandedFile(*found)


@dataclass
class _Tally:
    """Of the objects that were asked for, how many S3 gave, and how many it refused."""

    given: int = 0
    refused: int = 0
    first: str = ""

    def count_file(self, file: LandedFile) -> None:
        if not isinstance(file.content, Unread):
            self.given += 1
        elif file.content.reason is Reason.UNREADABLE_OBJECT:
            self.refused += 1
            self.first = self.first or f"{shorten_object_key(file.source.key)}: {file.content.detail}"

    def check(self) -> None:
        """Raises AwsRefusal when nothing was given: a permission or a key is gone, and no file is to blame."""
        if self.refused >= MIN_REFUSED and not self.given:
            raise AwsRefusal(
                f"S3 refuses each of the {self.refused} landing objects that were asked for, the first {self.first}. "
                "Nothing was rejected for it; the partition is run again when they can be read"
            )


class _ReadAhead(NamedTuple):
    """A file on its way, and the bytes it may take."""

    size: int
    reading: "Future[LandedFile | None]"

    def files(self) -> Iterator[LandedFile]:
        """The file, unless it was deleted meanwhile."""
        file = self.reading.result()
        if file is not None:
            yield file


def _has_prefetch_room(ahead: Collection[_ReadAhead], size: int) -> bool:
    return len(ahead) < READERS and size + sum(each.size for each in ahead) <= MAX_BYTES_AHEAD
