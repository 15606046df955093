"""What needs a person today, the most urgent first, each in one line with its link and its command. Pure.

A concern is an incident that stands (an alert that still holds), or something that the figures say and no check does.
The same check or cause in several countries is one concern. Not here: what stands (`orchestration/standing.py`),
what the figures are (`facts.py`).
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from cs_features.figures import format_dollars, format_share, format_span
from cs_features.monitoring.alerts import ALL_COUNTRIES, Alert, Severity, identify_incident_cause
from cs_features.monitoring.freshness import FreshnessState
from cs_features.monitoring.silence import describe_country_silence
from cs_features.reporting.commands import Target, suggest_concern_command
from cs_features.reporting.facts import CountryFacts, Operations

SHOWN_CONCERNS = 5
LONGEST_SENTENCE = 260
OLD_AFTER = timedelta(hours=26)  # an inventory that is taken every day
MAX_KEPT_SHARE = 0.05
# Of the month's cap: enough is left to decide something.
MONTH_SHARE = 0.8
SURE_OF_MONTH_AFTER = 7  # days of which a projection is made
# A day is out of the ordinary when it costs so many times the dearest of the four weeks before, and is worth a look.
DEAR_DAY, WORTH_A_LOOK_USD = 2.0, 1.0

# What comes first: nothing is seen; wrong or lost; at a stand; left lying; dear; not known; to be looked at.
BLIND, WRONG, STANDING, LYING, DEAR, UNKNOWN, LOOK = range(7)
_RANKS = {
    "daemon": BLIND,
    "landing_sensor": BLIND,
    "prompt_sensor": STANDING,
    "recheck_sensor": STANDING,
    "conservation": WRONG,
    "one_door": WRONG,
    "schema": WRONG,
    "documents gone": WRONG,
    "withdrawals stopped": WRONG,
    "quality below": WRONG,
    "served": WRONG,
    "reconciled": WRONG,
    "freshness": STANDING,
    "id_conflicts": LYING,
    "erased_landed": LYING,
    "misfiled": LYING,
    "rejected_share": LYING,
    "spending": DEAR,
    "cost_per_interaction": DEAR,
    "inventory": UNKNOWN,
    "source": UNKNOWN,
}


@dataclass(frozen=True)
class Concern:
    """Something that a person has to do today. `partitions` are written as "NL 2026-11-24"."""

    rank: int
    title: str
    countries: tuple[str, ...]
    sentence: str
    advice: str
    link: str
    command: str
    partitions: tuple[str, ...] = ()

    @property
    def where(self) -> str:
        return ", ".join(self.countries) or ALL_COUNTRIES


def list_page_concerns(facts: Operations, standing: Iterable[Alert], ui_url: str, landing_bucket: str) -> list[Concern]:
    """All of them, the most urgent first."""
    alerts = [*standing, *describe_figures(facts, ui_url)]
    groups: dict[str, list[Alert]] = {}
    for alert in alerts:
        groups.setdefault(identify_incident_cause(alert.title), []).append(alert)
    concerns = [merge_alert_concerns(group, facts, landing_bucket) for group in groups.values()]
    return sorted(concerns, key=lambda concern: (concern.rank, -len(concern.partitions), concern.title))


def merge_alert_concerns(alerts: Sequence[Alert], facts: Operations, landing_bucket: str) -> Concern:
    """The alerts of one check or cause, of whatever countries, as one concern: the words are the gravest's."""
    first = min(alerts, key=lambda alert: (alert.severity is not Severity.ERROR, alert.country))
    countries = tuple(sorted({alert.country for alert in alerts} - {ALL_COUNTRIES}))
    partitions = tuple(sorted({partition for alert in alerts for partition in alert.partitions}))
    of_countries = [facts_of for facts_of in facts.countries if facts_of.country in countries]
    target = Target(
        partitions=partitions,
        countries=countries,
        locales=[locale for each in of_countries for locale in each.locales],
        landing_bucket=landing_bucket,
        today=facts.now.date(),
    )
    return Concern(
        rank=rank_alert_urgency(first),
        title=first.title,
        countries=countries,
        sentence=shorten_sentence(first.reason),
        advice=first.advice,
        link=first.link,
        command=suggest_concern_command(first.title, target),
        partitions=partitions,
    )


def rank_alert_urgency(alert: Alert) -> int:
    if alert.title.endswith("switched off"):
        return BLIND
    for beginning, rank in _RANKS.items():
        if alert.title.startswith(beginning):
            return rank
    return STANDING if alert.severity is Severity.ERROR else LOOK


def shorten_sentence(sentence: str) -> str:
    """One line; cut at a word."""
    line = re.sub(r"\s+", " ", sentence).strip()
    return line if len(line) <= LONGEST_SENTENCE else line[: LONGEST_SENTENCE - 2].rsplit(" ", 1)[0] + " …"


# --- what the figures say -----------------------------------------------------------------------


