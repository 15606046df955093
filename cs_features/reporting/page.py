"""The page: facts and concerns as one self-contained HTML file, one sheet of A4, no script and no request.

Here: which figure stands in which column, and how. Not here: what needs a person (`concerns.py`), the figures
(`facts.py`), the look (`page.html`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

from cs_features.figures import (
    UNKNOWN,
    format_count,
    format_dollars,
    format_milliseconds,
    format_moment,
    format_share,
    format_span,
)
from cs_features.monitoring.freshness import FreshnessState
from cs_features.monitoring.silence import format_time
from cs_features.reporting.concerns import SHOWN_CONCERNS, Concern
from cs_features.reporting.facts import (
    CountryFacts,
    Documents,
    Operations,
    count_differing_partitions,
    list_missing_days,
    price_thousand_interactions,
    read_day_facts,
    sum_kept_records,
    sum_spent,
    sum_up_law,
)
from cs_features.reporting.sparkline import draw_svg_sparkline

if TYPE_CHECKING:
    from jinja2 import Template

MAX_BYTES = 150 * 1024
SHOWN_CHANGES = 6
SHOWN_SOURCES = 6


@dataclass(frozen=True)
class Cell:
    """One cell of a country's row: its figure, a smaller line below it, its four weeks, and whether it is worrying."""

    figure: str
    note: str = ""
    spark: str = ""
    is_worrying: bool = False


def render_report_page(facts: Operations, concerns: Sequence[Concern], ui_url: str) -> str:
    """The page as HTML."""
    return _load_page_template().render(
        now=facts.now,
        yesterday=facts.yesterday,
        concerns=concerns[:SHOWN_CONCERNS],
        more=concerns[SHOWN_CONCERNS:],
        columns=list(COLUMNS),
        rows=[(country.country, build_country_row(country, facts)) for country in facts.countries],
        money=describe_window_money(facts),
        law=describe_window_law(facts),
        changes=[*describe_stale_partitions(facts), *describe_recent_changes(facts)][:SHOWN_CHANGES],
        unknown=describe_unknown_sources(facts),
        ui_url=ui_url,
    )


