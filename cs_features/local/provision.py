"""What an administrator creates once in AWS, created here in the local stack: buckets, feature groups, topic.

Idempotent. In AWS the stack makes them: see `deploy/template.yaml`.
"""

from collections.abc import Mapping
from typing import Any

import boto3
from botocore.exceptions import ClientError

from cs_features.customers.serving import CUSTOMERS
from cs_features.environments import settings
from cs_features.publishing.feature_group import EVENT_TIME, INTERACTIONS, GroupLayout, define_feature_definitions

TOPIC = "cs-features-alerts"
ROLE = "arn:aws:iam::123456789012:role/local-feature-store"


def client_factory(environment: Mapping[str, str]) -> Any:
    """A function from a service to its boto3 client at the endpoints of `environment`."""
    session = boto3.Session(
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        region_name=environment["AWS_REGION"],
    )

    def make_client(service: str, **options: Any) -> Any:
        url = environment["AWS_ENDPOINT_URL_" + service.upper().replace("-", "_")]
        return session.client(service, endpoint_url=url, **options)

    return make_client


def provision_account(environment: Mapping[str, str]) -> None:
    make_client, names = client_factory(environment), settings()
    s3 = make_client("s3")
    existing = {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}
    for bucket in {names.landing_bucket, names.data_bucket} - existing:
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": environment["AWS_REGION"]})
    topic = make_client("sns").create_topic(Name=TOPIC)["TopicArn"]
    # Somebody listens, as on AWS somebody must; moto sends no mail.
    make_client("sns").subscribe(TopicArn=topic, Protocol="email", Endpoint="engineer@example.org")
    sagemaker = make_client("sagemaker")
    create_group(sagemaker, names.feature_group, INTERACTIONS, names.data_bucket)
    if names.customer_feature_group:
        create_group(sagemaker, names.customer_feature_group, CUSTOMERS, names.data_bucket)


def create_group(sagemaker: Any, name: str, layout: GroupLayout, data_bucket: str) -> None:
    """With both stores; nothing where it is there already."""
    try:
        sagemaker.create_feature_group(
            FeatureGroupName=name,
            RecordIdentifierFeatureName=layout.identifier,
            EventTimeFeatureName=EVENT_TIME,
            FeatureDefinitions=define_feature_definitions(layout),
            OnlineStoreConfig={"EnableOnlineStore": True},
            OfflineStoreConfig={"S3StorageConfig": {"S3Uri": f"s3://{data_bucket}/feature-store"}},
            RoleArn=ROLE,
        )
    except ClientError as error:
        if "already exists" not in str(error):
            raise
