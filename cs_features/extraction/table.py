"""Between tables and requests: which rows need which call, and the `llm_extractions` row of an outcome.

Pure functions of frames. No call, no S3, no Dagster.
"""

from collections import defaultdict
from collections.abc import Collection, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from cs_features.errors import RequestError
from cs_features.extraction.attribution import Owners
from cs_features.extraction.engine import Outcome
from cs_features.extraction.models import ModelCapabilities
from cs_features.extraction.prompting import PlannedRequests, RequestPlanner
from cs_features.extraction.prompts import Prompts
from cs_features.privacy.policy import MASK_EVERYTHING, MaskingPolicy
from cs_features.schemas import ANSWER_FIELDS, SCORES, Interaction
from cs_features.utterances.injections import looks_like_injection

EXTRACTIONS_SCHEMA = pl.Schema(
    {
        "interaction_id": pl.String,
        **{name: pl.Float64 if name in SCORES else pl.String for name in ANSWER_FIELDS},
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
        "suspected_injection": pl.Boolean,
    }
)


BILL = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens", "cost_usd", "attempts")


@dataclass(frozen=True, slots=True)
class Needed:
    """The call that one interaction needs; `content_hash` is that of its row in `raw_interactions`."""

    interaction_id: str
    request_hash: str
    truncated: bool
    content_hash: str
    suspected_injection: bool = False


def plan_partition_requests(
    raw: pl.DataFrame, prompts: Prompts, model: ModelCapabilities, masking: MaskingPolicy = MASK_EVERYTHING
) -> tuple[list[Needed], PlannedRequests]:
    """What the accepted rows of `raw_interactions` need: a call a row, and each distinct request once.

    Raises:
        RequestError: the texts of some were forgotten by age.
    """
    needed, requests, planner = [], {}, RequestPlanner(prompts, model, masking)
    accepted = raw.filter(pl.col("status") == "accepted").select(
        "interaction_id", "language", "payload", "content_hash"
    )
    if forgotten := accepted["payload"].null_count():
        raise RequestError(
            f"The texts of {forgotten} of {accepted.height} interactions were forgotten by age "
            "(CS_FEATURES_RETENTION_TEXT_DAYS): materialize raw_interactions, which reads them again"
        )
    for interaction_id, language, payload, content in accepted.iter_rows():
        interaction = Interaction.model_validate_json(payload)
        planned = planner.plan_request(interaction, language)
        requests[planned.request_hash] = planned
        suspected = looks_like_injection(turn.text for turn in interaction.utterances)
        needed.append(Needed(interaction_id, planned.request_hash, planned.truncated, content, suspected))
    return needed, PlannedRequests(requests)


def group_by_request(needed: Iterable[Needed]) -> Owners:
    """Whose each request is."""
    owners = defaultdict(list)
    for item in needed:
        owners[item.request_hash].append(item.interaction_id)
    return owners


def build_extraction_table(
    needed: Sequence[Needed],
    outcomes: Mapping[str, Outcome],
    asked: Container[str],
    model_id: str,
    prompt_version: str,
    billed: Collection[str] = (),
) -> pl.DataFrame:
    """The `llm_extractions` table, a row for each of `needed` that has an outcome.

    Tokens, cost and attempts of a request stand on one of its rows, with all that was ever paid for it; the other
    rows that share its answer have none, and neither has any row of a request in `billed`. So the columns add up to
    what the answers have cost. `reused` says which rows this run did not pay for: it `asked` other requests.
    """
    columns: dict[str, list[Any]] = {name: [] for name in EXTRACTIONS_SCHEMA}
    seen = set(billed)
    for item in needed:
        outcome = outcomes.get(item.request_hash)
        if outcome is None:
            continue
        first = item.request_hash not in seen
        seen.add(item.request_hash)
        billed_outcome = outcome if first else outcome.without_bill()
        paid_now = first and item.request_hash in asked
        row = _row_of(item, billed_outcome, model_id, prompt_version, reused=not paid_now)
        # Into columns at once: twenty thousand rows as dictionaries take as much again as the table.
        for name, values in columns.items():
            values.append(row[name])
    return pl.DataFrame(columns, schema=EXTRACTIONS_SCHEMA)


def _row_of(item: Needed, outcome: Outcome, model_id: str, prompt_version: str, *, reused: bool) -> dict[str, Any]:
    return {
        "interaction_id": item.interaction_id,
        **(outcome.answer or dict.fromkeys(ANSWER_FIELDS)),
        "status": "answered" if outcome.answered else "failed",
        "request_hash": item.request_hash,
        "model_id": model_id,
        "prompt_version": prompt_version,
        "input_tokens": outcome.usage.input_tokens,
        "cache_read_tokens": outcome.usage.cache_read_tokens,
        "cache_write_tokens": outcome.usage.cache_write_tokens,
        "output_tokens": outcome.usage.output_tokens,
        "cost_usd": outcome.cost_usd,
        "latency_ms": outcome.latency_ms,
        "attempts": outcome.attempts,
        "error": outcome.error.value if outcome.error else None,
        "error_detail": outcome.detail,
        "answer": outcome.raw_answer,
        "truncated": item.truncated,
        "reused": reused,
        "content_hash": item.content_hash,
        "suspected_injection": item.suspected_injection,
    }


def keep_answered_rows(previous: pl.DataFrame | None, raw: pl.DataFrame) -> pl.DataFrame:
    """The answered rows of an earlier `llm_extractions` whose document is accepted today with the same content.

    As they are, with the prompt and the model that made them. A bill whose row is gone moves to another row of the
    same request. Tables of earlier versions lack columns; rows that do not say their content are of none.
    """
    if previous is None:
        return EXTRACTIONS_SCHEMA.to_frame()
    missing = [pl.lit(None, dtype).alias(name) for name, dtype in EXTRACTIONS_SCHEMA.items() if name not in previous]
    table = previous.with_columns(missing).select(EXTRACTIONS_SCHEMA.names()).cast(EXTRACTIONS_SCHEMA)
    totals = table.with_columns(pl.col(BILL).sum().over("request_hash"))
    accepted = raw.filter(pl.col("status") == "accepted").select("interaction_id", "content_hash")
    kept = totals.filter(pl.col("status") == "answered").join(
        accepted, on=["interaction_id", "content_hash"], how="semi", maintain_order="left"
    )
    first = pl.col("request_hash").is_first_distinct()
    bill = [pl.when(first).then(pl.col(name)).otherwise(0).cast(EXTRACTIONS_SCHEMA[name]).alias(name) for name in BILL]
    return kept.with_columns(*bill, pl.lit(True).alias("reused"))


def sort_as(raw: pl.DataFrame, extractions: pl.DataFrame) -> pl.DataFrame:
    """The rows of `extractions` in the order in which `raw` accepts their documents."""
    accepted = raw.filter(pl.col("status") == "accepted").select("interaction_id")
    return accepted.join(extractions, on="interaction_id", how="inner", maintain_order="left")
