"""One Converse call over HTTP: what each refusal of AWS becomes, what a reply counts, what no message may say."""

import json
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import boto3
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from cs_features.errors import CallFailed, InputTooLong, RequestRefused, RunStopper, Throttled, Unavailable
from cs_features.extraction.bedrock import Reply, converse, make_bedrock_client
from cs_features.extraction.pricing import TokenUsage
from cs_features.local import converse as wire
from cs_features_tests.support.desk import GOOD, PATIENCE, Desk, Endpoint, reply, request_of, serving

SECRET = "Jan-de-Vries-NL91ABNA0417164300"

THROTTLES = [
    (429, "ThrottlingException", "Too many requests, please wait before trying again."),
    (429, "ThrottlingException", "Too many tokens, please wait before trying again."),
    (400, "ThrottlingException", "Rate exceeded"),
]
OUTAGES = [
    (503, "ServiceUnavailableException", "Bedrock is unable to process your request."),
    (500, "InternalServerException", "The system encountered an unexpected error."),
    (408, "ModelTimeoutException", "Model has timed out."),
    (424, "ModelErrorException", "The model returned an error."),
    (429, "ModelNotReadyException", "The model is not ready yet."),
    (502, "BadGateway", "A proxy on the way."),
    (504, "", ""),
]
REFUSALS = [
    (400, "ValidationException", "The model returned the following errors: content is not allowed."),
    (400, "ValidationException", "1 validation error detected: Value at 'messages' failed."),
    (413, "RequestEntityTooLargeException", "Too large"),
]
TOO_LONG = [
    (400, "ValidationException", "Input is too long for requested model."),
    (400, "ValidationException", "The model returned the following errors: prompt is too long: 213000 tokens > 200000"),
]
# (status, type, message, what the operator has to read)
STOPPERS = [
    (429, "ThrottlingException", "Too many tokens per day, please wait before trying again.", "Service Quotas"),
    (400, "ValidationException", "The provided model identifier is invalid.", "CS_FEATURES_MODEL_ID"),
    (404, "ResourceNotFoundException", "This model version has reached the end of its life.", "CS_FEATURES_MODEL_ID"),
    (
        403,
        "AccessDeniedException",
        "User: arn:aws:iam::1:user/u is not authorized to perform: bedrock:InvokeModel",
        "bedrock:InvokeModel",
    ),
    (403, "UnrecognizedClientException", "The security token included in the request is invalid.", "credentials"),
    (403, "ExpiredTokenException", "The security token included in the request is expired", "credentials"),
    (403, "InvalidSignatureException", "The request signature we calculated does not match", "credentials"),
]


def ask(number: int | str = 1, timeout_seconds: int = 10) -> Reply:
    return converse(make_bedrock_client(4, timeout_seconds), request_of(number))


def failure_of(status: int | None, error_type: str, message: str, number: int | str = 1) -> CallFailed:
    with serving(Desk(otherwise=wire.Fault(status, error_type, message))) as endpoint:
        with pytest.raises(CallFailed) as caught:
            ask(number)
        assert endpoint.stats()["requests"] == 1, "botocore asked again by itself"
    return caught.value


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with serving() as started:
        yield started


# --- errors -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        *((error, Throttled) for error in THROTTLES),
        *((error, Unavailable) for error in OUTAGES),
        *((error, RequestRefused) for error in REFUSALS),
        *((error, InputTooLong) for error in TOO_LONG),
    ],
)
def test_an_error_of_bedrock_becomes_the_type_that_says_whether_to_ask_again(
    error: tuple[int, str, str], kind: type[CallFailed]
) -> None:
    """A 400 asked again is paid for in time and quota ten times over; a 503 not asked again is a lost interaction."""
    assert type(failure_of(*error)) is kind


