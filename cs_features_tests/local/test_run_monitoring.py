"""A dead run holds nothing: Dagster's own monitoring, with the instance that `make dev` and `make demo` use."""

import json
import logging
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest
from dagster._core.launcher import WorkerStatus
from dagster._core.storage.tags import GRPC_INFO_TAG
from dagster._daemon.monitoring.run_monitoring import execute_run_monitoring_iteration
from dagster._grpc.client import DagsterGrpcClient
from dagster._grpc.types import CanCancelExecutionResult
from dagster._serdes import serialize_value

from cs_features.local import processes
from cs_features.local.run_launcher import WatchedRunLauncher
from cs_features.orchestration.failures import Cause, read_cause
from cs_features.orchestration.sensors.landing import list_events

SHIPPED = Path(processes.__file__).with_name("dagster.yaml")


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    home = tmp_path_factory.mktemp("dagster")
    shutil.copyfile(SHIPPED, home / "dagster.yaml")
    with dg.DagsterInstance.from_config(str(home)) as made:
        yield made


def start_run(instance: dg.DagsterInstance) -> dg.DagsterRun:
    """A run as a code server leaves it that was killed with all it had started."""

    @dg.job
    def nothing() -> None:
        pass

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    tags = {GRPC_INFO_TAG: json.dumps({"host": "127.0.0.1", "port": port})}
    return instance.create_run_for_job(nothing, tags=tags, status=dg.DagsterRunStatus.STARTED)


def monitor(instance: dg.DagsterInstance) -> None:
    """What the daemon does every half minute."""
    workspace: Any = SimpleNamespace(instance=instance, create_request_context=lambda: None)
    list(execute_run_monitoring_iteration(workspace, logging.getLogger("monitoring")))


def status_of(instance: dg.DagsterInstance, run: dg.DagsterRun) -> dg.DagsterRunStatus:
    found = instance.get_run_by_id(run.run_id)
    assert found is not None
    return found.status


def test_the_shipped_instance_watches_its_runs(instance: dg.DagsterInstance) -> None:
    """Fault 19: run monitoring was off, and nothing else ends a run whose process was killed."""
    assert instance.run_monitoring_enabled
    assert isinstance(instance.run_launcher, WatchedRunLauncher)
    assert 0 < instance.run_monitoring_poll_interval_seconds <= 60
    assert 0 < instance.run_monitoring_start_timeout_seconds <= 600
    assert instance.run_monitoring_max_runtime_seconds > 0


def test_a_run_whose_code_server_was_killed_is_failed_and_counts_as_lost(instance: dg.DagsterInstance) -> None:
    """Fault 19: all of Dagster was killed in the middle of two runs; restarted, it started nothing any more."""
    run = start_run(instance)
    monitor(instance)
    assert status_of(instance, run) is dg.DagsterRunStatus.FAILURE
    assert read_cause(dg.DagsterRunStatus.FAILURE, list_events(instance, run.run_id)) is Cause.LOST


@pytest.mark.parametrize(
    ("is_known", "status"), [(True, dg.DagsterRunStatus.STARTED), (False, dg.DagsterRunStatus.FAILURE)]
)
def test_a_run_lives_as_long_as_its_code_server_knows_it(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, is_known: bool, status: dg.DagsterRunStatus
) -> None:
    """The process alone was killed, for its memory; or it lives, and must not be ended for the asking."""
    answer = serialize_value(CanCancelExecutionResult(can_cancel=is_known))
    monkeypatch.setattr(DagsterGrpcClient, "can_cancel_execution", lambda *_, **__: answer)
    run = start_run(instance)
    monitor(instance)
    assert status_of(instance, run) is status


def test_a_run_that_no_code_server_is_known_of_is_not_found(instance: dg.DagsterInstance) -> None:
    @dg.job
    def nothing() -> None:
        pass

    run = instance.create_run_for_job(nothing, status=dg.DagsterRunStatus.STARTED)
    assert instance.run_launcher.check_run_worker_health(run).status is WorkerStatus.NOT_FOUND
