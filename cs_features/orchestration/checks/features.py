"""What comes out of the gate: rows that keep the schema, and not too few of them for a healthy account and model.

The rules of a row stand in `schemas.py`, how they are applied in `validation/gate.py`.
"""

import dagster as dg
import polars as pl

from cs_features.orchestration.checks.registry import register_check
from cs_features.orchestration.metadata import tables_with_rows
from cs_features.orchestration.partitions import partition_of
from cs_features.orchestration.resources import Model
from cs_features.orchestration.verdicts import judge_rows_once

MAX_REJECTED_SHARE = 0.10
# One interaction in ten thousand is left without an answer by its own fault. One in ten is no longer the documents':
# the account is refused, the model is weak, or the prompt is broken.
MAX_UNANSWERED_SHARE = 0.10
# Below, one odd document would hold up its few neighbours; and nothing is gained, for a record is never withdrawn
# because its document got no answer.
MIN_UNANSWERED = 5


@register_check(
    "validated_features",
    name="schema",
    blocking=True,
    rule="Every row keeps every rule of the pandera schema.",
    meaning="Published, rows that break the rules would reach the models that train on them.",
    advice="The check lists the rules that its rows break; mend the prompt or the rule.",
)
def features_keep_schema(
    context: dg.AssetCheckExecutionContext, model: Model, validated_features: pl.DataFrame
) -> dg.AssetCheckResult:
    verdict = judge_rows_once(context.run.run_id, validated_features, model, partition_of(context))
    return dg.AssetCheckResult(
        passed=verdict.passed,
        metadata={
            "rows": validated_features.height,
            "rows_failed": len(verdict.failed_rows),
            **tables_with_rows(failure_cases=verdict.failures.head(100)),
        },
    )


@register_check(
    "validated_features",  # and not rejected_records: blocking checks of both, each reading the other, are a circle
    reads=("rejected_records",),
    blocking=True,
    rule=(
        f"The extraction left at most {MAX_UNANSWERED_SHARE:.0%} of the accepted documents without an answer, "
        f"or fewer than {MIN_UNANSWERED}."
    ),
    meaning="These documents have no new features; records that some had before are kept and served.",
    advice=(
        "The counts by reason say where to look: request_refused and "
        "model_refused at the account and the model, invalid_answer and answer_cut_off at the prompt, service_failed "
        "at an outage; for not_extracted, materialize llm_extractions. Mend that, then run redrive_rejected."
    ),
)
def extraction_failures(validated_features: pl.DataFrame, rejected_records: pl.DataFrame) -> dg.AssetCheckResult:
    unanswered = rejected_records.filter(pl.col("stage") == "extraction")
    accepted = validated_features.height + rejected_records.filter(pl.col("stage") != "landing").height
    share = unanswered.height / accepted if accepted else 0.0
    by_reason = unanswered.group_by("reason").len().sort("len", "reason", descending=[True, False])
    return dg.AssetCheckResult(
        passed=unanswered.height < MIN_UNANSWERED or share <= MAX_UNANSWERED_SHARE,
        metadata={
            "unanswered": unanswered.height,
            "accepted": accepted,
            "share": share,
            "limit": MAX_UNANSWERED_SHARE,
            **dict(by_reason.iter_rows()),
        },
    )


@register_check(
    "rejected_records",
    reads=("validated_features",),
    beside="validated_features",
    rule=f"At most {MAX_REJECTED_SHARE:.0%} of the documents are rejected.",
    meaning="The rejected documents are no features until somebody mends the cause; all others are published.",
    advice=(
        "Look at reason and detail in rejected_records. If the feed is broken, tell its owner; if the model is, "
        "mend the prompt and run redrive_rejected."
    ),
)
def rejected_share(rejected_records: pl.DataFrame, validated_features: pl.DataFrame) -> dg.AssetCheckResult:
    documents = rejected_records.height + validated_features.height
    share = rejected_records.height / documents if documents else 0.0
    return dg.AssetCheckResult(
        passed=share <= MAX_REJECTED_SHARE,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"share": share, "rejected": rejected_records.height, "limit": MAX_REJECTED_SHARE},
    )
