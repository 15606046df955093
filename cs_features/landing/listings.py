"""What each run listed before it read: `listings/{partition.folder}.json` in the data bucket.

The law compares what a run made with what it could have seen. An object may carry a date before the listing and
appear after it (an upload in parts is dated when it begins), so only this record says which objects a run knew.
Not here: the listing itself (`zone.py`), and what is concluded from it (`monitoring/conservation.py`).
"""

from datetime import datetime

from pydantic import TypeAdapter, ValidationError

from cs_features.partitions import Partition
from cs_features.s3 import Bucket, Listing

LISTINGS = "listings"
_FORMAT = TypeAdapter(Listing)


# What this process saved last: the check of the same run need not ask for it.
_latest: dict[str, Listing] = {}


def save_partition_listing(data: Bucket, partition: Partition, listing: Listing) -> None:
    """Keep in the data bucket what a run is about to read; it replaces what the run before kept."""
    data.put(_key(partition), _FORMAT.dump_json(listing))
    _latest.clear()
    _latest[data.uri(_key(partition))] = listing


def load_partition_listing(data: Bucket, partition: Partition, listed_at: datetime | None = None) -> Listing | None:
    """What the latest run of the partition listed; None before the first, and where another version wrote it.

    If this process saved the one of `listed_at`, that is it: no request is made.
    """
    latest = _latest.get(data.uri(_key(partition)))
    if latest is not None and latest.listed_at == listed_at:
        return latest
    body = data.get(_key(partition))
    if body is None:
        return None
    try:
        return _FORMAT.validate_json(body)
    except ValidationError:
        return None


def _key(partition: Partition) -> str:
    return f"{LISTINGS}/{partition.folder}.json"
