"""Between tables and requests: which rows need which call, and the `llm_extractions` row of an outcome.

Pure functions of frames. No call, no S3, no Dagster.
"""

from dataclasses import dataclass

import polars as pl

from cs_features.extraction.engine import Outcome
from cs_features.extraction.models import ModelCapabilities
from cs_features.extraction.prompting import ConverseRequest, build_request, request_hash
from cs_features.extraction.prompts import Prompts
from cs_features.schemas import ANSWER_FIELDS, Interaction

EXTRACTIONS_SCHEMA = pl.Schema(
    {
        "interaction_id": pl.String,
        "summary": pl.String,
        "sentiment": pl.String,
        "primary_topic": pl.String,
        "intent": pl.String,
        "resolution_status": pl.String,
        "urgency_score": pl.Float64,
        "csat_indicator": pl.Float64,
        "status": pl.String,
        "request_hash": pl.String,
        "model_id": pl.String,
        "prompt_version": pl.String,
        "input_tokens": pl.Int64,
        "cache_read_tokens": pl.Int64,
        "cache_write_tokens": pl.Int64,
        "output_tokens": pl.Int64,
        "cost_usd": pl.Float64,
        "latency_ms": pl.Int64,
        "attempts": pl.Int64,
        "error": pl.String,
        "error_detail": pl.String,
        "answer": pl.String,
        "truncated": pl.Boolean,
        "reused": pl.Boolean,
        "content_hash": pl.String,
    }
)


@dataclass(frozen=True, slots=True)
class Needed:
    """The call that one interaction needs; `content_hash` is that of its row in `raw_interactions`."""

    interaction_id: str
    request_hash: str
    truncated: bool
    content_hash: str


def plan(
    raw: pl.DataFrame, prompts: Prompts, model: ModelCapabilities
) -> tuple[list[Needed], dict[str, ConverseRequest]]:
    """What the accepted rows of `raw_interactions` need: a call a row, and each distinct request once."""
    needed, requests = [], {}
    accepted = raw.filter(pl.col("status") == "accepted").select(
        "interaction_id", "language", "payload", "content_hash"
    )
    for interaction_id, language, payload, content in accepted.iter_rows():
        request, truncated = build_request(prompts, model, Interaction.model_validate_json(payload), language)
        key = request_hash(request)
        requests[key] = request
        needed.append(Needed(interaction_id, key, truncated, content))
    return needed, requests


def extractions_frame(
    needed: list[Needed], outcomes: dict[str, Outcome], already_paid: set[str], model_id: str, prompt_version: str
) -> pl.DataFrame:
    """The `llm_extractions` table, a row for each of `needed` that has an outcome.

    Tokens, cost, latency and attempts stand on the first row of a call; rows that share its answer
    say `reused`, and so do rows answered by an earlier run (`already_paid`), with what it cost then.
    Hence the bill of this run is the sum of `cost_usd` over rows that are not `reused`.
    """
    rows, seen = [], set(already_paid)
    for item in needed:
        outcome = outcomes.get(item.request_hash)
        if outcome is None:
            continue
        shared = item.request_hash in seen and item.request_hash not in already_paid
        usage = outcome.usage
        rows.append(
            {
                "interaction_id": item.interaction_id,
                **(outcome.answer or dict.fromkeys(ANSWER_FIELDS)),
                "status": "answered" if outcome.answered else "failed",
                "request_hash": item.request_hash,
                "model_id": model_id,
                "prompt_version": prompt_version,
                "input_tokens": 0 if shared else usage.input_tokens,
                "cache_read_tokens": 0 if shared else usage.cache_read_tokens,
                "cache_write_tokens": 0 if shared else usage.cache_write_tokens,
                "output_tokens": 0 if shared else usage.output_tokens,
                "cost_usd": 0.0 if shared else outcome.cost_usd,
                "latency_ms": outcome.latency_ms,
                "attempts": 0 if shared else outcome.attempts,
                "error": outcome.error.value if outcome.error else None,
                "error_detail": outcome.detail,
                "answer": outcome.raw_answer,
                "truncated": item.truncated,
                "reused": item.request_hash in seen,
                "content_hash": item.content_hash,
            }
        )
        seen.add(item.request_hash)
    return pl.DataFrame(rows, schema=EXTRACTIONS_SCHEMA)
