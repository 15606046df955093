"""A feature group as the local Feature Store needs it, and what makes a record acceptable to it.

Here: definitions read from DescribeFeatureGroup, and validation, as strict as AWS documents it.
Not here: what an accepted record does to the stores (`feature_store.py`). No error message quotes a
value: values come from customers.
"""

import math
import re
import time
from dataclasses import dataclass
from datetime import datetime, timezone
from decimal import Decimal, InvalidOperation
from typing import Any

ONLINE, OFFLINE = "OnlineStore", "OfflineStore"
NANOSECONDS = 1_000_000_000

# Sources: "Quotas, naming rules and data types" of the SageMaker developer guide, CreateFeatureGroup.
_MAX_RECORD_BYTES = 350 * 1024
_MAX_IDENTIFIER_BYTES = 2 * 1024
_ISO = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{3}|\d{9}))?Z", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_YEAR_1, _YEAR_10000 = -62_135_596_800, 253_402_300_800  # Unix seconds
_DEFINITION_SECONDS = 5.0  # a definition is asked for again after this
_UNIT_SECONDS = {"Seconds": 1, "Minutes": 60, "Hours": 3_600, "Days": 86_400, "Weeks": 604_800}


class FeatureStoreError(Exception):
    """A call, or one entry of a batch, that Feature Store refuses: HTTP status, error code, message."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


def invalid(message: str) -> FeatureStoreError:
    return FeatureStoreError(400, "ValidationError", f"Validation Error: {message}")


@dataclass(frozen=True, kw_only=True)
class Record:
    """An acceptable record: `event_time` in nanoseconds since 1970, `values` as they came, in order."""

    identifier: str
    event_time: int
    values: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class FeatureGroup:
    """`types` maps each feature to String, Integral or Fractional; `ttl` is in nanoseconds."""

    name: str
    identifier_feature: str
    event_time_feature: str
    types: dict[str, str]
    stores: frozenset[str]
    ttl: int | None
    offline_uri: str | None

    @classmethod
    def described(cls, description: dict[str, Any]) -> "FeatureGroup":
        """The group of a DescribeFeatureGroup response."""
        online = description.get("OnlineStoreConfig") or {}
        offline = description.get("OfflineStoreConfig") or {}
        stores = {ONLINE: online.get("EnableOnlineStore", False), OFFLINE: bool(offline)}
        return cls(
            name=description["FeatureGroupName"],
            identifier_feature=description["RecordIdentifierFeatureName"],
            event_time_feature=description["EventTimeFeatureName"],
            types={feature["FeatureName"]: feature["FeatureType"] for feature in description["FeatureDefinitions"]},
            stores=frozenset(store for store, there in stores.items() if there),
            ttl=_nanoseconds(online.get("TtlDuration")),
            offline_uri=offline.get("S3StorageConfig", {}).get("ResolvedOutputS3Uri"),
        )

    def record(self, features: list[dict[str, Any]]) -> Record:
        """The record of a request.

        Raises:
            FeatureStoreError: ValidationError, naming the feature at fault.
        """
        values: dict[str, str] = {}
        for feature in features:
            name = feature["FeatureName"]
            if name not in self.types:
                raise invalid(f"Feature {name} is not defined in the feature group {self.name}.")
            if name in values:
                raise invalid(f"Feature {name} appears more than once in the record.")
            if feature.get("ValueAsString") is None:
                raise invalid(f"Feature {name} has no ValueAsString; leave it out to say null.")
            values[name] = feature["ValueAsString"]
            self._check(name, values[name])
        for name in (self.identifier_feature, self.event_time_feature):
            if name not in values:
                raise invalid(f"Feature {name} is required and missing.")
        if sum(len(name.encode()) + len(value.encode()) for name, value in values.items()) > _MAX_RECORD_BYTES:
            raise invalid("The record is larger than 350 KB.")
        return Record(
            identifier=self.identifier(values[self.identifier_feature]),
            event_time=self.event_time(values[self.event_time_feature]),
            values=values,
        )

    def marker(self, identifier: str, event_time: str) -> Record:
        """The record that marks a deletion; raises as `record` does."""
        return self.record(
            [
                {"FeatureName": self.identifier_feature, "ValueAsString": identifier},
                {"FeatureName": self.event_time_feature, "ValueAsString": event_time},
            ]
        )

    def identifier(self, value: str) -> str:
        if not 0 < len(value.encode()) <= _MAX_IDENTIFIER_BYTES:
            raise invalid(f"The record identifier {self.identifier_feature} must have 1 byte to 2 KB.")
        return value

    def event_time(self, value: str) -> int:
        """Nanoseconds since 1970 of an event time: ISO 8601 in UTC, or Unix seconds where it is Fractional."""
        if self.types[self.event_time_feature] == "Fractional":
            try:
                seconds = Decimal(value)
                possible = _YEAR_1 <= seconds < _YEAR_10000
            except InvalidOperation:  # no number, or NaN
                possible = False
            if not possible:
                raise invalid(f"Event time {self.event_time_feature} must be Unix seconds.")
            return int(seconds * NANOSECONDS)
        match = _ISO.fullmatch(value)
        try:
            moment = datetime.fromisoformat(f"{match[1]}+00:00") if match else None
        except ValueError:
            moment = None
        if match is None or moment is None:
            raise invalid(
                f"Event time {self.event_time_feature} must have the format yyyy-MM-dd'T'HH:mm:ssZ or "
                "yyyy-MM-dd'T'HH:mm:ss.SSSZ."
            )
        since = moment - _EPOCH
        return (since.days * 86_400 + since.seconds) * NANOSECONDS + int((match[2] or "").ljust(9, "0"))

    def targets(self, requested: list[str] | None) -> frozenset[str]:
        """The stores that a request is for; all of the group's when it names none."""
        for store in requested or ():
            if store not in self.stores:
                raise invalid(f"The feature group {self.name} has no {store}.")
        return frozenset(requested or self.stores)

    def expiry(self, event_time: int, requested: dict[str, Any] | None) -> int | None:
        """When a record expires, in nanoseconds since 1970: the record's TTL goes before the group's."""
        ttl = _nanoseconds(requested) or self.ttl
        return None if ttl is None else min(event_time + ttl, _YEAR_10000 * NANOSECONDS - 1)

    def _check(self, name: str, value: str) -> None:
        if "\n" in value or "\r" in value:  # the service model's pattern for values is `.*`
            raise invalid(f"Feature {name} must be of one line.")
        kind = self.types[name]
        try:
            if kind == "Integral":
                acceptable = re.fullmatch(r"[+-]?\d+", value, re.ASCII) and -(2**63) <= int(value) < 2**63
            else:
                acceptable = kind == "String" or ("_" not in value and math.isfinite(float(value)))
        except ValueError:
            acceptable = False
        if not acceptable:
            raise invalid(f"Feature {name} is not a valid {kind} value.")


