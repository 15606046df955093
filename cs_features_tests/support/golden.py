"""Golden items and answers to them that are right unless a test makes them wrong."""

from typing import Any

import polars as pl

from cs_features.quality.evaluation import ANSWERS_SCHEMA

LABELS: dict[str, Any] = {
    "sentiment": "neutral",
    "primary_topic": "billing_payment",
    "intent": "ask_information",
    "resolution_status": "resolved",
    "urgency_score": 0.3,
    "csat_indicator": 0.6,
}


def item(number: int = 1, **changes: Any) -> dict[str, Any]:
    """A golden item that is right in every field. `labels` changes both labellings too."""
    labels = {**LABELS, **changes.pop("labels", {})}
    made = {
        "id": f"nl-{number:03}",
        "country": "NL",
        "language": "nl",
        "channel": "chat",
        "turns": [{"speaker": "customer", "text": f"Wat kost pakket {number}?"}],
        "phenomena": ["easy"],
        "labels": labels,
        "facts": [["cost", "price"], ["parcel"]],
        "labellings": [labels, labels],
        "reconciled": None,
    }
    return made | changes


def frame_of(**columns: list[Any]) -> pl.DataFrame:
    """A frame of answers with these columns and something valid in the others."""
    items = len(next(iter(columns.values())))
    filled: dict[str, Any] = {"id": [f"nl-{number:03}" for number in range(items)], "language": ["nl"] * items}
    for name, dtype in ANSWERS_SCHEMA.items():
        filled.setdefault(name, ["x" if dtype == pl.String() else 0.5 if dtype == pl.Float64() else True] * items)
    return pl.DataFrame({**filled, **columns}, schema=ANSWERS_SCHEMA)
