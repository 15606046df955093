"""Retries, the one repair, typed failures, the bill, the fan-out, the budget and the breaker.

Real boto3 against a dictated endpoint; nobody waits, because the clock belongs to the test.
"""

import json
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import SimpleQueue
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cs_features.errors import RequestRefused, RunStopper, Unavailable
from cs_features.extraction.bedrock import Reply
from cs_features.extraction.brakes import OUTAGE_FAILURES, OUTAGE_SECONDS, Breaker, Budget
from cs_features.extraction.engine import (
    MAX_ANSWER_CHARACTERS,
    MAX_ASKED,
    MAX_BACKOFF_SECONDS,
    MAX_THROTTLED,
    MAX_UNAVAILABLE,
    Extractor,
    Outcome,
)
from cs_features.extraction.estimate import TokenEstimate
from cs_features.extraction.fan_out import fan_out
from cs_features.extraction.pricing import TokenUsage
from cs_features.extraction.prompts import TOOL_NAME
from cs_features.local import converse as wire
from cs_features.local.scripted import MALFORMED_KINDS, Script, ScriptedAnswerer
from cs_features.schemas import Reason
from cs_features_tests.support.desk import (
    DEFAULT,
    DOWN,
    GOOD,
    PATIENCE,
    PRICE,
    REFUSED,
    TOO_MANY,
    Clock,
    Desk,
    extractor_in,
    key_of,
    reply,
    request_of,
    requests_of,
    serving,
    wait_until,
)

ONE_CALL = TokenUsage(input_tokens=100, cache_read_tokens=2_000, cache_write_tokens=10, output_tokens=50)
WRONG = {**GOOD, "sentiment": "ironic"}


def ask(folder: Path, number: int | str = "x", **changes: Any) -> Outcome:
    return extractor_in(folder, **changes).ask(key_of(number), request_of(number))


def run(folder: Path, *numbers: int | str, concurrency: int = 4, **changes: Any) -> dict[str, Outcome]:
    """Outcomes of a whole run, by request."""
    extractor = extractor_in(folder, **changes)
    outcomes = fan_out(requests_of(*numbers).items(), extractor.ask, concurrency)
    return {outcome.request_hash: outcome for outcome in outcomes}


def drained(outcomes: Iterator[Outcome]) -> tuple[list[Outcome], RunStopper | None]:
    """What was yielded before the end, and the error that was the end."""
    yielded: list[Outcome] = []
    try:
        for outcome in outcomes:
            yielded.append(outcome)
    except RunStopper as error:
        return yielded, error
    return yielded, None


# --- retries ----------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [(429, "ThrottlingException"), (503, "ServiceUnavailableException")])
@pytest.mark.parametrize("times", [1, 3])
def test_what_passes_by_itself_is_asked_again(tmp_path: Path, error: tuple[int, str], times: int) -> None:
    """botocore's standard mode gave up after three attempts, and with 408 and 424 after one."""
    desk = Desk({"x": [wire.Fault(*error, "for a moment")] * times})
    with serving(desk):
        outcome = ask(tmp_path)
    assert outcome.answer == GOOD
    assert outcome.attempts == times + 1 == len(desk.asked)


@pytest.mark.parametrize(
    "error",
    [
        (408, "ModelTimeoutException"),
        (424, "ModelErrorException"),
        (500, "InternalServerException"),
        (429, "ModelNotReadyException"),
        (None, ""),
    ],
)
def test_every_kind_of_outage_is_asked_again(tmp_path: Path, error: tuple[int | None, str]) -> None:
    """An interaction lost to one 408 is data lost; botocore does not retry it in any mode."""
    with serving(Desk({"x": [wire.Fault(*error, "no")]})):
        assert ask(tmp_path).answered


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (REFUSED, Reason.REQUEST_REFUSED),
        (wire.Fault(400, "ValidationException", "Input is too long for requested model."), Reason.INPUT_TOO_LONG),
    ],
)
def test_a_400_is_asked_once_and_becomes_a_reason(tmp_path: Path, fault: wire.Fault, reason: Reason) -> None:
    """Curator asks a 400 up to its max_retries, ten by default."""
    desk = Desk({"x": [fault] * 9})
    with serving(desk):
        outcome = ask(tmp_path)
    assert (outcome.answer, outcome.error, outcome.attempts) == (None, reason, 1)
    assert len(desk.asked) == 1
    assert outcome.cost_usd == 0


def test_an_outage_of_one_request_ends_as_service_failed_after_bounded_attempts(tmp_path: Path) -> None:
    """Without an end one request holds a thread, and the run, for ever."""
    clock, desk = Clock(), Desk({"x": [DOWN] * 99})
    with serving(desk):
        outcome = ask(tmp_path, clock=clock)
    assert (outcome.error, outcome.attempts) == (Reason.SERVICE_FAILED, MAX_UNAVAILABLE)
    assert len(desk.asked) == MAX_UNAVAILABLE
    assert all(0 <= pause <= MAX_BACKOFF_SECONDS for pause in clock.slept)
    assert len(clock.slept) >= MAX_UNAVAILABLE - 1, "asked again without a pause"


