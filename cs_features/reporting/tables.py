"""The facts that lie in the data bucket, read in few requests: the inventories' tables, a month of extractions,
quality, drift, spending, arrivals.

A source that cannot be read is named as such and leaves its figures unknown; it stops no other. Nothing is written.
Not here: what Dagster knows (`orchestration/standing.py`), what the figures mean (`facts.py`).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from io import BytesIO
from typing import TypeVar

import polars as pl

from cs_features.extraction.spending import Spent, read_spending
from cs_features.monitoring.findings import FindingKind
from cs_features.monitoring.freshness import Arrivals, judge_freshness, read_arrivals
from cs_features.monitoring.reconciliation import ISOLATED_ERRORS, differs_in, name_error
from cs_features.partitions import AnyPartition, Locale, Partition, Week, list_locales, monday_of
from cs_features.reporting.facts import (
    DAYS,
    Calls,
    CountryFacts,
    Documents,
    Drift,
    OpenRejects,
    Operations,
    Quality,
    Source,
    Spending,
)
from cs_features.reporting.quality import find_worst_field
from cs_features.schemas import FEATURE_COLUMNS
from cs_features.services import Model
from cs_features.storage import Tables, fill_missing_columns

READERS = 16
LAG_OF_DRIFT = 2  # weeks back at which the latest judged one is looked for
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
_COUNTS = ("landed", "validated", "rejected", "duplicates", "missing", "kept", "served")

Result = TypeVar("Result")


@dataclass
class Reader:
    """Reads what it is asked for, and keeps what could not be read as a source with its reason."""

    tables: Tables
    sources: dict[str, Source] = field(default_factory=dict)

    def try_reading(self, name: str, read: Callable[[], Result]) -> Result | None:
        try:
            return read()
        except ISOLATED_ERRORS as error:
            self.sources[name] = Source(name=name, error=name_error(error))
            return None

    def read_inventory(self, table: str) -> pl.DataFrame | None:
        """A table over all partitions, whose age is noted; one that nobody has made yet is unknown."""

        def read() -> pl.DataFrame | None:
            found = self.tables.bucket.read(self.tables.key(table, None))
            if found is None:
                self.sources[table] = Source(name=table, error="never made")
                return None
            self.sources[table] = Source(name=table, made_at=found[0].last_modified)
            return pl.read_parquet(BytesIO(found[1]), hive_partitioning=False)

        return self.try_reading(table, read)

    def read_many(self, table: str, partitions: Sequence[AnyPartition]) -> dict[AnyPartition, pl.DataFrame]:
        """The partitions that there are. One that cannot be read makes the table a source that is known in part."""
        with ThreadPoolExecutor(READERS, thread_name_prefix="report") as pool:
            frames = list(pool.map(lambda each: self._read_one(table, each), partitions))
        return {partition: frame for partition, frame in zip(partitions, frames, strict=True) if frame is not None}

    def _read_one(self, table: str, partition: AnyPartition) -> pl.DataFrame | None:
        return self.try_reading(f"{table} of {partition}", lambda: self.tables.read(table, partition))


@dataclass(frozen=True)
class Scope:
    """Of what the report is made: countries, the sensor's window, the prompts and model in use, the caps."""

    countries: Sequence[str]
    window_days: int
    model: Model


def read_operations(tables: Tables, scope: Scope, now: datetime) -> Operations:
    """Everything that the buckets tell of the operation at `now`."""
    reader = Reader(tables)
    counted = read_documents(reader, scope, now)
    calls = read_calls(reader, scope, now)
    reasons = read_top_reasons(reader, scope, now)
    rejects = read_open_rejects(reader, scope)
    reader.read_inventory("misfiled_objects")
    since = min(now.date().replace(day=1), now.date() - timedelta(days=DAYS))
    spent = reader.try_reading("spending", lambda: read_spending(tables.bucket, since))
    arrivals = reader.try_reading("arrivals", lambda: read_arrivals(tables.bucket))
    locales = list_locales(scope.model.prompts_dir)
    qualities = read_qualities(reader, scope, locales)
    drifts = read_drifts(reader, scope, now)
    countries = [
        CountryFacts(
            country=country,
            locales=tuple(key for key in locales if Locale.from_key(key).country == country),
            documents=None if counted is None else counted.days.get(country, {}),
            counted_from=now.date() - timedelta(days=scope.window_days),
            counted_to=date.min if counted is None else counted.until,
            calls=calls[country],
            rejected_reason=reasons.get(country),
            open_rejects=None if rejects is None else rejects.get(country, OpenRejects.none()),
            freshness=judge_freshness(arrivals or Arrivals(), country, now),
            spent=None if spent is None else sum_by_day(spent, country),
            quality=qualities.get(country),
            drift=drifts.get(country),
        )
        for country in scope.countries
    ]
    return Operations(
        now=now,
        countries=countries,
        spending=sum_spending(spent, scope.model, now.date()),
        sources=list(reader.sources.values()),
        stale_days=count_stale_days(calls, scope.model),
    )


# --- documents --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Counted:
    """What the latest inventory counted, by country and day, and the last day that was over when it looked."""

    days: Mapping[str, Mapping[date, Documents]]
    until: date


