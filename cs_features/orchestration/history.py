"""Dagster's own history, reduced: old runs with their events and logs, and evaluations that newer ones follow.

Dagster purges ticks by itself (`retention` in `dagster.yaml`) and nothing else. What a partition's state is told from
stays: the latest materialization, observation, attempt and evaluation. Of the runs that hold one, the other events
go. Here: how it is read and removed, in SQL where Dagster has no call for it. Not here: how old is old
(`retention/rules.py`).
"""

import shutil
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import dagster as dg
import sqlalchemy as sa
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable as Checks
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable as Events
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager

from cs_features.retention.rules import Ages, EndedRun, choose_removable_runs
from cs_features.retention.sweeps import Sweeper, SweepResult

PAGE = 1_000
KIND = dg.DagsterEventType
ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
# Of each of these the latest of a partition tells its state.
TELLING = (KIND.ASSET_MATERIALIZATION, KIND.ASSET_OBSERVATION, KIND.ASSET_MATERIALIZATION_PLANNED)
# What stays of an old run that tells a state.
KEPT = (
    *TELLING,
    KIND.ASSET_CHECK_EVALUATION,
    KIND.ASSET_CHECK_EVALUATION_PLANNED,
    KIND.ASSET_FAILED_TO_MATERIALIZE,
    KIND.STEP_FAILURE,
    KIND.RUN_START,
    KIND.RUN_SUCCESS,
    KIND.RUN_FAILURE,
    KIND.RUN_CANCELED,
)


def list_history_sweepers(instance: dg.DagsterInstance, ages: Ages) -> list[Sweeper]:
    history = History(instance)
    return [
        Sweeper("runs", lambda now, dry: sweep_runs(history, ages.runs, now, dry)),
        Sweeper("events of runs that are kept", lambda now, dry: sweep_events(history, ages.runs, now, dry)),
        Sweeper("logs of runs that are kept", lambda now, dry: sweep_logs(history, ages.logs, now, dry)),
        Sweeper("evaluations of checks", lambda now, dry: sweep_evaluations(history, ages.runs, now, dry)),
    ]


def sweep_runs(history: "History", age: timedelta, now: datetime, dry_run: bool) -> SweepResult:
    """Old runs that nothing's state is told from, with their events and logs."""
    ended = list(history.iterate_ended(now - age))
    chosen = choose_removable_runs(ended, history.find_latest_runs(), now, age)
    freed = sum(history.measure_run(run_id) for run_id in chosen.deleted)
    for run_id in () if dry_run else chosen.deleted:
        history.delete_run(run_id)
    return SweepResult("runs", len(ended), len(chosen.deleted), freed)


def sweep_events(history: "History", age: timedelta, now: datetime, dry_run: bool) -> SweepResult:
    """Of old runs that stay, the events that tell no state."""
    ended = list(history.iterate_ended(now - age))
    chosen = choose_removable_runs(ended, history.find_latest_runs(), now, age)
    examined = removed = freed = 0
    for run_id in chosen.reduced:
        total, count, size = history.count_idle_events(run_id)
        examined, removed, freed = examined + total, removed + count, freed + size
        if count and not dry_run:
            history.delete_idle_events(run_id)
    return SweepResult("events of runs that are kept", examined, removed, freed)


def sweep_logs(history: "History", age: timedelta, now: datetime, dry_run: bool) -> SweepResult:
    """What old runs printed."""
    examined = removed = freed = 0
    for run in history.iterate_ended(now - age):
        examined += 1
        size = history.measure_logs(run.run_id)
        removed, freed = removed + bool(size), freed + size
        if not dry_run:
            history.delete_logs(run.run_id)
    return SweepResult("logs of runs that are kept", examined, removed, freed)


def sweep_evaluations(history: "History", age: timedelta, now: datetime, dry_run: bool) -> SweepResult:
    """Old evaluations of a check that the same partition has a newer one of."""
    examined, removed, freed = history.count_old_evaluations(now - age)
    if not dry_run:
        history.delete_old_evaluations(now - age)
    return SweepResult("evaluations of checks", examined, removed, freed)


