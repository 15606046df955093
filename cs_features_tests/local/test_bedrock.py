"""The local Bedrock as real boto3 sees it, over HTTP on loopback.

The model behind it is scripted (`ScriptedAnswerer`, a test double), but for one test with the embedded one.
"""

import hashlib
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, Literal

import boto3
import pytest
import uvicorn
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError
from pydantic import BaseModel, Field, ValidationError
from starlette.applications import Starlette

from cs_features.extraction.models import CAPABILITIES, EMBEDDED_MODEL_ID
from cs_features.local.bedrock import build_routes
from cs_features.local.converse import Answerer
from cs_features.local.engines import EmbeddedEngine, HttpEngine, build_grammar, choose_engine
from cs_features.local.scripted import MALFORMED_KINDS, Script, ScriptedAnswerer
from cs_features_tests.support.http import HTTP, read_model_stats

HAIKU = "eu.anthropic.claude-haiku-5-5"
NOVA = "eu.amazon.nova-micro-v1:0"
CACHE_POINT = {"cachePoint": {"type": "default"}}
ANSWER_KEYS = ["summary", "mood", "status", "urgency", "turns", "repeated"]


class Mood(Enum):
    GOOD = "good"
    BAD = "bad"


class Answer(BaseModel):
    summary: str = Field(min_length=1, max_length=200)
    mood: Mood
    status: Literal["open", "closed"]
    urgency: float = Field(ge=0, le=1)
    turns: int = Field(ge=1, le=9)
    repeated: bool


class ShortAnswer(Answer):
    """Less for the embedded model to write."""

    summary: str = Field(min_length=1, max_length=40)


@dataclass
class Endpoint:
    url: str

    def ask(self, text: str = "Where is my order?", **overrides: Any) -> Any:
        client = boto3.client(
            "bedrock-runtime",
            endpoint_url=self.url,
            region_name="eu-west-1",
            aws_access_key_id="local",
            aws_secret_access_key="local",
            config=Config(retries={"total_max_attempts": 1}),
        )
        return client.converse(**request(text, **overrides))

    def stats(self) -> Any:
        return read_model_stats(self.url)


def tool(answer: type[BaseModel]) -> dict[str, Any]:
    return {"toolSpec": {"name": "record", "inputSchema": {"json": answer.model_json_schema()}}}


def request(text: str = "Where is my order?", **overrides: Any) -> dict[str, Any]:
    """A request as the project sends it; an override of None leaves the field out."""
    fields = {
        "modelId": HAIKU,
        "messages": [{"role": "user", "content": [{"text": text}]}],
        "toolConfig": {
            "tools": [tool(Answer)],
            "toolChoice": {"tool": {"name": "record"}},
        },
        "inferenceConfig": {"maxTokens": 400},
        **overrides,
    }
    return {name: value for name, value in fields.items() if value is not None}


def tool_input(response: Any) -> Any:
    return response["output"]["message"]["content"][0]["toolUse"]["input"]


def error_of(call: Callable[[], Any]) -> tuple[str, int, str]:
    with pytest.raises(ClientError) as caught:
        call()
    response = caught.value.response
    return (
        response["Error"]["Code"],
        response["ResponseMetadata"]["HTTPStatusCode"],
        response["Error"]["Message"],
    )


@pytest.fixture
def serve() -> Iterator[Callable[..., Endpoint]]:
    """Starts endpoints over answerers (default: scripted, nothing goes wrong) and stops them in the end."""
    started: list[tuple[uvicorn.Server, threading.Thread]] = []

    def start(answerer: Answerer | Script | None = None, **quota: float) -> Endpoint:
        if not answerer or isinstance(answerer, Script):
            answerer = ScriptedAnswerer(answerer)
        app = Starlette(routes=build_routes(answerer, **quota))
        server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="critical"))
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        started.append((server, thread))
        while not server.started:
            time.sleep(0.005)
        return Endpoint(f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}")

    yield start
    for server, thread in started:
        server.should_exit = server.force_exit = True
        thread.join(timeout=5)


