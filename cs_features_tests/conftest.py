"""The local AWS, and a laboratory on it for each test: buckets, a feature group and definitions of its own.

Everything goes through real boto3. The stack is one for the session, because moto allows one a process.
"""

import gzip
import io
import itertools
import json
import os
import tempfile
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import boto3
import dagster as dg
import polars as pl
import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

os.environ["CS_FEATURES_FIRST_DATE"] = "2025-01-01"  # before the partitions are made; DAY lies outside every window

from cs_features.definitions import build_defs
from cs_features.environments import Settings
from cs_features.feature_group import EVENT_TIME, IDENTIFIER, feature_definitions
from cs_features.local.provision import provision
from cs_features.local.scripted import Script, ScriptedAnswerer
from cs_features.local.stack import LocalStack
from cs_features.orchestration.resources import build_resources
from cs_features.partitions import Partition
from cs_features.services import build_services

REPOSITORY = Path(__file__).resolve().parent.parent
PROMPTS = REPOSITORY / "prompts"
HAIKU_4_5 = "eu.anthropic.claude-haiku-4-5-20251001-v1:0"
DAY = date(2025, 3, 4)

# A busy machine is slow and not wrong.
hypothesis_settings.register_profile("tests", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.load_profile("tests")

_numbers = itertools.count(1)


def document(number: int | str = 1, **changes: Any) -> dict[str, Any]:
    """A landing document that is right in every field; a change to `...` removes the field."""
    made = {
        "interaction_id": str(uuid.uuid5(uuid.NAMESPACE_OID, str(number))),
        "occurred_at": "2025-03-04T09:30:00+01:00",
        "country": "NL",
        "channel": "chat",
        "turns": [
            {"speaker": "customer", "text": f"Mijn pakket {number} is nog niet aangekomen, waar blijft het?"},
            {"speaker": "agent", "text": "Ik kijk het voor u na."},
        ],
        "customer_id": f"c-{number}",
        "language": "nl",
    }
    return {key: value for key, value in (made | changes).items() if value is not ...}


def jsonl(documents: Iterable[Any]) -> bytes:
    """One a line; bytes are taken as they are."""
    return b"".join(
        (each if isinstance(each, bytes) else json.dumps(each, ensure_ascii=False).encode()) + b"\n"
        for each in documents
    )


def id_of(number: int | str) -> str:
    return document(number)["interaction_id"]


@dataclass
class AwsAndModel:
    """The running stack; `answerer.script` may be replaced while it runs."""

    local: LocalStack
    answerer: ScriptedAnswerer


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AwsAndModel]:
    answerer = ScriptedAnswerer(Script())
    with LocalStack(None, answerer=answerer) as local, pytest.MonkeyPatch.context() as patch:
        # Runs on one host share journals and a limiter below the temporary folder: not with an earlier session.
        patch.setattr(tempfile, "tempdir", str(tmp_path_factory.mktemp("host")))
        for name in [name for name in os.environ if name.startswith(("CS_FEATURES_", "AWS_"))]:
            if name != "CS_FEATURES_FIRST_DATE":
                patch.delenv(name)
        for name, value in local.environment.items():
            patch.setenv(name, value)
        patch.setenv("DAGSTER_DISABLE_TELEMETRY", "true")
        provision(local.environment)
        yield AwsAndModel(local, answerer)


class Run:
    """What one run of the job did."""

    def __init__(self, result: dg.ExecuteInProcessResult, instance: dg.DagsterInstance) -> None:
        self.result = result
        self.instance = instance

    @property
    def success(self) -> bool:
        return self.result.success

    @property
    def materialized(self) -> set[str]:
        return {event.asset_key.path[-1] for event in self.result.get_asset_materialization_events()}

    @property
    def checks(self) -> dict[str, dg.AssetCheckEvaluation]:
        return {event.check_name: event for event in self.result.get_asset_check_evaluations()}

    def metadata(self, asset: str) -> dict[str, Any]:
        (event,) = [
            event for event in self.result.get_asset_materialization_events() if event.asset_key.path[-1] == asset
        ]
        return {name: entry.value for name, entry in event.step_materialization_data.materialization.metadata.items()}

    @property
    def errors(self) -> str:
        """All messages of all failed steps, causes included."""
        told = []
        for event in self.result.get_step_failure_events():
            error = event.step_failure_data.error
            while error is not None:
                told.append(error.message)
                error = error.cause
        return "\n".join(told)


