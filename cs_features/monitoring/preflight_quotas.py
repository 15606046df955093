"""What Service Quotas allows the account, and what that means in interactions a day and runs at once.

Not here: how they are found (`extraction/service_quotas.py`), and the limiter that keeps to them
(`extraction/quota.py`).
"""

from cs_features.errors import ConfigurationError
from cs_features.extraction.models import ModelCapabilities
from cs_features.extraction.service_quotas import choose_model_quotas, list_service_quotas, name_quota_model
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
    listed = choose_model_quotas(list_service_quotas("bedrock"), model.model_id)
    quotas = {kind: float(quota["Value"]) for kind, quota in listed.items()}
    if not quotas:
        return f"Service Quotas lists none for {name}: it is found by adapting to throttles"
    for kind, value in quotas.items():
        _require_service_quota(kind, value, name, services)
    a_day = min(count_daily_interactions(kind, value, model) for kind, value in quotas.items())
    figures = " and ".join(f"{value:,.0f} {kind} a minute" for kind, value in quotas.items())
    return f"{figures} for {name}: some {a_day:,} interactions a day{_tell_read_quota(services)}"


def _tell_read_quota(services: Services) -> str:
    """What runs make of it: one that is stated they keep to, this one they share with whoever else uses it."""
    if services.model.requests_per_minute is not None or services.model.tokens_per_minute is not None:
        return ""
    return (
        "; no quota is stated, so runs use all of it, and less for a while after throttles: set "
        "CS_FEATURES_REQUESTS_PER_MINUTE where they are to leave some of it to others"
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
