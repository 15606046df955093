"""The local Feature Store against real boto3: SageMaker's documented semantics, and that nothing is lost.

One stack serves the module (moto allows one a process), so each test has a feature group of its own;
what must survive a kill runs in processes of its own.
"""

import io
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import urllib.request
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import boto3
import polars as pl
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, EndpointConnectionError
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette

from cs_features.local import aws
from cs_features.local import stack as local_stack
from cs_features.local.feature_store import Faults, FeatureStore
from cs_features.local.feature_store_http import routes
from cs_features.local.stack import LocalStack
from cs_features_tests.support.local_aws import BUCKET, NoModel, create_feature_group, described

NOON = "2026-11-24T12:00:00Z"
_numbers = itertools.count()

pytestmark = pytest.mark.own_aws


def client(service: str, url: str) -> Any:
    return boto3.client(
        service,
        endpoint_url=url,
        region_name=aws.REGION,
        aws_access_key_id="local",
        aws_secret_access_key="local",
        config=Config(retries={"total_max_attempts": 1}),
    )


def features(**values: str) -> list[dict[str, str]]:
    return [{"FeatureName": name, "ValueAsString": value} for name, value in values.items()]


def record(identifier: str = "1", event_time: str = NOON, **values: str) -> list[dict[str, str]]:
    return features(id=identifier, event_time=event_time, **values)


def at(minute: int) -> str:
    return f"2026-11-24T12:{minute:02}:00Z"


class Group:
    """One feature group: the runtime's calls on it, and what its two stores hold."""

    def __init__(self, environment: dict[str, str], flush: Any, name: str, **options: Any) -> None:
        self.name = name
        self._flush = flush
        self.s3 = client("s3", environment["AWS_ENDPOINT_URL_S3"])
        self.sagemaker = client("sagemaker", environment["AWS_ENDPOINT_URL_SAGEMAKER"])
        self.runtime = client(
            "sagemaker-featurestore-runtime", environment["AWS_ENDPOINT_URL_SAGEMAKER_FEATURESTORE_RUNTIME"]
        )
        if options.pop("create", True):
            create_feature_group(self.sagemaker, name, **options)

    def put(self, identifier: str = "1", event_time: str = NOON, *, options: Any = None, **values: str) -> None:
        self.runtime.put_record(
            FeatureGroupName=self.name, Record=record(identifier, event_time, **values), **(options or {})
        )

    def delete(self, identifier: str, event_time: str, **options: Any) -> None:
        self.runtime.delete_record(
            FeatureGroupName=self.name,
            RecordIdentifierValueAsString=identifier,
            EventTime=event_time,
            **options,
        )

    def batch(self, *records: Any, **options: Any) -> dict[str, Any]:
        entries = [{"FeatureGroupName": self.name, "Record": each} for each in records]
        return self.runtime.batch_write_record(Entries=entries, **options)

    def online(self, identifier: str = "1", **options: Any) -> dict[str, str] | None:
        answer = self.runtime.get_record(
            FeatureGroupName=self.name, RecordIdentifierValueAsString=identifier, **options
        )
        if "Record" not in answer:
            return None
        return {each["FeatureName"]: each["ValueAsString"] for each in answer["Record"]}

    def location(self) -> str:
        config = described(self.sagemaker, self.name)["OfflineStoreConfig"]["S3StorageConfig"]
        return config["ResolvedOutputS3Uri"].removeprefix(f"s3://{BUCKET}/")

    def files(self) -> list[str]:
        self._flush()
        listing = self.s3.list_objects_v2(Bucket=BUCKET, Prefix=self.location() + "/")
        return [item["Key"] for item in listing.get("Contents", [])]

    def offline(self) -> pl.DataFrame:
        tables = [
            pl.read_parquet(io.BytesIO(self.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()))
            for key in self.files()
        ]
        return pl.concat(tables) if tables else pl.DataFrame()

    def offline_rows(self) -> list[tuple[Any, ...]]:
        """Identifier, event time and is_deleted, in the order of the calls."""
        table = self.offline()
        if table.is_empty():
            return []
        return table.sort("api_invocation_time").select("id", "event_time", "is_deleted").rows()


@pytest.fixture(scope="module")
def stack() -> Iterator[LocalStack]:
    with LocalStack(None, answerer=NoModel()) as stack:
        client("s3", stack.environment["AWS_ENDPOINT_URL_S3"]).create_bucket(
            Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": aws.REGION}
        )
        yield stack


