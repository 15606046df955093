"""What Service Quotas allows the account, and what that means in interactions a day and runs at once.

Quotas are found by name, because a model's codes are not known before it is offered. Not here: the limiter that keeps
to them (`extraction/quota.py`).
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from cs_features import aws
from cs_features.errors import ConfigurationError
from cs_features.extraction.models import ModelCapabilities
from cs_features.services import Services

MINUTES_A_DAY = 1440
# An interaction as Bedrock counts it when it is settled: its own text uncached, the prompt read from the cache for
# nothing, and an answer of 110 tokens at the model's burn-down. Measured on the corpus; a guess for other texts.
TEXT_TOKENS, ANSWER_TOKENS = 250, 110
CONTROL_VCPU, RUN_VCPU = 0.5, 1.0  # deploy/template.yaml
RUNS_AT_ONCE = 4  # deploy/dagster.yaml
TASK_QUOTA = "Fargate On-Demand vCPU resource count"


def probe_model_quotas(services: Services) -> str:
    model = services.model.capabilities()
    name = name_quota_model(model.model_id)
    quotas = {kind: value for kind in ("requests", "tokens") if (value := find_model_quota(kind, name)) is not None}
    if not quotas:
        return f"Service Quotas lists none for {name}: it is found by adapting to throttles"
    for kind, value in quotas.items():
        _require_service_quota(kind, value, name, services)
    a_day = min(count_daily_interactions(kind, value, model) for kind, value in quotas.items())
    listed = " and ".join(f"{value:,.0f} {kind} a minute" for kind, value in quotas.items())
    return f"{listed} for {name}: some {a_day:,} interactions a day{_advise_to_state_quota(quotas, services)}"


def _advise_to_state_quota(quotas: Mapping[str, float], services: Services) -> str:
    """Runs on several hosts share what is stated; what is not, each of them finds by being throttled."""
    if "requests" not in quotas or services.model.requests_per_minute is not None:
        return ""
    return (
        f"; set CS_FEATURES_REQUESTS_PER_MINUTE={quotas['requests']:.0f}, or less where others use it, too: of calls "
        "from several hosts one in ten is throttled where nobody states it"
    )


def _require_service_quota(kind: str, value: float, name: str, services: Services) -> None:
    if value <= 0:
        raise ConfigurationError(
            f"The quota of {kind} a minute for {name} is 0: ask for one in Service Quotas, which takes days"
        )
    asked = getattr(services.model, f"{kind}_per_minute")
    if asked is not None and asked > value:
        raise ConfigurationError(
            f"CS_FEATURES_{kind.upper()}_PER_MINUTE is {asked:,.0f} and the account's quota {value:,.0f}: lower the "
            "setting, or ask for more in Service Quotas"
        )


def count_daily_interactions(kind: str, per_minute: float, model: ModelCapabilities) -> int:
    each = 1 if kind == "requests" else TEXT_TOKENS + ANSWER_TOKENS * model.burndown
    return int(per_minute * MINUTES_A_DAY / each)


def probe_task_quota(services: Services) -> str:
    if not services.history.host:
        return "runs start on this machine and not as tasks"
    value = next((quota["Value"] for quota in list_service_quotas("fargate") if quota["QuotaName"] == TASK_QUOTA), None)
    if value is None:
        return "Service Quotas lists none for Fargate"
    runs = int((value - CONTROL_VCPU) // RUN_VCPU)
    if runs < RUNS_AT_ONCE:
        raise ConfigurationError(
            f"{value:g} vCPUs of Fargate are room for {max(0, runs)} runs beside the control task, and "
            f"{RUNS_AT_ONCE} may go at once: ask for more of '{TASK_QUOTA}' in Service Quotas"
        )
    return f"{value:g} vCPUs of Fargate: {runs} runs at once beside the control task"


def name_quota_model(model_id: str) -> str:
    """As Service Quotas spells it: "Claude Haiku 5.5" of "eu.anthropic.claude-haiku-5-5"."""
    name = re.sub(r"-(v\d|\d{8}).*$", "", model_id.rsplit(".", 1)[-1])
    return re.sub(r"(\d)-(\d)", r"\1.\2", name).replace("-", " ").title()


def find_model_quota(kind: str, name: str) -> float | None:
    """The quota of `kind` a minute, of calls through a profile of several regions first; None where none is listed."""
    wanted = re.compile(rf"model inference {kind} per minute for (\S+ )?{re.escape(name)}( V\d+)?$", re.IGNORECASE)
    found = [quota for quota in list_service_quotas("bedrock") if wanted.search(quota["QuotaName"])]
    found.sort(key=lambda quota: not quota["QuotaName"].lower().startswith("cross-region"))
    return float(found[0]["Value"]) if found else None


def list_service_quotas(service: str) -> Iterator[dict[str, Any]]:
    with aws.explained(f"Quotas of {service}", "AWS_REGION"):
        for page in aws.client("service-quotas").get_paginator("list_service_quotas").paginate(ServiceCode=service):
            yield from page["Quotas"]