@pytest.mark.parametrize("stated", [1_200, None])
def test_a_throttled_call_outlasts_the_minute_that_the_quota_counts_in_but_not_for_ever(
    tmp_path: Path, stated: float | None
) -> None:
    """DSPy's 50 retries were over before the minute was, and the row was lost to a quota that came back."""
    clock, desk = Clock(), Desk({"x": [TOO_MANY] * 999})
    with serving(desk):
        outcome = ask(tmp_path, clock=clock, requests_per_minute=stated)
    assert (outcome.error, outcome.attempts) == (Reason.SERVICE_FAILED, MAX_THROTTLED)
    assert sum(clock.slept) >= 60


def test_throttles_do_not_count_as_outages_of_the_same_request(tmp_path: Path) -> None:
    """A call that met seven 503 and then a busy minute was given up with the answer near."""
    faults = [TOO_MANY, DOWN] * (MAX_UNAVAILABLE - 1)
    with serving(Desk({"x": faults})):
        outcome = ask(tmp_path)
    assert outcome.answered
    assert outcome.attempts == len(faults) + 1


# --- repair -----------------------------------------------------------------------------------


def test_an_invalid_answer_is_repaired_once_with_the_validators_words(tmp_path: Path) -> None:
    """Asking the same question again gets the same mistake; telling the model what is wrong does not."""
    desk = Desk({"x": [reply(WRONG)]})
    with serving(desk):
        outcome = ask(tmp_path)
    assert outcome.answer == GOOD
    assert outcome.error is None
    assert outcome.detail is None
    assert len(desk.asked) == 2
    first, second = desk.asked
    assert second.messages[: len(first.messages)] == first.messages
    assert second.system == first.system, "another prefix than the cached one"
    assert second.messages[1].content[0].tool_use is not None
    assert second.messages[1].content[0].tool_use.input == WRONG
    result = second.messages[2].content[0].tool_result
    assert result is not None
    assert result.status == "error"
    assert "sentiment" in result.content[0]["text"]
    assert "'positive', 'neutral' or 'negative'" in result.content[0]["text"]


def test_the_repair_is_on_the_bill(tmp_path: Path) -> None:
    """A bill that counts the last call only is wrong exactly where the model is worst."""
    with serving(Desk({"x": [reply(WRONG)]})):
        extractor = extractor_in(tmp_path)
        outcome = extractor.ask(key_of("x"), request_of("x"))
    assert outcome.usage == ONE_CALL + ONE_CALL
    assert outcome.cost_usd == pytest.approx(2 * PRICE(ONE_CALL))
    assert extractor.budget.spent_usd == pytest.approx(outcome.cost_usd)
    assert outcome.attempts == 2


def test_a_repair_that_misses_is_followed_by_one_question_afresh(tmp_path: Path) -> None:
    """A conversation that has gone wrong twice stays wrong; the question itself, asked anew, is mostly answered."""
    desk = Desk({"x": [reply(WRONG), reply(WRONG)]})
    with serving(desk):
        outcome = ask(tmp_path)
    assert outcome.answer == GOOD
    assert outcome.error is None
    assert [len(request.messages) for request in desk.asked] == [1, 3, 1]
    assert outcome.cost_usd == pytest.approx(3 * PRICE(ONE_CALL))


def test_a_model_that_misses_every_time_is_an_invalid_answer_of_which_the_complaint_is_kept_and_no_word(
    tmp_path: Path,
) -> None:
    """Without an end one interaction costs more than a day. Answers were kept for the reader, and with them every value
    for which the rules had refused them."""
    last = {**GOOD, "urgency_score": 1.5}
    desk = Desk({"x": [*[reply(WRONG)] * (MAX_ASKED - 1), reply(last), reply(WRONG)]})
    with serving(desk):
        outcome = ask(tmp_path)
    assert (outcome.answer, outcome.error) == (None, Reason.INVALID_ANSWER)
    assert len(desk.asked) == outcome.attempts == MAX_ASKED
    assert outcome.detail is not None
    assert outcome.detail.startswith("urgency_score:")
    assert outcome.raw_answer is None
    assert outcome.cost_usd == pytest.approx(MAX_ASKED * PRICE(ONE_CALL))


@pytest.mark.parametrize(
    "wrong",
    [json.dumps(GOOD), [GOOD], "", 17, {"urgency_score": float("nan")}, {"summary": "\ud83d"}],
    ids=["JSON in a string", "list", "empty string", "number", "NaN", "half an emoji"],
)
def test_an_answer_that_bedrock_would_not_take_back_is_asked_for_afresh(tmp_path: Path, wrong: Any) -> None:
    """The repair replayed it, Bedrock answered 400, and the row was refused for good (fault 28)."""
    calls: list[dict[str, Any]] = []

    def call(request: dict[str, Any]) -> Reply:
        calls.append(request)
        tool_input = wrong if len(calls) == 1 else GOOD
        return Reply({"toolUseId": "t", "name": TOOL_NAME, "input": tool_input}, "tool_use", ONE_CALL, 1)

    outcome = ask(tmp_path, call=call)
    assert outcome.answer == GOOD
    assert calls == [request_of("x"), request_of("x")]


