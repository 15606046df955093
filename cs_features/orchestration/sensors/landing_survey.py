"""What `landing_sensor` lists of the landing bucket, and what it sees there.

The whole window is listed every hour; in between, today and yesterday of each country, and those older partitions
that something is known of. Of what was not listed nothing is concluded: it stays as it was last asked for. Here:
which folders are listed, and their fingerprints. Not here: what follows from them (`landing_decision.py`).
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta

from cs_features.errors import AwsRefusal
from cs_features.landing.zone import LandingZone, is_document_file
from cs_features.monitoring.findings import Differences, FindingKind
from cs_features.monitoring.misfiled import show_folder
from cs_features.orchestration.partitions import interaction_partitions
from cs_features.orchestration.sensors.landing_decision import (
    Folder,
    Limits,
    Observed,
    Standing,
    describe_case,
    judge_partition,
)
from cs_features.orchestration.sensors.landing_memory import Cursor
from cs_features.partitions import Partition
from cs_features.s3 import StoredObject

WHOLE_WINDOW_EVERY = timedelta(hours=1)
RECENT = timedelta(days=1)  # before today: these days are listed in each tick
# Of older partitions listed one by one; where more are wanted, listing the window asks less of S3.
LISTED_SINGLY = 20
# Between S3's clock, which dates a notice, and ours, which dates a listing.
CLOCK_SKEW = timedelta(minutes=2)

Notices = Mapping[str, Sequence[StoredObject]]  # by the folder of the partition they are for


@dataclass(frozen=True)
class Window:
    """The days that the sensor looks at, both included, of the countries that the project knows.

    `earlier` are keys of partitions before them that a reconciliation has found: a document of the window has
    superseded one of theirs.
    """

    since: date
    today: date
    earlier: frozenset[str] = frozenset()

    def find_partition(self, country: str, folder: str) -> Partition | None:
        """The partition of a folder `date=YYYY-MM-DD`; None for any other, and for a day that is none yet."""
        try:
            partition = Partition(country, date.fromisoformat(folder.removeprefix("date=")))
        except ValueError:
            return None
        is_a_day = folder == f"date={partition.date.isoformat()}"
        return partition if is_a_day and self.holds(partition.key) else None

    def holds(self, key: str) -> bool:
        # One request for an unknown partition would fail the whole tick, and every tick after it.
        if not interaction_partitions.has_partition_key(key):
            return False
        return key in self.earlier or self.since <= Partition.from_key(key).date <= self.today


def find_window(window_days: int, now: datetime, differences: Differences) -> Window:
    since = now.date() - timedelta(days=window_days)
    superseded = {key for key, kinds in differences.findings.items() if FindingKind.SUPERSEDED.value in kinds}
    return Window(since, now.date(), frozenset(superseded))


@dataclass(frozen=True)
class Scope:
    """What one tick lists: every country's days from `since` on, and the `singly` listed partitions before them; of the
    `refused` countries nothing."""

    since: date
    is_whole: bool = True
    singly: frozenset[str] = frozenset()
    refused: frozenset[str] = frozenset()

    def covers(self, key: str) -> bool:
        """Whether the tick can tell that a partition has no documents."""
        partition = Partition.from_key(key)
        is_listed = self.is_whole or key in self.singly or partition.date >= self.since
        return is_listed and partition.country not in self.refused


@dataclass(frozen=True)
class Landscape:
    """What the landing bucket holds: each partition's folder by its key, and the folders that are of no partition."""

    folders: Mapping[str, Folder]
    strays: list[str]
    refused: Mapping[str, AwsRefusal] = field(default_factory=dict)  # by country, those whose folder is not listed


# --- what to list, pure -----------------------------------------------------------------------


def choose_scope(cursor: Cursor, known: Observed, notices: Notices, window: Window, limits: Limits) -> Scope:
    """`known` is what there is to know without a listing: the time, failures and findings."""
    recent = max(window.since, window.today - RECENT)
    older = {key for key in list_wanted(cursor, known, notices, limits) if Partition.from_key(key).date < recent}
    if is_whole_due(cursor, known.now) or len(older) > LISTED_SINGLY:
        return Scope(window.since)
    return Scope(recent, is_whole=False, singly=frozenset(filter(window.holds, older)))


def is_whole_due(cursor: Cursor, now: datetime) -> bool:
    """Every hour, and at once where the last time lies ahead: the clock was set back."""
    if cursor.surveyed_at is None:
        return True
    return not timedelta(0) <= now - cursor.surveyed_at < WHOLE_WINDOW_EVERY


def list_wanted(cursor: Cursor, known: Observed, notices: Notices, limits: Limits) -> set[str]:
    """Partitions that wait to be run, would be run though nothing landed, or were left a notice meanwhile."""
    waiting = set(cursor.changing_since)
    unchanged = assume_unchanged(cursor, known.now)
    would_run = {key for key in unchanged if is_to_run(key, cursor, known, unchanged, limits)}
    return waiting | would_run | find_noticed(cursor, notices)


