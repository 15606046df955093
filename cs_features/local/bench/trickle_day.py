"""A day's documents as they arrive, a file each, through the sensor and real runs; the clock is ours, the work is real.

When a document lands is drawn by `arrivals_year.py`, of an ordinary weekday. Between two ticks of the sensor the clock
jumps, for S3 as for us. Not here: what one rerun costs (`trickle.py`).
"""

import json
import resource
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from functools import partial
from pathlib import Path
from typing import Any

from cs_features.local.bench.arrivals_year import make_year
from cs_features.local.bench.children import Job, announce_and_wait, run_alone, say_regularly, serve_stack
from cs_features.local.bench.client import make_document
from cs_features.local.bench.figures import Figure, Say, at_most, equal_to
from cs_features.local.bench.request_counts import RequestCounter, describe_counts
from cs_features.local.bench.storm_clock import Clock, follow_clock, path_of_clock
from cs_features.partitions import Partition

FIRST_DAY = 300  # of the year: a Wednesday in October
TICK = timedelta(minutes=10)
QUICK_HOURS = (8, 10)  # of the day; at their full rate, or fewer documents would share each run
MAX_CPU_MS = 50.0
SETTINGS = {"CS_FEATURES_FIRST_DATE": "2026-01-01"}


def measure_day(quick: bool, say: Say) -> list[Figure]:
    first_hour, last_hour = QUICK_HOURS if quick else (0, 24)
    with serve_stack(Job(serve_day)) as service:
        say(f"an ordinary day from {first_hour} to {last_hour} o'clock")
        progress = service.folder / "progress"
        hours = {"first_hour": first_hour, "last_hour": last_hour}
        job = Job(
            live_through_day, {"state": str(service.folder / "state"), "progress": str(progress), **hours}, SETTINGS
        )
        look = say_regularly(say, lambda: progress.read_text() if progress.exists() else "")
        found = run_alone(service, job, 2 * 3_600, look)
        start = run_alone(service, Job(measure_start), 120)
    documents, runs = found["documents"], found["runs"]
    requests = Counter(found["requests"])
    cpu = 1_000 * found["cpu"] / documents
    with_starts = 1_000 * (found["cpu"] + runs * start) / documents
    return [
        at_most(
            "CPU an interaction of a day, in its runs",
            cpu,
            MAX_CPU_MS,
            lambda value: f"{value:.0f} ms",
            f"{documents:,} files, {runs} runs of {found['cpu'] / runs:.2f} s, {found['seconds']:.0f} s in all",
        ),
        Figure(
            "the same with a process a run",
            f"{with_starts:.0f} ms (a start with all imports: {start:.2f} s)",
            with_starts,
        ),
        Figure("CPU of the sensor an interaction", f"{1_000 * found['cpu_ticks'] / documents:.0f} ms"),
        Figure(
            "S3 requests an interaction of a day, in its runs",
            f"{requests.total() / documents:.1f}: {describe_counts(requests, documents)}",
            requests.total() / documents,
        ),
        equal_to("documents of the day that are served", found["served"], documents),
        equal_to("runs whose law did not hold", found["unbalanced"], 0),
    ]


def serve_day(state: str) -> None:
    """In a process of its own: the local AWS, at the time that the client says."""
    from cs_features.local.provision import provision_account
    from cs_features.local.scripted import ScriptedAnswerer
    from cs_features.local.stack import LocalStack

    follow_clock(path_of_clock(Path(state)))
    with LocalStack(None, answerer=ScriptedAnswerer()) as stack:
        provision_account(stack.environment)
        announce_and_wait(stack, state)


def measure_start() -> float:
    """In a client process: CPU seconds until the definitions are there."""
    import cs_features.definitions

    assert cs_features.definitions.defs is not None
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


@dataclass
class _Spent:
    """What the runs of the day took."""

    cpu: float = 0.0
    cpu_ticks: float = 0.0
    runs: int = 0
    unbalanced: int = 0
    requests: Counter[str] = field(default_factory=Counter)


def live_through_day(state: str, progress: str, first_hour: int, last_hour: int) -> dict[str, Any]:
    """In a client process: land, tick, run, until all that landed is served."""
    clock = Clock(path_of_clock(Path(state)))
    from cs_features.local.bench.storm_runs import Deployment, Operations

    operations, counter = Operations(), RequestCounter()
    deployment, spent, started = Deployment(), _Spent(), time.monotonic()
    s3 = deployment.services.landing.zone().bucket.client
    midnight = _wait_for_midnight(clock)
    landed: set[str] = set()
    for moment, partition, number in _draw_documents(midnight, first_hour, last_hour):
        while datetime.now(timezone.utc) + TICK < moment:
            clock.wait(TICK)
            _tick_and_run(operations, deployment, counter, spent)
            Path(progress).write_text(f"{moment:%H:%M}, {len(landed)} landed, {spent.runs} runs, {spent.cpu:.0f} s")
        made = make_document(number, partition.country)
        made["occurred_at"] = f"{partition.date}T00:00:00Z"
        key = f"interactions/{partition.folder}/{number:06}.json"
        s3.put_object(Bucket="cs-landing", Key=key, Body=json.dumps(made).encode())
        landed.add(made["interaction_id"])
    for _ in range(12):  # two hours: nothing rests for longer
        clock.wait(TICK)
        _tick_and_run(operations, deployment, counter, spent)
    served = set()
    tables = deployment.services.data.tables()
    for partition in tables.partitions("feature_store"):
        manifest = tables.read("feature_store", partition)
        served |= set() if manifest is None else set(manifest["interaction_id"])
    return {
        "documents": len(landed),
        "served": len(landed & served),
        "cpu": spent.cpu,
        "cpu_ticks": spent.cpu_ticks,
        "runs": spent.runs,
        "unbalanced": spent.unbalanced,
        "requests": dict(spent.requests),
        "seconds": time.monotonic() - started,
    }


def _wait_for_midnight(clock: Clock) -> datetime:
    now = datetime.now(timezone.utc)
    midnight = datetime.combine(now.date() + timedelta(days=1), datetime.min.time(), timezone.utc)
    clock.wait(midnight - now)
    return midnight


def _draw_documents(midnight: datetime, first_hour: int, last_hour: int) -> Iterator[tuple[datetime, Partition, int]]:
    """When each document of these hours lands, where, and its number."""
    year = make_year(FIRST_DAY, 1)
    for number in range(year.landed.size):
        if not first_hour <= year.landed[number] / 3_600 < last_hour:
            continue
        country = Partition.from_key(year.keys[int(year.partition[number])]).country
        yield midnight + timedelta(seconds=float(year.landed[number])), Partition(country, midnight.date()), number


def _tick_and_run(operations: Any, deployment: Any, counter: RequestCounter, spent: _Spent) -> None:
    before = time.process_time()
    requests = operations.tick(deployment)
    spent.cpu_ticks += time.process_time() - before
    for request in requests:
        before = time.process_time()
        succeeded, counts = counter.count_during(partial(operations.launch, deployment, request))
        spent.cpu += time.process_time() - before
        spent.runs += 1
        spent.requests += counts
        # The check of the law blocks: a run that succeeded has balanced.
        spent.unbalanced += not succeeded