@pytest.mark.parametrize(
    "use", [{"toolUseId": "not an id"}, {"toolUseId": ""}, {"toolUseId": "x" * 65}, {"name": "another_tool"}]
)
def test_a_tool_use_that_cannot_be_named_again_is_asked_for_afresh(tmp_path: Path, use: dict[str, str]) -> None:
    """Converse takes back the id of a tool use only as it would give it, and the tools of the request only."""
    first = {"toolUseId": "t", "name": TOOL_NAME, "input": WRONG, **use}
    uses = [first, {"toolUseId": "t", "name": TOOL_NAME, "input": GOOD}]
    asked: list[dict[str, Any]] = []

    def call(request: dict[str, Any]) -> Reply:
        asked.append(request)
        return Reply(uses.pop(0), "tool_use", ONE_CALL, 1)

    assert ask(tmp_path, call=call).answered
    assert [len(request["messages"]) for request in asked] == [1, 1]


def test_a_repair_sends_back_what_converse_knows_of_a_tool_use_and_nothing_else(tmp_path: Path) -> None:
    """A newer Bedrock's members of a tool use, sent back to it, are members that it may refuse in a request."""
    uses = [
        {"toolUseId": "t", "name": TOOL_NAME, "input": WRONG, "type": "server_tool_use", "of_tomorrow": 1},
        {"toolUseId": "t", "name": TOOL_NAME, "input": GOOD},
    ]
    asked: list[dict[str, Any]] = []

    def call(request: dict[str, Any]) -> Reply:
        asked.append(request)
        return Reply(uses.pop(0), "tool_use", ONE_CALL, 1)

    assert ask(tmp_path, call=call).answered
    assert asked[1]["messages"][1]["content"] == [
        {"toolUse": {"toolUseId": "t", "name": TOOL_NAME, "input": WRONG}},
    ]


@pytest.mark.parametrize("stop_reason", ["malformed_tool_use", "malformed_model_output"])
def test_output_that_bedrock_calls_malformed_is_asked_for_afresh(tmp_path: Path, stop_reason: str) -> None:
    """It was 'the model refused', once and for all, though the next answer is mostly well-formed."""
    desk = Desk({"x": [reply(stop_reason=stop_reason)]})
    with serving(desk):
        outcome = ask(tmp_path)
    assert outcome.answer == GOOD
    assert [len(request.messages) for request in desk.asked] == [1, 1]


def test_an_answer_in_prose_is_asked_for_afresh_because_there_is_nothing_to_repair(tmp_path: Path) -> None:
    """A toolResult without a toolUse before it is a 400."""
    desk = Desk({"x": [reply(None, stop_reason="end_turn", text="The customer is unhappy.")]})
    with serving(desk):
        outcome = ask(tmp_path)
    assert outcome.answer == GOOD
    assert [len(request.messages) for request in desk.asked] == [1, 1]


@pytest.mark.parametrize("kind", [kind for kind in MALFORMED_KINDS if kind != "text_instead_of_tool"])
def test_every_kind_of_malformed_answer_can_be_repaired(tmp_path: Path, kind: str) -> None:
    """DocETL drops a row whose answer does not parse; a tool input that is a string crashed the repair itself."""

    malformed = SimpleNamespace(script=Script(malformed_rate=1.0, malformed_kinds=(kind,)))

    class OnceMalformed(ScriptedAnswerer):
        async def answer(self, request: wire.ConverseRequest) -> wire.Reply:
            self.script, malformed.script = malformed.script, Script()
            return await super().answer(request)

    with serving(OnceMalformed()) as endpoint:
        outcome = ask(tmp_path)
        assert endpoint.stats()["answered"] == 2
    assert outcome.answered, outcome.detail
    assert outcome.attempts == 2


def test_a_repair_that_the_service_refuses_is_followed_by_the_question_afresh(tmp_path: Path) -> None:
    """The README promised it, and the row was rejected as if the interaction were at fault (fault 29)."""
    desk = Desk({"x": [reply(WRONG), REFUSED]})
    with serving(desk):
        outcome = ask(tmp_path)
    assert outcome.answer == GOOD
    assert [len(request.messages) for request in desk.asked] == [1, 3, 1]
    assert outcome.cost_usd == pytest.approx(2 * PRICE(ONE_CALL))
    assert outcome.attempts == 3