def describe_figures(facts: Operations, ui_url: str) -> Iterator[Alert]:
    """What no check and no failed run tells."""
    for country in facts.countries:
        yield from describe_late_feed(country, facts, ui_url)
        yield from describe_unknown_quality(country, facts, ui_url)
        yield from describe_kept_records(country, facts, ui_url)
    yield from describe_budget_spending(facts, ui_url)
    yield from describe_unread_sources(facts, ui_url)


def describe_late_feed(country: CountryFacts, facts: Operations, ui_url: str) -> Iterator[Alert]:
    """A country that is silent; the same words go by mail."""
    if country.freshness is not None and country.freshness.state is FreshnessState.LATE:
        yield describe_country_silence(country.country, country.freshness, facts.now, ui_url)


def describe_unknown_quality(country: CountryFacts, facts: Operations, ui_url: str) -> Iterator[Alert]:
    if country.quality is None or country.quality.worst is not None:
        return
    yield Alert(
        severity=Severity.WARNING,
        title="quality_floor",
        reason=f"Nobody knows how good the answers of {country.country} are: {country.quality.source}.",
        meaning="Its features are published; a prompt that is bad would not be stopped.",
        advice="Materialize extraction_quality for the languages of the country.",
        link=f"{ui_url}/assets/extraction_quality",
        at=facts.now,
        country=country.country,
    )


def describe_kept_records(country: CountryFacts, facts: Operations, ui_url: str) -> Iterator[Alert]:
    """Kept records are right as long as they are few: their newest extraction failed."""
    days = [day for day in (country.documents or {}).values() if day.kept is not None and day.served is not None]
    kept, served = sum(day.kept or 0 for day in days), sum(day.served or 0 for day in days)
    if not served or kept / served <= MAX_KEPT_SHARE:
        return
    partitions = [f"{country.country} {day}" for day, found in (country.documents or {}).items() if found.kept]
    yield Alert(
        severity=Severity.WARNING,
        title="kept records",
        reason=f"{country.country} serves {kept:,} records ({format_share(kept / served)}) that an older prompt or "
        "model has made, because their newest extraction failed.",
        meaning="These features are as right as they were; nobody has renewed them.",
        advice="See the reasons in rejected_records, mend the cause, then run redrive_rejected.",
        link=f"{ui_url}/assets/rejected_records",
        at=facts.now,
        country=country.country,
        partitions=tuple(sorted(partitions)),
    )


def describe_budget_spending(facts: Operations, ui_url: str) -> Iterator[Alert]:
    sentence = judge_month_spending(facts) or judge_day_spending(facts)
    if sentence is None:
        return
    yield Alert(
        severity=Severity.WARNING,
        title="spending",
        reason=sentence,
        meaning="When a cap is reached no new call starts, and what lands waits to become features.",
        advice="See which partitions were asked again and why; raise the cap only for what you want.",
        link=f"{ui_url}/runs",
        at=facts.now,
    )


def judge_month_spending(facts: Operations) -> str | None:
    spending, day = facts.spending, facts.now.day
    if spending.month is None:
        return None
    limit = spending.month_limit
    if spending.month >= MONTH_SHARE * limit:
        return f"{format_dollars(spending.month)} of this month's {format_dollars(limit)} are spent."
    projected = spending.month / max(day - 1, 1) * 30
    if day > SURE_OF_MONTH_AFTER and projected > limit:
        return f"At this pace the month costs {format_dollars(projected)}; its cap is {format_dollars(limit)}."
    return None


def judge_day_spending(facts: Operations) -> str | None:
    """Yesterday or today against the dearest day before them."""
    spending = facts.spending
    if spending.today is None or len(spending.before) < 2:
        return None
    latest, ordinary = max(spending.today, spending.before[-1]), max(spending.before[:-1])
    if latest < WORTH_A_LOOK_USD or latest <= DEAR_DAY * ordinary:
        return None
    return (
        f"{format_dollars(latest)} were spent in a day; the dearest of the four weeks before cost "
        f"{format_dollars(ordinary)}."
    )


def describe_unread_sources(facts: Operations, ui_url: str) -> Iterator[Alert]:
    """What the page could not read, or only as it was days ago."""
    for source in facts.sources:
        if source.error is not None:
            title, reason = "source unreadable", f"{source.name} is unknown: {source.error}."
        elif source.made_at is not None and facts.now - source.made_at > OLD_AFTER:
            age = format_span(facts.now - source.made_at)
            title, reason = "inventory is old", f"{source.name} was made {age} ago; it should be of this morning."
        else:
            continue
        yield Alert(
            severity=Severity.ERROR,
            title=title,
            reason=reason,
            meaning="Features go on being made; what this source would show of them is not seen.",
            advice="See why the job take_inventory did not run, or give the run the permission to read it.",
            link=f"{ui_url}/locations/cs_features.definitions/jobs/take_inventory",
            at=facts.now,
        )
