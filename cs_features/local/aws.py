"""S3, SNS and SageMaker's control plane on loopback: moto's server, with a memory.

moto stands in for AWS and forgets everything when its process ends. Here every successful request that
changes state is appended to a journal before it is answered, and the journal is replayed at the next
start, so that an object acknowledged before a SIGKILL is there afterwards, with its times and
identifiers.

Here: the server and injected S3 faults. Not here: the journal (`journal.py`), where moto's answers are
mended (`moto_gaps.py`), the services moto lacks (`feature_store.py`, `bedrock.py`), what is created in
the account (`provision.py`).
"""

import logging
import random
import socket
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from traceback import format_tb
from typing import Any
from urllib.parse import urlsplit

from moto.moto_api._internal import moto_api_backend
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server
from werkzeug.wrappers import Response

from cs_features.local import moto_gaps
from cs_features.local.journal import Journal, Request

HOST = "127.0.0.1"
REGION = "eu-central-1"
CREDENTIALS = {"aws_access_key_id": "local", "aws_secret_access_key": "local"}  # nobody checks them

_log = logging.getLogger(__name__)
# moto keeps its state once a process, so there can be one local AWS in it.
_only_one = threading.Lock()


@contextmanager
def serve_aws(
    state: Path | None, listener: socket.socket, *, s3_error_rate: float = 0.0, seed: int = 0
) -> Iterator[str]:
    """moto's server on `listener` (bound, not yet listening) while the context is open; yields its URL.

    `state` is the folder of the journal, `None` for an account that forgets. `s3_error_rate` is the
    share of S3 requests that fail with 500 InternalError or 503 SlowDown before they reach moto.

    Raises:
        RuntimeError: a local AWS is already running in this process or on this `state`; or the journal
            cannot be replayed, with the line and the request it stopped at.
    """
    if not _only_one.acquire(blocking=False):
        raise RuntimeError("A local AWS is already running in this process; moto allows one.")
    try:
        moto_gaps.mend_moto()
        moto_api_backend.reset()
        journal = Journal(state / "aws.jsonl") if state else None
        try:
            app = _Recorded(journal, s3_error_rate, random.Random(seed))
            listener.listen(128)
            server = make_server(HOST, 0, app, threaded=True, request_handler=_QuietHandler, fd=listener.fileno())
            thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="local-aws", daemon=True)
            thread.start()
            try:
                yield f"http://{HOST}:{listener.getsockname()[1]}"
            finally:
                server.shutdown()
                thread.join()
        finally:
            if journal:
                journal.close()
    finally:
        _only_one.release()


class _Recorded:
    """The WSGI application: moto, one request at a time, its changes journaled before the answer."""

    def __init__(self, journal: Journal | None, s3_error_rate: float, chance: random.Random) -> None:
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._journal = journal
        self._s3_error_rate = s3_error_rate
        self._chance = chance
        # moto is not thread-safe, and the journal must have the order in which things happened.
        self._lock = threading.Lock()
        for number, request in enumerate(journal.requests if journal else [], 1):
            status = request.send(self._moto)[1]
            if status >= 400:
                raise RuntimeError(
                    f"Line {number} of the local AWS's journal, {request.method} "
                    f"{urlsplit(request.target).path}, was answered {status} when replayed."
                )
        if journal:
            journal.requests.clear()  # moto has them now

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        request = Request.read(environ)
        if request.service == "s3" and self._chance.random() < self._s3_error_rate:
            status, code = self._chance.choice(((500, "InternalError"), (503, "SlowDown")))
            error = f"<Error><Code>{code}</Code><Message>Injected by the local AWS.</Message></Error>"
            return Response(error, status, mimetype="application/xml")(environ, start_response)
        with self._lock:
            try:
                # Taken again under the lock, so that times in the journal never run backwards.
                request = replace(request, time=time.time())
                body, status, headers = request.send(self._moto)
            except Exception as error:  # a gap of moto's; its message may quote the request
                trace = "".join(format_tb(error.__traceback__))
                _log.error("moto failed on %s: %s\n%s", request.service, type(error).__name__, trace)
                return Response("moto failed on this request.", 500)(environ, start_response)
            if self._journal and status < 400 and request.changes_state:
                self._journal.append(request)
        return Response(body, status, headers)(environ, start_response)


class _QuietHandler(MotoRequestHandler):  # type: ignore[misc]
    # Header and body go out in two writes; with Nagle's algorithm the second waits for an ACK.
    disable_nagle_algorithm = True

    def log_request(self, *_: Any) -> None:
        """A line a request on stderr would drown the demo."""