class FeatureGroups:
    """Feature groups by name or ARN, from `sagemaker` (a boto3 client); a definition is good for seconds."""

    def __init__(self, sagemaker: Any) -> None:
        self._sagemaker = sagemaker
        self._known: dict[str, tuple[float, FeatureGroup]] = {}

    def __call__(self, name_or_arn: str) -> FeatureGroup:
        """Raises `FeatureStoreError` ResourceNotFound for a group that does not exist."""
        name = name_or_arn.rpartition("/")[2]
        asked, group = self._known.get(name, (0.0, None))
        if group and time.monotonic() - asked < _DEFINITION_SECONDS:
            return group
        try:
            group = FeatureGroup.described(self._sagemaker.describe_feature_group(FeatureGroupName=name))
        except self._sagemaker.exceptions.ResourceNotFound:
            raise FeatureStoreError(404, "ResourceNotFound", f"There is no feature group {name}.") from None
        self._known[name] = time.monotonic(), group
        return group


def _nanoseconds(ttl: dict[str, Any] | None) -> int | None:
    if not ttl:
        return None
    if ttl.get("Unit") not in _UNIT_SECONDS or ttl.get("Value", 0) < 1:
        raise invalid("TtlDuration needs a unit from Seconds to Weeks and a value of at least 1.")
    return ttl["Value"] * _UNIT_SECONDS[ttl["Unit"]] * NANOSECONDS
