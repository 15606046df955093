"""`landing_sensor`: which partitions changed in the landing bucket, and which of them to run now.

Level-triggered: it compares what is there with what was last asked for, and keeps no cursor of keys,
so late, replaced, deleted and out-of-order files are all seen. `decide` is pure; the sensor gathers
its inputs and wraps its answer.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone

import dagster as dg

from cs_features.aws import AwsRefusal
from cs_features.jobs import process_interactions
from cs_features.landing import LandedObject, LandingZone
from cs_features.partitions import Partition, interaction_partitions
from cs_features.resources import Landing

EMPTY = "empty"


@dataclass(frozen=True)
class Observed:
    """One partition's folder now: a fingerprint of (key, ETag, size), and when it last changed."""

    fingerprint: str
    last_modified: datetime


@dataclass(frozen=True)
class Decision:
    """Partitions to run with their fingerprints, those still changing, and those left for later."""

    run: dict[str, str]
    settling: list[str]
    postponed: list[str]


def decide(
    asked: Mapping[str, str], observed: Mapping[str, Observed], now: datetime, quiet: timedelta, limit: int
) -> Decision:
    """Compare what was asked for with what is there.

    A partition whose newest file is younger than `quiet` waits, so that a trickle of files becomes
    one run. A folder that was emptied is run once more. Newest days go first.
    """
    changed = {key: found for key, found in observed.items() if asked.get(key) != found.fingerprint}
    settling = sorted(key for key, found in changed.items() if now - found.last_modified < quiet)
    emptied = {key: EMPTY for key, fingerprint in asked.items() if key not in observed and fingerprint != EMPTY}
    ready = {key: found.fingerprint for key, found in changed.items() if key not in settling} | emptied
    order = sorted(ready, key=lambda key: (Partition.from_key(key).date, key), reverse=True)
    return Decision({key: ready[key] for key in order[:limit]}, settling, order[limit:])


def observe(objects: list[LandedObject]) -> Observed:
    lines = sorted(f"{item.key}\t{item.etag}\t{item.size}" for item in objects)
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    return Observed(digest[:16], max(item.last_modified for item in objects))


def look(zone: LandingZone, since: date) -> tuple[dict[str, Observed], list[str]]:
    """Every partition of the window that holds documents, and the stray folders that are none."""
    known = set(interaction_partitions.get_partitions_def_for_dimension("country").get_partition_keys())
    strays = [f"country={country}" for country in zone.country_folders() if country not in known]
    observed = {}
    for country in sorted(known):
        by_folder: dict[str, list[LandedObject]] = {}
        objects, _ = zone.list_folder(f"country={country}", start_after_date=since)
        for item in objects:
            if item.is_document_file:
                by_folder.setdefault(item.key.split("/")[2], []).append(item)
        for folder, found in by_folder.items():
            partition = _partition(country, folder)
            if partition is None:
                strays.append(f"country={country}/{folder}")
            else:
                observed[str(partition.key)] = observe(found)
    return observed, strays


def _partition(country: str, folder: str) -> Partition | None:
    try:
        partition = Partition(country, date.fromisoformat(folder.removeprefix("date=")))
    except ValueError:
        return None
    # One request for an unknown partition would fail the whole tick, and every tick after it.
    known = folder == f"date={partition.date.isoformat()}" and interaction_partitions.has_partition_key(partition.key)
    return partition if known else None


@dg.sensor(
    job=process_interactions,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Asks for a run of each partition whose landing folder changed and then came to rest.",
)
def landing_sensor(context: dg.SensorEvaluationContext, landing: Landing) -> dg.SensorResult | dg.SkipReason:
    asked: dict[str, str] = json.loads(context.cursor) if context.cursor else {}
    now = datetime.now(timezone.utc)
    since = now.date() - timedelta(days=landing.window_days)
    try:
        observed, strays = look(landing.zone(), since)
    except AwsRefusal as error:
        # A failed listing is not an empty bucket: the cursor stays.
        return dg.SkipReason(str(error))
    if strays:
        context.log.warning(f"Not partitions of this project, left alone: {', '.join(sorted(strays)[:20])}")
    asked = {key: value for key, value in asked.items() if Partition.from_key(key).date >= since}
    decision = decide(asked, observed, now, timedelta(seconds=landing.quiet_seconds), landing.max_requests)
    requests = [
        dg.RunRequest(run_key=f"{key}:{fingerprint}", partition_key=key) for key, fingerprint in decision.run.items()
    ]
    skip = f"{len(observed)} partitions with documents since {since}, none changed"
    if decision.settling:
        skip = f"still changing: {', '.join(decision.settling[:20])}"
    return dg.SensorResult(
        run_requests=requests,
        skip_reason=None if requests else skip,
        cursor=json.dumps(asked | decision.run, separators=(",", ":")),
    )
