"""`landing_sensor`: which partitions changed in the landing bucket, and which of them to run now.

Level-triggered: it compares what is there with what was last asked for, and keeps no cursor of keys, so late,
replaced and out-of-order files are all seen, and so are the notices that partitions leave each other
(`landing/corrections.py`). Here: what it looks at and what it says. Not here: what it decides
(`landing_decision.py`) and remembers (`landing_memory.py`).
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone

import dagster as dg

from cs_features.errors import AwsRefusal
from cs_features.landing.corrections import list_notices
from cs_features.landing.zone import LandingZone, is_document_file
from cs_features.monitoring.findings import Differences, FindingKind, read_differences
from cs_features.monitoring.heartbeat import is_beat_due, write_heartbeat
from cs_features.orchestration.failures import read_cause
from cs_features.orchestration.jobs import process_interactions
from cs_features.orchestration.partitions import interaction_partitions
from cs_features.orchestration.resources import DataBucket, Landing
from cs_features.orchestration.sensors.landing_decision import (
    Decision,
    Failed,
    Folder,
    Limits,
    Observed,
    Reason,
    decide_runs,
)
from cs_features.orchestration.sensors.landing_memory import Cursor, Request, read_cursor
from cs_features.partitions import Partition
from cs_features.s3 import StoredObject
from cs_features.storage import Tables

REFUSED = "AWS refused. "  # how the tick begins that could not look; alerts count them
REASON_TAG = "cs_features/reason"
SHOWN = 20  # names in one message
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


@dataclass(frozen=True)
class Window:
    """The days that the sensor looks at, both included, of the countries that the project knows.

    `earlier` are keys of partitions before them that a reconciliation has found: a document of the window has
    superseded one of theirs.
    """

    since: date
    today: date
    earlier: frozenset[str] = frozenset()

    def find_partition(self, country: str, folder: str) -> Partition | None:
        """The partition of a folder `date=YYYY-MM-DD`; None for any other, and for a day that is none yet."""
        try:
            partition = Partition(country, date.fromisoformat(folder.removeprefix("date=")))
        except ValueError:
            return None
        is_a_day = folder == f"date={partition.date.isoformat()}"
        return partition if is_a_day and self.holds(partition.key) else None

    def holds(self, key: str) -> bool:
        # One request for an unknown partition would fail the whole tick, and every tick after it.
        if not interaction_partitions.has_partition_key(key):
            return False
        return key in self.earlier or self.since <= Partition.from_key(key).date <= self.today


def find_window(landing: Landing, now: datetime, differences: Differences) -> Window:
    since = now.date() - timedelta(days=landing.window_days)
    superseded = {key for key, kinds in differences.findings.items() if FindingKind.SUPERSEDED.value in kinds}
    return Window(since, now.date(), frozenset(superseded))


@dataclass(frozen=True)
class Landscape:
    """What the landing bucket holds: each partition's folder by its key, and the folders that are of no partition."""

    folders: Mapping[str, Folder]
    strays: list[str]


def fingerprint_folder(objects: Sequence[StoredObject]) -> Folder:
    """What a folder and the notices for it are now; any change of them is another fingerprint."""
    # With the time, a file that is replaced and put back is a change again: Dagster never runs a key twice.
    lines = sorted(f"{item.key}\t{item.etag}\t{item.size}\t{item.last_modified.timestamp()}" for item in objects)
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    return Folder(digest[:16], max(item.last_modified for item in objects))


def survey_landing(
    zone: LandingZone, window: Window, notices: Mapping[str, Sequence[StoredObject]] | None = None
) -> Landscape:
    """Every partition of the window that holds documents, and the stray folders.

    `notices` are those that other partitions left, by folder: each is a change of its partition, as a file is.
    """
    known = set(interaction_partitions.get_partitions_def_for_dimension("country").get_partition_keys())
    strays = [f"country={country}" for country in zone.list_country_folders() if country not in known]
    folders = {}
    for country in sorted(known):
        for folder, objects in group_by_folder(zone, country, window.since).items():
            partition = window.find_partition(country, folder)
            if partition is None:
                strays.append(f"country={country}/{folder}")
            else:
                found = [*objects, *(notices or {}).get(partition.folder, [])]
                folders[partition.key] = fingerprint_folder(found)
    for key in filter(window.holds, window.earlier - folders.keys()):
        partition = Partition.from_key(key)
        documents = zone.list_documents(partition).objects
        if documents:
            folders[key] = fingerprint_folder([*documents, *(notices or {}).get(partition.folder, [])])
    return Landscape(folders, sorted(strays))


