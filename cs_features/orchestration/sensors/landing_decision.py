"""Which partitions to run now, and for what reason: the decision of `landing_sensor`.

Documents that are new or changed, a finding of the reconciliation and a failure that may pass by itself are reasons
to run. A folder whose documents are gone is none: whether they were deleted, expired or only not seen is for a person
to say. Pure: not here are S3, Dagster and the clock (`landing.py`), nor what the sensor remembers
(`landing_memory.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum

from cs_features.monitoring.findings import Differences, FindingKind
from cs_features.orchestration.failures import Cause
from cs_features.orchestration.sensors.landing_memory import Cursor, Request
from cs_features.partitions import Partition

# After so many runs of a folder the rest that it needs is doubled no more; `Limits.patience` has ended it before.
MAX_DOUBLINGS = 16
# How long after the first, the second and the third failure a run is asked for again.
RETRY_AFTER = (timedelta(minutes=5), timedelta(minutes=30), timedelta(hours=2))
MAX_TRIES = 1 + len(RETRY_AFTER)
# What a run mends only by asking the online store for what it believes to be there.
FINDINGS_ABOUT_THE_STORE = frozenset({FindingKind.UNPUBLISHED.value, FindingKind.TAKEN_OUT.value})


class Reason(str, Enum):
    """Why a partition is run; it is shown as a tag of the run."""

    NEW = "new documents"
    CHANGED = "changed documents"
    DIFFERS = "found to differ"
    RETRY = "failed before"


class Standing(Enum):
    """What is to be done about a partition."""

    RUN = "run"
    SETTLING = "its folder is still changing"
    EMPTIED = "its documents are gone"
    GIVEN_UP = "failed, and trying again would not help"
    AT_REST = "nothing"


@dataclass(frozen=True)
class Folder:
    """A partition's documents and notices now: a fingerprint of (key, ETag, size, time), and when they last changed."""

    fingerprint: str
    last_modified: datetime


@dataclass(frozen=True)
class Failed:
    """How the latest run of a partition ended, when it failed."""

    run_key: str
    at: datetime
    cause: Cause


@dataclass(frozen=True)
class Finding:
    """What the latest reconciliation found of a partition: its id, and the kinds of what differs."""

    found_by: str
    kinds: frozenset[str]


@dataclass(frozen=True)
class Observed:
    """What a tick saw. Mappings are by partition key; `failures` holds partitions whose latest run failed."""

    now: datetime
    folders: Mapping[str, Folder]
    failures: Mapping[str, Failed] = field(default_factory=dict)
    differences: Differences = field(default_factory=Differences)

    def finding_of(self, key: str) -> Finding | None:
        kinds = self.differences.findings.get(key)
        return None if kinds is None else Finding(self.differences.found_by, kinds)


@dataclass(frozen=True)
class Limits:
    """How long a new folder rests before it is run, how long any waits at most, and how many runs a tick asks for.

    The rest doubles with each run that a folder has had: the first documents of a day are run at once, and a busy
    day is run every `patience`.
    """

    quiet: timedelta
    patience: timedelta
    requests: int

    def required_rest(self, runs_before: int) -> timedelta:
        return min(self.quiet * 2 ** min(runs_before, MAX_DOUBLINGS), self.patience)


@dataclass(frozen=True)
class Case:
    """All that is known of one partition at `now`; None is what there is none of."""

    now: datetime
    folder: Folder | None
    asked: Request | None
    failed: Failed | None
    finding: Finding | None
    changing_since: datetime | None

    @property
    def found_by(self) -> str:
        return self.finding.found_by if self.finding else ""

    @property
    def concerns_the_store(self) -> bool:
        return self.finding is not None and not self.finding.kinds.isdisjoint(FINDINGS_ABOUT_THE_STORE)


@dataclass(frozen=True)
class Verdict:
    """What is to be done about one partition, with the request and its reason where it is to be run."""

    standing: Standing
    request: Request | None = None
    reason: Reason | None = None


@dataclass(frozen=True)
class Decision:
    """What to do now: runs to ask for with their reasons, in order, and the partitions that are not run, with why."""

    runs: Mapping[str, Request]
    reasons: Mapping[str, Reason]
    settling: list[str]
    postponed: list[str]
    emptied: list[str]
    given_up: list[str]


