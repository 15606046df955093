"""What a missing permission looks like: the statement to add is named, and nothing is taken for missing or deleted."""

from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from cs_features.aws import explained, name_refused_action
from cs_features.errors import AccessRefused, AwsRefusal, ObjectUnreadable
from cs_features.extraction.ledger import Ledger
from cs_features.extraction.prompt_versions import PromptVersions
from cs_features.monitoring.heartbeat import read_daemon_health
from cs_features.partitions import Partition
from cs_features.s3 import Bucket
from cs_features.storage import Tables
from cs_features_tests.support.documents import DAY
from cs_features_tests.support.iam import as_list
from cs_features_tests.support.ledgers import FOLDER, answered
from cs_features_tests.support.memory_s3 import MemoryS3
from cs_features_tests.support.policies import POLICIES


class WithoutListBucket(MemoryS3):
    """S3 for whoever may not list: a missing object is answered 403, and DeleteObjects refuses each key with 200."""

    def get_object(self, **request: Any) -> dict[str, Any]:
        if request["Key"] not in self.objects:
            answer: Any = {
                "Error": {"Code": "AccessDenied", "Message": "no"},
                "ResponseMetadata": {"HTTPStatusCode": 403},
            }
            raise ClientError(answer, "GetObject")
        return super().get_object(**request)

    def delete_objects(self, **request: Any) -> dict[str, Any]:
        return {"Errors": [{"Key": item["Key"], "Code": "AccessDenied"} for item in request["Delete"]["Objects"]]}


@pytest.fixture
def s3() -> WithoutListBucket:
    return WithoutListBucket()


@pytest.fixture
def bucket(s3: WithoutListBucket) -> Bucket:
    return Bucket(s3, "data", "CS_FEATURES_DATA_BUCKET")


def test_a_missing_object_that_is_answered_403_is_no_absence(bucket: Bucket, tmp_path: Path) -> None:
    """It could be there: a manifest taken for missing is a store that is emptied."""
    with pytest.raises(ObjectUnreadable, match="Without s3:ListBucket on the bucket"):
        bucket.get("feature_store/country=NL/date=2026-11-24/data.parquet")
    with pytest.raises(ObjectUnreadable, match="s3:ListBucket"):
        Tables(bucket).read("feature_store", Partition("NL", DAY))
    with pytest.raises(ObjectUnreadable, match="s3:ListBucket"):
        PromptVersions(bucket, tmp_path).find_current()


def test_what_is_found_by_a_listing_needs_no_403_to_be_absent(bucket: Bucket) -> None:
    assert "does not exist" in read_daemon_health(bucket).sentence


def test_a_refused_deletion_is_named(bucket: Bucket) -> None:
    bucket.put("a", b"")
    with pytest.raises(AwsRefusal, match=r"1 of 1 objects were not deleted \(AccessDenied\): allow s3:DeleteObject"):
        bucket.delete(["a"])


def test_a_ledger_whose_objects_cannot_be_deleted_does_not_grow(
    s3: WithoutListBucket, bucket: Bucket, tmp_path: Path
) -> None:
    """Fault 20: each compaction left a full copy, run after run."""
    for number in range(4):
        with Ledger(bucket, FOLDER, tmp_path) as ledger:
            ledger.record_call_outcome(answered(number))
    sizes = []
    for _ in range(4):
        with Ledger(bucket, FOLDER, tmp_path) as ledger:
            ledger.compact_ledger_objects()
        sizes.append(sum(len(body) for body, _ in s3.objects.values()))
    assert sizes[-1] == sizes[0]


@pytest.mark.parametrize(
    ("operation", "action"),
    [
        ("ListObjectsV2", "s3:ListBucket"),
        ("DeleteObjects", "s3:DeleteObject"),
        ("PutObject", "s3:PutObject"),
        ("Publish", "sns:Publish"),
        ("BatchWriteRecord", "sagemaker:BatchWriteRecord"),
        ("GetBucketLifecycleConfiguration", "s3:GetLifecycleConfiguration"),
    ],
)
def test_the_statement_to_add_is_named_as_the_template_has_it(operation: str, action: str) -> None:
    """S3 says "Access Denied" and no more: the permission of an operation may have another name."""
    error: Any = {"Error": {"Code": "AccessDenied", "Message": "Access Denied"}}
    with pytest.raises(AccessRefused, match=f"allow {action} to the role"), explained("It", "SETTING"):
        raise ClientError(error, operation)
    granted = {each for statements in POLICIES.values() for one in statements for each in as_list(one["Action"])}
    assert name_refused_action(operation) in granted