def group_by_folder(zone: LandingZone, country: str, since: date) -> dict[str, list[StoredObject]]:
    """The document files of a country by the folder below it."""
    by_folder: dict[str, list[StoredObject]] = {}
    for item in zone.list_folder(f"country={country}", start_after_date=since).objects:
        if is_document_file(item):
            by_folder.setdefault(item.key.split("/")[2], []).append(item)
    return by_folder


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
    found = tables.bucket.list_objects("feature_store/country=").objects
    manifests = [item for item in found if item.name == "data.parquet"]
    return {item.key.split("/", 1)[1].rsplit("/", 1)[0]: item for item in manifests}


def beat(instance: dg.DagsterInstance, tables: Tables, last: datetime | None, now: datetime) -> datetime:
    """Say every few minutes, for who watches from outside, that the sensor looks; returns when it last did."""
    if last is not None and not is_beat_due(last, now):
        return last
    write_heartbeat(tables.bucket, name_stopped_daemons(instance))
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


def make_run_request(cursor: Cursor, key: str, request: Request, reason: Reason) -> dg.RunRequest:
    return dg.RunRequest(
        run_key=cursor.run_key(key, request),
        partition_key=key,
        run_config=configure_run(request),
        tags={REASON_TAG: reason.value},
    )


def name_some(names: Collection[str]) -> str:
    shown = ", ".join(sorted(names)[:SHOWN])
    return f"{shown} and {len(names) - SHOWN} more" if len(names) > SHOWN else shown


def describe_tick(decision: Decision, landscape: Landscape, emptied: Collection[str], window: Window) -> list[str]:
    """What somebody who looks at the tick should read, the most urgent first."""
    lines = []
    if emptied:
        lines.append(f"documents are gone and features still served, so nothing was run for {name_some(emptied)}")
    if decision.given_up:
        lines.append(f"failed and not tried again: {name_some(decision.given_up)}")
    if landscape.strays:
        lines.append(
            f"not partitions of this project: {name_some(landscape.strays)} (a new country is one when the definitions "
            "have been reloaded)"
        )
    if decision.settling:
        lines.append(f"still changing: {name_some(decision.settling)}")
    elif not decision.runs:
        lines.append(f"{len(landscape.folders)} partitions with documents since {window.since}, none changed")
    return lines


@dg.sensor(
    job=process_interactions,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Asks for a run of each partition whose landing folder changed and then came to rest.",
)
def landing_sensor(
    context: dg.SensorEvaluationContext, landing: Landing, data: DataBucket
) -> dg.SensorResult | dg.SkipReason:
    now = utc_now()
    recalled = read_cursor(context.cursor, landing.bucket, now)
    tables = data.tables()
    try:
        differences = read_differences(tables)
        window = find_window(landing, now, differences)
        cursor = recalled.cursor.keep_partitions(window.holds)
        landscape = survey_landing(landing.zone(), window, list_notices(tables))
        differences = differences.select_partitions(window.holds)
        observed = Observed(now, landscape.folders, find_failures(context.instance, cursor, now), differences)
        limits = Limits(timedelta(seconds=landing.quiet_seconds), landing.max_requests)
        decision = decide_runs(cursor, observed, limits)
        emptied = find_emptied(decision.emptied, cursor.emptied, tables)
        beat_at = beat(context.instance, tables, cursor.beat_at, now)
    except AwsRefusal as error:
        # A failed listing is not an empty bucket: the cursor stays.
        return dg.SkipReason(f"{REFUSED}{error}")
    lines = describe_tick(decision, landscape, emptied, window)
    if recalled.warning:
        context.log.warning(recalled.warning)
        lines.insert(0, recalled.warning)
    if emptied or decision.given_up or landscape.strays:
        context.log.warning("; ".join(lines))
    forgotten = set(decision.emptied) - set(emptied)
    remembered = cursor.keep_partitions(lambda key: key not in forgotten)
    remembered = remembered.remember_decision(decision.runs, decision.settling, now)
    return dg.SensorResult(
        run_requests=[
            make_run_request(cursor, key, request, decision.reasons[key]) for key, request in decision.runs.items()
        ],
        skip_reason=None if decision.runs else "; ".join(lines),
        cursor=remembered.model_copy(update={"emptied": emptied, "beat_at": beat_at}).model_dump_json(
            exclude_defaults=True
        ),
    )
