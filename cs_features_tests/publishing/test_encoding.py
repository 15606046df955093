"""Records on the wire: what we encode ourselves is what botocore would have sent."""

import json
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse

from cs_features.publishing.encoding import encode_written_records

TRICKY = ["Zoë", "=cmd", "../", 'a "quoted" \\ word', "a\u2028b", "\U0001f600", "x" * 2_000, ""]
ENTRIES = [
    {"FeatureGroupName": "second", "Record": [{"FeatureName": "customer_id", "ValueAsString": value}]}
    for value in TRICKY
]


def make_runtime(sent: list[Any], answers: list[int]) -> Any:
    """A client whose requests end up in `sent`; each is answered with the next status."""
    runtime = boto3.client(
        "sagemaker-featurestore-runtime",
        region_name="eu-central-1",
        aws_access_key_id="key",
        aws_secret_access_key="secret",
    )

    def answer(request: Any, **_: Any) -> AWSResponse:
        sent.append(request)
        body = Body(b'{"Errors": [], "UnprocessedEntries": []}')
        return AWSResponse(request.url, answers.pop(0), {"content-type": "application/json"}, body)

    runtime.meta.events.register("before-send.sagemaker-featurestore-runtime", answer)
    return runtime


class Body(bytes):
    """A body as botocore reads it."""

    def stream(self, *_: Any, **__: Any) -> Any:
        yield bytes(self)


@pytest.mark.parametrize("answers", [[200], [503, 200]])
def test_what_is_sent_is_what_botocore_sends_and_a_retry_sends_it_again(answers: list[int]) -> None:
    plain: list[Any] = []
    ours: list[Any] = []
    make_runtime(plain, [200]).batch_write_record(Entries=ENTRIES)
    encode_written_records(make_runtime(ours, list(answers))).batch_write_record(Entries=ENTRIES)
    assert [request.body for request in ours] == [plain[0].body] * len(answers)
    for name in ("Content-Type", "Content-Length"):
        assert {request.headers[name] for request in ours} == {plain[0].headers[name]}
    assert json.loads(ours[0].body)["Entries"] == ENTRIES


def test_the_request_that_was_asked_for_is_left_as_it_is() -> None:
    """Records that come back unprocessed are sent again from the same list."""
    asked = [dict(entry) for entry in ENTRIES]
    runtime = encode_written_records(make_runtime([], [200]))
    runtime.batch_write_record(Entries=asked)
    assert asked == ENTRIES
