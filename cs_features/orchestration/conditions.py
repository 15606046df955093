"""States that no run fails of and that somebody should know: sensors that cannot look, emptied folders, runs that
wait for ever, daemons that have stopped.

Pure: from what Dagster records of them to alerts. What a run tells stands in `incidents.py`.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from itertools import takewhile
from typing import Any

import dagster as dg

from cs_features.monitoring.alerts import SILENCE_OF_STATES, Alert, Severity
from cs_features.orchestration.incidents import country_of, group_by_country, name_partition, tell_error
from cs_features.orchestration.sensors.landing import REFUSED
from cs_features.orchestration.sensors.landing_memory import Cursor
from cs_features.orchestration.sensors.prompts import UNUSABLE

# A sensor that could not look for so long is an incident of its own: no run fails of it.
BLIND_AFTER = timedelta(minutes=15)
# A run that has waited in the queue for so long waits for something that does not end by itself.
QUEUED_AFTER = timedelta(hours=2)


def describe_blindness(sensor: str, ticks: Sequence[Any], link: str) -> Alert | None:
    """An alert when every finished one of a sensor's latest ticks (newest first) could not look, for `BLIND_AFTER`."""
    blind = list(takewhile(could_not_look, (tick for tick in ticks if tick.is_completed)))
    if not blind or blind[0].timestamp - blind[-1].timestamp < BLIND_AFTER.total_seconds():
        return None
    latest = blind[0]
    reason = tell_error(latest.error, sensor).reason if latest.error else latest.skip_reason.removeprefix(REFUSED)
    return Alert(
        severity=Severity.ERROR,
        title=f"{sensor} cannot look",
        reason=reason,
        meaning="What it should have seen meanwhile waits; the first tick that can look again finds it.",
        advice="Mend what it names; nothing is to be run by hand afterwards.",
        link=link,
        at=datetime.fromtimestamp(latest.timestamp, timezone.utc),
    )


def could_not_look(tick: Any) -> bool:
    return bool(tick.is_failure) or (tick.skip_reason or "").startswith((REFUSED, UNUSABLE))


def describe_emptied(cursor: Cursor, link: str, now: datetime) -> list[Alert]:
    """One alert a country whose partitions are served and have no documents any more."""
    return [
        Alert(
            severity=Severity.ERROR,
            title="documents gone",
            reason=f"{len(keys)} partitions of {country} have no documents in the landing bucket {cursor.bucket} "
            "any more, and their features are served.",
            meaning="Nothing was run and nothing withdrawn for that: the documents may only have moved or expired.",
            advice="If they were deleted on purpose, run these partitions with feature_store: {allow_deletions: true}. "
            "If not, restore them, or set CS_FEATURES_LANDING_BUCKET.",
            link=link,
            at=now,
            country=country,
            partitions=tuple(name_partition(key) for key in keys),
            silence=SILENCE_OF_STATES,
        )
        for country, keys in group_by_country(sorted(cursor.emptied)).items()
    ]


def describe_queue(waiting_since: Sequence[datetime], link: str, now: datetime) -> Alert | None:
    """An alert when runs have waited for `QUEUED_AFTER`: Dagster has no limit for that."""
    stuck = [since for since in waiting_since if now - since >= QUEUED_AFTER]
    if not stuck:
        return None
    return Alert(
        severity=Severity.ERROR,
        title="runs wait in the queue",
        reason=f"{len(stuck)} runs have waited since {min(stuck):%Y-%m-%d %H:%M} UTC or later and none was started.",
        meaning="Their partitions are as old as before. Either more was asked for than runs at once can do, or runs "
        "that are dead hold their places.",
        advice="Look at the runs in progress: one without a sign of life is ended by run monitoring, or by you. A "
        "backfill that is not urgent can be cancelled.",
        link=link,
        at=now,
        silence=SILENCE_OF_STATES,
    )


def describe_daemons(stopped: Sequence[str], link: str, now: datetime) -> Alert | None:
    """An alert when other daemons than the one that evaluates sensors have stopped."""
    if not stopped:
        return None
    return Alert(
        severity=Severity.ERROR,
        title=f"daemon stopped: {', '.join(stopped)}",
        reason=f"No sign of life from {', '.join(stopped)}.",
        meaning="Sensors still look; what these daemons do (start runs, end dead ones, keep schedules) is not done.",
        advice="Restart dagster-daemon and read its log.",
        link=link,
        at=now,
        silence=SILENCE_OF_STATES,
    )


def describe_switched_off(name: str, link: str, now: datetime) -> Alert:
    """An alert for a sensor or a schedule that somebody has switched off and not on again."""
    return Alert(
        severity=Severity.ERROR,
        title=f"{name} is switched off",
        reason=f"Somebody has switched {name} off.",
        meaning="What it does is not done until it is switched on again.",
        advice="Switch it on again, or leave a note why not.",
        link=link,
        at=now,
        silence=SILENCE_OF_STATES,
    )


def describe_long_run(run: dg.DagsterRun, begun: datetime, ui_url: str, now: datetime) -> Alert:
    """An alert for a run that goes on for longer than any should."""
    key = run.tags.get("dagster/partition", "")
    return Alert(
        severity=Severity.ERROR,
        title="run goes on for hours",
        reason=f"A run of {run.job_name} has gone on since {begun:%Y-%m-%d %H:%M} UTC.",
        meaning="Its partition waits for it: no other run of it starts meanwhile.",
        advice="See its log. If nothing moves, terminate it; what it has paid for is kept, and it is asked for again.",
        link=f"{ui_url}/runs/{run.run_id}",
        at=now,
        country=country_of(key),
        partitions=(name_partition(key),) if key else (),
        silence=SILENCE_OF_STATES,
    )
