"""What the tests' instance, which writes its history late, may not change: anything that Dagster is asked of it."""

from collections.abc import Callable
from typing import Any

import dagster as dg

from cs_features_tests.support.documents import document, jsonl
from cs_features_tests.support.lab import DAY, Lab
from cs_features_tests.support.memory_instance import memory_instance

RAW = dg.AssetKey("raw_interactions")
CONSERVATION = dg.AssetCheckKey(dg.AssetKey("validated_features"), "conservation")


def run_twice(lab: Lab) -> dg.DagsterInstance:
    """A run that goes through, and one that fails at a blocking check."""
    lab.land("NL", DAY, "a.jsonl", jsonl([document(1), document(2)]))
    assert lab.process().success
    lab.overwrite("raw_interactions", lambda table: table.head(1))
    assert not lab.process(only=["validated_features", "rejected_records"]).success
    return lab.instance


def tell_history(instance: dg.DagsterInstance) -> dict[str, Any]:
    """All but moments and numbers of runs."""
    runs = list(reversed(instance.get_runs()))
    (record,) = instance.get_asset_records([RAW])
    checks = instance.event_log_storage.get_asset_check_execution_history(CONSERVATION, limit=9)
    last = record.asset_entry.last_materialization
    return {
        "runs": [(run.status, run.tags.get("dagster/partition")) for run in runs],
        "events": [tell_events(instance, run) for run in runs],
        "steps": [[(each.step_key, each.status) for each in instance.get_run_step_stats(run.run_id)] for run in runs],
        "asset": (tell_event(last), runs[0].run_id == record.asset_entry.last_run_id),
        "partitions": instance.get_materialized_partitions(RAW),
        "materialized": len(instance.fetch_materializations(RAW, limit=9).records),
        "checks": [(check.status, check.partition) for check in checks],
        "keys": sorted(instance.all_asset_keys()),
    }


def tell_events(instance: dg.DagsterInstance, run: dg.DagsterRun) -> list[Any]:
    records = instance.get_records_for_run(run.run_id).records
    numbers = [record.storage_id for record in records]
    assert numbers == sorted(numbers)
    return [tell_event(record.event_log_entry) for record in records]


def tell_event(event: Any) -> tuple[Any, ...]:
    told = event.dagster_event
    asset = told and told.asset_key
    tags = event.asset_materialization.tags if event.asset_materialization else {}
    return event.dagster_event_type, event.step_key, asset, told and told.partition, sorted(tags)


def test_the_history_is_what_dagster_keeps_by_itself(make_lab: Callable[..., Lab]) -> None:
    """Or a hundred tests would prove something of a history that the product never sees."""
    own, late = make_lab(), make_lab()
    own.instance.dispose()
    own.instance = dg.DagsterInstance.ephemeral(settings={"python_logs": {"python_log_level": "INFO"}})

    expected = tell_history(run_twice(own))
    assert len(expected["checks"]) == 2
    assert tell_history(run_twice(late)) == expected


def test_an_answer_counts_all_that_has_happened() -> None:
    with memory_instance() as instance:
        counted = []
        for _ in range(3):
            instance.report_runless_asset_event(dg.AssetMaterialization(RAW))
            counted.append(len(instance.fetch_materializations(RAW, limit=9).records))
    assert counted == [1, 2, 3]
