"""The stack of deploy/template.yaml, each resource made through boto3 and read back: what protects, by its value.

moto's CloudFormation answers CREATE_COMPLETE to a bucket policy, an alarm or a feature group that it has skipped, and
drops versioning and public-access blocks; nothing of it is believed here.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from cs_features.customers.serving import CUSTOMERS
from cs_features.environments import PREFIX, Settings, settings
from cs_features.monitoring.heartbeat import ALL_LIVE
from cs_features.publishing.feature_group import (
    EVENT_TIME,
    INTERACTIONS,
    GroupLayout,
    define_feature_definitions,
    require_group,
)
from cs_features_tests.support.cloudformation import read_template
from cs_features_tests.support.local_aws import account
from cs_features_tests.support.template_stack import TemplateStack, UnknownResourceType

pytestmark = [pytest.mark.own_aws, pytest.mark.heavy]

BUCKETS = ("LandingBucket", "DataBucket")
RETAINED = {
    "LandingBucket",
    "DataBucket",
    "FeatureGroup",
    "CustomerFeatureGroup",
    "Repository",
    "TombstoneKey",
    "RawKey",
}
TOMBSTONE_KEY = "CS_FEATURES_TOMBSTONE_KEY"


@pytest.fixture(scope="module")
def made() -> Iterator[TemplateStack]:
    with account(None) as aws:
        yield TemplateStack(aws.client, ImageTag="v1", AlertsEmail="engineer@example.org").make_everything()


def describe_containers(made: TemplateStack, task: str) -> dict[str, dict[str, Any]]:
    ecs = made.make_client("ecs")
    definition = ecs.describe_task_definition(taskDefinition=made.names[task])["taskDefinition"]
    return {each["name"]: each for each in definition["containerDefinitions"]}


def environment_of(made: TemplateStack, task: str, container: str) -> dict[str, str]:
    found = describe_containers(made, task)[container]
    return {pair["name"]: pair["value"] for pair in found["environment"]}


def secrets_of(made: TemplateStack, task: str) -> dict[str, dict[str, str]]:
    """By container, where each of its secrets comes from."""
    found = describe_containers(made, task).items()
    return {name: {pair["name"]: pair["valueFrom"] for pair in each.get("secrets", [])} for name, each in found}


@pytest.mark.parametrize("bucket", BUCKETS)
def test_a_bucket_is_private_encrypted_versioned_and_takes_tls_alone(made: TemplateStack, bucket: str) -> None:
    s3, name = made.make_client("s3"), made.names[bucket]
    block = s3.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"]
    assert set(block.values()) == {True}
    assert len(block) == 4
    (rule,) = s3.get_bucket_encryption(Bucket=name)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    assert s3.get_bucket_versioning(Bucket=name)["Status"] == "Enabled"
    (owner,) = s3.get_bucket_ownership_controls(Bucket=name)["OwnershipControls"]["Rules"]
    assert owner["ObjectOwnership"] == "BucketOwnerEnforced"
    (statement,) = [
        each
        for each in json.loads(s3.get_bucket_policy(Bucket=name)["Policy"])["Statement"]
        if each["Sid"] == "TlsOnly"
    ]
    assert statement["Effect"] == "Deny"
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert statement["Resource"] == [f"arn:aws:s3:::{name}", f"arn:aws:s3:::{name}/*"]
    assert name.endswith("-123456789012-eu-central-1")


def test_what_landed_lives_longer_than_the_sensors_window(made: TemplateStack) -> None:
    """Fault 3: objects that expired after 30 days, under a window of 35, looked like documents taken away."""
    lifecycle = made.make_client("s3").get_bucket_lifecycle_configuration(Bucket=made.names["LandingBucket"])
    days = [rule["Expiration"]["Days"] for rule in lifecycle["Rules"] if "Expiration" in rule]
    assert len(days) == 1
    assert min(days) > Settings().landing_window_days
    assert made.template["Parameters"]["LandingRetentionDays"]["MinValue"] > Settings().landing_window_days


def test_nothing_of_the_data_bucket_expires_but_logs_and_old_versions(made: TemplateStack) -> None:
    lifecycle = made.make_client("s3").get_bucket_lifecycle_configuration(Bucket=made.names["DataBucket"])
    expiring = {rule["Filter"]["Prefix"] for rule in lifecycle["Rules"] if "Expiration" in rule}
    assert expiring == {"dagster-logs/"}


def test_data_outlives_the_stack() -> None:
    resources = read_template()["Resources"]
    assert {name for name, each in resources.items() if each.get("DeletionPolicy") == "Retain"} == RETAINED
    assert all(resources[name]["UpdateReplacePolicy"] == "Retain" for name in RETAINED)
    assert resources["Database"]["DeletionPolicy"] == resources["Database"]["UpdateReplacePolicy"] == "Snapshot"


@pytest.mark.parametrize(("name", "layout"), [("FeatureGroup", INTERACTIONS), ("CustomerFeatureGroup", CUSTOMERS)])
def test_a_feature_group_takes_our_records(made: TemplateStack, name: str, layout: GroupLayout) -> None:
    """Its features are listed in the template; a feature that is added to the code must be added there."""
    wanted = made.properties_of(name)
    assert wanted["FeatureDefinitions"] == define_feature_definitions(layout)
    assert (wanted["RecordIdentifierFeatureName"], wanted["EventTimeFeatureName"]) == (layout.identifier, EVENT_TIME)
    sagemaker = made.make_client("sagemaker")
    assert require_group(sagemaker, made.names[name], layout)
    described = sagemaker.describe_feature_group(FeatureGroupName=made.names[name])
    assert described["OfflineStoreConfig"]["TableFormat"] == "Glue"
    assert (
        described["OfflineStoreConfig"]["S3StorageConfig"]["S3Uri"] == f"s3://{made.names['DataBucket']}/feature-store"
    )
    assert described["RoleArn"] == made.attributes["FeatureStoreRole"]["Arn"]


def test_nothing_may_come_in_but_from_a_task_to_the_database(made: TemplateStack) -> None:
    ec2 = made.make_client("ec2")

    def describe(group: str) -> dict[str, Any]:
        (found,) = ec2.describe_security_groups(GroupIds=[made.names[group]])["SecurityGroups"]
        return dict(found)

    tasks, database = describe("TaskSecurityGroup"), describe("DatabaseSecurityGroup")
    assert tasks["IpPermissions"] == []
    (ingress,) = database["IpPermissions"]
    assert (ingress["FromPort"], ingress["ToPort"], ingress["IpRanges"]) == (5432, 5432, [])
    assert [pair["GroupId"] for pair in ingress["UserIdGroupPairs"]] == [made.names["TaskSecurityGroup"]]
    assert sorted(rule["FromPort"] for rule in tasks["IpPermissionsEgress"]) == [443, 5432]


def test_s3_is_reached_without_leaving_aws(made: TemplateStack) -> None:
    (endpoint,) = made.make_client("ec2").describe_vpc_endpoints()["VpcEndpoints"]
    assert (endpoint["VpcEndpointType"], endpoint["ServiceName"]) == ("Gateway", "com.amazonaws.eu-central-1.s3")
    assert endpoint["RouteTableIds"] == [made.names["RouteTable"]]


def test_the_database_is_private_encrypted_signed_into_by_iam_and_kept_for_a_week(made: TemplateStack) -> None:
    (database,) = made.make_client("rds").describe_db_instances()["DBInstances"]
    assert database["StorageEncrypted"] is True
    assert database["PubliclyAccessible"] is False
    assert database["IAMDatabaseAuthenticationEnabled"] is True
    assert database["BackupRetentionPeriod"] == 7
    assert database["AutoMinorVersionUpgrade"] is True
    assert [group["VpcSecurityGroupId"] for group in database["VpcSecurityGroups"]] == [
        made.names["DatabaseSecurityGroup"]
    ]
    assert "MasterUserPassword" not in made.properties_of("Database")
    assert made.properties_of("Database")["ManageMasterUserPassword"] is True


def test_images_are_scanned_never_overwritten_and_ten_are_kept_to_roll_back_to(made: TemplateStack) -> None:
    ecr = made.make_client("ecr")
    (repository,) = ecr.describe_repositories()["repositories"]
    assert repository["imageTagMutability"] == "IMMUTABLE"
    assert repository["imageScanningConfiguration"]["scanOnPush"] is True
    policy = json.loads(ecr.get_lifecycle_policy(repositoryName="cs-features")["lifecyclePolicyText"])
    assert policy["rules"][0]["selection"]["countNumber"] == 10


@pytest.mark.parametrize(("task", "role"), [("RunTaskDefinition", "RunRole"), ("ControlTaskDefinition", "ControlRole")])
def test_a_task_has_its_own_role_and_is_a_fargate_task(made: TemplateStack, task: str, role: str) -> None:
    ecs = made.make_client("ecs")
    definition = ecs.describe_task_definition(taskDefinition=made.names[task])["taskDefinition"]
    assert definition["taskRoleArn"] == made.attributes[role]["Arn"]
    assert definition["executionRoleArn"] == made.attributes["ExecutionRole"]["Arn"]
    assert definition["networkMode"] == "awsvpc"
    assert definition["requiresCompatibilities"] == ["FARGATE"]
    assert (definition["cpu"], definition["memory"]) in [("1024", "2048"), ("512", "3072")]
    for container in definition["containerDefinitions"]:
        assert container["logConfiguration"]["logDriver"] == "awslogs"
        assert "privileged" not in container


def test_there_are_never_two_daemons(made: TemplateStack) -> None:
    (service,) = made.make_client("ecs").describe_services(cluster="cs-features", services=["control"])["services"]
    assert service["desiredCount"] == 1
    wanted = made.properties_of("ControlService")["DeploymentConfiguration"]
    assert (wanted["MinimumHealthyPercent"], wanted["MaximumPercent"]) == (0, 100)
    assert wanted["DeploymentCircuitBreaker"] == {"Enable": True, "Rollback": True}
    network = service["networkConfiguration"]["awsvpcConfiguration"]
    assert network["securityGroups"] == [made.names["TaskSecurityGroup"]]


@pytest.mark.parametrize(("task", "container"), [("RunTaskDefinition", "run"), ("ControlTaskDefinition", "code")])
def test_the_settings_of_the_tasks_are_settings_and_point_at_the_stack(
    made: TemplateStack, task: str, container: str
) -> None:
    """A misspelt variable stops every task at its start."""
    environment = environment_of(made, task, container)
    chosen = settings(environment)
    assert chosen.landing_bucket == made.names["LandingBucket"]
    assert chosen.data_bucket == made.names["DataBucket"]
    assert chosen.feature_group == made.names["FeatureGroup"]
    assert chosen.customer_feature_group == made.names["CustomerFeatureGroup"]
    assert chosen.alerts_topic_arn == made.names["AlertsTopic"]
    assert environment["AWS_DEFAULT_REGION"] == environment["AWS_REGION"] == "eu-central-1"


def test_runs_and_control_work_under_the_same_settings(made: TemplateStack) -> None:
    run = environment_of(made, "RunTaskDefinition", "run")
    code = environment_of(made, "ControlTaskDefinition", "code")
    ours = {name for name in {*run, *code} if name.startswith(PREFIX)}
    assert {name: run.get(name) for name in ours} == {name: code.get(name) for name in ours}


def test_only_the_first_container_sees_the_admins_password(made: TemplateStack) -> None:
    containers = made.properties_of("ControlTaskDefinition")["ContainerDefinitions"]
    admins = made.attributes["Database"]["MasterUserSecret.SecretArn"]
    of_control = secrets_of(made, "ControlTaskDefinition").items()
    seen = {name for name, found in of_control if any(place.startswith(admins) for place in found.values())}
    assert seen == {"prepare-database"}
    assert [each["Name"] for each in containers if not each["Essential"]] == ["prepare-database"]


def test_the_key_of_the_tombstones_is_a_secret_of_runs_and_code_and_in_nobodys_settings(made: TemplateStack) -> None:
    """Without it nobody could be erased on AWS, and after an erasure no run would read a partition."""
    key = made.names["TombstoneKey"]
    assert secrets_of(made, "RunTaskDefinition") == {"run": {TOMBSTONE_KEY: key}}
    holders = {name for name, found in secrets_of(made, "ControlTaskDefinition").items() if TOMBSTONE_KEY in found}
    assert holders == {"code"}
    assert secrets_of(made, "ControlTaskDefinition")["code"] == {TOMBSTONE_KEY: key}
    value = made.make_client("secretsmanager").get_secret_value(SecretId="cs-features/tombstone-key")["SecretString"]
    assert len(value) == 64
    assert settings({TOMBSTONE_KEY: value}).tombstone_key is not None
    for task in ("RunTaskDefinition", "ControlTaskDefinition"):
        for container in describe_containers(made, task).values():
            assert TOMBSTONE_KEY not in {pair["name"] for pair in container["environment"]}


def test_customers_words_have_a_key_that_runs_and_eraser_may_use_and_nobody_else(made: TemplateStack) -> None:
    """Whoever may look at tables could read what customers wrote: the table stood under the bucket's encryption."""
    kms, key = made.make_client("kms"), made.names["RawKey"]
    policy = json.loads(kms.get_key_policy(KeyId=key, PolicyName="default")["Policy"])
    statements = {each["Sid"]: each for each in policy["Statement"]}
    assert set(statements) == {"LookAfterKey", "ReadAndWriteTheTable"}, "and nothing beside them that opens it"
    users, keepers = statements["ReadAndWriteTheTable"], statements["LookAfterKey"]
    assert users["Principal"]["AWS"] == [made.attributes[role]["Arn"] for role in ("RunRole", "EraserRole")]
    assert sorted(users["Action"]) == ["kms:Decrypt", "kms:GenerateDataKey"]
    assert users["Condition"] == {"StringEquals": {"kms:ViaService": "s3.eu-central-1.amazonaws.com"}}
    opening = ("*", "Grant", "crypt", "Generate", "Derive", "Import", "Replicate")
    assert not [action for action in keepers["Action"] if any(word in action for word in opening)]
    assert kms.get_key_rotation_status(KeyId=key)["KeyRotationEnabled"]
    arn = made.attributes["RawKey"]["Arn"]
    assert environment_of(made, "RunTaskDefinition", "run")["CS_FEATURES_RAW_KMS_KEY"] == arn
    bucket = made.make_client("s3").get_bucket_policy(Bucket=made.names["DataBucket"])["Policy"]
    (refused,) = [each for each in json.loads(bucket)["Statement"] if each["Sid"] == "RawTableUnderItsKey"]
    assert (refused["Effect"], refused["Principal"], refused["Action"]) == ("Deny", "*", "s3:PutObject")
    assert refused["Resource"].endswith("/raw_interactions/*")
    named = "s3:x-amz-server-side-encryption-aws-kms-key-id"
    assert refused["Condition"] == {"StringNotEquals": {named: arn}}


