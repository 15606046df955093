"""The fleet's AWS: the local stack with a cluster, a network and a task definition, and the agent that runs its tasks.

In a process of its own, as the agent must be in moto's. Which tasks die is planned here; what happens to the runs is
`fleet.py`'s.
"""

import json
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2
from moto.sns.models import sns_backends

from cs_features.local import aws
from cs_features.local.bench.children import announce_and_wait
from cs_features.local.provision import TOPIC, client_factory, provision_account
from cs_features.local.scripted import Script, ScriptedAnswerer
from cs_features.local.stack import LocalStack
from cs_features.local.task_agent import ACCOUNT, LOG_GROUP, Fate, TaskAgent, make_task_environment
from cs_features.orchestration.sensors.landing_decision import MAX_TRIES

CLUSTER, FAMILY, CONTAINER = "cs-features", "cs-features-run", "run"
CUSTOMER = "Pieter Verhoeven, 4 Kerkstraat"  # what a customer wrote, and a dying task logged
REPORT_SECONDS = 1.0
JOB = "process_interactions"
NEVER_STARTING_EACH = 4


class Plan:
    """Every other task is killed, and some never start, until there were as many as planned.

    The last try of a partition is spared: whose every try dies is left for the night's recheck, as it should be.
    """

    def __init__(self, killed: int, never_starting: int, is_last_try: Callable[[str], bool]) -> None:
        self.left = {Fate.KILLED: killed, Fate.NEVER_STARTS: never_starting}
        self.seen = 0
        self._is_last_try = is_last_try

    def choose_fate(self, command: str) -> Fate:
        if JOB not in command or self._is_last_try(command):  # the others are a schedule's
            return Fate.LIVES
        self.seen += 1
        if self.seen % NEVER_STARTING_EACH == 0 and self.left[Fate.NEVER_STARTS]:
            return self._use_up(Fate.NEVER_STARTS)
        if self.seen % 2 and self.left[Fate.KILLED]:
            return self._use_up(Fate.KILLED)
        return Fate.LIVES

    def _use_up(self, fate: Fate) -> Fate:
        self.left[fate] -= 1
        return fate


class RunsUnderWay:
    """Which runs Dagster has seen begin, from its database."""

    def __init__(self, host: str) -> None:
        where = {"host": host, "dbname": "dagster", "user": "dagster", "password": "-", "sslmode": "require"}
        self._where = where

    def holds(self, command: str) -> bool:
        started = self._query_runs("SELECT run_id FROM runs WHERE status = 'STARTED'")
        return any(run_id in command for (run_id,) in started)

    def is_last_try(self, command: str) -> bool:
        """Whether the sensor would not ask again for the partition of this task if it died."""
        runs = dict(self._query_runs("SELECT run_id, partition FROM runs"))
        mine = next((partition for run_id, partition in runs.items() if run_id in command), None)
        return list(runs.values()).count(mine) >= MAX_TRIES

    def _query_runs(self, query: str) -> list[Any]:
        with closing(psycopg2.connect(**self._where)) as connection, connection.cursor() as cursor:
            cursor.execute(query)
            return cursor.fetchall()


def serve_fleet(state: str, settings: dict[str, str], killed: int, never_starting: int) -> None:
    folder = Path(state).parent
    under_way = RunsUnderWay(settings["CS_FEATURES_DATABASE_HOST"])
    plan = Plan(killed, never_starting, under_way.is_last_try)
    with LocalStack(None, answerer=ScriptedAnswerer(Script(latency_mean_s=0.5))) as stack:
        provision_account(stack.environment)
        network = make_network(stack.environment)
        path = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
        environment = make_task_environment(stack.environment, **settings, **path)
        agent = TaskAgent(CLUSTER, environment, folder / "tasks", plan.choose_fate, under_way.holds, CUSTOMER)
        with agent:
            stop = threading.Event()
            reporter = threading.Thread(target=report_regularly, args=(folder, agent, stop), daemon=True)
            reporter.start()
            (folder / "network.json").write_text(json.dumps(network))
            announce_and_wait(stack, state)
            stop.set()
            reporter.join()


def make_network(environment: dict[str, str]) -> dict[str, str]:
    """As much of deploy/template.yaml as the launcher needs."""
    make_client = client_factory({**environment, **everything_at(environment["AWS_ENDPOINT_URL"])})
    ec2, ecs = make_client("ec2"), make_client("ecs")
    vpc = ec2.create_vpc(CidrBlock="10.40.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=block)["Subnet"]["SubnetId"]
        for block in ("10.40.0.0/20", "10.40.16.0/20")
    ]
    group = ec2.create_security_group(VpcId=vpc, GroupName="tasks", Description="tasks")["GroupId"]
    make_client("logs").create_log_group(logGroupName=LOG_GROUP)
    ecs.create_cluster(clusterName=CLUSTER)
    logs = {"logDriver": "awslogs", "options": {"awslogs-group": LOG_GROUP, "awslogs-stream-prefix": "run"}}
    definition = ecs.register_task_definition(
        family=FAMILY,
        # No Fargate, whose network mode is awsvpc: moto fails on the network interface.
        cpu="1024",
        memory="2048",
        containerDefinitions=[{"name": CONTAINER, "image": "cs-features", "memory": 2048, "logConfiguration": logs}],
    )["taskDefinition"]["taskDefinitionArn"]
    return {
        "RUN_CLUSTER": CLUSTER,
        "RUN_TASK_DEFINITION": definition,
        "RUN_SUBNET_A": subnets[0],
        "RUN_SUBNET_B": subnets[1],
        "RUN_SECURITY_GROUP": group,
    }


def everything_at(url: str) -> dict[str, str]:
    return {f"AWS_ENDPOINT_URL_{service}": url for service in ("EC2", "ECS", "LOGS")}


def report_regularly(folder: Path, agent: TaskAgent, stop: threading.Event) -> None:
    while not stop.wait(REPORT_SECONDS):
        draft = folder / "fleet.draft"
        draft.write_text(json.dumps({"fates": agent.count_fates(), "messages": list_messages()}))
        draft.replace(folder / "fleet.json")


def list_messages() -> list[dict[str, Any]]:
    """What SNS was given, in order."""
    topic = sns_backends[ACCOUNT][aws.REGION].topics[f"arn:aws:sns:{aws.REGION}:{ACCOUNT}:{TOPIC}"]
    return [{"subject": sent[2], "body": sent[1]} for sent in list(topic.sent_notifications)]
