"""`make preflight`: each of these faults was somebody's first day on AWS; each is one sentence that says what to do."""

import json
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import boto3
import pytest

from cs_features.cli import preflight as command
from cs_features.environments import Settings
from cs_features.local.provision import TOPIC
from cs_features.monitoring import preflight_probes
from cs_features.monitoring.preflight import PROBES, Finding, run_preflight_probe, run_preflight_probes
from cs_features.monitoring.preflight_quotas import TASK_QUOTA
from cs_features.orchestration.jobs import check_access
from cs_features.services import History, Services, build_services_from
from cs_features_tests.support.aws_answers import HAIKU, answering, quotas, refusing
from cs_features_tests.support.lab import Lab

TOPIC_ARN = f"arn:aws:sns:eu-central-1:123456789012:{TOPIC}"
Plant = Callable[[Lab], Any]


def services_of(lab: Lab, **changes: Any) -> Services:
    return build_services_from(Settings(**{**lab.settings.model_dump(), "alerts_topic_arn": TOPIC_ARN, **changes}))


def probe(services: Services, subject: str) -> Finding:
    return run_preflight_probe(subject, PROBES[subject], services)


def test_the_local_stack_is_well(lab: Lab) -> None:
    findings = run_preflight_probes(services_of(lab))
    assert [finding.line for finding in findings if not finding.is_ok] == []
    assert [finding.subject for finding in findings] == list(PROBES)


def test_nothing_of_it_is_left_behind(lab: Lab) -> None:
    before = lab.s3.list_objects_v2(Bucket=lab.settings.data_bucket).get("Contents", [])
    run_preflight_probes(services_of(lab))
    assert lab.s3.list_objects_v2(Bucket=lab.settings.data_bucket).get("Contents", []) == before