class History:
    """The instance's storage, as a sweep reads and reduces it."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        storage = instance.event_log_storage
        assert isinstance(storage, SqlEventLogStorage), "every storage that Dagster ships is one"
        self._instance = instance
        self._events = storage
        self._logs = instance.compute_log_manager

    def iterate_ended(self, before: datetime) -> Iterator[EndedRun]:
        """Runs that have ended and were created before then, the newest first."""
        wanted, cursor = dg.RunsFilter(statuses=ENDED, created_before=before), None
        while records := self._instance.get_run_records(wanted, limit=PAGE, cursor=cursor):
            for record in records:
                yield EndedRun(record.dagster_run.run_id, record.create_timestamp)
            cursor = records[-1].dagster_run.run_id

    def find_latest_runs(self) -> set[str]:
        """The runs that hold the latest event or evaluation of a partition."""
        kinds = Events.c.dagster_event_type.in_([kind.value for kind in TELLING])
        events = sa.select(sa.func.max(Events.c.id)).where(kinds)
        events = events.group_by(Events.c.dagster_event_type, Events.c.asset_key, Events.c.partition)
        by_event = sa.select(Events.c.run_id).where(Events.c.id.in_(events))
        by_check = sa.select(Checks.c.run_id).where(Checks.c.id.in_(_latest_evaluations()))
        with self._events.index_connection() as connection:
            rows = [*connection.execute(by_event), *connection.execute(by_check)]
        return {row[0] for row in rows}

    # --- runs -----------------------------------------------------------------------------------

    def measure_run(self, run_id: str) -> int:
        """Bytes that go with a run: its events, or their file, and what it printed."""
        shard = self._find_shard(run_id)
        size = shard.stat().st_size if shard else self.measure_events(run_id)
        return size + self.measure_logs(run_id)

    def delete_run(self, run_id: str) -> None:
        self.delete_logs(run_id)
        self._instance.delete_run(run_id)
        if shard := self._find_shard(run_id):
            for path in (shard, *_list_companions(shard)):
                path.unlink(missing_ok=True)

    def _find_shard(self, run_id: str) -> Path | None:
        """SQLite keeps a file a run, which stays as large as it was when its rows are deleted."""
        if not isinstance(self._events, SqliteEventLogStorage):
            return None
        path = Path(self._events.path_for_shard(run_id))
        return path if path.exists() else None

    def measure_events(self, run_id: str) -> int:
        """Bytes of a run's events: what PostgreSQL keeps of it, where SQLite keeps a file with empty pages."""
        size = sa.select(sa.func.sum(sa.func.length(Events.c.event))).where(Events.c.run_id == run_id)
        with self._events.run_connection(run_id) as connection:
            return int(connection.execute(size).scalar() or 0)

    # --- events ---------------------------------------------------------------------------------

    def count_idle_events(self, run_id: str) -> tuple[int, int, int]:
        """Events of a run, those that tell no state, and the bytes of the latter."""
        total = sa.select(sa.func.count()).where(Events.c.run_id == run_id)
        idle = sa.select(sa.func.count(), sa.func.sum(sa.func.length(Events.c.event))).where(_is_idle(run_id))
        with self._events.run_connection(run_id) as connection:
            count, size = connection.execute(idle).one()
            return int(connection.execute(total).scalar() or 0), int(count), int(size or 0)

    def delete_idle_events(self, run_id: str) -> None:
        with self._events.run_connection(run_id) as connection:
            connection.execute(Events.delete().where(_is_idle(run_id)))
        if shard := self._find_shard(run_id):
            # Nobody else has it open: the run has ended a month ago.
            with closing(sqlite3.connect(shard)) as direct:
                direct.execute("VACUUM")

    # --- logs -----------------------------------------------------------------------------------

    def measure_logs(self, run_id: str) -> int:
        """Bytes of what a run printed; of logs that are on S3 nobody knows them."""
        folder = self._find_logs(run_id)
        return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) if folder else 0

    def delete_logs(self, run_id: str) -> None:
        self._logs.delete_logs(prefix=[run_id])
        # The files go, and their empty folder would stay.
        if folder := self._find_logs(run_id):
            shutil.rmtree(folder, ignore_errors=True)

    def _find_logs(self, run_id: str) -> Path | None:
        if not isinstance(self._logs, LocalComputeLogManager):
            return None
        folder = Path(self._logs.get_captured_local_path([run_id, "x"], "out")).parent
        return folder if folder.is_dir() else None

    # --- evaluations ----------------------------------------------------------------------------

    def count_old_evaluations(self, before: datetime) -> tuple[int, int, int]:
        size = sa.func.sum(sa.func.length(Checks.c.evaluation_event))
        with self._events.index_connection() as connection:
            total = connection.execute(sa.select(sa.func.count()).select_from(Checks)).scalar()
            count, freed = connection.execute(sa.select(sa.func.count(), size).where(_is_superseded(before))).one()
        return int(total or 0), int(count), int(freed or 0)

    def delete_old_evaluations(self, before: datetime) -> None:
        with self._events.index_connection() as connection:
            connection.execute(Checks.delete().where(_is_superseded(before)))


def _is_idle(run_id: str) -> sa.ColumnElement[bool]:
    kept = [kind.value for kind in KEPT]
    told = Events.c.dagster_event_type.in_(kept)
    return sa.and_(Events.c.run_id == run_id, sa.or_(Events.c.dagster_event_type.is_(None), sa.not_(told)))


def _latest_evaluations() -> sa.Select[tuple[int]]:
    latest = sa.select(sa.func.max(Checks.c.id))
    return latest.group_by(Checks.c.asset_key, Checks.c.check_name, Checks.c.partition)


def _is_superseded(before: datetime) -> sa.ColumnElement[bool]:
    is_old = Checks.c.create_timestamp < before.replace(tzinfo=None)
    return sa.and_(is_old, Checks.c.id.not_in(_latest_evaluations()))


def _list_companions(shard: Path) -> Sequence[Path]:
    """SQLite's write-ahead files."""
    suffixes: Iterable[str] = ("-wal", "-shm")
    return [shard.with_name(shard.name + suffix) for suffix in suffixes]