def new_group(stack: LocalStack, **options: Any) -> Group:
    name = f"group-{next(_numbers)}"
    return Group(stack.environment, stack.feature_store.flush, name, **options)


@pytest.fixture
def group(stack: LocalStack) -> Group:
    return new_group(stack)


def refused(code: str, status: int, message: str = "") -> Any:
    def check(error: ClientError) -> bool:
        response = error.response
        return (
            response["Error"]["Code"] == code
            and response["ResponseMetadata"]["HTTPStatusCode"] == status
            and message in response["Error"]["Message"]
        )

    return pytest.raises(ClientError, check=check)


# --- event time decides ---------------------------------------------------------------------------------


def test_a_record_with_a_later_event_time_replaces_the_whole_record(group: Group) -> None:
    group.put(event_time=at(1), score="0.5", count="3")
    group.put(event_time=at(2), score="0.75")
    assert group.online() == {"id": "1", "event_time": at(2), "score": "0.75"}
    assert group.offline_rows() == [("1", at(1), False), ("1", at(2), False)]


def test_a_record_with_an_earlier_event_time_goes_offline_only(group: Group) -> None:
    group.put(event_time=at(2), score="0.75")
    group.put(event_time=at(1), score="0.5")
    assert group.online() == {"id": "1", "event_time": at(2), "score": "0.75"}
    assert group.offline_rows() == [("1", at(2), False), ("1", at(1), False)]


def test_the_same_event_time_again_changes_nothing_online_and_is_another_row_offline(group: Group) -> None:
    group.put(score="0.5")
    group.put(score="0.75")
    assert group.online() == {"id": "1", "event_time": NOON, "score": "0.5"}
    assert group.offline_rows() == [("1", NOON, False)] * 2


def test_event_times_are_compared_as_times_to_the_nanosecond(group: Group) -> None:
    group.put(event_time="2026-11-24T12:00:00.500Z", score="1")
    group.put(event_time="2026-11-24T12:00:00Z", score="2")
    group.put(event_time="2026-11-24T12:00:00.500000001Z", score="3")
    group.put(event_time="2026-11-24T12:00:00.500Z", score="4")
    assert (group.online() or {})["score"] == "3"


def test_a_fractional_event_time_is_unix_seconds(stack: LocalStack) -> None:
    fractional = [
        {"FeatureName": "id", "FeatureType": "String"},
        {"FeatureName": "event_time", "FeatureType": "Fractional"},
    ]
    group = new_group(stack, FeatureDefinitions=fractional)
    group.put(event_time="1795521600.25")
    group.put(event_time="1795521600.125")
    assert group.online() == {"id": "1", "event_time": "1795521600.25"}
    assert group.offline_rows() == [("1", 1795521600.25, False), ("1", 1795521600.125, False)]
    for wrong in (NOON, "nan", "inf", "1e30", ""):
        with refused("ValidationError", 400, "event_time"):
            group.put(event_time=wrong)


# --- deletion -------------------------------------------------------------------------------------------


def test_a_soft_delete_hides_the_record_and_leaves_a_marker_offline(group: Group) -> None:
    group.put(event_time=at(1), score="0.5")
    group.delete("1", at(2))
    assert group.online() is None
    assert group.offline_rows() == [("1", at(1), False), ("1", at(2), True)]
    assert group.offline().filter(pl.col("is_deleted"))["score"].to_list() == [None]


def test_a_write_no_later_than_a_tombstone_goes_offline_only(group: Group) -> None:
    group.put(event_time=at(1))
    group.delete("1", at(3))
    group.put(event_time=at(2))
    group.put(event_time=at(3))
    assert group.online() is None
    group.put(event_time=at(4))
    assert group.online() == {"id": "1", "event_time": at(4)}
    assert len(group.offline_rows()) == 5


@pytest.mark.parametrize("minute", [1, 2])
def test_a_soft_delete_that_is_not_later_deletes_nothing_but_is_marked_offline(group: Group, minute: int) -> None:
    group.put(event_time=at(2))
    group.delete("1", at(minute), DeletionMode="SoftDelete")
    assert group.online() == {"id": "1", "event_time": at(2)}
    assert group.offline_rows() == [("1", at(2), False), ("1", at(minute), True)]


