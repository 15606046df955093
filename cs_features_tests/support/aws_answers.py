"""What any service of AWS answers, whichever client asks it, and what a service was asked."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from botocore.awsrequest import AWSResponse

from cs_features.services import s3_client
from cs_features_tests.support.refusals import RawAnswer

HAIKU = "Cross-region model inference requests per minute for Anthropic Claude Haiku 5.5"
HAIKU_TOKENS = "Cross-region model inference tokens per minute for Anthropic Claude Haiku 5.5"
SERVICE_QUOTAS = "service-quotas.ListServiceQuotas"


@contextmanager
def answering(operation: str, body: str, status: int = 200, headers: dict[str, str] | None = None) -> Iterator[None]:
    """Every client gets this answer to the operation, such as `sns.Publish`, instead of one of the local AWS."""

    def answer(request: Any, **_: Any) -> AWSResponse:
        return AWSResponse(request.url, status, headers or {}, RawAnswer(body.encode()))

    emitters = _list_emitters()
    for emitter in emitters:
        emitter.register(f"before-send.{operation}", answer)
    try:
        yield
    finally:
        for emitter in emitters:
            emitter.unregister(f"before-send.{operation}", answer)


def refusing(operation: str, code: str, message: str = "no", status: int = 400) -> Any:
    """As the JSON services answer, and the XML ones."""
    if operation.split(".")[0] in ("s3", "sns", "sts"):
        error = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
        body = error if operation.startswith("s3") else f"<ErrorResponse>{error}</ErrorResponse>"
        return answering(operation, body, status)
    return answering(operation, json.dumps({"__type": code, "message": message}), status, {"x-amzn-errortype": code})


def quotas(name: str, value: float) -> Any:
    return listing_quotas({name: value})


def listing_quotas(values: dict[str, float], account: str = "123456789012") -> Any:
    arn = f"arn:aws:servicequotas:eu-central-1:{account}:bedrock/L-1"
    listed = [{"QuotaArn": arn, "QuotaName": name, "Value": value} for name, value in values.items()]
    return answering(SERVICE_QUOTAS, json.dumps({"Quotas": listed}))


@contextmanager
def counting(operation: str) -> Iterator[list[dict[str, Any]]]:
    """The parameters of each call of an operation, whether or not it is answered."""
    calls: list[dict[str, Any]] = []

    def note(params: dict[str, Any], **_: Any) -> None:
        calls.append(params)

    emitters = _list_emitters()
    for emitter in emitters:
        emitter.register(f"provide-client-params.{operation}", note)
    try:
        yield calls
    finally:
        for emitter in emitters:
            emitter.unregister(f"provide-client-params.{operation}", note)


def _list_emitters() -> list[Any]:
    if boto3.DEFAULT_SESSION is None:
        boto3.setup_default_session()
    return [boto3.DEFAULT_SESSION.events, s3_client().meta.events]
