"""One Converse call: the client, the reply and the typed errors. No retry, no limit, no ledger.

Retries live in the engine, because a retry must pass the limiter again; botocore makes one attempt.
"""

import time
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
    ReadTimeoutError,
)

from cs_features import aws
from cs_features.errors import (
    AnswerUnreadable,
    CallFailed,
    InputTooLong,
    RequestRefused,
    RunStopper,
    Throttled,
    Unavailable,
)
from cs_features.extraction.pricing import TokenUsage
from cs_features.extraction.prompting import ConverseRequest


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back: the forced tool's use, if any, and what it cost.

    `tool_use` is Converse's block {toolUseId, name, input}; `stop_reason` is Converse's.
    `latency_ms` is measured here, from request to parsed reply.
    """

    tool_use: dict[str, Any] | None
    stop_reason: str
    usage: TokenUsage
    latency_ms: int


# 424 ModelErrorException and 408 ModelTimeoutException are not retried by botocore at all.
_UNAVAILABLE = {
    "ServiceUnavailableException",
    "InternalServerException",
    "ModelTimeoutException",
    "ModelErrorException",
    "ModelNotReadyException",
}
_DENIED = {
    "AccessDeniedException": (
        "allow bedrock:InvokeModel on the inference profile and on the foundation models behind it, and accept "
        "the model's agreement in the Bedrock console"
    ),
    "UnrecognizedClientException": "the credentials are not valid for this region; renew them",
    "ExpiredTokenException": "the credentials have expired; renew them",
    "InvalidSignatureException": "the credentials are wrong; check the secret key and the clock",
    "ResourceNotFoundException": "set CS_FEATURES_MODEL_ID to a model that this region offers",
}


def bedrock_client(max_concurrency: int, timeout_seconds: int) -> Any:
    """A Bedrock Runtime client whose connection pool fits `max_concurrency` threads."""
    return aws.client(
        "bedrock-runtime",
        retries={"total_max_attempts": 1},
        max_pool_connections=max_concurrency,
        connect_timeout=5,
        read_timeout=timeout_seconds,
        tcp_keepalive=True,
    )


def converse(client: Any, request: ConverseRequest) -> Reply:
    """One attempt.

    Raises:
        Throttled, Unavailable: asking again may help.
        RequestRefused, InputTooLong: it will not, for this interaction.
        RunStopper: it will not, for any.
    """
    started = time.perf_counter()
    try:
        response = client.converse(**request)
    except ClientError as error:
        raise _typed(error) from None
    except RecursionError:
        raise AnswerUnreadable("the answer nests too deep") from None
    except ParamValidationError:
        # Its message quotes the parameters, and so the interaction.
        raise RequestRefused("boto3 does not accept the request") from None
    except (NoCredentialsError, PartialCredentialsError):
        raise RunStopper("No AWS credentials: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and its secret") from None
    except (ReadTimeoutError, ConnectTimeoutError, EndpointConnectionError, HTTPClientError) as error:
        raise Unavailable(type(error).__name__) from None
    except BotoCoreError as error:
        raise RunStopper(f"boto3 cannot call Bedrock: {error}") from None
    latency_ms = round((time.perf_counter() - started) * 1000)
    if "output" not in response:
        raise Unavailable("200 without an answer")  # a connection that broke after the headers
    blocks = response["output"].get("message", {}).get("content", [])
    usage = response.get("usage", {})
    return Reply(
        tool_use=next((block["toolUse"] for block in blocks if "toolUse" in block), None),
        stop_reason=response.get("stopReason", ""),
        usage=TokenUsage(
            input_tokens=usage.get("inputTokens", 0),
            cache_read_tokens=usage.get("cacheReadInputTokens", 0),
            cache_write_tokens=usage.get("cacheWriteInputTokens", 0),
            output_tokens=usage.get("outputTokens", 0),
        ),
        latency_ms=latency_ms,
    )


def _typed(error: ClientError) -> CallFailed:
    code = error.response.get("Error", {}).get("Code", "")
    message = error.response.get("Error", {}).get("Message", "")
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code in _UNAVAILABLE:
        return Unavailable(code)
    if status == 429 or code == "ThrottlingException":
        if "per day" in message:
            return RunStopper(
                "Bedrock's tokens-per-day quota is spent; ask for a higher one in Service Quotas, or run tomorrow"
            )
        return Throttled(code)
    if code in _DENIED or status in (401, 403, 404):
        # AWS says there which action on which resource was denied; it never quotes the request.
        advice = _DENIED.get(code, "check the account, the region and CS_FEATURES_MODEL_ID")
        return RunStopper(f"Bedrock refuses every call ({code}): {advice}. AWS says: {message}")
    if code == "ValidationException" and "identifier is invalid" in message:
        return RunStopper("Bedrock does not know the model: set CS_FEATURES_MODEL_ID to one of this region")
    if code == "ValidationException" and "too long" in message.lower():
        return InputTooLong(code)
    if status >= 500 or status == 408 or status == 424:
        return Unavailable(code or str(status))
    return RequestRefused(code or str(status))
