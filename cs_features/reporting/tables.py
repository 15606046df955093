"""The facts that lie in the data bucket, read in few requests: the inventories' tables, a month of extractions,
quality, drift, spending, arrivals.

A source that cannot be read is named as such and leaves its figures unknown; it stops no other. Nothing is written.
Not here: what Dagster knows (`orchestration/standing.py`), what the figures mean (`facts.py`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import polars as pl

from cs_features.extraction.spending import read_spending
from cs_features.monitoring.findings import FindingKind
from cs_features.monitoring.freshness import Arrivals, judge_country_freshness, read_arrival_times
from cs_features.monitoring.reconciliation import differs_in
from cs_features.partitions import Locale, Partition, Week, list_locales, monday_of
from cs_features.reporting.facts import (
    DAYS,
    CountryFacts,
    Documents,
    Drift,
    OpenRejects,
    Operations,
    Quality,
    Source,
)
from cs_features.reporting.money import count_stale_days, read_calls, sum_by_day, sum_country_spending
from cs_features.reporting.quality import find_worst_field
from cs_features.reporting.reader import Reader, Scope
from cs_features.schemas import FEATURE_COLUMNS
from cs_features.storage import Tables

LAG_OF_DRIFT = 2  # weeks back at which the latest judged one is looked for
_COUNTS = ("landed", "validated", "rejected", "duplicates", "missing", "kept", "served")


def read_operations_table(tables: Tables, scope: Scope, now: datetime) -> Operations:
    """Everything that the buckets tell of the operation at `now`."""
    reader = Reader(tables)
    counted = read_documents_table(reader, scope, now)
    calls = read_calls(reader, scope, now)
    reasons = read_top_reasons(reader, scope, now)
    rejects = read_open_rejects(reader, scope)
    reader.read_latest_inventory("misfiled_objects")
    since = min(now.date().replace(day=1), now.date() - timedelta(days=DAYS))
    spent = reader.try_reading_table("spending", lambda: read_spending(tables.bucket, since))
    arrivals = reader.try_reading_table("arrivals", lambda: read_arrival_times(tables.bucket))
    locales = list_locales(scope.model.prompts_dir)
    qualities = read_quality_tables(reader, scope, locales)
    drifts = read_drift_tables(reader, scope, now)
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
            freshness=judge_country_freshness(arrivals or Arrivals(), country, now),
            spent=None if spent is None else sum_by_day(spent, country),
            quality=qualities.get(country),
            drift=drifts.get(country),
        )
        for country in scope.countries
    ]
    return Operations(
        now=now,
        countries=countries,
        spending=sum_country_spending(spent, scope.model, now.date()),
        sources=list(reader.sources.values()),
        stale_days=count_stale_days(calls, scope.model),
    )


# --- documents --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Counted:
    """What the latest inventory counted, by country and day, and the last day that was over when it looked."""

    days: Mapping[str, Mapping[date, Documents]]
    until: date


def read_documents_table(reader: Reader, scope: Scope, now: datetime) -> Counted | None:
    frame = reader.read_latest_inventory("reconciliation")
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
    frames = reader.read_many_tables("rejected_records", [Partition(country, yesterday) for country in scope.countries])
    found = {}
    for partition, frame in frames.items():
        counted = frame.group_by("reason").len().sort("len", "reason", descending=[True, False])
        if counted.height:
            found[partition.country] = str(counted["reason"][0])
    return found


def read_open_rejects(reader: Reader, scope: Scope) -> dict[str, OpenRejects] | None:
    frame = reader.read_latest_inventory("open_rejects")
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


# --- quality and drift ------------------------------------------------------------------------


def read_quality_tables(reader: Reader, scope: Scope, keys: Iterable[str]) -> dict[str, Quality]:
    """Of each country whose file can be used: the worst field, and what that is known from."""
    prompts = reader.try_reading_table("prompts", scope.model.prompts)
    if prompts is None:
        return {}
    locales = [Locale.from_key(key) for key in keys]
    tables = reader.read_many_tables("extraction_quality", locales)
    found = {}
    for country in scope.countries:
        if country not in prompts.countries:
            reader.sources[f"prompt of {country}"] = Source(name=f"prompt of {country}", error="cannot be used")
            continue
        of_country = {each.language: tables.get(each) for each in locales if each.country == country}
        version = prompts.version(country)
        found[country] = find_worst_field(of_country, prompts.countries[country].floors, scope.model.model_id, version)
    return found


def read_drift_tables(reader: Reader, scope: Scope, now: datetime) -> dict[str, Drift]:
    """The latest of the last weeks that was judged, by country."""
    this_week = monday_of(now.date())
    mondays = [this_week - timedelta(weeks=back) for back in range(1, LAG_OF_DRIFT + 1)]
    weeks = [Week(country, monday) for country in scope.countries for monday in mondays]
    found: dict[str, Drift] = {}
    for week, verdicts in reader.read_many_tables("feature_drift", weeks).items():
        assert isinstance(week, Week)
        if week.country not in found or week.monday > found[week.country].monday:
            found[week.country] = describe_country_drift(week.monday, verdicts)
    return found


def describe_country_drift(monday: date, verdicts: pl.DataFrame) -> Drift:
    if verdicts.filter(pl.col("verdict") != "too few").is_empty():
        return Drift(monday=monday, drifted=None)
    drifted = verdicts.filter(pl.col("verdict") == "drifted", pl.col("feature").is_in(FEATURE_COLUMNS))
    return Drift(monday=monday, drifted=tuple(drifted.sort("effect", descending=True)["feature"]))
