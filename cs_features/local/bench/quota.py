"""How much of a quota is used, and how many calls bounce off it: our limiter, where the quota is stated, read from
Service Quotas, found, and shared; botocore's.

The share is what the endpoint admitted a second, from ten seconds after the first call until the last
interaction is asked for the first time: after that there is too little left to fill a quota with. It can
pass 100 %, because a client that starts below the quota finds the endpoint's five-second burst still there.
"""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from cs_features.local.bench.children import Job, run_together
from cs_features.local.bench.client import FirstAsked, Work, make_document, run_extraction, work_on
from cs_features.local.bench.endpoint import Stats, plain_bedrock, start_endpoint
from cs_features.local.bench.figures import Figure, Say, as_percent, at_least, at_most, equal_to

QUOTA = 1_200  # requests a minute
THREADS = 32
# Nobody listens there: the quota has to be found.
WITHOUT_SERVICE_QUOTAS = {"AWS_ENDPOINT_URL_SERVICE_QUOTAS": "http://127.0.0.1:9"}
SERVICE: dict[str, Any] = {
    "seed": 1,  # draws ten faults in 2,000 first attempts, as the rates say: four 408, three 500, three 503
    "latency_mean_s": 1.2,
    "latency_p95_s": 2.8,
    "faults": {"500": 0.002, "503": 0.002, "408": 0.001},
}


@dataclass(frozen=True)
class Seen:
    """What one run against the quota came to."""

    share: float
    throttled: float
    faults: int
    answered: int
    failed: int
    seconds: float


def measure_quota(quick: bool, say: Say) -> list[Figure]:
    count = 300 if quick else 2_000
    stated = {"CS_FEATURES_REQUESTS_PER_MINUTE": str(QUOTA)}
    measure = partial(_measure_run, skip_s=4 if quick else 10, say=say)
    work = {"country": "NL", "count": count}

    one = measure("stated quota, one process", [Job(ask_with_engine, work, stated)])
    read = measure("quota of the account", [Job(ask_with_engine, work)])
    found = measure("quota to be found", [Job(ask_with_engine, work, WITHOUT_SERVICE_QUOTAS)])
    countries = ("NL", "FR", "ES", "PL")
    four = measure(
        "stated quota, four processes",
        [Job(ask_with_engine, {"country": country, "count": count // 4}, stated) for country in countries],
    )
    figures = [
        *_figures_of("stated", one, count, 0.98, 0.005),
        *_figures_of("the account's", read, count, 0.98, 0.005),
        *_figures_of("found", found, count, 0.93, 0.02),
        *_figures_of("stated, 4 processes", four, count // 4 * 4, 0.96, 0.01),
    ]
    for mode in ("standard", "adaptive"):
        seen = measure(f"plain boto3, {mode}", [Job(ask_plainly, {"country": "NL", "count": count, "mode": mode})])
        text = f"{as_percent(seen.share)} used, {as_percent(seen.throttled)} throttled, {seen.failed} failed for good"
        text += f" ({seen.faults} faults met), {seen.seconds:.0f} s in all"
        figures.append(Figure(f"boto3 {mode}, {THREADS} threads", text, seen.share))
    return figures


def _figures_of(what: str, seen: Seen, count: int, share: float, throttled: float) -> list[Figure]:
    return [
        at_least(f"{what}: quota used", seen.share, share, as_percent, f"{seen.seconds:.0f} s in all"),
        at_most(f"{what}: calls throttled", seen.throttled, throttled, as_percent),
        equal_to(f"{what}: answered", seen.answered, count),
    ]


def _measure_run(what: str, jobs: Sequence[Job], *, skip_s: float, say: Say) -> Seen:
    say(what)
    with start_endpoint(QUOTA, **SERVICE) as service:
        samples = [service.read_stats()]
        results = run_together(service, jobs, 600, lambda: samples.append(service.read_stats()))
        end = service.read_stats()
    share = share_used(samples, skip_s, max(result["last_first_asked"] for result in results))
    return Seen(
        share=share,
        throttled=end.throttled / end.requests,
        faults=end.faults,
        answered=sum(result["answered"] for result in results),
        failed=sum(result["failed"] for result in results),
        seconds=max(result["seconds"] for result in results),
    )


def share_used(samples: Sequence[Stats], skip_s: float, until: float) -> float:
    """Admitted calls against the quota's, between the samples nearest to both ends of the window."""
    first = next(each for each in samples if each.requests)
    window = [each for each in samples if first.time + skip_s <= each.time <= until]
    if len(window) < 2:
        return 0.0
    seconds = window[-1].time - window[0].time
    return (window[-1].calls_admitted - window[0].calls_admitted) / (seconds * QUOTA / 60)


def ask_with_engine(country: str, count: int) -> dict[str, Any]:
    """In a client process: a partition through our engine, with its ledger."""
    return ask_work(work_on(country, [make_document(number, country) for number in range(count)]))


def ask_work(work: Work) -> dict[str, Any]:
    asked = FirstAsked()
    session = run_extraction(work, asked.watch_calls(work.extractor()))
    return _client_result(list(asked.moments.values()), len(session.outcomes) - session.failed, session.failed)


def ask_plainly(country: str, count: int, mode: str) -> dict[str, Any]:
    """In a client process: the same requests by boto3 in a pool of threads, with botocore's own retries."""
    work = work_on(country, [make_document(number, country) for number in range(count)])
    client = plain_bedrock(retries={"mode": mode}, max_pool_connections=THREADS)
    asked = FirstAsked()

    def call_once(request: dict[str, Any]) -> bool:
        asked.note_request(request)
        try:
            client.converse(**request)
        except (ClientError, BotoCoreError):
            return False
        return True

    with ThreadPoolExecutor(THREADS) as pool:
        answered = sum(pool.map(call_once, work.requests.values()))
    return _client_result(list(asked.moments.values()), answered, count - answered)


def _client_result(moments: list[float], answered: int, failed: int) -> dict[str, Any]:
    return {
        "last_first_asked": max(moments),
        "seconds": time.monotonic() - min(moments),
        "answered": answered,
        "failed": failed,
    }
