"""Whether a country's feed still delivers: the age of its newest document against what it was at this hour before.

A country is late when its newest document is older, by two hours, than at this hour and in the two hours before on
every one of the last 56 days of that kind (weekday or weekend). So a feed that comes once a night is late some hours
after its latest night, one that comes all day when it has been silent for longer than ever, and one that rests on
Sundays is not late on a Sunday. Days on which a feed that mostly delivers brought nothing are no habit: they are left
out.

Landing objects expire, so what landed is remembered in the data bucket, a quarter of an hour at a time. Here: the
memory and the judgement. Not here: the check and its schedule (`orchestration/`), what landed (`landing/zone.py`).
"""

import json
from bisect import bisect_right
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta, timezone
from enum import Enum

from cs_features.landing.zone import LandingZone, classify_landing_key, is_document_file
from cs_features.partitions import Partition
from cs_features.s3 import Bucket, StoredObject

ARRIVALS_KEY = "freshness/arrivals.json"
QUARTER = timedelta(minutes=15)
COMPARED_DAYS = 56
REMEMBERED_DAYS = COMPARED_DAYS + 4
# A feed may be so much later than ever before anybody is told: one day in forty is the latest of forty.
SLACK = timedelta(hours=2)
# What lands in the folder of an older day is a delivery of the past, and says nothing of the feed.
LATE_DELIVERY_DAYS = 3
MIN_WEEKDAYS, MIN_WEEKEND_DAYS = 10, 4


class FreshnessState(str, Enum):
    """How a feed stands."""

    FRESH = "fresh"
    LATE = "late"
    UNKNOWN = "unknown"  # too few days are known to tell


@dataclass(frozen=True)
class Freshness:
    """How a country's feed stands: its newest document, how old that may be now, and when the first of a day comes.

    `usual` and `latest` are times after midnight UTC, over the days compared; None where none is known.
    """

    state: FreshnessState
    newest: datetime | None = None
    age: timedelta | None = None
    allowed_age: timedelta | None = None
    usual: timedelta | None = None
    latest: timedelta | None = None
    days_compared: int = 0


@dataclass(frozen=True)
class Arrivals:
    """Of each country, its newest document and the quarters of an hour in which any landed, as their beginnings."""

    newest: Mapping[str, datetime] = field(default_factory=dict)
    quarters: Mapping[str, Sequence[datetime]] = field(default_factory=dict)


# --- the judgement ----------------------------------------------------------------------------


def judge_country_freshness(arrivals: Arrivals, country: str, now: datetime) -> Freshness:
    """How the country's feed stands at `now`."""
    newest, quarters = arrivals.newest.get(country), sorted(arrivals.quarters.get(country, ()))
    if newest is None or not quarters:
        return Freshness(FreshnessState.UNKNOWN, newest)
    days = list_comparable_days(quarters, now.date())
    age = max(now - newest, timedelta(0))
    is_weekend = now.weekday() >= 5
    firsts = list_first_arrivals(quarters, days)
    usual, latest = (firsts[len(firsts) // 2], firsts[-1]) if firsts else (None, None)
    if len(days) < (MIN_WEEKEND_DAYS if is_weekend else MIN_WEEKDAYS):
        return Freshness(FreshnessState.UNKNOWN, newest, age, None, usual, latest, len(days))
    allowed = SLACK + max(find_oldest_age(quarters, datetime.combine(day, now.timetz())) for day in days)
    state = FreshnessState.LATE if age > allowed else FreshnessState.FRESH
    return Freshness(state, newest, age, allowed, usual, latest, len(days))


def list_comparable_days(quarters: Sequence[datetime], today: date) -> list[date]:
    """The days of today's kind among the last 56 that are known whole, and that are no failure of the feed."""
    begin = quarters[0].date() + timedelta(days=1)
    past = (today - timedelta(days=back) for back in range(1, COMPARED_DAYS + 1))
    days = [day for day in past if day >= begin and (day.weekday() >= 5) == (today.weekday() >= 5)]
    delivered = {quarter.date() for quarter in quarters}
    with_documents = [day for day in days if day in delivered]
    return with_documents if 2 * len(with_documents) > len(days) else days


def list_first_arrivals(quarters: Sequence[datetime], days: Collection[date]) -> list[timedelta]:
    """When the first document of each day came, after midnight, the earliest first; days without one are left out."""
    first: dict[date, datetime] = {}
    for quarter in quarters:
        first.setdefault(quarter.date(), quarter)
    return sorted(first[day] - _midnight(day) for day in days if day in first)


def find_oldest_age(quarters: Sequence[datetime], moment: datetime) -> timedelta:
    """The oldest that the newest document was between `SLACK` before `moment` and then."""
    begin, end = bisect_right(quarters, moment - SLACK), bisect_right(quarters, moment)
    ages = [moment - quarters[end - 1]] if end else []
    # Just before each arrival the newest document was oldest.
    ages += [quarters[place] - quarters[place - 1] for place in range(max(begin, 1), end)]
    return max(ages, default=timedelta(0))


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), timezone.utc)


