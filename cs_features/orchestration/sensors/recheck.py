"""`recheck_sensor`: takes the inventory again once everything that it found has been run, so that what mended itself
turns green on the day on which it did.

Bounded: a few times a day, and never while something that was found has not been run well. Not here: the repair,
which `landing_sensor` asks for, and what is found (`monitoring/reconciliation.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timezone

import dagster as dg
from pydantic import BaseModel, ValidationError

from cs_features.errors import AwsRefusal
from cs_features.monitoring.findings import Differences, read_reconciled_differences
from cs_features.orchestration.boundary import guard_boundary
from cs_features.orchestration.jobs import take_inventory
from cs_features.orchestration.resources import DataBucket
from cs_features.orchestration.sensors.landing import DAY_TAG, REFUSED
from cs_features.partitions import Partition

RECHECKS_A_DAY = 3


def utc_now() -> datetime:
    return datetime.now(timezone.utc)


class Cursor(BaseModel):
    """The reconciliation that was last checked again, and how many were on that day."""

    found_by: str = ""
    day: date = date.min
    rechecks: int = 0

    def count_on(self, day: date) -> int:
        return self.rechecks if self.day == day else 0


@dataclass(frozen=True)
class Verdict:
    """Whether to take the inventory again, and why, or why not."""

    is_due: bool
    reason: str


def judge_recheck(
    differences: Differences, succeeded: Mapping[str, datetime], found_at: datetime | None, cursor: Cursor, today: date
) -> Verdict:
    """`succeeded`: when the latest run of each partition that was found to differ succeeded, where it did."""
    if not differences.partitions or found_at is None:
        return Verdict(False, "the latest inventory found nothing")
    if cursor.found_by == differences.found_by:
        return Verdict(False, "what the latest inventory found was checked again")
    if cursor.count_on(today) >= RECHECKS_A_DAY:
        return Verdict(False, f"{RECHECKS_A_DAY} inventories were taken again today; the next one is tomorrow's")
    found = differences.partitions
    waiting = [key for key in found if key not in succeeded or succeeded[key] < found_at]
    if waiting:
        return Verdict(False, f"{len(waiting)} of {len(found)} partitions found have not been run well since")
    return Verdict(True, f"all {len(found)} partitions that differed have been run")


def read_cursor(text: str | None) -> Cursor:
    """One that cannot be read is a fresh one: at most a few inventories more."""
    try:
        return Cursor.model_validate_json(text or "{}")
    except ValidationError:
        return Cursor()


def find_successes(instance: dg.DagsterInstance, differences: Differences) -> dict[str, datetime]:
    """When the latest run of each partition ended, where it succeeded."""
    found = {}
    for key in differences.partitions:
        tags = {"dagster/partition": key, DAY_TAG: Partition.from_key(key).date.isoformat()}
        records = instance.get_run_records(dg.RunsFilter(tags=tags), limit=1)
        if records and records[0].dagster_run.is_success and records[0].end_time is not None:
            found[key] = datetime.fromtimestamp(records[0].end_time, timezone.utc)
    return found


def find_inventory(instance: dg.DagsterInstance) -> datetime | None:
    """When the inventory was last taken."""
    event = instance.get_latest_materialization_event(dg.AssetKey("reconciliation"))
    return None if event is None else datetime.fromtimestamp(event.timestamp, timezone.utc)


def is_partition_key(key: str) -> bool:
    try:
        Partition.from_key(key)
    except ValueError:
        return False
    return True


@dg.sensor(
    job=take_inventory,
    minimum_interval_seconds=120,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Takes the inventory again when every partition that it found to differ has been run.",
)
@guard_boundary
def recheck_sensor(context: dg.SensorEvaluationContext, data: DataBucket) -> dg.SensorResult | dg.SkipReason:
    cursor, today = read_cursor(context.cursor), utc_now().date()
    try:
        differences = read_reconciled_differences(data.tables()).select_finding_partitions(is_partition_key)
    except AwsRefusal as error:
        return dg.SkipReason(f"{REFUSED}{error}")
    succeeded = find_successes(context.instance, differences)
    verdict = judge_recheck(differences, succeeded, find_inventory(context.instance), cursor, today)
    if not verdict.is_due:
        return dg.SkipReason(verdict.reason)
    context.log.info(verdict.reason)
    rechecks = cursor.count_on(today) + 1
    after = Cursor(found_by=differences.found_by, day=today, rechecks=rechecks)
    return dg.SensorResult(
        run_requests=[dg.RunRequest(run_key=f"recheck:{differences.found_by}")], cursor=after.model_dump_json()
    )
