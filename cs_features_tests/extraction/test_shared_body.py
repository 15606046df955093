"""The prompt's bytes, written once and sent with every call: over the wire goes what boto3 alone would have sent."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import product
from typing import Any
from unittest.mock import patch

import boto3
import botocore.auth
import pytest
from botocore.config import Config
from botocore.handlers import add_retry_headers

from cs_features import aws
from cs_features.extraction import shared_body
from cs_features.extraction.bedrock import NEEDLESS_HANDLERS, make_bedrock_client
from cs_features.extraction.models import capabilities_of
from cs_features.extraction.prompting import TOOL_NAME, RequestPlanner, build_control_request, build_repair_request
from cs_features.schemas import Interaction
from cs_features_tests.support.desk import PROMPTS_READ, Desk, serving
from cs_features_tests.support.documents import document
from cs_features_tests.support.lab import HAIKU_4_5

# A quotation of what the shared parts look like, and an answer that has a key of the same name.
WORDS = 'een "messages": [{"role": "user"}] \\ — ñ 🦆 \u2028'
SAID = {"messages": [{"role": "user"}], "summary": WORDS}


class Wire:
    """What went over it, as headers and body; who looks at a second client's has the first one's beside it."""

    def __init__(self) -> None:
        self.sent: list[tuple[dict[str, str], bytes]] = []

    def listen_to(self, client: Any) -> Any:
        client.meta.events.register("before-send.bedrock-runtime.Converse", self._note)
        return client

    def _note(self, request: Any, **_: Any) -> None:
        headers = {name: _as_text(value) for name, value in request.headers.items()}
        self.sent.append((headers, request.body))


def _as_text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


@contextmanager
def at_one_moment() -> Iterator[None]:
    """So that the same request has the same signature."""
    now = botocore.auth.get_current_datetime()
    with patch.object(botocore.auth, "get_current_datetime", lambda *_, **__: now):
        yield


def plain_client() -> Any:
    """As anyone would make it, but for the name that we go by, and without the headers that count attempts."""
    named = Config(user_agent=aws._USER_AGENT, retries={"mode": "standard", "total_max_attempts": 1})
    client = boto3.client("bedrock-runtime", config=named)
    client.meta.events.unregister("request-created", add_retry_headers)
    return client


def requests_in(country: str, model_id: str) -> list[dict[str, Any]]:
    """A run's requests: two interactions, a repair and the control question, about the same shared parts."""
    planner = RequestPlanner(PROMPTS_READ, capabilities_of(model_id))
    turns = [{"speaker": "customer", "text": WORDS}]
    first, second = (
        planner.plan_request(Interaction.model_validate(document(n, country=country, turns=turns)), "nl").build()
        for n in (1, 2)
    )
    repair = build_repair_request(first, {"toolUseId": "t-1", "name": TOOL_NAME, "input": SAID}, "no")
    assert repair is not None
    return [first, second, repair, build_control_request(second)]


@pytest.mark.parametrize("model_id", ["eu.anthropic.claude-haiku-5-5", HAIKU_4_5])
def test_our_client_sends_byte_for_byte_what_boto3_sends(model_id: str) -> None:
    """A body put together by hand that differs in a blank is another prompt to the cache, and four times the bill."""
    ours, theirs = Wire(), Wire()
    with serving(Desk()), at_one_moment():
        client, plain = ours.listen_to(make_bedrock_client(4, 10)), theirs.listen_to(plain_client())
        for country in sorted(PROMPTS_READ.countries):
            for request in requests_in(country, model_id):
                client.converse(**request)
                plain.converse(**request)
    assert len(ours.sent) == 4 * len(PROMPTS_READ.countries)
    assert [body for _, body in ours.sent] == [body for _, body in theirs.sent]
    assert [headers for headers, _ in ours.sent] == [headers for headers, _ in theirs.sent]
    assert all("Signature=" in headers["Authorization"] for headers, _ in ours.sent)


def test_the_prompt_is_written_once_for_all_calls_of_a_country() -> None:
    """Sixteen kilobytes of the same JSON for each of 3,000 calls."""
    requests = requests_in("NL", HAIKU_4_5)
    with serving(Desk()), patch.object(shared_body.json, "dumps", wraps=json.dumps) as dumps:
        client = make_bedrock_client(4, 10)
        for request in requests:
            client.converse(**request)
    written = [call.args[0] for call in dumps.call_args_list if "system" in call.args[0]]
    assert len(written) == 1


def test_threads_that_ask_for_two_countries_at_once_send_each_its_own_prompt() -> None:
    """One client, two partitions in one process: a Dutch interaction under the Belgian prompt, in silence."""
    by_country = {country: requests_in(country, HAIKU_4_5)[:2] for country in ("NL", "BE")}
    desk = Desk()
    with serving(desk), ThreadPoolExecutor(8) as pool:
        client = make_bedrock_client(8, 10)
        asked = [by_country[country][number % 2] for number, country in product(range(60), by_country)]
        list(pool.map(lambda request: client.converse(**request), asked))
    assert len(desk.asked) == len(asked)
    for request in desk.asked:
        text = request.messages[0].content[0].text or ""
        (country,) = [name for name in by_country if f'country="{name}"' in text]
        assert request.system[2].text == PROMPTS_READ.countries[country].body


def test_a_request_of_another_shape_is_left_to_botocore() -> None:
    """The preflight's question has no tool, and a country's parts are not put into it."""
    wire = Wire()
    question = {"messages": [{"role": "user", "content": [{"text": "ping"}]}]}
    with serving(Desk()):
        client = wire.listen_to(make_bedrock_client(4, 10))
        first, *_ = requests_in("NL", HAIKU_4_5)
        client.converse(**first)
        with pytest.raises(client.exceptions.ClientError):  # our own endpoint wants a tool
            client.converse(modelId="m", **question)
    assert json.loads(wire.sent[1][1]) == question


def test_botocore_has_nothing_left_that_might_ask_again() -> None:
    """Its name for the handler is its own: should it change, the call costs more, and this says so."""
    with serving(Desk()):
        assert not make_bedrock_client(4, 10).meta.events.emit(
            "needs-retry.bedrock-runtime.Converse",
            response=None,
            endpoint=None,
            operation=None,
            attempts=1,
            caught_exception=None,
            request_dict={},
        )


def test_what_is_left_out_of_a_call_would_do_nothing_for_it() -> None:
    """botocore's handlers are its own: a new one of these names, or a Converse that needs them, is told here."""
    with serving(Desk()):
        client, untouched = make_bedrock_client(4, 10), boto3.client("bedrock-runtime")
    model = client.meta.service_model.operation_model("Converse")
    assert not model.idempotent_members
    assert not model.is_endpoint_discovery_operation

    def list_called_handlers(asked: Any) -> set[Any]:
        events = [f"{event}.bedrock-runtime.Converse" for event in ("before-parameter-build", "before-call")]
        given = {"model": model, "params": {"headers": {}}, "context": {}}
        return {handler for event in events for handler, _ in asked.meta.events.emit(event, **given)}

    needless = {handler for event, handler in NEEDLESS_HANDLERS if event != "request-created"}
    assert list_called_handlers(untouched) >= needless
    assert list_called_handlers(client).isdisjoint(needless)
