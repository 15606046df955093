"""The checks that failed when they were evaluated last, a partition each, whatever wrote the evaluation.

One query a check for all its partitions, and one for each that failed. What is told of them stands in `incidents.py`.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timezone

import dagster as dg

# Not public, and the only way to ask for all partitions at once; the version is pinned and tests hold it.
from dagster._core.event_api import PartitionKeyFilter
from dagster._core.storage.asset_check_execution_record import (
    AssetCheckExecutionRecordStatus,
    AssetCheckPartitionInfo,
)

MOST_CHECKS = 60  # that are read one by one, the latest first

Found = tuple[dg.AssetCheckEvaluation, datetime]


def find_failed_evaluations(
    instance: dg.DagsterInstance, keys: Sequence[dg.AssetCheckKey], since: str
) -> Iterator[Found]:
    """The latest evaluation of each check and partition that failed, and when; of days from `since` on."""
    storage = instance.event_log_storage
    failed: list[AssetCheckPartitionInfo] = []
    for key in keys:  # one at a time: a year of all of them at once is some 90 MiB
        failed += [info for info in storage.get_asset_check_partition_info([key]) if is_failed(info, since)]
    failed.sort(key=lambda info: info.latest_check_event_storage_id, reverse=True)
    for info in failed[:MOST_CHECKS]:
        wanted = PartitionKeyFilter(key=info.partition_key)
        history = storage.get_asset_check_execution_history(info.check_key, limit=1, partition_filter=wanted)
        evaluation = history[0].evaluation if history else None
        if evaluation is not None:
            yield evaluation, datetime.fromtimestamp(history[0].create_timestamp, timezone.utc)


def is_failed(info: AssetCheckPartitionInfo, since: str) -> bool:
    return info.latest_execution_status is AssetCheckExecutionRecordStatus.FAILED and is_recent(
        info.partition_key, since
    )


def is_recent(partition_key: str | None, since: str) -> bool:
    """A partition without a day is always recent."""
    _, bar, day = (partition_key or "").partition("|")
    return not bar or day >= since
