"""A bucket of its own for each test of the ledger and of what lies beside it."""

import os
from collections.abc import Iterator

import boto3
import pytest

from cs_features.local.scripted import Script
from cs_features_tests.support.lab import AwsAndModel


@pytest.fixture
def bucket(stack: AwsAndModel) -> Iterator[str]:
    name = f"ledger-{os.urandom(6).hex()}"
    boto3.client("s3").create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    yield name
    stack.answerer.script = Script()
