"""What one more file costs in requests, whatever the partition already holds, and what its run leaves with Dagster."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg
import pytest
from dagster import serialize_value
from dagster._core.events import EngineEventData
from dagster._core.storage.tags import BACKFILL_ID_TAG

from cs_features.partitions import Partition
from cs_features.services import s3_client
from cs_features_tests.support.documents import DAY, document, jsonl
from cs_features_tests.support.lab import Lab

MOST = 32  # docs/money.md says what each is for
# Of events, as PostgreSQL keeps them. Where queue, launcher and a process of its own begin a run, half a dozen more
# events are sent; with them a run of a backfill has 150 kB at the most, whatever the length of names and process ids.
MOST_BYTES = 150_000
AROUND_A_RUN = (
    *("waits in the queue.", "leaves the queue.", "is launched.", "is launched, and its process starts."),
    *("Started process for run (pid: 123456).", "Process for run exited (pid: 123456)."),
)
EVENT = "provide-client-params.s3.*"


@pytest.fixture
def requests() -> Iterator[Counter[str]]:
    """Requests of the product's S3 client, by operation and first folder."""
    counts: Counter[str] = Counter()

    def count(params: Mapping[str, Any], model: Any, **_: Any) -> None:
        place = str(params.get("Key") or params.get("Prefix") or "").split("/", 1)[0]
        counts[f"{model.name} {place}"] += 1

    events = s3_client().meta.events
    events.register(EVENT, count)
    yield counts
    events.unregister(EVENT, count)


def test_a_rerun_after_one_more_file_asks_for_nothing_twice(lab: Lab, requests: Counter[str]) -> None:
    """It made 1,424 requests once, and 40 until each step believed what the step before had just read (issue 11)."""
    job = lab.definitions.resolve_job_def("process_interactions")
    config = {"ops": {"llm_extractions": {"config": {"reextract": False}}}}  # as landing_sensor asks

    def land_and_run(number: int) -> Counter[str]:
        lab.land("NL", DAY, f"{number}.jsonl", jsonl([document(number)]))
        requests.clear()
        ran = job.execute_in_process(
            partition_key=Partition("NL", DAY).key, instance=lab.instance, run_config=config, raise_on_error=False
        )
        assert isinstance(ran, dg.ExecuteInProcessResult)
        return Counter(requests)

    land_and_run(1)
    second, third = land_and_run(2), land_and_run(3)
    assert third.total() <= MOST, third
    assert third.total() <= second.total(), "neither grows with what was there before"
    assert third["ListObjectsV2 extraction_quality"] == 1
    assert third["ListObjectsV2 erasure"] == 3, "before reading, before writing records, and after"


def test_a_run_of_a_backfill_leaves_little_with_dagster(lab: Lab) -> None:
    """213 kB a run were 42 GB a year: metadata is stored twice, each input of a step is two events (issue 11)."""
    lab.land("NL", DAY, "a.jsonl", jsonl(document(number) for number in range(50)))
    job, tags = lab.definitions.resolve_job_def("process_interactions"), {BACKFILL_ID_TAG: "abcdefgh"}
    ran = job.execute_in_process(partition_key=Partition("NL", DAY).key, instance=lab.instance, tags=tags)
    run = lab.instance.get_run_by_id(ran.run_id)
    assert run is not None
    for words in AROUND_A_RUN:
        lab.instance.report_engine_event(words, run, EngineEventData.in_process(123456))
    kept = [serialize_value(entry) for entry in lab.instance.all_logs(ran.run_id)]
    assert sum(map(len, kept)) <= MOST_BYTES, len(kept)


def test_what_a_table_tells_is_stored_once(lab: Lab) -> None:
    """Given with the output, its numbers, its place and its first row stood in two events of every run."""
    lab.land("NL", DAY, "a.jsonl", jsonl([document(1)]))
    run = lab.process()
    outputs = [each for each in run.result.all_events if each.event_type_value in ("STEP_OUTPUT", "HANDLED_OUTPUT")]
    assert outputs
    assert not [each for each in outputs if each.event_specific_data.metadata]
    (raw,) = run.result.asset_materializations_for_node("raw_interactions")
    assert {"accepted_NL", "rows_NL", "dagster/uri", "preview"} <= raw.metadata.keys()
