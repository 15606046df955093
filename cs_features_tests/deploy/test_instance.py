"""The files beside the template: that Dagster starts with them, on PostgreSQL, and that they fit the local ones."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import psycopg2
import pytest
import yaml
from dagster._core.launcher import CheckRunHealthResult, WorkerStatus

from cs_features.local import processes
from cs_features.local.postgres import ADMIN, find_programs, serve_postgres
from cs_features_tests.support.cloudformation import read_template
from cs_features_tests.support.lab import REPOSITORY
from deploy import prepare_database

LOCAL = Path(processes.__file__).with_name("dagster.yaml")
PRODUCTION = REPOSITORY / "deploy" / "dagster.yaml"
SHARED = ("run_monitoring", "concurrency", "retention", "python_logs")
# What is meant to differ, with the reason beside it in deploy/dagster.yaml.
DIFFERING = {"run_monitoring.start_timeout_seconds"}


def flatten(value: Any, path: str = "") -> dict[str, Any]:
    if not isinstance(value, Mapping):
        return {path: value}
    flat: dict[str, Any] = {}
    for key, item in value.items():
        flat |= flatten(item, f"{path}.{key}".lstrip("."))
    return flat


def read_shared(path: Path) -> dict[str, Any]:
    settings = yaml.safe_load(path.read_text())
    return flatten({name: settings[name] for name in SHARED if name in settings})


def test_production_watches_limits_and_forgets_as_what_is_tested_does() -> None:
    """Run monitoring was tested in one file and would have been forgotten in the other."""
    local, production = read_shared(LOCAL), read_shared(PRODUCTION)
    differing = {name for name in {*local, *production} if local.get(name) != production.get(name)}
    assert differing <= DIFFERING, sorted(differing - DIFFERING)


def test_each_variable_of_the_instance_is_given_to_whoever_reads_it() -> None:
    """Dagster stops at a variable that is not set; a run reads storage and logs, the daemon everything."""
    resources = read_template()["Resources"]
    containers = resources["ControlTaskDefinition"]["Properties"]["ContainerDefinitions"]
    flat = flatten(yaml.safe_load(PRODUCTION.read_text()))
    launcher = yaml.safe_load(PRODUCTION.read_text())["run_launcher"]["config"]
    listed = [*launcher["subnets"], *launcher["security_groups"]]
    wanted = {value for name, value in flat.items() if name.endswith(".env")} | {each["env"] for each in listed}
    for container in containers:
        if container["Name"] != "prepare-database":
            assert wanted <= {pair["Name"] for pair in container["Environment"]}, container["Name"]
    (run,) = resources["RunTaskDefinition"]["Properties"]["ContainerDefinitions"]
    of_runs = {name for name in wanted if not name.startswith("RUN_")}
    assert of_runs <= {pair["Name"] for pair in run["Environment"]}


def test_the_code_location_has_the_name_of_the_contract() -> None:
    (server,) = yaml.safe_load((REPOSITORY / "deploy" / "workspace.yaml").read_text())["load_from"]
    (module,) = yaml.safe_load((REPOSITORY / "workspace.yaml").read_text())["load_from"]
    assert server["grpc_server"]["location_name"] == module["python_module"]["location_name"]
    code = read_template()["Resources"]["ControlTaskDefinition"]["Properties"]["ContainerDefinitions"][1]
    assert code["Command"][:5] == ["dagster", "api", "grpc", "-m", module["python_module"]["module_name"]]
    assert code["Command"][5:] == ["-h", server["grpc_server"]["host"], "-p", str(server["grpc_server"]["port"])]


# --- on PostgreSQL ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def host() -> Iterator[str]:
    if find_programs() is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    with serve_postgres() as cluster:
        yield cluster.host


@pytest.mark.heavy
def test_the_first_start_makes_dagsters_user_and_the_second_needs_no_admin(
    host: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The admin's password changes every week, and PostgreSQL 16 may shut the admin out for good."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "local")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    admin = {"CS_FEATURES_DATABASE_HOST": host, "ADMIN_USER": ADMIN, "ADMIN_PASSWORD": "secret"}
    assert prepare_database.main(admin) == 0
    assert "Created" in capsys.readouterr().out
    assert prepare_database.main({"CS_FEATURES_DATABASE_HOST": host}) == 0
    assert capsys.readouterr().out == ""
    connection = prepare_database.connect(host, "dagster", "a token")
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT pg_has_role('dagster', 'rds_iam', 'member'), has_schema_privilege('public', 'CREATE')")
        assert cursor.fetchone() == (True, True)
    connection.close()


@pytest.mark.heavy
def test_an_admin_who_is_refused_is_an_error_and_no_half_made_user(host: str) -> None:
    with pytest.raises(psycopg2.OperationalError):
        prepare_database.connect(host, "somebody", "secret")


@pytest.fixture
def launcher() -> Any:
    """Without ECS: what monitoring would be told of a task that failed."""
    from cs_features.orchestration.task_launcher import TaskRunLauncher

    return type("Launcher", (TaskRunLauncher,), {"__init__": lambda self: None})()


def test_a_run_that_is_given_up_takes_its_task_with_it(launcher: Any) -> None:
    """A task that was slow to start was failed, and then worked beside the run that had replaced it."""
    stopped = []
    launcher.ecs = SimpleNamespace(stop_task=lambda **asked: stopped.append((asked["task"], asked["cluster"])))
    tags = {"ecs/task_arn": "arn:task", "ecs/cluster": "arn:cluster"}
    run = dg.DagsterRun(job_name="process_interactions", tags=tags)
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_run(run)
        launcher.register_instance(instance)
        assert launcher.get_run_worker_debug_info(run) is None
    assert stopped == [("arn:task", "arn:cluster")]


def test_what_a_dead_task_wrote_is_not_in_dagsters_words(launcher: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault 38: the launcher puts a task's last lines into the message; a customer's name went out by SNS."""
    told = CheckRunHealthResult(WorkerStatus.FAILED, "Task failed.\n")
    monkeypatch.setattr(type(launcher).__mro__[2], "check_run_worker_health", lambda *_: told)
    run = dg.DagsterRun(job_name="process_interactions")
    assert launcher.check_run_worker_health(run).msg.startswith("Task failed.\nIts last lines are in CloudWatch")
