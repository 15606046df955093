"""Functions of a scenario in fresh processes: clients, whose results come back as JSON, and stacks of one's own.

Only processes that are started here are ended here. What the functions do is the scenarios' business.
"""

import importlib
import json
import resource
import signal
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cs_features.local.bench.endpoint import Endpoint, start_stack
from cs_features.local.bench.figures import Say
from cs_features.local.processes import LocalProblem, announce_stack, run_child

if TYPE_CHECKING:  # a client loads no moto: its memory is measured
    from cs_features.local.stack import LocalStack

LOOK_SECONDS = 0.1
SAY_SECONDS = 20.0


def say_regularly(say: Say, describe: Callable[[], str]) -> Callable[[], None]:
    """For `each_look`: a progress line every so often."""
    said_at = time.monotonic()

    def report_progress() -> None:
        nonlocal said_at
        if time.monotonic() - said_at > SAY_SECONDS:
            said_at = time.monotonic()
            say(describe())

    return report_progress


@dataclass(frozen=True)
class Job:
    """A module-level `function`, its JSON-able keyword arguments, and settings of the product."""

    function: Callable[..., Any]
    arguments: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)


def run_together(
    endpoint: Endpoint, jobs: Sequence[Job], timeout_s: float, each_look: Callable[[], None] = lambda: None
) -> list[Any]:
    """Run `jobs` at once, a process each, and return their results in order.

    Raises:
        LocalProblem: one failed or took longer than `timeout_s`; all of them are ended.
    """
    deadline = time.monotonic() + timeout_s
    with ExitStack() as opened:
        running = []
        for job in jobs:
            name = uuid.uuid4().hex[:8]
            log, result = endpoint.folder / f"{name}.log", endpoint.folder / f"{name}.json"
            settings = {**endpoint.environment, **job.settings}
            process = opened.enter_context(run_child(_child_command(job, result), settings, log))
            running.append((process, log, result))
        while any(process.poll() is None for process, _, _ in running):
            if time.monotonic() > deadline:
                raise LocalProblem(f"A client was not done after {timeout_s:g} s")
            each_look()
            time.sleep(LOOK_SECONDS)
        for process, log, _ in running:
            if process.returncode:
                raise LocalProblem(f"A client failed: {log.read_text(errors='replace')[-1500:]}")
        return [json.loads(result.read_text()) for _, _, result in running]


def run_alone(endpoint: Endpoint, job: Job, timeout_s: float, each_look: Callable[[], None] = lambda: None) -> Any:
    return run_together(endpoint, [job], timeout_s, each_look)[0]


@contextmanager
def serve_stack(server: Job) -> Iterator[Endpoint]:
    """What `endpoint()` is for `python -m cs_features.local`, for a stack that a function of ours serves.

    `server.function` gets the folder for its state as `state`, and calls `announce_and_wait`.
    """
    with start_stack(
        lambda folder: _child_command(server, folder / "served.json", state=str(folder / "state"))
    ) as service:
        yield service


def announce_and_wait(stack: "LocalStack", state: str) -> None:
    """In a stack's process: say that it is ready, and keep it until SIGTERM."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    announce_stack(stack.environment, Path(state))
    stop.wait()


def measure_peak_mib() -> float:
    """The most memory that this process held. What `getrusage` says begins with what whoever started it held."""
    status = Path("/proc/self/status")
    if status.exists():
        (peak,) = [line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmHWM")]
        return int(peak) / 1024
    peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # macOS
    return peak_bytes / 1024**2


def _child_command(job: Job, result: Path, **more: str) -> list[str]:
    function = f"{job.function.__module__}:{job.function.__qualname__}"
    return [__name__, function, json.dumps({**job.arguments, **more}), str(result)]


def main() -> None:
    name, arguments, result = sys.argv[1:]
    module, function = name.split(":")
    answer = getattr(importlib.import_module(module), function)(**json.loads(arguments))
    Path(result).write_text(json.dumps(answer))


if __name__ == "__main__":
    main()
