"""From a request to its outcome: retries by class of error, one repair of an invalid answer.

An outcome is data: a request that fails for its own reasons becomes a failed outcome and never an
exception. What would fail every request raises `RunStopper`. No S3, no Dagster, no table; how many requests are
asked at once is `fan_out.py`'s.
"""

import json
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import ValidationError

from cs_features.errors import (
    AnswerUnreadable,
    CallFailed,
    InputTooLong,
    Outage,
    RequestRefused,
    RunStopper,
    Throttled,
    Unavailable,
)
from cs_features.extraction.bedrock import Reply
from cs_features.extraction.brakes import Breaker, Budget, RefusalBrake, YieldBrake
from cs_features.extraction.call_errors import Ending, classify_stop_reason
from cs_features.extraction.estimate import TokenEstimate
from cs_features.extraction.pricing import TokenUsage
from cs_features.extraction.prompting import ConverseRequest, build_control_request, build_repair_request
from cs_features.extraction.quota import Limiter
from cs_features.schemas import ANSWER_FIELDS, Extraction, Reason

MAX_UNAVAILABLE = 8
MAX_THROTTLED = 24  # some four minutes: a quota counts a minute, and other hosts may spend it
MAX_BACKOFF_SECONDS = 20.0
# Answers to one interaction: the first, its repair, and one afresh. At 1 % malformed answers that
# leaves one interaction in a million without; with the repair alone it is one in ten thousand.
MAX_ASKED = 3
MAX_ANSWER_CHARACTERS = 20_000


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one request.

    `answer` is the validated answer, or None. `raw_answer` is its tool input as JSON; None for one
    that was refused. Usage, cost (US dollars) and attempts (HTTP calls) add up all calls made for the request;
    `latency_ms` is that of the last one.
    """

    request_hash: str
    answer: dict[str, Any] | None = None
    raw_answer: str | None = None
    error: Reason | None = None
    detail: str | None = None
    usage: TokenUsage = field(default_factory=TokenUsage)
    cost_usd: float = 0.0
    latency_ms: int = 0
    attempts: int = 0

    @property
    def answered(self) -> bool:
        return self.answer is not None

    def add_bill_of(self, other: "Outcome") -> "Outcome":
        """This outcome, with what another asking of the same request has cost added to its bill."""
        return replace(
            self,
            usage=self.usage + other.usage,
            cost_usd=self.cost_usd + other.cost_usd,
            attempts=self.attempts + other.attempts,
        )

    def without_bill(self) -> "Outcome":
        """The same for a second ledger: what was paid is on the bill of the first."""
        return replace(self, usage=TokenUsage(), cost_usd=0.0, attempts=0)


def _discard_model_reply(_: Reply) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Receipts:
    """The paid replies to one request: those that an earlier run has left unjudged, and where a new one is kept.

    `keep` is called before a reply is looked at, so that whatever stops the run then, nobody pays for it again.
    """

    earlier: Sequence[Reply] = ()
    keep: Callable[[Reply], None] = _discard_model_reply


@dataclass(frozen=True)
class Extractor:
    """How one request is asked: `call` makes one attempt, the rest decides what to make of it."""

    call: Callable[[ConverseRequest], Reply]
    answer_model: type[Extraction]
    price: Callable[[TokenUsage], float]
    limiter: Limiter
    budget: Budget
    estimate: TokenEstimate
    breaker: Breaker = field(default_factory=Breaker)
    refusals: RefusalBrake = field(default_factory=RefusalBrake)
    harvest: YieldBrake = field(default_factory=YieldBrake)
    sleep: Callable[[float], None] = time.sleep

    def ask(self, request_hash: str, request: ConverseRequest, receipts: Receipts = Receipts()) -> Outcome:
        """Ask until there is an answer or a reason. Earlier replies are judged again before anything is paid for.

        Raises:
            RunStopper: no request of this run would be answered, or none may be asked any more.
        """
        earlier = iter(receipts.earlier)
        so_far, asking = self.bill_unjudged_replies(request_hash, receipts.earlier), request
        for _ in range(MAX_ASKED):
            try:
                reply = next(earlier, None)
                if reply is None:
                    reply, so_far = self._call_until_answered(asking, so_far, receipts.keep)
            except RunStopper as stopper:
                if so_far.cost_usd:
                    stopper.paid = replace(so_far, answer=None, error=Reason.SERVICE_FAILED, detail="the run stopped")
                raise
            except _GaveUp as given_up:
                so_far = given_up.outcome
                if asking is not request and isinstance(given_up.cause, RequestRefused):
                    asking = request  # it is our repair that was refused, and not the question
                    continue
                if so_far.error is Reason.REQUEST_REFUSED and isinstance(given_up.cause, RequestRefused):
                    return self._judge_model_refusal(request, so_far, given_up.cause)
                return so_far
            so_far, complaint = self._judge_model_reply(reply, so_far)
            if complaint is None:
                return so_far
            asking = request if asking is not request else _choose_next_request(request, reply, complaint)
        return so_far

    def _judge_model_refusal(self, request: ConverseRequest, so_far: Outcome, refusal: RequestRefused) -> Outcome:
        """Where it may be the account's, put a harmless question; the outcome, with what that has cost."""
        if not self.refusals.note_account_refusal(refusal):
            return so_far
        try:
            _, so_far = self._call_until_answered(build_control_request(request), so_far, _discard_model_reply)
        except _GaveUp as given_up:
            if isinstance(given_up.cause, RequestRefused):
                self.refusals.convict()
            elif not isinstance(given_up.cause, AnswerUnreadable):
                raise Outage(f"Bedrock is down ({given_up.cause}). Every answer is kept; run again later") from None
        self.refusals.check()
        self.refusals.acquit()
        return so_far

    def ask_after_failures(self, request: ConverseRequest, outcome: Outcome) -> Outcome:
        """Put a harmless question where nothing came of many interactions; the outcome, with what that has cost."""
        try:
            reply, outcome = self._call_until_answered(build_control_request(request), outcome, _discard_model_reply)
        except (_GaveUp, RunStopper):
            return outcome  # what stops the run stops the next call as well
        judged, _ = self._judge_model_reply(reply, outcome)
        (self.harvest.acquit if judged.answered else self.harvest.convict)()
        return outcome

    def bill_unjudged_replies(self, request_hash: str, replies: Sequence[Reply]) -> Outcome:
        """What so many replies to a request have cost; it says nothing of what they answer."""
        return Outcome(
            request_hash,
            usage=sum((reply.usage for reply in replies), TokenUsage()),
            cost_usd=sum((self.price(reply.usage) for reply in replies), 0.0),
            latency_ms=replies[-1].latency_ms if replies else 0,
            attempts=len(replies),
        )

    def _call_until_answered(
        self, request: ConverseRequest, so_far: Outcome, keep_reply: Callable[[Reply], None]
    ) -> tuple[Reply, Outcome]:
        """One answered call, retried by class of error, and the outcome so far with its bill added."""
        unavailable = throttled = 0
        while True:
            reserved = self.estimate.tokens_of(request) + request["inferenceConfig"]["maxTokens"]
            self.limiter.wait_for_turn(reserved)
            usage = None
            try:
                self.budget.check()
                self.breaker.check()
                self.refusals.check()
                self.harvest.check()
                so_far = replace(so_far, attempts=so_far.attempts + 1)
                reply = self._assume_bill(request, self.call(request))
                keep_reply(reply)
                usage = reply.usage
            except Throttled as error:
                self.limiter.slow_down()
                throttled += 1
                if throttled == MAX_THROTTLED:
                    raise _GaveUp(so_far, Reason.SERVICE_FAILED, Throttled(f"{error} {throttled} times")) from None
                self._back_off_call(throttled)
            except Unavailable as error:
                self.breaker.failed(error)
                unavailable += 1
                if unavailable == MAX_UNAVAILABLE:
                    raise _GaveUp(so_far, Reason.SERVICE_FAILED, Unavailable(f"{error} {unavailable} times")) from None
                self._back_off_call(unavailable)
            except AnswerUnreadable as error:
                raise _GaveUp(so_far, Reason.INVALID_ANSWER, error) from None
            except InputTooLong as error:
                raise _GaveUp(so_far, Reason.INPUT_TOO_LONG, error) from None
            except RequestRefused as error:
                raise _GaveUp(so_far, Reason.REQUEST_REFUSED, error) from None
            else:
                self.breaker.succeeded()
                self.refusals.note_good_answer()
                self.estimate.learn(request, reply.usage)
                cost_usd = self.price(reply.usage)
                self.budget.spend(cost_usd)
                return reply, replace(
                    so_far,
                    usage=so_far.usage + reply.usage,
                    cost_usd=so_far.cost_usd + cost_usd,
                    latency_ms=reply.latency_ms,
                )
            finally:
                self.limiter.release_reserved(reserved, usage)

    def _assume_bill(self, request: ConverseRequest, reply: Reply) -> Reply:
        """A reply whose bill was lost on its way costs what was reserved for it: for nothing, it would reach no cap."""
        if any(reply.usage.counts):
            return reply
        largest = request["inferenceConfig"]["maxTokens"]
        return replace(reply, usage=TokenUsage(self.estimate.tokens_of(request), output_tokens=largest))

    def _back_off_call(self, failures: int) -> None:
        """Full jitter: calls that failed together do not come back together."""
        self.sleep(random.uniform(0, min(MAX_BACKOFF_SECONDS, 0.5 * 2**failures)))  # noqa: S311

    def _judge_model_reply(self, reply: Reply, so_far: Outcome) -> tuple[Outcome, str | None]:
        """The outcome that a reply makes, and what is wrong with it where another answer may be better."""

        def fail_with(reason: Reason, detail: str) -> Outcome:
            # What the rules refuse may be what they are there to refuse: it is kept nowhere.
            return replace(so_far, answer=None, raw_answer=None, error=reason, detail=detail)

        ending = classify_stop_reason(reply.stop_reason)
        if ending is Ending.CUT_OFF:
            return fail_with(Reason.ANSWER_CUT_OFF, ending.value), None
        if ending is Ending.TOO_LONG:
            return fail_with(Reason.INPUT_TOO_LONG, ending.value), None
        if ending is Ending.WITHHELD:
            return fail_with(Reason.MODEL_REFUSED, f"stop reason {reply.stop_reason[:40]}"), None
        if ending is Ending.MALFORMED:
            return fail_with(Reason.INVALID_ANSWER, ending.value), ending.value
        if reply.tool_use is None:
            complaint = "the answer does not use the tool"
            return fail_with(Reason.INVALID_ANSWER, complaint), complaint
        raw = json.dumps(reply.tool_use.get("input"))  # ASCII: an answer may hold half a surrogate pair
        if len(raw) > MAX_ANSWER_CHARACTERS:
            return fail_with(Reason.INVALID_ANSWER, f"the answer has {len(raw)} characters"), None
        try:
            answer = self.answer_model.model_validate(reply.tool_use.get("input"))
        except ValidationError as error:
            complaint = _describe_answer_problems(error)
            return fail_with(Reason.INVALID_ANSWER, complaint), complaint
        return replace(so_far, answer=answer.model_dump(), raw_answer=raw, error=None, detail=None), None


class _GaveUp(Exception):
    """A request that gets no answer: why, and its outcome with what it has cost."""

    def __init__(self, so_far: Outcome, reason: Reason, cause: CallFailed) -> None:
        super().__init__(reason.value)
        self.outcome = replace(so_far, answer=None, error=reason, detail=str(cause))
        self.cause = cause


def _choose_next_request(request: ConverseRequest, reply: Reply, complaint: str) -> ConverseRequest:
    """A repair with the validator's words, or the question afresh where the answer cannot be sent back."""
    if reply.tool_use is None or classify_stop_reason(reply.stop_reason) is Ending.MALFORMED:
        return request
    return build_repair_request(request, reply.tool_use, complaint) or request


def _describe_answer_problems(error: ValidationError) -> str:
    """What is wrong with an answer, by field, without the answer's text: not even a key it made up."""
    problems = error.errors(include_input=False)[:5]
    return "; ".join(f"{_name_answer_field(problem['loc'])}: {problem['msg']}" for problem in problems)


def _name_answer_field(location: tuple[int | str, ...]) -> str:
    return str(location[0]) if location and location[0] in ANSWER_FIELDS else "answer"
