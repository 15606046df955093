"""`landing_sensor`: which partitions changed in the landing bucket, and which of them to run now.

Level-triggered: it compares what is there with what was last asked for, and keeps no cursor of keys, so late,
replaced and out-of-order files are all seen, and so are the notices that partitions leave each other
(`landing/corrections.py`). Here: a tick, and what it says. Not here: what it lists (`landing_survey.py`), decides
(`landing_decision.py`) and remembers (`landing_memory.py`).
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta, timezone

import dagster as dg

from cs_features.errors import AwsRefusal
from cs_features.landing.notices import list_partition_notices
from cs_features.monitoring.findings import read_reconciled_differences
from cs_features.monitoring.heartbeat import is_beat_due, write_daemon_heartbeat
from cs_features.orchestration.boundary import guard_boundary
from cs_features.orchestration.failures import read_cause
from cs_features.orchestration.jobs import process_interactions
from cs_features.orchestration.resources import DataBucket, Landing
from cs_features.orchestration.sensors.landing_decision import (
    Decision,
    Failed,
    Limits,
    Observed,
    Reason,
    decide_runs,
)
from cs_features.orchestration.sensors.landing_memory import Cursor, Request, read_cursor
from cs_features.orchestration.sensors.landing_survey import (
    Landscape,
    Scope,
    Window,
    choose_scope,
    fill_unlisted,
    find_window,
    survey_landing,
)
from cs_features.partitions import Partition
from cs_features.planning.priorities import tag_landed_day
from cs_features.s3 import StoredObject
from cs_features.storage import Tables

REFUSED = "AWS refused. "  # how the tick begins that could not look; alerts count them
REASON_TAG = "cs_features/reason"
SHOWN = 20  # names in one message
MOST_STRAYS = 50  # remembered between two listings of the window
FAILURES_SINCE = timedelta(days=2)
# Runs of a country's day have this tag; runs of a week, whose keys look the same, do not.
DAY_TAG = "dagster/partition/date"
CAUSES_ARE_IN = {
    dg.DagsterEventType.STEP_FAILURE,
    dg.DagsterEventType.RUN_FAILURE,
    dg.DagsterEventType.RUN_CANCELING,
}


def utc_now() -> datetime:
    return datetime.now(timezone.utc)


def find_failures(instance: dg.DagsterInstance, cursor: Cursor, now: datetime) -> dict[str, Failed]:
    """Partitions whose latest run is the one last asked for, and failed or was stopped."""
    filters = dg.RunsFilter(
        job_name=process_interactions.name,
        statuses=[dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED],
        updated_after=now - FAILURES_SINCE,
    )
    wanted = {cursor.run_key(key, request): key for key, request in cursor.asked.items()}
    found = {}
    for record in instance.get_run_records(filters=filters, limit=500):
        run, run_key = record.dagster_run, record.dagster_run.tags.get("dagster/run_key", "")
        if run_key not in wanted or record.end_time is None or not is_latest_run(instance, run):
            continue
        cause = read_cause(run.status, list_events(instance, run.run_id))
        found[wanted[run_key]] = Failed(run_key, datetime.fromtimestamp(record.end_time, timezone.utc), cause)
    return found


def list_events(instance: dg.DagsterInstance, run_id: str) -> list[dg.DagsterEvent]:
    """Events of a run that its end may be explained by."""
    records = instance.get_records_for_run(run_id, of_type=CAUSES_ARE_IN).records
    events = [record.event_log_entry.dagster_event for record in records]
    return [event for event in events if event is not None]


def is_latest_run(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether its partition has not been run since, by whatever job or hand."""
    tags = {name: run.tags[name] for name in ("dagster/partition", DAY_TAG) if name in run.tags}
    latest = instance.get_runs(filters=dg.RunsFilter(tags=tags), limit=1)
    return latest[0].run_id == run.run_id


