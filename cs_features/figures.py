"""Figures as people read them. An unknown figure is the word "unknown", never 0.

Here: how a number, a time or a span is spelled. Not here: any number.
"""

from datetime import datetime, timedelta

UNKNOWN = "unknown"


def format_count(count: int | None) -> str:
    return UNKNOWN if count is None else f"{count:,}"


def count_things(count: int, thing: str) -> str:
    """As in "1 run", "2,000 runs"."""
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


def format_dollars(usd: float | None) -> str:
    """Cents where there are dollars, more digits where there are only fractions of a cent."""
    if usd is None:
        return UNKNOWN
    if usd >= 100:
        return f"${usd:,.0f}"
    if usd == 0 or usd >= 1:
        return f"${usd:,.2f}"
    return f"${usd:.3f}" if usd >= 0.01 else f"${usd:.5f}"


def format_share(share: float | None) -> str:
    """Percent; what is not quite nothing or not quite all does not look like it."""
    if share is None:
        return UNKNOWN
    if 0 < share < 0.001:
        return "< 0.1 %"
    if 0.999 < share < 1:
        return "> 99.9 %"
    percent = share * 100
    return f"{percent:.0f} %" if percent >= 10 or share == 0 else f"{percent:.1f} %"


def format_milliseconds(milliseconds: float | None) -> str:
    if milliseconds is None:
        return UNKNOWN
    return f"{milliseconds:.0f} ms" if milliseconds < 1_000 else f"{milliseconds / 1_000:.1f} s"


def format_bytes(size: int | None) -> str:
    if size is None:
        return UNKNOWN
    if size < 1_024:
        return f"{size} B"
    if size < 1_024**2:
        return f"{size / 1_024:.0f} KiB"
    return f"{size / 1_024**2:.1f} MiB"


def format_span(span: timedelta | None) -> str:
    """Minutes below two hours, hours below two days, and days."""
    if span is None:
        return UNKNOWN
    minutes = max(0, int(span.total_seconds() // 60))  # clocks differ a little
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 48 * 60 else f"{minutes // (24 * 60)} days"


def format_moment(moment: datetime | None, now: datetime) -> str:
    """The hour of today, the day before it otherwise; UTC."""
    if moment is None:
        return UNKNOWN
    return f"{moment:%H:%M}" if moment.date() == now.date() else f"{moment:%d %b %H:%M}"