@pytest.mark.parametrize(("status", "error_type", "message", "advice"), STOPPERS)
def test_what_would_fail_every_call_stops_the_run_and_says_what_to_do(
    status: int, error_type: str, message: str, advice: str
) -> None:
    """Retrying a spent tokens-per-day quota holds a run for hours; an access error as a row's own failure rejects
    the whole day, one interaction at a time."""
    error = failure_of(status, error_type, message)
    assert type(error) is RunStopper
    assert advice in str(error)


@pytest.mark.parametrize(
    ("status", "error_type"),
    [(403, "MissingAuthenticationTokenException"), (403, "OptInRequired"), (404, "UnknownOperationException")],
)
def test_a_denial_that_we_have_no_words_for_stops_the_run_too(status: int, error_type: str) -> None:
    """Taken for the row's own fault, it rejected every interaction of the day and kept that in the ledger."""
    assert isinstance(failure_of(status, error_type, "No."), RunStopper)


def test_an_access_error_names_which_action_on_which_resource_aws_denied_and_repeats_no_other_word() -> None:
    """'Access denied' alone costs an afternoon: the profile and the models behind it are separate resources."""
    message = "User: jan is not authorized to perform: bedrock:InvokeModel on resource: arn:aws:bedrock:eu-north-1::m"
    told = str(failure_of(403, "AccessDeniedException", message))
    assert "AWS names bedrock:InvokeModel on arn:aws:bedrock:eu-north-1::m" in told
    assert "jan" not in told


def test_a_dropped_connection_is_the_services_fault() -> None:
    """botocore's own exception would leave the run as a bug of ours."""
    with serving(Desk(otherwise=wire.Fault(None))), pytest.raises(Unavailable):
        ask()


class _Unfinished(Response):
    """Headers of a 200 that promise a body, and then none."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"900")]})


@pytest.mark.parametrize(
    "response",
    [
        Response(b"", media_type="application/json"),
        Response(b"{}", media_type="application/json"),
        Response(b'{"output": {"message": {"role": "assistant", "con', media_type="application/json"),
        Response(b"<html>A proxy greets you</html>", media_type="text/html"),
        _Unfinished(),
        *map(JSONResponse, ([], None, "hello", {"output": []}, {"output": {"message": {"content": ["hello"]}}})),
        JSONResponse({"output": {"message": {"content": []}}, "usage": "much"}),
        Response(b'{"output": "caf\xe9"}', media_type="application/json"),
        JSONResponse([], status_code=503),
    ],
    ids=["empty", "empty object", "torn JSON", "HTML", "promised and not sent", "list", "null", "text", "output a list",
         "content of text", "usage of text", "Latin-1", "503 with a list"],
)  # fmt: skip
def test_a_200_without_an_answer_is_the_services_fault(response: Response) -> None:
    """boto3 takes a body that never came for an answer without fields: it went down as 'the model refused'. JSON of
    another shape, from a proxy on the way, was a traceback that ended the run for every other interaction."""

    async def broken(_: Request) -> Response:
        return response

    with (
        serving(instead=[Route("/model/{model:path}/converse", broken, methods=["POST"])]),
        pytest.raises(Unavailable),
    ):
        ask()


def test_a_call_that_takes_longer_than_the_models_time_is_the_services_fault() -> None:
    """Without a timeout of its own a hanging call holds a thread for botocore's minute, times its retries."""
    hang = Barrier(2)

    def until_the_test_is_over() -> None:
        hang.wait(PATIENCE)

    with serving(Desk(otherwise=until_the_test_is_over)):
        with pytest.raises(Unavailable, match="ReadTimeoutError"):
            ask(timeout_seconds=1)
        hang.wait(PATIENCE)


def test_an_endpoint_where_nobody_listens_is_the_services_fault(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A restart of the VPC endpoint in the middle of a run."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", "http://127.0.0.1:9")
    with pytest.raises(Unavailable):
        ask()


