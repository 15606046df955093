"""What the tests' short way to the local AWS may not change: anything that boto3 reads of an answer."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from cs_features_tests.support import short_wire
from cs_features_tests.support.lab import AwsAndModel

# Of each connection, or of each request.
_OF_ITS_OWN = {"connection", "server", "date", "x-amz-id-2", "x-amz-request-id", "x-amzn-requestid"}

CALLS: dict[str, Callable[[Any, str], Any]] = {
    "a text": lambda s3, bucket: s3.put_object(Bucket=bucket, Key="a", Body=b"text", ContentType="text/plain"),
    "nothing": lambda s3, bucket: s3.put_object(Bucket=bucket, Key="b/empty", Body=b""),
    "an odd key": lambda s3, bucket: s3.put_object(Bucket=bucket, Key="C d/É+%20?x=1&Y", Body="ü".encode()),
    "metadata": lambda s3, bucket: s3.put_object(Bucket=bucket, Key="m", Body=b"m", Metadata={"first_landed": "x"}),
    "metadata read": lambda s3, bucket: s3.head_object(Bucket=bucket, Key="m"),
    "an odd key read": lambda s3, bucket: s3.get_object(Bucket=bucket, Key="C d/É+%20?x=1&Y"),
    "a range": lambda s3, bucket: s3.get_object(Bucket=bucket, Key="a", Range="bytes=1-2"),
    "no object": lambda s3, bucket: s3.get_object(Bucket=bucket, Key="none"),
    "no head": lambda s3, bucket: s3.head_object(Bucket=bucket, Key="none"),
    "unchanged": lambda s3, bucket: s3.get_object(
        Bucket=bucket, Key="a", IfNoneMatch='"1cb251ec0d568de6a929b520c4aed8d1"'
    ),
    "was changed": lambda s3, bucket: s3.put_object(Bucket=bucket, Key="a", Body=b"new", IfMatch='"other"'),
    "a listing": lambda s3, bucket: s3.list_objects_v2(Bucket=bucket, Delimiter="/"),
    "many deleted": lambda s3, bucket: s3.delete_objects(
        Bucket=bucket, Delete={"Objects": [{"Key": "a"}, {"Key": "m"}]}
    ),
    "a listing after": lambda s3, bucket: s3.list_objects_v2(Bucket=bucket),
    "no bucket": lambda s3, _: s3.list_objects_v2(Bucket="there-is-none"),
}


def call_all(s3: Any, bucket: str) -> dict[str, Any]:
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    return {name: tell_answer(call, s3, bucket) for name, call in CALLS.items()}


def tell_answer(call: Callable[[Any, str], Any], s3: Any, bucket: str) -> str:
    """All of it but its date and its number."""
    try:
        answer = call(s3, bucket)
    except ClientError as error:
        answer = error.response
    if "Body" in answer:
        answer["Body"] = answer["Body"].read()
    told = answer.pop("ResponseMetadata")
    answer["headers"] = {name: value for name, value in told["HTTPHeaders"].items() if name not in _OF_ITS_OWN}
    answer["status"] = told["HTTPStatusCode"]
    answer["has a date"] = "date" in told["HTTPHeaders"]
    return str(answer).replace(bucket, "bucket")


def test_an_answer_is_the_same_as_over_http(stack: AwsAndModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or a thousand tests would prove something of a way that the product does not go."""
    in_place: list[Any] = []
    answer_in_place = short_wire._answer
    monkeypatch.setattr(short_wire, "_answer", lambda *args: in_place.append(args) or answer_in_place(*args))
    monkeypatch.setattr("moto.s3.models.utcnow", lambda: datetime(2026, 1, 1))
    url = stack.local.environment["AWS_ENDPOINT_URL_S3"].replace("127.0.0.1", "localhost")
    path_style = Config(s3={"addressing_style": "path"})

    over_http = call_all(boto3.client("s3", endpoint_url=url, config=path_style), "wire-long")
    assert not in_place
    assert call_all(boto3.client("s3", config=path_style), "wire-none") == over_http
    assert len(in_place) == len(CALLS) + 1
