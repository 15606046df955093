"""As much of S3 as the product uses, in memory: so that hypothesis can choose what happens between any two calls.

It answers as S3 does where the product looks: ETags, sizes, its own clock (a second a PUT), pages, NoSuchKey.
"""

import hashlib
import io
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any

from botocore.exceptions import ClientError

EIGHT = datetime(2026, 11, 24, 8, tzinfo=timezone.utc)
PAGE = 2


class MemoryS3:
    """The client of one bucket; `before_call` is called before each request."""

    def __init__(self, before_call: Callable[[], None] = lambda: None) -> None:
        self.objects: dict[str, tuple[bytes, datetime]] = {}
        self.metadata: dict[str, dict[str, str]] = {}
        self.before_call = before_call
        self.puts = 0

    @property
    def now(self) -> datetime:
        return EIGHT + timedelta(seconds=self.puts)

    def put_object(self, **request: Any) -> dict[str, Any]:
        self.before_call()
        key, body = request["Key"], request["Body"]
        if "IfMatch" in request and (key not in self.objects or request["IfMatch"] not in _etag(self.objects[key][0])):
            raise ClientError({"Error": {"Code": "PreconditionFailed", "Message": ""}}, "PutObject")
        self.puts += 1
        self.objects[key] = body, self.now
        self.metadata[key] = request.get("Metadata", {})
        return {"ETag": _etag(body)}

    def get_object(self, **request: Any) -> dict[str, Any]:
        self.before_call()
        if request["Key"] not in self.objects:
            raise ClientError({"Error": {"Code": "NoSuchKey", "Message": ""}}, "GetObject")
        body, moment = self.objects[request["Key"]]
        metadata = self.metadata.get(request["Key"], {})
        return {"Body": io.BytesIO(body), "ETag": _etag(body), "LastModified": moment, "Metadata": metadata}

    def get_bucket_versioning(self, **_: Any) -> dict[str, Any]:
        return {}

    def delete_objects(self, **request: Any) -> dict[str, Any]:
        self.before_call()
        for item in request["Delete"]["Objects"]:
            self.objects.pop(item["Key"], None)
        return {}

    def get_paginator(self, _: str) -> "MemoryS3":
        return self

    def paginate(self, **request: Any) -> Iterator[dict[str, Any]]:
        last = request.get("StartAfter", "")
        while True:
            self.before_call()
            found = sorted(key for key in self.objects if key.startswith(request["Prefix"]) and key > last)
            yield {
                "Contents": [self._listed(key) for key in found[:PAGE]],
                "ResponseMetadata": {"HTTPHeaders": {"date": format_datetime(self.now, usegmt=True)}},
            }
            if len(found) <= PAGE:
                return
            last = found[PAGE - 1]

    def _listed(self, key: str) -> dict[str, Any]:
        body, moment = self.objects[key]
        return {"Key": key, "ETag": _etag(body), "Size": len(body), "LastModified": moment}


def _etag(body: bytes) -> str:
    return f'"{hashlib.md5(body).hexdigest()}"'
