"""Who goes first when more runs wait than may run: the tags by which Dagster's queue knows it.

The queue starts what has the highest `dagster/priority`, and a run without one has 0: what somebody launches in the
UI stands behind what landed today. Limits for lanes and for backfills, which Dagster tags itself, are in
`dagster.yaml`: so many places that today's documents always find one free. Not here: what is run and why.
"""

from collections.abc import Mapping
from datetime import date, timedelta

PRIORITY_TAG = "dagster/priority"
BACKFILL_TAG = "dagster/backfill"  # Dagster's own, with the id, on each run of a backfill
LANE_TAG = "cs_features/lane"
BACKGROUND = "background"  # late files of older days, and measurements after an edited prompt

RECENT_PRIORITY = 10
OLDER_PRIORITY = 5
BACKFILL_PRIORITY = -5  # behind what a person launches by hand
RECENT = timedelta(days=1)  # yesterday's last documents land today


def tag_landed_day(day: date, today: date) -> dict[str, str]:
    """Tags of a run that a landing asks for: today's and yesterday's documents go first, older days have a lane."""
    if day >= today - RECENT:
        return {PRIORITY_TAG: str(RECENT_PRIORITY)}
    return {PRIORITY_TAG: str(OLDER_PRIORITY), LANE_TAG: BACKGROUND}


def tag_measurement_run() -> dict[str, str]:
    """Tags of a measurement of quality that nobody waits for: an edited prompt asks for one a locale."""
    return {LANE_TAG: BACKGROUND}


def tag_backfill_runs() -> dict[str, str]:
    """Tags of the runs that the command `backfill` asks for."""
    return {PRIORITY_TAG: str(BACKFILL_PRIORITY)}


# Of the model's quota a run of landed documents has as much as so many runs of a backfill.
WEIGHT_OF_LANDINGS = 4


def weigh_run_share(tags: Mapping[str, str]) -> int:
    """What a run counts when runs share the quota: what landed goes before what somebody asked for again."""
    priority = tags.get(PRIORITY_TAG, "0")
    return WEIGHT_OF_LANDINGS if priority.isdecimal() and int(priority) > 0 else 1
