"""When AWS says that something was: read as botocore reads it, and in listings without guessing."""

from datetime import datetime, timezone

import boto3
import pytest
from botocore.utils import parse_timestamp
from hypothesis import given
from hypothesis import strategies as st

from cs_features import aws
from cs_features.aws import parse_aws_timestamp
from cs_features.s3 import Bucket
from cs_features_tests.support.lab import AwsAndModel

MOMENTS = st.datetimes(
    min_value=datetime(1970, 1, 2), max_value=datetime(2037, 12, 31), timezones=st.just(timezone.utc)
)


def as_listings_do(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03}Z"


def as_headers_do(moment: datetime) -> str:
    return moment.strftime("%a, %d %b %Y %H:%M:%S GMT")


@given(
    MOMENTS,
    st.sampled_from(
        [
            as_listings_do,
            as_headers_do,
            datetime.isoformat,
            datetime.timestamp,
            lambda moment: moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
            lambda moment: moment.strftime("%Y%m%dT%H%M%SZ"),
            lambda moment: moment.isoformat()[:-6] + "Z",
            lambda moment: str(int(moment.timestamp())),
        ]
    ),
)
def test_a_moment_is_the_one_that_botocore_reads(moment: datetime, write: object) -> None:
    """A listing whose times are an hour off reads every object again, or none."""
    assert callable(write)
    ours, theirs = parse_aws_timestamp(write(moment)), parse_timestamp(write(moment))
    assert ours == theirs
    assert ours.utcoffset() == theirs.utcoffset()


def test_a_listing_is_read_without_guessing(stack: AwsAndModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a rerun of 1,400 documents a fifth of the CPU went into guessing which words of each time are a year."""
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    client = aws.client("s3")
    client.create_bucket(Bucket="times", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    client.put_object(Bucket="times", Key="a", Body=b"")
    (item,) = Bucket(client, "times", "CS_FEATURES_DATA_BUCKET").list_bucket_objects("").objects
    assert item.last_modified.tzinfo is timezone.utc, "what botocore guesses has a zone of dateutil's"


def test_a_session_that_somebody_has_set_up_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who counts requests, or signs in by a profile, does so in his own session."""
    own = boto3.Session()
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", own)
    aws.client("sns")
    assert boto3.DEFAULT_SESSION is own
