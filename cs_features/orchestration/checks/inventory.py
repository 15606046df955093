"""What the daily inventory of all partitions finds. The inventory itself is taken in `assets/inventory.py`."""

import dagster as dg
import polars as pl

from cs_features.monitoring.reconciliation import DIFFERS
from cs_features.orchestration.checks.registry import register_check
from cs_features.orchestration.metadata import as_table


@register_check(
    "reconciliation",
    partitions_def=None,
    rule=(
        "Every partition of the window holds exactly what landed, and no interaction that a later document of another "
        "partition superseded; the sensor asks for those that do not."
    ),
    advice="landing_sensor runs these partitions again; those that differ tomorrow too are a defect.",
)
def reconciled(reconciliation: pl.DataFrame) -> dg.AssetCheckResult:
    differing = reconciliation.filter(DIFFERS)
    return dg.AssetCheckResult(
        passed=differing.is_empty(),
        metadata={"partitions_differing": differing.height, "differing": as_table(differing.head(100))},
    )
