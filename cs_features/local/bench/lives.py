"""Runs of the job that are killed wherever they are and started again, while files land.

In a client process that has imported everything and started no thread: each run is a fork of it.
"""

import mmap
import os
import random
import struct
import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from cs_features.local.bench.deliveries import PARTITIONS, make_deliveries
from cs_features.local.bench.endpoint import patient_s3
from cs_features.local.bench.forks import fork_life, kill_life, status_of, wait_for_life
from cs_features.partitions import Partition

# Where a kill is to fall, and how often: the steps that write something, the longer ones more often.
PLACES = {
    "raw_interactions": 2,
    "llm_extractions": 5,
    "validation": 3,
    "validated_features_conservation": 2,
    "feature_store": 5,
}
MAX_TRIES = 8


class Place:
    """When each step of the life that goes on was started, in shared memory, which a kill leaves as it is."""

    def __init__(self, path: Path, steps: list[str]) -> None:
        self._slots = {step: slot for slot, step in enumerate(steps)}
        self._size = 8 * len(steps)
        path.write_bytes(bytes(self._size))
        self._file = path.open("r+b")
        self._bytes = mmap.mmap(self._file.fileno(), self._size)

    def clear_times(self) -> None:
        self._bytes[: self._size] = bytes(self._size)

    def note_start(self, step: str) -> None:
        struct.pack_into("<d", self._bytes, 8 * self._slots[step], time.monotonic())

    def steps_started(self) -> dict[str, float]:
        """Steps in the order in which they were started, with when."""
        times = struct.unpack_from(f"<{len(self._slots)}d", self._bytes)
        return dict(sorted(((s, t) for s, t in zip(self._slots, times, strict=True) if t), key=lambda pair: pair[1]))


@dataclass
class Lives:
    """Runs of the job, each in a fork of this warm process."""

    job: Any
    place: Place
    rng: random.Random = field(default_factory=lambda: random.Random(11))
    lasted: dict[str, float] = field(default_factory=lambda: dict.fromkeys(PLACES, 0.5))
    runs: int = 0
    kills: int = 0
    failed: int = 0
    unscathed: int = 0
    where: Counter[str] = field(default_factory=Counter)

    def kill_one(self, partition: Partition) -> None:
        """Runs until one of them is killed; those that end before their kill are counted and go unscathed."""
        for attempt in range(MAX_TRIES):
            life = self._start_life(partition)
            # The longest that a step took is long for a rerun, which has its answers: sooner each time.
            self._reach_a_place(life, 0.5**attempt)
            started = self.place.steps_started()
            if (status := kill_life(life)) is not None:
                self._learn_from(status)
                self.unscathed += 1
                continue
            self.kills += 1
            self.where[next(reversed(started), "before the first step")] += 1
            return
        raise RuntimeError(f"{partition}: no run lasted until its kill")

    def until_it_succeeds(self, partition: Partition) -> None:
        for _ in range(MAX_TRIES):
            life = self._start_life(partition)
            wait_for_life(life)
            if self._learn_from(status_of(life)):
                return
        raise RuntimeError(f"{partition} did not succeed in {MAX_TRIES} runs; see above")

    def run_once(self, partition: Partition, meanwhile: Callable[[], None]) -> None:
        """One run that is not killed, however it ends; `meanwhile` happens at a random place of it."""
        life = self._start_life(partition)
        self._reach_a_place(life)
        meanwhile()
        wait_for_life(life)
        self._learn_from(status_of(life))

    def _start_life(self, partition: Partition) -> int:
        self.place.clear_times()
        self.runs += 1
        return fork_life(partial(_live_once, self.job, partition, self.place))

    def _reach_a_place(self, life: int, haste: float = 1.0) -> None:
        (step,) = self.rng.choices(list(PLACES), list(PLACES.values()))
        wait_for_life(life, lambda: step in self.place.steps_started())
        if begun := self.place.steps_started().get(step):
            goal = begun + self.rng.uniform(0, self.lasted[step]) * haste
            wait_for_life(life, lambda: time.monotonic() >= goal)

    def _learn_from(self, status: int) -> bool:
        """Whether a run that ended by itself with `status` succeeded; notes how long its steps lasted."""
        started = list(self.place.steps_started().items())
        for (step, begun), (_, next_begun) in zip(started, [*started[1:], ("", time.monotonic())], strict=True):
            if step in PLACES:
                self.lasted[step] = max(self.lasted[step], next_begun - begun)
        self.failed += status != 0
        return status == 0


def _live_once(job: Any, partition: Partition, place: Place) -> None:
    """One life: the job for one partition, in process, with an instance that knows of no other life."""
    import dagster as dg

    run_id = str(uuid.uuid4())

    def note_event(event: dg.EventLogEntry) -> None:
        if event.dagster_event and event.dagster_event.is_step_start and event.step_key:
            place.note_start(event.step_key)

    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_event_listener(run_id, note_event)
        result = job.execute_in_process(
            partition_key=partition.key, instance=instance, run_id=run_id, raise_on_error=False
        )
        if not result.success:
            failures = [
                f"{event.step_key}: {str(event.step_failure_data.error)[-1500:]}"
                for event in result.all_events
                if event.is_step_failure
            ]
            raise RuntimeError("; ".join(failures))


def process_all(count: int, kills: int, progress: str) -> dict[str, Any]:
    """Land, fork, kill, repeat; `progress` is a file that says how far it is."""
    from cs_features.definitions import build_defs

    job = build_defs().resolve_job_def("process_interactions")
    steps = [node.name for node in job.nodes]
    lives = Lives(job, Place(Path(os.environ["TMPDIR"]) / "place", steps))
    s3 = patient_s3(os.environ)

    def land_files(partition: Partition, files: dict[str, bytes]) -> None:
        for name, body in files.items():
            s3.put_object(Bucket="cs-landing", Key=f"interactions/{partition.folder}/{name}", Body=body)

    for number, partition in enumerate(PARTITIONS):
        Path(progress).write_text(f"{partition}: {lives.runs} runs, {lives.kills} kills, {lives.failed} failed")
        delivered = make_deliveries(partition, count // len(PARTITIONS))
        share = kills * (number + 1) // len(PARTITIONS) - lives.kills
        land_files(partition, delivered.first)
        for _ in range(share // 2):
            lives.kill_one(partition)
        # What lands later lands during a run, between two runs, or when all is done.
        if number % 3 == 0:
            lives.run_once(partition, partial(land_files, partition, delivered.later))
        else:
            if number % 3 == 1:
                lives.until_it_succeeds(partition)
            land_files(partition, delivered.later)
        for _ in range(share - share // 2):
            lives.kill_one(partition)
        lives.until_it_succeeds(partition)
    return {
        "runs": lives.runs,
        "kills": lives.kills,
        "failed": lives.failed,
        "unscathed": lives.unscathed,
        "where": lives.where,
    }
