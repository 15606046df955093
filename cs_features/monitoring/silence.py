"""A country whose feed is late, in the words that are told of it: on the page, in the check and by mail. Pure."""

from datetime import datetime, timedelta

from cs_features.figures import format_moment, format_span
from cs_features.monitoring.alerts import SILENCE_OF_STATES, Alert, Severity
from cs_features.monitoring.freshness import Freshness, FreshnessState

FRESHNESS = "freshness"  # the check


def describe_feed_freshness(country: str, found: Freshness, now: datetime) -> str:
    """One sentence, whatever the state."""
    newest = f"the newest document of {country} is of {format_moment(found.newest, now)} UTC"
    if found.newest is None:
        return f"{country} has never delivered, as far as is remembered."
    if found.state is FreshnessState.UNKNOWN:
        return f"Too few days are known to tell ({found.days_compared}): {newest}."
    if found.state is FreshnessState.FRESH:
        return f"{newest[0].upper()}{newest[1:]}; at this hour it may be {format_span(found.allowed_age)} old."
    return (
        f"{country} is silent: {newest}, {format_span(found.age)} old, and at this hour it was never older than "
        f"{format_span(found.allowed_age)}{_describe_arrival_habit(found)}."
    )


def describe_country_silence(country: str, found: Freshness, now: datetime, ui_url: str) -> Alert:
    """The alert of a country that is late."""
    return Alert(
        severity=Severity.ERROR,
        title=FRESHNESS,
        reason=describe_feed_freshness(country, found, now),
        meaning="What is served is complete up to then; nothing newer becomes features.",
        advice="Ask the owner of the feed whether it delivers, and where to.",
        link=f"{ui_url}/assets/feed_freshness?view=checks",
        at=now,
        country=country,
        silence=SILENCE_OF_STATES,
    )


def _describe_arrival_habit(found: Freshness) -> str:
    if found.usual is None:
        return ""
    return f"; the first of a day usually comes by {format_time(found.usual)} UTC"


def format_time(after_midnight: timedelta) -> str:
    minutes = int(after_midnight.total_seconds() // 60)
    return f"{minutes // 60:02d}:{minutes % 60:02d}"
