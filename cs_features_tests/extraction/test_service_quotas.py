"""Service Quotas: which of a thousand quotas of Bedrock is the model's."""

from typing import Any

import pytest

from cs_features.extraction.models import CAPABILITIES
from cs_features.extraction.service_quotas import choose_model_quotas, name_quota_account, name_quota_model
from cs_features.local.service_quotas import list_model_quotas

EU_HAIKU = "eu.anthropic.claude-haiku-5-5"


@pytest.mark.parametrize(
    ("model_id", "name"),
    [
        ("eu.anthropic.claude-haiku-5-5", "Claude Haiku 5.5"),
        ("eu.anthropic.claude-haiku-4-5-20251001-v1:0", "Claude Haiku 4.5"),
        ("eu.amazon.nova-micro-v1:0", "Nova Micro"),
    ],
)
def test_a_models_quotas_are_found_by_its_name(model_id: str, name: str) -> None:
    assert name_quota_model(model_id) == name


def quota(name: str, value: float) -> dict[str, Any]:
    return {
        "QuotaArn": "arn:aws:servicequotas:eu-central-1:210987654321:bedrock/L-1",
        "QuotaName": name,
        "Value": value,
    }


def figures(listed: list[dict[str, Any]], model_id: str = EU_HAIKU) -> dict[str, float]:
    return {kind: found["Value"] for kind, found in choose_model_quotas(listed, model_id).items()}


def test_the_quota_of_the_way_that_calls_go_is_chosen() -> None:
    """A profile has a quota of its own; paced to that of another way, runs were throttled or idle."""
    listed = [
        quota("On-demand model inference requests per minute for Anthropic Claude Haiku 5.5", 10),
        quota("Global cross-region model inference requests per minute for Anthropic Claude Haiku 5.5", 9_000),
        quota("Cross-region model inference requests per minute for Anthropic Claude Haiku 5.5", 1_200),
        quota("Cross-region model inference tokens per minute for Anthropic Claude Haiku 5.5", 2_000_000),
        quota("Cross-region model inference tokens per day for Anthropic Claude Haiku 5.5", 7),
        quota("Cross-region model inference requests per minute for Anthropic Claude Haiku 5.5 Pro", 8),
        quota("Cross-region model inference requests per minute for Anthropic Claude Haiku 5", 9),
    ]
    assert figures(listed) == {"requests": 1_200, "tokens": 2_000_000}
    assert figures(listed[:2]) == {}


def test_of_two_versions_the_smaller_quota_is_kept_to() -> None:
    name = "Cross-region model inference requests per minute for Anthropic Claude Haiku 5.5"
    for values in ((50, 400), (400, 50)):
        assert figures([quota(f"{name} V{number}", value) for number, value in enumerate(values)]) == {"requests": 50}


def test_entries_without_name_or_value_are_passed_over() -> None:
    name = "Cross-region model inference requests per minute for Claude Haiku 5.5"
    assert figures([{}, {"Value": 3.0}, {"QuotaName": name}, {"QuotaName": name, "Value": "9"}, quota(name, 5)]) == {
        "requests": 5
    }


def test_the_account_is_the_one_that_aws_names() -> None:
    assert name_quota_account([{}, quota("a", 1)]) == "210987654321"
    assert name_quota_account([{"QuotaArn": "x"}]) == ""


@pytest.mark.parametrize("model_id", sorted(CAPABILITIES))
def test_the_local_stack_lists_what_it_keeps_and_nothing_else(model_id: str) -> None:
    """It listed a thousand calls a minute where it kept no quota: a run that believes it would crawl."""
    assert figures(list_model_quotas({"requests": 12.0}), model_id) == {"requests": 12.0}
    assert list_model_quotas({}) == []
