"""The one door to S3: list, get or none, put, delete many. Every refusal is told in a sentence that says what to set.

What lies where is decided by who asks: `landing/zone.py`, `storage.py`, `extraction/ledger.py`. Nothing here knows
a prefix or a format.
"""

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from itertools import islice
from typing import Any

from botocore.exceptions import ClientError, FlexibleChecksumError, HTTPClientError, IncompleteReadError
from urllib3.exceptions import HTTPError

from cs_features.aws import explained
from cs_features.errors import AccessRefused, AwsRefusal, ObjectRefused, ObjectUnreadable
from cs_features.short_names import shorten_object_key

DELETED_AT_ONCE = 1_000  # DeleteObjects' limit
PAUSES = (0.2, 1.0, 3.0)  # seconds before a broken body is asked for again
FIRST_LANDED = "first-landed"  # metadata of an object that was put in the place of another: when that one was put

# What reading a body may raise: botocore wraps some of urllib3's errors, and leaves some as they are.
_BROKEN_BODY = (HTTPClientError, IncompleteReadError, FlexibleChecksumError, HTTPError, OSError)
_ABOUT_THE_OBJECT = frozenset({"AccessDenied", "AllAccessDisabled", "InvalidObjectState", "InvalidRequest"})
_CHANGED = frozenset({"PreconditionFailed", "ConditionalRequestConflict"})
# Some of them are 403s as well.
_ABOUT_THE_CALLER = frozenset(
    """
    AccountProblem AuthorizationHeaderMalformed ExpiredToken InvalidAccessKeyId InvalidPayer InvalidSecurity
    InvalidToken KMS.ThrottlingException NotSignedUp RequestExpired RequestTimeTooSkewed SignatureDoesNotMatch
    """.split()  # noqa: SIM905
)


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One object as a listing shows it. `last_modified` is S3's clock, in whole seconds."""

    key: str
    etag: str
    size: int
    last_modified: datetime

    @property
    def name(self) -> str:
        return self.key.rsplit("/", 1)[-1]


@dataclass(frozen=True, slots=True)
class Listing:
    """What was under a prefix of `bucket`, in the order of keys, and when S3 says it began to list it."""

    bucket: str
    objects: list[StoredObject]
    listed_at: datetime