def test_a_forced_tool_is_answered_with_a_valid_input_and_its_usage(serve):
    endpoint = serve()
    response = endpoint.ask()
    (block,) = response["output"]["message"]["content"]
    usage = response["usage"]
    assert block["toolUse"]["name"] == "record"
    assert block["toolUse"]["toolUseId"]
    assert list(block["toolUse"]["input"]) == ANSWER_KEYS
    Answer.model_validate(block["toolUse"]["input"])
    assert response["stopReason"] == "tool_use"
    assert response["metrics"]["latencyMs"] >= 0
    assert usage["inputTokens"] > 0
    assert usage["totalTokens"] == usage["inputTokens"] + usage["outputTokens"]
    assert usage["cacheReadInputTokens"] == usage["cacheWriteInputTokens"] == 0
    assert endpoint.stats() == {
        "requests": 1,
        "answered": 1,
        "throttled": 0,
        "refused": {},
        "faults": {},
        "tokens": {
            "input": usage["inputTokens"],
            "output": usage["outputTokens"],
            "cache_read": 0,
            "cache_write": 0,
        },
    }


def test_without_a_forced_tool_the_answer_is_text(serve):
    response = serve().ask(toolConfig=None)
    assert response["output"]["message"]["content"][0]["text"]
    assert response["stopReason"] == "end_turn"


def test_the_same_text_gets_the_same_answer_and_texts_differ(serve):
    first, second = serve(), serve()
    answers = [tool_input(first.ask(text)) for text in "abcdefgh"]
    assert answers == [tool_input(second.ask(text)) for text in "abcdefgh"]
    assert len({json.dumps(answer) for answer in answers}) > 1


def user(*blocks: dict[str, Any]) -> dict[str, Any]:
    return {"role": "user", "content": list(blocks)}


TEXT = {"text": "hello"}


@pytest.mark.parametrize(
    ("overrides", "code", "words"),
    [
        (
            {"modelId": "anthropic.claude-3-sonnet-20240229-v1:0"},
            "ValidationException",
            "identifier is invalid",
        ),
        ({"inferenceConfig": {"temperature": 0.0}}, "ValidationException", "temperature"),
        ({"inferenceConfig": {"topP": 0.5}}, "ValidationException", "top_p"),
        ({"additionalModelRequestFields": {"top_k": 5}}, "ValidationException", "top_k"),
        ({"system": [TEXT] + 5 * [CACHE_POINT]}, "ValidationException", "maximum of 4"),
        (
            {"toolConfig": {"tools": [tool(Answer)], "toolChoice": {"tool": {"name": "other"}}}},
            "ValidationException",
            "tool choice",
        ),
        ({"messages": None}, "ValidationException", "start with a user message"),
        ({"messages": []}, "ValidationException", "start with a user message"),
        (
            {"messages": [user(TEXT), {"role": "assistant", "content": [TEXT]}]},
            "ValidationException",
            "prefill",
        ),
        ({"messages": [user(TEXT), user(TEXT)]}, "ValidationException", "alternate"),
        ({"messages": [user({"text": " "})]}, "ValidationException", "blank"),
        (
            {"modelId": EMBEDDED_MODEL_ID, "messages": [user({"text": "x" * 33_000})]},
            "ValidationException",
            "too long",
        ),
        ({"serviceTier": {"type": "flex"}}, "ValidationException", "serviceTier"),
    ],
)
def test_what_bedrock_refuses_is_refused(serve, overrides, code, words):
    endpoint = serve()
    got_code, status, message = error_of(lambda: endpoint.ask(**overrides))
    assert (got_code, status) == (code, 400)
    assert words in message
    assert endpoint.stats()["refused"] == {code: 1}
    assert endpoint.stats()["answered"] == 0


