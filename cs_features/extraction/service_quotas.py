"""What Service Quotas lists for the account: the calls and tokens a minute of a model, as AWS counts them.

A model's quotas are found by its name, because their codes are not known before it is offered. Not here: what is made
of them for the pace of runs, and where that is kept (`account_quota.py`).
"""

import re
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from cs_features import aws
from cs_features.errors import AwsRefusal

KINDS = ("requests", "tokens")
# What a run waits for an answer before it goes on without: Service Quotas is no part of its work.
PATIENCE_SECONDS = 5.0
IN_HASTE = {"connect_timeout": 2, "read_timeout": 2, "retries": {"mode": "standard", "total_max_attempts": 2}}
_ACCOUNT = re.compile(r":(\d{12}):")


def name_quota_model(model_id: str) -> str:
    """As Service Quotas spells it: "Claude Haiku 5.5" of "eu.anthropic.claude-haiku-5-5"."""
    name = re.sub(r"-(v\d|\d{8}).*$", "", model_id.rsplit(".", 1)[-1])
    return re.sub(r"(\d)-(\d)", r"\1.\2", name).replace("-", " ").title()


def name_quota_scope(model_id: str) -> str:
    """A profile that sends calls to several regions has quotas of its own."""
    return "Cross-region" if model_id.startswith("eu.") else "On-demand"


def choose_model_quotas(listed: Iterable[dict[str, Any]], model_id: str) -> dict[str, dict[str, Any]]:
    """Of all quotas of Bedrock those a minute of one model, by kind. Pure; a kind that is not listed is not there."""
    scope, name = name_quota_scope(model_id), re.escape(name_quota_model(model_id))
    wanted = re.compile(
        rf"{scope} model inference (?P<kind>{'|'.join(KINDS)}) per minute for (\S+ )?{name}( V\d+)?", re.IGNORECASE
    )
    found: dict[str, dict[str, Any]] = {}
    for quota in listed:
        matched = wanted.fullmatch(str(quota.get("QuotaName")))
        if matched and isinstance(quota.get("Value"), int | float):
            kind = matched["kind"].lower()
            # Of versions that the name does not tell apart, the one that is certainly allowed.
            found[kind] = min(quota, found.get(kind, quota), key=lambda each: each["Value"])
    return found


def name_quota_account(quotas: Iterable[Mapping[str, Any]]) -> str:
    """The account that AWS says quotas are of; empty where it does not."""
    named = (_ACCOUNT.search(str(quota.get("QuotaArn"))) for quota in quotas)
    return next((match[1] for match in named if match), "")


def ask_model_quotas(model_id: str) -> dict[str, dict[str, Any]]:
    """The quotas of one model, from an AWS that answers at once.

    Raises:
        AwsRefusal: they may not be read, or nobody answers in time.
    """
    until = time.monotonic() + PATIENCE_SECONDS
    listed = []
    for quota in list_service_quotas("bedrock", **IN_HASTE):
        if time.monotonic() > until:
            raise AwsRefusal(f"Service Quotas takes longer than {PATIENCE_SECONDS:g} s")
        listed.append(quota)
    return choose_model_quotas(listed, model_id)


def list_service_quotas(service: str, **config: Any) -> Iterator[dict[str, Any]]:
    """All quotas that the account has of a service; `config` is the client's."""
    with aws.explained(f"Quotas of {service}", "AWS_REGION"):
        client = aws.client("service-quotas", **config)
        for page in client.get_paginator("list_service_quotas").paginate(ServiceCode=service):
            yield from page.get("Quotas", [])