def test_missing_credentials_stop_the_run_with_the_variables_to_set(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    """As a row's failure it would be said once an interaction, 3,500 times."""
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # it keeps the credentials that it found once
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    with pytest.raises(RunStopper, match="AWS_ACCESS_KEY_ID"):
        ask()


def test_a_missing_region_names_the_variable_to_set(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    """boto3 says 'You must specify a region.' and not where; in the asset it read as a fault of the ledger."""
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(Exception, match="AWS_REGION"):
        make_bedrock_client(4, 10)


@pytest.mark.parametrize(
    "error",
    [*THROTTLES, *OUTAGES, *REFUSALS, *TOO_LONG, *(each[:3] for each in STOPPERS if each[0] < 403 or each[0] == 429)],
)
def test_no_message_repeats_what_the_customer_wrote(error: tuple[int, str, str]) -> None:
    """Validation errors quote their input; messages go to logs, run pages and alerts, where no customer may be."""
    status, error_type, message = error
    told = failure_of(status, error_type, f"{message} Value '{SECRET}' is at fault.", number=SECRET)
    assert SECRET not in str(told)
    assert SECRET not in repr(told)


# --- replies ----------------------------------------------------------------------------------


def test_a_reply_keeps_the_four_counts_apart(endpoint: Endpoint) -> None:
    """Added up they hide a 12.5-fold difference in price."""
    answered = ask()
    assert answered.usage == TokenUsage(
        input_tokens=100, cache_read_tokens=2_000, cache_write_tokens=10, output_tokens=50
    )
    assert answered.usage.prompt_tokens == 2_110
    assert answered.stop_reason == "tool_use"
    assert answered.tool_use is not None
    assert answered.tool_use["input"] == GOOD
    assert answered.tool_use["name"] == "record_features"
    assert answered.latency_ms >= 0


def test_a_usage_without_cache_counts_reads_as_zero_of_them() -> None:
    """Models without a cache leave the fields out."""

    async def plain(_: Request) -> Response:
        body = {
            "output": {"message": {"role": "assistant", "content": [{"text": "Hello"}]}},
            "stopReason": "end_turn",
            "usage": {"inputTokens": 7, "outputTokens": 3, "totalTokens": 10},
            "metrics": {"latencyMs": 1},
        }
        return Response(json.dumps(body), media_type="application/json")

    with serving(instead=[Route("/model/{model:path}/converse", plain, methods=["POST"])]):
        answered = ask()
    assert answered.usage == TokenUsage(input_tokens=7, output_tokens=3)
    assert answered.tool_use is None


def test_a_reply_with_nulls_and_counts_that_cannot_be_is_read_as_far_as_it_goes() -> None:
    """A count below zero lowered what the run had spent, and so lifted its caps."""

    async def odd(_: Request) -> Response:
        use = {"toolUse": {"toolUseId": "t", "name": "record_features", "input": GOOD}}
        content = {"output": {"message": {"role": "assistant", "content": [None, use]}}}
        return JSONResponse({**content, "stopReason": 7, "usage": {"inputTokens": -7, "outputTokens": 3}})

    with serving(instead=[Route("/model/{model:path}/converse", odd, methods=["POST"])]):
        answered = ask()
    assert answered.usage == TokenUsage(output_tokens=3)
    assert answered.tool_use is not None
    assert answered.stop_reason == "7"


def test_text_before_the_tools_use_does_not_hide_it() -> None:
    """Models think aloud before they use a tool: the first block is not the answer."""
    with serving(Desk(otherwise=reply(text="Let me see."))):
        answered = ask()
    assert answered.tool_use is not None
    assert answered.tool_use["input"] == GOOD


def test_as_many_calls_as_the_run_may_have_in_flight_keep_their_connections(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """botocore's pool holds ten: the other twenty-two threads open a TLS connection for each call."""
    together = Barrier(16)

    def all_at_once() -> None:
        together.wait(PATIENCE)

    with serving(Desk(otherwise=all_at_once)), caplog.at_level(logging.WARNING, "urllib3"):
        client = make_bedrock_client(16, 30)
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(lambda number: converse(client, request_of(number)), range(32)))
    assert not [record for record in caplog.records if "pool is full" in record.getMessage()]