class Lab:
    """Buckets, a feature group and definitions that no other test sees."""

    def __init__(self, stack: AwsAndModel, **settings: Any) -> None:
        number = next(_numbers)
        self.stack = stack
        self.s3 = boto3.client("s3")
        self.sagemaker = boto3.client("sagemaker")
        self.runtime = boto3.client("sagemaker-featurestore-runtime")
        names = {"landing_bucket": f"landing-{number}", "data_bucket": f"data-{number}", "feature_group": f"g-{number}"}
        self.settings = Settings(**{**names, "landing_quiet_seconds": 0, "max_concurrency": 8, **settings})
        for bucket in (names["landing_bucket"], names["data_bucket"]):
            self.s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        self._create_group(names["feature_group"], names["data_bucket"])
        self.instance = dg.DagsterInstance.ephemeral()

    def _create_group(self, name: str, bucket: str) -> None:
        self.sagemaker.create_feature_group(
            FeatureGroupName=name,
            RecordIdentifierFeatureName=IDENTIFIER,
            EventTimeFeatureName=EVENT_TIME,
            FeatureDefinitions=feature_definitions(),
            OnlineStoreConfig={"EnableOnlineStore": True},
            OfflineStoreConfig={"S3StorageConfig": {"S3Uri": f"s3://{bucket}/feature-store"}},
            RoleArn="arn:aws:iam::123456789012:role/tests",
        )

    def with_settings(self, **changes: Any) -> "Lab":
        """The same buckets and instance, under other settings."""
        other = object.__new__(Lab)
        other.__dict__.update(self.__dict__)
        other.settings = type(self.settings)(**{**self.settings.model_dump(), **changes})
        return other

    @property
    def resources(self) -> dict[str, Any]:
        return dict(build_resources(build_services(self.settings)))

    @property
    def definitions(self) -> dg.Definitions:
        return build_defs(**self.resources)

    def land(self, country: str, day: date | str, filename: str, body: bytes) -> str:
        key = f"interactions/country={country}/date={day}/{filename}"
        self.s3.put_object(Bucket=self.settings.landing_bucket, Key=key, Body=body)
        return key

    def unland(self, key: str) -> None:
        self.s3.delete_object(Bucket=self.settings.landing_bucket, Key=key)

    def process(self, country: str = "NL", day: date = DAY, *, only: list[str] | None = None) -> Run:
        """Run `process_interactions` for one partition, or the assets (and their checks) named in `only`."""
        result = self.definitions.resolve_job_def("process_interactions").execute_in_process(
            partition_key=Partition(country, day).key,
            instance=self.instance,
            asset_selection=[dg.AssetKey(name) for name in only] if only else None,
            raise_on_error=False,
        )
        return Run(result, self.instance)

    def table_bytes(self, table: str, country: str = "NL", day: date = DAY) -> bytes:
        key = f"{table}/country={country}/date={day}/data.parquet"
        return self.s3.get_object(Bucket=self.settings.data_bucket, Key=key)["Body"].read()

    def table(self, table: str, country: str = "NL", day: date = DAY) -> pl.DataFrame:
        return pl.read_parquet(io.BytesIO(self.table_bytes(table, country, day)), hive_partitioning=False)

    def overwrite(
        self, table: str, change: Callable[[pl.DataFrame], pl.DataFrame], country: str = "NL", day: date = DAY
    ) -> None:
        """Tamper with a table behind Dagster's back."""
        buffer = io.BytesIO()
        change(self.table(table, country, day)).write_parquet(buffer)
        key = f"{table}/country={country}/date={day}/data.parquet"
        self.s3.put_object(Bucket=self.settings.data_bucket, Key=key, Body=buffer.getvalue())

    def online(self, identifier: str) -> dict[str, str] | None:
        """The record that the feature group serves, or None."""
        answer = self.runtime.get_record(
            FeatureGroupName=self.settings.feature_group, RecordIdentifierValueAsString=identifier
        )
        record = answer.get("Record")
        return {pair["FeatureName"]: pair["ValueAsString"] for pair in record} if record else None

    def calls(self, operation: str) -> int:
        """How often the Feature Store runtime was called since the stack started."""
        return self.stack.local.feature_store.stats()["calls"].get(operation, 0)


@pytest.fixture
def lab(stack: AwsAndModel) -> Iterator[Lab]:
    made = Lab(stack)
    yield made
    stack.answerer.script = Script()
    made.instance.dispose()


@pytest.fixture
def make_lab(stack: AwsAndModel) -> Iterator[Callable[..., Lab]]:
    """Laboratories with other settings."""
    yield lambda **settings: Lab(stack, **settings)
    stack.answerer.script = Script()


def gz(body: bytes) -> bytes:
    return gzip.compress(body, mtime=0)
