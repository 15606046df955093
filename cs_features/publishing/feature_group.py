"""A SageMaker feature group: what its features are, how a row becomes a record, and whether the group can take it.

There are two, which differ in their layout: a record an interaction, which is described here, and a record a customer
(`customers/serving.py`). Not here: which records are written and withdrawn (`plan.py`), and the calls that do it
(`records.py`). No row is judged here.
"""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from cs_features.aws import explained
from cs_features.errors import ConfigurationError
from cs_features.hashing import content_hash
from cs_features.schemas import FEATURE_COLUMNS, SCORES

IDENTIFIER, EVENT_TIME = "interaction_id", "event_time"
FRACTIONAL = SCORES
SETTING = "CS_FEATURES_FEATURE_GROUP"


@dataclass(frozen=True)
class GroupLayout:
    """What the records of a group are made of; what of it differs between groups, and nothing else does."""

    identifier: str
    types: Mapping[str, str]  # the features in their order, `EVENT_TIME` among them
    setting: str  # the variable that names the group
    asset: str  # what is run again when something was not published


INTERACTIONS = GroupLayout(
    identifier=IDENTIFIER,
    types={name: "Fractional" if name in FRACTIONAL else "String" for name in FEATURE_COLUMNS},
    setting=SETTING,
    asset="feature_store",
)

Record = list[dict[str, str]]
"""As the Feature Store takes and gives it: a `FeatureName` and a `ValueAsString` for each feature."""


@dataclass(frozen=True, slots=True)
class FeatureRecord:
    """A record that is to be served, and the document that it says something of; None where nobody wrote that down.

    It is kept as the JSON of the manifest: twenty thousand records as lists of pairs were 150 MiB of a run.
    """

    encoded: str
    event_time: str
    prompt_version: str
    model_id: str
    content_hash: str
    document_hash: str | None

    @property
    def features(self) -> Record:
        decoded: Record = json.loads(self.encoded)
        return decoded


def encode_record(features: Record, document_hash: str | None) -> FeatureRecord:
    values = {pair["FeatureName"]: pair["ValueAsString"] for pair in features}
    return FeatureRecord(
        encoded=json.dumps(features),
        event_time=values[EVENT_TIME],
        prompt_version=sys.intern(values["prompt_version"]),  # the same of thousands
        model_id=sys.intern(values["model_id"]),
        content_hash=content_hash(features),
        document_hash=document_hash,
    )


def define_feature_definitions(layout: GroupLayout = INTERACTIONS) -> list[dict[str, str]]:
    """CreateFeatureGroup's `FeatureDefinitions`, in the order of the layout."""
    return [{"FeatureName": name, "FeatureType": kind} for name, kind in layout.types.items()]


def build_feature_record(row: Mapping[str, Any], layout: GroupLayout = INTERACTIONS) -> Record:
    """One row as a feature store record; a null feature, or one that the row lacks, is left out."""
    return [
        {"FeatureName": name, "ValueAsString": format_feature_value(row[name])}
        for name in layout.types
        if row.get(name) is not None
    ]


def order_features(record: Record, layout: GroupLayout = INTERACTIONS) -> Record:
    """A record as it was read, in the order of ours and without features that others added to the group."""
    values = {pair["FeatureName"]: pair["ValueAsString"] for pair in record}
    return [{"FeatureName": name, "ValueAsString": values[name]} for name in layout.types if name in values]


def format_feature_value(value: Any) -> str:
    if isinstance(value, datetime):
        return value.astimezone(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    # The API's pattern for values is `.*`, in which a line break does not match.
    return " ".join(value.splitlines()) if isinstance(value, str) else repr(value)


def get_record_feature(record: Record, feature: str) -> str:
    return next(pair["ValueAsString"] for pair in record if pair["FeatureName"] == feature)


def require_group(sagemaker: Any, group: str, layout: GroupLayout = INTERACTIONS) -> str:
    """Make sure that the group takes our records, all of them and in both stores; returns which group it is.

    Raises:
        AwsRefusal: when it cannot be described.
        ConfigurationError: when it lacks or types a feature differently, or one of its stores takes no records;
            the message says what to do.
    """
    with explained(f"Feature group {group}", layout.setting):
        described = sagemaker.describe_feature_group(FeatureGroupName=group)
    _require_group_features(described, layout)
    _require_both_stores(described, layout.setting)
    return identify_feature_group(described)


def identify_feature_group(described: dict[str, Any]) -> str:
    """`{ARN} {creation time}`: a group that was deleted and created anew has the same ARN."""
    return f"{described['FeatureGroupArn']} {format_feature_value(described['CreationTime'])}"


def _require_group_features(described: dict[str, Any], layout: GroupLayout) -> None:
    group = described["FeatureGroupName"]
    types = {item["FeatureName"]: item["FeatureType"] for item in described["FeatureDefinitions"]}
    ours = layout.types
    missing = [name for name in ours if name not in types]
    differing = [f"{name} is {types[name]}, not {kind}" for name, kind in ours.items() if types.get(name, kind) != kind]
    if missing:
        raise ConfigurationError(f"Feature group {group} lacks {', '.join(missing)}: add them with UpdateFeatureGroup")
    if differing:
        raise ConfigurationError(
            f"Feature group {group} differs: {'; '.join(differing)}. A feature's type cannot be changed: "
            f"create a new group and set {layout.setting}"
        )


def _require_both_stores(described: dict[str, Any], setting: str) -> None:
    group = described["FeatureGroupName"]
    if described["FeatureGroupStatus"] != "Created":
        raise ConfigurationError(
            f"Feature group {group} is {described['FeatureGroupStatus']}, not Created: wait for it, or set {setting}"
        )
    if not described.get("OnlineStoreConfig", {}).get("EnableOnlineStore"):
        raise ConfigurationError(f"Feature group {group} has no online store: create one that has, and set {setting}")
    if "OfflineStoreConfig" not in described:
        raise ConfigurationError(f"Feature group {group} has no offline store: create one that has, and set {setting}")
    offline = described.get("OfflineStoreStatus", {"Status": "Active"})
    if offline["Status"] != "Active":
        reason = offline.get("BlockedReason") or "AWS gives no reason"
        raise ConfigurationError(
            f"The offline store of feature group {group} is {offline['Status']} ({reason}): what is written now would "
            f"be served and never trained on. Mend it (often the group's role or its bucket), or set {setting}"
        )
