"""Objects that S3 lists and does not give: answered as AWS answers, through the client that the product uses."""

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from botocore.awsrequest import AWSResponse
from botocore.exceptions import ClientError

from cs_features.services import s3_client


def refusal(code: str, status: int = 403, message: str = "no") -> ClientError:
    """What boto3 raises for such an answer to a GET."""
    answer: Any = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, "GetObject")


@contextmanager
def refused_listing(prefix: str, code: str = "AccessDenied", status: int = 403) -> Iterator[None]:
    """Every listing below the prefix is refused while this lasts."""

    def answer(request: Any, **_: Any) -> AWSResponse | None:
        if not parse_qs(urlsplit(request.url).query).get("prefix", [""])[0].startswith(prefix):
            return None
        body = f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()
        return AWSResponse(request.url, status, {"content-type": "application/xml"}, RawAnswer(body))

    events = s3_client().meta.events
    events.register("before-send.s3.ListObjectsV2", answer)
    try:
        yield
    finally:
        events.unregister("before-send.s3.ListObjectsV2", answer)


@contextmanager
def refused(key: str, code: str = "AccessDenied", status: int = 403, message: str = "no") -> Iterator[None]:
    """Every GET of the key is refused while this lasts; a listing still shows it."""

    def answer(request: Any, **_: Any) -> AWSResponse | None:
        if request.method != "GET" or not unquote(urlsplit(request.url).path).endswith(f"/{key}"):
            return None
        body = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()
        return AWSResponse(request.url, status, {"content-type": "application/xml"}, RawAnswer(body))

    events = s3_client().meta.events
    events.register("before-send.s3.GetObject", answer)
    try:
        yield
    finally:
        events.unregister("before-send.s3.GetObject", answer)


class RawAnswer(BytesIO):
    """As much of urllib3's response as botocore reads."""

    def stream(self, amt: int = 2**16, decode_content: bool | None = None) -> Iterator[bytes]:
        yield self.read()
