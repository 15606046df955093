"""From queue to success as on AWS: daemon, PostgreSQL, ECS's launcher, a process a task; tasks die and never start.

deploy/dagster.yaml as it is but for two times, on moto's ECS with an agent that executes what it is told. Forty
country's days land; twenty workers are killed in the middle, three tasks never start. Then four more land, and while
their runs go on daemon and code server are replaced, as a deployment does. Needs Debian's postgresql, and root.
"""

import json
import socket
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import yaml

from cs_features.local.bench.children import Job, say_regularly, serve_stack
from cs_features.local.bench.endpoint import Endpoint
from cs_features.local.bench.figures import Figure, Say, equal_to
from cs_features.local.bench.fleet_server import CUSTOMER, serve_fleet
from cs_features.local.postgres import ADMIN, Cluster, serve_postgres
from cs_features.local.processes import ROOT, LocalProblem, run_child
from cs_features.local.provision import TOPIC, client_factory
from cs_features.partitions import Partition

COUNTRIES = ("BE", "ES", "FR", "NL", "PL")
DOCUMENTS = 12
DEADLINE_SECONDS = 3_000
OF_THE_FLOW = "pipeline_name = 'process_interactions'"
DEPLOYMENT_DAY = 0  # days back: today is listed in each tick, and the others are before it
# deploy/dagster.yaml looks every 30 s and waits ten minutes for a task to start.
SHORTER = {"poll_interval_seconds": 5, "start_timeout_seconds": 150}


@dataclass(frozen=True)
class Fleet:
    """What runs: the stack with its tasks, the database, Dagster's home, and the environment of the control task."""

    service: Endpoint
    database: Cluster
    home: Path
    environment: Mapping[str, str]

    def read_report(self) -> dict[str, Any]:
        path = self.service.folder / "fleet.json"
        found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {"fates": {}, "messages": []}
        return found

    def count_runs(self) -> Counter[str]:
        query = f"SELECT status, count(*) FROM runs WHERE {OF_THE_FLOW} GROUP BY status"
        rows = self.database.run_statement(query, "dagster")
        return Counter({line.split("|")[0]: int(line.split("|")[1]) for line in rows.splitlines()})

    def count_partitions_done(self) -> int:
        query = f"SELECT count(DISTINCT partition) FROM runs WHERE status = 'SUCCESS' AND {OF_THE_FLOW}"
        return int(self.database.run_statement(query, "dagster"))

    def describe(self) -> str:
        runs = ", ".join(f"{count} {status.lower()}" for status, count in sorted(self.count_runs().items()))
        return f"{runs or 'no run yet'}; tasks: {self.read_report()['fates']}"


def measure_fleet(quick: bool, say: Say) -> list[Figure]:
    days, killed, never_starting = (1, 2, 1) if quick else (8, 20, 3)
    partitions = list_partitions(days)
    with run_fleet(killed, never_starting) as fleet:
        started = time.monotonic()
        ids = land_documents(fleet, partitions)
        with run_control(fleet):
            wait_until(lambda: fleet.count_partitions_done() == len(partitions), fleet, say)
            storm_seconds = time.monotonic() - started
            before_deployment = fleet.count_runs()
            deployed = list_partitions(1, DEPLOYMENT_DAY)[:4]
            ids += land_documents(fleet, deployed, 8 * DOCUMENTS)
            wait_until(lambda: fleet.count_runs()["STARTED"] == len(deployed), fleet, say)
        with run_control(fleet):  # the old one is gone, and its runs go on
            wait_until(lambda: fleet.count_partitions_done() == len(partitions) + len(deployed), fleet, say)
            time.sleep(45)  # for the last tick that tells
        failed_by_deployment = fleet.count_runs()["FAILURE"] - before_deployment["FAILURE"]
        messages = fleet.read_report()["messages"]
        fates = fleet.read_report()["fates"]
        lost = count_unserved(fleet, ids)
    subjects = Counter(message["subject"] for message in messages)
    repeated = sum(count - 1 for count in subjects.values())
    leaking = sum(CUSTOMER in f"{message['subject']}{message['body']}" for message in messages)
    return [
        Figure("runs", f"{len(partitions)} country's days in {storm_seconds:.0f} s; tasks {fates}"),
        equal_to("workers killed", fates["killed"], killed),
        equal_to("tasks that never started", fates["never_starts"], never_starting),
        equal_to("documents not served at the end", lost, 0, f"of {len(ids)}"),
        Figure("messages", "; ".join(f"{subject} x {count}" for subject, count in sorted(subjects.items()))),
        equal_to("messages about an incident already told", repeated, 0),
        equal_to("messages with a line of a task's log", leaking, 0),
        equal_to("runs that a deployment failed, of four that were going on", failed_by_deployment, 0),
    ]


def list_partitions(days: int, back: int = 1) -> list[Partition]:
    today = datetime.now(timezone.utc).date()
    return [Partition(country, today - timedelta(days=back + day)) for day in range(days) for country in COUNTRIES]


