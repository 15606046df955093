"""A laboratory on the local AWS for each test: buckets, a feature group and definitions of its own, and runs on them.

Everything goes through real boto3. The stack is one for the session, because moto allows one a process.
"""

import io
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
from dagster_shared.record import copy

from cs_features.aws import client
from cs_features.customers.serving import CUSTOMERS
from cs_features.definitions import build_defs
from cs_features.environments import Settings
from cs_features.local.provision import create_group
from cs_features.local.scripted import ScriptedAnswerer
from cs_features.local.stack import LocalStack
from cs_features.orchestration.resources import build_resources
from cs_features.partitions import Partition
from cs_features.publishing.feature_group import INTERACTIONS
from cs_features.services import build_services_from, s3_client
from cs_features_tests.support.documents import DAY
from cs_features_tests.support.memory_instance import memory_instance

REPOSITORY = Path(__file__).resolve().parents[2]
PROMPTS = REPOSITORY / "prompts"
HAIKU_4_5 = "eu.anthropic.claude-haiku-4-5-20251001-v1:0"

_numbers = itertools.count(1)


@dataclass
class AwsAndModel:
    """The running stack; `answerer.script` may be replaced while it runs."""

    local: LocalStack
    answerer: ScriptedAnswerer

    @cached_property
    def clients(self) -> dict[str, Any]:
        """The tests' own, made once: each costs as much as five calls."""
        return {name: client(name) for name in ("s3", "sagemaker", "sagemaker-featurestore-runtime")}


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
        found = self.result.get_asset_check_evaluations()
        return {each.check_name: copy(each, metadata=self._strip_country(each.metadata)) for each in found}

    def metadata(self, asset: str) -> dict[str, Any]:
        (event,) = [
            event for event in self.result.get_asset_materialization_events() if event.asset_key.path[-1] == asset
        ]
        metadata = self._strip_country(event.step_materialization_data.materialization.metadata)
        return {name: entry.value for name, entry in metadata.items()}

    def _strip_country(self, metadata: Mapping[str, Any]) -> dict[str, Any]:
        """Numbers under their own names, without the run's country."""
        country = self.result.dagster_run.tags.get("dagster/partition", "")[:2]
        return {name.removesuffix(f"_{country}"): entry for name, entry in metadata.items()}

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

    console_level = "CRITICAL"  # what runs print: nobody reads it

    def __init__(self, stack: AwsAndModel, **settings: Any) -> None:
        number = next(_numbers)
        self.stack = stack
        self.s3, self.sagemaker, self.runtime = stack.clients.values()
        names = {"landing_bucket": f"landing-{number}", "data_bucket": f"data-{number}", "feature_group": f"g-{number}"}
        names["customer_feature_group"] = ""  # a test that needs it calls `with_customers`
        # A quota that nobody reaches: stated, it is asked of nobody.
        usual = {"landing_quiet_seconds": 0, "max_concurrency": 8, "requests_per_minute": 600_000}
        self.settings = Settings(**{**names, **usual, **settings})
        for bucket in (names["landing_bucket"], names["data_bucket"]):
            self.s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        self._create_group(names["feature_group"], names["data_bucket"])
        self.instance = memory_instance()

    def _create_group(self, name: str, bucket: str) -> None:
        create_group(self.sagemaker, name, INTERACTIONS, bucket)

    def with_customers(self) -> "Lab":
        """The same with a second feature group, of customers' features."""
        name = f"{self.settings.feature_group}-customers"
        create_group(self.sagemaker, name, CUSTOMERS, self.settings.data_bucket)
        return self.with_settings(customer_feature_group=name)

    def with_settings(self, **changes: Any) -> "Lab":
        """The same buckets and instance, under other settings."""
        other = object.__new__(Lab)
        other.__dict__.update(self.__dict__)
        other.__dict__.pop("definitions", None)
        other.settings = type(self.settings)(**{**self.settings.model_dump(), **changes})
        return other

    @property
    def resources(self) -> dict[str, Any]:
        return dict(build_resources(build_services_from(self.settings)))

    @cached_property
    def definitions(self) -> dg.Definitions:
        return build_defs(**self.resources)

    def land(self, country: str, day: date | str, filename: str, body: bytes) -> str:
        key = f"interactions/country={country}/date={day}/{filename}"
        self.s3.put_object(Bucket=self.settings.landing_bucket, Key=key, Body=body)
        return key

    def unland(self, key: str) -> None:
        self.s3.delete_object(Bucket=self.settings.landing_bucket, Key=key)

    def process(
        self,
        country: str = "NL",
        day: date = DAY,
        *,
        only: list[str] | None = None,
        run_config: dict[str, Any] | None = None,
    ) -> Run:
        """Run `process_interactions` for one partition, or the assets (and their checks) named in `only`."""
        console = {"loggers": {"console": {"config": {"log_level": self.console_level}}}}
        result = self.definitions.resolve_job_def("process_interactions").execute_in_process(
            partition_key=Partition(country, day).key,
            instance=self.instance,
            asset_selection=[dg.AssetKey(name) for name in only] if only else None,
            run_config={**console, **(run_config or {})},
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

    def count_listings(self, act: Callable[[], Any]) -> int:
        """How many ListObjectsV2 the product sends while it does something."""
        listed: list[str] = []
        events = s3_client().meta.events

        def count_listing(**_: Any) -> None:
            listed.append("listed")

        events.register("before-send.s3.ListObjectsV2", count_listing)
        try:
            act()
        finally:
            events.unregister("before-send.s3.ListObjectsV2", count_listing)
        return len(listed)

    def calls(self, operation: str) -> int:
        """How often the Feature Store runtime was called since the stack started."""
        return self.stack.local.feature_store.stats()["calls"].get(operation, 0)
