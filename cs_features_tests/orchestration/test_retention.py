"""Dagster's history, reduced: on a real SQLite instance, with runs of a small job and the sweep two months later."""

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.asset_checks.asset_check_spec import AssetCheckKey

from cs_features.local.postgres import ADMIN, find_programs, serve_postgres
from cs_features.orchestration.history import KEPT, list_history_sweepers
from cs_features.orchestration.retention import apply_retention, weekly_retention
from cs_features.retention.rules import Ages
from cs_features.retention.sweeps import SweepResult, apply_retention_sweepers
from cs_features_tests.support.lab import Lab

pytestmark = pytest.mark.heavy

MONTH = timedelta(days=30)
AGES = Ages(runs=MONTH, logs=MONTH / 2, notices=MONTH, ledgers=MONTH)
LATER = datetime.now(timezone.utc) + timedelta(days=60)
CHECK = AssetCheckKey(dg.AssetKey("table"), "judged")
PARTITIONS = dg.StaticPartitionsDefinition(["NL", "BE", "FR"])


@dg.asset(partitions_def=PARTITIONS)
def table(context: dg.AssetExecutionContext) -> None:
    for number in range(20):
        context.log.info(f"line {number}")
    print("what the run printed")
    if context.partition_key == "FR":
        raise ValueError("a step fails")


@dg.asset_check(asset=table, partitions_def=PARTITIONS)  # type: ignore[call-arg]
def judged(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=context.partition_key == "NL", metadata={"a": 1})


DEFINITIONS = dg.Definitions(assets=[table], asset_checks=[judged], jobs=[dg.define_asset_job("chain")])


def run_chain(instance: dg.DagsterInstance, key: str) -> str:
    job = DEFINITIONS.resolve_job_def("chain")
    return job.execute_in_process(partition_key=key, instance=instance, raise_on_error=False).run_id


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as made:
        yield made


@pytest.fixture
def on_postgres(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """As in production."""
    if find_programs() is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    with serve_postgres() as cluster:
        url = f"postgresql+psycopg2://{ADMIN}:x@{cluster.host}/dagster?sslmode=require"
        overrides = {"storage": {"postgres": {"postgres_url": url}}}
        with dg.DagsterInstance.local_temp(str(tmp_path), overrides=overrides) as made:
            yield made


def sweep(instance: dg.DagsterInstance, now: datetime = LATER, *, dry_run: bool = False) -> dict[str, SweepResult]:
    return {each.what: each for each in apply_retention_sweepers(list_history_sweepers(instance, AGES), now, dry_run)}


def state_of(instance: dg.DagsterInstance) -> object:
    """What the UI tells of the partitions."""
    storage = instance.event_log_storage
    asset = dg.AssetKey("table")
    attempts = storage.get_latest_asset_partition_materialization_attempts_without_materializations(asset)
    checks = storage.get_asset_check_partition_info([CHECK])
    return (
        storage.get_materialized_partitions(asset),
        storage.get_latest_storage_id_by_partition(asset, dg.DagsterEventType.ASSET_MATERIALIZATION),
        {key: run_id for key, (run_id, _) in attempts.items()},
        {(info.partition_key, info.latest_execution_status) for info in checks},
        {record.run_id for record in instance.fetch_materializations(asset, limit=10).records},
    )


def test_old_runs_go_and_every_partition_tells_what_it_told(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    """Runs of a month ago were wiped by hand: half of the partitions were grey, and were run and paid for again."""
    first, latest, other, failed = (run_chain(instance, key) for key in ("NL", "NL", "BE", "FR"))
    before = state_of(instance)
    soon = datetime.now(timezone.utc) + timedelta(days=10)
    assert {each.removed for each in sweep(instance, soon).values()} == {0}, "what is young stays as it is"
    counted = sweep(instance, dry_run=True)
    assert {run.run_id for run in instance.get_runs()} == {first, latest, other, failed}, "a dry run removed something"
    assert sweep(instance)["runs"] == counted["runs"]
    assert (counted["runs"].examined, counted["runs"].removed) == (4, 1)
    assert counted["runs"].bytes_freed > 10_000
    assert {run.run_id for run in instance.get_runs()} == {latest, other, failed}
    materialized, ids, attempts, checks, runs = state_of(instance)  # type: ignore[misc]
    assert (materialized, ids, attempts, checks) == before[:4]  # type: ignore[index]
    assert runs == {latest, other}
    assert not list(tmp_path.rglob(f"{first}*")), "its file or its logs were left"


def test_of_a_run_that_stays_only_what_tells_its_state_stays(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    run_id = run_chain(instance, "NL")
    (shard,) = tmp_path.rglob(f"{run_id}.db")
    before, lines = shard.stat().st_size, len(instance.all_logs(run_id))
    swept = sweep(instance)["events of runs that are kept"]
    left = instance.all_logs(run_id)
    assert {entry.dagster_event_type for entry in left} <= set(KEPT)
    assert (swept.examined, swept.removed) == (lines, lines - len(left))
    assert shard.stat().st_size < before
    assert sweep(instance)["events of runs that are kept"].removed == 0, "it comes to rest"
    run = instance.get_run_by_id(run_id)
    assert run is not None
    assert run.is_success


def test_what_is_swept_on_sqlite_is_swept_on_postgresql(on_postgres: dg.DagsterInstance) -> None:
    """SQLite takes statements that PostgreSQL refuses, and the first sweep in production would have been the test."""
    first, latest = run_chain(on_postgres, "NL"), run_chain(on_postgres, "NL")
    before = state_of(on_postgres)
    swept = sweep(on_postgres)
    assert not [each.problem for each in swept.values() if each.problem]
    assert swept["runs"].removed == swept["evaluations of checks"].removed == 1
    assert {run.run_id for run in on_postgres.get_runs()} == {latest} != {first}
    assert {entry.dagster_event_type for entry in on_postgres.all_logs(latest)} <= set(KEPT)
    assert state_of(on_postgres)[:4] == before[:4]  # type: ignore[index]


def test_evaluations_that_newer_ones_follow_go(instance: dg.DagsterInstance) -> None:
    """Twelve checks a run, 250 runs a day: a million rows a year, of which 20,000 say how things are."""
    run_chain(instance, "NL")
    run_chain(instance, "NL")
    swept = sweep(instance)["evaluations of checks"]
    assert (swept.examined, swept.removed) == (2, 1)
    assert sweep(instance)["evaluations of checks"].removed == 0


def test_launched_by_hand_nothing_is_removed_and_the_schedule_removes(lab: Lab) -> None:
    """Somebody who wanted to see what the job does launched it, and the runs that he was looking for were gone."""
    result = apply_retention.execute_in_process(
        resources={name: lab.resources[name] for name in ("data", "retention")}, instance=lab.instance
    )
    (event,) = [each for each in result.all_node_events if each.event_type_value == "STEP_OUTPUT"]
    assert event.step_output_data.metadata["dry_run"].value is True
    assert weekly_retention.default_status is dg.DefaultScheduleStatus.RUNNING
    context = dg.build_schedule_context(scheduled_execution_time=datetime(2026, 11, 22, 3, tzinfo=timezone.utc))
    (request,) = weekly_retention.evaluate_tick(context).run_requests
    assert request.run_config == {"ops": {"sweep_old_data": {"config": {"dry_run": False}}}}