@contextmanager
def run_fleet(killed: int, never_starting: int) -> Iterator[Fleet]:
    """Database and stack, with nothing landed and no daemon."""
    with ExitStack() as opened:
        database = opened.enter_context(serve_postgres())
        settings = {
            "CS_FEATURES_DATABASE_HOST": database.host,
            "CS_FEATURES_DATA_BUCKET": "cs-data",
            "CS_FEATURES_FIRST_DATE": "2026-01-01",
            "CS_FEATURES_MAX_CONCURRENCY": "4",
            "CS_FEATURES_LANDING_QUIET_SECONDS": "0",
            "CS_FEATURES_ALERTS_TOPIC_ARN": f"arn:aws:sns:eu-central-1:123456789012:{TOPIC}",
        }
        arguments = {"settings": settings, "killed": killed, "never_starting": never_starting}
        service = opened.enter_context(serve_stack(Job(serve_fleet, arguments)))
        network = json.loads((service.folder / "network.json").read_text())
        home = write_home(service.folder / "home")
        environment = {**service.environment, **settings, **network, "DAGSTER_HOME": str(home)}
        prepare_database(database.host, environment, service.folder)
        yield Fleet(service, database, home, environment)


def prepare_database(host: str, environment: Mapping[str, str], folder: Path) -> None:
    """As the control task's first container does."""
    admin = {**environment, "ADMIN_USER": ADMIN, "ADMIN_PASSWORD": "local", "PYTHONPATH": str(ROOT)}
    with run_child(["deploy.prepare_database"], admin, folder / "prepare.log") as process:
        if process.wait(120):
            raise LocalProblem(f"The database at {host} was not prepared: see {folder / 'prepare.log'}")


def write_home(home: Path) -> Path:
    home.mkdir()
    settings = yaml.safe_load((ROOT / "deploy" / "dagster.yaml").read_text())
    settings["run_monitoring"] |= SHORTER
    (home / "dagster.yaml").write_text(yaml.safe_dump(settings))
    return home


@contextmanager
def run_control(fleet: Fleet) -> Iterator[None]:
    """Code server and daemon, as in the control task; both end with the context and the tasks do not."""
    workspace = yaml.safe_load((ROOT / "deploy" / "workspace.yaml").read_text())
    server = workspace["load_from"][0]["grpc_server"]
    server["port"] = find_free_port()
    (fleet.home / "workspace.yaml").write_text(yaml.safe_dump(workspace))
    where = ["-h", server["host"], "-p", str(server["port"])]
    code = ["dagster", "api", "grpc", "-m", "cs_features.local.bench.fleet_code", *where]
    daemon = ["dagster._daemon", "run", "-w", str(fleet.home / "workspace.yaml")]
    environment = {**fleet.environment, "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
    with ExitStack() as opened:
        for name, command in (("code", code), ("daemon", daemon)):
            opened.enter_context(run_child(command, environment, fleet.service.folder / f"{name}.log"))
            wait_for_server(server["port"])
        yield


def find_free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def wait_for_server(port: int) -> None:
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.5)
    raise LocalProblem("The code server did not start")


def wait_until(is_done: Any, fleet: Fleet, say: Say) -> None:
    speak = say_regularly(say, fleet.describe)
    deadline = time.monotonic() + DEADLINE_SECONDS
    while True:
        try:
            if is_done():
                return
            speak()
        except LocalProblem:  # Dagster has not made its tables yet
            pass
        if time.monotonic() > deadline:
            log = (fleet.service.folder / "daemon.log").read_text(errors="replace")[-1500:]
            raise LocalProblem(f"Not done after {DEADLINE_SECONDS} s: {fleet.describe()}\n{log}")
        time.sleep(1)


def land_documents(fleet: Fleet, partitions: list[Partition], documents: int = DOCUMENTS) -> list[str]:
    """A file a country's day; returns the ids."""
    s3, ids = fleet.service.s3_client(), []
    for partition in partitions:
        made = [make_document(partition.country, partition.date, number) for number in range(documents)]
        body = "".join(json.dumps(each) + "\n" for each in made).encode()
        s3.put_object(Bucket="cs-landing", Key=f"interactions/{partition.folder}/a.jsonl", Body=body)
        ids += [str(each["interaction_id"]) for each in made]
    return ids


def make_document(country: str, day: date, number: int) -> dict[str, str]:
    return {
        "interaction_id": str(uuid.uuid5(uuid.NAMESPACE_OID, f"fleet/{country}/{day}/{number}")),
        "occurred_at": f"{day}T10:00:{number % 60:02d}+00:00",
        "country": country,
        "channel": "chat",
        "text": f"My parcel {number} has not come yet and I want my money back. {CUSTOMER}",
    }


def count_unserved(fleet: Fleet, ids: list[str]) -> int:
    runtime = client_factory(fleet.service.environment)("sagemaker-featurestore-runtime")
    served = 0
    for start in range(0, len(ids), 100):
        asked = {
            "FeatureGroupName": "cs-interaction-features",
            "RecordIdentifiersValueAsString": ids[start : start + 100],
        }
        served += len(runtime.batch_get_record(Identifiers=[asked])["Records"])
    return len(ids) - served
