"""One quota, four hosts: each runs a partition in the model's pool, with a temporary folder of its own, so that nothing
but Dagster's database tells it of the others. No share is set by hand.

The hosts begin one after the other and end when they are done, so their shares change. Not here: what one host makes
of a quota (`bench/quota.py`).
"""

import shutil
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg

from cs_features.local import processes
from cs_features.local.bench.children import Job, run_together
from cs_features.local.bench.client import make_document, work_on
from cs_features.local.bench.endpoint import Endpoint, start_endpoint
from cs_features.local.bench.figures import Figure, Say, as_percent, at_least, at_most, equal_to
from cs_features.local.bench.quota import QUOTA, SERVICE, ask_work, share_used
from cs_features.orchestration.quota_pool import MODEL_POOL, share_quota

COUNTRIES = ("NL", "FR", "ES", "PL")
APART_SECONDS = 3.0  # between the beginnings of two hosts


def measure_hosts(quick: bool, say: Say) -> list[Figure]:
    """Where somebody states the quota, and where nobody does: each host then finds the account's in Service Quotas."""
    stated = {"CS_FEATURES_REQUESTS_PER_MINUTE": str(QUOTA)}
    return [
        *measure_four_hosts("four hosts", stated, quick, say),
        *measure_four_hosts("four hosts, quota not stated", {}, quick, say),
    ]


def measure_four_hosts(name: str, settings: Mapping[str, str], quick: bool, say: Say) -> list[Figure]:
    count = 100 if quick else 500
    say(f"{name}: {len(COUNTRIES)} hosts, {count} interactions each, {QUOTA} calls a minute")
    with start_endpoint(QUOTA, **SERVICE) as service:
        home = make_dagster_home(service.folder)
        samples = [service.read_stats()]
        jobs = [make_host(service, home, number, count, settings) for number in range(len(COUNTRIES))]
        results = run_together(service, jobs, 900, lambda: samples.append(service.read_stats()))
        end = service.read_stats()
    share = share_used(samples, 4 if quick else 20, max(result["last_first_asked"] for result in results))
    seconds = max(result["seconds"] for result in results)
    answered = sum(result["answered"] for result in results)
    return [
        at_least(f"{name}: quota used", share, 0.96, as_percent, f"{seconds:.0f} s in all"),
        at_most(f"{name}: calls throttled", end.throttled / end.requests, 0.005, as_percent),
        equal_to(f"{name}: answered", answered, count * len(COUNTRIES)),
    ]


def make_dagster_home(folder: Path) -> Path:
    """Dagster's instance as it is shipped, which all hosts share."""
    home = folder / "dagster"
    home.mkdir()
    shutil.copyfile(Path(processes.__file__).with_name("dagster.yaml"), home / "dagster.yaml")
    # Its tables are made here, and not by four processes at once.
    with dg.DagsterInstance.from_config(str(home)) as instance:
        instance.event_log_storage.get_pool_limits()
    return home


def make_host(service: Endpoint, home: Path, number: int, count: int, settings: Mapping[str, str]) -> Job:
    """A client whose host-local state is its own."""
    temporary = service.folder / f"host-{number}"
    temporary.mkdir()
    arguments = {"country": COUNTRIES[number], "count": count, "home": str(home), "waits_s": number * APART_SECONDS}
    return Job(ask_in_pool, arguments, {"TMPDIR": str(temporary), **settings})


def ask_in_pool(country: str, count: int, home: str, waits_s: float) -> dict[str, Any]:
    """In a client process: a run of one step in the pool, which asks a partition through our engine."""
    time.sleep(waits_s)
    answers: dict[str, Any] = {}

    @dg.op(pool=MODEL_POOL)
    def ask(context: dg.OpExecutionContext) -> None:
        work = work_on(country, [make_document(number, country) for number in range(count)])
        answers.update(ask_work(replace(work, model=share_quota(work.model, context.instance, context.run_id))))

    @dg.job
    def ask_model() -> None:
        ask()

    with dg.DagsterInstance.from_config(home) as instance:
        ask_model.execute_in_process(instance=instance)
    return answers
