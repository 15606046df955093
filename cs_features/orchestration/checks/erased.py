"""Whether anything that came again of an erased customer lies in landing. What is read of it: `landing/erased.py`."""

import dagster as dg

from cs_features.orchestration.checks.registry import register_spec
from cs_features.orchestration.metadata import plot_apart
from cs_features.orchestration.partitions import interaction_partitions

ERASED_LANDED = register_spec(
    "erased_landed",
    "raw_interactions",
    partitions_def=interaction_partitions,
    rule="No document of who was erased lies in the landing bucket.",
    meaning="Nothing of it is read and no feature is wrong, but personal data of who was erased are kept there.",
    advice=(
        "Runs may not write to landing. Whoever may (on AWS with EraserRole, see deploy/README.md) runs python -m "
        "cs_features.cli.erase_customer --again --yes: it needs no name, takes out whatever the tombstones cover, and "
        "the next run passes. Ask the feed that delivered it to drop it, too, or it comes again."
    ),
)


def judge_erased_landed(documents: int, country: str) -> dg.AssetCheckResult:
    """A warning: features are right, and a country at a stand would be the sender's to decide."""
    return dg.AssetCheckResult(
        check_name=ERASED_LANDED.name,
        passed=not documents,
        severity=dg.AssetCheckSeverity.WARN,
        metadata=plot_apart(country, {"documents": documents}),
    )
