"""Least privilege: what a full run asks of AWS is allowed, and what is allowed is asked for, but for a listed few.

The calls are recorded from the product on the local AWS; IAM's rules are worked out over the template's policies.
"""

import json
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import boto3
import dagster as dg
import polars as pl
import pytest
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.launcher import LaunchRunContext
from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin
from pydantic import SecretStr

from cs_features.erasure.subjects import make_erasure_subject
from cs_features.monitoring.alerts import Alert, Severity
from cs_features.orchestration.sensors.alerts import publish_alert
from cs_features.partitions import Partition
from cs_features.planning.erasing.eraser import erase_subject_everywhere
from cs_features.planning.erasing.stores import open_erasable_stores
from cs_features.services import build_services_from
from cs_features.storage import encode_parquet_table
from cs_features_tests.support.cloudformation import read_template
from cs_features_tests.support.documents import DAY, document, id_of, jsonl
from cs_features_tests.support.iam import Need, as_list, find_statement
from cs_features_tests.support.lab import AwsAndModel, Lab
from cs_features_tests.support.landing_sensor import tick
from cs_features_tests.support.policies import POLICIES, TOMBSTONE_KEY, TOPIC
from cs_features_tests.support.recorded_calls import Recorder, arn

pytestmark = pytest.mark.heavy

RUN, CONTROL, ERASER, EXECUTION = "RunRole", "ControlRole", "EraserRole", "ExecutionRole"
RECORDED = (RUN, CONTROL, ERASER)
CLUSTER, FAMILY = "cs-features", "cs-features-run"
# What is granted and not asked for by any recorded call, with who asks for it.
UNRECORDED = {
    (CONTROL, "rds-db:connect"): "Dagster's history, by psycopg2 and not by boto3",
    (RUN, "rds-db:connect"): "the same",
    (ERASER, "secretsmanager:GetSecretValue"): "the AWS CLI, as deploy/README.md says",
    **{
        (CONTROL, f"ssmmessages:{verb}{channel}Channel"): "the SSM agent in the task, for the user interface"
        for verb in ("Create", "Open")
        for channel in ("Control", "Data")
    },
}
# What AWS does by itself under these roles, as its documentation lists it; nothing of ours could be recorded.
OF_AWS = {EXECUTION, "FeatureStoreRole"}
# Actions that know no resource but all, in IAM's reference of each service.
WITHOUT_RESOURCE = {
    "ecr:GetAuthorizationToken",
    "ecs:DescribeTaskDefinition",
    "servicequotas:ListServiceQuotas",
    *(f"ssmmessages:{verb}{channel}Channel" for verb in ("Create", "Open") for channel in ("Control", "Data")),
}


