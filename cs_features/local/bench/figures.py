"""What a scenario hands back: a figure, the bar it is held to, and whether it clears it.

No measuring and no printing here.
"""

from collections.abc import Callable
from dataclasses import dataclass

Say = Callable[[str], None]  # a progress line
Show = Callable[[float], str]  # a value as its reader wants it


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table; `met` is None where nothing is promised (comparisons, context)."""

    what: str
    text: str
    value: float | None = None
    bar: str = ""
    met: bool | None = None


def as_percent(value: float) -> str:
    return f"{100 * value:.2f} %"


def as_count(value: float) -> str:
    return f"{value:,.0f}"


def at_least(what: str, value: float, bar: float, show: Show, note: str = "") -> Figure:
    return Figure(what, f"{show(value)}{note and f' ({note})'}", value, f">= {show(bar)}", value >= bar)


def at_most(what: str, value: float, bar: float, show: Show, note: str = "") -> Figure:
    return Figure(what, f"{show(value)}{note and f' ({note})'}", value, f"<= {show(bar)}", value <= bar)


def equal_to(what: str, value: float, bar: float, note: str = "") -> Figure:
    return Figure(what, f"{as_count(value)}{note and f' ({note})'}", value, f"= {as_count(bar)}", value == bar)