class Bucket:
    """One bucket; `setting` is the variable that names it, for what a refusal tells.

    `encryption` names the KMS key of what is put under each of its prefixes; everything else has the bucket's own.
    """

    def __init__(self, client: Any, name: str, setting: str, encryption: Mapping[str, str] | None = None) -> None:
        self.client = client
        self.name = name
        self._setting = setting
        self._encryption = encryption or {}

    def uri(self, key: str) -> str:
        return f"s3://{self.name}/{key}"

    def _shorten_object_uri(self, key: str) -> str:
        """For messages: a file may be named after a customer."""
        return self.uri(shorten_object_key(key))

    def list_bucket_objects(self, prefix: str, start_after: str = "") -> Listing:
        """Objects whose key begins with `prefix` and, in S3's order, comes after `start_after`.

        Raises:
            AwsRefusal: when any page of it is refused: half a listing is none.
        """
        objects: list[StoredObject] = []
        listed_at: datetime | None = None
        with self._explained():
            for page in self._pages(Prefix=prefix, StartAfter=start_after):
                listed_at = listed_at or _server_time(page)
                objects += _objects_of(page)
        assert listed_at is not None, "S3 answers a listing with at least one page"
        return Listing(self.name, objects, listed_at)

    def iterate_bucket_objects(self, prefix: str) -> Iterator[StoredObject]:
        """The objects of `list_bucket_objects` a page at a time, for a prefix that may hold millions."""
        with self._explained():
            for page in self._pages(Prefix=prefix):
                yield from _objects_of(page)

    def list_bucket_folders(self, prefix: str) -> list[str]:
        """The folders directly below `prefix`, as full prefixes that end with a slash."""
        with self._explained():
            pages = list(self._pages(Prefix=prefix, Delimiter="/"))
        return [entry["Prefix"] for page in pages for entry in page.get("CommonPrefixes", [])]

    def get(self, key: str) -> bytes | None:
        """The object's bytes, or None when there is none."""
        found = self.read(key)
        return None if found is None else found[1]

    def read(self, key: str) -> tuple[StoredObject, bytes] | None:
        """The object as it is now, with its bytes; None when there is none.

        Raises:
            ObjectRefused: AWS refuses this object.
            ObjectUnreadable: its body broke off as often as it was asked for.
            AwsRefusal: AWS refuses whoever asks, or does not answer.
        """
        for pause in PAUSES:
            try:
                return self._read_once(key)
            except _BROKEN_BODY:  # botocore has retried what came before the body, and does not retry this
                time.sleep(pause)
        try:
            return self._read_once(key)
        except _BROKEN_BODY as error:
            why = f"its body broke off {len(PAUSES) + 1} times ({type(error).__name__}): upload it again"
            raise ObjectUnreadable(self._shorten_object_uri(key), why) from error

    def _read_once(self, key: str) -> tuple[StoredObject, bytes] | None:
        with self._explained():
            try:
                response = self.client.get_object(Bucket=self.name, Key=key)
            except ClientError as error:
                if is_missing_object(error):
                    return None
                if concerns_one_object(error):
                    raise ObjectRefused(self._shorten_object_uri(key), explain_refused_object(error)) from error
                raise
        body = response["Body"].read()
        return StoredObject(key, response["ETag"].strip('"'), len(body), _read_server_date(response)), body

    def keeps_object_versions(self) -> bool:
        """Whether what is replaced or deleted here goes on to exist as an older version."""
        with self._explained():
            told = self.client.get_bucket_versioning(Bucket=self.name)
        return told.get("Status") in ("Enabled", "Suspended")

    def put(self, key: str, body: bytes) -> None:
        with self._explained():
            self.client.put_object(Bucket=self.name, Key=key, Body=body, **self._choose_encryption(key))

    def replace(self, stored: StoredObject, body: bytes) -> StoredObject | None:
        """Put `body` in the place of an object as it was read; None when that is no longer what is there.

        Who reads it later is told the date of the first one: what is in it is no newer than before.
        """
        added = {"Metadata": {FIRST_LANDED: stored.last_modified.isoformat()}, **self._choose_encryption(stored.key)}
        with self._explained():
            try:
                answer = self.client.put_object(
                    Bucket=self.name, Key=stored.key, Body=body, IfMatch=stored.etag, **added
                )
            except ClientError as error:
                if is_missing_object(error) or _code_of(error) in _CHANGED:
                    return None
                raise
        return StoredObject(stored.key, answer["ETag"].strip('"'), len(body), stored.last_modified)

    def delete(self, keys: Iterable[str]) -> None:
        """Delete objects; one that is not there counts as deleted.

        Raises:
            AwsRefusal: when any key is refused, with the first one's code. S3 answers 200 to that.
                AccessRefused where that code names a permission.
        """
        remaining = iter(keys)
        while batch := [{"Key": key} for key in islice(remaining, DELETED_AT_ONCE)]:
            with self._explained():
                answer = self.client.delete_objects(Bucket=self.name, Delete={"Objects": batch, "Quiet": True})
            if refused := answer.get("Errors", []):
                code = str(refused[0].get("Code"))
                raise (AccessRefused if code in _ABOUT_THE_OBJECT else AwsRefusal)(
                    f"Bucket {self.name}: {len(refused)} of {len(batch)} objects were not deleted "
                    f"({code}): allow s3:DeleteObject on it, or set {self._setting}"
                )

    def read_lifecycle_rules(self) -> list[dict[str, Any]]:
        """The rules by which S3 deletes objects by itself; none where there are none."""
        with self._explained():
            try:
                rules = self.client.get_bucket_lifecycle_configuration(Bucket=self.name)["Rules"]
            except ClientError as error:
                if _code_of(error) != "NoSuchLifecycleConfiguration":
                    raise
                rules = []
        return list(rules)

    def _pages(self, **request: Any) -> Iterator[dict[str, Any]]:
        pages: Iterator[dict[str, Any]] = self.client.get_paginator("list_objects_v2").paginate(
            Bucket=self.name, **request
        )
        return pages

    def _choose_encryption(self, key: str) -> dict[str, Any]:
        for prefix, kms_key in self._encryption.items():
            if key.startswith(prefix):
                # With a key of the bucket for a while, S3 asks KMS once and not for each object.
                return {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": kms_key, "BucketKeyEnabled": True}
        return {}

    def _explained(self) -> AbstractContextManager[None]:
        return explained(f"Bucket {self.name}", self._setting)


def _objects_of(page: dict[str, Any]) -> list[StoredObject]:
    return [
        StoredObject(item["Key"], item["ETag"].strip('"'), item["Size"], item["LastModified"])
        for item in page.get("Contents", [])
    ]


def is_missing_object(error: ClientError) -> bool:
    """Whether an object is not there (a missing bucket is another matter)."""
    return _code_of(error) in ("NoSuchKey", "404")


def concerns_one_object(error: ClientError) -> bool:
    """Whether a refused GET is about the object alone, and not about the account, the bucket or the moment."""
    code = _code_of(error)
    if code in _ABOUT_THE_CALLER:
        return False
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return status == 403 or code in _ABOUT_THE_OBJECT or code.startswith("KMS.")


def explain_refused_object(error: ClientError) -> str:
    """Why AWS does not give an object, and what to do."""
    code = _code_of(error)
    if code == "InvalidObjectState":
        return f"{code}: it is archived: restore it, or keep what lands out of archive storage classes"
    return (
        f"{code}: allow s3:GetObject on it, and kms:Decrypt with its key. Without s3:ListBucket on the bucket, S3 says "
        "so of an object that is not there, too"
    )


def _code_of(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _read_server_date(response: dict[str, Any]) -> datetime:
    """When an object was put; of one that `Bucket.replace` has put, when the one before it was."""
    dated: datetime = response["LastModified"]
    try:
        return min(dated, datetime.fromisoformat(response.get("Metadata", {})[FIRST_LANDED]))
    except (KeyError, TypeError, ValueError):  # anybody may write metadata
        return dated


def _server_time(page: dict[str, Any]) -> datetime:
    return parsedate_to_datetime(page["ResponseMetadata"]["HTTPHeaders"]["date"])