FAULTS: dict[str, tuple[str, Callable[[], Any], str]] = {
    "expired credentials": (
        "credentials",
        lambda: refusing("sts.GetCallerIdentity", "ExpiredToken", status=403),
        "have expired: renew them",
    ),
    "landing may not be listed": (
        "landing bucket",
        lambda: refusing("s3.ListObjectsV2", "AccessDenied", "not authorized to perform: s3:ListBucket", 403),
        "s3:ListBucket",
    ),
    "data may not be written": (
        "data bucket",
        lambda: refusing("s3.PutObject", "AccessDenied", "not authorized to perform: s3:PutObject", 403),
        "s3:PutObject",
    ),
    "data may not be deleted from": (
        "data bucket",
        lambda: answering(
            "s3.DeleteObjects",
            "<DeleteResult><Error><Key>k</Key><Code>AccessDenied</Code><Message>no</Message></Error></DeleteResult>",
        ),
        "allow s3:DeleteObject",
    ),
    "no agreement with the model": (
        "model",
        lambda: refusing("bedrock-runtime.Converse", "AccessDeniedException", "no", 403),
        "accept the model's agreement",
    ),
    "a restricted account": (
        "model",
        lambda: refusing("bedrock-runtime.Converse", "ValidationException", "Operation not allowed"),
        "ask AWS Support to enable it",
    ),
    "a quota of nothing": ("model quotas", lambda: quotas(HAIKU, 0), "is 0: ask for one in Service Quotas"),
    "quotas may not be read": (
        "model quotas",
        lambda: refusing(
            "service-quotas.ListServiceQuotas", "AccessDeniedException", "servicequotas:ListServiceQuotas"
        ),
        "servicequotas:ListServiceQuotas",
    ),
    "records may not be read": (
        "feature group",
        lambda: refusing(
            "sagemaker-featurestore-runtime.BatchGetRecord", "AccessForbidden", "sagemaker:BatchGetRecord", 403
        ),
        "sagemaker:BatchGetRecord",
    ),
    "the topic is refused": (
        "alerts topic",
        lambda: refusing("sns.GetTopicAttributes", "AccessDenied", "sns:GetTopicAttributes", 403),
        "sns:GetTopicAttributes",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_aws_refuses_is_named(lab: Lab, fault: str) -> None:
    subject, plant, words = FAULTS[fault]
    with ExitStack() as planted:
        planted.enter_context(plant())
        found = probe(services_of(lab), subject)
    assert not found.is_ok
    assert words in found.sentence


WRONG_SETTINGS: dict[str, tuple[str, Callable[[Lab], dict[str, Any]], str]] = {
    "one bucket for both": ("data bucket", lambda lab: {"landing_bucket": lab.settings.data_bucket}, "set two buckets"),
    "a bucket that is not there": ("landing bucket", lambda _: {"landing_bucket": "no-such-bucket"}, "does not exist"),
    "a group that is not there": ("feature group", lambda _: {"feature_group": "no-such-group"}, "create it, or set"),
    "a second group that is not there": (
        "customer group",
        lambda _: {"customer_feature_group": "no-such-group"},
        "create it, or set CS_FEATURES_CUSTOMER_FEATURE_GROUP",
    ),
    "no topic": ("alerts topic", lambda _: {"alerts_topic_arn": None}, "nobody would be told"),
    "a database that is not there": ("database", lambda _: {"database_host": "127.0.0.76"}, "allow rds-db:connect"),
}


@pytest.mark.parametrize("fault", WRONG_SETTINGS)
def test_what_is_set_wrongly_is_named(lab: Lab, fault: str) -> None:
    subject, change, words = WRONG_SETTINGS[fault]
    found = probe(services_of(lab, **change(lab)), subject)
    assert not found.is_ok
    assert words in found.sentence


def test_buckets_the_wrong_way_round_are_named(lab: Lab) -> None:
    """Tables were written into the landing zone, where they expired."""
    lab.land("NL", "2026-11-24", "a.jsonl", b"{}")
    turned = services_of(lab, landing_bucket=lab.settings.data_bucket, data_bucket=lab.settings.landing_bucket)
    assert "the wrong way round" in probe(turned, "data bucket").sentence


def test_a_bucket_of_something_else_is_named(lab: Lab) -> None:
    lab.s3.put_object(Bucket=lab.settings.landing_bucket, Key="website/index.html", Body=b"")
    assert "holds website/ and nothing under interactions/" in probe(services_of(lab), "landing bucket").sentence


@pytest.mark.parametrize(
    ("prefix", "days", "is_ok"), [("", 30, False), ("interactions/", 90, True), ("logs/", 3, True)]
)
def test_documents_that_expire_within_the_window_are_named(lab: Lab, prefix: str, days: int, is_ok: bool) -> None:
    """Fault 3: objects that expired after 30 days, under a window of 35, emptied the store."""
    rule = {"ID": "x", "Status": "Enabled", "Filter": {"Prefix": prefix}, "Expiration": {"Days": days}}
    lab.s3.put_bucket_lifecycle_configuration(
        Bucket=lab.settings.landing_bucket, LifecycleConfiguration={"Rules": [rule]}
    )
    assert probe(services_of(lab), "landing bucket").is_ok is is_ok


def test_a_region_outside_the_eu_is_named(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    assert "set it to a region of the EU" in probe(services_of(lab), "credentials").sentence


def test_no_credentials_are_named(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    assert "no AWS credentials: set AWS_PROFILE" in probe(services_of(lab), "credentials").sentence


def test_a_clock_that_is_wrong_is_named(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    class Late(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> "Late":
            return cls.fromtimestamp((datetime.now(timezone.utc) + timedelta(minutes=3)).timestamp(), timezone.utc)

    services = services_of(lab)
    lab.s3.list_objects_v2(Bucket=lab.settings.data_bucket)
    monkeypatch.setattr(preflight_probes, "datetime", Late)
    assert "let NTP set it" in probe(services, "clock").sentence


def test_an_offline_store_that_is_blocked_is_named(lab: Lab) -> None:
    """Fault 10: half a write was taken for a whole."""
    name = lab.settings.feature_group
    described = lab.sagemaker.describe_feature_group(FeatureGroupName=name)
    del described["ResponseMetadata"]
    body = {**described, "OfflineStoreStatus": {"Status": "Blocked", "BlockedReason": "role"}}
    text = json.dumps(body, default=lambda value: value.timestamp())
    with answering("sagemaker.DescribeFeatureGroup", text):
        assert "is Blocked (role)" in probe(services_of(lab), "feature group").sentence


def test_nobody_behind_the_topic_is_named(lab: Lab) -> None:
    arn = boto3.client("sns").create_topic(Name="unheard")["TopicArn"]
    assert "Nobody listens" in probe(services_of(lab, alerts_topic_arn=arn), "alerts topic").sentence


def test_more_than_the_accounts_quota_is_named(lab: Lab) -> None:
    with quotas(HAIKU, 1_200):
        asked = probe(services_of(lab, requests_per_minute=1_201), "model quotas")
    assert not asked.is_ok
    assert "lower the setting" in asked.sentence


def test_a_quota_that_nobody_states_is_told_with_what_runs_make_of_it(lab: Lab) -> None:
    """Four hosts that each looked for it were throttled at one call in ten; each now reads the account's (issue 11)."""
    with quotas(HAIKU, 1_200):
        read = probe(services_of(lab, requests_per_minute=None), "model quotas").sentence
        assert "1,200 requests a minute" in read
        assert "no quota is stated, so runs use all of it" in read
        stated = services_of(lab, requests_per_minute=1_200)
        assert "no quota is stated" not in probe(stated, "model quotas").sentence


def test_fewer_tasks_than_runs_at_once_are_named(lab: Lab) -> None:
    on_ecs = replace(services_of(lab), history=History(host="db"))
    with quotas(TASK_QUOTA, 4):
        assert "room for 3 runs" in probe(on_ecs, "task quota").sentence
    assert probe(on_ecs, "task quota").sentence.startswith("6 vCPUs of Fargate: 5 runs")


def test_the_command_prints_a_line_each_and_says_by_its_code(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CS_FEATURES_LANDING_BUCKET", lab.settings.landing_bucket)
    monkeypatch.setenv("CS_FEATURES_DATA_BUCKET", lab.settings.data_bucket)
    monkeypatch.setenv("CS_FEATURES_ALERTS_TOPIC_ARN", TOPIC_ARN)
    assert command.main([]) == 0
    assert capsys.readouterr().out.count("OK  ") == len(PROBES)
    monkeypatch.delenv("CS_FEATURES_ALERTS_TOPIC_ARN")
    assert command.main([]) == 1
    monkeypatch.setenv("CS_FEATURES_ALERTS_TOPIC", "x")
    assert command.main([]) == 2


def test_the_daily_check_tells_what_vanished(lab: Lab) -> None:
    """A model's agreement may be accepted for a quarter of an hour and then be refused."""
    job = lab.with_settings(alerts_topic_arn=TOPIC_ARN).definitions.resolve_job_def(check_access.name)
    with refusing("bedrock-runtime.Converse", "AccessDeniedException", "no", 403):
        result = job.execute_in_process(instance=lab.instance)
    (found,) = result.get_asset_check_evaluations()
    assert (found.check_name, found.passed, found.metadata["subjects"].value) == ("preflight", False, "model")


def test_without_a_second_group_preflight_says_so_and_is_content(lab: Lab) -> None:
    found = probe(services_of(lab), "customer group")
    assert found.is_ok
    assert found.sentence == "CS_FEATURES_CUSTOMER_FEATURE_GROUP is empty: no customer's features are served"