@pytest.mark.parametrize("place", ["system", "tools", "messages"])
def test_a_cache_point_on_a_model_without_a_cache_is_access_denied(serve, monkeypatch, place):
    monkeypatch.setitem(CAPABILITIES, NOVA, replace(CAPABILITIES[NOVA], cache_minimum_tokens=None))
    overrides = {
        "system": {"system": [TEXT, CACHE_POINT]},
        "tools": {"toolConfig": {"tools": [tool(Answer), CACHE_POINT], "toolChoice": {"any": {}}}},
        "messages": {"messages": [user(TEXT, CACHE_POINT)]},
    }[place]
    code, status, message = error_of(lambda: serve().ask(modelId=NOVA, **overrides))
    assert (code, status) == ("AccessDeniedException", 403)
    assert "prompt caching" in message


def test_the_defaults_of_temperature_and_top_p_pass_everywhere(serve):
    endpoint = serve()
    endpoint.ask(inferenceConfig={"temperature": 1.0})
    endpoint.ask(modelId=NOVA, inferenceConfig={"temperature": 0.0, "topP": 0.5})
    assert endpoint.stats()["answered"] == 2


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"messages": 1}', b'{"messages": [{"role": "secret"}]}'])
def test_a_malformed_body_is_refused_without_repeating_it(serve, body):
    response = HTTP.post(f"{serve().url}/model/{HAIKU}/converse", content=body)
    assert response.status_code == 400
    assert response.headers["x-amzn-ErrorType"] == "ValidationException"
    assert "Malformed" in response.json()["message"]
    assert "secret" not in response.text


def test_the_request_quota_throttles_and_is_the_models_own(serve):
    endpoint = serve(requests_per_minute=12, burst_seconds=5)
    endpoint.ask()
    code, status, message = error_of(endpoint.ask)
    assert (code, status) == ("ThrottlingException", 429)
    assert message.startswith("Too many requests")
    endpoint.ask(modelId=NOVA)
    assert endpoint.stats()["throttled"] == 1
    assert endpoint.stats()["answered"] == 2


def test_the_token_quota_reserves_max_tokens_for_as_long_as_the_call_runs(serve):
    endpoint = serve(Script(latency_mean_s=0.5), tokens_per_minute=24_000, burst_seconds=5)
    ask = lambda: endpoint.ask(modelId=NOVA, inferenceConfig={"maxTokens": 1_500})  # noqa: E731
    with ThreadPoolExecutor(2) as threads:
        errors = [call.exception() for call in [threads.submit(ask), threads.submit(ask)]]
    (error,) = [error for error in errors if error]
    assert error.response["Error"]["Message"].startswith("Too many tokens")
    ask()
    assert endpoint.stats()["answered"] == 2
    assert endpoint.stats()["throttled"] == 1


def test_max_tokens_left_out_reserves_the_models_maximum(serve):
    endpoint = serve(tokens_per_minute=60_000)
    assert error_of(lambda: endpoint.ask(inferenceConfig=None))[0] == "ThrottlingException"


def test_output_tokens_are_settled_at_the_models_burndown(serve):
    text = "long answer"
    label = {"summary": "x" * 2_400}  # 600 tokens, tenfold on Haiku 5.5
    script = Script(labels={hashlib.sha256(text.encode()).hexdigest(): label})
    endpoint = serve(script, tokens_per_minute=24_000, burst_seconds=5)
    endpoint.ask(text)
    assert error_of(lambda: endpoint.ask(text))[0] == "ThrottlingException"
    endpoint.ask(text, modelId=NOVA)
    assert tool_input(endpoint.ask(text, modelId=NOVA)) == label


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("500", "InternalServerException"),
        ("503", "ServiceUnavailableException"),
        ("408", "ModelTimeoutException"),
        ("424", "ModelErrorException"),
        ("429", "ThrottlingException"),
    ],
)
def test_a_fault_of_each_kind_is_the_services_own_exception(serve, kind, code):
    endpoint = serve(Script(faults={kind: 1}))
    assert error_of(endpoint.ask)[:2] == (code, int(kind))
    assert endpoint.stats()["faults"] == {kind: 1}