def test_a_question_that_is_refused_after_its_repair_was_is_refused_with_its_bill(tmp_path: Path) -> None:
    """The first call is paid for, whatever becomes of the others; and one fresh call is enough."""
    desk = Desk({"x": [reply(WRONG), REFUSED, REFUSED, reply()]})
    with serving(desk):
        outcome = ask(tmp_path)
    assert (outcome.answer, outcome.error) == (None, Reason.REQUEST_REFUSED)
    assert outcome.cost_usd == pytest.approx(PRICE(ONE_CALL))
    assert len(desk.asked) == outcome.attempts == 3


def test_a_summary_with_personal_data_is_repaired_and_the_complaint_does_not_repeat_it(tmp_path: Path) -> None:
    """A validator that quotes what it found puts the customer's account number into logs and tables."""
    iban = "NL91ABNA0417164300"
    desk = Desk({"x": [reply({**GOOD, "summary": f"The customer wants money on {iban}."})] * MAX_ASKED})
    with serving(desk):
        outcome = ask(tmp_path)
    assert outcome.error is Reason.INVALID_ANSWER
    assert outcome.detail is not None
    assert "summary" in outcome.detail
    assert iban not in outcome.detail
    result = desk.asked[1].messages[2].content[0].tool_result
    assert result is not None
    assert iban not in result.content[0]["text"]


# --- failures that no repair helps ------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (reply(None, stop_reason="refusal"), Reason.MODEL_REFUSED),
        (reply(None, stop_reason="content_filtered"), Reason.MODEL_REFUSED),
        (reply(stop_reason="content_filtered"), Reason.MODEL_REFUSED),
        (reply(stop_reason="guardrail_intervened"), Reason.MODEL_REFUSED),
        (reply(stop_reason="a_reason_of_tomorrow"), Reason.MODEL_REFUSED),
        (reply(stop_reason="model_context_window_exceeded"), Reason.INPUT_TOO_LONG),
        (reply(None, stop_reason="guardrail_intervened", text="Sorry."), Reason.MODEL_REFUSED),
        (reply({"summary": "The customer"}, stop_reason="max_tokens"), Reason.ANSWER_CUT_OFF),
        (reply(None, stop_reason="max_tokens", text="The customer"), Reason.ANSWER_CUT_OFF),
        (reply({**GOOD, "summary": "x" * 5_000_000}), Reason.INVALID_ANSWER),
    ],
    ids=[
        "refusal",
        "filtered",
        "filtered with an answer",
        "guardrail with an answer",
        "of tomorrow",
        "too long",
        "guardrail",
        "cut in the tool",
        "cut in prose",
        "5 MB",
    ],
)
def test_an_answer_that_is_none_is_a_typed_failure_with_its_bill_and_without_a_second_call(
    tmp_path: Path, answer: wire.Reply, reason: Reason
) -> None:
    """Each of these was once a KeyError at the end of a run, or a row that vanished."""
    desk = Desk({"x": [answer]})
    with serving(desk):
        outcome = ask(tmp_path)
    assert (outcome.answer, outcome.error) == (None, reason)
    assert outcome.detail
    assert len(desk.asked) == outcome.attempts == 1
    assert outcome.usage == ONE_CALL
    assert outcome.cost_usd == pytest.approx(PRICE(ONE_CALL))
    assert len(outcome.raw_answer or "") <= MAX_ANSWER_CHARACTERS, "5 MB an answer fill the ledger"


@pytest.mark.parametrize("text", [None, "The customer is unhappy."], ids=["empty", "prose"])
def test_a_model_that_never_uses_the_tool_is_an_invalid_answer_with_its_bill(tmp_path: Path, text: str | None) -> None:
    """Prose that was parsed for features 'where possible' gave features that nobody had said."""
    desk = Desk({"x": [reply(None, stop_reason="end_turn", text=text)] * 9})
    with serving(desk):
        outcome = ask(tmp_path)
    assert (outcome.answer, outcome.error, outcome.raw_answer) == (None, Reason.INVALID_ANSWER, None)
    assert len(desk.asked) == outcome.attempts == MAX_ASKED
    assert outcome.cost_usd == pytest.approx(MAX_ASKED * PRICE(ONE_CALL))


def test_a_cut_answer_that_happens_to_be_valid_is_still_cut(tmp_path: Path) -> None:
    """A number cut in the middle is a valid number and a wrong one."""
    with serving(Desk({"x": [reply(stop_reason="max_tokens")]})):
        assert ask(tmp_path).error is Reason.ANSWER_CUT_OFF


def _raw_answers(tool_use_of: Callable[[str], str]) -> Route:
    """Answers whose toolUse block is JSON as `tool_use_of` the request's body gives it."""

    async def answer(http: Request) -> Response:
        use = tool_use_of((await http.body()).decode())
        body = (
            f'{{"output": {{"message": {{"role": "assistant", "content": [{{"toolUse": {use}}}]}}}}, '
            '"stopReason": "tool_use", "metrics": {"latencyMs": 1}, '
            '"usage": {"inputTokens": 100, "outputTokens": 50, "totalTokens": 150}}'
        )
        return Response(body, media_type="application/json")

    return Route("/model/{model:path}/converse", answer, methods=["POST"])


