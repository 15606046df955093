"""An online store inside the measured process: it answers a request when botocore is about to send it.

Signing, serializing and parsing are done as ever; what a request says is read only when somebody asks for it.
"""

import io
import json
import re
import tempfile
import threading
import zlib
from typing import Any
from urllib.parse import parse_qs, urlsplit

from botocore.awsrequest import AWSResponse

Record = list[dict[str, str]]
IDENTIFIERS = re.compile(rb'"customer_id", "ValueAsString": "([^"]+)"')
SERVICE = "sagemaker-featurestore-runtime"


class OnlineStore:
    """The latest record of each identifier, in the request that brought it; `calls` counts requests.

    Requests lie in a file, because those of a year would be 200 MiB of the process that is measured.
    """

    def __init__(self) -> None:
        self.calls = 0
        self._requests = tempfile.TemporaryFile()  # noqa: SIM115
        self._extents: list[tuple[int, int]] = []
        self._places: dict[str, int] = {}
        self._lock = threading.Lock()  # eight threads write

    def attach(self, runtime: Any) -> Any:
        """The client, which from now on asks this store."""
        for operation, answer in (
            ("BatchWriteRecord", self._write),
            ("BatchGetRecord", self._get),
            ("DeleteRecord", self._delete),
        ):
            runtime.meta.events.register(f"before-send.{SERVICE}.{operation}", answer)
        return runtime

    def _write(self, request: Any, **_: Any) -> AWSResponse:
        packed, keys = zlib.compress(request.body, 1), map(bytes.decode, IDENTIFIERS.findall(request.body))
        with self._lock:
            self._extents.append((self._requests.seek(0, io.SEEK_END), self._requests.write(packed)))
            self._places |= dict.fromkeys(keys, len(self._extents) - 1)
        return self._answer(request, {"Errors": [], "UnprocessedEntries": []})

    def _get(self, request: Any, **_: Any) -> AWSResponse:
        (wanted,) = json.loads(request.body)["Identifiers"]
        group, keys = wanted["FeatureGroupName"], wanted["RecordIdentifiersValueAsString"]
        records = [
            {"FeatureGroupName": group, "RecordIdentifierValueAsString": key, "Record": self._find_record(key)}
            for key in keys
            if key in self._places
        ]
        return self._answer(request, {"Records": records, "Errors": [], "UnprocessedIdentifiers": []})

    def _find_record(self, key: str) -> Record:
        start, size = self._extents[self._places[key]]
        with self._lock:
            self._requests.seek(start)
            packed = self._requests.read(size)
        entries = json.loads(zlib.decompress(packed))["Entries"]
        return next(each["Record"] for each in entries if _name_customer(each["Record"]) == key)

    def _delete(self, request: Any, **_: Any) -> AWSResponse:
        asked = parse_qs(urlsplit(request.url).query)
        if "OnlineStore" in asked["TargetStores"]:
            self._places.pop(asked["RecordIdentifierValueAsString"][0], None)
        return self._answer(request, {})

    def _answer(self, request: Any, body: dict[str, Any]) -> AWSResponse:
        self.calls += 1
        return AWSResponse(request.url, 200, {"content-type": "application/json"}, _Raw(json.dumps(body).encode()))


def _name_customer(record: Record) -> str:
    return next(pair["ValueAsString"] for pair in record if pair["FeatureName"] == "customer_id")


class _Raw(io.BytesIO):
    """A body as botocore reads it."""

    def stream(self, *_: Any, **__: Any) -> Any:
        yield self.getvalue()
