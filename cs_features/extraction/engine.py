"""From requests to outcomes: retries by class of error, one repair of an invalid answer, the fan-out.

An outcome is data: a request that fails for its own reasons becomes a failed outcome and never an
exception. What would fail every request raises `RunStopper`. No S3, no Dagster, no table.
"""

import itertools
import json
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from typing import Any

import tenacity
from pydantic import ValidationError

from cs_features.extraction.bedrock import (
    InputTooLong,
    Reply,
    RequestRefused,
    Throttled,
    Unavailable,
)
from cs_features.extraction.pricing import TokenUsage
from cs_features.extraction.prompting import ConverseRequest, repair_request
from cs_features.schemas import Extraction, Reason

MAX_ATTEMPTS = 8
MAX_ANSWER_CHARACTERS = 20_000


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one request.

    `answer` is the validated answer, or None. `raw_answer` is the last tool input as JSON, valid or
    not. Usage, cost (US dollars) and attempts (HTTP calls) add up all calls made for the request;
    `latency_ms` is that of the last one.
    """

    request_hash: str
    answer: dict[str, Any] | None
    raw_answer: str | None
    error: Reason | None
    detail: str | None
    usage: TokenUsage
    cost_usd: float
    latency_ms: int
    attempts: int

    @property
    def answered(self) -> bool:
        return self.answer is not None


@dataclass(frozen=True)
class Extractor:
    """How one request is asked: `call` makes one attempt, the rest decides what to make of it."""

    call: Callable[[ConverseRequest], Reply]
    answer_model: type[Extraction]
    price: Callable[[TokenUsage], float]
    max_wait_seconds: float = 20.0

    def ask(self, request_hash: str, request: ConverseRequest) -> Outcome:
        """Ask until there is an answer, a reason, or `RunStopper`."""
        tally = _Tally(request_hash)
        try:
            outcome, complaint, tool_use = self._ask_once(request, tally)
            if complaint is not None and tool_use is not None:
                # One repair, with the validator's words; a model that misses twice is rejected.
                outcome, _, _ = self._ask_once(repair_request(request, tool_use, complaint), tally)
            return outcome
        except (Throttled, Unavailable) as error:
            detail = f"{error} after {tally.attempts} attempts"
            return tally.failed(Reason.SERVICE_FAILED, detail)
        except InputTooLong as error:
            return tally.failed(Reason.INPUT_TOO_LONG, str(error))
        except RequestRefused as error:
            return tally.failed(Reason.REQUEST_REFUSED, str(error))

    def _ask_once(self, request: ConverseRequest, tally: "_Tally") -> tuple[Outcome, str | None, dict[str, Any] | None]:
        """One answered call, as (outcome, what the validator says, the tool use to repair)."""
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type((Throttled, Unavailable)),
            stop=tenacity.stop_after_attempt(MAX_ATTEMPTS),
            wait=tenacity.wait_random_exponential(multiplier=0.5, max=self.max_wait_seconds),
            before=lambda _: tally.count_attempt(),
            reraise=True,
        )
        reply = retrying(self.call, request)
        tally.add(reply, self.price(reply.usage))
        if reply.stop_reason == "max_tokens":
            return tally.failed(Reason.ANSWER_CUT_OFF, "the answer reached maxTokens"), None, None
        if reply.tool_use is None:
            if reply.stop_reason in ("tool_use", "end_turn", "stop_sequence"):
                return tally.failed(Reason.INVALID_ANSWER, "the answer does not use the tool"), None, None
            return tally.failed(Reason.MODEL_REFUSED, f"stop reason {reply.stop_reason}"), None, None
        raw = json.dumps(reply.tool_use.get("input"), ensure_ascii=False)
        if len(raw) > MAX_ANSWER_CHARACTERS:
            return tally.failed(Reason.INVALID_ANSWER, f"the answer has {len(raw)} characters"), None, None
        tally.raw_answer = raw
        try:
            answer = self.answer_model.model_validate(reply.tool_use.get("input"))
        except ValidationError as error:
            complaint = _complaint(error)
            return tally.failed(Reason.INVALID_ANSWER, complaint), complaint, reply.tool_use
        return tally.answered(answer.model_dump()), None, None


class _Tally:
    """What the calls of one request have cost so far."""

    def __init__(self, request_hash: str) -> None:
        self.attempts = 0
        self.raw_answer: str | None = None
        self._empty = Outcome(request_hash, None, None, None, None, TokenUsage(), 0.0, 0, 0)

    def count_attempt(self) -> None:
        self.attempts += 1

    def add(self, reply: Reply, cost_usd: float) -> None:
        so_far = self._empty
        self._empty = replace(
            so_far,
            usage=so_far.usage + reply.usage,
            cost_usd=so_far.cost_usd + cost_usd,
            latency_ms=reply.latency_ms,
        )

    def answered(self, answer: dict[str, Any]) -> Outcome:
        return replace(self._empty, answer=answer, raw_answer=self.raw_answer, attempts=self.attempts)

    def failed(self, reason: Reason, detail: str) -> Outcome:
        return replace(self._empty, error=reason, detail=detail, raw_answer=self.raw_answer, attempts=self.attempts)


def _complaint(error: ValidationError) -> str:
    """What is wrong with an answer, by field, without the answer's text."""
    return "; ".join(
        f"{'.'.join(str(part) for part in problem['loc']) or 'answer'}: {problem['msg']}"
        for problem in error.errors(include_input=False)[:5]
    )


def fan_out(
    requests: Iterable[tuple[str, ConverseRequest]],
    ask: Callable[[str, ConverseRequest], Outcome],
    concurrency: int,
) -> Iterator[Outcome]:
    """Ask all requests, `concurrency` at a time, and yield outcomes as they come.

    The first request is asked alone: its prefix is in the model's cache before the others need it.
    When a call raises, no new one starts; those in flight are paid for, so their outcomes are
    yielded before the error is raised.
    """
    todo = iter(requests)
    first = next(todo, None)
    if first is None:
        return
    yield ask(*first)
    with ThreadPoolExecutor(concurrency, thread_name_prefix="bedrock") as pool:
        running: set[Future[Outcome]] = set()
        stopper: BaseException | None = None
        while True:
            if stopper is None:
                for request in itertools.islice(todo, concurrency - len(running)):
                    running.add(pool.submit(ask, *request))
            if not running:
                break
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                error = future.exception()
                if error is None:
                    yield future.result()
                else:
                    stopper = stopper or error
        if stopper is not None:
            raise stopper
