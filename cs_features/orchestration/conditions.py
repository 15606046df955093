"""States that no run fails of and that somebody should know: sensors that cannot look, emptied folders, runs that
wait for ever, daemons that have stopped.

Pure: from what Dagster records of them to alerts. What a run tells stands in `incidents.py`.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from itertools import takewhile
from typing import Any

import dagster as dg

from cs_features.figures import count_things
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
    since = datetime.fromtimestamp(blind[-1].timestamp, timezone.utc)
    return Alert(
        severity=Severity.ERROR,
        title=f"{sensor} cannot look",
        reason=f"{sensor} has not been able to look since {since:%H:%M} UTC or before: {reason}",
        meaning=f"{tell_what_waits(sensor)}; the first tick that can look again finds it.",
        advice="Mend what it names; nothing is to be run by hand afterwards.",
        link=link,
        at=datetime.fromtimestamp(latest.timestamp, timezone.utc),
    )


# What does not happen meanwhile, by sensor or schedule.
_WAITING = {
    "landing_sensor": "What lands becomes no features",
    "prompt_sensor": "An edited prompt is not noticed and makes no partition stale",
    "recheck_sensor": "What mended itself stays red",
    "freshness_sensor": "A silent country is not noticed, and nothing shows that its features stop",
    "alert_sensor": "Nobody is told of what fails",
    "daily_inventory": "Documents that got lost on their way to features are not noticed",
    "daily_report": "The page of the day is an old one",
    "weekly_retention": "What is too old to be kept is kept",
}


def tell_what_waits(name: str) -> str:
    return _WAITING.get(name, f"What {name} does for features is not done")


def could_not_look(tick: Any) -> bool:
    return bool(tick.is_failure) or (tick.skip_reason or "").startswith((REFUSED, UNUSABLE))


def describe_emptied(cursor: Cursor, link: str, now: datetime) -> list[Alert]:
    """One alert a country whose partitions are served and have no documents any more."""
    return [
        Alert(
            severity=Severity.ERROR,
            title="documents gone",
            reason=f"{count_things(len(keys), 'partition')} of {country} without documents in the landing bucket "
            f"{cursor.bucket}, where there were some, and their features are served.",
            meaning="The features are served as they were: the documents may only have moved or expired.",
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
        reason=f"{count_things(len(stuck), 'run')} in the queue since {min(stuck):%Y-%m-%d %H:%M} UTC or later, and "
        "none was started.",
        meaning="The features of their partitions are as old as before. Either more was asked for than runs at once "
        "can do, or runs that are dead hold their places.",
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
        meaning="Features are as old as before, or will be: sensors still look, but what these daemons do (start runs, "
        "end dead ones, keep schedules) is not done.",
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
        meaning=f"{tell_what_waits(name)} until it is switched on again.",
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
        meaning="Its partition's features are as old as before: no other run of it starts meanwhile.",
        advice="See its log. If nothing moves, terminate it; what it has paid for is kept, and it is asked for again.",
        link=f"{ui_url}/runs/{run.run_id}",
        at=now,
        country=country_of(key),
        partitions=(name_partition(key),) if key else (),
        silence=SILENCE_OF_STATES,
    )
