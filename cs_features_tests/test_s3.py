"""One object's fault is told from everybody's: what is refused, what is gone, what broke off on its way."""

import io
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import IncompleteReadError, ReadTimeoutError, ResponseStreamingError
from botocore.parsers import ResponseParserError
from urllib3.exceptions import ProtocolError, SSLError

from cs_features import s3
from cs_features.errors import AwsRefusal, ObjectUnreadable
from cs_features.s3 import Bucket
from cs_features.short_names import shorten_object_key
from cs_features_tests.support.memory_s3 import MemoryS3
from cs_features_tests.support.refusals import refusal

KEY = "interactions/a.jsonl"


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3.time, "sleep", lambda seconds: None)


def bucket_where(get_object: Callable[[Callable[..., Any]], Callable[..., Any]]) -> Bucket:
    """A bucket with one object, whose GETs are answered by what `get_object` makes of the usual answer."""
    client = MemoryS3()
    client.put_object(Key=KEY, Body=b"12345")
    client.get_object = get_object(client.get_object)  # type: ignore[method-assign]
    return Bucket(client, "landing", "CS_FEATURES_LANDING_BUCKET")


def refusing(code: str, status: int) -> Bucket:
    def answer(_: Callable[..., Any]) -> Callable[..., Any]:
        def get_object(**request: Any) -> Any:
            raise refusal(code, status)

        return get_object

    return bucket_where(answer)


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("AccessDenied", 403),
        ("InvalidObjectState", 403),
        ("AllAccessDisabled", 403),
        ("Forbidden", 403),
        ("KMS.DisabledException", 400),
        ("KMS.NotFoundException", 400),
        ("KMS.KMSInvalidStateException", 400),
        ("InvalidRequest", 400),
    ],
)
def test_a_refused_object_is_named_with_what_aws_says(code: str, status: int) -> None:
    """Fault 15: another owner's object, an archived one, a key without permission: nobody was told which."""
    with pytest.raises(ObjectUnreadable, match=f"s3://landing/{shorten_object_key(KEY)}: {code}"):
        refusing(code, status).read(KEY)


def test_a_page_that_is_none_of_s3s_is_told_in_a_sentence() -> None:
    """A proxy's greeting with status 200 ended in botocore's parser, and the run with a traceback."""
    client = MemoryS3()

    def paginate(**_: Any) -> Any:
        raise ResponseParserError("Unable to parse response (not well-formed), invalid XML received")

    client.paginate = paginate  # type: ignore[method-assign]
    with pytest.raises(AwsRefusal, match="Bucket landing: ResponseParserError"):
        Bucket(client, "landing", "CS_FEATURES_LANDING_BUCKET").list_bucket_objects("interactions/")


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("InvalidAccessKeyId", 403),
        ("SignatureDoesNotMatch", 403),
        ("RequestTimeTooSkewed", 403),
        ("ExpiredToken", 400),
        ("KMS.ThrottlingException", 400),
        ("NoSuchBucket", 404),
        ("SlowDown", 503),
        ("InternalError", 500),
    ],
)
def test_a_fault_of_the_account_is_not_taken_for_the_object_s(code: str, status: int) -> None:
    """Rejected one by one, every document of the day would be a dead letter for an expired token."""
    with pytest.raises(AwsRefusal) as error:
        refusing(code, status).read(KEY)
    assert not isinstance(error.value, ObjectUnreadable)


def test_an_object_that_is_gone_is_none() -> None:
    assert bucket_where(lambda usual: usual).read("interactions/b.jsonl") is None


BROKEN = [
    ResponseStreamingError(error=ProtocolError("reset")),
    IncompleteReadError(actual_bytes=3, expected_bytes=5),
    ReadTimeoutError(endpoint_url="x"),
    SSLError("eof"),
    ConnectionResetError(),
]


class BrokenBody(io.BytesIO):
    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def read(self, *_: Any) -> bytes:
        raise self.error


def breaking(error: Exception, times: int, asked: list[str] | None = None) -> Bucket:
    """Bodies break off so many times."""
    left = [times]

    def answer(usual: Callable[..., Any]) -> Callable[..., Any]:
        def get_object(**request: Any) -> Any:
            if asked is not None:
                asked.append(request["Key"])
            left[0] -= 1
            return usual(**request) | ({"Body": BrokenBody(error)} if left[0] >= 0 else {})

        return get_object

    return bucket_where(answer)


@pytest.mark.parametrize("error", BROKEN, ids=lambda error: type(error).__name__)
def test_a_body_that_breaks_off_is_asked_for_again(error: Exception) -> None:
    """Fault 16: botocore retries all but the body, and the run failed of one lost connection."""
    found = breaking(error, times=len(s3.PAUSES)).read(KEY)
    assert found is not None
    assert found[1] == b"12345"


@pytest.mark.parametrize("error", BROKEN, ids=lambda error: type(error).__name__)
def test_a_body_that_breaks_off_each_time_is_the_object_s_fault(error: Exception) -> None:
    """Fault 16: asked for ever, one object would hold its partition; failed, it would stop it."""
    asked: list[str] = []
    with pytest.raises(ObjectUnreadable, match=f"broke off {len(s3.PAUSES) + 1} times"):
        breaking(error, times=99, asked=asked).read(KEY)
    assert len(asked) == len(s3.PAUSES) + 1


def test_a_prefix_of_many_pages_is_iterated_to_its_end() -> None:
    client = MemoryS3()
    for number in range(7):
        client.put_object(Key=f"a/{number}", Body=b"x")
    keys = [item.key for item in Bucket(client, "b", "B").iterate_bucket_objects("a/")]
    assert keys == [f"a/{number}" for number in range(7)]
