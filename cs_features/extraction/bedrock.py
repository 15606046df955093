"""One Converse call: the client and the reply. No retry, no limit, no ledger.

What an error means is `call_errors.py`'s. Retries live in the engine, because a retry must pass the limiter again;
botocore makes one attempt.
"""

import time
from dataclasses import dataclass
from typing import Any

from botocore import handlers
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from cs_features import aws
from cs_features.errors import AnswerUnreadable, Unavailable
from cs_features.extraction.call_errors import classify_call_error
from cs_features.extraction.pricing import TokenUsage
from cs_features.extraction.prompting import ConverseRequest
from cs_features.extraction.shared_body import SharedBody

# What botocore does for calls of another sort, for hundredths of the CPU of ours: headers that count attempts, where
# ours is the only one; members that it fills in, where Converse has none; a header of functions on Lambda; another of
# services whose endpoint has to be discovered.
NEEDLESS_HANDLERS = (
    ("request-created", handlers.add_retry_headers),
    ("before-parameter-build", handlers.generate_idempotent_uuid),
    ("before-call", handlers.add_recursion_detection_header),
    ("before-call", handlers.inject_api_version_header_if_needed),
)


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


def make_bedrock_client(max_concurrency: int, timeout_seconds: int) -> Any:
    """A Bedrock Runtime client whose connection pool fits `max_concurrency` threads."""
    client = aws.client(
        "bedrock-runtime",
        retries={"total_max_attempts": 1},
        max_pool_connections=max_concurrency,
        connect_timeout=5,
        read_timeout=timeout_seconds,
        tcp_keepalive=True,
        # Bedrock checks it again, and says of a request that it refuses what botocore would say. Ours are made of
        # prompts that were checked, and botocore's check of each costs a seventh of a call's CPU.
        parameter_validation=False,
    )
    # What judges whether to ask again, where nothing is asked again: the engine does that.
    client.meta.events.unregister("needs-retry.bedrock-runtime", unique_id="retry-config-bedrock-runtime")
    for event, handler in NEEDLESS_HANDLERS:
        client.meta.events.unregister(event, handler)
    SharedBody().share_prompt_bytes(client)
    return client


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
    except RecursionError:
        raise AnswerUnreadable("the answer nests too deep") from None
    except (BotoCoreError, ClientError, ResponseParserError) as error:
        raise classify_call_error(error) from None
    except (AttributeError, TypeError, ValueError) as error:
        if not aws.was_raised_by_parser(error):
            raise
        raise Unavailable(f"200 with something that is no answer ({type(error).__name__})") from None
    latency_ms = round((time.perf_counter() - started) * 1000)
    if "output" not in response:
        raise Unavailable("200 without an answer")  # a connection that broke after the headers
    blocks = response["output"].get("message", {}).get("content", [])
    usage = response.get("usage", {})
    return Reply(
        tool_use=next((block["toolUse"] for block in blocks if block and "toolUse" in block), None),
        stop_reason=str(response.get("stopReason", "")),
        usage=TokenUsage(
            input_tokens=_count_tokens(usage, "inputTokens"),
            cache_read_tokens=_count_tokens(usage, "cacheReadInputTokens"),
            cache_write_tokens=_count_tokens(usage, "cacheWriteInputTokens"),
            output_tokens=_count_tokens(usage, "outputTokens"),
        ),
        latency_ms=latency_ms,
    )


def _count_tokens(usage: dict[str, Any], name: str) -> int:
    """Never below zero: a bill that gives money back would lift every cap."""
    return max(0, usage.get(name, 0))
