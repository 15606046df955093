"""A year for five countries as a backfill: a part of its 1,825 partitions through UI, daemon and queue, as shipped.

Meanwhile today's documents land, and how long they wait is measured. Afterwards: is every partition's state its own,
what does Dagster keep, and what does retention leave of it. The part is 1/20, and 1/5 after it; what is said of the
whole year is extrapolated and says so. Not here: the model's time (`quota`), and arrivals (`arrivals.py`).
"""

import itertools
import json
import shutil
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import dagster as dg
from dagster import AssetCheckKey

from cs_features.environments import Settings
from cs_features.errors import DagsterRefusal
from cs_features.local.bench.client import make_document
from cs_features.local.bench.endpoint import Endpoint, start_endpoint
from cs_features.local.bench.figures import Figure, Say, as_count, at_least, equal_to
from cs_features.local.processes import LocalProblem, run_child
from cs_features.orchestration.checks import CHECKS
from cs_features.orchestration.history import History, list_history_sweepers
from cs_features.orchestration.partitions import interaction_partitions
from cs_features.partitions import Partition
from cs_features.planning.backfill_launch import JOB, Backfill, DagsterUi
from cs_features.retention.rules import Ages
from cs_features.retention.sweeps import apply_retention_sweepers

PARTITIONS_A_YEAR = 1_825
PARTS = {"1/20": 20, "1/5": 5}
COUNTRIES = ("BE", "ES", "FR", "NL", "PL")
DOCUMENTS_A_PARTITION = 20
DAYS_AGO = 3  # the sensor's window is two days: what is older is the backfill's alone
LAND_TODAY_EVERY_SECONDS = 150.0
LOOK_SECONDS = 5.0
SECONDS_A_RUN_AT_MOST = 120.0
RUNS_A_DAY = 240  # scenario `arrivals`
_numbers = itertools.count(1)
TABLES = ("raw_interactions", "llm_extractions", "validated_features", "rejected_records", "feature_store")


@dataclass
class Seen:
    """What one part of the year took and left."""

    runs: int
    seconds: float
    waits_of_today: list[float]
    true_states: int
    wanted_states: int
    stored: "Stored"
    left: "Stored"


@dataclass(frozen=True)
class Stored:
    """Kilobytes of Dagster's storage for one run of the chain, and of these what its events are, and its logs."""

    total: float
    events: float
    logs: float


def measure_year(quick: bool, say: Say) -> list[Figure]:
    figures: list[Figure] = []
    for name, part in [("1/50", 50)] if quick else PARTS.items():
        count = PARTITIONS_A_YEAR // part
        say(f"{name} of a year: {count} partitions of {DOCUMENTS_A_PARTITION} documents")
        figures += describe_part(name, measure_part(count, say))
    return figures


def describe_part(name: str, seen: Seen) -> list[Figure]:
    a_run = seen.seconds / seen.runs
    hours = a_run * PARTITIONS_A_YEAR / 3600
    kept_days = Settings.model_fields["retention_run_days"].default
    megabytes = (RUNS_A_DAY * kept_days * seen.stored.total + PARTITIONS_A_YEAR * seen.left.total) / 1e3
    unswept = RUNS_A_DAY * 365 * seen.stored.total / 1e6
    return [
        Figure(f"{name}: wall time", f"{seen.seconds / 60:.1f} min for {seen.runs} runs, {a_run:.1f} s each"),
        Figure(f"{name}: a year, EXTRAPOLATED", f"{hours:.1f} h beside the calls themselves"),
        equal_to(f"{name}: partition states and checks that are true", seen.true_states, seen.wanted_states),
        Figure(
            f"{name}: today's documents, landing to store",
            f"{max(seen.waits_of_today, default=0) / 60:.1f} min at most, {len(seen.waits_of_today)} landings "
            "(of which the shipped quiet is 1 min)",
        ),
        at_least(f"{name}: landings of today served meanwhile", len(seen.waits_of_today), 1, as_count),
        Figure(
            f"{name}: Dagster's storage a run",
            f"{describe_stored(seen.stored)}; of an old run stay {describe_stored(seen.left)}",
            seen.stored.total,
        ),
        Figure(f"{name}: after a year, EXTRAPOLATED", f"{megabytes:,.0f} MB; {unswept:.0f} GB without retention"),
    ]