def is_to_run(key: str, cursor: Cursor, known: Observed, folders: Mapping[str, Folder], limits: Limits) -> bool:
    case = describe_case(key, cursor, Observed(known.now, folders, known.failures, known.differences))
    return judge_partition(case, limits).standing is Standing.RUN


def find_noticed(cursor: Cursor, notices: Notices) -> set[str]:
    """Partitions asked for that were left a notice after the whole window was last listed."""
    if cursor.surveyed_at is None:
        return set()
    since = cursor.surveyed_at - CLOCK_SKEW
    folders = {folder for folder, left in notices.items() if any(notice.last_modified > since for notice in left)}
    return {key for key in cursor.asked if Partition.from_key(key).folder in folders}


def assume_unchanged(cursor: Cursor, now: datetime) -> dict[str, Folder]:
    """The folders as they were last asked for, without those that had no documents any more."""
    return {key: Folder(request.fingerprint, now) for key, request in cursor.asked.items() if key not in cursor.emptied}


def fill_unlisted(folders: Mapping[str, Folder], scope: Scope, cursor: Cursor, now: datetime) -> dict[str, Folder]:
    """What was listed, and the rest of the window as it was last asked for: that it was not seen is no evidence."""
    unlisted = {key: folder for key, folder in assume_unchanged(cursor, now).items() if not scope.covers(key)}
    return {**unlisted, **folders}


# --- what is there ----------------------------------------------------------------------------


def fingerprint_folder(objects: Sequence[StoredObject]) -> Folder:
    """What a folder and the notices for it are now; any change of them is another fingerprint."""
    # With the time, a file that is replaced and put back is a change again: Dagster never runs a key twice.
    lines = sorted(f"{item.key}\t{item.etag}\t{item.size}\t{item.last_modified.timestamp()}" for item in objects)
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    return Folder(digest[:16], max(item.last_modified for item in objects))


def survey_landing(
    zone: LandingZone, window: Window, notices: Notices | None = None, scope: Scope | None = None
) -> Landscape:
    """Every partition of `scope`, by default the window, that holds documents; and the stray folders seen.

    `notices` are those that other partitions left, by folder: each is a change of its partition, as a file is.

    Raises:
        AwsRefusal: no country's folder can be listed; some that cannot are `refused`, and stop no other.
    """
    scope = scope or Scope(window.since)
    known = set(interaction_partitions.get_partitions_def_for_dimension("country").get_partition_keys())
    strays = list_unknown_countries(zone, known) if scope.is_whole else []
    found: dict[str, list[StoredObject]] = {}
    refused: dict[str, AwsRefusal] = {}
    for country in sorted(known):
        try:
            folders = group_by_folder(zone, country, scope.since)
        except AwsRefusal as error:
            refused[country] = error
            continue
        for folder, objects in folders.items():
            partition = window.find_partition(country, folder)
            if partition is None:
                strays.append(f"country={country}/{show_folder(folder)}")
            else:
                found[partition.key] = objects
    if len(refused) == len(known):
        raise next(iter(refused.values()))
    for key in list_single_partitions(window, replace(scope, refused=frozenset(refused)), found):
        found[key] = zone.list_documents(Partition.from_key(key)).objects
    return Landscape(fingerprint_partitions(found, notices or {}), sorted(strays), refused)


def list_unknown_countries(zone: LandingZone, known: Collection[str]) -> list[str]:
    """As a tick may tell them, which is kept: producers name folders after customers."""
    return [show_folder(f"country={country}") for country in zone.list_country_folders() if country not in known]


def list_single_partitions(window: Window, scope: Scope, found: Collection[str]) -> list[str]:
    """Partitions that no listing of a country shows."""
    wanted = window.earlier if scope.is_whole else scope.singly
    return sorted(key for key in wanted if window.holds(key) and key not in found and scope.covers(key))


def fingerprint_partitions(found: Mapping[str, Sequence[StoredObject]], notices: Notices) -> dict[str, Folder]:
    """Of partitions that hold documents; a notice alone is nothing to run."""
    return {
        key: fingerprint_folder([*objects, *notices.get(Partition.from_key(key).folder, [])])
        for key, objects in found.items()
        if objects
    }


def group_by_folder(zone: LandingZone, country: str, since: date) -> dict[str, list[StoredObject]]:
    """The document files of a country by the folder below it."""
    by_folder: dict[str, list[StoredObject]] = {}
    for item in zone.list_landing_folder(f"country={country}", start_after_date=since).objects:
        if is_document_file(item):
            by_folder.setdefault(item.key.split("/")[2], []).append(item)
    return by_folder
