"""A year's contacts as an offline store tells them, drawn all at once: for what is measured at full size."""

from datetime import datetime, timedelta, timezone

import numpy as np
import polars as pl

from cs_features.publishing.reading import HISTORY_SCHEMA, OfflineHistory

AS_OF = datetime(2026, 11, 1, tzinfo=timezone.utc)


def draw_history(count: int, customers: int, seed: int = 1) -> OfflineHistory:
    dice = np.random.default_rng(seed)
    begin = np.datetime64(AS_OF.replace(tzinfo=None) - timedelta(days=420), "ms")
    happened = begin + dice.integers(0, 419 * 86_400_000, count).astype("timedelta64[ms]")
    told = happened.astype("datetime64[us]") + dice.integers(0, 86_400 * 10**6, count).astype("timedelta64[us]")

    def choose(*values: str) -> pl.Series:
        return pl.Series(np.array(values)[dice.integers(0, len(values), count)])

    rows = pl.DataFrame(
        {
            "interaction_id": pl.Series(np.arange(count)).cast(pl.String).str.zfill(36),
            "customer_id": pl.Series(dice.integers(0, customers, count)).cast(pl.String),
            "sentiment": choose("positive", "neutral", "negative"),
            "primary_topic": choose(*(f"topic_{number}" for number in range(15))),
            "intent": choose("leave_company", "complain", "request_refund", "praise", "other"),
            "resolution_status": choose("resolved", "pending", "escalated"),
            "urgency_score": dice.integers(0, 101, count) / 100,
            "csat_indicator": dice.integers(0, 101, count) / 100,
            "event_time": pl.Series(happened).dt.strftime("%Y-%m-%dT%H:%M:%S%.3fZ"),
            "channel": choose("chat", "email", "phone", "social", "review", "other"),
            "prompt_version": choose("t2-a", "t2-b"),
            "api_invocation_time": told,
            "write_time": told,
        }
    )
    constant = {"model_id": pl.lit("model"), "is_deleted": pl.lit(False)}
    missing = {name: pl.lit(None, kind) for name, kind in HISTORY_SCHEMA.items() if name not in rows.columns}
    filled = rows.with_columns(**{**missing, **constant}).select(HISTORY_SCHEMA.names())
    return OfflineHistory("bench", AS_OF, filled)
