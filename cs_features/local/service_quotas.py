"""Service Quotas on loopback, as far as runs and `preflight` ask: moto knows those of VPC alone.

Here: the quotas that the local Bedrock keeps, of each model that the product knows, and one of Fargate, as a new
account has it. Not here: keeping to them (`bedrock.py`).
"""

import json
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from cs_features.extraction.models import CAPABILITIES
from cs_features.extraction.service_quotas import name_quota_model, name_quota_scope
from cs_features.local import aws
from cs_features.monitoring.preflight_quotas import TASK_QUOTA

FARGATE_VCPUS = 6
ACCOUNT = "123456789012"  # moto's


def build_quota_routes(requests_per_minute: float | None, tokens_per_minute: float | None) -> list[Route]:
    """Those that the local Bedrock keeps; of what it does not limit none is listed."""
    kept = {"requests": requests_per_minute, "tokens": tokens_per_minute}
    limits = {kind: value for kind, value in kept.items() if value is not None}

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
    names = {
        f"{name_quota_scope(each)} model inference {{}} per minute for {name_quota_model(each)}"
        for each in CAPABILITIES
    }
    return [make_quota(name.format(kind), value) for kind, value in limits.items() for name in sorted(names)]


def make_quota(name: str, value: float) -> dict[str, Any]:
    arn = f"arn:aws:servicequotas:{aws.REGION}:{ACCOUNT}:local/L-00000000"
    told = {"QuotaArn": arn, "QuotaName": name, "Value": float(value)}
    return {**told, "Unit": "None", "Adjustable": True, "GlobalQuota": False}
