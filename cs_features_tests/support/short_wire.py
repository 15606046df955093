"""The last step of a call of boto3 to the session's S3, SNS and SageMaker, without a socket: half of what calls cost.

boto3 makes and signs the request, the local AWS answers it, boto3 reads the answer's bytes; between the two no thread
is started and nothing is sent. Who starts a local AWS of his own, or has another address set, still goes over HTTP.
"""

import io
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from http.client import HTTPMessage
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.httpsession import URLLib3Session
from werkzeug.serving import make_server

from cs_features.local import aws


@contextmanager
def short_wire() -> Iterator[None]:
    """While this lasts, the local AWS that is started in it is called, and no other."""
    servers: list[Any] = []
    send_over_http = URLLib3Session.send

    def remember_server(*args: Any, **kwargs: Any) -> Any:
        servers.append(make_server(*args, **kwargs))
        return servers[-1]

    def send(session: URLLib3Session, request: AWSPreparedRequest) -> AWSResponse:
        for server in servers:
            if urlsplit(request.url).netloc == f"{aws.HOST}:{server.port}":
                return _answer(server, request)
        return send_over_http(session, request)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(aws, "make_server", remember_server)
        patch.setattr(URLLib3Session, "send", send)
        yield


def _answer(server: Any, request: AWSPreparedRequest) -> AWSResponse:
    status, headers, pieces = "", [("date", formatdate(time.time(), usegmt=True))], []

    def start_response(told: str, told_headers: list[tuple[str, str]], _: Any = None) -> Any:
        nonlocal status
        status = told
        headers.extend(told_headers)
        return pieces.append

    pieces.extend(server.app(_read_request(server, request), start_response))
    return AWSResponse(request.url, int(status.split()[0]), dict(headers), _Body(b"".join(pieces)))


def _read_request(server: Any, request: AWSPreparedRequest) -> dict[str, Any]:
    """The request as the server's own handler reads it from a socket."""
    content = _read_body(request.body or b"")
    handler: Any = object.__new__(server.RequestHandlerClass)
    handler.server, handler.connection, handler.client_address = server, None, (aws.HOST, 0)
    handler.rfile = io.BytesIO(content)
    handler.command, handler.request_version = request.method, "HTTP/1.1"
    url = urlsplit(request.url)
    handler.path = f"{url.path}?{url.query}" if url.query else url.path
    handler.headers = HTTPMessage()
    for name, value in request.headers.items():
        if name.lower() not in ("transfer-encoding", "content-length"):
            handler.headers[name] = value.decode() if isinstance(value, bytes) else value
    handler.headers["Host"] = url.netloc
    handler.headers["Content-Length"] = str(len(content))
    environ: dict[str, Any] = handler.make_environ()
    return environ


def _read_body(body: Any) -> bytes:
    if isinstance(body, str):
        return body.encode()
    return bytes(body) if isinstance(body, (bytes, bytearray)) else body.read()


class _Body(io.BytesIO):
    """As much of urllib3's response as botocore reads."""

    def stream(self, amt: int = 2**16, decode_content: bool | None = None) -> Iterator[bytes]:
        yield self.read()
