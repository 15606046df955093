"""What a sweep is and what it reports: one kind of thing, looked through by age and rule, and what was freed.

Belongs here: the shape of a sweep, and doing all of a list though one is refused. Not here: what any of them removes
(`rules.py`), and where it lies (`data_bucket.py`, `orchestration/history.py`).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from cs_features.errors import CsFeaturesError


@dataclass(frozen=True)
class SweepResult:
    """How much of `what` was looked at, removed (or would be, in a dry run), and freed by that."""

    what: str
    examined: int
    removed: int
    bytes_freed: int
    problem: str = ""


@dataclass(frozen=True)
class Sweeper:
    """Removes what is too old of one kind of thing; a dry run only counts it.

    It raises CsFeaturesError where it is refused; what was removed until then stays removed.
    """

    what: str
    sweep: Callable[[datetime, bool], SweepResult]


def apply_retention_sweepers(sweepers: Iterable[Sweeper], now: datetime, dry_run: bool) -> list[SweepResult]:
    """All of them, in order; one that is refused says so in its result and stops no other."""
    results = []
    for sweeper in sweepers:
        try:
            results.append(sweeper.sweep(now, dry_run))
        except CsFeaturesError as error:
            results.append(SweepResult(sweeper.what, 0, 0, 0, str(error)))
    return results


def build_sweep_frame(results: Iterable[SweepResult]) -> pl.DataFrame:
    """A row a sweep, in megabytes."""
    rows = [(each.what, each.examined, each.removed, each.bytes_freed / 1e6, each.problem) for each in results]
    return pl.DataFrame(rows, schema=["what", "examined", "removed", "megabytes", "problem"], orient="row")
