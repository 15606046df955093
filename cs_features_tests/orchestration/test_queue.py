"""Who is started first, by Dagster's own queue under the shipped dagster.yaml."""

import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.test_utils import create_run_for_test
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import QueuedRunCoordinatorDaemon

from cs_features.orchestration.jobs import count_runs_at_once, process_interactions
from cs_features.planning.backfill_launch import JOB
from cs_features.planning.priorities import BACKFILL_TAG, tag_backfill_runs, tag_landed_day, tag_measurement_run
from cs_features.planning.quote import Queue
from cs_features_tests.support.lab import REPOSITORY
from cs_features_tests.support.landing_sensor import TODAY

# The daemon reads queued runs a hundred at a time.
MORE_THAN_A_PAGE = 101
ORIGIN = RemoteJobOrigin(RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("here"), "__repository__"), JOB)
LAST_WEEK = TODAY - timedelta(days=7)
BY_COMMAND = {BACKFILL_TAG: "a", **tag_backfill_runs()}
IN_THE_UI = {BACKFILL_TAG: "b"}
BY_HAND: dict[str, str] = {}
LANDED, LANDED_LATE = tag_landed_day(TODAY, TODAY), tag_landed_day(LAST_WEEK, TODAY)


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    shutil.copyfile(REPOSITORY / "cs_features/local/dagster.yaml", tmp_path / "dagster.yaml")
    with dg.DagsterInstance.from_config(str(tmp_path)) as made:
        yield made


def add_runs(instance: dg.DagsterInstance, status: dg.DagsterRunStatus, *tags: dict[str, str]) -> list[str]:
    return [
        create_run_for_test(
            instance,
            JOB,
            tags={"dagster/partition": f"{status.value} {number} {each}", **each},
            status=status,
            remote_job_origin=ORIGIN,
        ).run_id
        for number, each in enumerate(tags)
    ]


def list_started(instance: dg.DagsterInstance) -> list[str]:
    """The runs that the daemon would start now, in order."""
    daemon = QueuedRunCoordinatorDaemon(interval_seconds=5)
    return [run.run_id for run in daemon._get_runs_to_dequeue(instance, instance.get_concurrency_config(), None)]


@pytest.mark.heavy
def test_todays_documents_go_before_every_backfill_that_was_launched_before_them(instance: dg.DagsterInstance) -> None:
    """Fault 47: a backfill of a month was launched in the UI, and today's documents waited ten minutes behind it."""
    by_command = add_runs(instance, dg.DagsterRunStatus.QUEUED, *[BY_COMMAND] * MORE_THAN_A_PAGE)
    in_the_ui = add_runs(instance, dg.DagsterRunStatus.QUEUED, *[IN_THE_UI] * 3)
    by_hand = add_runs(instance, dg.DagsterRunStatus.QUEUED, BY_HAND)
    landed = add_runs(instance, dg.DagsterRunStatus.QUEUED, LANDED)
    assert list_started(instance) == [*landed, *in_the_ui[:2], *by_hand]
    assert by_command, "its runs have waited longest"


def test_a_backfill_in_progress_leaves_a_place_for_what_lands(instance: dg.DagsterInstance) -> None:
    """All places were taken by runs of an hour each, and the first of today's waited for one of them to end."""
    add_runs(instance, dg.DagsterRunStatus.STARTED, BY_COMMAND, IN_THE_UI, LANDED_LATE)
    add_runs(instance, dg.DagsterRunStatus.QUEUED, BY_COMMAND, IN_THE_UI, LANDED_LATE)
    assert list_started(instance) == []
    landed = add_runs(instance, dg.DagsterRunStatus.QUEUED, LANDED)
    assert list_started(instance) == landed


def test_late_files_of_many_older_days_take_one_place(instance: dg.DagsterInstance) -> None:
    late = add_runs(instance, dg.DagsterRunStatus.QUEUED, *[LANDED_LATE] * 5)
    landed = add_runs(instance, dg.DagsterRunStatus.QUEUED, *[LANDED] * 2)
    assert list_started(instance) == [*landed, late[0]]


def test_an_edited_prompt_measures_behind_what_lands(instance: dg.DagsterInstance) -> None:
    """Twenty-four measurements took all four places for minutes each, and today's documents waited for one to end."""
    measured = add_runs(instance, dg.DagsterRunStatus.QUEUED, *[tag_measurement_run()] * 5)
    landed = add_runs(instance, dg.DagsterRunStatus.QUEUED, *[LANDED] * 2)
    assert list_started(instance) == [*landed, measured[0]]


def test_two_runs_of_one_partition_never_overlap(instance: dg.DagsterInstance) -> None:
    same = {"dagster/partition": "NL|2026-11-24"}
    first = add_runs(instance, dg.DagsterRunStatus.QUEUED, {**LANDED, **same}, {**BY_COMMAND, **same})
    assert list_started(instance) == first[:1]


def test_a_quote_counts_with_the_places_that_a_backfill_gets(instance: dg.DagsterInstance) -> None:
    """Fault 47: the quote counted with four places where a backfill has two."""
    assert count_runs_at_once(instance) == Queue.runs_at_once == 2


def test_the_command_launches_the_job_that_the_sensor_runs() -> None:
    assert process_interactions.name == JOB
