"""The feature group that is set: whether it takes our records, all of them and in both stores, and which one it is."""

from types import SimpleNamespace
from typing import Any

import pytest

from cs_features.environments import Settings
from cs_features.errors import AwsRefusal, ConfigurationError, CsFeaturesError
from cs_features.publishing.feature_group import (
    EVENT_TIME,
    IDENTIFIER,
    define_feature_definitions,
    require_group,
)
from cs_features.schemas import FEATURE_COLUMNS
from cs_features_tests.support.lab import AwsAndModel, Lab
from cs_features_tests.support.refusals import answered


def without(name: str) -> list[dict[str, str]]:
    return [item for item in define_feature_definitions() if item["FeatureName"] != name]


@pytest.mark.parametrize(
    ("definitions", "sentence"),
    [
        (without("csat_indicator"), "lacks csat_indicator: add them with UpdateFeatureGroup"),
        (
            [*without("urgency_score"), {"FeatureName": "urgency_score", "FeatureType": "String"}],
            "differs: urgency_score is String, not Fractional. A feature's type cannot be changed: "
            "create a new group and set CS_FEATURES_FEATURE_GROUP",
        ),
        (None, "it does not exist in this account and region: create it, or set CS_FEATURES_FEATURE_GROUP"),
    ],
    ids=["lacks a feature", "another type", "missing"],
)
def test_a_group_that_cannot_take_the_features_is_refused_with_what_to_do(
    lab: Lab, definitions: list[dict[str, str]] | None, sentence: str
) -> None:
    """A thousand refused records, each for the same reason, and the reason was the group."""
    name = f"{lab.settings.feature_group}-other"
    if definitions:
        lab.sagemaker.create_feature_group(
            FeatureGroupName=name,
            RecordIdentifierFeatureName=IDENTIFIER,
            EventTimeFeatureName=EVENT_TIME,
            FeatureDefinitions=definitions,
            OnlineStoreConfig={"EnableOnlineStore": True},
            OfflineStoreConfig={"S3StorageConfig": {"S3Uri": f"s3://{lab.settings.data_bucket}/x"}},
            RoleArn="arn:aws:iam::123456789012:role/tests",
        )
    with pytest.raises(CsFeaturesError) as refusal:
        require_group(lab.sagemaker, name)
    assert name in str(refusal.value)
    assert sentence in str(refusal.value)


def test_a_group_with_the_features_and_more_of_its_own_is_taken(lab: Lab) -> None:
    """Another team added a feature to the group, which is their right."""
    require_group(lab.sagemaker, lab.settings.feature_group)
    group = lab.sagemaker.describe_feature_group(FeatureGroupName=lab.settings.feature_group)
    assert [item["FeatureName"] for item in group["FeatureDefinitions"]] == list(FEATURE_COLUMNS)
    lab.sagemaker.create_feature_group(
        FeatureGroupName=f"{lab.settings.feature_group}-more",
        RecordIdentifierFeatureName=IDENTIFIER,
        EventTimeFeatureName=EVENT_TIME,
        FeatureDefinitions=[*define_feature_definitions(), {"FeatureName": "theirs", "FeatureType": "Integral"}],
        OnlineStoreConfig={"EnableOnlineStore": True},
        OfflineStoreConfig={"S3StorageConfig": {"S3Uri": f"s3://{lab.settings.data_bucket}/x"}},
        RoleArn="arn:aws:iam::123456789012:role/tests",
    )
    require_group(lab.sagemaker, f"{lab.settings.feature_group}-more")


def test_the_group_of_the_settings_is_the_one_that_is_provisioned(stack: AwsAndModel) -> None:
    """The demo's group lacked a feature that the publisher had learnt since."""
    client = Lab(stack).sagemaker
    require_group(client, Settings().feature_group)


# --- its stores -------------------------------------------------------------------------------


def described_as(lab: Lab, **changes: Any) -> Any:
    """A control plane that describes the laboratory's group as it is, but for `changes`; `...` removes."""
    description = lab.sagemaker.describe_feature_group(FeatureGroupName=lab.settings.feature_group)
    changed = {name: value for name, value in (description | changes).items() if value is not ...}
    return SimpleNamespace(describe_feature_group=lambda **_: changed)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"OfflineStoreStatus": {"Status": "Blocked", "BlockedReason": "denied"}},
            r"is Blocked \(denied\)",
        ),
        ({"OfflineStoreStatus": {"Status": "Disabled"}}, r"is Disabled \(AWS gives no reason\)"),
        ({"OfflineStoreConfig": ...}, "has no offline store: create one"),
        ({"OnlineStoreConfig": ...}, "has no online store: create one"),
        ({"OnlineStoreConfig": {"EnableOnlineStore": False}}, "has no online store: create one"),
        ({"FeatureGroupStatus": "Deleting"}, "is Deleting, not Created"),
    ],
    ids=["blocked", "disabled", "no offline store", "no online store", "online store off", "deleting"],
)
def test_a_group_of_which_one_store_takes_nothing_is_refused_in_a_sentence(
    lab: Lab, changes: dict[str, Any], sentence: str
) -> None:
    """Fault 10: success, with an offline store that was blocked: half a write was taken for a whole one."""
    with pytest.raises(ConfigurationError, match=sentence) as refusal:
        require_group(described_as(lab, **changes), lab.settings.feature_group)
    assert lab.settings.feature_group in str(refusal.value)


def test_a_group_whose_offline_store_has_no_status_yet_is_taken(lab: Lab) -> None:
    """The field is optional: absent is no refusal."""
    require_group(described_as(lab, OfflineStoreStatus=...), lab.settings.feature_group)


def test_a_group_that_was_deleted_and_created_anew_is_another_one(lab: Lab) -> None:
    """Fault 5: it has the same name and the same ARN, and holds nothing of what the manifests said."""
    name = lab.settings.feature_group
    first = require_group(lab.sagemaker, name)
    assert require_group(lab.sagemaker, name) == first
    created = lab.sagemaker.describe_feature_group(FeatureGroupName=name)["CreationTime"]
    again = described_as(lab, CreationTime=created.replace(year=created.year + 1))
    assert require_group(again, name) != first
    assert first.startswith("arn:aws:sagemaker:")


def test_an_answer_of_another_shape_is_told_as_a_proxys(lab: Lab) -> None:
    """A proxy's greeting with status 200 ended in botocore's parser as an AttributeError, and nobody was told what."""
    with answered(lab.sagemaker, "sagemaker.DescribeFeatureGroup", b'["hello"]'):
        with pytest.raises(AwsRefusal, match=r"g-\d+: 200 with something that is no answer of AWS"):
            require_group(lab.sagemaker, lab.settings.feature_group)
