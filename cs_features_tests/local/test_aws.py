"""The local AWS against real boto3: that nothing acknowledged is lost, and that a replay is exact."""

import io
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cs_features.local import aws
from cs_features.local.stack import LocalStack
from cs_features_tests.support.local_aws import (
    BUCKET,
    Account,
    NoModel,
    account,
    account_with_bucket,
    create_feature_group,
    described,
)

MEGABYTE = 1024 * 1024

pytestmark = pytest.mark.own_aws


def journaled(state: Path) -> list[str]:
    lines = (state / "aws.jsonl").read_text().splitlines()
    return [f"{entry['method']} {entry['target'].partition('?')[0]}" for entry in map(json.loads, lines)]


def test_everything_is_the_same_after_a_restart(tmp_path: Path) -> None:
    with account_with_bucket(tmp_path) as before:
        before.put("country=NL/ünï code+%?.json", b"one", Metadata={"under_score": "kept"})
        before.put("a//b", bytes(range(256)))
        create_feature_group(before.sagemaker)
        topic = before.sns.create_topic(Name="alerts")["TopicArn"]
        subscription = before.sns.subscribe(
            TopicArn=topic, Protocol="email", Endpoint="ops@example.com", ReturnSubscriptionArn=True
        )
        objects, group = before.objects(), described(before.sagemaker)
        buckets = before.s3.list_buckets()["Buckets"]
    with account(tmp_path) as after:
        assert after.objects() == objects
        assert after.get("a//b") == bytes(range(256))
        assert after.s3.list_buckets()["Buckets"] == buckets
        assert described(after.sagemaker) == group
        subscriptions = after.sns.list_subscriptions()["Subscriptions"]
        assert [each["SubscriptionArn"] for each in subscriptions] == [subscription["SubscriptionArn"]]


def test_an_upload_in_parts_can_be_finished_after_a_restart(tmp_path: Path) -> None:
    parts = [b"a" * 5 * MEGABYTE, b"b" * 100]

    def upload_part(it: Account, number: int) -> dict[str, Any]:
        part = it.s3.upload_part(Bucket=BUCKET, Key="big", UploadId=upload, PartNumber=number, Body=parts[number - 1])
        return {"PartNumber": number, "ETag": part["ETag"]}

    with account_with_bucket(tmp_path) as before:
        upload = before.s3.create_multipart_upload(Bucket=BUCKET, Key="big")["UploadId"]
        done = [upload_part(before, 1)]
    with account(tmp_path) as after:
        done.append(upload_part(after, 2))
        after.s3.complete_multipart_upload(Bucket=BUCKET, Key="big", UploadId=upload, MultipartUpload={"Parts": done})
    with account(tmp_path) as once_more:
        assert once_more.get("big") == b"".join(parts)


WRITER = """
import json, sys
from pathlib import Path
from cs_features_tests.support.local_aws import account_with_bucket, create_feature_group, described

with account_with_bucket(Path(sys.argv[1])) as it:
    create_feature_group(it.sagemaker)
    print(described(it.sagemaker)["OfflineStoreConfig"]["S3StorageConfig"]["ResolvedOutputS3Uri"], flush=True)
    for number in range(100_000):
        it.put(f"{number:06}", str(number).encode())
        print(number, flush=True)
"""


def test_what_was_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout
    location, *acknowledged = (writer.stdout.readline().strip() for _ in range(41))
    writer.send_signal(signal.SIGKILL)
    acknowledged += [line.strip() for line in writer.stdout if line.endswith("\n")]
    writer.wait()
    with account(tmp_path) as after:
        config = described(after.sagemaker)["OfflineStoreConfig"]["S3StorageConfig"]
        assert config["ResolvedOutputS3Uri"] == location
        assert len(acknowledged) >= 40
        assert all(after.get(f"{int(number):06}") == number.encode() for number in acknowledged)


def test_a_line_torn_by_a_kill_is_dropped(tmp_path: Path) -> None:
    with account_with_bucket(tmp_path) as before:
        before.put("whole")
        before.put("torn")
    journal = tmp_path / "aws.jsonl"
    journal.write_bytes(journal.read_bytes()[:-20])
    with account(tmp_path) as after:
        assert list(after.objects()) == ["whole"]
        after.put("later")
    with account(tmp_path) as once_more:
        assert list(once_more.objects()) == ["later", "whole"]


def test_a_line_broken_in_the_middle_stops_the_start_and_names_the_line(tmp_path: Path) -> None:
    with account_with_bucket(tmp_path) as before:
        before.put("one")
    journal = tmp_path / "aws.jsonl"
    first, second = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(first[:30] + b"\n" + second)
    with pytest.raises(RuntimeError, match="Line 1 of the local AWS's journal"), account(tmp_path):
        pass
    assert journal.read_bytes().endswith(second)


