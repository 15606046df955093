"""What the engine, the ledger and the limiter cost in CPU, against boto3 alone in as many threads.

Both sides send the same requests to an endpoint without latency, each run in a fresh process, interleaved,
so that a busy neighbour disturbs both alike. Building the requests is on neither bill.
"""

import resource
import statistics
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from cs_features.local.bench.children import Job, run_alone
from cs_features.local.bench.client import make_document, run_extraction, work_on
from cs_features.local.bench.endpoint import plain_bedrock, start_endpoint
from cs_features.local.bench.figures import Figure, Say, at_most

ROUNDS = 3
THREADS = 32
# Far beyond what a machine can send: the limiter does all its work and never makes a call wait.
SETTINGS = {
    "CS_FEATURES_REQUESTS_PER_MINUTE": "1e9",
    "CS_FEATURES_TOKENS_PER_MINUTE": "1e15",
    "CS_FEATURES_MAX_CONCURRENCY": str(THREADS),
}
# A partition a round, so that no ledger has an answer already.
COUNTRIES = ("NL", "FR", "ES")


def measure_cpu(quick: bool, say: Say) -> list[Figure]:
    count = 200 if quick else 1_500
    ours: list[float] = []
    theirs: list[float] = []
    with start_endpoint() as service:
        for number, country in enumerate(COUNTRIES[:ROUNDS], start=1):
            for seconds, function in ((theirs, ask_plainly), (ours, ask_with_engine)):
                say(f"round {number}: {function.__name__}")
                job = Job(function, {"country": country, "count": count}, SETTINGS)
                seconds.append(run_alone(service, job, 600) / count)
    median_ours, median_theirs = statistics.median(ours), statistics.median(theirs)
    return [
        at_most(
            "CPU a call, ours / plain boto3",
            median_ours / median_theirs,
            1.5,
            lambda value: f"{value:.2f}",
            f"{1000 * median_ours:.2f} ms and {1000 * median_theirs:.2f} ms, {count} calls, {THREADS} threads",
        )
    ]


def ask_with_engine(country: str, count: int) -> float:
    """In a client process: CPU seconds of the engine with its ledger and limiter."""
    work = work_on(country, [make_document(number, country) for number in range(count)])
    extractor = work.extractor()
    before = _cpu_seconds()
    session = run_extraction(work, extractor)
    spent = _cpu_seconds() - before
    if session.failed or len(session.asked) != count:
        raise RuntimeError(f"{len(session.asked)} asked of {count}, {session.failed} failed")
    return spent


def ask_plainly(country: str, count: int) -> float:
    """In a client process: CPU seconds of boto3 and a pool of threads."""
    requests = list(work_on(country, [make_document(number, country) for number in range(count)]).requests.values())
    client = plain_bedrock(max_pool_connections=THREADS)

    def call_plainly(request: dict[str, Any]) -> None:
        client.converse(**request)

    before = _cpu_seconds()
    with ThreadPoolExecutor(THREADS) as pool:
        for _ in pool.map(call_plainly, requests):
            pass
    return _cpu_seconds() - before


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
