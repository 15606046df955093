"""Dagster's launcher for ECS: the network of its tasks, none of their logs in its messages, and no task given up alive.

What a task wrote before it died may quote a customer: it stays in the log group, where the message says to look, and
out of Dagster's history and the alerts. Not here: which task is started (`deploy/template.yaml`).
"""

from collections.abc import Mapping
from typing import Any

import dagster as dg
from dagster._core.launcher import CheckRunHealthResult
from dagster._serdes import ConfigurableClassData
from dagster_aws.ecs import EcsRunLauncher
from typing_extensions import Self

WHERE_TO_LOOK = "Its last lines are in CloudWatch Logs, in the log group of its task definition."


class NoLogs:
    """In place of the client for CloudWatch Logs: a task that failed has left no line for Dagster."""

    def get_log_events(self, **_: Any) -> dict[str, list[Any]]:
        return {"events": []}


class TaskRunLauncher(EcsRunLauncher[Any]):  # type: ignore[misc]
    """A Fargate task a run, in the cluster, subnets and security groups that the instance's settings name."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.logs = NoLogs()

    @classmethod
    def config_type(cls) -> Mapping[str, Any]:
        network = {
            "cluster": dg.Field(dg.StringSource),
            "subnets": dg.Field(dg.Array(dg.StringSource)),
            "security_groups": dg.Field(dg.Array(dg.StringSource)),
        }
        return {**super().config_type(), **network}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]) -> Self:
        options = dict(config_value)
        network = {
            "subnets": options.pop("subnets"),
            "securityGroups": options.pop("security_groups"),
            # Without a NAT gateway an address of its own is a task's way to AWS; nothing may come in by it.
            "assignPublicIp": "ENABLED",
        }
        options["run_task_kwargs"] = {
            "cluster": options.pop("cluster"),
            "launchType": "FARGATE",
            "networkConfiguration": {"awsvpcConfiguration": network},
        }
        return cls(inst_data=inst_data, **options)

    def get_run_worker_debug_info(self, run: dg.DagsterRun, include_container_logs: bool | None = True) -> str | None:
        """Monitoring asks for it when it gives a run up, and here the run's task is stopped.

        A task that starts late would work beside the run that takes its place, on the same partition.
        """
        task = self._get_run_tags(run.run_id)
        if task.arn and task.cluster:
            self.ecs.stop_task(task=task.arn, cluster=task.cluster, reason="its run was given up by run monitoring")
        return None

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        found = super().check_run_worker_health(run)
        return found._replace(msg=f"{found.msg}{WHERE_TO_LOOK}") if found.msg else found
