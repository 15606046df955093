"""What the answers have cost and how long they took, by country and day: `llm_extractions`, and the spending record.

Not here: what the figures mean (`facts.py`), which of them needs a person (`concerns.py`).
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta

import polars as pl

from cs_features.extraction.spending import Spent
from cs_features.monitoring.reconciliation import ISOLATED_ERRORS
from cs_features.partitions import Partition
from cs_features.reporting.facts import DAYS, Calls, Spending
from cs_features.reporting.reader import Reader, Scope
from cs_features.services import Model
from cs_features.storage import fill_missing_columns

_CALLS = pl.Schema(
    {
        "prompt_version": pl.String(),
        "model_id": pl.String(),
        "input_tokens": pl.Int64(),
        "cache_read_tokens": pl.Int64(),
        "cache_write_tokens": pl.Int64(),
        "cost_usd": pl.Float64(),
        "latency_ms": pl.Int64(),
        "attempts": pl.Int64(),
    }
)


def read_calls(reader: Reader, scope: Scope, now: datetime) -> dict[str, dict[date, Calls]]:
    days = [now.date() - timedelta(days=back) for back in range(DAYS, -1, -1)]
    partitions = [Partition(country, day) for country in scope.countries for day in days]
    found: dict[str, dict[date, Calls]] = {country: {} for country in scope.countries}
    for partition, frame in reader.read_many_tables("llm_extractions", partitions).items():
        assert isinstance(partition, Partition)
        found[partition.country][partition.date] = sum_up_calls(frame)
    return found


def sum_up_calls(extractions: pl.DataFrame) -> Calls:
    """What the answers of a table have cost; tables of other versions may lack columns."""
    frame = fill_missing_columns(extractions, _CALLS)
    asked = frame.filter(pl.col("attempts") > 0)
    prompt = sum(int(asked[name].sum()) for name in ("input_tokens", "cache_read_tokens", "cache_write_tokens"))
    p95 = asked["latency_ms"].quantile(0.95, interpolation="nearest")
    return Calls(
        interactions=frame.height,
        cost_usd=float(frame["cost_usd"].sum()),
        prompt_tokens=prompt,
        cached_tokens=int(asked["cache_read_tokens"].sum()),
        p95_ms=None if p95 is None else float(p95),
        prompt_versions=frozenset(frame["prompt_version"].drop_nulls()),
        model_ids=frozenset(frame["model_id"].drop_nulls()),
    )


def sum_by_day(spent: Iterable[Spent], country: str) -> dict[date, float]:
    """US dollars by the day on which a country's partitions spent them."""
    days: dict[date, float] = {}
    for each in spent:
        if each.folder.startswith(f"country={country}/"):
            days[each.day] = days.get(each.day, 0.0) + each.usd
    return days


def sum_country_spending(spent: Sequence[Spent] | None, model: Model, today: date) -> Spending:
    """Of all that was asked, the golden corpus and previews included; unknown where the bucket did not tell."""
    limits = model.limits()
    if spent is None:
        return Spending(today=None, month=None, day_limit=limits.day, month_limit=limits.month)
    days: dict[date, float] = {}
    for each in spent:
        days[each.day] = days.get(each.day, 0.0) + each.usd
    first = today - timedelta(days=DAYS)
    before = [days.get(first + timedelta(days=number), 0.0) for number in range(DAYS)]
    month = sum(usd for day, usd in days.items() if today.replace(day=1) <= day <= today)
    return Spending(
        today=days.get(today, 0.0),
        month=month,
        day_limit=limits.day,
        month_limit=limits.month,
        before=tuple(before),
    )


def count_stale_days(calls: Mapping[str, Mapping[date, Calls]], model: Model) -> int | None:
    """Country-days of the last four weeks whose answers another prompt or model has given; None without prompts."""
    try:
        prompts = model.prompts()
        asked = {country: prompts.asked_version(country) for country in calls if country in prompts.countries}
    except ISOLATED_ERRORS:
        return None
    return sum(
        bool(day.prompt_versions - {version}) or bool(day.model_ids - {model.model_id})
        for country, version in asked.items()
        for day in calls[country].values()
    )