@pytest.mark.parametrize("minute", [1, 2])
def test_a_hard_delete_that_is_not_later_is_refused_and_leaves_no_marker(group: Group, minute: int) -> None:
    group.put(event_time=at(2))
    with refused("ValidationError", 400, "EventTime"):
        group.delete("1", at(minute), DeletionMode="HardDelete")
    assert group.online() == {"id": "1", "event_time": at(2)}
    assert group.offline_rows() == [("1", at(2), False)]


def test_after_a_hard_delete_any_put_is_the_latest_again(group: Group) -> None:
    group.put(event_time=at(2))
    group.delete("1", at(3), DeletionMode="HardDelete")
    assert group.online() is None
    group.put(event_time=at(1))
    assert group.online() == {"id": "1", "event_time": at(1)}
    assert group.offline_rows() == [("1", at(2), False), ("1", at(3), True), ("1", at(1), False)]


def test_a_hard_delete_removes_a_tombstone_too(group: Group) -> None:
    group.put(event_time=at(1))
    group.delete("1", at(3))
    group.delete("1", at(4), DeletionMode="HardDelete")
    group.put(event_time=at(2))
    assert group.online() == {"id": "1", "event_time": at(2)}


def test_a_soft_delete_of_a_record_that_is_not_there_still_leaves_its_tombstone(group: Group) -> None:
    group.delete("1", at(2))
    group.put(event_time=at(1))
    assert group.online() is None
    assert group.offline_rows() == [("1", at(2), True), ("1", at(1), False)]


# --- stores and time to live ----------------------------------------------------------------------------


def test_target_stores_choose_where_a_write_goes(group: Group) -> None:
    group.put("1", options={"TargetStores": ["OnlineStore"]})
    group.put("2", options={"TargetStores": ["OfflineStore"]})
    group.delete("3", NOON, TargetStores=["OfflineStore"])
    assert (group.online("1"), group.online("2")) == ({"id": "1", "event_time": NOON}, None)
    assert group.offline_rows() == [("2", NOON, False), ("3", NOON, True)]
    group.delete("1", at(1), TargetStores=["OnlineStore"])
    assert group.online("1") is None
    assert len(group.offline_rows()) == 2


def test_a_group_without_an_online_store_is_the_default_and_takes_no_reads(stack: LocalStack) -> None:
    group = new_group(stack, OnlineStoreConfig={})
    group.put()
    assert group.offline_rows() == [("1", NOON, False)]
    with refused("ValidationError", 400, "no OnlineStore"):
        group.online()
    with refused("ValidationError", 400, "no OnlineStore"):
        group.put(options={"TargetStores": ["OnlineStore"]})


