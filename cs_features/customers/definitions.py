"""Every feature of a customer, once: name, type, meaning and how it is counted; schema and docs are made of this table.

An expression counts over pairs of a spine row and a contact (`pairs.py`), each with `age`, the time between the contact
and the end of the window. Sums are of whole numbers, so that no order of rows changes a bit of the result. Rejected
contacts are no feature: nobody keeps from when until when each was known to be rejected (docs/training.md). Not here:
which contacts were known (`knowledge.py`).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import get_args

import polars as pl

from cs_features.errors import RequestError
from cs_features.hashing import content_hash
from cs_features.schemas import Channel

WINDOWS = (7, 30, 90, 365)  # days
LONGEST = WINDOWS[-1]
TREND_WINDOWS = (90, 365)  # in fewer days two contacts make any slope
REPEAT_DAYS = 7
DAY_MINUTES = 24 * 60
MILLION = 1_000_000
VERSION = 2  # of the meaning of what is below; a change of a meaning raises it

Count = Callable[[pl.Expr], pl.Expr]
"""From a mask of the pairs that lie in the window to the feature's value for a spine row."""


@dataclass(frozen=True)
class Feature:
    """One column of a training set: `windows` of it with their number of days as a suffix."""

    stem: str
    meaning: str
    dtype: pl.DataType
    count: Count
    windows: tuple[int, ...] = WINDOWS

    @property
    def names(self) -> list[str]:
        return [f"{self.stem}_{days}d" for days in self.windows]

    def list_aggregates(self) -> dict[str, pl.Expr]:
        """The expression of each column, to be aggregated over the pairs of a spine row."""
        masks = {days: pl.col("age") <= pl.duration(days=days) for days in self.windows}
        return {f"{self.stem}_{days}d": self.count(mask).cast(self.dtype) for days, mask in masks.items()}


def count_contacts_where(condition: pl.Expr) -> Count:
    return lambda mask: (mask & condition).sum()


def share_contacts_where(condition: pl.Expr) -> Count:
    return lambda mask: _divide((mask & condition).sum(), mask.sum())


def find_least_value(column: str) -> Count:
    return lambda mask: pl.when(mask).then(column).min()


def find_greatest_value(column: str) -> Count:
    return lambda mask: pl.when(mask).then(column).max()


def average_satisfaction(mask: pl.Expr) -> pl.Expr:
    return _divide((mask * pl.col("csat_millionths")).sum(), mask.sum() * MILLION)


def fit_satisfaction(mask: pl.Expr) -> pl.Expr:
    """The slope of the least squares line, in satisfaction per 30 days; none where all contacts are of one minute."""
    minutes, csat = pl.col("minutes"), pl.col("csat_millionths")
    number, total, squares = (_sum_exactly(mask, each) for each in (pl.lit(1), minutes, minutes * minutes))
    satisfaction, products = (_sum_exactly(mask, each) for each in (csat, minutes * csat))
    # `minutes` count backwards from the end: a rise in time is a fall in them.
    rise = total * satisfaction - number * products
    return _divide(rise * (30 * DAY_MINUTES), (number * squares - total * total) * MILLION)


def count_days(mask: pl.Expr) -> pl.Expr:
    return measure_days(pl.when(mask).then("age").min())


def measure_days(duration: pl.Expr) -> pl.Expr:
    milliseconds = duration.dt.total_milliseconds()
    return _divide(milliseconds, milliseconds * 0 + DAY_MINUTES * 60_000)


def find_latest(mask: pl.Expr) -> pl.Expr:
    return pl.when(mask).then("event_time").max()


def _sum_exactly(mask: pl.Expr, values: pl.Expr) -> pl.Expr:
    return (mask * values.cast(pl.Int64)).sum().cast(pl.Int128)  # a year's products pass 64 bits


def _divide(part: pl.Expr, whole: pl.Expr) -> pl.Expr:
    """Whole numbers by whole numbers, in one division. Never by a constant: of many rows polars multiplies by its
    inverse instead, of one it does not, and the last digit would depend on who else is asked for."""
    return pl.when(whole != 0).then(part.cast(pl.Float64) / whole.cast(pl.Float64))