@pytest.mark.parametrize("kind", ["drop", "hang"])
def test_a_dropped_connection_is_a_closed_connection(serve, kind):
    endpoint = serve(Script(faults={kind: 1}, hang_s=0.05))
    with pytest.raises(ConnectionClosedError):
        endpoint.ask()
    assert endpoint.stats()["faults"] == {"drop": 1}


def test_faults_are_the_same_in_every_run_and_a_retry_can_succeed(serve):
    script = Script(faults={"503": 0.3, "drop": 0.2})
    runs = []
    for endpoint in (serve(script), serve(script)):
        fates = []
        for number in range(12):
            for _attempt in range(20):
                try:
                    endpoint.ask(f"text {number}")
                    fates.append("answered")
                    break
                except (ClientError, ConnectionClosedError) as error:
                    fates.append(type(error).__name__)
        runs.append(fates)
    assert runs[0] == runs[1]
    assert Counter(runs[0])["answered"] == 12
    assert len(set(runs[0])) > 1


def test_an_unforeseen_error_is_a_500_and_its_message_stays_out_of_the_log(serve, caplog):
    class Broken:
        async def answer(self, request):
            raise RuntimeError(request.user_text)

    assert error_of(lambda: serve(Broken()).ask("my words"))[:2] == ("InternalServerException", 500)
    assert "RuntimeError" in caplog.text
    assert "my words" not in caplog.text


@pytest.mark.parametrize("kind", MALFORMED_KINDS)
def test_a_malformed_answer_of_each_kind_is_billed_and_invalid(serve, kind):
    endpoint = serve(Script(malformed_rate=1, malformed_kinds=(kind,)))
    (block,) = endpoint.ask()["output"]["message"]["content"]
    if kind == "text_instead_of_tool":
        assert "text" in block
    else:
        with pytest.raises(ValidationError) as caught:
            Answer.model_validate(block["toolUse"]["input"])
        assert kind in ("empty", "not_an_object") or caught.value.error_count() == 1
    assert endpoint.stats()["answered"] == 1


def test_refusals_cut_answers_and_oversized_ones(serve):
    refused = serve(Script(refusal_rate=1)).ask()
    assert refused["stopReason"] in ("content_filtered", "refusal")
    assert refused["output"]["message"]["content"] == []
    cut = serve(Script(max_tokens_rate=1)).ask()
    assert cut["stopReason"] == "max_tokens"
    assert len(tool_input(cut)) < len(ANSWER_KEYS)
    assert len(tool_input(serve(Script(answer_bytes=50_000)).ask())["summary"]) == 50_000


def test_a_poisoned_text_is_refused_every_time(serve):
    endpoint = serve(Script(poison="POISON"))
    assert [error_of(lambda: endpoint.ask("some POISON"))[:2] for _ in "ab"] == 2 * [("ValidationException", 400)]
    endpoint.ask("no such word")
    assert endpoint.stats()["refused"] == {"ValidationException": 2}


def test_a_script_comes_from_json_and_names_what_it_does_not_know():
    script = Script.from_json('{"seed": 3, "faults": {"503": 0.01}, "malformed_kinds": ["empty"]}')
    assert script == Script(seed=3, faults={"503": 0.01}, malformed_kinds=("empty",))
    for wrong in (
        '{"sede": 3}',
        '{"faults": {"999": 1}}',
        '{"malformed_kinds": ["?"]}',
        '{"refusal_rate": 2}',
    ):
        with pytest.raises(ValueError, match=r"unknown|more than 1"):
            Script.from_json(wrong)


def cached(usage: dict[str, int]) -> tuple[int, int]:
    return usage["cacheReadInputTokens"], usage["cacheWriteInputTokens"]


INSTRUCTIONS, COUNTRY = {"text": "i" * 4_000}, {"text": "c" * 800}


