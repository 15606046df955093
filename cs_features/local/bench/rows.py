"""Twenty thousand interactions with everything that goes wrong a little, through the whole job: who arrives where,
and how much memory the job takes.
"""

import json
import random
import time
from typing import Any

from cs_features.local.bench.children import Job, measure_peak_mib, run_alone, say_regularly
from cs_features.local.bench.client import DAY, POISON, make_document
from cs_features.local.bench.endpoint import start_endpoint
from cs_features.local.bench.figures import Figure, Say, at_least, at_most, equal_to
from cs_features.partitions import Partition
from cs_features.schemas import Reason

COUNTRY = "NL"
PARTITION = Partition(COUNTRY, DAY)
POISON_ROWS = 5
FILE_ROWS = 2_500
# As the image has it (`deploy/Dockerfile`): glibc with two arenas, polars' jemalloc, which gives back at once, and one
# thread of polars', because a task has one vCPU.
ALLOCATORS = {
    "MALLOC_ARENA_MAX": "2",
    "_RJEM_MALLOC_CONF": "narenas:1,dirty_decay_ms:0,muzzy_decay_ms:0",
    "POLARS_MAX_THREADS": "1",
}


def measure_rows(quick: bool, say: Say) -> list[Figure]:
    count = 2_000 if quick else 20_000
    faults = {"500": 0.004, "503": 0.004, "408": 0.002}
    with start_endpoint(poison=POISON, malformed_rate=0.01, faults=faults) as service:
        ids, poisoned = _land_documents(service.s3_client(), count)

        def describe_progress() -> str:
            return f"{service.read_stats().answered} calls answered"

        job = Job(process_partition, settings={"CS_FEATURES_MAX_COST_USD": "1000", **ALLOCATORS})
        result = run_alone(service, job, 1_200, say_regularly(say, describe_progress))
        tables = service.open_tables()
        validated = tables.read("validated_features", PARTITION)
        rejected = tables.read("rejected_records", PARTITION)
        stored = tables.read("feature_store", PARTITION)
    if validated is None or rejected is None:
        return [Figure("did not run", f"the job wrote no tables: {result['problems']}", met=False)]
    good = set(validated["interaction_id"])
    well_formed = set(ids) - poisoned
    reasons = dict(rejected.group_by("reason").len().sort("reason").iter_rows())
    typed = {reason.value for reason in Reason}
    told = rejected.filter(rejected["reason"].is_in(typed) & (rejected["detail"].str.len_chars() > 0))
    missing = set(ids) - good - set(told["interaction_id"].drop_nulls())
    return [
        at_least(
            "well-formed interactions validated",
            len(good & well_formed) / len(well_formed),
            0.9999,
            lambda value: f"{100 * value:.3f} %",
            f"{len(good & well_formed)} of {len(well_formed)}",
        ),
        equal_to(
            "poison rows rejected", rejected.filter(rejected["interaction_id"].is_in(poisoned)).height, len(poisoned)
        ),
        equal_to("neither validated nor rejected with a reason", len(missing), 0, f"rejected: {reasons}"),
        equal_to("in the feature store, of those validated", stored.height if stored is not None else 0, len(good)),
        Figure(
            "the job",
            "; ".join(["succeeded" if result["success"] else "FAILED", *result["problems"]]),
            met=result["success"],
        ),
        at_most("peak memory of the job", result["peak_mib"], 400, lambda value: f"{value:.0f} MiB"),
        Figure("interactions a second, whole job", f"{count / result['seconds']:.0f}", count / result["seconds"]),
    ]


def _land_documents(s3: Any, count: int) -> tuple[list[str], set[str]]:
    """Land `count` documents in files of a few thousand; returns all ids, and those of the poison rows."""
    bad = set(random.Random(3).sample(range(count), POISON_ROWS))
    documents = [make_document(number, COUNTRY, poisoned=number in bad) for number in range(count)]
    for start in range(0, count, FILE_ROWS):
        body = "\n".join(json.dumps(each) for each in documents[start : start + FILE_ROWS])
        key = f"interactions/{PARTITION.folder}/chats-{start:06}.jsonl"
        s3.put_object(Bucket="cs-landing", Key=key, Body=body.encode())
    ids = [str(each["interaction_id"]) for each in documents]
    return ids, {ids[number] for number in bad}


def process_partition() -> dict[str, Any]:
    """In a client process: `process_interactions` for the partition, as Dagster runs it."""
    import dagster as dg

    from cs_features.definitions import build_defs

    started = time.monotonic()
    with dg.DagsterInstance.ephemeral() as instance:
        result = (
            build_defs()
            .resolve_job_def("process_interactions")
            .execute_in_process(partition_key=PARTITION.key, instance=instance, raise_on_error=False)
        )
        problems = [
            f"{event.step_key}: {str(event.step_failure_data.error)[-700:]}"
            for event in result.all_events
            if event.is_step_failure
        ]
        problems += [f"check {check.check_name}" for check in result.get_asset_check_evaluations() if not check.passed]
    return {
        "success": result.success,
        "problems": problems,
        "peak_mib": measure_peak_mib(),
        "seconds": time.monotonic() - started,
    }