_NUMBER, _VALUE = pl.UInt32(), pl.Float64()
_INTENTS = {"leave": "leave_company", "complain": "complain", "refund": "request_refund"}

DAYS_SINCE_LAST = Feature("days_since_last", "days since the last contact", _VALUE, count_days, (LONGEST,))
FEATURES: tuple[Feature, ...] = (
    Feature("contacts", "contacts", _NUMBER, count_contacts_where(pl.lit(True))),
    *(
        Feature(
            f"contacts_{channel}", f"contacts by {channel}", _NUMBER, count_contacts_where(pl.col("channel") == channel)
        )
        for channel in get_args(Channel)
    ),
    DAYS_SINCE_LAST,
    Feature(
        "negative_share", "share of negative contacts", _VALUE, share_contacts_where(pl.col("sentiment") == "negative")
    ),
    Feature("csat_least", "least satisfaction", _VALUE, find_least_value("csat_indicator")),
    Feature("csat_mean", "mean satisfaction", _VALUE, average_satisfaction),
    Feature("csat_trend", "change of satisfaction per 30 days (slope)", _VALUE, fit_satisfaction, TREND_WINDOWS),
    Feature("urgency_greatest", "greatest urgency", _VALUE, find_greatest_value("urgency_score")),
    Feature("open", "contacts left pending", _NUMBER, count_contacts_where(pl.col("resolution_status") == "pending")),
    Feature(
        "escalated", "contacts escalated", _NUMBER, count_contacts_where(pl.col("resolution_status") == "escalated")
    ),
    Feature(
        "repeated", "contacts on a topic of the seven days before", _NUMBER, count_contacts_where(pl.col("is_repeat"))
    ),
    *(
        Feature(
            f"intent_{name}",
            f"contacts with intent `{intent}`",
            _NUMBER,
            count_contacts_where(pl.col("intent") == intent),
        )
        for name, intent in _INTENTS.items()
    ),
    Feature("topics", "different topics", _NUMBER, count_contacts_where(pl.col("is_last_of_topic"))),
)
PROMPT_VERSIONS = f"prompt_versions_{LONGEST}d"  # `version:contacts`, a space between: text, which no sum makes

# Served in the place of the days since then, which are other ones every day: a record that is right stays as it is.
LAST_CONTACT = Feature("last_contact", "moment of the last contact", pl.Datetime("us"), find_latest, (LONGEST,))

NAMES = (*(name for feature in FEATURES for name in feature.names), PROMPT_VERSIONS)
SCHEMA = pl.Schema({**{n: f.dtype for f in FEATURES for n in f.names}, PROMPT_VERSIONS: pl.String()})


def choose_known_features(names: Iterable[str] | None) -> tuple[str, ...]:
    """`names` in the table's order; all for None.

    Raises:
        RequestError: a name is none of a feature, or none is given.
    """
    if names is None:
        return NAMES
    wanted = set(names)
    for name in sorted(wanted - set(NAMES)):
        near = get_close_matches(name, NAMES, 1)
        raise RequestError(f"there is no feature {name}; {f'did you mean {near[0]}' if near else 'docs/training.md'}")
    if not wanted:
        raise RequestError("no feature is asked for: leave `features` out to get all of them")
    return tuple(name for name in NAMES if name in wanted)


def list_served() -> tuple[str, ...]:
    """The names of a record that is served: all that do not change by themselves from day to day."""
    (days,), (moment,) = (each.names for each in (DAYS_SINCE_LAST, LAST_CONTACT))
    return tuple(moment if name == days else name for name in NAMES)


def list_aggregates(names: Iterable[str]) -> list[pl.Expr]:
    """The aggregates of those of `names` that are counted, each under its name."""
    known = {
        name: expression
        for feature in (*FEATURES, LAST_CONTACT)
        for name, expression in feature.list_aggregates().items()
    }
    return [known[name].alias(name) for name in names if name in known]


def identify_feature_definitions() -> str:
    """Tells versions of this table apart: its names, types, meanings and `VERSION`."""
    rows = [[feature.stem, feature.meaning, str(feature.dtype), *feature.windows] for feature in FEATURES]
    return content_hash([VERSION, *rows])[:16]