@pytest.mark.parametrize(
    "broken",
    ["null", '{"summary": ' + "[" * 3_000 + "]" * 3_000 + "}", '{"summary": "\\ud83d"}', "17", "[]", '{"a": NaN}'],
    ids=["null", "brackets without end", "half an emoji", "a number", "a list", "NaN"],
)
def test_no_tool_input_whatever_fails_more_than_its_own_row(tmp_path: Path, broken: str) -> None:
    """boto3 refuses to send `null` back for repair, and Python's JSON parser gives up in the depth: either
    stopped the run, and every rerun, at the same interaction."""

    def tool_use(body: str) -> str:
        tool_input = broken if "poison" in body else json.dumps(GOOD)
        return f'{{"toolUseId": "t", "name": "record_features", "input": {tool_input}}}'

    with serving(instead=[_raw_answers(tool_use)]):
        outcomes = run(tmp_path, 1, 2, "poison", 3, 4)
    assert not outcomes[key_of("poison")].answered
    assert outcomes[key_of("poison")].error is not None
    assert [outcomes[key_of(number)].answered for number in (1, 2, 3, 4)] == [True] * 4


# --- one row, many rows -----------------------------------------------------------------------


def test_one_poison_row_of_many_leaves_all_others_answered(tmp_path: Path) -> None:
    """All six peers raise and deliver nothing of the 41 good rows."""
    numbers = [*range(41), "poison"]
    with serving(ScriptedAnswerer(Script(poison="poison"))) as endpoint:
        outcomes = run(tmp_path, *numbers, concurrency=8)
        assert endpoint.stats()["answered"] == 41
    assert len(outcomes) == 42
    assert [outcome.request_hash for outcome in outcomes.values() if not outcome.answered] == [key_of("poison")]
    assert outcomes[key_of("poison")].error is Reason.REQUEST_REFUSED


@pytest.mark.heavy
def test_a_bad_day_at_the_service_loses_no_row(tmp_path: Path) -> None:
    """5 % faults of every kind and 5 % malformed answers: each request still ends with an answer."""
    script = Script(
        faults=dict.fromkeys(("500", "503", "408", "424", "429", "drop"), 0.008),
        malformed_rate=0.05,
        malformed_kinds=("outside_enum", "missing_field"),
    )
    with serving(ScriptedAnswerer(script)) as endpoint:
        outcomes = run(tmp_path, *range(120), concurrency=8)
        stats = endpoint.stats()
    answered = [outcome for outcome in outcomes.values() if outcome.answered]
    assert len(outcomes) == 120
    assert len(answered) >= 119, "a malformed repair is the only thing that may fail here"
    assert sum(stats["faults"].values()) > 0
    assert sum(outcome.attempts for outcome in outcomes.values()) == stats["requests"]


def test_attempts_cost_and_usage_add_up_to_the_endpoints_own_count(tmp_path: Path) -> None:
    """LiteLLM metered batches at 0/0/0; here the client's bill is what the endpoint has counted."""
    script = Script(faults={"503": 0.1, "429": 0.1}, malformed_rate=0.2, refusal_rate=0.05, max_tokens_rate=0.05)
    with serving(ScriptedAnswerer(script)) as endpoint:
        clock = Clock()
        extractor = extractor_in(tmp_path, clock=clock)
        outcomes = list(fan_out(requests_of(*range(60)).items(), extractor.ask, 8))
        stats = endpoint.stats()
    total = sum((outcome.usage for outcome in outcomes), TokenUsage())
    assert stats["tokens"] == {
        "input": total.input_tokens,
        "cache_read": total.cache_read_tokens,
        "cache_write": total.cache_write_tokens,
        "output": total.output_tokens,
    }
    assert sum(outcome.attempts for outcome in outcomes) == stats["requests"]
    assert stats["requests"] > stats["answered"] > 60
    listed = 0.11 * total.input_tokens + 0.011 * total.cache_read_tokens + 0.1375 * total.cache_write_tokens
    assert extractor.budget.spent_usd == pytest.approx((listed + 0.55 * total.output_tokens) / 1e6)
    assert extractor.budget.spent_usd == pytest.approx(sum(outcome.cost_usd for outcome in outcomes))


def test_the_first_call_is_alone_and_the_fan_out_reads_what_it_has_cached(tmp_path: Path) -> None:
    """Calls that start together each write the prefix: at 32 threads a third of a small day is billed 12 times over."""
    desk = Desk()
    started, go_on = threading.Event(), threading.Event()

    def first() -> None:
        started.set()
        go_on.wait(PATIENCE)

    desk.otherwise = first
    with serving(desk):
        results: list[Any] = []
        runner = threading.Thread(target=lambda: results.append(run(tmp_path, *range(20), concurrency=8)))
        runner.start()
        assert started.wait(PATIENCE)
        # Whoever would come, has had the time: the endpoint is on this machine.
        for _ in range(20):
            threading.Event().wait(0.01)
        assert len(desk.asked) == 1
        go_on.set()
        runner.join(PATIENCE)
    assert len(results[0]) == 20

    with serving(ScriptedAnswerer(Script(latency_mean_s=0.02))) as endpoint:
        run(tmp_path, *range(20), concurrency=8)
        tokens = endpoint.stats()["tokens"]
    one_prefix = tokens["cache_write"]
    assert tokens["cache_read"] == 19 * one_prefix