def test_a_record_expires_its_ttl_after_its_event_time(group: Group) -> None:
    now = datetime.now(timezone.utc).replace(microsecond=0)
    stamp = "%Y-%m-%dT%H:%M:%SZ"
    hour_ago = (now - timedelta(hours=1)).strftime(stamp)
    group.put("gone", hour_ago, options={"TtlDuration": {"Unit": "Minutes", "Value": 59}})
    group.put("there", hour_ago, options={"TtlDuration": {"Unit": "Hours", "Value": 2}})
    assert (group.online("gone"), group.online("there")) == (None, {"id": "there", "event_time": hour_ago})
    answer = group.runtime.get_record(
        FeatureGroupName=group.name, RecordIdentifierValueAsString="there", ExpirationTimeResponse="Enabled"
    )
    assert answer["ExpiresAt"] == (now + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    # An expired record is gone, and with it its event time; offline nothing expires.
    group.put("gone", (now - timedelta(hours=2)).strftime(stamp))
    assert group.online("gone") is not None
    assert len(group.offline_rows()) == 3


def test_the_ttl_of_a_record_goes_before_that_of_the_batch_and_that_before_the_groups(
    stack: LocalStack,
) -> None:
    group = new_group(
        stack, OnlineStoreConfig={"EnableOnlineStore": True, "TtlDuration": {"Unit": "Seconds", "Value": 1}}
    )
    entry, past = {"FeatureGroupName": group.name}, "2020-01-01T00:00:00Z"
    group.put("of the group", past)
    group.runtime.batch_write_record(
        Entries=[
            {**entry, "Record": record("of the record", past), "TtlDuration": {"Unit": "Days", "Value": 10_000}},
            {**entry, "Record": record("of the batch", past)},
        ],
        TtlDuration={"Unit": "Weeks", "Value": 5_000},
    )

    def expiry(identifier: str) -> str:
        return group.runtime.get_record(
            FeatureGroupName=group.name,
            RecordIdentifierValueAsString=identifier,
            ExpirationTimeResponse="Enabled",
        ).get("ExpiresAt", "gone")[:4]

    names = ("of the group", "of the batch", "of the record")
    assert [expiry(name) for name in names] == ["gone", "2115", "2047"]


# --- validation -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (features(id="1", event_time=NOON, mood="secret"), "mood is not defined"),
        (features(event_time=NOON), "id is required"),
        (features(id="1"), "event_time is required"),
        (features(id="1", event_time=NOON) + features(id="2"), "id appears more than once"),
        (features(id="1", event_time=NOON, score="secret"), "score is not a valid Fractional"),
        (features(id="1", event_time=NOON, score="nan"), "score is not a valid Fractional"),
        (features(id="1", event_time=NOON, count="1.5"), "count is not a valid Integral"),
        (features(id="1", event_time=NOON, count=str(2**63)), "count is not a valid Integral"),
        (features(id="1", event_time=NOON, count=""), "count is not a valid Integral"),
        (features(id="a\nb", event_time=NOON), "id must be of one line"),
        (features(id="", event_time=NOON), "id must have 1 byte to 2 KB"),
        (features(id="x" * 2049, event_time=NOON), "id must have 1 byte to 2 KB"),
        ([*features(id="1", event_time=NOON), {"FeatureName": "score"}], "score has no ValueAsString"),
        (
            [*features(id="1", event_time=NOON), {"FeatureName": "score", "ValueAsStringList": ["1"]}],
            "score has no ValueAsString",
        ),
    ],
)
def test_a_record_that_does_not_fit_its_group_is_refused_without_quoting_it(
    group: Group, wrong: list[dict[str, str]], message: str
) -> None:
    with refused("ValidationError", 400, message) as refusal:
        group.runtime.put_record(FeatureGroupName=group.name, Record=wrong)
    assert "secret" not in str(refusal.value)
    errors = group.batch(wrong, record("good"))["Errors"]
    assert [(each["ErrorCode"], message in each["ErrorMessage"]) for each in errors] == [("ValidationError", True)]
    assert errors[0]["Entry"] == {"FeatureGroupName": group.name, "Record": wrong}
    assert group.offline_rows() == [("good", NOON, False)]


@pytest.mark.parametrize(
    "wrong",
    [
        "2026-11-24",
        "2026-11-24 12:00:00Z",
        "2026-11-24T12:00:00",
        "2026-11-24T12:00:00+00:00",
        "2026-11-24T12:00:00.5Z",
        "2026-11-24T12:00:00.123456Z",
        "2026-13-24T12:00:00Z",
        "1795521600",
    ],
)
def test_an_event_time_in_another_format_is_refused(group: Group, wrong: str) -> None:
    with refused("ValidationError", 400, "event_time"):
        group.put(event_time=wrong)
    with refused("ValidationError", 400, "event_time"):
        group.delete("1", wrong)
    assert group.offline_rows() == []


def test_a_record_over_350_kb_is_refused(group: Group, stack: LocalStack) -> None:
    group.put("1" * 2048)
    texts = [{"FeatureName": name, "FeatureType": "String"} for name in ("id", "event_time", "text")]
    big = new_group(stack, FeatureDefinitions=texts)
    big.put(text="x" * 350_000)
    with refused("ValidationError", 400, "350 KB"):
        big.put(text="x" * 358_400)


def test_an_unknown_feature_group_is_not_found(stack: LocalStack) -> None:
    group = new_group(stack, create=False)
    for call in (group.put, group.online, lambda: group.delete("1", NOON)):
        with refused("ResourceNotFound", 404, group.name):
            call()
    create_feature_group(group.sagemaker, group.name)
    group.put()
    assert group.online() == {"id": "1", "event_time": NOON}


def test_a_group_answers_to_its_arn(group: Group) -> None:
    group.put()
    arn = described(group.sagemaker, group.name)["FeatureGroupArn"]
    found = group.runtime.get_record(FeatureGroupName=arn, RecordIdentifierValueAsString="1")["Record"]
    assert found == record()
    assert group.runtime.batch_write_record(Entries=[{"FeatureGroupName": arn, "Record": record("2")}])["Errors"] == []
    assert group.online("2") == {"id": "2", "event_time": NOON}