@lru_cache(maxsize=1)
def _load_page_template() -> Template:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape  # once a day

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=select_autoescape(default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html")


# --- a country's row --------------------------------------------------------------------------


def build_country_row(country: CountryFacts, facts: Operations) -> list[Cell]:
    return [build(country, facts) for build in COLUMNS.values()]


def show_landed_cell(country: CountryFacts, facts: Operations) -> Cell:
    return _show_documents_cell(country, facts, "landed", lambda day: day.landed)


def show_validated_cell(country: CountryFacts, facts: Operations) -> Cell:
    return _show_documents_cell(country, facts, "validated", lambda day: day.validated)


def show_rejected_cell(country: CountryFacts, facts: Operations) -> Cell:
    return _show_documents_cell(country, facts, "rejected", lambda day: day.rejected, country.rejected_reason or "")


def _show_documents_cell(
    country: CountryFacts, facts: Operations, name: str, figure: Callable[[Documents], int | None], note: str = ""
) -> Cell:
    days = [read_day_facts(country, day, figure) for day in facts.days]
    spark = draw_svg_sparkline(days, escape(f"{country.country} {name}, four weeks"))
    return Cell(format_count(days[-1]), note, Markup(spark))  # noqa: S704 (numbers, and a title that is escaped)


def show_open_rejects(country: CountryFacts, facts: Operations) -> Cell:
    found = country.open_rejects
    if found is None:
        return Cell(UNKNOWN)
    note = f"{format_count(found.redrivable)} redrivable" if found.documents else ""
    return Cell(format_count(found.documents), ", ".join(filter(None, [found.top_reason, note])))


def show_kept_cell(country: CountryFacts, facts: Operations) -> Cell:
    return Cell(format_count(sum_kept_records(country)))


def show_partitions_cell(country: CountryFacts, facts: Operations) -> Cell:
    """Days that are missing, and partitions that differ or are unknown."""
    missing, differing = list_missing_days(country, facts.days), count_differing_partitions(country)
    if missing is None or differing is None:
        return Cell(UNKNOWN)
    note = f"missing {missing[-1]:%d %b}" if missing else ""
    return Cell(f"{len(missing)} / {differing}", note, is_worrying=bool(missing or differing))


def show_newest_cell(country: CountryFacts, facts: Operations) -> Cell:
    found = country.freshness
    if found is None or found.newest is None:
        return Cell(UNKNOWN)
    usual = f"usually by {format_time(found.usual)}" if found.usual is not None else ""
    note = "too few days to tell" if found.state is FreshnessState.UNKNOWN else usual
    return Cell(format_moment(found.newest, facts.now), note, is_worrying=found.state is FreshnessState.LATE)


def show_dollars_cell(country: CountryFacts, facts: Operations) -> Cell:
    """Today and this month."""
    today = facts.now.date()
    month = [date(today.year, today.month, day) for day in range(1, today.day + 1)]
    spent = [None if country.spent is None else country.spent.get(day, 0.0) for day in facts.days]
    spark = draw_svg_sparkline(spent, escape(f"{country.country} dollars, four weeks"))
    spent_this_month, limit = sum_spent(country, month), facts.spending.month_limit
    share = None if spent_this_month is None or not limit else spent_this_month / limit
    note = f"{format_dollars(spent_this_month)} month, {format_share(share)} of the cap"
    return Cell(format_dollars(sum_spent(country, [today])), note, Markup(spark))  # noqa: S704


def show_thousand_cell(country: CountryFacts, facts: Operations) -> Cell:
    return Cell(format_dollars(price_thousand_interactions(country, facts.yesterday)))


def show_cache_cell(country: CountryFacts, facts: Operations) -> Cell:
    calls = country.calls.get(facts.yesterday)
    return Cell(format_share(calls.cache_share if calls else None))


def show_latency_cell(country: CountryFacts, facts: Operations) -> Cell:
    calls = country.calls.get(facts.yesterday)
    return Cell(format_milliseconds(calls.p95_ms if calls else None))


def show_quality_cell(country: CountryFacts, facts: Operations) -> Cell:
    if country.quality is None or country.quality.worst is None:
        return Cell(UNKNOWN)
    worst = country.quality.worst
    figure = f"{worst.name} {worst.value:.2f} ({worst.low:.2f}-{worst.high:.2f})"
    return Cell(figure, f"{worst.margin:+.2f} to its floor {worst.floor:.2f}", is_worrying=worst.margin < 0)


def show_drift_cell(country: CountryFacts, facts: Operations) -> Cell:
    found = country.drift
    if found is None:
        return Cell(UNKNOWN)
    week = f"week of {found.monday:%d %b}"
    if found.drifted is None:
        return Cell("too few", week)
    return Cell(", ".join(found.drifted) or "steady", week, is_worrying=bool(found.drifted))


def show_source_cell(country: CountryFacts, facts: Operations) -> Cell:
    return Cell(UNKNOWN if country.quality is None else country.quality.source)


COLUMNS: Mapping[str, Callable[[CountryFacts, Operations], Cell]] = {
    "landed": show_landed_cell,
    "validated": show_validated_cell,
    "rejected, mostly": show_rejected_cell,
    "open rejects": show_open_rejects,
    "kept": show_kept_cell,
    "days missing / differing": show_partitions_cell,
    "newest document": show_newest_cell,
    "dollars today": show_dollars_cell,
    "a thousand": show_thousand_cell,
    "cache": show_cache_cell,
    "p95": show_latency_cell,
    "worst field": show_quality_cell,
    "drift": show_drift_cell,
    "known from": show_source_cell,
}


# --- below the table --------------------------------------------------------------------------


def describe_window_money(facts: Operations) -> str:
    spending = facts.spending
    if spending.today is None or spending.month is None:
        return "What was spent is unknown."
    share = spending.month / spending.month_limit if spending.month_limit else None
    return (
        f"Everything together: {format_dollars(spending.today)} today of at most {format_dollars(spending.day_limit)}, "
        f"{format_dollars(spending.month)} this month, {format_share(share)} of {format_dollars(spending.month_limit)}."
    )


def describe_window_law(facts: Operations) -> str:
    law = sum_up_law(facts.countries)
    if law is None:
        return "The law is unknown: there is no inventory."
    difference = f", {abs(law.missing):,} {'missing' if law.missing > 0 else 'too many'}" if law.missing else ""
    uncounted = f"; {law.uncounted:,} could not be counted" if law.uncounted else ""
    return (
        f"{law.landed:,} landed = {law.validated:,} validated + {law.rejected:,} rejected + {law.duplicates:,} exact "
        f"duplicates{difference} ({law.counted:,} country-days counted from S3{uncounted})"
    )


def describe_stale_partitions(facts: Operations) -> list[str]:
    """Features that another prompt or model has made: nobody has to renew them, and this is how."""
    if not facts.stale_days:
        return []
    command = f"cs_features.cli.backfill --first {facts.days[0]} --last {facts.yesterday}"
    return [
        f"{facts.stale_days:,} country-days of the last four weeks were made with another prompt or model. What "
        f"renewing them costs and takes, and with --yes does it: .venv/bin/python -m {command}"
    ]


def describe_recent_changes(facts: Operations) -> list[str]:
    return [f"{change.day:%d %b}: {change.what} {change.before} → {change.after}" for change in facts.changes]


def describe_unknown_sources(facts: Operations) -> list[str]:
    """What could not be read, and what is older than it should be."""
    lines = [f"{source.name}: unknown ({source.error})" for source in facts.sources if source.error]
    if len(lines) > SHOWN_SOURCES:
        lines = [*lines[:SHOWN_SOURCES], f"and {len(lines) - SHOWN_SOURCES} more"]
    ages = [
        f"{source.name} was made {format_span(facts.now - source.made_at)} ago"
        for source in facts.sources
        if source.made_at is not None
    ]
    return [*lines, *ages]


# --- the first lines, for the mail and the metadata -------------------------------------------


def write_first_lines(concerns: Sequence[Concern]) -> list[str]:
    """What needs a person, one line each; one line where nothing does."""
    if not concerns:
        return ["Nothing needs you today."]
    lines = [f"{number}. {describe_page_concern(each)}" for number, each in enumerate(concerns[:SHOWN_CONCERNS], 1)]
    more = concerns[SHOWN_CONCERNS:]
    return [*lines, f"and {len(more)} more: {', '.join(each.title for each in more)}"] if more else lines


def describe_page_concern(concern: Concern) -> str:
    return f"{concern.title}, {concern.where}: {concern.sentence}"
