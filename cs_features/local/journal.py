"""The journal of the local AWS: the requests that made its account what it is, and how they are repeated.

moto's own recorder (`moto_api/_internal/recorder`) does not do: it keeps reads as well and loses the
times, and with them the S3 prefix of a feature group, which ends in its creation time.

Here: what of a request is kept, the file, its compaction. Not here: the server (`aws.py`).
"""

import base64
import fcntl
import json
import random
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, unquote_to_bytes, urlsplit

from werkzeug.test import create_environ, run_wsgi_app

from cs_features.local import moto_gaps

# A published message is delivered and gone: repeating it would deliver it twice.
_NO_CHANGES = ("BatchGet", "Describe", "Get", "List", "Publish", "Search")
_NEEDLESS_HEADERS = {  # noise that would double the journal; a body is kept whole, so not in chunks
    "HTTP_ACCEPT_ENCODING",
    "HTTP_AMZ_SDK_INVOCATION_ID",
    "HTTP_AMZ_SDK_REQUEST",
    "HTTP_CONNECTION",
    "HTTP_EXPECT",
    "HTTP_TRANSFER_ENCODING",
    "HTTP_USER_AGENT",
}
_PRESERVED_NAMES = "moto.preserved_header_names"


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request to moto, as it is journaled: all that its outcome depends on.

    `time` is in Unix seconds; `seed` seeds moto's identifiers; `target` is path and query as sent;
    `headers` has the names of a WSGI environment.
    """

    time: float
    seed: int
    method: str
    target: str
    headers: dict[str, Any]
    body: bytes = field(repr=False)

    @classmethod
    def read(cls, environ: dict[str, Any]) -> "Request":
        headers = {
            name: value for name, value in environ.items() if name.startswith("HTTP_") and name not in _NEEDLESS_HEADERS
        }
        headers |= {name: environ[name] for name in ("CONTENT_TYPE", _PRESERVED_NAMES) if environ.get(name)}
        # werkzeug marks the stream of a chunked upload as terminated; any other has a length.
        length = -1 if environ.get("wsgi.input_terminated") else int(environ.get("CONTENT_LENGTH") or 0)
        return cls(
            time=time.time(),
            seed=random.getrandbits(64),
            method=environ["REQUEST_METHOD"],
            target=environ["RAW_URI"],
            headers=headers,
            body=environ["wsgi.input"].read(length) if length else b"",
        )

    def send(self, app: Any) -> tuple[Iterable[bytes], int, list[tuple[str, str]]]:
        """Body, status and headers of moto's answer, at this request's time and with its seed."""
        url = urlsplit(self.target)
        environ = create_environ(method=self.method, query_string=url.query, base_url="http://127.0.0.1")
        environ |= {
            "PATH_INFO": unquote_to_bytes(url.path).decode("latin-1"),
            "RAW_URI": self.target,
            "REQUEST_URI": self.target,
            "CONTENT_LENGTH": str(len(self.body)),
            "REMOTE_ADDR": "127.0.0.1",
            **self.headers,
        }
        environ["wsgi.input"].write(self.body)
        environ["wsgi.input"].seek(0)
        with moto_gaps.fix_clock_and_seed(self.time, self.seed):
            body, status, headers = run_wsgi_app(app, environ, buffered=True)
        return body, int(status.split()[0]), list(headers)

    @property
    def service(self) -> str:
        """The service it was signed for; S3 when it was not signed, as moto takes it."""
        scope = self.headers.get("HTTP_AUTHORIZATION", "").partition("Credential=")[2].split(",")[0].split("/")
        return scope[3] if len(scope) == 5 else "s3"

    @property
    def changes_state(self) -> bool:
        if self.method in ("GET", "HEAD", "OPTIONS"):
            return False
        action = self.headers.get("HTTP_X_AMZ_TARGET", "").rpartition(".")[2]
        if not action and self.headers.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded"):
            action = parse_qs(self.body.decode()).get("Action", [""])[0]
        return not action.startswith(_NO_CHANGES)

    def to_line(self) -> bytes:
        return json.dumps(asdict(self) | {"body": base64.b64encode(self.body).decode()}).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> "Request":
        request = cls(**json.loads(line))
        return replace(request, body=base64.b64decode(request.body))


class Journal:
    """The requests that made the account what it is: one JSON object a line, appended whole.

    Opening it drops a line torn by a kill, and compacts. Each append is one `write`, which survives
    the death of the process (it is not synced: the death of the machine is not what this is for).

    Raises:
        RuntimeError: another process holds the journal, or a line that is not the last is unreadable.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        # The lock is on a file of its own: compaction replaces the journal.
        self._lock = path.with_suffix(".lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.close()
            raise RuntimeError(f"Another local AWS is using {path.parent}; stop it or use another --state.") from None
        try:
            *lines, _torn = (path.read_bytes() if path.exists() else b"").split(b"\n")
            self.requests = compacted([_readable(line, number) for number, line in enumerate(lines, 1)])
            draft = path.with_suffix(".draft")
            draft.write_bytes(b"".join(request.to_line() for request in self.requests))
            draft.replace(path)
            self._file = path.open("ab", buffering=0)
        except BaseException:
            self._lock.close()
            raise

    def append(self, request: Request) -> None:
        line = request.to_line()
        if self._file.write(line) != len(line):
            raise OSError("The disk under the local AWS's journal is full.")

    def close(self) -> None:
        self._file.close()
        self._lock.close()


def compacted(requests: list[Request]) -> list[Request]:
    """`requests` without the object writes and deletes that a later one on the same object undoes.

    Order is kept. An object is left alone when anything but plain PUTs and DELETEs touched it (a copy
    from or to it, parts, tags, `If-Match`), and a bucket when it ever had versions.
    """
    last: dict[str, int] = {}
    touched: set[str] = set()
    versioned: set[str] = set()
    for index, request in enumerate(requests):
        url = urlsplit(request.target)
        if request.service != "s3":
            continue
        if _overwrites(request):
            last[url.path] = index
            continue
        touched.add(unquote(url.path))
        touched.add("/" + unquote(request.headers.get("HTTP_X_AMZ_COPY_SOURCE", "").partition("?")[0]).lstrip("/"))
        locked = "HTTP_X_AMZ_BUCKET_OBJECT_LOCK_ENABLED" in request.headers  # implies versioning
        if locked or "versioning" in parse_qs(url.query, keep_blank_values=True):
            versioned.add(_bucket(url.path))

    def superseded(index: int, request: Request) -> bool:
        path = urlsplit(request.target).path
        alone = unquote(path) in touched or _bucket(path) in versioned
        return request.service == "s3" and _overwrites(request) and index < last[path] and not alone

    return [request for index, request in enumerate(requests) if not superseded(index, request)]


def _overwrites(request: Request) -> bool:
    """Whether the request settles one object by itself, whatever was there before."""
    url = urlsplit(request.target)
    return (
        request.method in ("PUT", "DELETE")
        and "/" in url.path.strip("/")
        and set(parse_qs(url.query, keep_blank_values=True)) <= {"x-id"}
        and not {"HTTP_X_AMZ_COPY_SOURCE", "HTTP_IF_MATCH"} & request.headers.keys()
    )


def _bucket(path: str) -> str:
    return "/" + path.lstrip("/").partition("/")[0]


def _readable(line: bytes, number: int) -> Request:
    try:
        return Request.from_line(line)
    except (ValueError, TypeError):
        raise RuntimeError(f"Line {number} of the local AWS's journal is unreadable; remove it to go on.") from None
