"""The local AWS as one thing to start: moto's server on one port, Bedrock and Feature Store on the next.

Here: ports, threads, the order of starting and stopping, the variables that point boto3 at the stack.
Not here: what the services do, or what is created in them (`provision.py`).
"""

import errno
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType

import uvicorn
from starlette.applications import Starlette
from typing_extensions import Self

from cs_features.local import aws, bedrock, feature_store_http
from cs_features.local.converse import Answerer
from cs_features.local.feature_store import Faults, FeatureStore
from cs_features.local.service_quotas import build_quota_routes


class LocalStack:
    """S3, SNS, SageMaker, Bedrock and Feature Store on loopback while the context is open.

    `state` is the folder that keeps everything across restarts and kills, `None` for a stack that
    forgets. moto listens on `port`, the rest on `port + 1`; 0 takes two free ports. Inside the context
    `environment` has the variables that point boto3 here, and `feature_store` the runtime itself.
    `s3_error_rate` and `faults` break calls on purpose. One stack a process: moto allows no more.

    Raises (on entering):
        RuntimeError: a port is taken, another stack runs in this process or on this `state`, or the
            state cannot be read back.
    """

    environment: dict[str, str]
    feature_store: FeatureStore

    def __init__(
        self,
        state: Path | None,
        *,
        answerer: Answerer,
        port: int = 0,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        faults: Faults | None = None,
        feature_store_latency_s: float = 0.0,
        s3_error_rate: float = 0.0,
    ) -> None:
        self._state = state
        self._ports = (port, port + 1 if port else 0)
        self._bedrock = bedrock.build_routes(
            answerer, requests_per_minute=requests_per_minute, tokens_per_minute=tokens_per_minute
        )
        self._quotas = build_quota_routes(requests_per_minute, tokens_per_minute)
        self._faults = faults
        self._feature_store_latency_s = feature_store_latency_s
        self._s3_error_rate = s3_error_rate

    def __enter__(self) -> Self:
        with ExitStack() as opened:
            # Both ports first: a stack that cannot start should not have replayed its journal.
            for_moto, for_runtimes = (opened.enter_context(_bind_port(port)) for port in self._ports)
            aws_url = opened.enter_context(aws.serve_aws(self._state, for_moto, s3_error_rate=self._s3_error_rate))
            self.feature_store = opened.enter_context(
                FeatureStore(self._state, aws_url, faults=self._faults, latency_s=self._feature_store_latency_s)
            )
            app = Starlette(routes=[*self._bedrock, *self._quotas, *feature_store_http.routes(self.feature_store)])
            runtimes_url = opened.enter_context(_serve_app(app, for_runtimes))
            self.environment = {
                "AWS_ENDPOINT_URL": aws_url,  # STS, ECS and whatever else moto answers; nothing goes out to AWS
                "AWS_ENDPOINT_URL_S3": aws_url,
                "AWS_ENDPOINT_URL_SNS": aws_url,
                "AWS_ENDPOINT_URL_SAGEMAKER": aws_url,
                "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": runtimes_url,
                "AWS_ENDPOINT_URL_SERVICE_QUOTAS": runtimes_url,
                "AWS_ENDPOINT_URL_SAGEMAKER_FEATURESTORE_RUNTIME": runtimes_url,
                "AWS_REGION": aws.REGION,
                "AWS_DEFAULT_REGION": aws.REGION,
                **{name.upper(): value for name, value in aws.CREDENTIALS.items()},
                "AWS_EC2_METADATA_DISABLED": "true",
            }
            self._opened = opened.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._opened.__exit__(kind, error, traceback)


@contextmanager
def _bind_port(port: int) -> Iterator[socket.socket]:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((aws.HOST, port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            raise RuntimeError(
                f"Port {port} on {aws.HOST} is taken; stop what listens there or choose another --port."
            ) from None
        yield listener


@contextmanager
def _serve_app(app: Starlette, listener: socket.socket) -> Iterator[str]:
    server = uvicorn.Server(
        uvicorn.Config(app, log_level="warning", access_log=False, lifespan="off", timeout_graceful_shutdown=3)
    )
    thread = threading.Thread(target=server.run, args=([listener],), name="local-runtimes", daemon=True)
    thread.start()
    while not server.started:
        if not thread.is_alive():
            raise RuntimeError("The server of Bedrock and Feature Store did not start; see the log.")
        time.sleep(0.01)
    try:
        yield f"http://{aws.HOST}:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
