"""What the calls cost, how long they took, and whether the prompt works. Nothing here blocks: a human should look."""

import dagster as dg
import polars as pl

from cs_features.orchestration.checks.registry import register_check
from cs_features.orchestration.resources import Model

MAX_COST_PER_INTERACTION_USD = 0.0005
MIN_CACHE_SHARE = 0.50
MAX_LATENCY_P95_MS = 5_000


@register_check(
    "llm_extractions",
    rule=f"An interaction costs at most ${MAX_COST_PER_INTERACTION_USD} at list price.",
    meaning="The features are as right as ever and published; they cost more than they should.",
    advice="Compare its tokens with the days before: longer texts, longer prompts, or another model.",
)
def cost_per_interaction(llm_extractions: pl.DataFrame) -> dg.AssetCheckResult:
    cost = float(llm_extractions["cost_usd"].sum()) / llm_extractions.height if llm_extractions.height else 0.0
    return dg.AssetCheckResult(
        passed=cost <= MAX_COST_PER_INTERACTION_USD,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"cost_usd": cost, "limit": MAX_COST_PER_INTERACTION_USD},
    )


@register_check(
    "llm_extractions",
    rule=f"At least {MIN_CACHE_SHARE:.0%} of the prompt is read from the model's cache, the warm-up call apart.",
    meaning="The features are as right as ever and published; their prompts cost several times as much.",
    advice="Is the prompt shorter than the model caches, or did it change in the middle of the run?",
)
def prompt_cache_hits(model: Model, llm_extractions: pl.DataFrame) -> dg.AssetCheckResult:
    # Below the model's minimum nothing is cached and no error says so: only these counts do.
    calls = llm_extractions.filter(pl.col("attempts") > 0)
    prompt = sum(int(calls[name].sum()) for name in ("input_tokens", "cache_read_tokens", "cache_write_tokens"))
    share = int(calls["cache_read_tokens"].sum()) / prompt if prompt else 0.0
    if not model.capabilities().cache_points:
        note = "the model has no prompt cache"
    elif calls.height < 2:
        note = "too few calls to tell"
    else:
        note = None
    return dg.AssetCheckResult(
        passed=note is not None or share >= MIN_CACHE_SHARE * (calls.height - 1) / calls.height,
        severity=dg.AssetCheckSeverity.WARN,
        description=note,
        metadata={"share": share, "calls": calls.height, "limit": MIN_CACHE_SHARE},
    )


@register_check(
    "llm_extractions",
    rule="No summary is that of one of the prompt's worked examples: weak models repeat them.",
    meaning=(
        "These features are published; such a summary says nothing of its customer, and the fields beside it may be "
        "as wrong."
    ),
    advice="Its answers are worth little: look at them, and at the model that gave them.",
)
def copied_summaries(model: Model, llm_extractions: pl.DataFrame) -> dg.AssetCheckResult:
    examples = [example.answer["summary"] for example in model.prompts().list_examples()]
    copied = llm_extractions.filter(pl.col("summary").is_in(examples)).height
    return dg.AssetCheckResult(
        passed=copied == 0,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"copied": copied, "interactions": llm_extractions.height},
    )


@register_check(
    "llm_extractions",
    rule=f"95 of 100 calls take at most {MAX_LATENCY_P95_MS / 1000:g} s.",
    meaning="The features are as right as ever and published; they came later.",
    advice="If it lasts, lower CS_FEATURES_MAX_CONCURRENCY, or ask AWS whether the model is slow.",
)
def latency_p95(llm_extractions: pl.DataFrame) -> dg.AssetCheckResult:
    calls = llm_extractions.filter(pl.col("attempts") > 0)
    p95 = calls["latency_ms"].quantile(0.95, interpolation="nearest")
    return dg.AssetCheckResult(
        passed=p95 is None or p95 <= MAX_LATENCY_P95_MS,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"p95_ms": float(p95 or 0), "calls": calls.height, "limit_ms": MAX_LATENCY_P95_MS},
    )
