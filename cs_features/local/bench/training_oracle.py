"""What a person who reads a history row by row would count for a customer and cut; no line is the product's."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from cs_features.local.bench.training_histories import CHANNELS, Row, Story

_ORDER = (
    *("api_invocation_time", "write_time", "is_deleted", "event_time", "customer_id", "channel", "sentiment"),
    *("primary_topic", "intent", "resolution_status", "urgency_score", "csat_indicator", "prompt_version", "model_id"),
)


def know_contacts(
    rows: Sequence[Row], cut: datetime, lag: timedelta | None, went_live: datetime | None = None
) -> list[Row]:
    """The contacts as they were known at `cut`, each in its version of then."""
    went_live = went_live or min(row["api_invocation_time"] for row in rows)
    known = []
    for key in sorted({row["interaction_id"] for row in rows}):
        versions = sorted((row for row in rows if row["interaction_id"] == key), key=_order_row)
        told = [_find_told(version, position, went_live, lag) for position, version in enumerate(versions)]
        seen = [version for version, moment in zip(versions, told, strict=True) if moment <= cut]
        if seen and not seen[-1]["is_deleted"]:
            known.append(seen[-1])
    return known


def _find_told(version: Row, position: int, went_live: datetime, lag: timedelta | None) -> datetime:
    told: datetime = version["api_invocation_time"]
    if lag is None or position > 0 or version["event_time"] >= went_live:
        return told
    return min(told, version["event_time"] + lag)


def _order_row(row: Row) -> list[Any]:
    """Of rows told at one moment the later one by content, what is missing last."""
    return [(row.get(name) is None, row.get(name) if row.get(name) is not None else 0) for name in _ORDER]


def judge_customer(story: Story, customer: str, cut: datetime, embargo: timedelta, lag: timedelta | None) -> Row:
    """Every feature of one customer at one cut, counted by hand."""
    end = cut - embargo
    known = [each for each in know_contacts(story.rows, cut, lag, story.went_live) if each["customer_id"] == customer]
    year = [each for each in known if timedelta(0) < end - each["event_time"] <= timedelta(days=365)]
    judged: Row = {}
    for days in (7, 30, 90, 365):
        here = [each for each in year if end - each["event_time"] <= timedelta(days=days)]
        judged |= {f"{name}_{days}d": value for name, value in _judge_window(here, year, end).items()}
    for name in [*(f"csat_trend_{days}d" for days in (7, 30)), *(f"days_since_last_{days}d" for days in (7, 30, 90))]:
        del judged[name]
    versions = sorted({each["prompt_version"] for each in year})
    told = [f"{each}:{sum(other['prompt_version'] == each for other in year)}" for each in versions]
    return judged | {"prompt_versions_365d": " ".join(told) or None}


def _judge_window(here: list[Row], year: list[Row], end: datetime) -> Row:
    csat = [each["csat_indicator"] for each in here]
    ages = [(end - each["event_time"]) / timedelta(days=1) for each in here]
    counts = {f"contacts_{channel}": _count(here, "channel", channel) for channel in CHANNELS}
    intents = {"leave": "leave_company", "complain": "complain", "refund": "request_refund"}
    return counts | {
        "contacts": len(here),
        "days_since_last": min(ages, default=None),
        "negative_share": _count(here, "sentiment", "negative") / len(here) if here else None,
        "csat_least": min(csat, default=None),
        "csat_mean": sum(csat) / len(csat) if csat else None,
        "csat_trend": _fit_slope(ages, csat),
        "urgency_greatest": max((each["urgency_score"] for each in here), default=None),
        "open": _count(here, "resolution_status", "pending"),
        "escalated": _count(here, "resolution_status", "escalated"),
        "repeated": _count_repeats(here, year),
        "topics": len({each["primary_topic"] for each in here}),
        **{f"intent_{name}": _count(here, "intent", intent) for name, intent in intents.items()},
    }


def _count(here: list[Row], name: str, value: str) -> int:
    return sum(each[name] == value for each in here)


def _fit_slope(ages: list[float], csat: list[float]) -> float | None:
    if len(set(ages)) < 2:
        return None
    age, mean = sum(ages) / len(ages), sum(csat) / len(csat)
    above = sum((a - age) * (c - mean) for a, c in zip(ages, csat, strict=True))
    return -30 * above / sum((a - age) ** 2 for a in ages)


def _count_repeats(here: list[Row], year: list[Row]) -> int:
    """Contacts that do not open their topic: all but one of those of one moment repeat it."""
    ordered = sorted(year, key=lambda each: (each["event_time"], each["interaction_id"]))
    repeats = 0
    for position, each in enumerate(ordered):
        before = [
            other
            for other in ordered[:position]
            if other["primary_topic"] == each["primary_topic"] != "other"
            and each["event_time"] - other["event_time"] <= timedelta(days=7)
        ]
        repeats += bool(before) and each in here
    return repeats


def differ(got: Any, expected: Any) -> bool:
    if isinstance(expected, float) and isinstance(got, float):
        return abs(got - expected) > 1e-8 * max(1.0, abs(expected))
    return bool(got != expected)
