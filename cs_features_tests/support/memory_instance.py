"""A Dagster instance in memory whose history is written when somebody reads it, which most tests never do.

Dagster's own opens a connection for each statement, looks at its tables' columns time and again, and stores each of a
run's hundred events by itself. Not here: what is stored and how it is found, which stays Dagster's.
"""

import functools
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import dagster as dg
import pytest
import sqlalchemy
from dagster._core.events import ASSET_EVENTS
from dagster._core.storage.event_log import InMemoryEventLogStorage, SqlEventLogStorage
from dagster._core.storage.event_log.schema import SqlEventLogStorageMetadata
from dagster._core.storage.runs.schema import RunStorageSqlMetadata
from sqlalchemy.pool import StaticPool

_STORAGE = "dagster._core.storage"


class LateEventLog(InMemoryEventLogStorage):
    """Events get their numbers at once, and their rows before the first question that may concern them.

    A run asks of assets at each of its steps, the same thing for each of a step's checks: while no asset's event has
    come, the answer is the one before.
    """

    def __init__(self, *_: Any, **__: Any) -> None:
        self._of_assets: list[tuple[int, Any]] = []
        self._others: list[tuple[int, Any]] = []
        self._answers: dict[str, Any] = {}
        self._number = 0
        self._asks_of_assets = self._is_writing = False
        self._lock = threading.RLock()
        super().__init__()
        self._connect_held = _share_connection(self)

    def store_event(self, event: Any) -> None:
        with self._lock:
            self._storage_id += 1
            waiting = self._others
            if event.is_dagster_event and event.dagster_event_type in ASSET_EVENTS:
                waiting = self._of_assets
                self._answers.clear()
            waiting.append((self._storage_id, event))

    def write_events(self) -> None:
        self._write(self._of_assets)
        self._write(self._others)

    def forget_events(self) -> None:
        """What waits, and what is known; for who puts an earlier state of the tables back."""
        for each in (self._of_assets, self._others, self._answers):
            each.clear()

    def _write(self, waiting: list[tuple[int, Any]]) -> None:
        with self._lock:
            events = list(waiting)
            waiting.clear()
            before, self._is_writing = self._is_writing, True
            try:
                for self._number, event in events:
                    SqlEventLogStorage.store_event(self, event)
            finally:
                self._is_writing = before

    def prepare_insert_event(self, event: Any) -> Any:
        return super().prepare_insert_event(event).values(id=self._number)

    @contextmanager
    def _connect(self) -> Iterator[sqlalchemy.Connection]:
        with self._lock, self._connect_held() as connection:
            if not self._is_writing:
                self._write(self._of_assets)
                if not self._asks_of_assets:
                    self._write(self._others)
                    self._answers.clear()  # somebody may write
            yield connection

    def _ask_of_assets(self, name: str, *args: Any, **kwargs: Any) -> Any:
        question = f"{name} {args} {kwargs}"
        with self._lock:
            if question not in self._answers:
                self._asks_of_assets = True
                try:
                    self._answers[question] = getattr(super(), name)(*args, **kwargs)
                finally:
                    self._asks_of_assets = False
            return self._answers[question]

    def get_asset_records(self, *args: Any, **kwargs: Any) -> Any:
        return self._ask_of_assets("get_asset_records", *args, **kwargs)

    def get_latest_tags_by_partition(self, *args: Any, **kwargs: Any) -> Any:
        return self._ask_of_assets("get_latest_tags_by_partition", *args, **kwargs)

    def fetch_materializations(self, *args: Any, **kwargs: Any) -> Any:
        return self._ask_of_assets("fetch_materializations", *args, **kwargs)

    def fetch_observations(self, *args: Any, **kwargs: Any) -> Any:
        return self._ask_of_assets("fetch_observations", *args, **kwargs)

    # The tables are those of this version: nobody has to look.

    def has_table(self, table_name: str) -> bool:
        return True

    def _has_asset_key_col_on_connection(self, conn: Any, column_name: str) -> bool:
        return True

    def has_asset_key_col(self, column_name: str) -> bool:
        return True


def memory_instance() -> dg.DagsterInstance:
    with pytest.MonkeyPatch.context() as patch:
        for storage, tables in (("runs", "RunStorageSqlMetadata"), ("event_log", "SqlEventLogStorageMetadata")):
            module = f"{_STORAGE}.{storage}.in_memory"
            patch.setattr(f"{module}.stamp_alembic_rev", lambda *_: None)  # nobody asks for it
            patch.setattr(f"{module}.create_engine", _open_database)
            patch.setattr(f"{module}.{tables}", _MadeTables(storage))
        patch.setattr(f"{_STORAGE}.event_log.InMemoryEventLogStorage", LateEventLog)
        made = dg.DagsterInstance.ephemeral(settings={"python_logs": {"python_log_level": "INFO"}})
    made.run_storage.connect = _share_connection(made.run_storage)  # type: ignore[method-assign]
    return made


class _MadeTables:
    """The tables of a storage, copied from the first that were made: to make forty costs ten milliseconds."""

    def __init__(self, storage: str) -> None:
        self._storage = storage

    def create_all(self, connection: sqlalchemy.Connection) -> None:
        database: Any = connection.connection.driver_connection
        _empty_tables(self._storage).backup(database)


@functools.cache
def _empty_tables(storage: str) -> sqlite3.Connection:
    made = sqlite3.connect(":memory:", check_same_thread=False)
    with _open_database().connect() as connection:
        metadata = {"runs": RunStorageSqlMetadata, "event_log": SqlEventLogStorageMetadata}[storage]
        metadata.create_all(connection)
        connection.commit()
        database: Any = connection.connection.driver_connection
        database.backup(made)
    return made


def _open_database(*_: Any, **__: Any) -> sqlalchemy.Engine:
    return sqlalchemy.create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})


def _share_connection(storage: Any) -> Callable[[], AbstractContextManager[sqlalchemy.Connection]]:
    """The connection that the storage holds, for one after the other."""
    lock, connection = threading.RLock(), storage._held_conn
    connection.execute(sqlalchemy.text("PRAGMA foreign_keys=ON"))
    connection.commit()

    @contextmanager
    def connect() -> Iterator[sqlalchemy.Connection]:
        with lock, nullcontext() if connection.in_transaction() else connection.begin():
            yield connection

    return connect
