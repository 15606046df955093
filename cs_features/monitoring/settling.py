"""A partition's folder now against what its latest run saw: what the sensor is about to ask for, and what it forgot.

S3 dates an upload in parts when it begins, and does not say when an object was deleted. So a date only ever excuses:
what is wrongly taken for old is asked for once more. Pure functions.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from cs_features.monitoring.conservation import CountPlan, RunRecord
from cs_features.s3 import Listing

# The sensor's quiet time, a queue, and four tries over two and a half hours: what is older was forgotten.
SETTLING_TIME = timedelta(hours=4)


@dataclass(frozen=True)
class Situation:
    """How the documents of a folder are counted, and what of it no run has seen."""

    plan: CountPlan
    is_changing: bool  # objects changed a moment ago, and are left to the sensor
    unread_objects: int  # changed longer ago, or deleted


def compare_with_run(run: RunRecord, now: Listing, settled_before: datetime) -> Situation:
    """Count what lies there now, but for what changed at or after `settled_before`: of that, what the run saw.

    A deletion is taken for part of a change that is going on, and where nothing else changes, for a change that is old.
    """
    from_s3, as_read, fresh = [], [], []
    unread = 0
    for item in now.objects:
        uri = f"s3://{now.bucket}/{item.key}"
        if run.known_objects.get(uri) == item.etag:
            from_s3.append(item)
        elif item.last_modified < settled_before:
            from_s3.append(item)
            unread += 1
        else:
            fresh.append(item)
            if uri in run.read:
                as_read.append(uri)
    present = {f"s3://{now.bucket}/{item.key}" for item in now.objects}
    deleted = sorted(run.known_objects.keys() - present)
    if fresh:
        as_read += [uri for uri in deleted if uri in run.read]
    else:
        unread += len(deleted)
    return Situation(CountPlan(from_s3, as_read, landed_since=fresh), bool(fresh), unread)