def test_no_more_calls_are_in_flight_than_allowed_and_as_many_as_allowed(tmp_path: Path) -> None:
    """Too many and the connection pool spills, too few and the quota goes unused."""
    together = threading.Barrier(5)
    desk = Desk({"Mijn pakket 0 ": [reply()]}, otherwise=lambda: together.wait(PATIENCE) and None)
    with serving(desk):
        outcomes = run(tmp_path, *range(21), concurrency=5)
    assert all(outcome.answered for outcome in outcomes.values())
    assert desk.most_running == 5


def test_a_fatal_error_starts_no_new_call_and_yields_those_in_flight(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is in flight is paid for: an error that threw it away was paid for twice. Outcomes without usage were all
    consumed by the warm-up, so that nothing of this was ever seen."""
    release, asked, lock = threading.Event(), [], threading.Lock()

    def ask_one(key: str, _: dict[str, Any]) -> Outcome:
        with lock:
            asked.append(key)
        if key == "fatal":
            wait_until(lambda: len(asked) >= 5)
            raise RunStopper("the quota of the day is spent")
        if key in ("2", "3", "4"):
            release.wait(PATIENCE)
        return Outcome(key, answer={}, usage=ONE_CALL)

    todo: list[tuple[str, dict[str, Any]]] = [(key, {}) for key in ("1", "2", "3", "4", "fatal", "6", "7", "8", "9")]
    ended: list[Any] = []

    class WatchedQueue(SimpleQueue[Any]):
        def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
            super().put(item)
            ended.extend([item] if isinstance(item, (Outcome, RunStopper)) else [])
            # Only when the error lies in the queue may the others finish: whoever starts a call then, is too late.
            if isinstance(item, RunStopper):
                release.set()

    monkeypatch.setattr("cs_features.extraction.fan_out.SimpleQueue", WatchedQueue)
    outcomes, error = drained(fan_out(todo, ask_one, 4))
    assert len(ended) == 4, "the warm-up loop asked what the fan-out was to ask"
    assert "quota of the day" in str(error)
    assert sorted(outcome.request_hash for outcome in outcomes) == ["1", "2", "3", "4"]
    assert sorted(asked) == ["1", "2", "3", "4", "fatal"]


def test_a_fatal_error_of_the_first_call_is_the_only_call(tmp_path: Path) -> None:
    """Access denied is known after one call; 32 threads would say it 32 times."""
    desk = Desk(otherwise=wire.Fault(403, "AccessDeniedException", "not authorized to perform bedrock:InvokeModel"))
    with serving(desk), pytest.raises(RunStopper, match="AccessDenied"):
        run(tmp_path, *range(20))
    assert len(desk.asked) == 1


def test_nothing_to_ask_asks_nothing() -> None:
    """An empty partition is an ordinary day."""
    assert list(fan_out([], lambda key, request: pytest.fail("asked"), 4)) == []


# --- the budget -------------------------------------------------------------------------------


def test_a_reply_whose_bill_was_lost_counts_as_what_it_may_have_cost(tmp_path: Path) -> None:
    """A gateway left `usage` out: every call was free, and no cap was ever reached."""
    unbilled = Reply({"toolUseId": "t", "name": "record_features", "input": GOOD}, "tool_use", TokenUsage(), 1)
    extractor = extractor_in(tmp_path, call=lambda _: unbilled)
    outcome = extractor.ask(key_of(1), request_of(1))
    assert outcome.answered
    assert outcome.usage.prompt_tokens == extractor.estimate.tokens_of(request_of(1))
    assert extractor.budget.spent_usd == outcome.cost_usd > 0


def test_a_budget_of_zero_starts_no_call(tmp_path: Path) -> None:
    """Zero is how an operator says: not today."""
    desk = Desk()
    with serving(desk), pytest.raises(RunStopper, match="CS_FEATURES_MAX_COST_USD"):
        run(tmp_path, 1, 2, 3, max_cost_usd=0.0)
    assert desk.asked == []


def test_past_the_budget_no_new_call_starts_and_what_was_answered_is_yielded(tmp_path: Path) -> None:
    """A typo in a filter once asked a year instead of a day, and nothing stood between that and the bill."""
    desk = Desk()
    with serving(desk):
        extractor = extractor_in(tmp_path, max_cost_usd=3.5 * PRICE(ONE_CALL))
        outcomes, error = drained(fan_out(requests_of(*range(20)).items(), extractor.ask, 1))
    assert len(desk.asked) == len(outcomes) == 4
    assert "Every answer is kept" in str(error)
    assert "CS_FEATURES_MAX_COST_USD" in str(error)


def test_a_spent_budget_stops_retries_and_repairs_too(tmp_path: Path) -> None:
    """A repair is a call like any other."""
    desk = Desk({"x": [reply(WRONG)]})
    with serving(desk), pytest.raises(RunStopper, match="budget"):
        ask(tmp_path, max_cost_usd=0.5 * PRICE(ONE_CALL))
    assert len(desk.asked) == 1


def test_a_stopped_call_gives_its_reserved_tokens_back(tmp_path: Path) -> None:
    """32 threads that stop at the budget held 32 reservations, which other runs on the host then waited out."""
    clock = Clock()
    with serving():
        spent = extractor_in(tmp_path, clock=clock, max_cost_usd=0.0, requests_per_minute=None, tokens_per_minute=60.0)
        for _ in range(5):
            with pytest.raises(RunStopper):
                spent.ask(key_of(1), request_of(1))
        clock.slept.clear()
        other = extractor_in(tmp_path, clock=clock, requests_per_minute=None, tokens_per_minute=60.0)
        other.limiter.wait_for_turn(1)
    assert sum(clock.slept) <= 1.0


def test_a_budget_that_is_spent_while_a_call_waits_for_its_turn_is_not_overdrawn(tmp_path: Path) -> None:
    """Thirty-two threads stood in line behind a slow quota, each with a budget that it had checked minutes ago."""
    desk = Desk()
    with serving(desk):
        made = extractor_in(tmp_path)

        class Slow:
            def wait_for_turn(self, reserved: int) -> None:
                made.budget.spend(1.0)  # by the others, meanwhile

            def release_reserved(self, reserved: int, usage: TokenUsage | None) -> None:
                """Nothing was used."""

        extractor = Extractor(**{**_fields(made), "limiter": Slow()})
        with pytest.raises(RunStopper, match="budget"):
            extractor.ask(key_of(1), request_of(1))
    assert desk.asked == []


def test_an_outage_or_a_refused_account_that_is_known_after_the_wait_stops_the_call(tmp_path: Path) -> None:
    """The same for the other brakes: each of the threads in line would have asked once more."""
    desk, clock = Desk(), Clock()
    with serving(desk):
        for trouble in ("outage", "refusals"):
            made = extractor_in(tmp_path, clock=clock)

            class Slow:
                def __init__(self, trouble: str, extractor: Extractor) -> None:
                    self.trouble, self.extractor = trouble, extractor

                def wait_for_turn(self, reserved: int) -> None:
                    for _ in range(OUTAGE_FAILURES):
                        if self.trouble == "outage":
                            self.extractor.breaker.failed(Unavailable("503"))
                        else:
                            self.extractor.refusals.note_account_refusal(RequestRefused("400"))
                            self.extractor.refusals.convict()
                    clock.now += OUTAGE_SECONDS

                def release_reserved(self, reserved: int, usage: TokenUsage | None) -> None:
                    """Nothing was used."""

            extractor = Extractor(**{**_fields(made), "limiter": Slow(trouble, made)})
            with pytest.raises(RunStopper):
                extractor.ask(key_of(1), request_of(1))
    assert desk.asked == []


def test_a_budget_counts_what_all_threads_spend() -> None:
    """A lost update is a budget that is never reached."""
    budget = Budget(1.0)

    def spend() -> None:
        for _ in range(5_000):
            budget.spend(0.0001)

    threads = [threading.Thread(target=spend) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert budget.spent_usd == pytest.approx(2.0)
    with pytest.raises(RunStopper):
        budget.check()


# --- the breaker ------------------------------------------------------------------------------


def test_an_outage_stops_the_run_long_before_every_row_has_been_tried(tmp_path: Path) -> None:
    """Without a breaker an hour's outage is 3,500 rows times 8 attempts, and 3,500 rejects for nothing."""
    clock, desk = Clock(), Desk(otherwise=DOWN)
    with serving(desk), pytest.raises(RunStopper, match="run the partition again when it is back"):
        run(tmp_path, *range(200), concurrency=1, clock=clock)
    assert OUTAGE_FAILURES <= len(desk.asked) < 100
    assert clock() - 10_000 >= OUTAGE_SECONDS


@pytest.mark.heavy
def test_scattered_failures_do_not_trip_the_breaker(tmp_path: Path) -> None:
    """A run that gives up at 30 % of 503 gives up on an ordinary afternoon."""
    with serving(ScriptedAnswerer(Script(faults={"503": 0.3}))) as endpoint:
        outcomes = run(tmp_path, *range(120), concurrency=4)
        assert endpoint.stats()["faults"]["503"] > OUTAGE_FAILURES
    assert all(outcome.answered for outcome in outcomes.values())


def test_the_breaker_wants_both_many_failures_and_time() -> None:
    """Thirty-two threads fail thirty-two times in one second of a deployment; two failures a minute are no outage."""
    clock = Clock(now=0.0)
    burst = Breaker(clock)
    for _ in range(OUTAGE_FAILURES * 3):
        burst.failed(Unavailable("503"))
    burst.check()
    clock.now += OUTAGE_SECONDS
    with pytest.raises(RunStopper, match="503"):
        burst.check()

    rare = Breaker(clock)
    for _ in range(OUTAGE_FAILURES - 1):
        rare.failed(Unavailable("503"))
        clock.now += 60
    rare.check()


@given(st.lists(st.sampled_from(["failed", "succeeded", "second"]), max_size=200))
def test_the_breaker_is_open_exactly_after_enough_failures_in_a_row_over_enough_time(events: list[str]) -> None:
    """One success is proof that the service is up, however many failures came before it."""
    clock = Clock(now=0.0)
    breaker, failures = Breaker(clock), []
    for event in [*["failed"] * (OUTAGE_FAILURES - 3), *events]:
        if event == "failed":
            breaker.failed(Unavailable("503"))
            failures.append(clock.now)
        elif event == "succeeded":
            breaker.succeeded()
            failures = []
        else:
            clock.now += OUTAGE_SECONDS / 3
        outage = len(failures) >= OUTAGE_FAILURES and clock.now - failures[0] >= OUTAGE_SECONDS
        try:
            breaker.check()
        except RunStopper:
            assert outage
        else:
            assert not outage


# --- the estimate -----------------------------------------------------------------------------


def test_the_estimate_of_a_prompt_learns_from_the_replies() -> None:
    """A reservation twice too large halves the throughput; one too small is a storm of throttles."""
    request, estimate = request_of(), TokenEstimate(DEFAULT.tokens_per_character)
    true = TokenUsage(input_tokens=50, cache_read_tokens=estimate.tokens_of(request) * 2, output_tokens=999)
    for _ in range(40):
        estimate.learn(request, true)
    assert estimate.tokens_of(request) == pytest.approx(true.prompt_tokens, rel=0.01)
    estimate.learn(request, TokenUsage())
    assert estimate.tokens_of(request) == pytest.approx(true.prompt_tokens, rel=0.01), (
        "learned from a reply without usage"
    )


def test_the_limiter_is_told_prompt_and_max_tokens_and_settled_with_the_usage(tmp_path: Path) -> None:
    """Bedrock reserves both up front; whoever reserves less is throttled, whoever settles nothing starves."""
    told: list[tuple[str, Any]] = []

    class Told:
        def wait_for_turn(self, reserved: int) -> None:
            told.append(("reserve", reserved))

        def release_reserved(self, reserved: int, usage: TokenUsage | None) -> None:
            told.append(("settle", (reserved, usage)))

        def slow_down(self) -> None:
            told.append(("throttled", None))

    made = extractor_in(tmp_path, call=_replies(TOO_MANY, reply(), reply()))
    extractor = Extractor(**{**_fields(made), "limiter": Told()})
    request = request_of()
    outcome = extractor.ask(key_of(1), request)
    assert outcome.answered
    expected = TokenEstimate(DEFAULT.tokens_per_character).tokens_of(request) + request["inferenceConfig"]["maxTokens"]
    assert told == [
        ("reserve", expected),
        ("throttled", None),
        ("settle", (expected, None)),
        ("reserve", expected),
        ("settle", (expected, ONE_CALL)),
    ]
    learned = TokenEstimate(DEFAULT.tokens_per_character)
    learned.learn(request, ONE_CALL)
    extractor.ask(key_of(1), request)
    assert told[5] == ("reserve", learned.tokens_of(request) + request["inferenceConfig"]["maxTokens"])
    assert told[5] != told[0]


def _fields(extractor: Extractor) -> dict[str, Any]:
    return {name: getattr(extractor, name) for name in Extractor.__dataclass_fields__}


def _replies(*steps: wire.Fault | wire.Reply) -> Callable[[dict[str, Any]], Reply]:
    from cs_features.errors import Throttled

    told: Iterator[Any] = iter(steps)

    def call(_: dict[str, Any]) -> Reply:
        step = next(told)
        if isinstance(step, wire.Fault):
            raise Throttled(step.error_type)
        return Reply({"toolUseId": "t", "name": "n", "input": step.tool_input}, step.stop_reason, ONE_CALL, 1)

    return call


def test_the_fan_out_leaves_the_interpreter_as_it_found_it() -> None:
    """How long a thread may run is the whole process's: a sensor in the same one must not inherit a run's patience."""
    before, seen = sys.getswitchinterval(), []

    def ask(key: str, _: dict[str, Any]) -> Outcome:
        seen.append(sys.getswitchinterval())
        return Outcome(key)

    list(fan_out(requests_of(*range(9)).items(), ask, 2))
    assert seen[-1] > before
    assert sys.getswitchinterval() == before