class FullRun:
    """All that the product does in a month, once, in one laboratory."""

    def __init__(self, stack: AwsAndModel) -> None:
        self.lab = Lab(stack, alerts_topic_arn=TOPIC, tombstone_key=SecretStr("k" * 64)).with_customers()
        boto3.client("sns").create_topic(Name="cs-features-alerts")
        boto3.client("ecs").create_cluster(clusterName=CLUSTER)
        container = {"name": "run", "image": "x", "memory": 128}
        boto3.client("ecs").register_task_definition(family=FAMILY, containerDefinitions=[container])
        settings = self.lab.settings
        suffix = "123456789012-eu-central-1"
        self.recorder = Recorder(
            {
                settings.landing_bucket: f"cs-features-landing-{suffix}",
                settings.data_bucket: f"cs-features-data-{suffix}",
                settings.feature_group: "cs-interaction-features",
                settings.customer_feature_group: "cs-customer-features",
            }
        )

    def play(self) -> "FullRun":
        with self.recorder.recording(RUN):
            self.process_a_day()
            self.correct_and_withdraw()
            self.take_stock()
        with self.recorder.recording(CONTROL):
            tick(self.lab)
            self.tell_people()
            self.start_and_stop_a_task()
        with self.recorder.recording(ERASER):
            self.erase_a_customer()
        with self.recorder.recording(RUN):
            assert self.lab.process().success  # with tombstones to read
        return self

    def process_a_day(self) -> None:
        good, bad = jsonl([document(1), document(2), document(3)]), b'{"interaction_id": 7}\n'
        self.lab.land("NL", DAY, "a.jsonl", good + bad)
        assert self.lab.process().success
        self.lab.land("NL", DAY, "b.jsonl", jsonl([document(4)]))
        assert self.lab.process().success
        build_services_from(self.lab.settings).data.ledger(Partition("NL", DAY).folder).compact_ledger_objects()
        redrive = self.lab.definitions.resolve_job_def("redrive_rejected")
        assert redrive.execute_in_process(partition_key=Partition("NL", DAY).key, instance=self.lab.instance).success

    def correct_and_withdraw(self) -> None:
        """A document is corrected by one of the next day, another is taken away."""
        later = DAY + timedelta(days=1)
        moved = {**document(2), "occurred_at": f"{later}T10:00:00+00:00"}
        self.lab.land("NL", later, "c.jsonl", jsonl([moved]))
        assert self.lab.process(day=later).success
        self.lab.land("NL", DAY, "a.jsonl", jsonl([document(1)]))
        assert self.lab.process(run_config={"ops": {"feature_store": {"config": {"allow_deletions": True}}}}).success
        assert self.lab.online(id_of(3)) is None

    def take_stock(self) -> None:
        for job in ("take_inventory", "check_access", "update_customers"):
            self.lab.definitions.resolve_job_def(job).execute_in_process(instance=self.lab.instance)

    def erase_a_customer(self) -> None:
        """He is in landing, tables, ledger, both stores; what a run still wrote is in a file of the history alone."""
        services = build_services_from(self.lab.settings)
        stores = open_erasable_stores(
            services.landing, services.data, services.feature_group, services.customer_feature_group
        )
        subject = make_erasure_subject(None, [id_of(1)], datetime.now(timezone.utc))
        history = f"{stores.offline.prefix}year=2026/month=11/day=24/hour=10/x.parquet"
        stores.offline.bucket.put(history, encode_parquet_table(pl.DataFrame({"interaction_id": [id_of(1)]})))
        assert self.lab.online(id_of(1))
        receipt = erase_subject_everywhere(subject, stores, services.data.reveal_tombstone_key(), dry_run=False)
        assert {each.place for each in receipt.taken} >= {"landing bucket", "online store", "offline store"}
        assert self.lab.online(id_of(1)) is None

    def tell_people(self) -> None:
        alert = Alert(
            severity=Severity.ERROR, title="a test", reason="-", meaning="-", advice="-", link="-", at=datetime.now()
        )
        publish_alert(build_services_from(self.lab.settings).alerts, alert)

    def start_and_stop_a_task(self) -> None:
        launcher = make_launcher()
        with tempfile.TemporaryDirectory() as home, dg.DagsterInstance.local_temp(home) as instance:
            launcher.register_instance(instance)
            run = create_run(self.lab, instance)
            launcher.launch_run(LaunchRunContext(run, None))
            started = instance.get_run_by_id(run.run_id)
            assert started is not None
            launcher.check_run_worker_health(started)
            assert launcher.terminate(run.run_id)


def make_launcher() -> Any:
    """On moto's ECS, with the family and the cluster of the template."""
    config = {
        "container_name": "run",
        "task_definition": FAMILY,
        "use_current_ecs_task_config": False,
        "secrets_tag": None,
        "cluster": CLUSTER,
        "subnets": ["subnet-1"],
        "security_groups": ["sg-1"],
    }
    from cs_features.orchestration.task_launcher import TaskRunLauncher

    return TaskRunLauncher.from_config_value(None, config)  # type: ignore[arg-type]