def describe_stored(stored: Stored) -> str:
    return f"{stored.total:.0f} kB on SQLite, events alone {stored.events:.0f}, logs {stored.logs:.0f}"


def measure_part(count: int, say: Say) -> Seen:
    with start_endpoint() as service:
        keys = land_history(service, count)
        home = prepare_home(service)
        with serve_dagster(service, home, say) as ui:
            began = time.monotonic()
            backfill_id = ui.launch_partition_backfill(keys, len(keys) * DOCUMENTS_A_PARTITION, "bench year")
            today = Today(service)
            backfill = follow_backfill(ui, backfill_id, today, say)
            seconds = time.monotonic() - began
        undone = backfill.list_undone_keys()
        if undone:
            raise LocalProblem(f"{len(undone)} of {count} partitions are not done: {undone[:5]}")
        return read_outcome(home, keys, seconds, today.waits)


# --- what lands -------------------------------------------------------------------------------


def land_history(service: Endpoint, count: int) -> list[str]:
    """`count` partitions, newest day first, a file each; returns their keys."""
    s3, keys = service.s3_client(), []
    last = datetime.now(timezone.utc).date() - timedelta(days=DAYS_AGO)
    for number in range(count):
        partition = Partition(COUNTRIES[number % 5], last - timedelta(days=number // 5))
        land_documents_file(s3, partition, f"{number}", DOCUMENTS_A_PARTITION)
        keys.append(partition.key)
    return keys


def land_documents_file(s3: Any, partition: Partition, name: str, documents: int) -> None:
    made = [make_document(next(_numbers), partition.country) for _ in range(documents)]
    lines = [json.dumps({**each, "occurred_at": f"{partition.date}T00:00:00Z"}) for each in made]
    key = f"interactions/{partition.folder}/{name}.jsonl"
    s3.put_object(Bucket="cs-landing", Key=key, Body="\n".join(lines).encode())


class Today:
    """Lands documents of today while the backfill goes on, and notes when they are in the feature store."""

    def __init__(self, service: Endpoint) -> None:
        self._s3 = service.s3_client()
        self._landed: dict[Partition, float] = {}
        self._landed_last = 0.0
        self._number = 0
        self.waits: list[float] = []

    def look_for_landings(self) -> None:
        now = time.monotonic()
        for partition, since in list(self._landed.items()):
            if self._is_served(partition):
                self.waits.append(now - since)
                del self._landed[partition]
        if now - self._landed_last > LAND_TODAY_EVERY_SECONDS and self._number < len(COUNTRIES):
            partition = Partition(COUNTRIES[self._number], datetime.now(timezone.utc).date())
            land_documents_file(self._s3, partition, "today", 3)
            self._landed[partition], self._landed_last = now, now
            self._number += 1

    def _is_served(self, partition: Partition) -> bool:
        """Its manifest is written when its records have been."""
        listed = self._s3.list_objects_v2(Bucket="cs-data", Prefix=f"feature_store/{partition.folder}/")
        return bool(listed.get("KeyCount"))


# --- Dagster ----------------------------------------------------------------------------------


def prepare_home(service: Endpoint) -> Path:
    home = service.folder / "dagster"
    home.mkdir()
    shutil.copyfile(Path(__file__).parent.parent / "dagster.yaml", home / "dagster.yaml")
    return home


@contextmanager
def serve_dagster(service: Endpoint, home: Path, say: Say) -> Iterator[DagsterUi]:
    """UI and daemon, as `make dev` starts them, on the shipped dagster.yaml."""
    port = find_free_port()
    environment = {
        **service.environment,
        "DAGSTER_HOME": str(home),
        "CS_FEATURES_LANDING_WINDOW_DAYS": "1",
        # On a machine that others use, starting a run took longer than Dagster's minute, and the run was failed.
        "DAGSTER_GRPC_TIMEOUT_SECONDS": "300",
    }
    logs = service.folder / "logs"
    webserver = ["dagster_webserver", "-w", "workspace.yaml", "-h", "127.0.0.1", "-p", str(port)]
    with run_child(webserver, environment, logs / "webserver.log"):
        ui = DagsterUi(f"http://127.0.0.1:{port}")
        wait_for_ui(ui)
        say("the UI answers")
        with run_child(["dagster._daemon", "run", "-w", "workspace.yaml"], environment, logs / "daemon.log"):
            yield ui


def find_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_ui(ui: DagsterUi) -> None:
    deadline = time.monotonic() + 300
    while True:
        try:
            ui.find_job_repository()
            return
        except DagsterRefusal as error:
            if time.monotonic() > deadline:
                raise LocalProblem(str(error)) from error
            time.sleep(1)


def follow_backfill(ui: DagsterUi, backfill_id: str, today: Today, say: Say) -> Backfill:
    deadline = time.monotonic() + 60 + SECONDS_A_RUN_AT_MOST * len(ui.read_backfill_state(backfill_id).runs)
    said = 0.0
    while True:
        backfill = ui.read_backfill_state(backfill_id)
        today.look_for_landings()
        if backfill.is_backfill_over:
            return backfill
        if time.monotonic() > deadline:
            raise LocalProblem(f"The backfill is not over: {dict(backfill.count_run_states())}")
        if time.monotonic() - said > 60:
            said = time.monotonic()
            say(f"{dict(backfill.count_run_states())}, {len(today.waits)} landings of today served")
        time.sleep(LOOK_SECONDS)


# --- what is left -----------------------------------------------------------------------------


def read_outcome(home: Path, keys: Sequence[str], seconds: float, waits: list[float]) -> Seen:
    month = timedelta(days=30)
    ages = Ages(runs=month, logs=month, notices=month, ledgers=month)
    with dg.DagsterInstance.from_config(str(home)) as instance:
        true_states, wanted = count_true_states(instance, keys)
        stored = measure_storage(instance, home)
        apply_retention_sweepers(list_history_sweepers(instance, ages), datetime.now(timezone.utc) + 2 * month, False)
        left = measure_storage(instance, home)
    return Seen(len(keys), seconds, waits, true_states, wanted, stored, left)


def measure_storage(instance: dg.DagsterInstance, home: Path) -> Stored:
    """Of the runs of the chain: their own files, and their part of the files that all runs share."""
    history, runs = History(instance), instance.get_runs()
    chain = [run.run_id for run in runs if run.job_name == JOB]
    own = sum(map(history.measure_run, chain))
    shared = sum((home / "history" / name).stat().st_size for name in ("runs.db", "runs/index.db"))
    events, logs = sum(map(history.measure_events, chain)), sum(map(history.measure_logs, chain))
    count = len(chain) * 1e3
    return Stored(own / count + shared / len(runs) / 1e3, events / count, logs / count)


def count_true_states(instance: dg.DagsterInstance, keys: Sequence[str]) -> tuple[int, int]:
    """Materialized partitions of each table and evaluated checks of each partition; and how many there should be."""
    storage, wanted = instance.event_log_storage, set(keys)
    tables = [storage.get_materialized_partitions(dg.AssetKey(table)) & wanted for table in TABLES]
    checks = list_partitioned_checks()
    infos = storage.get_asset_check_partition_info(checks)
    evaluated = [info for info in infos if info.partition_key in wanted and is_evaluated(info)]
    return sum(map(len, tables)) + len(evaluated), len(keys) * (len(TABLES) + len(checks))


def is_evaluated(info: Any) -> bool:
    """Whether the check has said something of this partition: passed, or failed without blocking."""
    return info.latest_execution_status.value in ("SUCCEEDED", "FAILED")


def list_partitioned_checks() -> list[AssetCheckKey]:
    specs = [spec for check in CHECKS for spec in check.check_specs]
    chain = [spec for spec in specs if spec.key.asset_key.path[-1] in TABLES]
    return [spec.key for spec in chain if spec.partitions_def == interaction_partitions]
