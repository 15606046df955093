"""Whether the pipeline still looks: a small object in the data bucket that `landing_sensor` writes every few minutes.

Whoever watches from outside needs nothing of Dagster for it, no database and no clock but S3's. An object that is old
says that the daemon, the sensor or its access is dead, whichever: nothing that lands is seen. A line on stdout says
the same to whoever counts log lines. Here: writing and judging it. Not here: the command (`cli/heartbeat.py`).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cs_features.s3 import Bucket

HEARTBEAT_KEY = "heartbeat/landing_sensor.json"
# Each beat is a PUT, of which a month of ticks has 86,400.
BEAT_EVERY = timedelta(minutes=5)
DEAD_AFTER = timedelta(minutes=15)
ALL_LIVE = "cs-features heartbeat: all daemons live"


@dataclass(frozen=True)
class Health:
    """Whether the pipeline is alive, in one sentence."""

    is_alive: bool
    sentence: str


def is_beat_due(last: datetime | None, now: datetime) -> bool:
    """Also where the last one lies ahead: the clock was set back, and whoever watches goes by S3's."""
    return last is None or not timedelta(0) <= now - last < BEAT_EVERY


def write_daemon_heartbeat(bucket: Bucket, stopped_daemons: Sequence[str]) -> None:
    """Say that the sensor has looked, and which of Dagster's other daemons give no sign of life.

    Raises:
        AwsRefusal: when the bucket does not take it.
    """
    bucket.put(HEARTBEAT_KEY, json.dumps({"stopped_daemons": sorted(stopped_daemons)}).encode())
    # On AWS whoever watches counts this line: an alarm goes off where none is found (deploy/template.yaml).
    print(f"cs-features heartbeat: stopped {', '.join(stopped_daemons)}" if stopped_daemons else ALL_LIVE, flush=True)


def read_daemon_health(bucket: Bucket, dead_after: timedelta = DEAD_AFTER) -> Health:
    """What the latest heartbeat says, by S3's clock alone.

    Raises:
        AwsRefusal: when the bucket cannot be read.
    """
    listing = bucket.list_bucket_objects(HEARTBEAT_KEY)
    beats = [item for item in listing.objects if item.key == HEARTBEAT_KEY]
    body = bucket.get(HEARTBEAT_KEY) if beats else None
    if body is None:
        return Health(False, f"landing_sensor has never looked: {bucket.uri(HEARTBEAT_KEY)} does not exist")
    return judge_daemon_heartbeat(listing.listed_at - beats[0].last_modified, read_stopped_daemons(body), dead_after)


def judge_daemon_heartbeat(age: timedelta, stopped_daemons: Sequence[str], dead_after: timedelta) -> Health:
    minutes = max(0, int(age.total_seconds() // 60))
    if age > dead_after:
        return Health(False, f"landing_sensor last looked {minutes} minutes ago: restart dagster-daemon, read its log")
    if stopped_daemons:
        return Health(False, f"no sign of life from {', '.join(stopped_daemons)}: restart dagster-daemon, read its log")
    return Health(True, f"landing_sensor looked {minutes} minutes ago")


def read_stopped_daemons(body: bytes) -> list[str]:
    """From a heartbeat, whatever version wrote it."""
    try:
        content = json.loads(body)
    except ValueError:
        return []
    stopped = content.get("stopped_daemons", []) if isinstance(content, dict) else []
    return [str(name) for name in stopped] if isinstance(stopped, list) else []
