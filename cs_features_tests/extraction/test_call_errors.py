"""Every error and stop reason that the installed botocore knows has a class, and no message quotes a customer."""

import ssl
from collections.abc import Iterator
from typing import Any

import boto3
import botocore.exceptions
import pytest
from botocore.credentials import RefreshableCredentials
from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError
from urllib3.exceptions import ProtocolError, ProxyError
from urllib3.exceptions import SSLError as Urllib3SSLError

from cs_features.errors import CallFailed, InputTooLong, Outage, RequestRefused, RunStopper, Throttled, Unavailable
from cs_features.extraction.bedrock import converse, make_bedrock_client
from cs_features.extraction.call_errors import (
    ENDINGS,
    MAX_QUOTED_CHARACTERS,
    MEANINGS,
    Ending,
    Meaning,
    classify_call_error,
    classify_stop_reason,
    quote_aws_safely,
)
from cs_features_tests.support.desk import GOOD, Endpoint, extractor_in, key_of, request_of, serving

MODEL = boto3.session.Session()._session.get_service_model("bedrock-runtime")
SECRET = "Jan-de-Vries-NL91ABNA0417164300"


def error_of(status: int, code: str, message: str = "No.") -> CallFailed:
    response: Any = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return classify_call_error(ClientError(response, "Converse"))


# --- the tables against botocore --------------------------------------------------------------


def test_every_stop_reason_of_the_installed_botocore_has_a_class() -> None:
    """A new one would be taken for a refusal. If this fails after an upgrade: say in ENDINGS what it is."""
    assert set(MODEL.shape_for("StopReason").enum) - set(ENDINGS) == set()


def test_every_error_of_the_installed_botocore_has_a_class() -> None:
    """A new one would be judged by its status alone. If this fails after an upgrade: say in MEANINGS what it is."""
    known = {shape.name for shape in MODEL.error_shapes}
    assert {shape.name for shape in MODEL.operation_model("Converse").error_shapes} <= known
    assert known - set(MEANINGS) == set()


@pytest.mark.parametrize("shape", MODEL.error_shapes, ids=lambda shape: shape.name)
def test_an_error_has_the_class_that_its_status_suggests(shape: Any) -> None:
    """A slip in the table would retry what is lasting, or give up what passes."""
    status = shape.metadata["error"]["httpStatusCode"]
    kind = type(error_of(status, shape.name))
    if status >= 500 or status in (408, 424) or shape.name in ("ModelNotReadyException", "ConflictException"):
        assert kind is Unavailable
    elif status == 429:
        assert kind is Throttled
    elif status in (403, 404) or shape.name == "ServiceQuotaExceededException":
        assert kind is RunStopper
    else:
        assert kind is RequestRefused


@pytest.mark.parametrize(
    ("status", "kind"),
    [(429, Throttled), (401, RunStopper), (403, RunStopper), (404, RunStopper), (500, Unavailable), (502, Unavailable),
     (408, Unavailable), (424, Unavailable), (599, Unavailable), (400, RequestRefused), (413, RequestRefused)],
)  # fmt: skip
@pytest.mark.parametrize("code", ["SomethingOfTomorrow", ""])
def test_a_code_that_nobody_knows_is_judged_by_its_status(status: int, kind: type[CallFailed], code: str) -> None:
    """Proxies, STS and a newer Bedrock answer with codes of their own."""
    assert type(error_of(status, code)) is kind


def test_every_botocore_error_of_the_way_is_asked_again_and_every_lasting_one_stops_the_run() -> None:
    """SSLError and ProxyConnectionError are no HTTPClientError: one of five handshakes broken stopped the run (26)."""
    passing = {
        "SSLError", "ProxyConnectionError", "ConnectTimeoutError", "EndpointConnectionError", "ConnectionClosedError",
        "ReadTimeoutError", "HTTPClientError", "ResponseStreamingError", "IncompleteReadError",
        "CredentialRetrievalError", "MetadataRetrievalError",
    }  # fmt: skip
    lasting = {"NoCredentialsError", "PartialCredentialsError", "NoRegionError", "ProfileNotFound", "SSOTokenLoadError"}
    kinds = {name: type(classify_call_error(_made(name))) for name in passing | lasting}
    assert kinds == {**dict.fromkeys(passing, Unavailable), **dict.fromkeys(lasting, RunStopper)}


