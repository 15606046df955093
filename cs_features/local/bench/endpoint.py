"""The scripted endpoint in a process of its own, so that a client's CPU is measured alone, and its counters.

Calls are counted there and not by the client under test. Each endpoint has a folder, an account and a
TMPDIR of its own: the limiter's host file and the ledger's journals of one scenario are never another's.
"""

import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from cs_features.local.processes import run_child, wait_for_stack
from cs_features.local.provision import client_factory
from cs_features.s3 import Bucket
from cs_features.storage import Tables

if TYPE_CHECKING:
    import httpx


@dataclass(frozen=True, slots=True)
class Stats:
    """The endpoint's counters at one moment (`time`: CLOCK_MONOTONIC, one clock for all processes here)."""

    time: float
    requests: int
    answered: int
    throttled: int
    refused: int
    faults: int
    tokens: Mapping[str, int]

    @property
    def calls_admitted(self) -> int:
        """Calls that the quota let through, whether or not they are finished."""
        return self.requests - self.throttled - self.refused

    @property
    def calls_finished(self) -> int:
        return self.answered + self.throttled + self.refused + self.faults


@dataclass(frozen=True)
class Endpoint:
    """A running endpoint: its folder, and the environment in which a client finds it."""

    folder: Path
    environment: Mapping[str, str]
    http: "httpx.Client"

    def read_stats(self) -> Stats:
        counted = self.http.get("/_local/stats").json()
        return Stats(
            time.monotonic(),
            counted["requests"],
            counted["answered"],
            counted["throttled"],
            sum(counted["refused"].values()),
            sum(counted["faults"].values()),
            counted["tokens"],
        )

    def s3_client(self) -> Any:
        return patient_s3(self.environment)

    def open_tables(self) -> Tables:
        return Tables(Bucket(self.s3_client(), "cs-data", "CS_FEATURES_DATA_BUCKET"))


@contextmanager
def start_endpoint(requests_per_minute: float | None = None, **script: Any) -> Iterator[Endpoint]:
    """`script`: fields of `scripted.Script`."""
    arguments = ["cs_features.local", "--port", "0", "--scripted", json.dumps(script)]
    if requests_per_minute:
        arguments += ["--requests-per-minute", str(requests_per_minute)]
    with start_stack(lambda folder: [*arguments, "--state", str(folder / "state")]) as service:
        yield service


@contextmanager
def start_stack(command_in: Callable[[Path], Sequence[str]]) -> Iterator[Endpoint]:
    """A stack in a folder of its own, started by `python -m {command_in(folder)}` with `folder/state` for its state."""
    import httpx  # here: a client's memory is measured

    # The bench measures the product as shipped: what this shell has set for AWS or the product stays out.
    # Bytecode is kept as everywhere else: the image has it, and without it each process compiles the product again.
    unwanted = ("CS_FEATURES_", "AWS_", "PYTHONDONTWRITEBYTECODE")
    clean = {key: value for key, value in os.environ.items() if not key.startswith(unwanted)}
    clean["PYTHONWARNINGS"] = "ignore"
    clean["CS_FEATURES_FIRST_DATE"] = "2026-01-01"  # the days that scenarios land on are partitions
    with tempfile.TemporaryDirectory(prefix="cs-features-bench-") as name:
        folder = Path(name)
        (folder / "tmp").mkdir()
        clean["TMPDIR"] = str(folder / "tmp")
        log = folder / "endpoint.log"
        with run_child(command_in(folder), clean, log) as process:
            environment = {**clean, **wait_for_stack(folder / "state", process, log)}
            with httpx.Client(base_url=environment["AWS_ENDPOINT_URL_BEDROCK_RUNTIME"], timeout=30) as http:
                yield Endpoint(folder, environment, http)


def patient_s3(environment: Mapping[str, str]) -> Any:
    """For landing and counting, which no injected fault may end: the product has retries of its own."""
    return client_factory(environment)("s3", config=Config(retries={"mode": "standard", "total_max_attempts": 12}))


def plain_bedrock(**config: Any) -> Any:
    """boto3 as anyone would make it, for comparisons; for use in a client process."""
    return boto3.client("bedrock-runtime", config=boto3.session.Config(**config))