# --- batches and reads ----------------------------------------------------------------------------------


def test_a_batch_write_does_the_good_entries_and_reports_the_bad_ones(group: Group) -> None:
    unknown = {"FeatureGroupName": "unknown", "Record": record()}
    answer = group.runtime.batch_write_record(
        Entries=[
            {"FeatureGroupName": group.name, "Record": record("1", at(1))},
            unknown,
            {"FeatureGroupName": group.name, "Record": record("1", at(2)), "TargetStores": ["OnlineStore"]},
            {"FeatureGroupName": group.name, "Record": record("1", at(1), count="3")},
        ]
    )
    assert [(each["Entry"], each["ErrorCode"]) for each in answer["Errors"]] == [(unknown, "ResourceNotFound")]
    assert answer["UnprocessedEntries"] == []
    assert group.online() == {"id": "1", "event_time": at(2)}
    assert group.offline_rows() == [("1", at(1), False)] * 2


def test_a_batch_write_takes_at_most_25_entries(group: Group) -> None:
    records = [record(str(number)) for number in range(26)]
    with refused("ValidationError", 400, "not 26"):
        group.batch(*records)
    assert group.offline_rows() == []
    assert group.batch(*records[:25])["Errors"] == []
    assert len(group.offline_rows()) == 25


def test_reads_can_be_limited_to_some_features(group: Group) -> None:
    group.put(score="0.5", count="3")
    assert group.online(FeatureNames=["count", "id"]) == {"id": "1", "count": "3"}
    with refused("ValidationError", 400, "mood is not defined"):
        group.online(FeatureNames=["mood"])


def test_a_batch_read_gives_what_is_there_and_an_error_for_each_bad_identifier(group: Group) -> None:
    group.put("1", score="0.5")
    group.put("2")
    group.delete("2", at(1))
    answer = group.runtime.batch_get_record(
        Identifiers=[
            {
                "FeatureGroupName": group.name,
                "RecordIdentifiersValueAsString": ["1", "2", "3"],
                "FeatureNames": ["score"],
            },
            {"FeatureGroupName": "unknown", "RecordIdentifiersValueAsString": ["1"]},
        ]
    )
    assert [(each["RecordIdentifierValueAsString"], each["Record"]) for each in answer["Records"]] == [
        ("1", features(score="0.5"))
    ]
    assert [(each["FeatureGroupName"], each["ErrorCode"]) for each in answer["Errors"]] == [
        ("unknown", "ResourceNotFound")
    ]
    with refused("ValidationError", 400, "not 101"):
        group.runtime.batch_get_record(
            Identifiers=[
                {"FeatureGroupName": group.name, "RecordIdentifiersValueAsString": ["1"] * 100},
                {"FeatureGroupName": group.name, "RecordIdentifiersValueAsString": ["1"]},
            ]
        )


# --- the offline store ----------------------------------------------------------------------------------


def test_offline_rows_are_parquet_in_the_glue_layout_by_the_hour_of_the_event(group: Group) -> None:
    group.put("1", "2026-11-24T09:59:59.999Z", score="0.5", count="-3")
    group.put("2", "2026-11-24T10:00:00Z")
    group.put("3", "1969-12-31T23:30:00Z")
    files = group.files()
    name = r"\d{8}T\d{6}Z_[A-Za-z0-9]{16}\.parquet"
    hours = [
        "year=1969/month=12/day=31/hour=23",
        "year=2026/month=11/day=24/hour=09",
        "year=2026/month=11/day=24/hour=10",
    ]
    assert group.location().endswith("/data")
    assert pl.Series(files).str.contains(f"^{group.location()}/year=.*/{name}$").all()
    assert sorted(file.removeprefix(group.location() + "/").rpartition("/")[0] for file in files) == hours
    table = group.offline().sort("id")
    assert dict(table.schema) == {
        "id": pl.String,
        "event_time": pl.String,
        "score": pl.Float64,
        "count": pl.Int64,
        "write_time": pl.Datetime("us"),
        "api_invocation_time": pl.Datetime("us"),
        "is_deleted": pl.Boolean,
    }
    assert table.select("score", "count", "is_deleted").rows()[:2] == [(0.5, -3, False), (None, None, False)]
    assert (table["write_time"] >= table["api_invocation_time"]).all()


