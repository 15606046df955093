"""`landing_sensor`: which partitions changed in the landing bucket, and which of them to run now.

Level-triggered: it compares what is there with what was last asked for, and keeps no cursor of keys,
so late, replaced, deleted and out-of-order files are all seen, and so are the notes that partitions leave
each other (`superseding.py`). `decide` is pure; the sensor gathers its inputs and wraps its answer.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone

import dagster as dg
from pydantic import BaseModel

from cs_features.errors import AwsRefusal
from cs_features.landing.corrections import list_notices
from cs_features.landing.zone import LandingZone, is_document_file
from cs_features.monitoring.findings import Differences, read_differences
from cs_features.orchestration.jobs import process_interactions
from cs_features.orchestration.partitions import interaction_partitions
from cs_features.orchestration.resources import DataBucket, Landing
from cs_features.partitions import Partition
from cs_features.s3 import StoredObject

EMPTY = "empty"
REFUSED = "AWS refused. "  # how the tick begins that could not look; alerts count them
# A folder that never rests is run all the same when it has been changing for so long.
PATIENCE = timedelta(minutes=5)
# How often a run is asked for in all, and how long after the first and the second failure.
MAX_TRIES = 3
RETRY_AFTER = (timedelta(minutes=5), timedelta(minutes=30))


@dataclass(frozen=True)
class Observed:
    """One partition's folder and notes now: a fingerprint of (key, ETag, size, time), and when they last changed."""

    fingerprint: str
    last_modified: datetime


class Asked(BaseModel):
    """What was last asked for a partition: the state of its folder, how often, and why again."""

    fingerprint: str
    tries: int = 1
    reconciled: str = ""  # the reconciliation that found it differing
    change: int = 0  # how often it had changed before; a state comes back when a file that was added is deleted

    def run_key(self, partition: str) -> str:
        """Dagster never runs one key twice, so each reason to run again is part of it."""
        key = f"{partition}:{self.fingerprint}"
        if self.change:
            key += f":{self.change}"
        if self.reconciled:
            key += f":{self.reconciled}"
        return key if self.tries == 1 else f"{key}:try{self.tries}"


class Cursor(BaseModel):
    """The sensor's memory, of the window's partitions alone: some 100 bytes each."""

    asked: dict[str, Asked] = {}
    changing_since: dict[str, datetime] = {}


@dataclass(frozen=True)
class Decision:
    """Partitions to run now, those still changing, those left for the next tick, those given up."""

    run: dict[str, Asked]
    settling: list[str]
    postponed: list[str]
    given_up: list[str]


def decide(
    cursor: Cursor,
    observed: Mapping[str, Observed],
    failures: Mapping[str, datetime],
    differences: Differences,
    now: datetime,
    quiet: timedelta,
    limit: int,
) -> Decision:
    """Compare what was asked for with what is there.

    A changed partition whose newest file is younger than `quiet` waits, so that a trickle of files becomes
    a run every few minutes; after `PATIENCE` it waits no longer. A folder that was emptied is run once
    more. `failures` are the run keys that failed, with when; such a run is asked for again, a limited
    number of times. A partition that reconciliation found differing is run once for that finding.
    Newest days go first.
    """
    ready: dict[str, Asked] = {}
    settling, given_up = [], []
    for key in observed.keys() | cursor.asked.keys() | differences.partitions:
        before, found = cursor.asked.get(key), observed.get(key)
        change = before.change + 1 if before else 0
        if found is not None and (before is None or before.fingerprint != found.fingerprint):
            changing_for = now - cursor.changing_since.get(key, now)
            if now - found.last_modified < quiet and changing_for < PATIENCE:
                settling.append(key)
                continue
            asked: Asked | None = Asked(fingerprint=found.fingerprint, change=change)
        elif found is None and (before is None or not before.fingerprint.startswith(EMPTY)):
            asked = Asked(fingerprint=f"{EMPTY}-{before.fingerprint}" if before else EMPTY, change=change)
        else:
            assert before is not None
            asked = _again(before, failures.get(before.run_key(key)), now)
            if asked is before:
                given_up.append(key)
                asked = None
        # A run for any other reason mends what was found, too.
        finding = differences.found_by if key in differences.partitions else ""
        if asked is not None and asked.tries == 1:
            ready[key] = asked.model_copy(update={"reconciled": finding})
        elif finding and before is not None and before.reconciled != finding:
            ready[key] = before.model_copy(update={"tries": 1, "reconciled": finding})
        elif asked is not None:
            ready[key] = asked
    order = sorted(ready, key=lambda key: (Partition.from_key(key).date, key), reverse=True)
    return Decision(
        run={key: ready[key] for key in order[:limit]},
        settling=sorted(settling),
        postponed=order[limit:],
        given_up=sorted(given_up),
    )


def _again(before: Asked, failed_at: datetime | None, now: datetime) -> Asked | None:
    """The next try of a run that failed, None when it is not time for one, `before` itself to give up."""
    if failed_at is None:
        return None
    if before.tries >= MAX_TRIES:
        return before
    return (
        before.model_copy(update={"tries": before.tries + 1})
        if now - failed_at >= RETRY_AFTER[before.tries - 1]
        else None
    )


