"""How good the model is, before anything is paid for, and what has moved since.

Measuring is done in `quality/` and `monitoring/drift.py`.
"""

from typing import Any

import dagster as dg
import polars as pl

from cs_features.monitoring import drift
from cs_features.orchestration.checks.registry import ADVICE, register_check, register_spec
from cs_features.orchestration.partitions import partition_of, week_partitions
from cs_features.orchestration.resources import DataBucket, Model
from cs_features.orchestration.run_memory import RUN_MEMORY
from cs_features.quality.floor import KnownQuality, judge_measurements, read_measurements

DRIFT = register_spec(
    "drift",
    "feature_drift",
    partitions_def=week_partitions,
    rule=(
        f"No feature is {drift.RELEVANT:.0%} or more away from the {drift.BASELINE_WEEKS} weeks before, beyond what "
        f"days and weeks differ by anyway ({drift.ALPHA:.0%} false alarms, all features together)."
    ),
    meaning="These features are published. If no customer has changed, models trained before read them wrongly.",
    advice=(
        "The check's picture shows what moved. If a prompt or model is new, compare it with make evaluate; "
        "if the mix of languages and channels explains it, no prompt is to blame."
    ),
)


@register_check(
    "raw_interactions",
    blocking=True,
    rule=(
        "The country is not known to answer the golden corpus worse than the floors in its file; "
        "a warning where it is not known. It stands before the extraction, so that nothing is paid for."
    ),
    meaning="Features of this country are not to be trained on, or nobody knows whether they are.",
    advice=(
        "Below its floor: mend the country's prompt or put the old one back, and materialize extraction_quality. "
        "Unknown: materialize extraction_quality. Without golden items: write some (prompts/golden/README.md)."
    ),
)
def quality_floor(
    context: dg.AssetCheckExecutionContext, model: Model, data: DataBucket, raw_interactions: pl.DataFrame
) -> dg.AssetCheckResult:
    languages = set(raw_interactions.filter(pl.col("status") == "accepted")["language"])
    country = partition_of(context).country
    measurements = RUN_MEMORY.recall(
        context.run.run_id, "measurements", lambda: read_measurements(country, model, data.tables())
    )
    found = judge_measurements(measurements, country, languages, model)
    told: dict[str, Any] = {
        "below": found.below,
        "judged_by_people": found.by_people,
        "unmeasured": [*found.unmeasured, *found.without_items],
        ADVICE: advise_on_quality(found),
    }
    return dg.AssetCheckResult(
        passed=found.is_sufficient,
        # Only what is known to be bad blocks.
        severity=dg.AssetCheckSeverity.ERROR if found.below else dg.AssetCheckSeverity.WARN,
        description=str(found),
        metadata={name: value for name, value in told.items() if value},
    )


def advise_on_quality(found: KnownQuality) -> str:
    """What to do this time: of a quality that is unknown it helps nobody to read that it is too low."""
    lines = []
    if found.below:
        lines.append("Mend the country's prompt or put the old one back, and materialize extraction_quality.")
    if found.unmeasured:
        lines.append("Nobody has measured this prompt and model yet: materialize extraction_quality.")
    if found.without_items:
        lines.append("Write golden items for what has none (prompts/golden/README.md), and measure it.")
    return " ".join(lines)