def decide_runs(cursor: Cursor, observed: Observed, limits: Limits) -> Decision:
    """Compare what was asked for with what is there; the newest days go first."""
    keys = cursor.asked.keys() | observed.folders.keys() | observed.differences.partitions
    verdicts = {key: judge_partition(describe_case(key, cursor, observed), limits) for key in keys}
    ready = sorted(list_standing(verdicts, Standing.RUN), key=rank_by_day, reverse=True)
    chosen = ready[: limits.requests]
    return Decision(
        runs={key: request for key in chosen if (request := verdicts[key].request)},
        reasons={key: reason for key in chosen if (reason := verdicts[key].reason)},
        settling=list_standing(verdicts, Standing.SETTLING),
        postponed=ready[limits.requests :],
        emptied=list_standing(verdicts, Standing.EMPTIED),
        given_up=list_standing(verdicts, Standing.GIVEN_UP),
    )


def list_standing(verdicts: Mapping[str, Verdict], standing: Standing) -> list[str]:
    return sorted(key for key, verdict in verdicts.items() if verdict.standing is standing)


def rank_by_day(key: str) -> tuple[str, str]:
    return Partition.from_key(key).date.isoformat(), key


def describe_case(key: str, cursor: Cursor, observed: Observed) -> Case:
    """Gather what is known of one partition. A failure of another request than the last one is not about it."""
    asked, failed = cursor.asked.get(key), observed.failures.get(key)
    if failed and (asked is None or failed.run_key != cursor.run_key(key, asked)):
        failed = None
    return Case(
        now=observed.now,
        folder=observed.folders.get(key),
        asked=asked,
        failed=failed,
        finding=observed.finding_of(key),
        changing_since=cursor.changing_since.get(key),
    )


def judge_partition(case: Case, limits: Limits) -> Verdict:
    """The first reason that applies; a folder that is still changing waits, whatever else is known of it."""
    if case.folder is None:
        gone = case.asked is not None or case.finding is not None
        return Verdict(Standing.EMPTIED if gone else Standing.AT_REST)
    if has_changed(case) and is_settling(case, limits):
        return Verdict(Standing.SETTLING)
    for reason, make_request in REQUEST_FOR.items():
        if request := make_request(case):
            return Verdict(Standing.RUN, request, reason)
    return Verdict(Standing.GIVEN_UP if is_given_up(case) else Standing.AT_REST)


def has_changed(case: Case) -> bool:
    if case.folder is None:
        return False
    return case.asked is None or case.asked.fingerprint != case.folder.fingerprint


def is_settling(case: Case, limits: Limits) -> bool:
    """Whether its newest file is too young and its oldest change not old enough, so that a trickle is a few runs."""
    if case.folder is None:
        return False
    # S3's clock may be ahead of ours: what comes from the future has just come.
    age = max(case.now - case.folder.last_modified, timedelta(0))
    runs_before = 0 if case.asked is None else case.asked.change + 1
    changing_for = case.now - (case.changing_since or case.now)
    return age < limits.required_rest(runs_before) and changing_for < limits.patience


def is_given_up(case: Case) -> bool:
    if case.failed is None or case.asked is None:
        return False
    return not case.failed.cause.may_pass or case.asked.tries >= MAX_TRIES


def request_new(case: Case) -> Request | None:
    """Documents in a partition that nothing was asked for."""
    if case.folder is None or case.asked is not None:
        return None
    return Request(fingerprint=case.folder.fingerprint, found_by=case.found_by, verify_online=case.concerns_the_store)


def request_changed(case: Case) -> Request | None:
    """Documents that are others than those last asked for. Such a run mends what was found, too."""
    if case.folder is None or case.asked is None or not has_changed(case):
        return None
    return Request(
        fingerprint=case.folder.fingerprint,
        change=case.asked.change + 1,
        found_by=case.found_by,
        verify_online=case.concerns_the_store,
    )


def request_found(case: Case) -> Request | None:
    """A finding is run once. It buys no partition a second budget."""
    if case.asked is None or case.finding is None or case.asked.found_by == case.finding.found_by:
        return None
    if case.failed and case.failed.cause is Cause.BUDGET:
        return None
    changes = {"tries": 1, "found_by": case.found_by, "verify_online": case.concerns_the_store}
    return case.asked.model_copy(update=changes)


def request_retry(case: Case) -> Request | None:
    """A failure that may pass by itself is tried again, later each time and not for ever."""
    if case.asked is None or case.failed is None or is_given_up(case):
        return None
    if case.now - case.failed.at < RETRY_AFTER[case.asked.tries - 1]:
        return None
    return case.asked.model_copy(update={"tries": case.asked.tries + 1})


REQUEST_FOR = {
    Reason.NEW: request_new,
    Reason.CHANGED: request_changed,
    Reason.DIFFERS: request_found,
    Reason.RETRY: request_retry,
}
