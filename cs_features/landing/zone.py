"""The landing bucket as S3 shows it: folders, objects, bytes, and when S3 says so.

What the bytes mean is decided in `landing.py`, and which folder is a partition by who asks. No Dagster.
"""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from botocore.exceptions import ClientError

from cs_features.aws import explained, is_missing

PREFIX = "interactions"
READERS = 16


@dataclass(frozen=True, slots=True)
class LandedObject:
    """One object as a listing shows it."""

    key: str
    etag: str
    size: int
    last_modified: datetime

    @property
    def name(self) -> str:
        return self.key.rsplit("/", 1)[-1]

    @property
    def is_document_file(self) -> bool:
        """Zero-byte objects and names that begin with _ or . (markers, folders) hold no documents."""
        return self.size > 0 and self.name != "" and self.name[0] not in "_."


class LandingZone:
    """The landing bucket."""

    def __init__(self, s3: Any, bucket: str) -> None:
        self.s3 = s3
        self.bucket = bucket

    def uri(self, key: str) -> str:
        return f"s3://{self.bucket}/{key}"

    def list_folder(self, folder: str, start_after_date: date | None = None) -> tuple[list[LandedObject], datetime]:
        """Objects below `interactions/{folder}`, and when S3 says it listed them (its clock, not ours).

        With `start_after_date`, `folder` is a country's, and older days are not even listed: keys come
        in lexicographic order, which is the order of ISO dates.
        """
        prefix = f"{PREFIX}/{folder}/"
        start_after = f"{prefix}date={start_after_date.isoformat()}" if start_after_date else ""
        objects: list[LandedObject] = []
        listed_at: datetime | None = None
        with explained(f"Landing bucket {self.bucket}", "CS_FEATURES_LANDING_BUCKET"):
            pages = self.s3.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=prefix, StartAfter=start_after
            )
            for page in pages:
                listed_at = listed_at or _server_time(page)
                objects += [
                    LandedObject(item["Key"], item["ETag"].strip('"'), item["Size"], item["LastModified"])
                    for item in page.get("Contents", [])
                ]
        assert listed_at is not None, "S3 answers a listing with at least one page"
        return objects, listed_at

    def country_folders(self) -> list[str]:
        """The country codes that have a folder, known to the project or not."""
        with explained(f"Landing bucket {self.bucket}", "CS_FEATURES_LANDING_BUCKET"):
            pages = self.s3.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=f"{PREFIX}/", Delimiter="/"
            )
            folders = [entry["Prefix"] for page in pages for entry in page.get("CommonPrefixes", [])]
        return sorted(folder.rstrip("/").rsplit("/", 1)[-1].removeprefix("country=") for folder in folders)

    def read(self, landed: LandedObject) -> tuple[LandedObject, bytes] | None:
        """The object as it is now, or None when it was deleted since it was listed."""
        try:
            response = self.s3.get_object(Bucket=self.bucket, Key=landed.key)
            body = response["Body"].read()
        except ClientError as error:
            if is_missing(error):
                return None
            raise
        now = LandedObject(landed.key, response["ETag"].strip('"'), len(body), response["LastModified"])
        return now, body

    def read_all(self, objects: Iterable[LandedObject]) -> Iterator[tuple[LandedObject, bytes]]:
        with explained(f"Landing bucket {self.bucket}", "CS_FEATURES_LANDING_BUCKET"):
            with ThreadPoolExecutor(READERS, thread_name_prefix="landing") as pool:
                yield from (read for read in pool.map(self.read, objects) if read is not None)


def _server_time(page: dict[str, Any]) -> datetime:
    return parsedate_to_datetime(page["ResponseMetadata"]["HTTPHeaders"]["date"])
