"""A laboratory as it was at one moment, for the tests that all begin there: running the jobs anew costs a second each.

Kept are its buckets, its records in both stores and Dagster's history. Not: what a test changes beside the laboratory.
"""

import sqlite3
from copy import deepcopy
from typing import Any

from moto.s3.models import s3_backends

from cs_features.local.scripted import Script
from cs_features_tests.support.lab import Lab


class KeptLab:
    """Everything of `lab` as it is now; `restore` before each test that uses it."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._stores = lab.stack.local.feature_store
        self._stores.flush()  # so that nobody writes meanwhile
        self._buckets = {name: deepcopy(_buckets()[name].keys) for name in self._names()}
        self._records = {table: self._select_records(table) for table in ("online", "offline")}
        self._events.write_events()
        self._history = [_copy_database(each, sqlite3.connect(":memory:")) for each in self._databases()]

    def restore(self) -> Lab:
        self._lab.stack.answerer.script = Script()
        self._stores.flush()
        for name, keys in self._buckets.items():
            _buckets()[name].keys = deepcopy(keys)
        for table, rows in self._records.items():
            self._replace_records(table, rows)
        self._events.forget_events()
        for kept, database in zip(self._history, self._databases(), strict=True):
            _copy_database(kept, database)
        return self._lab

    @property
    def _events(self) -> Any:
        return self._lab.instance.event_log_storage

    def _names(self) -> tuple[str, str]:
        return self._lab.settings.landing_bucket, self._lab.settings.data_bucket

    def _databases(self) -> list[sqlite3.Connection]:
        run_storage: Any = self._lab.instance.run_storage
        storages = (run_storage, self._events)
        return [storage._held_conn.connection.driver_connection for storage in storages]

    def _select_records(self, table: str) -> list[tuple[Any, ...]]:
        with self._stores._transaction():
            rows = self._stores._database.execute(
                f"SELECT * FROM {table} WHERE feature_group = ?", (self._lab.settings.feature_group,)
            )
            return rows.fetchall()

    def _replace_records(self, table: str, rows: list[tuple[Any, ...]]) -> None:
        with self._stores._transaction():
            database = self._stores._database
            database.execute(f"DELETE FROM {table} WHERE feature_group = ?", (self._lab.settings.feature_group,))
            for row in rows:
                database.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", row)


def _buckets() -> dict[str, Any]:
    found: dict[str, Any] = s3_backends["123456789012"]["aws"].buckets
    return found


def _copy_database(source: sqlite3.Connection, target: sqlite3.Connection) -> sqlite3.Connection:
    source.backup(target)
    return target
