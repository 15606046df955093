"""The one command that does what a concern asks for, to be pasted into a shell in the project's folder.

Here: how commands are spelled. Not here: which concern there is (`concerns.py`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

SHOWN_PARTITIONS = 8
DAGSTER = ".venv/bin/dagster"
PYTHON = ".venv/bin/python -m"


@dataclass(frozen=True)
class Target:
    """What a command is about: partitions as "NL 2026-11-24", countries, their locales, the landing bucket."""

    partitions: Sequence[str]
    countries: Sequence[str]
    locales: Sequence[str]
    landing_bucket: str
    today: date


def suggest_concern_command(title: str, target: Target) -> str:
    """The command for a check or a cause; where the cause has none of its own, its partitions run again."""
    if title.endswith("switched off"):
        return f"{DAGSTER} sensor start -w workspace.yaml {title.split()[0]}"
    for beginning, suggest in _COMMANDS.items():
        if title.startswith(beginning):
            return suggest(target)
    return rerun_named_partitions(target)


def rerun_named_partitions(target: Target) -> str:
    """Many of them by the days and countries that they span: what of these is right already costs nothing."""
    keys = _list_keys(target)
    if len(keys) <= SHOWN_PARTITIONS:
        return _backfill("process_interactions", keys) or f"{DAGSTER} run list --limit 20"
    days = sorted(key.split("|")[1] for key in keys)
    countries = " ".join(target.countries)
    return f"{PYTHON} cs_features.cli.backfill --country {countries} --first {days[0]} --last {days[-1]}"


def redrive_rejected_partitions(target: Target) -> str:
    return _backfill("redrive_rejected", _list_keys(target))


def measure_country_locales(target: Target) -> str:
    return _backfill("measure_quality", target.locales) or "make evaluate"


def show_rejects(target: Target) -> str:
    keys = _list_keys(target)
    return f"{PYTHON} cs_features.cli.why --rejects '{keys[0]}'" if keys else _take_landing_inventory(target)


def _backfill(job: str, keys: Sequence[str]) -> str:
    """A command that is cut off would do half of it: many partitions are chosen in the UI."""
    if not keys:
        return ""
    if len(keys) > SHOWN_PARTITIONS:
        return f"{len(keys)} partitions: choose them at the job {job} and launch a backfill"
    return f"{DAGSTER} job backfill -w workspace.yaml -j {job} --noprompt --partitions '{','.join(keys)}'"


def _list_keys(target: Target) -> list[str]:
    return [partition.replace(" ", "|") for partition in target.partitions]


def _list_landing(target: Target) -> str:
    folder = f"country={target.countries[0]}/" if len(target.countries) == 1 else ""
    return f"aws s3 ls --recursive s3://{target.landing_bucket}/interactions/{folder} | tail -20"


def _take_landing_inventory(target: Target) -> str:
    return f"{DAGSTER} job launch -w workspace.yaml -j take_inventory"


def _quote_rest_month(target: Target) -> str:
    return f"{PYTHON} cs_features.cli.quote --first {target.today.replace(day=1)} --last {target.today}"


def _evaluate(target: Target) -> str:
    return "make evaluate"


def _check_daemon_heartbeat(target: Target) -> str:
    return f"{PYTHON} cs_features.cli.heartbeat"


def _list_runs(target: Target) -> str:
    return f"{DAGSTER} run list --limit 20"


def _lint_prompt_files(target: Target) -> str:
    return "make lint"


_COMMANDS: Mapping[str, Callable[[Target], str]] = {
    "extraction_failures": redrive_rejected_partitions,
    "rejected_share": show_rejects,
    "quality_floor": measure_country_locales,
    "quality below the floor": measure_country_locales,
    "drift": _evaluate,
    "copied_summaries": _evaluate,
    "misfiled": _list_landing,
    "freshness": _list_landing,
    "documents gone": _list_landing,
    "unreadable": _list_landing,
    "inventory": _take_landing_inventory,
    "source": _take_landing_inventory,
    "spending": _quote_rest_month,
    "cost_per_interaction": _quote_rest_month,
    "kept": redrive_rejected_partitions,
    "landing_sensor": _check_daemon_heartbeat,
    "daemon": _check_daemon_heartbeat,
    "prompt_sensor": _lint_prompt_files,
    "runs wait": _list_runs,
    "run goes on": _list_runs,
}