ACTIONS = st.tuples(st.sampled_from(["put", "soft", "hard"]), st.sampled_from("ab"), st.integers(0, 4))


@settings(max_examples=30, deadline=None)
@given(actions=st.lists(ACTIONS, max_size=10))
def test_for_any_history_the_latest_event_time_wins_and_each_accepted_write_is_one_offline_row(
    stack: LocalStack, actions: list[tuple[str, str, int]]
) -> None:
    group = new_group(stack)
    model: dict[str, tuple[int, bool]] = {}  # identifier -> event time, whether it can be read
    rows: list[tuple[str, str, bool]] = []
    for action, identifier, minute in actions:
        latest = identifier not in model or minute > model[identifier][0]
        if action == "put":
            group.put(identifier, at(minute))
        elif action == "hard" and not latest:
            with refused("ValidationError", 400):
                group.delete(identifier, at(minute), DeletionMode="HardDelete")
            continue
        else:
            group.delete(identifier, at(minute), DeletionMode=f"{action.title()}Delete")
        rows.append((identifier, at(minute), action != "put"))
        if latest and action == "hard":
            model.pop(identifier, None)
        elif latest:
            model[identifier] = (minute, action == "put")
    for identifier in "ab":
        minute, readable = model.get(identifier, (0, False))
        expected = {"id": identifier, "event_time": at(minute)} if readable else None
        assert group.online(identifier) == expected
    assert Counter(group.offline_rows()) == Counter(rows)


# --- durability -----------------------------------------------------------------------------------------


def test_a_death_between_upload_and_forgetting_makes_no_second_row(stack: LocalStack, tmp_path: Path) -> None:
    group = new_group(stack)
    url = stack.environment["AWS_ENDPOINT_URL_SAGEMAKER"]
    put = {"FeatureGroupName": group.name, "Record": record()}

    dying = FeatureStore(tmp_path, url)
    assert dying.answer("PutRecord", put)[0] == 200
    upload = dying._s3.put_object

    def upload_and_die(**arguments: Any) -> None:
        upload(**arguments)
        raise EndpointConnectionError(endpoint_url="the process is gone")

    dying._s3.put_object = upload_and_die
    with pytest.raises(EndpointConnectionError):
        dying.flush()
    assert len(group.files()) == 1

    with FeatureStore(tmp_path, url) as reborn:
        assert reborn.answer("PutRecord", put)[0] == 200
        reborn.flush()
    assert group.offline_rows() == [("1", NOON, False)] * 2


def test_rows_wait_for_s3_to_come_back(stack: LocalStack) -> None:
    group = new_group(stack, OfflineStoreConfig={"S3StorageConfig": {"S3Uri": "s3://not-yet-there/x"}})
    url = stack.environment["AWS_ENDPOINT_URL_SAGEMAKER"]
    store = FeatureStore(None, url)
    assert store.answer("PutRecord", {"FeatureGroupName": group.name, "Record": record()})[0] == 200
    with pytest.raises(ClientError, match="NoSuchBucket"):
        store.flush()
    group.s3.create_bucket(Bucket="not-yet-there", CreateBucketConfiguration={"LocationConstraint": aws.REGION})
    store.flush()
    assert group.s3.list_objects_v2(Bucket="not-yet-there")["KeyCount"] == 1


LIVES = """
import json, os, signal, sys
from pathlib import Path
from cs_features.local.stack import LocalStack

for _ in sys.stdin:  # a line a life; forks, because the imports take seconds
    life = os.fork()
    if not life:
        with LocalStack(Path(sys.argv[1]), answerer=object()) as stack:
            print(json.dumps([os.getpid(), stack.environment]), flush=True)
            signal.pause()
    os.waitpid(life, 0)
"""


