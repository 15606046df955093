"""A year of Dagster's storage as runs of five countries would have left it: materializations and checks, no run's log.

For benches and tests that need the size and not the runs: 1,825 partitions of every asset of the flow. One partition a
country is reported as Dagster does it; the others are copies of its rows, because a transaction an event takes half an
hour. SQLite alone, in a folder.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from cs_features.orchestration.checks import CHECKS
from cs_features.orchestration.metadata import as_table, plot_apart
from cs_features.partitions import Partition

FLOW = ("raw_interactions", "llm_extractions", "validated_features", "rejected_records", "feature_store")
# As many numbers as the assets have, and a table as large as a preview.
NUMBERS = {
    "documents": 60,
    "cost_usd": 0.009,
    "cache_share": 0.92,
    **{f"figure_{number}": number for number in range(9)},
}
PREVIEW = pl.DataFrame({f"column_{number}": ["a value as long as most"] * 5 for number in range(10)})


def write_year(instance: dg.DagsterInstance, countries: Sequence[str], today: date, days: int = 365) -> int:
    """Every event of `days` days up to yesterday; returns the number of partitions. On a fresh local instance."""
    partitions = [
        Partition(country, today - timedelta(days=back)) for back in range(days, 0, -1) for country in countries
    ]
    models = {each.country: each for each in partitions[: len(countries)]}
    for model in models.values():
        for event in list_events(model):
            instance.report_runless_asset_event(event)
    database = Path(instance.root_directory) / "history" / "runs" / "index.db"
    with closing(sqlite3.connect(database)) as connection, connection:
        for partition in partitions[len(models) :]:
            copy_rows(connection, models[partition.country], partition)
    return len(partitions)


def list_events(partition: Partition) -> Iterator[dg.AssetMaterialization | dg.AssetCheckEvaluation]:
    """What one run of the chain leaves, all of it well."""
    metadata = plot_apart(partition.country, {**NUMBERS, "preview": as_table(PREVIEW)})
    for table in FLOW:
        yield dg.AssetMaterialization(table, partition=partition.key, metadata=metadata)
    for check in CHECKS:
        for spec in check.check_specs:
            if spec.asset_key.path[-1] in FLOW:
                yield dg.AssetCheckEvaluation(
                    asset_key=spec.asset_key,
                    check_name=spec.name,
                    passed=True,
                    severity=dg.AssetCheckSeverity.WARN,
                    metadata=plot_apart(partition.country, {"share": 0.01, "rejected": 1, "limit": 0.1}),
                    partition=partition.key,
                )


def copy_rows(connection: sqlite3.Connection, model: Partition, partition: Partition) -> None:
    """The rows of `model` once more, for another partition; on every tenth of a month too much was rejected."""
    events: dict[int, int] = {}
    for row in connection.execute("select * from event_logs where partition = ?", (model.key,)).fetchall():
        copied = _rename_partition(row, model, partition)
        events[row[0]] = _insert(connection, "event_logs", copied)
    for row in connection.execute("select * from asset_check_executions where partition = ?", (model.key,)).fetchall():
        copied = _rename_partition(row, model, partition)
        copied[8] = events.get(row[8], row[8])
        if row[2] == "rejected_share" and partition.date.day % 10 == 0:
            copied[5] = "FAILED"
            copied[6] = copied[6].replace('"success": true', '"success": false')
        _insert(connection, "asset_check_executions", copied)


def _rename_partition(row: Sequence[Any], model: Partition, partition: Partition) -> list[Any]:
    """Without its id, which the table gives anew."""
    renamed = [value.replace(model.key, partition.key) if isinstance(value, str) else value for value in row]
    return [None, *renamed[1:]]


def _insert(connection: sqlite3.Connection, table: str, row: Sequence[Any]) -> int:
    places = ", ".join("?" * len(row))
    number = connection.execute(f"insert into {table} values ({places})", row).lastrowid
    assert number is not None
    return number
