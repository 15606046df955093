"""Starting and stopping what `make demo` and `make dev` need: the stack, Dagster's daemon, Dagster's UI.

Each is a child process that ends with its parent's `with`; only children started here are ended. A stack
says that it is ready, and where, in `stack.env` in the folder of its state: a line a variable, for a shell.
"""

import os
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlparse

from cs_features.extraction.models import CUSTOM_MODEL_ID, EMBEDDED_MODEL_ID
from cs_features.local.provision import TOPIC

ROOT = Path(__file__).resolve().parent.parent.parent
READY_SECONDS = 90


class LocalProblem(RuntimeError):
    """Something on this machine is in the way; the message says what and where to look."""


def leave_on_sigterm() -> None:
    """Let a `kill` unwind this process like Ctrl-C does, so that its children are ended too.

    SIGINT as well: a shell that starts something in the background tells it to ignore that, and a `kill -INT` of
    `make dev` ended nothing.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def run_child(
    arguments: Sequence[str], environment: Mapping[str, str], log: Path | None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run `python -m ...`, its output in `log` or in this terminal, and end it and its children at the end.

    It leads a process group of its own: Dagster's processes start others, and do not all end them.
    """
    with ExitStack() as opened:
        output = None
        if log is not None:
            log.parent.mkdir(parents=True, exist_ok=True)
            output = opened.enter_context(log.open("ab"))
        command = [sys.executable, "-m", *arguments]
        process = subprocess.Popen(
            command, env=dict(environment), stdout=output, stderr=output, cwd=ROOT, start_new_session=True
        )
        try:
            yield process
        finally:
            _end_group(process)


def _end_group(leader: subprocess.Popen[bytes]) -> None:
    """SIGTERM to the group of `leader`, and SIGKILL to what is left of it after a while."""
    for number, seconds in ((signal.SIGTERM, 30), (signal.SIGKILL, 5)):
        deadline = time.monotonic() + seconds
        try:
            os.killpg(leader.pid, number)
            while time.monotonic() < deadline:
                leader.poll()  # reaps it, or the group would never be empty
                os.killpg(leader.pid, 0)
                time.sleep(0.1)
        except ProcessLookupError:
            return


def announcement_path(state: Path) -> Path:
    return state / "stack.env"


def announce_stack(environment: Mapping[str, str], state: Path) -> None:
    """In a stack's process: say that it is ready. Whoever waits for the file reads all of it."""
    state.mkdir(parents=True, exist_ok=True)
    draft = announcement_path(state).with_suffix(".draft")
    draft.write_text("".join(f"{name}={shlex.quote(value)}\n" for name, value in environment.items()))
    draft.replace(announcement_path(state))


def read_announcement(state: Path) -> dict[str, str]:
    """The variables that point boto3 at the stack."""
    pairs = (line.split("=", 1) for line in announcement_path(state).read_text().splitlines())
    return {name: shlex.split(value)[0] for name, value in pairs}


def wait_for_stack(state: Path, process: subprocess.Popen[bytes], log: Path) -> dict[str, str]:
    """What `process` announces in `state`.

    Raises:
        LocalProblem: it ended, or was not ready in time, with the end of its `log`.
    """
    deadline = time.monotonic() + READY_SECONDS
    while not announcement_path(state).exists():
        if process.poll() is not None or time.monotonic() > deadline:
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-5:])
            raise LocalProblem(f"The local stack did not start; the end of {log}:\n{tail}")
        time.sleep(0.05)
    return read_announcement(state)


@contextmanager
def use_stack(state: Path, port: int, model: str | None) -> Iterator[dict[str, str]]:
    """The local stack, this one or one that is running already; yields the environment to use it."""
    if not _is_listening(port):
        announcement_path(state).unlink(missing_ok=True)
        arguments = ["cs_features.local", "--state", str(state), "--port", str(port)]
        if model:
            arguments += ["--model", model]
        log = state / "logs" / "stack.log"
        with run_child(arguments, os.environ, log) as process:
            yield environment_for(state, wait_for_stack(state, process, log), model)
    elif announcement_path(state).exists() and urlparse(read_announcement(state)["AWS_ENDPOINT_URL_S3"]).port == port:
        yield environment_for(state, read_announcement(state), model)
    else:
        raise LocalProblem(f"Port {port} is taken by something else; choose another with PORT=")


@contextmanager
def mark_dev_running(state: Path) -> Iterator[None]:
    """Say, while the context is open, that `make dev` runs a daemon on this state."""
    path = state / "dev.pid"
    path.write_text(str(os.getpid()))
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def dev_is_running(state: Path) -> bool:
    try:
        os.kill(int((state / "dev.pid").read_text()), 0)
    except (FileNotFoundError, ValueError, ProcessLookupError):
        return False
    return True


def environment_for(state: Path, endpoints: Mapping[str, str], model: str | None) -> dict[str, str]:
    """What the product and Dagster are told, on this machine. All of it is the contract's settings."""
    home = state.resolve() / "dagster"
    home.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(Path(__file__).with_name("dagster.yaml"), home / "dagster.yaml")
    return {
        **os.environ,
        **endpoints,
        "DAGSTER_HOME": str(home),
        "CS_FEATURES_MODEL_ID": CUSTOM_MODEL_ID if model else EMBEDDED_MODEL_ID,
        # The embedded engine answers one at a time, and waiting in its queue would count as latency.
        "CS_FEATURES_MAX_CONCURRENCY": "1",
        "CS_FEATURES_LANDING_QUIET_SECONDS": "2",
        # Interactions of any age may be landed here, and listing a loopback bucket costs nothing.
        "CS_FEATURES_LANDING_WINDOW_DAYS": "3650",
        "CS_FEATURES_TOMBSTONE_KEY": os.environ.get("CS_FEATURES_TOMBSTONE_KEY") or _keep_secret(state),
        "CS_FEATURES_ALERTS_TOPIC_ARN": f"arn:aws:sns:{endpoints['AWS_REGION']}:123456789012:{TOPIC}",
        "PYTHONWARNINGS": "ignore",
    }


def _keep_secret(state: Path) -> str:
    """The secret of this state's tombstones; on AWS it comes from a store of secrets."""
    path = state / "tombstone.key"
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_hex(32))
    return path.read_text()


def _is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