def test_every_acknowledged_write_is_online_and_once_offline_after_kills(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    lives = subprocess.Popen(
        [sys.executable, "-c", LIVES, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    request.addfinalizer(lambda: os.killpg(lives.pid, signal.SIGKILL))
    assert lives.stdin
    assert lives.stdout

    def start() -> tuple[int, Group]:
        lives.stdin.write("\n")
        lives.stdin.flush()
        life, environment = json.loads(lives.stdout.readline())
        return life, Group(environment, lambda: None, "survivors", create=False)

    acknowledged: list[str] = []
    attempts = 0
    for life in range(2):
        process, group = start()
        if life == 0:
            group.s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": aws.REGION})
            create_feature_group(group.sagemaker, group.name)
        death = threading.Timer(0.8, os.kill, [process, signal.SIGKILL])  # in the middle of a flush or not
        death.start()
        while True:
            identifiers = [str(attempts + number) for number in range(25)]
            attempts += 25
            try:
                answer = group.batch(*(record(identifier) for identifier in identifiers))
            except Exception:  # the server died under the call
                break
            assert answer["Errors"] == []
            acknowledged += identifiers

    _, group = start()
    assert all(group.online(identifier) for identifier in acknowledged[:: max(1, len(acknowledged) // 100)])
    url = group.runtime.meta.endpoint_url + "/_local/feature-store/flush"
    with urllib.request.urlopen(urllib.request.Request(url, method="POST")) as answer:
        assert answer.status == 200
    rows = Counter(identifier for identifier, _, _ in group.offline_rows())
    assert set(rows.values()) == {1}
    # A write may have been done and not acknowledged; never the other way round.
    assert set(acknowledged) <= set(rows)
    assert len(rows) <= len(acknowledged) + 2 * 25


# --- faults and counters --------------------------------------------------------------------------------


@pytest.fixture
def faulty(stack: LocalStack) -> Iterator[Any]:
    """Starts a second runtime with faults on the same control plane; gives its group and its store."""
    opened = []

    def start(**options: Any) -> tuple[Group, FeatureStore]:
        store = FeatureStore(None, stack.environment["AWS_ENDPOINT_URL_SAGEMAKER"], **options)
        listener = local_stack._bind_port(0)
        serving = local_stack._serve_app(Starlette(routes=routes(store)), listener.__enter__())
        opened.extend([serving, listener])
        environment = {
            **stack.environment,
            "AWS_ENDPOINT_URL_SAGEMAKER_FEATURESTORE_RUNTIME": serving.__enter__(),
        }
        return Group(environment, store.flush, f"group-{next(_numbers)}"), store

    yield start
    for context in opened:
        context.__exit__(None, None, None)


def test_failed_requests_do_nothing_and_come_as_both_kinds_of_service_error(faulty: Any) -> None:
    group, store = faulty(faults=Faults(error_rate=1.0))
    seen = set()
    for _ in range(20):
        with pytest.raises(ClientError) as failure:
            group.put()
        response = failure.value.response
        seen.add((response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]))
    assert seen == {("InternalFailure", 500), ("ServiceUnavailable", 503)}
    assert group.offline_rows() == []
    assert sum(store.stats()["errors"].values()) == store.stats()["calls"]["PutRecord"] == 20


def test_unprocessed_entries_are_not_written_and_a_client_that_repeats_them_gets_through(faulty: Any) -> None:
    group, store = faulty(faults=Faults(unprocessed_rate=0.4, seed=3))
    waiting = [{"FeatureGroupName": group.name, "Record": record(str(number))} for number in range(25)]
    kinds: Counter[str] = Counter()
    while waiting:
        answer = group.runtime.batch_write_record(Entries=waiting)
        assert {each["ErrorCode"] for each in answer["Errors"]} <= {"InternalFailure"}
        kinds["errors"] += len(answer["Errors"])
        kinds["unprocessed"] += len(answer["UnprocessedEntries"])
        waiting = [each["Entry"] for each in answer["Errors"]] + answer["UnprocessedEntries"]
    assert min(kinds["errors"], kinds["unprocessed"]) > 0
    assert sorted(row[0] for row in group.offline_rows()) == sorted(str(number) for number in range(25))
    assert store.stats()["records"] == {"online": 25, "offline": 25}


def test_counters_tell_calls_errors_and_records_by_store(faulty: Any) -> None:
    group, store = faulty(latency_s=0.001)
    group.put(event_time=at(2))
    group.put(event_time=at(1))
    group.batch(record("2"), record("3"))
    group.online()
    with refused("ValidationError", 400):
        group.put(count="x")
    assert store.stats() == {
        "calls": {"PutRecord": 3, "BatchWriteRecord": 1, "GetRecord": 1},
        "errors": {"ValidationError": 1},
        "records": {"online": 3, "offline": 4},
    }
