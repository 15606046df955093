"""The landing bucket as S3 shows it: folders, objects, bytes, and when S3 says so.

What the bytes mean is decided in `documents.py`, and which folder is a partition by who asks.
"""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date

from cs_features.partitions import Partition
from cs_features.s3 import Bucket, Listing, StoredObject

PREFIX = "interactions"
READERS = 16


def is_document_file(item: StoredObject) -> bool:
    """Zero-byte objects and names that begin with _ or . (markers, folders) hold no documents."""
    return item.size > 0 and item.name != "" and item.name[0] not in "_."


class LandingZone:
    """The landing bucket."""

    def __init__(self, bucket: Bucket) -> None:
        self.bucket = bucket

    def uri(self, key: str) -> str:
        return self.bucket.uri(key)

    def list_documents(self, partition: Partition) -> Listing:
        """What a run of `partition` reads: the objects of its folder that hold documents."""
        listing = self.list_folder(partition.folder)
        return replace(listing, objects=[item for item in listing.objects if is_document_file(item)])

    def list_folder(self, folder: str, start_after_date: date | None = None) -> Listing:
        """Objects below `interactions/{folder}`, and when S3 says it listed them (its clock, not ours).

        With `start_after_date`, `folder` is a country's, and older days are not even listed: keys come
        in lexicographic order, which is the order of ISO dates.
        """
        prefix = f"{PREFIX}/{folder}/"
        start_after = f"{prefix}date={start_after_date.isoformat()}" if start_after_date else ""
        return self.bucket.list_objects(prefix, start_after)

    def list_country_folders(self) -> list[str]:
        """The country codes that have a folder, known to the project or not."""
        folders = self.bucket.list_folders(f"{PREFIX}/")
        return sorted(folder.rstrip("/").rsplit("/", 1)[-1].removeprefix("country=") for folder in folders)

    def read_all(self, objects: Iterable[StoredObject]) -> Iterator[tuple[StoredObject, bytes]]:
        """Each object as it is now; one that was deleted since it was listed is left out."""
        with ThreadPoolExecutor(READERS, thread_name_prefix="landing") as pool:
            keys = [item.key for item in objects]
            yield from (read for read in pool.map(self.bucket.read, keys) if read is not None)