def _made(name: str) -> Exception:
    fields = dict.fromkeys(
        ("endpoint_url", "proxy_url", "error", "provider", "error_msg", "cred_var", "profile", "actual_bytes",
         "expected_bytes", "profile_name"), "x",
    )  # fmt: skip
    made: Exception = getattr(botocore.exceptions, name)(**fields)
    return made


def test_a_body_that_no_parser_reads_is_the_services_fault() -> None:
    """botocore's parser error is none of botocore's errors; it left the run as a defect of ours."""
    assert type(classify_call_error(ResponseParserError("Unable to parse response"))) is Unavailable


def test_a_defect_of_ours_is_no_failed_call() -> None:
    """Taken for an outage it would be retried for minutes and told as Bedrock's."""
    with pytest.raises(ZeroDivisionError):
        classify_call_error(ZeroDivisionError())


# --- the account's fault ----------------------------------------------------------------------

ACCOUNT = [
    (400, "ValidationException", "Operation not allowed", "AWS Support"),
    (403, "AccessDeniedException", "Operation not allowed", "AWS Support"),
    (
        400,
        "ValidationException",
        "Invocation of model ID anthropic.claude-haiku-5-5 with on-demand throughput isn\u2019t supported. Retry your "
        "request with the ID or ARN of an inference profile that contains this model.",
        "CS_FEATURES_MODEL_ID",
    ),
    (400, "ValidationException", "The provided model identifier is invalid.", "CS_FEATURES_MODEL_ID"),
    (403, "AccessDeniedException", "You don't have access to the model with the specified model ID.", "turn it on"),
    (400, "ValidationException", "You don\u2019t have access to the model with the specified model ID.", "turn it on"),
    (
        403,
        "AccessDeniedException",
        "Model access is denied due to IAM user or service role is not authorized to perform the required AWS "
        "Marketplace actions (aws-marketplace:ViewSubscriptions, aws-marketplace:Subscribe) to enable access to this "
        "model.",
        "aws-marketplace:Subscribe",
    ),
    (403, "AccessDeniedException", "Model access is denied due to INVALID_PAYMENT_INSTRUMENT: A valid one.", "pay"),
    (404, "ResourceNotFoundException", "Model use case details have not been submitted for this account.", "use case"),
    (400, "ValidationException", "Access to Anthropic models is not allowed from unsupported countries.", "AWS_REGION"),
    (400, "ValidationException", "Your account is not authorized to invoke this API operation.", "AWS Support"),
    (429, "ThrottlingException", "Too many tokens per day, please wait before trying again.", "Service Quotas"),
    (429, "ThrottlingException", "Too many requests per day, please wait before trying again.", "Service Quotas"),
    (429, "ThrottlingException", "You have reached your daily limit.", "Service Quotas"),
    (400, "ServiceQuotaExceededException", "You have exceeded a quota.", "Service Quotas"),
    (404, "ResourceNotFoundException", "This model version has reached the end of its life.", "CS_FEATURES_MODEL_ID"),
]


@pytest.mark.parametrize(("status", "code", "message", "advice"), ACCOUNT)
def test_what_concerns_the_account_stops_the_run_at_the_first_call_and_says_what_to_do(
    status: int, code: str, message: str, advice: str
) -> None:
    """ "Operation not allowed" became 60 rejects and 60 deleted records, in green (fault 1)."""
    error = error_of(status, code, message)
    assert type(error) is RunStopper
    assert not isinstance(error, Outage), "asked again after 5 and after 30 minutes, for nothing"
    assert advice in str(error)


@pytest.mark.parametrize(
    "message",
    [
        "1 validation error detected: Value 'my app says: Operation not allowed' at 'messages' is not valid.",
        "The model returned the following errors: you don't have access to the model, wrote the customer.",
    ],
)
def test_a_customer_who_writes_like_aws_stops_no_run(message: str) -> None:
    """An error about one request may quote it: whoever knows our code could stop every country."""
    assert type(error_of(400, "ValidationException", message)) is RequestRefused


@pytest.mark.parametrize("message", ["Input is too long for requested model.", "prompt is too long: 213000 tokens"])
def test_an_interaction_that_is_too_long_is_its_own_fault(message: str) -> None:
    """No account to mend."""
    assert type(error_of(400, "ValidationException", message)) is InputTooLong