def create_run(lab: Lab, instance: dg.DagsterInstance) -> dg.DagsterRun:
    repository = RepositoryPythonOrigin(
        "python", ModuleCodePointer("cs_features.definitions", "defs"), None, ["dagster"], {}
    )
    job = lab.definitions.resolve_job_def("check_access")
    return instance.create_run_for_job(
        job, job_code_origin=JobPythonOrigin(job.name, repository), status=dg.DagsterRunStatus.STARTING
    )


@pytest.fixture(scope="module")
def needs(stack: AwsAndModel) -> Iterator[dict[str, list[Need]]]:
    run = FullRun(stack)
    try:
        yield {role: list(found.values()) for role, found in run.play().recorder.needs.items()}
    finally:
        run.lab.instance.dispose()


@pytest.mark.parametrize("role", RECORDED)
def test_whatever_a_full_run_asks_of_aws_is_allowed(needs: dict[str, list[Need]], role: str) -> None:
    refused = sorted(str(need) for need in needs[role] if find_statement(POLICIES[role], need) is None)
    assert refused == []


def test_who_looks_at_buckets_and_starts_runs_reads_no_customers_words(needs: dict[str, list[Need]]) -> None:
    """The key of `raw_interactions` is not the control role's: what it asked for there would be refused."""
    read = {role: sum("/raw_interactions/" in need.resource for need in needs[role]) for role in RECORDED}
    assert read[CONTROL] == 0
    assert read[RUN] > 0
    assert read[ERASER] > 0


@pytest.mark.parametrize("role", RECORDED)
def test_whatever_is_allowed_is_asked_for_or_listed_with_its_reason(needs: dict[str, list[Need]], role: str) -> None:
    """A permission that nobody uses is one that somebody else may."""
    used = {need.action for need in needs[role]}
    granted = {action for each in POLICIES[role] if each["Effect"] == "Allow" for action in as_list(each["Action"])}
    listed = {action for (owner, action) in UNRECORDED if owner == role}
    assert granted - used == listed


def test_every_role_is_held_against_calls_or_named_as_awss_own() -> None:
    assert set(POLICIES) == {*RECORDED} | OF_AWS


@pytest.mark.parametrize("role", POLICIES)
def test_no_action_is_a_wildcard_and_every_resource_is_named(role: str) -> None:
    for statement in POLICIES[role]:
        actions = as_list(statement["Action"])
        assert not any("*" in action for action in actions), statement["Sid"]
        for resource in as_list(statement["Resource"]):
            named = resource != "*" or set(actions) <= WITHOUT_RESOURCE
            assert named, f"{role} {statement['Sid']}"


DATA = "arn:aws:s3:::cs-features-data-123456789012-eu-central-1"
LANDING = "arn:aws:s3:::cs-features-landing-123456789012-eu-central-1"
FORBIDDEN = [
    (RUN, Need("s3:PutObject", f"{DATA}/feature-store/x.parquet")),
    (RUN, Need("s3:PutObject", f"{DATA}/prompts/current.json")),
    (RUN, Need("s3:DeleteObject", f"{DATA}/prompts/history/2026.json")),
    (RUN, Need("s3:PutObject", f"{LANDING}/interactions/a")),
    (RUN, Need("secretsmanager:GetSecretValue", TOMBSTONE_KEY)),
    (CONTROL, Need("secretsmanager:GetSecretValue", TOMBSTONE_KEY)),
    (EXECUTION, Need("secretsmanager:GetSecretValue", arn("secretsmanager", "secret:another-AbCdEf"))),
    (ERASER, Need("secretsmanager:GetSecretValue", arn("secretsmanager", "secret:another-AbCdEf"))),
    (ERASER, Need("s3:DeleteObject", f"{LANDING}/interactions/a")),
    (ERASER, Need("bedrock:InvokeModel", arn("bedrock", "inference-profile/eu.anthropic.claude-haiku-5-5"))),
    (ERASER, Need("sagemaker:BatchWriteRecord", arn("sagemaker", "feature-group/cs-interaction-features"))),
    (ERASER, Need("sagemaker:BatchWriteRecord", arn("sagemaker", "feature-group/cs-customer-features"))),
    (RUN, Need("sagemaker:BatchWriteRecord", arn("sagemaker", "feature-group/somebody-elses"))),
    (ERASER, Need("sns:Publish", TOPIC)),
    (RUN, Need("sns:Publish", TOPIC)),
    (RUN, Need("bedrock:InvokeModel", "arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-haiku-5-5")),
    (CONTROL, Need("bedrock:InvokeModel", arn("bedrock", "inference-profile/eu.anthropic.claude-haiku-5-5"))),
    (CONTROL, Need("s3:PutObject", f"{DATA}/validated_features/country=NL/date=2026-11-24/data.parquet")),
    (
        CONTROL,
        Need("ecs:RunTask", arn("ecs", "task-definition/other:1"), {"ecs:cluster": arn("ecs", "cluster/cs-features")}),
    ),
    (
        CONTROL,
        Need(
            "iam:PassRole", "arn:aws:iam::123456789012:role/Admin", {"iam:PassedToService": "ecs-tasks.amazonaws.com"}
        ),
    ),
]