def test_no_task_has_the_role_of_whoever_erases(made: TemplateStack) -> None:
    definitions = [made.properties_of(task) for task in ("RunTaskDefinition", "ControlTaskDefinition")]
    roles = {each[kind] for each in definitions for kind in ("TaskRoleArn", "ExecutionRoleArn")}
    assert made.attributes["EraserRole"]["Arn"] not in roles


def test_alarms_tell_the_topic_and_silence_counts_where_a_heart_should_beat(made: TemplateStack) -> None:
    cloudwatch = made.make_client("cloudwatch")
    alarms = {alarm["MetricName"]: alarm for alarm in cloudwatch.describe_alarms()["MetricAlarms"]}
    assert set(alarms) == {
        "Heartbeats",
        "CPUUtilization",
        "RunFailures",
        "FreeStorageSpace",
        "DatabaseConnections",
        "InvocationThrottles",
    }
    assert all(alarm["AlarmActions"] == [made.names["AlertsTopic"]] for alarm in alarms.values())
    silent = {name for name, alarm in alarms.items() if alarm["TreatMissingData"] == "breaching"}
    assert silent == {"Heartbeats", "CPUUtilization", "FreeStorageSpace"}


def test_the_heartbeat_filter_finds_the_line_that_is_written(made: TemplateStack) -> None:
    filters = made.make_client("logs").describe_metric_filters(logGroupName="/cs-features/control")["metricFilters"]
    patterns = {each["metricTransformations"][0]["metricName"]: each["filterPattern"] for each in filters}
    assert patterns["Heartbeats"] == f'"{ALL_LIVE}"'


