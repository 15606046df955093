"""Rows and frames of `validated_features` that are right unless a test makes them wrong. No documents, no records."""

from datetime import datetime, timezone
from typing import Any

import polars as pl

from cs_features.extraction.prompts import load_prompt_folder
from cs_features.validation.tables import features_schema
from cs_features_tests.support.documents import id_of
from cs_features_tests.support.lab import PROMPTS

SCHEMA = features_schema(load_prompt_folder(PROMPTS).answer_model, "NL")

VALID: dict[str, Any] = {
    "summary": "Customer asks where a parcel is that should have arrived last week; the agent looks into it.",
    "sentiment": "neutral",
    "primary_topic": "delivery_fulfilment",
    "intent": "check_status",
    "resolution_status": "pending",
    "urgency_score": 0.3,
    "csat_indicator": 0.5,
}


def row(**answer: Any) -> dict[str, Any]:
    """A row of `validated_features`, right unless `answer` makes it wrong."""
    return {
        "interaction_id": id_of(1),
        **VALID,
        "event_time": datetime(2025, 3, 4, 8, 30, tzinfo=timezone.utc),
        "customer_id": None,
        "country": "NL",
        "language": "nl",
        "channel": "chat",
        "model_id": "model",
        "prompt_version": "v",
        "truncated": False,
        "content_hash": "hash",
        **answer,
    }


def frame(*rows: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema={name: column.dtype.type for name, column in SCHEMA.columns.items()})
