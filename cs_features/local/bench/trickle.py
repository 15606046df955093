"""What a document costs that arrives alone: the rerun of a partition after one more, and a whole day of them.

The runs are the product's, in one process, on the local AWS; CPU is that of the client. What a fresh process pays to
start is measured by itself and told beside it. Not here: when the documents of the day land (`trickle_day.py`).
"""

import json
import resource
import uuid
from collections import Counter
from datetime import date, datetime, timedelta, timezone
from typing import Any

from cs_features.local.bench.children import Job, run_alone
from cs_features.local.bench.client import DAY, make_document
from cs_features.local.bench.endpoint import Endpoint, start_endpoint
from cs_features.local.bench.figures import Figure, Say, as_count, at_most, equal_to
from cs_features.local.bench.request_counts import RequestCounter, describe_counts
from cs_features.local.bench.trickle_day import measure_day
from cs_features.partitions import Partition

PARTITION = Partition("NL", DAY)
EMPTY = Partition("NL", DAY - timedelta(days=60))
CLAIMS_EACH, DAYS_OF_CLAIMS, COUNTRIES = 712, 35, ("BE", "ES", "FR", "NL", "PL")
MAX_REQUESTS, MAX_CPU_SECONDS = 32, 1.0
PAGE = 1_000
SETTINGS = {"CS_FEATURES_FIRST_DATE": "2025-11-01"}


def measure_trickle(quick: bool, say: Say) -> list[Figure]:
    figures = _measure_reruns(quick, say)
    return [*figures, *measure_day(quick, say)]


def _measure_reruns(quick: bool, say: Say) -> list[Figure]:
    files, claims = (70, 20) if quick else (700, DAYS_OF_CLAIMS * len(COUNTRIES))
    with start_endpoint() as service:
        say(f"{files} files of one document; {claims} other partitions of {CLAIMS_EACH} ids")
        few = _rerun(service, files, claims, "NL")
        many = _rerun(service, 2 * files, claims, "FR")
    requests = Counter(few["requests"])
    # The reader and the law each list the folder: a page more each where there are a thousand more.
    more_pages = 2 * ((2 * files + 2) // PAGE - (files + 2) // PAGE)
    return [
        at_most(
            "requests of a rerun after one more file",
            requests.total(),
            MAX_REQUESTS,
            as_count,
            f"{files} files before, {claims} partitions of {CLAIMS_EACH} ids: {describe_counts(requests)}",
        ),
        equal_to(
            "the same with twice as many files before, but for pages of a thousand",
            sum(many["requests"].values()) - more_pages,
            requests.total(),
        ),
        at_most(
            "its CPU beyond an empty run",
            few["cpu"] - few["cpu_empty"],
            MAX_CPU_SECONDS,
            lambda value: f"{value:.2f} s",
            f"{few['cpu']:.2f} s and {few['cpu_empty']:.2f} s; with twice as many files {many['cpu']:.2f} s",
        ),
    ]


def _rerun(service: Endpoint, files: int, claims: int, country: str) -> dict[str, Any]:
    job = Job(rerun_partition, {"files": files, "claims": claims, "country": country}, SETTINGS)
    found: dict[str, Any] = run_alone(service, job, 1_200)
    return found


def cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def rerun_partition(files: int, claims: int, country: str) -> dict[str, Any]:
    """In a client process: requests and CPU of a run over so many files, of which one is new; the least of three."""
    counter = RequestCounter()
    import boto3
    import dagster as dg

    from cs_features.definitions import build_defs

    s3, partition = boto3.client("s3"), Partition(country, DAY)
    job = build_defs().resolve_job_def("process_interactions")
    config = {"ops": {"llm_extractions": {"config": {"reextract": False}}}}  # as the sensor asks
    _put_claims(s3, claims)
    with dg.DagsterInstance.ephemeral() as instance:

        def run(of: Partition) -> float:
            before = cpu_seconds()
            ran = job.execute_in_process(partition_key=of.key, instance=instance, run_config=config)
            assert ran.success
            return cpu_seconds() - before

        def land(number: int) -> None:
            body = json.dumps(make_document(number, country)).encode()
            s3.put_object(Bucket="cs-landing", Key=f"interactions/{partition.folder}/{number:06}.json", Body=body)

        for number in range(files):
            land(number)
        empty = Partition(country, EMPTY.date)
        for each in (empty, partition):
            run(each)
        spent, asked, idle = [], [], []
        for number in range(files, files + 3):
            land(number)
            cpu, requests = counter.count_during(lambda: run(partition))
            spent.append(cpu)
            asked.append(requests)
            idle.append(run(empty))
    fewest = min(asked, key=Counter.total)
    return {"requests": dict(fewest), "cpu": min(spent), "cpu_empty": min(idle)}


def _put_claims(s3: Any, partitions: int) -> None:
    """Tables of ids of the days before, as their runs left them."""
    import io

    import polars as pl

    from cs_features.landing.claims import IDS, IDS_SCHEMA

    landed_at = datetime.combine(DAY, datetime.min.time(), timezone.utc)
    for number in range(partitions):
        day: date = DAY - timedelta(days=1 + number // len(COUNTRIES))
        partition = Partition(COUNTRIES[number % len(COUNTRIES)], day)
        ids = [
            {
                **dict.fromkeys(IDS_SCHEMA.names()),
                "interaction_id": str(uuid.uuid4()),
                "landed_at": landed_at,
                "source_uri": f"s3://cs-landing/interactions/{partition.folder}/{place:06}.json",
                "source_line": 1,
                "customer": f"{place:016x}",
            }
            for place in range(CLAIMS_EACH)
        ]
        buffer = io.BytesIO()
        pl.DataFrame(ids, schema=IDS_SCHEMA).write_parquet(buffer, compression="zstd")
        s3.put_object(Bucket="cs-data", Key=f"{IDS}/{partition.folder}/data.parquet", Body=buffer.getvalue())
