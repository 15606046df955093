"""An online store inside the measured process: it answers a request when botocore is about to send it.

Signing, serializing and parsing are done as ever; what a request says is read only when somebody asks for it.
"""

import io
import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

from botocore.awsrequest import AWSResponse

Record = list[dict[str, str]]
SERVICE = "sagemaker-featurestore-runtime"


class OnlineStore:
    """The latest record of each identifier; `calls` counts requests."""

    def __init__(self) -> None:
        self.calls = 0
        self._unread: list[bytes] = []
        self._records: dict[str, Record] = {}

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
        self._unread.append(request.body)
        return self._answer(request, {"Errors": [], "UnprocessedEntries": []})

    def _get(self, request: Any, **_: Any) -> AWSResponse:
        self._read_all()
        (wanted,) = json.loads(request.body)["Identifiers"]
        keys = [key for key in wanted["RecordIdentifiersValueAsString"] if key in self._records]
        group = wanted["FeatureGroupName"]
        records = [
            {"FeatureGroupName": group, "RecordIdentifierValueAsString": key, "Record": self._records[key]}
            for key in keys
        ]
        return self._answer(request, {"Records": records, "Errors": [], "UnprocessedIdentifiers": []})

    def _delete(self, request: Any, **_: Any) -> AWSResponse:
        self._read_all()
        asked = parse_qs(urlsplit(request.url).query)
        if "OnlineStore" in asked["TargetStores"]:
            self._records.pop(asked["RecordIdentifierValueAsString"][0], None)
        return self._answer(request, {})

    def _read_all(self) -> None:
        for body in self._unread:
            for entry in json.loads(body)["Entries"]:
                self._records[entry["Record"][0]["ValueAsString"]] = entry["Record"]
        self._unread.clear()

    def _answer(self, request: Any, body: dict[str, Any]) -> AWSResponse:
        self.calls += 1
        return AWSResponse(request.url, 200, {"content-type": "application/json"}, _Raw(json.dumps(body).encode()))


class _Raw(io.BytesIO):
    """A body as botocore reads it."""

    def stream(self, *_: Any, **__: Any) -> Any:
        yield self.getvalue()