def test_a_request_that_no_longer_works_stops_the_start_and_is_named(tmp_path: Path) -> None:
    with account_with_bucket(tmp_path) as before:
        before.put("one")
    journal = tmp_path / "aws.jsonl"
    journal.write_bytes(journal.read_bytes().splitlines(keepends=True)[1])
    with pytest.raises(RuntimeError, match="PUT /landing/one, was answered 404"), account(tmp_path):
        pass


def test_reads_failures_and_messages_are_not_journaled(tmp_path: Path) -> None:
    with account_with_bucket(tmp_path) as it:
        it.put("one")
        it.get("one")
        it.objects()
        topic = it.sns.create_topic(Name="alerts")["TopicArn"]
        it.sns.list_topics()
        it.sns.publish(TopicArn=topic, Message="would be delivered again at each start")
        create_feature_group(it.sagemaker)
        described(it.sagemaker)
        with pytest.raises(ClientError, match="NoSuchBucket"):
            it.s3.put_object(Bucket="nowhere", Key="x", Body=b"")
    assert journaled(tmp_path) == ["PUT /landing", "PUT /landing/one", "POST /", "POST /"]


def test_superseded_writes_are_compacted_away_at_the_start(tmp_path: Path) -> None:
    with account_with_bucket(tmp_path) as before:
        for number in range(5):
            before.put("table", str(number).encode())
            before.put("other/table", b"fixed")
        before.put("gone")
        before.s3.delete_object(Bucket=BUCKET, Key="gone")
        objects = before.objects()
    assert len(journaled(tmp_path)) == 13
    with account(tmp_path) as after:
        assert after.objects() == objects
        assert after.get("table") == b"4"
    assert journaled(tmp_path) == [
        "PUT /landing",
        "PUT /landing/table",
        "PUT /landing/other/table",
        "DELETE /landing/gone",
    ]


def test_versions_are_never_compacted_away(tmp_path: Path) -> None:
    def versions(it: Account) -> list[tuple[str, str]]:
        found = it.s3.list_object_versions(Bucket=BUCKET)
        return [(each["VersionId"], each["Key"]) for each in found["Versions"] + found["DeleteMarkers"]]

    with account_with_bucket(tmp_path) as before:
        before.s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        before.put("table", b"1")
        before.put("table", b"2")
        before.s3.delete_object(Bucket=BUCKET, Key="table")
        expected = versions(before)
    for _ in range(2):
        with account(tmp_path) as after:
            assert versions(after) == expected


KEYS = st.sampled_from(["a", "b", "dir/ü +"])
STEPS = st.one_of(
    st.tuples(st.just("put"), KEYS, st.binary(max_size=3)),
    st.tuples(st.just("put if absent"), KEYS, st.binary(max_size=3)),
    st.tuples(st.just("put if same"), KEYS, st.binary(max_size=3)),
    st.tuples(st.just("delete"), KEYS, st.none()),
    st.tuples(st.just("delete many"), KEYS, KEYS),
    st.tuples(st.just("copy"), KEYS, KEYS),
    st.tuples(st.just("tag"), KEYS, st.none()),
)


def take(it: Account, step: tuple[str, str, Any]) -> None:
    name, key, value = step
    where = {"Bucket": BUCKET, "Key": key}
    try:
        if name == "put":
            it.s3.put_object(**where, Body=value)
        elif name == "put if absent":
            it.s3.put_object(**where, Body=value, IfNoneMatch="*")
        elif name == "put if same":
            it.s3.put_object(**where, Body=value, IfMatch=it.s3.head_object(**where)["ETag"])
        elif name == "delete":
            it.s3.delete_object(**where)
        elif name == "delete many":
            it.s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": key}, {"Key": value}]})
        elif name == "copy":
            it.s3.copy_object(**where, CopySource={"Bucket": BUCKET, "Key": value}, MetadataDirective="REPLACE")
        elif name == "tag":
            it.s3.put_object_tagging(**where, Tagging={"TagSet": [{"Key": "k", "Value": "v"}]})
    except ClientError:
        pass  # a step on a key that is not there


