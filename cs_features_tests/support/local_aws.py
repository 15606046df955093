"""A local AWS of a test's own (the session's stack stands aside), and boto3 clients of it."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from cs_features.local import aws

BUCKET = "landing"
ROLE = "arn:aws:iam::123456789012:role/feature-store"


class NoModel:
    async def answer(self, request: Any) -> Any:
        raise NotImplementedError


class Account:
    """boto3 clients of one running local AWS."""

    def __init__(self, url: str, retries: int = 0) -> None:
        self._options = {
            "endpoint_url": url,
            "region_name": aws.REGION,
            "aws_access_key_id": "local",
            "aws_secret_access_key": "local",
            "config": Config(retries={"mode": "standard", "total_max_attempts": retries + 1}),
        }
        self.s3, self.sns, self.sagemaker = (self.client(name) for name in ("s3", "sns", "sagemaker"))

    def client(self, service: str) -> Any:
        return boto3.client(service, **self._options)

    def put(self, key: str, body: bytes = b"x", **options: Any) -> None:
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=body, **options)

    def get(self, key: str) -> bytes:
        return self.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()

    def objects(self) -> dict[str, tuple[Any, ...]]:
        """Everything that a listing and a HEAD say, by key."""
        found = {}
        for item in self.s3.list_objects_v2(Bucket=BUCKET).get("Contents", []):
            head = self.s3.head_object(Bucket=BUCKET, Key=item["Key"])
            assert head["ContentLength"] == item["Size"]
            found[item["Key"]] = (item["ETag"], item["Size"], head["LastModified"], head["Metadata"])
        return found


@contextmanager
def account(state: Path | None, *, retries: int = 0, **options: Any) -> Iterator[Account]:
    with socket.socket() as listener:
        listener.bind((aws.HOST, 0))
        with aws.serve_aws(state, listener, **options) as url:
            yield Account(url, retries)


@contextmanager
def account_with_bucket(state: Path | None) -> Iterator[Account]:
    with account(state) as it:
        it.s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": aws.REGION})
        yield it


def create_feature_group(sagemaker: Any, name: str = "features", **options: Any) -> None:
    features = {"id": "String", "event_time": "String", "score": "Fractional", "count": "Integral"}
    arguments: dict[str, Any] = {
        "FeatureGroupName": name,
        "RecordIdentifierFeatureName": "id",
        "EventTimeFeatureName": "event_time",
        "FeatureDefinitions": [{"FeatureName": key, "FeatureType": kind} for key, kind in features.items()],
        "OnlineStoreConfig": {"EnableOnlineStore": True},
        "OfflineStoreConfig": {"S3StorageConfig": {"S3Uri": f"s3://{BUCKET}/feature-store"}},
        "RoleArn": ROLE,
    }
    sagemaker.create_feature_group(**(arguments | options))


def described(sagemaker: Any, name: str = "features") -> dict[str, Any]:
    description = sagemaker.describe_feature_group(FeatureGroupName=name)
    del description["ResponseMetadata"]
    return description
