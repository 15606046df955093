"""Service Quotas on loopback, as far as `preflight` asks: moto knows those of VPC alone.

Here: the quotas of the models that the product knows, and of Fargate, as a new account has them. Not here: keeping to
them (`bedrock.py`).
"""

import json
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from cs_features.extraction.models import CAPABILITIES
from cs_features.monitoring.preflight_quotas import TASK_QUOTA, name_quota_model

REQUESTS_A_MINUTE, TOKENS_A_MINUTE, FARGATE_VCPUS = 1_000, 1_000_000, 6


def build_quota_routes(requests_per_minute: float | None, tokens_per_minute: float | None) -> list[Route]:
    """The quotas that the local Bedrock keeps, or plausible ones where it keeps none."""
    limits = {"requests": requests_per_minute or REQUESTS_A_MINUTE, "tokens": tokens_per_minute or TOKENS_A_MINUTE}

    async def answer(request: Request) -> Response:
        asked: dict[str, Any] = json.loads(await request.body() or b"{}")
        quotas = (
            list_model_quotas(limits)
            if asked.get("ServiceCode") == "bedrock"
            else [make_quota(TASK_QUOTA, FARGATE_VCPUS)]
        )
        return JSONResponse({"Quotas": quotas}, media_type="application/x-amz-json-1.1")

    return [Route("/", answer, methods=["POST"])]


def list_model_quotas(limits: dict[str, float]) -> list[dict[str, Any]]:
    names = {name_quota_model(model_id) for model_id in CAPABILITIES}
    return [
        make_quota(f"Cross-region model inference {kind} per minute for {name}", value)
        for kind, value in limits.items()
        for name in sorted(names)
    ]


def make_quota(name: str, value: float) -> dict[str, Any]:
    return {"QuotaName": name, "Value": float(value), "Unit": "None", "Adjustable": True, "GlobalQuota": False}
