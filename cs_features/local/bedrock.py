"""A stand-in for Bedrock Runtime's Converse on loopback: what it refuses, how it throttles, how it answers.

Belongs here: the Converse protocol (refusals, quota, errors, counters) as real boto3 speaks it; its shapes are
in `converse.py`, what makes a valid conversation in `conversation.py`. Does not belong here: where an answer comes
from. That is an `Answerer`: `engines.py` asks a language model, `scripted.py` makes answers up for tests and
benchmarks.

It speaks the part of Converse that this project uses: text and cache points in, one forced tool or plain
text out. A field outside that part is refused and never ignored. Signatures are not checked, and the texts
of some errors are a paraphrase; their types and statuses are Bedrock's.
"""

import json
import logging
import time
import uuid
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from traceback import format_tb
from typing import Any

from pydantic import ValidationError
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from cs_features.extraction.models import CAPABILITIES, ModelCapabilities
from cs_features.local.conversation import find_fault
from cs_features.local.converse import Answerer, ConverseRequest, Fault, Refusal, Reply, Throttle

logger = logging.getLogger(__name__)

MODEL_MAX_TOKENS = 64_000  # what Bedrock reserves when a request names no maxTokens


def read_request(model_id: str, body: bytes) -> ConverseRequest:
    """The request in `body`.

    Raises:
        Refusal: not JSON or not of Converse's shape; names the places, never the values.
    """
    try:
        content = json.loads(body)
        if not isinstance(content, dict):
            raise Refusal("Malformed input request: the body is not an object.")
        return ConverseRequest.model_validate({**content, "modelId": model_id})
    except ValidationError as error:
        places = [".".join(map(str, detail["loc"])) + f" ({detail['type']})" for detail in error.errors()]
        raise Refusal(f"Malformed input request: {'; '.join(places)}.") from None
    except ValueError:
        raise Refusal("Malformed input request: the body is not JSON.") from None


def find_refusal(request: ConverseRequest, capabilities: ModelCapabilities | None) -> Refusal | None:
    """Why Bedrock would refuse `request`, or None. `capabilities` is None for an unknown model."""
    if capabilities is None and f"eu.{request.model_id}" in CAPABILITIES:
        return Refusal(
            f"Invocation of model ID {request.model_id} with on-demand throughput isn\u2019t supported. Retry your "
            "request with the ID or ARN of an inference profile that contains this model."
        )
    if capabilities is None:
        return Refusal("The provided model identifier is invalid.")
    if fault := find_fault(request):
        return Refusal(fault)
    if request.prompt.count(None) and not capabilities.cache_points:
        message = "You invoked an unsupported model or your request did not allow prompt caching."
        return Refusal(message, 403, "AccessDeniedException")

    inference, extra = request.inference_config, request.additional_model_request_fields
    if capabilities.temperature is None and (
        # The defaults pass, as on Bedrock.
        inference.temperature not in (None, 1)
        or inference.top_p not in (None, 0.99)
        or extra.keys() & {"top_k", "temperature", "top_p"}
    ):
        return Refusal("temperature, top_p and top_k are not supported by this model.")
    if (inference.max_tokens or 0) > MODEL_MAX_TOKENS:
        return Refusal(f"max_tokens: {inference.max_tokens} > {MODEL_MAX_TOKENS}, which is the maximum allowed number.")
    if request.estimated_tokens > capabilities.context_tokens:
        return Refusal("Input is too long for requested model.")
    return None


def build_response_body(request: ConverseRequest, reply: Reply, latency_ms: int) -> dict[str, Any]:
    """`reply` as the body of a Converse response."""
    content: list[dict[str, Any]] = []
    if reply.text is not None:
        content.append({"text": reply.text})
    if reply.tool_input is not None and (tool := request.forced_tool):
        use = {"toolUseId": f"tooluse_{uuid.uuid4().hex[:22]}", "name": tool.name, "input": reply.tool_input}
        content.append({"toolUse": use})
    total = reply.input_tokens + reply.cache_read_tokens + reply.cache_write_tokens + reply.output_tokens
    return {
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": reply.stop_reason,
        "usage": {
            "inputTokens": reply.input_tokens,
            "outputTokens": reply.output_tokens,
            "totalTokens": total,
            "cacheReadInputTokens": reply.cache_read_tokens,
            "cacheWriteInputTokens": reply.cache_write_tokens,
        },
        "metrics": {"latencyMs": latency_ms},
    }


