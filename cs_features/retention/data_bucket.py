"""What is swept of the data bucket beside the tables: notices, ledgers of days long ago, single amounts of spending.

A notice belongs to the fingerprint of its partition, so it goes only when the sensor has long ceased to look. A ledger
that goes makes a rerun of its day cost money again. Not here: how old is old (`rules.py`).
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from cs_features.extraction.spending import parse_key
from cs_features.landing.notices import list_partition_notices
from cs_features.retention.rules import Ages, find_read_notices, is_old_day, is_old_spending
from cs_features.retention.sweeps import Sweeper, SweepResult
from cs_features.s3 import Bucket, StoredObject
from cs_features.storage import Tables

LEDGER, SPENDING, MANIFESTS = "ledger/", "spending/date=", "feature_store/country="


def list_bucket_sweepers(tables: Tables, ages: Ages) -> list[Sweeper]:
    return [
        Sweeper("notices that were read", lambda now, dry: sweep_old_notices(tables, ages.notices, now, dry)),
        Sweeper("ledgers", lambda now, dry: sweep_old_ledgers(tables.bucket, ages.ledgers, now, dry)),
        Sweeper("amounts spent", lambda now, dry: sweep_old_spending(tables.bucket, ages.ledgers, now, dry)),
    ]


def sweep_old_notices(tables: Tables, age: timedelta, now: datetime, dry_run: bool) -> SweepResult:
    notices = list_partition_notices(tables)
    examined = sum(map(len, notices.values()))
    read = find_read_notices(notices, list_last_publications(tables.bucket), now, age)
    return remove_swept_objects("notices that were read", tables.bucket, examined, read, dry_run)


def list_last_publications(bucket: Bucket) -> dict[str, datetime]:
    """When each partition was last published, by folder."""
    manifests = [item for item in bucket.iterate_bucket_objects(MANIFESTS) if item.name == "data.parquet"]
    return {item.key.split("/", 1)[1].rsplit("/", 1)[0]: item.last_modified for item in manifests}


def sweep_old_ledgers(bucket: Bucket, age: timedelta, now: datetime, dry_run: bool) -> SweepResult:
    examined, old = 0, []
    for item in bucket.iterate_bucket_objects(LEDGER):
        examined += 1
        folder = item.key.removeprefix(LEDGER).rsplit("/", 1)[0]
        # Of an old day that somebody has run again lately the answers are as new as any.
        if is_old_day(folder, now, age) and item.last_modified < now - age:
            old.append(item)
    return remove_swept_objects("ledgers", bucket, examined, old, dry_run)


def sweep_old_spending(bucket: Bucket, age: timedelta, now: datetime, dry_run: bool) -> SweepResult:
    examined, old = 0, []
    for item in bucket.iterate_bucket_objects(SPENDING):
        examined += 1
        spent = parse_key(item.key)
        if spent is not None and is_old_spending(spent.day, now, age):
            old.append(item)
    return remove_swept_objects("amounts spent", bucket, examined, old, dry_run)


def remove_swept_objects(
    what: str, bucket: Bucket, examined: int, old: Iterable[StoredObject], dry_run: bool
) -> SweepResult:
    objects = list(old)
    if not dry_run:
        bucket.delete(item.key for item in objects)
    return SweepResult(what, examined, len(objects), sum(item.size for item in objects))