def read_documents(reader: Reader, scope: Scope, now: datetime) -> Counted | None:
    frame = reader.read_inventory("reconciliation")
    if frame is None:
        return None
    made_at = reader.sources["reconciliation"].made_at or now
    differing = set(frame.filter(differs_in(*FindingKind))["partition"])
    days: dict[str, dict[date, Documents]] = {country: {} for country in scope.countries}
    for row in frame.iter_rows(named=True):
        partition = Partition.from_key(row["partition"])
        counts = {name: row[name] for name in _COUNTS}
        documents = Documents(state=row["state"], differs=row["partition"] in differing, **counts)
        days.setdefault(partition.country, {})[partition.date] = documents
    return Counted(days, made_at.date() - timedelta(days=1))


def read_top_reasons(reader: Reader, scope: Scope, now: datetime) -> dict[str, str]:
    """The most frequent reason for which yesterday's documents were rejected, by country."""
    yesterday = now.date() - timedelta(days=1)
    frames = reader.read_many("rejected_records", [Partition(country, yesterday) for country in scope.countries])
    found = {}
    for partition, frame in frames.items():
        counted = frame.group_by("reason").len().sort("len", "reason", descending=[True, False])
        if counted.height:
            found[partition.country] = str(counted["reason"][0])
    return found


def read_open_rejects(reader: Reader, scope: Scope) -> dict[str, OpenRejects] | None:
    frame = reader.read_inventory("open_rejects")
    if frame is None:
        return None
    found = {}
    for country in scope.countries:
        rows = frame.filter(pl.col("country") == country).sort("documents", "reason", descending=[True, False])
        if rows.height:
            redrivable = int(rows.filter(pl.col("redrivable"))["documents"].sum())
            found[country] = OpenRejects(
                documents=int(rows["documents"].sum()), redrivable=redrivable, top_reason=rows["reason"][0]
            )
    return found


# --- calls and money --------------------------------------------------------------------------


def read_calls(reader: Reader, scope: Scope, now: datetime) -> dict[str, dict[date, Calls]]:
    days = [now.date() - timedelta(days=back) for back in range(DAYS, -1, -1)]
    partitions = [Partition(country, day) for country in scope.countries for day in days]
    found: dict[str, dict[date, Calls]] = {country: {} for country in scope.countries}
    for partition, frame in reader.read_many("llm_extractions", partitions).items():
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


def sum_spending(spent: Sequence[Spent] | None, model: Model, today: date) -> Spending:
    """Of all that was asked, the golden corpus and previews included; unknown where the bucket did not tell."""
    limits = model.limits()
    if spent is None:
        return Spending(today=None, month=None, day_limit=limits.day, month_limit=limits.month)
    days: dict[date, float] = {}
    for each in spent:
        days[each.day] = days.get(each.day, 0.0) + each.usd
    first = today - timedelta(days=DAYS)
    before = [days.get(first + timedelta(days=number), 0.0) for number in range(DAYS)]
    month = sum(usd for day, usd in days.items() if (day.year, day.month) == (today.year, today.month))
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


# --- quality and drift ------------------------------------------------------------------------


def read_qualities(reader: Reader, scope: Scope, keys: Iterable[str]) -> dict[str, Quality]:
    """Of each country whose file can be used: the worst field, and what that is known from."""
    prompts = reader.try_reading("prompts", scope.model.prompts)
    if prompts is None:
        return {}
    locales = [Locale.from_key(key) for key in keys]
    tables = reader.read_many("extraction_quality", locales)
    found = {}
    for country in scope.countries:
        if country not in prompts.countries:
            reader.sources[f"prompt of {country}"] = Source(name=f"prompt of {country}", error="cannot be used")
            continue
        of_country = {each.language: tables.get(each) for each in locales if each.country == country}
        version = prompts.version(country)
        found[country] = find_worst_field(of_country, prompts.countries[country].floors, scope.model.model_id, version)
    return found


def read_drifts(reader: Reader, scope: Scope, now: datetime) -> dict[str, Drift]:
    """The latest of the last weeks that was judged, by country."""
    this_week = monday_of(now.date())
    mondays = [this_week - timedelta(weeks=back) for back in range(1, LAG_OF_DRIFT + 1)]
    weeks = [Week(country, monday) for country in scope.countries for monday in mondays]
    found: dict[str, Drift] = {}
    for week, verdicts in reader.read_many("feature_drift", weeks).items():
        assert isinstance(week, Week)
        if week.country not in found or week.monday > found[week.country].monday:
            found[week.country] = describe_drift(week.monday, verdicts)
    return found


def describe_drift(monday: date, verdicts: pl.DataFrame) -> Drift:
    if verdicts.filter(pl.col("verdict") != "too few").is_empty():
        return Drift(monday=monday, drifted=None)
    drifted = verdicts.filter(pl.col("verdict") == "drifted", pl.col("feature").is_in(FEATURE_COLUMNS))
    return Drift(monday=monday, drifted=tuple(drifted.sort("effect", descending=True)["feature"]))