def find_emptied(keys: Collection[str], before: Mapping[str, str], tables: Tables) -> dict[str, str]:
    """Of partitions without documents those that are served, with the ETag of the manifest that says so.

    A manifest is read once and again only after somebody has run the partition.
    """
    manifests = list_manifests(tables) if keys else {}
    emptied = {}
    for key in keys:
        partition = Partition.from_key(key)
        manifest = manifests.get(partition.folder)
        if manifest is None:
            continue
        if before.get(key) == manifest.etag or tables.height("feature_store", partition):
            emptied[key] = manifest.etag
    return emptied


def list_manifests(tables: Tables) -> dict[str, StoredObject]:
    """The manifest of each partition that was ever published, by folder."""
    found = tables.bucket.list_bucket_objects("feature_store/country=").objects
    manifests = [item for item in found if item.name == "data.parquet"]
    return {item.key.split("/", 1)[1].rsplit("/", 1)[0]: item for item in manifests}


def beat_if_due(instance: dg.DagsterInstance, tables: Tables, last: datetime | None, now: datetime) -> datetime:
    """Say every few minutes, for who watches from outside, that the sensor looks; returns when it last did."""
    if last is not None and not is_beat_due(last, now):
        return last
    write_daemon_heartbeat(tables.bucket, name_stopped_daemons(instance))
    return now


def name_stopped_daemons(instance: dg.DagsterInstance) -> list[str]:
    """Dagster's daemons that should live and give no sign of it."""
    statuses = instance.get_daemon_statuses()
    return sorted(name for name, status in statuses.items() if status.required and not status.healthy)


def configure_run(request: Request) -> dict[str, object]:
    """The run's configuration: what landed is asked, what was answered before another prompt is not asked again."""
    ops: dict[str, object] = {"llm_extractions": {"config": {"reextract": False}}}
    if request.verify_online:
        ops["feature_store"] = {"config": {"verify_online": True}}
    return {"ops": ops}


def make_run_request(cursor: Cursor, key: str, request: Request, reason: Reason, today: date) -> dg.RunRequest:
    return dg.RunRequest(
        run_key=cursor.run_key(key, request),
        partition_key=key,
        run_config=configure_run(request),
        tags={REASON_TAG: reason.value, **tag_landed_day(Partition.from_key(key).date, today)},
    )


def name_some(names: Collection[str]) -> str:
    shown = ", ".join(sorted(names)[:SHOWN])
    return f"{shown} and {len(names) - SHOWN} more" if len(names) > SHOWN else shown


@dataclass(frozen=True)
class Tick:
    """What one tick saw and decided. `emptied` are served partitions without documents, with their manifests' ETags."""

    cursor: Cursor
    window: Window
    landscape: Landscape
    decision: Decision
    emptied: Mapping[str, str]

    @property
    def is_alarming(self) -> bool:
        return bool(self.emptied or self.decision.given_up or self.landscape.strays or self.landscape.refused)

    def describe_tick(self) -> list[str]:
        """What somebody who looks at the tick should read, the most urgent first."""
        lines = [f"{country} is left as it was: {error}" for country, error in self.landscape.refused.items()]
        if self.emptied:
            told = name_some(self.emptied)
            lines.append(f"documents are gone and features still served, so nothing was run for {told}")
        if self.decision.given_up:
            lines.append(f"failed and not tried again: {name_some(self.decision.given_up)}")
        if self.landscape.strays:
            lines.append(
                f"not partitions of this project: {name_some(self.landscape.strays)} (a new country is one when the "
                "definitions have been reloaded)"
            )
        if self.decision.settling:
            lines.append(f"still changing: {name_some(self.decision.settling)}")
        elif not self.decision.runs:
            count = len(self.landscape.folders)
            lines.append(f"{count} partitions with documents since {self.window.since}, none changed")
        return lines

    def update_memory(self, now: datetime) -> Cursor:
        """The cursor for the next tick: without partitions that have no documents and are not served."""
        forgotten = set(self.decision.emptied) - set(self.emptied)
        kept = self.cursor.keep_partitions(lambda key: key not in forgotten)
        kept = kept.remember_decision(self.decision.runs, [*self.decision.settling, *self.decision.postponed], now)
        return kept.model_copy(update={"emptied": dict(self.emptied), "strays": self.landscape.strays[:MOST_STRAYS]})