# --- the memory -------------------------------------------------------------------------------


def read_arrival_times(bucket: Bucket) -> Arrivals:
    """What is remembered; nothing before the first look, or where another version wrote it.

    Raises:
        AwsRefusal: when the data bucket cannot be read.
    """
    body = bucket.get(ARRIVALS_KEY)
    try:
        content = json.loads(body or b"{}")
        newest = {country: datetime.fromisoformat(text) for country, text in content.get("newest", {}).items()}
        quarters = {country: _parse_days(days) for country, days in content.get("quarters", {}).items()}
    except (ValueError, TypeError, AttributeError):
        return Arrivals()  # the next look lists the whole time again
    return Arrivals(newest, quarters)


def write_arrival_times(bucket: Bucket, arrivals: Arrivals) -> None:
    content = {
        "newest": {country: moment.isoformat() for country, moment in arrivals.newest.items()},
        "quarters": {country: _format_days(quarters) for country, quarters in arrivals.quarters.items()},
    }
    bucket.put(ARRIVALS_KEY, json.dumps(content, separators=(",", ":")).encode())


def _format_days(quarters: Iterable[datetime]) -> dict[str, list[int]]:
    days: dict[str, list[int]] = {}
    for quarter in sorted(quarters):
        number = (quarter - _midnight(quarter.date())) // QUARTER
        days.setdefault(quarter.date().isoformat(), []).append(number)
    return days


def _parse_days(days: Mapping[str, Sequence[int]]) -> list[datetime]:
    return [
        _midnight(date.fromisoformat(day)) + number * QUARTER for day, numbers in days.items() for number in numbers
    ]


def look_at_feeds(zone: LandingZone, remembered: Arrivals, countries: Iterable[str], now: datetime) -> Arrivals:
    """What is remembered and what has landed since; of a country that is new, all that lies there.

    Raises:
        AwsRefusal: when a folder cannot be listed: half a listing is none.
    """
    newest, quarters = dict(remembered.newest), dict(remembered.quarters)
    for country in countries:
        days = LATE_DELIVERY_DAYS if country in quarters else REMEMBERED_DAYS
        listed = zone.list_landing_folder(f"country={country}", start_after_date=now.date() - timedelta(days=days))
        landed = [item.last_modified for item in listed.objects if is_fresh_delivery(item)]
        if landed:
            newest[country] = max([*landed, newest[country]] if country in newest else landed)
        quarters[country] = merge_arrival_quarters(quarters.get(country, ()), landed, now)
    return Arrivals(newest, quarters)


def is_fresh_delivery(item: StoredObject) -> bool:
    """Whether an object came at about its day: a day of the past that is delivered again is no sign of life."""
    place = classify_landing_key(item.key)
    if not isinstance(place, Partition) or not is_document_file(item):
        return False
    return (item.last_modified.date() - place.date).days <= LATE_DELIVERY_DAYS


def merge_arrival_quarters(before: Iterable[datetime], landed: Iterable[datetime], now: datetime) -> list[datetime]:
    since = now - timedelta(days=REMEMBERED_DAYS)
    found = {*before, *(floor_to_quarter(moment) for moment in landed)}
    return sorted(quarter for quarter in found if quarter >= since)


def floor_to_quarter(moment: datetime) -> datetime:
    midnight = _midnight(moment.date())
    return midnight + (moment - midnight) // QUARTER * QUARTER