def test_the_cache_is_written_once_then_read_and_shared_up_to_the_first_difference(serve):
    endpoint = serve()
    system = [INSTRUCTIONS, CACHE_POINT, COUNTRY, CACHE_POINT]
    first, second, other = (
        endpoint.ask("one", system=system)["usage"],
        endpoint.ask("two", system=system)["usage"],
        endpoint.ask("three", system=[INSTRUCTIONS, CACHE_POINT, {"text": "d" * 800}, CACHE_POINT])["usage"],
    )
    prefix = cached(first)[1]
    assert cached(first)[0] == 0
    assert prefix > 1_200
    assert cached(second) == (prefix, 0)
    assert cached(other) == (prefix - 200, 200)
    assert first["inputTokens"] == 1
    assert first["totalTokens"] == first["inputTokens"] + first["outputTokens"] + prefix


def test_nothing_is_cached_below_the_models_minimum(serve):
    endpoint = serve()
    for _ in range(2):
        usage = endpoint.ask(modelId=NOVA, system=[INSTRUCTIONS, CACHE_POINT])["usage"]
        assert cached(usage) == (0, 0)
        assert usage["inputTokens"] > 1_000


def test_parallel_first_calls_each_write_because_nothing_can_be_read_yet(serve):
    endpoint = serve(Script(latency_mean_s=0.5))
    ask = lambda: endpoint.ask(system=[INSTRUCTIONS, CACHE_POINT])["usage"]  # noqa: E731
    with ThreadPoolExecutor(2) as threads:
        calls = [threads.submit(ask), threads.submit(ask)]
        assert all(cached(call.result())[0] == 0 and cached(call.result())[1] > 0 for call in calls)
    assert cached(ask())[0] > 0


def test_a_cached_prefix_lives_five_minutes_from_its_last_hit(serve):
    now = [0.0]
    endpoint = serve(ScriptedAnswerer(clock=lambda: now[0]))
    reads = []
    for now[0] in (0, 290, 580, 881):
        reads.append(cached(endpoint.ask(system=[INSTRUCTIONS, CACHE_POINT])["usage"])[0] > 0)
    assert reads == [False, True, True, False]


def test_a_setting_names_its_engine():
    engine = choose_engine("http://localhost:11434/v1/")
    assert isinstance(engine, HttpEngine)
    with pytest.raises(FileNotFoundError):
        choose_engine("/nowhere/model.gguf")
    with pytest.raises(ValueError, match=r"\.gguf"):
        choose_engine("gpt")


def test_the_grammar_bounds_numbers_and_asks_for_some_prose():
    properties = build_grammar(Answer.model_json_schema())["properties"]
    assert properties["urgency"]["enum"][:3] == [0.0, 0.05, 0.1]
    assert properties["urgency"]["enum"][-1] == 1.0
    assert properties["summary"] | {"title": ""} == {
        "type": "string",
        "title": "",
        "minLength": 20,
        "maxLength": 200,
    }


@pytest.mark.heavy
def test_the_embedded_model_answers_validly_and_reads_its_prefix_from_the_cache(serve):
    engine = EmbeddedEngine()
    endpoint = serve(engine)
    fields = {
        "modelId": EMBEDDED_MODEL_ID,
        "system": [{"text": "Record what the customer wants. " * 20}, CACHE_POINT],
        "toolConfig": {"tools": [tool(ShortAnswer)], "toolChoice": {"any": {}}},
    }
    first = endpoint.ask("customer: my parcel is late", **fields)
    second = endpoint.ask("customer: thanks, all fine", **fields)
    # llama.cpp is an OpenAI-compatible server too, so the other engine meets a real one.
    over_http = serve(HttpEngine(engine.address))
    third = over_http.ask("customer: where is my refund", **fields)
    for response in (first, second, third):
        assert response["stopReason"] == "tool_use"
        ShortAnswer.model_validate(tool_input(response))
    assert second["usage"]["cacheReadInputTokens"] > 100 > second["usage"]["inputTokens"] > 0
    cut = endpoint.ask(**fields | {"inferenceConfig": {"maxTokens": 5}})
    assert cut["stopReason"] == "max_tokens"
    assert cut["usage"]["outputTokens"] == 5
