"""What Bedrock refuses in a conversation, the local Bedrock refuses too: a repair failed in production alone.

The bodies go over HTTP without boto3, whose own checks would refuse some of them before they are sent.
"""

from typing import Any

import httpx
import pytest

from cs_features_tests.support.desk import DEFAULT, Endpoint, request_of, serving
from cs_features_tests.support.http import HTTP

TEXT = {"text": "Where is my parcel?"}
POINT = {"cachePoint": {"type": "default"}}


def use(tool_input: Any = ..., identifier: str = "tooluse_1", name: str = "record_features") -> dict[str, Any]:
    return {"toolUse": {"toolUseId": identifier, "name": name, "input": {} if tool_input is ... else tool_input}}


def result(identifier: str = "tooluse_1", text: str = "Invalid.") -> dict[str, Any]:
    return {"toolResult": {"toolUseId": identifier, "content": [{"text": text}], "status": "error"}}


def user(*blocks: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(blocks)}


def assistant(*blocks: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": list(blocks)}


def post(endpoint: Endpoint, model_id: str = DEFAULT.model_id, **changes: Any) -> httpx.Response:
    body = {name: value for name, value in {**request_of(), **changes}.items() if name != "modelId" and value != ...}
    return HTTP.post(f"{endpoint.url}/model/{model_id}/converse", json=body)


def test_a_repair_as_the_product_sends_it_is_accepted() -> None:
    """A stand-in that refuses what Bedrock accepts hides the path that it was made for."""
    with serving() as endpoint:
        answer = post(endpoint, messages=[user(TEXT), assistant(use({"sentiment": "ironic"})), user(result())])
        assert answer.status_code == 200, answer.text
        assert endpoint.stats()["refused"] == {}


@pytest.mark.parametrize("wrong", ["a string", '{"summary": "as JSON"}', ["a", "list"], None, 17, True])
def test_a_tool_input_that_is_no_object_is_refused(wrong: Any) -> None:
    """Fault 28: the repair replayed a string, Bedrock answered 400, and the local stack had accepted it."""
    with serving() as endpoint:
        answer = post(endpoint, messages=[user(TEXT), assistant(use(wrong)), user(result())])
    assert answer.status_code == 400
    assert "toolUse.input is invalid" in answer.json()["message"]


@pytest.mark.parametrize(
    ("messages", "words"),
    [
        ([], "start with a user message"),
        ([assistant(TEXT), user(TEXT)], "start with a user message"),
        ([user(TEXT), user(TEXT)], "alternate"),
        ([user(TEXT), assistant(TEXT)], "prefill"),
        ([user()], "messages.0.content"),
        ([user({})], "exactly one member"),
        ([user({**TEXT, **POINT})], "exactly one member"),
        ([user({"text": ""})], "blank"),
        ([user({"text": " \n\t"})], "blank"),
        ([user(TEXT), assistant(use()), user(result(text=" "))], "blank"),
        ([user(TEXT), assistant(use()), user(TEXT)], "Expected toolResult"),
        ([user(TEXT), assistant(use()), user(result("tooluse_2"))], "Expected toolResult"),
        ([user(TEXT), assistant(TEXT), user(result())], "exceeds the number of toolUse"),
        ([user(result())], "exceeds the number of toolUse"),
        ([user(TEXT), assistant(use()), user(result(), result("tooluse_2"))], "exceeds the number of toolUse"),
        ([user(TEXT), assistant(use(), use()), user(result())], "duplicate Ids"),
        ([user(TEXT, use()), assistant(TEXT), user(TEXT)], "may hold no toolUse"),
        ([user(TEXT), assistant(use()), user(result()), assistant(result()), user(TEXT)], "may hold no toolResult"),
        ([user(TEXT), assistant(use(identifier="not an id")), user(result("not an id"))], "toolUseId"),
        ([user(TEXT), assistant(use(identifier="x" * 65)), user(result("x" * 65))], "toolUseId"),
        ([user(TEXT), assistant(use(name="two words")), user(result())], "name"),
        ([user(TEXT), assistant({"toolUse": {"toolUseId": "t", "name": "n"}}), user(result("t"))], "input"),
        ([user(TEXT), assistant(use()), user({"toolResult": {"toolUseId": "tooluse_1"}})], "content"),
        ([user({"image": {"format": "png"}})], "image"),
        ([user({**TEXT, "mood": "bad"})], "mood"),
    ],
)
def test_a_conversation_that_bedrock_refuses_is_refused(messages: list[Any], words: str) -> None:
    """Each of these passed here and was a 400 there."""
    with serving() as endpoint:
        answer = post(endpoint, messages=messages)
        assert endpoint.stats()["refused"] == {"ValidationException": 1}
    assert answer.status_code == 400
    assert words in answer.json()["message"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"toolConfig": ..., "messages": [user(TEXT), assistant(use()), user(result())]}, "toolConfig field"),
        ({"system": [TEXT, use()]}, "text and cache points only"),
        ({"system": [{"text": " "}]}, "blank"),
        ({"system": [TEXT, POINT, TEXT, POINT], "messages": [user(TEXT, *[POINT] * 3)]}, "maximum of 4"),
        (
            {"system": [TEXT, POINT, TEXT, {"cachePoint": {"type": "default", "ttl": "1h"}}]},
            "must not come after one with ttl 5m",
        ),
        ({"inferenceConfig": {"maxTokens": 0}}, "maxTokens"),
        ({"inferenceConfig": {"maxTokens": 64_001}}, "maximum allowed"),
        ({"inferenceConfig": {"maxTokens": 450, "temperature": 0.0}}, "temperature"),
        ({"mood": "bad"}, "mood"),
    ],
)
def test_what_bedrock_refuses_around_a_conversation_is_refused(changes: dict[str, Any], words: str) -> None:
    """The same, for the other members of a request."""
    with serving() as endpoint:
        answer = post(endpoint, **changes)
    assert answer.status_code == 400
    assert words in answer.json()["message"]


def test_a_model_without_its_profile_is_refused_as_on_bedrock() -> None:
    """The most usual first error of all, and the product took it for the interaction's fault."""
    with serving() as endpoint:
        answer = post(endpoint, DEFAULT.model_id.removeprefix("eu."))
    assert answer.status_code == 400
    assert "on-demand throughput isn\u2019t supported" in answer.json()["message"]


def test_a_refusal_names_places_and_never_what_stands_there() -> None:
    """The stand-in's own log and answers are looked at while real texts go through it."""
    secret = "Jan de Vries"
    with serving() as endpoint:
        for wrong in (use(secret), {"text": [secret]}, {"toolUse": {"toolUseId": secret}}):
            answer = post(endpoint, messages=[user(TEXT), assistant(wrong), user(result())])
            assert answer.status_code == 400
            assert secret not in answer.text