class Bucket:
    """A quota that refills continuously up to `burst_seconds` of its rate; full at first. None: no limit."""

    def __init__(self, per_minute: float | None, burst_seconds: float) -> None:
        self.per_minute = per_minute
        self.capacity = self.level = max(1.0, (per_minute or 0) * burst_seconds / 60)
        self.filled_at = time.monotonic()

    def has_room_for(self, amount: float) -> bool:
        if self.per_minute is None:
            return True
        now = time.monotonic()
        self.take_amount(-(now - self.filled_at) * self.per_minute / 60)
        self.filled_at = now
        # One call larger than the burst passes a full bucket and leaves a debt, or it would never pass.
        return amount <= self.per_minute and self.level >= min(amount, self.capacity)

    def take_amount(self, amount: float) -> None:
        """A negative amount gives back."""
        self.level = min(self.capacity, self.level - amount)


@dataclass
class Stats:
    """What happened here since the start, so that benchmarks count at the endpoint and not at the client.

    `answered` is what Bedrock would bill; `refused` counts by error type, `faults` by status or `drop`.
    """

    requests: int = 0
    answered: int = 0
    throttled: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    tokens: Counter[str] = field(default_factory=Counter)

    def count_fault(self, fault: Fault) -> None:
        if isinstance(fault, Throttle):
            self.throttled += 1
        elif isinstance(fault, Refusal):
            self.refused[fault.error_type] += 1
        else:
            self.faults[str(fault.status or "drop")] += 1

    def count_reply(self, reply: Reply) -> None:
        self.answered += 1
        self.tokens.update(
            input=reply.input_tokens,
            output=reply.output_tokens,
            cache_read=reply.cache_read_tokens,
            cache_write=reply.cache_write_tokens,
        )


class Dropped(Response):
    """Leaves the response unfinished; the server closes the connection, boto3 sees ConnectionClosedError."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Without a length the response is chunked, and boto3 misses the last chunk. With one, boto3 would
        # take the body that never came for an answer without fields.
        await send({"type": "http.response.start", "status": 200, "headers": []})


def build_error_response(fault: Fault) -> Response:
    if fault.status is None:
        return Dropped()
    headers = {"x-amzn-ErrorType": fault.error_type}
    return JSONResponse({"message": fault.message}, status_code=fault.status, headers=headers)


def build_routes(
    answerer: Answerer,
    *,
    requests_per_minute: float | None = None,
    tokens_per_minute: float | None = None,
    burst_seconds: float = 5.0,
) -> list[Route]:
    """Converse and its counters at `/_local/stats`. Each model has a quota of its own; None: no limit."""
    stats = Stats()
    calls = defaultdict[str, Bucket](lambda: Bucket(requests_per_minute, burst_seconds))
    tokens = defaultdict[str, Bucket](lambda: Bucket(tokens_per_minute, burst_seconds))

    async def answer_within_quota(request: ConverseRequest, burndown: int) -> Reply:
        calls_left, tokens_left = calls[request.model_id], tokens[request.model_id]
        reserved = request.estimated_tokens + (request.inference_config.max_tokens or MODEL_MAX_TOKENS)
        if not calls_left.has_room_for(1):
            raise Throttle("requests")
        if not tokens_left.has_room_for(reserved):
            raise Throttle("tokens")
        calls_left.take_amount(1)
        tokens_left.take_amount(reserved)
        used = 0
        try:
            reply = await answerer.answer(request)
            # What was read from the cache costs no quota in the end; an output token may cost several.
            used = reply.input_tokens + reply.cache_write_tokens + reply.output_tokens * burndown
            return reply
        finally:
            tokens_left.take_amount(used - reserved)

    async def answer_converse(http: HttpRequest) -> Response:
        started = time.monotonic()
        stats.requests += 1
        try:
            request = read_request(http.path_params["modelId"], await http.body())
            capabilities = CAPABILITIES.get(request.model_id)
            if refused := find_refusal(request, capabilities):
                raise refused
            reply = await answer_within_quota(request, capabilities.burndown if capabilities else 1)
        except Exception as error:
            fault = error if isinstance(error, Fault) else log_unexpected(error)
            stats.count_fault(fault)
            return build_error_response(fault)
        stats.count_reply(reply)
        return JSONResponse(build_response_body(request, reply, round((time.monotonic() - started) * 1000)))

    async def show_stats(_: HttpRequest) -> Response:
        return JSONResponse(vars(stats))

    return [
        Route("/model/{modelId:path}/converse", answer_converse, methods=["POST"]),
        Route("/_local/stats", show_stats, methods=["GET"]),
    ]


def log_unexpected(error: Exception) -> Fault:
    """An InternalServerException for an error of this stand-in itself, logged by type and place.

    Its message stays out of the log, because it may carry a customer's text.
    """
    logger.error("%s in the local Bedrock\n%s", type(error).__name__, "".join(format_tb(error.__traceback__)))
    return Fault(500, "InternalServerException", "The local Bedrock failed; its log says where.")
