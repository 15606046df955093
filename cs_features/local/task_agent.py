"""What an ECS agent does, for moto's ECS: the command of each task in a process of its own, and how it ended.

moto says RUNNING and executes nothing. Here: starting, killing, reporting; a plan says which tasks die or never start.
Runs in the process of moto, because a task's end is no call of ECS's API. Not here: what the tasks do.
"""

import json
import os
import random
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from moto.ecs.models import ecs_backends
from moto.logs.models import logs_backends

from cs_features.local import aws
from cs_features.local.processes import ROOT

ACCOUNT = "123456789012"
LOOK_SECONDS = 0.2
LOG_GROUP = "/cs-features/run"


class Fate(Enum):
    """What becomes of a task."""

    LIVES = "it runs to its end"
    KILLED = "SIGKILL in the middle of its run, as for its memory"
    NEVER_STARTS = "its address or its image does not come"


@dataclass
class Worker:
    """A task's process."""

    process: subprocess.Popen[bytes]
    command: str
    dies_at: float | None = None


@dataclass
class TaskAgent:
    """Looks for new tasks of a cluster and runs them until the context ends.

    `choose_fate` and `is_under_way` get a task's command; who is to be killed is killed when under way. `last_words` is
    what every task that died has logged last: what a customer said.
    """

    cluster: str
    environment: Mapping[str, str]
    folder: Path
    choose_fate: Callable[[str], Fate]
    is_under_way: Callable[[str], bool]
    last_words: str = ""
    fates: dict[str, Fate] = field(default_factory=dict)
    _workers: dict[str, Worker] = field(default_factory=dict)
    _stop: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> "TaskAgent":
        self.folder.mkdir(parents=True, exist_ok=True)
        self._thread = threading.Thread(target=self._work, name="task-agent", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        for worker in self._workers.values():
            worker.process.kill()

    def count_fates(self) -> dict[str, int]:
        fates = list(self.fates.values())
        return {fate.name.lower(): fates.count(fate) for fate in Fate}

    def _work(self) -> None:
        while not self._stop.wait(LOOK_SECONDS):
            tasks = dict(ecs_backends[ACCOUNT][aws.REGION].tasks.get(self.cluster, {}))
            for arn, task in tasks.items():
                if arn not in self.fates:
                    self._meet_task(arn, task)
                elif arn in self._workers:
                    self._look_after(arn, task)

    def _meet_task(self, arn: str, task: Any) -> None:
        (override,) = task.overrides["containerOverrides"]
        command = json.dumps(override["command"])
        fate = self.fates[arn] = self.choose_fate(command)
        if fate is Fate.NEVER_STARTS:
            task.last_status = "PROVISIONING"
            return
        log = self.folder / f"{arn.rsplit('/', 1)[-1]}.log"
        given = {pair["name"]: pair["value"] for pair in override.get("environment", [])}
        with log.open("wb") as output:
            process = subprocess.Popen(
                override["command"], env={**self.environment, **given}, stdout=output, stderr=output, cwd=ROOT
            )
        self._workers[arn] = Worker(process, command)

    def _look_after(self, arn: str, task: Any) -> None:
        worker = self._workers[arn]
        dies = self.fates[arn] is Fate.KILLED
        if dies and worker.dies_at is None and self.is_under_way(worker.command):
            worker.dies_at = time.monotonic() + random.uniform(0.0, 1.5)
        if task.desired_status == "STOPPED":  # somebody has called StopTask
            worker.process.kill()
        if worker.dies_at is not None and time.monotonic() >= worker.dies_at:
            worker.process.kill()
        code = worker.process.poll()
        if code is None:
            return
        if dies and code == 0:
            self.fates[arn] = Fate.LIVES  # it was faster
        self._report_end(arn, task, code)
        del self._workers[arn]

    def _report_end(self, arn: str, task: Any, code: int) -> None:
        task.last_status = task.desired_status = "STOPPED"
        task.stopped_reason = "Essential container in task exited"
        for container in task.containers:
            container.exitCode = 137 if code < 0 else code
            container.last_status = "STOPPED"
        if code and self.last_words:
            self._log_line(arn.rsplit("/", 1)[-1])

    def _log_line(self, task_id: str) -> None:
        logs, stream = logs_backends[ACCOUNT][aws.REGION], f"run/run/{task_id}"
        event = {"timestamp": int(time.time() * 1000), "message": self.last_words}
        logs.create_log_stream(LOG_GROUP, stream)
        logs.put_log_events(LOG_GROUP, stream, [event])


def make_task_environment(stack: Mapping[str, str], **settings: str) -> dict[str, str]:
    """What a task sees: the stack's endpoints, the settings, this virtual environment; nothing of the daemon's."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "PYTHONPATH", "TMPDIR") if name in os.environ}
    return {**kept, **stack, **settings, "PYTHONWARNINGS": "ignore", "DAGSTER_DISABLE_TELEMETRY": "true"}
