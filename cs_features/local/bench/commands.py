"""Scenario `commands`: every command that README and docs name, in a fresh clone, one after the other, as a user would.

What a command does is the business of its own tests; here it must start, do its work on the local stack and
end as the docs say. A test holds that the docs name no command that is neither here nor in `RUN_ELSEWHERE`.
"""

import os
import signal
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cs_features.local.bench.figures import Figure, Say
from cs_features.local.processes import ROOT

TIMEOUT_SECONDS = 1800
UI = "http://127.0.0.1:3000/server_info"
ON_STACK = ".venv/bin/python -m cs_features.local.on_stack"
# CI runs `make lint` and `make test`, `make image` needs a registry of images, and whoever runs this scenario has
# started a bench. The rest would run for an hour.
RUN_ELSEWHERE = {"make image", "make lint", "make test", "make test-slow", "make bench", "cs_features.local.bench"}


@dataclass(frozen=True)
class Example:
    """A command as the docs name it, one line that runs it, and the exit codes that the docs promise."""

    name: str
    line: str
    codes: tuple[int, ...] = (0,)


EXAMPLES = (
    Example("make demo", "make demo"),
    Example("make test-fast", "make test-fast"),
    Example("make evaluate", "make evaluate LANGUAGES=nl"),
    Example("make calibrate", "make calibrate COUNTRIES=NL DRY_RUN=1"),
    Example("make preview", "make preview CANDIDATE=prompts COUNTRIES=NL DRY_RUN=1"),
    Example("make backfill", "make backfill COUNTRIES=NL FIRST=2026-11-23"),
    Example(
        "cs_features.cli.backfill",
        f"{ON_STACK} cs_features.cli.backfill --country NL --first 2026-11-23 --runs-at-once 1",
    ),
    Example("make new-country", "make new-country COUNTRY=DE LANGUAGES=de"),
    Example("make remove-country", "make remove-country COUNTRY=PL"),
    Example("make erase-customer", "make erase-customer CUSTOMER=c-1"),
    Example("cs_features.cli.erase_customer", f"{ON_STACK} cs_features.cli.erase_customer --customer c-1"),
    Example("cs_features.cli.erase_customer", f"{ON_STACK} cs_features.cli.erase_customer --again"),
    Example("make preflight", "make preflight LOCAL=1"),
    Example("make deploy-check", "make deploy-check"),
    Example("cs_features.cli.preflight", f"{ON_STACK} cs_features.cli.preflight"),
    Example("cs_features.cli.prompts", f"{ON_STACK} cs_features.cli.prompts push prompts"),
    Example("make review", "make review COUNTRY=NL SIZE=5"),
    Example("make audit", "make audit", (0, 2)),  # make's own code for whatever is not 0
    Example("cs_features.cli.review", f"{ON_STACK} cs_features.cli.review draw --country NL --size 5 --reader 2"),
    Example("make docs", "make docs"),
    Example("make format", "make format"),
    Example("make lock", "make lock"),
    Example("cs_features.cli.quote", f"{ON_STACK} cs_features.cli.quote --first 2026-11-23 --country NL"),
    Example("cs_features.cli.why", f"{ON_STACK} cs_features.cli.why --rejects 'NL|2026-11-23'"),
    # The demo's daemon has ended minutes ago, and that is what it is to say.
    Example("cs_features.cli.heartbeat", f"{ON_STACK} cs_features.cli.heartbeat", (1,)),
    Example(
        "cs_features.local", "timeout --preserve-status -s TERM 20 .venv/bin/python -m cs_features.local", (0, 143)
    ),
    Example("cs_features.local.churn", ".venv/bin/python -m cs_features.local.churn --customers 2000"),
    Example("make clean", "make clean"),
)
SERVED = ("make dev",)


def measure_commands(quick: bool, say: Say) -> list[Figure]:
    """`quick` runs only what needs no model and no daemon."""
    with _clone_project() as clone:
        chosen = [example for example in EXAMPLES if not quick or example.name in ("make docs", "make new-country")]
        figures = [_run_example(example, clone, say) for example in chosen]
        if not quick:
            say("make dev")
            figures.append(_open_interface(clone))
    return figures


@contextmanager
def _clone_project() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "cs-features"
        subprocess.run(["/usr/bin/env", "git", "clone", "-q", str(ROOT), str(clone)], check=True)
        yield clone


def _run_example(example: Example, clone: Path, say: Say) -> Figure:
    say(example.line)
    started = time.monotonic()
    log = clone.parent / "command.log"
    with _start_command(example.line, clone, log) as process:
        code = _wait_for_end(process)
    seconds = time.monotonic() - started
    if code in example.codes:
        return Figure(example.name, f"exit {code}, {seconds:.0f} s: {example.line}", met=True)
    last_lines = " / ".join(log.read_text(errors="replace").splitlines()[-3:])
    return Figure(example.name, f"exit {code}, {seconds:.0f} s: {last_lines}", met=False)


def _wait_for_end(process: "subprocess.Popen[bytes]") -> int | None:
    try:
        return process.wait(TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        return None


def _open_interface(clone: Path) -> Figure:
    """`make dev` answers in the browser's place, and one Ctrl-C ends it."""
    with _start_command("make dev", clone, clone.parent / "dev.log") as process:
        answered = _wait_until(_is_interface_up, 180)
        os.killpg(process.pid, signal.SIGINT)
        ended = _wait_until(lambda: process.poll() is not None, 60)
    text = f"answers: {'yes' if answered else 'NO'}, ends on Ctrl-C: {'yes' if ended else 'NO'}"
    return Figure("make dev", text, met=answered and ended)


def _is_interface_up() -> bool:
    try:
        with urllib.request.urlopen(UI, timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


def _wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(1)
    return False


@contextmanager
def _start_command(line: str, folder: Path, log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["/bin/sh", "-c", line], cwd=folder, stdout=output, stderr=output, start_new_session=True
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
                process.wait(60)


def list_run_commands() -> Sequence[str]:
    """The names, as the docs spell them, of all commands that somebody runs."""
    return sorted({*(example.name for example in EXAMPLES), *SERVED, *RUN_ELSEWHERE})