def look_around(
    instance: dg.DagsterInstance, landing: Landing, data: DataBucket, recalled: Cursor, now: datetime
) -> Tick:
    """List what is due, decide, and say that the sensor lives.

    Raises:
        AwsRefusal: a listing or a file of ours was refused: nothing is decided on half of it.
    """
    tables = data.tables()
    differences = read_reconciled_differences(tables)
    window = find_window(landing.window_days, now, differences)
    cursor = recalled.keep_partitions(window.holds)
    differences = differences.select_finding_partitions(window.holds)
    known = Observed(now, {}, find_failures(instance, cursor, now), differences)
    limits = make_limits(landing)
    notices = list_partition_notices(tables)
    scope = choose_scope(cursor, known, notices, window, limits)
    seen = survey_landing(landing.zone(), window, notices, scope)
    scope = replace(scope, refused=frozenset(seen.refused))
    landscape = complete_landscape(seen, scope, cursor, now)
    # A finding about a partition that was never asked for waits for the listing of the window.
    findings = differences.select_finding_partitions(lambda key: scope.covers(key) or key in cursor.asked)
    decision = decide_runs(cursor, replace(known, folders=landscape.folders, differences=findings), limits)
    emptied = update_emptied(decision.emptied, scope, cursor, tables)
    marks = {"beat_at": beat_if_due(instance, tables, cursor.beat_at, now)}
    if scope.is_whole:
        marks["surveyed_at"] = now
    return Tick(cursor.model_copy(update=marks), window, landscape, decision, emptied)


def make_limits(landing: Landing) -> Limits:
    quiet, patience = timedelta(seconds=landing.quiet_seconds), timedelta(seconds=landing.patience_seconds)
    return Limits(quiet, patience, landing.max_requests)


def complete_landscape(seen: Landscape, scope: Scope, cursor: Cursor, now: datetime) -> Landscape:
    """What was listed, and of the rest what is remembered."""
    strays = seen.strays if scope.is_whole else sorted({*seen.strays, *cursor.strays})
    return Landscape(fill_unlisted(seen.folders, scope, cursor, now), strays, seen.refused)


def update_emptied(keys: Collection[str], scope: Scope, cursor: Cursor, tables: Tables) -> dict[str, str]:
    """Served partitions without documents: those just listed are looked up, the others stay what they were."""
    listed = [key for key in keys if scope.covers(key)]
    remembered = {key: etag for key, etag in cursor.emptied.items() if not scope.covers(key)}
    return {**remembered, **find_emptied(listed, cursor.emptied, tables)}


@dg.sensor(
    job=process_interactions,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Asks for a run of each partition whose landing folder changed and then came to rest.",
)
@guard_boundary
def landing_sensor(
    context: dg.SensorEvaluationContext, landing: Landing, data: DataBucket
) -> dg.SensorResult | dg.SkipReason:
    now = utc_now()
    recalled = read_cursor(context.cursor, landing.bucket, now)
    try:
        tick = look_around(context.instance, landing, data, recalled.cursor, now)
    except AwsRefusal as error:
        # A failed listing is not an empty bucket: the cursor stays.
        return dg.SkipReason(f"{REFUSED}{error}")
    lines = tick.describe_tick()
    if recalled.warning:
        context.log.warning(recalled.warning)
        lines.insert(0, recalled.warning)
    if tick.is_alarming:
        context.log.warning("; ".join(lines))
    decision = tick.decision
    return dg.SensorResult(
        run_requests=[
            make_run_request(tick.cursor, key, request, decision.reasons[key], now.date())
            for key, request in decision.runs.items()
        ],
        skip_reason=None if decision.runs else "; ".join(lines),
        cursor=tick.update_memory(now).model_dump_json(exclude_defaults=True),
    )