@settings(max_examples=12, deadline=None)
@given(steps=st.lists(STEPS, max_size=12))
@example(steps=[("put", "a", b"1"), ("put if same", "a", b"2")])
@example(steps=[("put", "a", b"1"), ("copy", "b", "a"), ("put", "a", b"2")])
@example(steps=[("put", "a", b"1"), ("delete many", "a", "b"), ("put if absent", "a", b"2"), ("delete", "a", None)])
def test_compaction_changes_nothing_that_can_be_seen(steps: list[tuple[str, str, Any]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder)
        with account_with_bucket(state) as before:
            for step in steps:
                take(before, step)
            objects = before.objects()
            bodies = {key: before.get(key) for key in objects}
        with account(state) as after:
            assert after.objects() == objects
            assert {key: after.get(key) for key in objects} == bodies


def test_parallel_writers_and_listers_do_not_disturb_each_other(tmp_path: Path) -> None:
    failures: list[Exception] = []

    def work(it: Account, prefix: str) -> None:
        try:
            for number in range(15):
                it.put(f"{prefix}/{number}")
                it.s3.list_objects_v2(Bucket=BUCKET)
        except Exception as error:  # whatever it is, the test reports it
            failures.append(error)

    with account_with_bucket(tmp_path) as it:
        threads = [threading.Thread(target=work, args=(it, str(number))) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        objects = it.objects()
    assert failures == []
    with account(tmp_path) as after:
        assert after.objects() == objects
        assert len(objects) == 90


def test_a_feature_group_keeps_its_online_store_and_an_unknown_one_is_not_found() -> None:
    with account_with_bucket(None) as it:
        online = {"EnableOnlineStore": True, "TtlDuration": {"Unit": "Weeks", "Value": 2}}
        create_feature_group(it.sagemaker, OnlineStoreConfig=online)
        description = described(it.sagemaker)
        assert description["OnlineStoreConfig"] == online
        assert description["OfflineStoreStatus"] == {"Status": "Active"}
        assert described(it.sagemaker, description["FeatureGroupArn"]) == description
        with pytest.raises(it.sagemaker.exceptions.ResourceNotFound):
            described(it.sagemaker, "unknown")
        with pytest.raises(it.sagemaker.exceptions.ResourceInUse):
            create_feature_group(it.sagemaker)


def test_injected_s3_faults_reach_s3_only_and_botos_retries_get_through() -> None:
    with account(None, s3_error_rate=1.0) as it:
        with pytest.raises(ClientError) as failure:
            it.s3.list_buckets()
        assert failure.value.response["Error"]["Code"] in ("SlowDown", "InternalError")
        assert it.sns.list_topics()["Topics"] == []
    with account(None, s3_error_rate=0.3, seed=1, retries=9) as it:
        it.s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": aws.REGION})
        it.put("one", b"two")
        assert it.get("one") == b"two"


def test_one_state_and_one_process_have_one_local_aws(tmp_path: Path) -> None:
    with (
        account(tmp_path),
        pytest.raises(RuntimeError, match="already running in this process"),
        account(None),
    ):
        pass
    holder = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout
    holder.stdout.readline()
    try:
        with pytest.raises(RuntimeError, match=f"Another local AWS is using {tmp_path}"), account(tmp_path):
            pass
    finally:
        holder.kill()
        holder.communicate()


def test_the_stack_points_boto3_at_itself_by_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with LocalStack(None, answerer=NoModel()) as stack:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            monkeypatch.delenv(name)
        for name, value in stack.environment.items():
            monkeypatch.setenv(name, value)
        session = boto3.Session()
        session.client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": aws.REGION})
        session.client("s3").upload_fileobj(io.BytesIO(b"x" * 9 * MEGABYTE), BUCKET, "in-parts")
        create_feature_group(session.client("sagemaker"))
        assert session.client("sns").list_topics()["Topics"] == []
        runtime = session.client("sagemaker-featurestore-runtime")
        assert "Record" not in runtime.get_record(FeatureGroupName="features", RecordIdentifierValueAsString="1")


def test_a_taken_port_is_one_clear_sentence() -> None:
    with socket.socket() as taken:
        taken.bind((aws.HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(RuntimeError, match=f"^Port {port} on 127.0.0.1 is taken"):
            LocalStack(None, answerer=NoModel(), port=port).__enter__()
    for port in range(20_000, 30_000, 2):  # the first pair that nobody else has
        try:
            with LocalStack(None, answerer=NoModel(), port=port) as stack:
                assert stack.environment["AWS_ENDPOINT_URL_S3"].endswith(f":{port}")
                assert stack.environment["AWS_ENDPOINT_URL_BEDROCK_RUNTIME"].endswith(f":{port + 1}")
            break
        except RuntimeError:
            continue


def test_the_command_provisions_writes_its_environment_and_stops_when_told(tmp_path: Path) -> None:
    for port in range(20_100, 30_000, 2):  # the first pair that nobody else has
        command = subprocess.Popen(
            [sys.executable, "-m", "cs_features.local", "--state", tmp_path, "--port", str(port), "--scripted", "{}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert command.stdout
        if any(line.startswith("export AWS_EC2_METADATA_DISABLED") for line in command.stdout):
            break
        assert "is taken" in command.communicate()[1]
    environment = dict(line.split("=", 1) for line in (tmp_path / "stack.env").read_text().splitlines())
    buckets = Account(environment["AWS_ENDPOINT_URL_S3"]).s3.list_buckets()["Buckets"]
    command.send_signal(signal.SIGTERM)
    assert command.communicate()[0].strip() == "Stopping."
    assert command.returncode == 0
    assert len(buckets) == 2
