"""What AWS refuses, or somebody on the way to it answers: through the client that the product uses."""

from collections.abc import Callable, Iterator
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

    def is_below_prefix(request: Any) -> bool:
        return parse_qs(urlsplit(request.url).query).get("prefix", [""])[0].startswith(prefix)

    with answered(s3_client(), "s3.ListObjectsV2", make_s3_error(code, "no"), status, is_below_prefix):
        yield


@contextmanager
def refused(key: str, code: str = "AccessDenied", status: int = 403, message: str = "no") -> Iterator[None]:
    """Every GET of the key is refused while this lasts; a listing still shows it."""

    def is_of_key(request: Any) -> bool:
        return request.method == "GET" and unquote(urlsplit(request.url).path).endswith(f"/{key}")

    with answered(s3_client(), "s3.GetObject", make_s3_error(code, message), status, is_of_key):
        yield


def make_s3_error(code: str, message: str) -> bytes:
    return f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()


@contextmanager
def answered(
    client: Any, operation: str, body: bytes, status: int = 200, is_meant: Callable[[Any], bool] = lambda _: True
) -> Iterator[None]:
    """Those calls of a client's operation that are meant get this answer while it lasts, and nothing is sent."""

    def answer(request: Any, **_: Any) -> AWSResponse | None:
        return AWSResponse(request.url, status, {}, RawAnswer(body)) if is_meant(request) else None

    client.meta.events.register(f"before-send.{operation}", answer)
    try:
        yield
    finally:
        client.meta.events.unregister(f"before-send.{operation}", answer)


class RawAnswer(BytesIO):
    """As much of urllib3's response as botocore reads."""

    def stream(self, amt: int = 2**16, decode_content: bool | None = None) -> Iterator[bytes]:
        yield self.read()
