"""What a partition costs in CPU from its files to the feature store, against boto3 alone in as many threads.

Both sides read the same landed files, ask for the same interactions at an endpoint without latency, and pay for their
imports, each in a fresh process, interleaved. The plain loop keeps nothing: no table, no ledger, no check, no store.
"""

import compileall
import json
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cs_features.local.bench.children import Job, run_alone
from cs_features.local.bench.client import DAY, make_document, work_on
from cs_features.local.bench.endpoint import Endpoint, start_endpoint
from cs_features.local.bench.figures import Figure, Say, at_most
from cs_features.local.processes import ROOT, LocalProblem, run_child
from cs_features.partitions import Partition

COUNTRIES = ("NL", "FR", "ES")
THREADS = 32
SETTINGS = {
    "CS_FEATURES_MAX_COST_USD": "1000",
    "CS_FEATURES_REQUESTS_PER_MINUTE": "1e9",
    "CS_FEATURES_TOKENS_PER_MINUTE": "1e15",
    "CS_FEATURES_MAX_CONCURRENCY": str(THREADS),
}


def measure_chain(quick: bool, say: Say) -> list[Figure]:
    count = 300 if quick else 3_000
    ours: list[float] = []
    theirs: list[float] = []
    compileall.compile_dir(ROOT / "cs_features", quiet=1)  # as the image does when it is built
    with start_endpoint() as service:
        for number, country in enumerate(COUNTRIES, start=1):
            _land_documents(service.s3_client(), country, count)
            template = service.folder / f"template-{country}.json"
            run_alone(service, Job(write_template, {"country": country, "path": str(template)}), 60)
            say(f"round {number}: plain boto3")
            theirs.append(_ask_plainly(service, template, country))
            say(f"round {number}: the whole chain")
            ours.append(_run_chain(service, country))
            rows = service.open_tables().height("feature_store", Partition(country, DAY))
            if rows != count:
                return [Figure("did not run", f"{rows} of {count} rows are published", met=False)]
    median_ours, median_theirs = statistics.median(ours), statistics.median(theirs)
    return [
        at_most(
            "CPU of the whole chain, ours / plain boto3",
            median_ours / median_theirs,
            1.7,
            lambda value: f"{value:.2f}",
            f"{median_ours:.2f} s and {median_theirs:.2f} s, {count} interactions, imports included",
        )
    ]


def _land_documents(s3: Any, country: str, count: int) -> None:
    body = "\n".join(json.dumps(make_document(number, country)) for number in range(count))
    s3.put_object(Bucket="cs-landing", Key=_landing_key(country), Body=body.encode())


def _landing_key(country: str) -> str:
    return f"interactions/{Partition(country, DAY).folder}/chats.jsonl"


def _run_chain(service: Endpoint, country: str) -> float:
    """CPU seconds of `process_interactions`, imports included (`whole.py`)."""
    return _measure_script(service, "whole", [Partition(country, DAY).key], SETTINGS)


def _ask_plainly(service: Endpoint, template: Path, country: str) -> float:
    """CPU seconds of a script that reads the file and asks, imports included (`plain.py`)."""
    return _measure_script(service, "plain", [str(template), _landing_key(country), str(THREADS)], {})


def _measure_script(service: Endpoint, name: str, arguments: list[str], settings: Mapping[str, str]) -> float:
    """What a script of ours writes down of itself: it imports nothing of the benchmarks."""
    result, log = service.folder / f"{name}.json", service.folder / f"{name}.log"
    command = [f"cs_features.local.bench.{name}", *arguments, str(result)]
    with run_child(command, {**service.environment, **settings}, log) as process:
        if process.wait(600):
            raise LocalProblem(f"{name}.py failed: {log.read_text(errors='replace')[-1500:]}")
    return float(json.loads(result.read_text()))


def write_template(country: str, path: str) -> None:
    """In a client process: what the product sends with every interaction of the country."""
    (request, *_) = work_on(country, [make_document(0, country)]).requests.values()
    del request["messages"]
    Path(path).write_text(json.dumps(request))
