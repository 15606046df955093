"""Every AWS call that is made while it records, as the permissions that AWS would ask for.

Taken where botocore has the parameters, whatever client makes the call. An operation that nobody has translated is an
error: a new call must show which permission it needs.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import boto3

from cs_features.services import s3_client
from cs_features_tests.support.iam import Need

ACCOUNT, REGION = "123456789012", "eu-central-1"
Names = Mapping[str, str]
Translate = Callable[[dict[str, Any]], list[Need]]


def arn(service: str, resource: str) -> str:
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{resource}"


def on_object(action: str) -> Translate:
    return lambda asked: [Need(action, f"arn:aws:s3:::{asked['Bucket']}/{asked['Key']}")]


def on_bucket(action: str) -> Translate:
    return lambda asked: [Need(action, f"arn:aws:s3:::{asked['Bucket']}")]


def on_each_object(asked: dict[str, Any]) -> list[Need]:
    keys = [item["Key"] for item in asked["Delete"]["Objects"]]
    return [Need("s3:DeleteObject", f"arn:aws:s3:::{asked['Bucket']}/{key}") for key in keys]


def on_model(asked: dict[str, Any]) -> list[Need]:
    """A call through a profile needs the profile and, through it, the model in whichever region answers."""
    profile = arn("bedrock", f"inference-profile/{asked['modelId']}")
    model = f"arn:aws:bedrock:eu-west-3::foundation-model/{asked['modelId'].removeprefix('eu.')}"
    through = {"bedrock:InferenceProfileArn": profile}
    return [Need("bedrock:InvokeModel", profile), Need("bedrock:InvokeModel", model, through)]


def on_group(action: str) -> Translate:
    return lambda asked: [Need(action, arn("sagemaker", f"feature-group/{asked['FeatureGroupName']}"))]


def on_groups(action: str, entries: str) -> Translate:
    def translate(asked: dict[str, Any]) -> list[Need]:
        names = {entry["FeatureGroupName"] for entry in asked[entries]}
        return [Need(action, arn("sagemaker", f"feature-group/{name}")) for name in sorted(names)]

    return translate


def on_new_task(asked: dict[str, Any]) -> list[Need]:
    cluster = arn("ecs", f"cluster/{asked['cluster']}")
    task = arn("ecs", f"task/{asked['cluster']}/new")
    passed = {"iam:PassedToService": "ecs-tasks.amazonaws.com"}
    return [
        Need("ecs:RunTask", asked["taskDefinition"], {"ecs:cluster": cluster}),
        Need("ecs:TagResource", task, {"ecs:CreateAction": "RunTask"}),
        Need("iam:PassRole", f"arn:aws:iam::{ACCOUNT}:role/RunRole", passed),
        Need("iam:PassRole", f"arn:aws:iam::{ACCOUNT}:role/ExecutionRole", passed),
    ]


TRANSLATIONS: dict[str, Translate] = {
    "S3.GetObject": on_object("s3:GetObject"),
    "S3.HeadObject": on_object("s3:GetObject"),
    "S3.PutObject": on_object("s3:PutObject"),
    "S3.DeleteObject": on_object("s3:DeleteObject"),
    "S3.DeleteObjects": on_each_object,
    "S3.ListObjectsV2": on_bucket("s3:ListBucket"),
    "S3.ListObjects": on_bucket("s3:ListBucket"),
    "S3.HeadBucket": on_bucket("s3:ListBucket"),
    "S3.GetBucketVersioning": on_bucket("s3:GetBucketVersioning"),
    "S3.GetBucketLifecycleConfiguration": on_bucket("s3:GetLifecycleConfiguration"),
    "Bedrock Runtime.Converse": on_model,
    "SageMaker.DescribeFeatureGroup": on_group("sagemaker:DescribeFeatureGroup"),
    "SageMaker FeatureStore Runtime.PutRecord": on_group("sagemaker:PutRecord"),
    "SageMaker FeatureStore Runtime.DeleteRecord": on_group("sagemaker:DeleteRecord"),
    "SageMaker FeatureStore Runtime.BatchGetRecord": on_groups("sagemaker:BatchGetRecord", "Identifiers"),
    "SageMaker FeatureStore Runtime.BatchWriteRecord": on_groups("sagemaker:BatchWriteRecord", "Entries"),
    "SNS.Publish": lambda asked: [Need("sns:Publish", asked["TopicArn"])],
    "SNS.GetTopicAttributes": lambda asked: [Need("sns:GetTopicAttributes", asked["TopicArn"])],
    "STS.GetCallerIdentity": lambda _: [],  # needs no permission
    "Service Quotas.ListServiceQuotas": lambda _: [Need("servicequotas:ListServiceQuotas", "*")],
    "ECS.RunTask": on_new_task,
    "ECS.DescribeTasks": lambda asked: [Need("ecs:DescribeTasks", task) for task in asked["tasks"]],
    "ECS.StopTask": lambda asked: [Need("ecs:StopTask", asked["task"])],
    "ECS.DescribeTaskDefinition": lambda _: [Need("ecs:DescribeTaskDefinition", "*")],
}


class Recorder:
    """What was needed, by who made the calls."""

    def __init__(self, names: Names) -> None:
        self._names = names  # what the test's buckets and group are called in the stack
        self.needs: dict[str, dict[str, Need]] = {}

    @contextmanager
    def recording(self, role: str) -> Iterator[None]:
        needs = self.needs.setdefault(role, {})

        def record(params: dict[str, Any], model: Any, **_: Any) -> None:
            operation = f"{model.service_model.service_id}.{model.name}"
            for need in TRANSLATIONS[operation](self._rename(params)):
                needs[str(need)] = need

        if boto3.DEFAULT_SESSION is None:
            boto3.setup_default_session()
        emitters = [boto3.DEFAULT_SESSION.events, s3_client().meta.events]
        for emitter in emitters:
            emitter.register("provide-client-params.*.*", record)
        try:
            yield
        finally:
            for emitter in emitters:
                emitter.unregister("provide-client-params.*.*", record)

    def _rename(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: self._rename(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self._rename(item) for item in value]
        return self._names.get(value, value) if isinstance(value, str) else value
