"""How long what is kept, and what outlives its age. Pure: no clock, no S3, no Dagster.

What a partition's state is told from outlives every age: the latest run of each asset and check. So does what the
law needs: listings, manifests and sums of spending are never swept. Tables have rules of their own.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from cs_features.partitions import Partition
from cs_features.s3 import StoredObject

# A notice that was read: so long after it the partition that it is for has been published again.
NOTICE_READ_AFTER = timedelta(days=1)


@dataclass(frozen=True, kw_only=True)
class Ages:
    """How long each kind of thing is kept."""

    runs: timedelta
    logs: timedelta
    notices: timedelta
    ledgers: timedelta


@dataclass(frozen=True)
class EndedRun:
    """A run of Dagster's that has ended."""

    run_id: str
    created_at: datetime


@dataclass(frozen=True)
class RunsToSweep:
    """Old runs: those that go with all they left, and those of which the state stays, as the latest of something."""

    deleted: Sequence[str]
    reduced: Sequence[str]


def choose_removable_runs(
    ended: Sequence[EndedRun], latest: Collection[str], now: datetime, age: timedelta
) -> RunsToSweep:
    """`latest` are the runs that some partition's present state is told from."""
    old = [run.run_id for run in ended if run.created_at < now - age]
    return RunsToSweep([each for each in old if each not in latest], [each for each in old if each in latest])


def find_read_notices(
    notices: Mapping[str, Sequence[StoredObject]], published: Mapping[str, datetime], now: datetime, age: timedelta
) -> list[StoredObject]:
    """Old notices to partitions that have been published since: what they tell was taken into account.

    Both are by the partition's folder; `published` is when its manifest was last written. A notice that was never
    read is kept, whatever its age: an interaction may be missing from the store until it is.
    """
    found = []
    for folder, left in notices.items():
        written = published.get(folder)
        for notice in left:
            is_read = written is not None and written > notice.last_modified + NOTICE_READ_AFTER
            if is_read and notice.last_modified < now - age:
                found.append(notice)
    return found


def is_old_day(folder: str, now: datetime, age: timedelta) -> bool:
    """Whether a folder is that of a country's day so long ago; other folders, such as a corpus's, never are."""
    try:
        day = Partition.from_folder(folder).date
    except ValueError:
        return False
    return day < (now - age).date()


def is_old_spending(day: date, now: datetime, age: timedelta) -> bool:
    """Whether the single amounts of a day may go: of months that are over, of which the sum is kept."""
    return day < min((now - age).date(), now.date().replace(day=1))
