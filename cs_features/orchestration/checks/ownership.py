"""Whether documents that are no versions of one interaction claim one id. What that is: `landing/corrections.py`."""

import dagster as dg
import polars as pl

from cs_features.orchestration.checks.registry import register_spec
from cs_features.orchestration.metadata import plot_apart
from cs_features.orchestration.partitions import interaction_partitions
from cs_features.schemas import Reason

CONFLICTS = register_spec(
    "id_conflicts",
    "raw_interactions",
    partitions_def=interaction_partitions,
    rule=(
        "No document has an id that another document has, unless one plausibly corrects the other: the same customer, "
        "or the same words and, in another partition, no other customer."
    ),
    meaning="Neither of the two becomes a feature; what the store served before is served.",
    advice=(
        "Both documents stand aside as id_conflict. Compare the two that the details in rejected_records name: a feed "
        "that numbers anew, or somebody who writes under others' ids. Delete or mend the wrong one; the other is "
        "accepted in the next run by itself."
    ),
)


def judge_conflicts(raw: pl.DataFrame, country: str) -> dg.AssetCheckResult:
    """A warning where there is one: nothing wrong is served, and a country at a stand is what an attacker wants."""
    conflicts = raw.filter(pl.col("reason") == Reason.ID_CONFLICT.value)
    return dg.AssetCheckResult(
        check_name=CONFLICTS.name,
        passed=conflicts.is_empty(),
        severity=dg.AssetCheckSeverity.WARN,
        metadata=plot_apart(country, {"documents": conflicts.height}),
    )
