"""The SageMaker feature group: what its features are, and whether the group that is set has them.

How one row becomes a record is decided here. Which records are written and withdrawn, and the calls that do it,
are `publisher.py`'s. No row is judged here.
"""

from datetime import datetime, timezone
from typing import Any

from cs_features.aws import explained
from cs_features.errors import AwsRefusal
from cs_features.schemas import FEATURE_COLUMNS, SCORES

IDENTIFIER, EVENT_TIME = "interaction_id", "event_time"
FRACTIONAL = SCORES

Record = list[dict[str, str]]


def feature_definitions() -> list[dict[str, str]]:
    """CreateFeatureGroup's `FeatureDefinitions`, in the order of the table's columns."""
    return [
        {"FeatureName": name, "FeatureType": "Fractional" if name in FRACTIONAL else "String"}
        for name in FEATURE_COLUMNS
    ]


def record_of(row: dict[str, Any]) -> Record:
    """One validated row as a feature store record; a null feature is left out."""
    return [
        {"FeatureName": name, "ValueAsString": as_text(row[name])} for name in FEATURE_COLUMNS if row[name] is not None
    ]


def as_text(value: Any) -> str:
    if isinstance(value, datetime):
        return value.astimezone(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    # The API's pattern for values is `.*`, in which a line break does not match.
    return " ".join(value.splitlines()) if isinstance(value, str) else repr(value)


def value_of(record: Record, feature: str) -> str:
    return next(pair["ValueAsString"] for pair in record if pair["FeatureName"] == feature)


def require_group(sagemaker: Any, group: str) -> None:
    """Compare the group with our features.

    Raises:
        AwsRefusal: when it does not exist, or lacks or types a feature differently, with what to do.
    """
    with explained(f"Feature group {group}", "CS_FEATURES_FEATURE_GROUP"):
        found = sagemaker.describe_feature_group(FeatureGroupName=group)
    types = {item["FeatureName"]: item["FeatureType"] for item in found["FeatureDefinitions"]}
    ours = {item["FeatureName"]: item["FeatureType"] for item in feature_definitions()}
    missing = [name for name in ours if name not in types]
    differing = [f"{name} is {types[name]}, not {kind}" for name, kind in ours.items() if types.get(name, kind) != kind]
    if missing:
        raise AwsRefusal(f"Feature group {group} lacks {', '.join(missing)}: add them with UpdateFeatureGroup")
    if differing:
        raise AwsRefusal(
            f"Feature group {group} differs: {'; '.join(differing)}. A feature's type cannot be changed: "
            "create a new group and set CS_FEATURES_FEATURE_GROUP"
        )