# --- what is quoted ---------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 403, 404, 413, 429, 500])
@pytest.mark.parametrize("quote", ["'{}'", '"{}"', "`{}`"])
def test_no_class_of_error_repeats_what_aws_quotes(status: int, quote: str) -> None:
    """Messages go to logs, run pages and alerts, where no customer may be."""
    error = error_of(status, "", f"Value {quote.format(SECRET)} failed")
    assert SECRET not in str(error)
    assert SECRET not in repr(error)


def test_a_parameter_that_boto3_refuses_is_not_repeated() -> None:
    """ParamValidationError quotes the parameters, and with them the interaction."""
    request = request_of()
    request["messages"][0]["content"][0]["text"] = {"words": SECRET}
    with serving():
        client = boto3.client("bedrock-runtime")  # ours leaves the check to Bedrock
        with pytest.raises(botocore.exceptions.ParamValidationError, match=SECRET):
            client.converse(**request)
        with pytest.raises(RequestRefused) as caught:
            converse(client, request)
    assert SECRET not in str(caught.value) + repr(caught.value) + caught.value.said
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__, "a traceback would show botocore's message"


def test_aws_words_are_one_bounded_printable_line() -> None:
    """A page of HTML of a proxy, with line ends, in the middle of a log."""
    words = quote_aws_safely("User: u\n\tis not   authorized\x1b[31m " + "x" * 5_000)
    assert words.startswith("User: u is not authorized[31m x")
    assert len(words) <= MAX_QUOTED_CHARACTERS + 3


# --- stop reasons -----------------------------------------------------------------------------


def test_a_stop_reason_of_tomorrow_is_no_answer() -> None:
    """A wrong value that looks right is worse than a missing one."""
    assert classify_stop_reason("paused_for_thought") is Ending.WITHHELD
    assert classify_stop_reason("") is Ending.WITHHELD


def test_each_meaning_and_each_ending_is_used() -> None:
    """A class that no error has is a rule that nobody needs."""
    assert set(MEANINGS.values()) == set(Meaning)
    assert set(ENDINGS.values()) == set(Ending)


# --- trouble on the way, over real sockets ----------------------------------------------------


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with serving() as started:
        yield started


@pytest.mark.parametrize(
    "trouble",
    [
        Urllib3SSLError(ssl.SSLEOFError(8, "EOF occurred in violation of protocol")),
        ProxyError("Unable to connect to proxy", OSError("Tunnel connection failed: 503")),
        ProtocolError("Connection broken: IncompleteRead(10 bytes read)"),
        ConnectionResetError(104, "Connection reset by peer"),
    ],
    ids=["TLS EOF", "proxy", "broken body", "reset"],
)
def test_trouble_on_the_way_is_asked_again_and_answered(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch, tmp_path: Any, trouble: Exception
) -> None:
    """One TLS EOF in five handshakes stopped a run with nothing delivered (fault 26)."""
    from urllib3.connectionpool import HTTPConnectionPool

    whole, times = HTTPConnectionPool.urlopen, [trouble, trouble]

    def urlopen(*args: Any, **kwargs: Any) -> Any:
        if times:
            raise times.pop()
        return whole(*args, **kwargs)

    monkeypatch.setattr(HTTPConnectionPool, "urlopen", urlopen)
    outcome = extractor_in(tmp_path).ask(key_of(1), request_of(1))
    assert (outcome.answer, outcome.attempts) == (GOOD, 3)


def test_credentials_that_cannot_be_had_for_a_moment_are_asked_for_again(endpoint: Endpoint, tmp_path: Any) -> None:
    """The credential endpoint answered 500 seven times during a refresh, and the run was stopped (fault 27)."""
    times = [500] * 7
    fresh = {"access_key": "a", "secret_key": "s", "token": "t", "expiry_time": "2099-01-01T00:00:00Z"}

    def refresh() -> dict[str, str]:
        if times:
            times.pop()
            raise botocore.exceptions.CredentialRetrievalError(provider="container-role", error_msg="HTTP 500")
        return fresh

    client = make_bedrock_client(2, 5)
    client._request_signer._credentials = RefreshableCredentials.create_from_metadata(
        {**fresh, "expiry_time": "2020-01-01T00:00:00Z"}, refresh, "container-role"
    )
    extractor = extractor_in(tmp_path, call=lambda request: converse(client, request))
    outcome = extractor.ask(key_of(1), request_of(1))
    assert outcome.answered
    assert (outcome.attempts, times) == (8, [])
