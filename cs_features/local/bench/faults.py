"""Everything breaks at once, through the whole chain: who is lost, who is doubled, what the online store holds.

Fifteen partitions of short interactions (`deliveries.py`) on a local AWS whose S3, Bedrock and Feature Store fail
one or two calls in a hundred. Bedrock has storms of 429 and 503 besides, and runs are killed with SIGKILL wherever
they are and started again (`lives.py`). What came of it is counted from outside (`tally.py`).

The request quota is stated, and high: one that is found by adapting would take each storm for its limit.
"""

import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx

from cs_features.local.bench.children import Job, announce_and_wait, run_alone, say_regularly, serve_stack
from cs_features.local.bench.client import POISON
from cs_features.local.bench.deliveries import PARTITIONS
from cs_features.local.bench.figures import Figure, Say, equal_to
from cs_features.local.bench.lives import process_all
from cs_features.local.bench.tally import Tally, online_differences, tally_of
from cs_features.local.converse import ConverseRequest, Fault, Reply, Throttle
from cs_features.local.feature_store import Faults
from cs_features.local.provision import provision_account
from cs_features.local.scripted import Script, ScriptedAnswerer
from cs_features.local.stack import LocalStack

SCRIPT = Script(
    faults={"500": 0.005, "503": 0.005, "408": 0.003, "424": 0.002, "429": 0.003, "drop": 0.002},
    malformed_rate=0.01,
    refusal_rate=0.001,
    max_tokens_rate=0.001,
    poison=POISON,
)
STORMS = 8
STORM_SECONDS = 2.0
SETTINGS = {"CS_FEATURES_REQUESTS_PER_MINUTE": "60000", "CS_FEATURES_MAX_COST_USD": "1000"}


def measure_faults(quick: bool, say: Say) -> list[Figure]:
    count, kills = (2_000, 10) if quick else (20_000, 50)
    server = Job(serve_stormy_aws, {"storm_every": count // STORMS})
    with serve_stack(server) as service:
        progress = service.folder / "progress"
        progress.touch()

        def describe_progress() -> str:
            return f"{service.read_stats().answered} calls answered; {progress.read_text()}"

        arguments = {"count": count, "kills": kills, "progress": str(progress)}
        job = Job(process_all, arguments, SETTINGS)
        result = run_alone(service, job, 3_000, say_regularly(say, describe_progress))
        say("counting")
        tallies = [tally_of(service, partition) for partition in PARTITIONS]
        differences = online_differences(service, tallies)
        broken_calls = httpx.get(
            f"{service.environment['AWS_ENDPOINT_URL_BEDROCK_RUNTIME']}/_local/feature-store/stats", timeout=30
        ).json()["errors"]
        stats = service.read_stats()
    return _figures_of(result, tallies, differences, kills, f"{stats.faults + stats.throttled} Bedrock", broken_calls)


def _figures_of(
    result: dict[str, Any], tallies: list[Tally], differences: int, kills: int, bedrock: str, store: dict[str, int]
) -> list[Figure]:
    reasons = sum((tally.reasons for tally in tallies), Counter[str]())
    duplicates = sum(tally.duplicates for tally in tallies)
    validated = sum(len(tally.validated) for tally in tallies)
    landed = sum(tally.documents for tally in tallies)
    runs = f"{result['failed']} failed by themselves, {result['unscathed']} ended before their kill"
    where = ", ".join(f"{count} {place}" for place, count in sorted(result["where"].items()))
    met = f"calls that failed: {bedrock}, {sum(store.values())} Feature Store; S3 2 %"
    return [
        Figure("documents", f"{landed:,}: {validated:,} validated, {duplicates:,} exact duplicates; {met}", landed),
        equal_to("kills -9", result["kills"], kills, where),
        Figure("runs needed", f"{result['runs']} for {len(tallies)} partitions ({runs})", result["runs"]),
        equal_to("lost documents", sum(tally.lost for tally in tallies), 0),
        equal_to("doubled documents", sum(tally.doubled for tally in tallies), 0),
        equal_to("partitions whose conservation holds", sum(tally.holds for tally in tallies), len(tallies)),
        equal_to("differences between online store and validated rows", differences, 0),
        equal_to("rejected without a typed reason", sum(tally.untyped for tally in tallies), 0, str(dict(reasons))),
    ]


def serve_stormy_aws(state: str, storm_every: int) -> None:
    """In a process of its own: the local AWS at its worst."""
    with LocalStack(
        Path(state),
        answerer=_Stormy(storm_every),
        faults=Faults(error_rate=0.02, unprocessed_rate=0.02, seed=1),
        s3_error_rate=0.02,
    ) as stack:
        provision_account(stack.environment)
        announce_and_wait(stack, state)


class _Stormy(ScriptedAnswerer):
    """After so many calls each, a storm: for some seconds nothing but 429 or, every other time, 503."""

    def __init__(self, every: int) -> None:
        super().__init__(SCRIPT)
        self._every = every
        self._calls = self._storms = 0
        self._until = 0.0

    async def answer(self, request: ConverseRequest) -> Reply:
        self._calls += 1
        if self._calls % self._every == 0:
            self._storms += 1
            self._until = time.monotonic() + STORM_SECONDS
        if time.monotonic() < self._until:
            if self._storms % 2:
                raise Throttle("requests")
            raise Fault(503, "ServiceUnavailableException", "Bedrock is unable to process your request.")
        return await super().answer(request)