def test_logs_end_some_day(made: TemplateStack) -> None:
    groups = made.make_client("logs").describe_log_groups()["logGroups"]
    assert {group["logGroupName"]: group["retentionInDays"] for group in groups} == {
        "/cs-features/control": 30,
        "/cs-features/run": 30,
    }


def test_the_topic_takes_alarms_and_budget_of_this_account_alone(made: TemplateStack) -> None:
    attributes = made.make_client("sns").get_topic_attributes(TopicArn=made.names["AlertsTopic"])["Attributes"]
    allow, deny = json.loads(attributes["Policy"])["Statement"]
    assert allow["Condition"] == {"StringEquals": {"aws:SourceAccount": "123456789012"}}
    assert deny["Effect"] == "Deny"
    (subscription,) = made.make_client("sns").list_subscriptions()["Subscriptions"]
    assert subscription["Endpoint"] == "engineer@example.org"


def test_the_budget_tells_before_the_money_is_gone(made: TemplateStack) -> None:
    budgets = made.make_client("budgets")
    (budget,) = budgets.describe_budgets(AccountId="123456789012")["Budgets"]
    assert float(budget["BudgetLimit"]["Amount"]) == 150
    told = budgets.describe_notifications_for_budget(AccountId="123456789012", BudgetName=budget["BudgetName"])
    assert {each["NotificationType"]: each["Threshold"] for each in told["Notifications"]} == {
        "ACTUAL": 80,
        "FORECASTED": 100,
    }


def test_before_there_is_an_image_everything_but_the_tasks_is_made() -> None:
    """The image is pushed to a repository of this stack: the first deployment has none."""
    resources = read_template()["Resources"]
    waiting = {name for name, each in resources.items() if each.get("Condition") == "HasImage"}
    assert waiting == {"RunTaskDefinition", "ControlTaskDefinition", "ControlService"}


def test_a_resource_that_nobody_looks_at_is_an_error() -> None:
    template = read_template()
    template["Resources"]["Tunnel"] = {"Type": "AWS::EC2::VPNGateway", "Properties": {"Type": "ipsec.1"}}
    with pytest.raises(UnknownResourceType, match=r"Tunnel is a AWS::EC2::VPNGateway"):
        TemplateStack(lambda service: service, template).name_of("Tunnel")