def next_cursor(cursor: Cursor, decision: Decision, now: datetime, since: date) -> Cursor:
    """What to remember: what was asked for by now, and since when the others have been changing."""
    asked = {key: value for key, value in cursor.asked.items() if Partition.from_key(key).date >= since}
    changing = {key: cursor.changing_since.get(key, now) for key in decision.settling}
    return Cursor(asked=asked | decision.run, changing_since=changing)


def observe(objects: list[StoredObject]) -> Observed:
    # With the time, a file that is replaced and put back is a change again: Dagster never runs a key twice.
    lines = sorted(f"{item.key}\t{item.etag}\t{item.size}\t{item.last_modified.timestamp()}" for item in objects)
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    return Observed(digest[:16], max(item.last_modified for item in objects))


def look(
    zone: LandingZone, since: date, notes: Mapping[str, list[StoredObject]] | None = None
) -> tuple[dict[str, Observed], list[str]]:
    """Every partition of the window that holds documents, and the stray folders that are none.

    `notes` are those that other partitions left, by folder: each is a change of its partition, as a file is.
    """
    known = set(interaction_partitions.get_partitions_def_for_dimension("country").get_partition_keys())
    strays = [f"country={country}" for country in zone.list_country_folders() if country not in known]
    observed = {}
    for country in sorted(known):
        by_folder: dict[str, list[StoredObject]] = {}
        for item in zone.list_folder(f"country={country}", start_after_date=since).objects:
            if is_document_file(item):
                by_folder.setdefault(item.key.split("/")[2], []).append(item)
        for folder, found in by_folder.items():
            partition = partition_of(country, folder)
            if partition is None:
                strays.append(f"country={country}/{folder}")
            else:
                observed[str(partition.key)] = observe(found + (notes or {}).get(partition.folder, []))
    return observed, strays


def partition_of(country: str, folder: str) -> Partition | None:
    """The partition of a folder `date=YYYY-MM-DD`; None for any other, and for a day that is none yet."""
    try:
        partition = Partition(country, date.fromisoformat(folder.removeprefix("date=")))
    except ValueError:
        return None
    # One request for an unknown partition would fail the whole tick, and every tick after it.
    known = folder == f"date={partition.date.isoformat()}" and interaction_partitions.has_partition_key(partition.key)
    return partition if known else None


def _failures(instance: dg.DagsterInstance, asked: Iterable[str], now: datetime) -> dict[str, datetime]:
    """Run keys of recent runs that failed, unless the same partition has run since."""
    filters = dg.RunsFilter(
        job_name=process_interactions.name,
        statuses=[dg.DagsterRunStatus.FAILURE],
        updated_after=now - timedelta(days=2),
    )
    wanted, found = set(asked), {}
    for record in instance.get_run_records(filters=filters, limit=500):
        tags = record.dagster_run.tags
        key = tags.get("dagster/run_key")
        if key not in wanted or record.end_time is None:
            continue
        same_partition = dg.RunsFilter(tags={"dagster/partition": tags.get("dagster/partition", "")})
        if instance.get_runs(filters=same_partition, limit=1)[0].run_id == record.dagster_run.run_id:
            found[key] = datetime.fromtimestamp(record.end_time, timezone.utc)
    return found


@dg.sensor(
    job=process_interactions,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Asks for a run of each partition whose landing folder changed and then came to rest.",
)
def landing_sensor(
    context: dg.SensorEvaluationContext, landing: Landing, data: DataBucket
) -> dg.SensorResult | dg.SkipReason:
    cursor = Cursor.model_validate_json(context.cursor) if context.cursor else Cursor()
    now = datetime.now(timezone.utc)
    since = now.date() - timedelta(days=landing.window_days)

    def in_window(key: str) -> bool:
        return interaction_partitions.has_partition_key(key) and Partition.from_key(key).date >= since

    try:
        observed, strays = look(landing.zone(), since, list_notices(data.tables()))
        differences = read_differences(data.tables()).select_partitions(in_window)
    except AwsRefusal as error:
        # A failed listing is not an empty bucket: the cursor stays.
        return dg.SkipReason(f"{REFUSED}{error}")
    if strays:
        context.log.warning(f"Not partitions of this project, left alone: {', '.join(sorted(strays)[:20])}")
    asked_of = {key: asked for key, asked in cursor.asked.items() if in_window(key)}
    cursor = cursor.model_copy(update={"asked": asked_of})
    failures = _failures(context.instance, (asked.run_key(key) for key, asked in asked_of.items()), now)
    quiet = timedelta(seconds=landing.quiet_seconds)
    decision = decide(cursor, observed, failures, differences, now, quiet, landing.max_requests)
    if decision.given_up:
        context.log.warning(f"Failed {MAX_TRIES} times, run them by hand: {', '.join(decision.given_up[:20])}")
    requests = [dg.RunRequest(run_key=asked.run_key(key), partition_key=key) for key, asked in decision.run.items()]
    skip = f"{len(observed)} partitions with documents since {since}, none changed"
    if decision.settling:
        skip = f"still changing: {', '.join(decision.settling[:20])}"
    if strays:
        skip += f"; not partitions of this project: {', '.join(sorted(strays)[:20])}"
    return dg.SensorResult(
        run_requests=requests,
        skip_reason=None if requests else skip,
        cursor=next_cursor(cursor, decision, now, since).model_dump_json(exclude_defaults=True),
    )