@pytest.mark.parametrize(("role", "need"), FORBIDDEN, ids=lambda value: str(value)[:60])
def test_what_no_task_may_do_is_refused(role: str, need: Need) -> None:
    assert find_statement(POLICIES[role], need) is None


def read_trust() -> dict[str, dict[str, Any]]:
    """Who may take each role: its one statement."""
    resources = read_template()["Resources"].items()
    roles = {name: each["Properties"] for name, each in resources if each["Type"] == "AWS::IAM::Role"}
    trust = {name: each["AssumeRolePolicyDocument"]["Statement"] for name, each in roles.items()}
    assert all(len(statements) == 1 for statements in trust.values())
    return {name: statement for name, (statement,) in trust.items()}


@pytest.mark.parametrize("role", sorted(set(POLICIES) - {ERASER}))
def test_a_role_is_taken_by_its_service_in_this_account_alone(role: str) -> None:
    trust = read_trust()[role]
    assert trust["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}
    assert list(trust["Principal"]) == ["Service"]


def test_the_erasers_role_is_taken_by_people_of_this_account_alone() -> None:
    """The account as principal: IAM asks besides for sts:AssumeRole on this role, which an administrator gives."""
    trust = read_trust()[ERASER]
    assert trust["Principal"] == {"AWS": {"Fn::Sub": "arn:${AWS::Partition}:iam::${AWS::AccountId}:root"}}
    assert trust["Action"] == "sts:AssumeRole"


def test_ecs_may_read_the_two_secrets_that_tasks_are_given_and_no_other() -> None:
    reading = [each for each in POLICIES[EXECUTION] if each["Action"] == "secretsmanager:GetSecretValue"]
    assert {each["Resource"] for each in reading} == {"Database.MasterUserSecret.SecretArn", TOMBSTONE_KEY}
    assert find_statement(POLICIES[EXECUTION], Need("secretsmanager:GetSecretValue", TOMBSTONE_KEY))


def test_the_evaluation_itself_refuses_what_is_not_allowed() -> None:
    statement = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/interactions/*"}
    need = Need("s3:GetObject", "arn:aws:s3:::b/interactions/a")
    assert find_statement([statement], need)
    assert find_statement([statement], replace(need, action="s3:PutObject")) is None
    assert find_statement([statement], replace(need, resource="arn:aws:s3:::b/other")) is None
    assert find_statement([statement, {**statement, "Effect": "Deny"}], need) is None
    conditional = {**statement, "Condition": {"StringEquals": {"aws:x": "1"}}}
    assert find_statement([conditional], need) is None
    assert find_statement([conditional], replace(need, context={"aws:x": "1"}))
    assert json.dumps(POLICIES)  # resolved to plain values
