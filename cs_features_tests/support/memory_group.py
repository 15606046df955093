"""As much of a feature group's runtime as the publisher uses, in memory: so that histories may choose what happens
between any two calls. Real boto3 speaks to `cs_features/local/feature_store.py` instead."""

from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from cs_features.publishing.feature_group import EVENT_TIME, IDENTIFIER, Record, get_record_feature


class MemoryGroup:
    """A feature group's runtime: online the record with the latest event time, offline every write in order."""

    def __init__(self, called: Callable[[], None] = lambda: None, identifier: str = IDENTIFIER) -> None:
        self.called = called
        self.identifier = identifier
        self.online: dict[str, Record] = {}
        self.offline: dict[str, Record | None] = {}

    def batch_get_record(self, **request: Any) -> dict[str, Any]:
        self.called()
        keys = request["Identifiers"][0]["RecordIdentifiersValueAsString"]
        found = [(key, self.online[key]) for key in keys if key in self.online]
        records = [{"RecordIdentifierValueAsString": key, "Record": record} for key, record in found]
        return {"Records": records, "Errors": [], "UnprocessedIdentifiers": []}

    def batch_write_record(self, **request: Any) -> dict[str, Any]:
        self.called()
        for record in (entry["Record"] for entry in request["Entries"]):
            key = get_record_feature(record, self.identifier)
            self.offline[key] = record
            if key not in self.online or get_record_feature(record, EVENT_TIME) > get_record_feature(
                self.online[key], EVENT_TIME
            ):
                self.online[key] = record
        return {"Errors": [], "UnprocessedEntries": []}

    def delete_record(self, **request: Any) -> None:
        self.called()
        key = request["RecordIdentifierValueAsString"]
        if request["TargetStores"] == ["OfflineStore"]:
            self.offline[key] = None
            return
        if key in self.online and request["EventTime"] <= get_record_feature(self.online[key], EVENT_TIME):
            raise ClientError({"Error": {"Code": "ValidationError"}}, "DeleteRecord")
        self.online.pop(key, None)

    @property
    def trained_on(self) -> dict[str, Record]:
        return {key: record for key, record in self.offline.items() if record is not None}
