"""Ticks and runs of the storm: the product's sensor and jobs, in one process, with calls that may be the last.

Not here: what time it is (`storm_clock.py`), what is true (`storm_world.py`) and what happens (`storm_rounds.py`).
"""

import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import boto3
import dagster as dg

from cs_features.definitions import build_defs
from cs_features.environments import settings
from cs_features.extraction import brakes, engine
from cs_features.orchestration.resources import build_resources
from cs_features.partitions import Partition
from cs_features.services import Services, build_services_from


class Killed(BaseException):
    """The process is gone: nothing that the product catches."""


class Calls:
    """Counts what this process asks of AWS; from one call on, none is made any more."""

    def __init__(self) -> None:
        self.made = 0
        self.last: int | None = None
        boto3.setup_default_session()
        boto3.DEFAULT_SESSION._session.register("before-send", self._before_send)

    def _before_send(self, **_: Any) -> None:
        self.made += 1
        if self.last is not None and self.made > self.last:
            raise Killed

    @contextmanager
    def end_after(self, calls: int) -> Iterator[None]:
        self.last = self.made + calls
        try:
            yield
        finally:
            self.last = None


class Deployment:
    """The code location under one set of settings, as Dagster has loaded it."""

    def __init__(self, **changes: Any) -> None:
        self.services: Services = build_services_from(settings().model_copy(update=changes))
        self.resources = dict(build_resources(self.services))
        self.definitions = build_defs(**self.resources)


class Operations:
    """What daemon and sensors do, one thing after the other."""

    def __init__(self) -> None:
        engine.MAX_BACKOFF_SECONDS = 0.05
        brakes.OUTAGE_SECONDS = 1.0
        self.calls = Calls()
        self.instance = dg.DagsterInstance.ephemeral()
        self.cursor: str | None = None
        self.run_keys: set[str] = set()
        self.runs = self.failed = 0
        self.calls_of_last_run = 1

    def tick(self, deployment: Deployment) -> list[dg.RunRequest]:
        """One tick of the landing sensor: the runs that the daemon would launch."""
        definition = deployment.definitions.resolve_sensor_def("landing_sensor")
        context = dg.build_sensor_context(
            instance=self.instance,
            cursor=self.cursor,
            definitions=deployment.definitions,
            resources=deployment.resources,
        )
        ticked = definition.evaluate_tick(context)
        self.cursor = ticked.cursor or self.cursor
        fresh = [each for each in ticked.run_requests or [] if each.run_key not in self.run_keys]
        self.run_keys |= {each.run_key for each in fresh if each.run_key}
        return fresh

    def launch(self, deployment: Deployment, request: dg.RunRequest, calls: int | None = None) -> bool:
        """Run what the sensor asked for; with `calls`, its process dies after so many calls."""
        tags = {**request.tags, "dagster/run_key": request.run_key or ""}
        return self._run(
            deployment, "process_interactions", str(request.partition_key), tags, request.run_config, calls
        )

    def run_by_hand(self, deployment: Deployment, job: str, partition: Partition | None = None) -> bool:
        return self._run(deployment, job, partition.key if partition else None, {}, {}, None)

    def _run(
        self,
        deployment: Deployment,
        job: str,
        key: str | None,
        tags: Mapping[str, str],
        config: Mapping[str, Any],
        calls: int | None,
    ) -> bool:
        self.runs += 1
        made_before = self.calls.made
        run_id = str(uuid.uuid4())
        definition = deployment.definitions.resolve_job_def(job)
        try:
            with self.calls.end_after(calls if calls is not None else 1_000_000_000):
                succeeded = definition.execute_in_process(
                    run_config=dict(config) or None,
                    partition_key=key,
                    instance=self.instance,
                    run_id=run_id,
                    tags=dict(tags),
                    raise_on_error=False,
                ).success
        except Killed:
            succeeded = False
            self._bury_run(run_id)
        self.failed += not succeeded
        if succeeded:
            self.calls_of_last_run = self.calls.made - made_before
        return succeeded

    def _bury_run(self, run_id: str) -> None:
        """What run monitoring does with a run whose process is gone."""
        run = self.instance.get_run_by_id(run_id)
        if run is not None and not run.is_finished:
            self.instance.report_run_failed(run, "its process is gone")
