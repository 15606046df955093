"""Notices that partitions leave each other: ids whose owner changed, or whose record one took out of the store.

`superseded/{partition}/{other}.json` is a notice of `other` to the partition. `landing_sensor` takes it for a change
of the partition that it is for, as it does a file that lands. Not here: whose an id is (`corrections.py`).
"""

import json
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from cs_features.landing.claims import Wanted, read_rival_claims
from cs_features.partitions import Partition
from cs_features.s3 import StoredObject
from cs_features.storage import Tables

NOTICES = "superseded"


@dataclass(frozen=True)
class Notices:
    """What other partitions told one: ids, each with when it was told last, and when these were listed. S3's clock."""

    withdrawn: Mapping[str, datetime]
    listed_at: datetime


def notify_of_withdrawal(ids: Collection[str], partition: Partition, tables: Tables, window_days: int) -> None:
    """Notify every partition with a document of one of `ids` that the record of this one is out of the feature store.

    Both may have been publishing at the same moment, and then what left the store may be the other's record: who
    owns the id writes it again.
    """
    elsewhere = read_rival_claims(Wanted(ids), partition, tables, window_days)
    for (folder,), rows in elsewhere.group_by("partition"):
        write_partition_notice(str(folder), rows["interaction_id"], partition, tables)


def list_partition_notices(tables: Tables) -> dict[str, list[StoredObject]]:
    """The notices to every partition, by its folder, from one listing."""
    by_folder: dict[str, list[StoredObject]] = {}
    for found in tables.bucket.list_bucket_objects(f"{NOTICES}/").objects:
        by_folder.setdefault(found.key.removeprefix(f"{NOTICES}/").rsplit("/", 1)[0], []).append(found)
    return by_folder


def read_partition_notices(partition: Partition, tables: Tables) -> Notices:
    """What other partitions told this one so far; a notice that comes later is dated no earlier than `listed_at`."""
    listing = tables.bucket.list_bucket_objects(f"{NOTICES}/{partition.folder}/")
    latest: dict[str, datetime] = {}
    for item in listing.objects:
        for interaction_id, moment in _read_notice_object(tables, item.key).items():
            latest[interaction_id] = max(moment, latest.get(interaction_id, moment))
    return Notices(latest, listing.listed_at)


def write_partition_notice(folder: str, ids: Iterable[str], partition: Partition, tables: Tables) -> None:
    """Add to what `partition` told the one of `folder` before, which may not have run since.

    S3 dates the object when it takes it, so an id that is added now has no time yet: it is that of the object.
    """
    key = f"{NOTICES}/{folder}/{partition.country}-{partition.date.isoformat()}.json"
    before = {name: moment.isoformat() for name, moment in _read_notice_object(tables, key).items()}
    notice = {**before, **dict.fromkeys(ids)}
    tables.bucket.put(key, json.dumps(notice).encode())


def _read_notice_object(tables: Tables, key: str) -> dict[str, datetime]:
    """Ids and when each was told, by S3's clock (by the writer's own in notices of older versions)."""
    found = tables.bucket.read(key)
    if found is None:
        return {}
    stored, body = found
    try:
        times = json.loads(body)
    except ValueError:
        return {}
    if not isinstance(times, dict):
        return {}
    return {name: _read_notice_time(moment) or stored.last_modified for name, moment in times.items()}


def _read_notice_time(moment: object) -> datetime | None:
    """None for whatever is no time of ours: what another version wrote there was told when its notice was put."""
    with suppress(TypeError, ValueError):
        told = datetime.fromisoformat(moment)  # type: ignore[arg-type]
        return told if told.tzinfo else None
    return None
