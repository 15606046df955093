"""When a feed is late: later than ever on that kind of day, and never because it is a quiet one."""

import random
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from functools import cache

import pytest

from cs_features.landing.zone import LandingZone
from cs_features.monitoring.freshness import (
    REMEMBERED_DAYS,
    Arrivals,
    FreshnessState,
    floor_to_quarter,
    judge_country_freshness,
    look_at_feeds,
    read_arrival_times,
    write_arrival_times,
)
from cs_features.monitoring.silence import describe_country_silence, describe_feed_freshness
from cs_features.s3 import Bucket
from cs_features_tests.support.memory_s3 import EIGHT, MemoryS3

TUESDAY = datetime(2026, 11, 24, tzinfo=timezone.utc)
Feed = Callable[[random.Random, datetime], list[datetime]]


def deliver_at_night(chance: random.Random, day: datetime) -> list[datetime]:
    """Once a night, at about two; on Sundays not at all."""
    return [] if day.weekday() == 6 else [day + timedelta(hours=2, minutes=chance.gauss(0, 12))]


def deliver_all_day(chance: random.Random, day: datetime) -> list[datetime]:
    """Now and then from six to ten at night, half as often at the weekend."""
    count = 20 if day.weekday() < 5 else 10
    return [day + timedelta(hours=chance.uniform(6, 22)) for _ in range(count)]


def deliver_always(chance: random.Random, day: datetime) -> list[datetime]:
    return [day + timedelta(minutes=30 * number + chance.uniform(0, 29)) for number in range(48)]


def deliver_in_office_hours(chance: random.Random, day: datetime) -> list[datetime]:
    if day.weekday() >= 5:
        return []
    return [day + timedelta(hours=hour, minutes=chance.uniform(0, 59)) for hour in range(7, 18)]


FEEDS: list[Feed] = [deliver_at_night, deliver_all_day, deliver_always, deliver_in_office_hours]


def history(feed: Feed, days: int, seed: int = 1, until: datetime = TUESDAY) -> list[datetime]:
    chance = random.Random(seed)
    moments = [moment for back in range(days, 0, -1) for moment in feed(chance, until - timedelta(days=back))]
    return sorted(moments)


floor_once = cache(floor_to_quarter)


def remember(moments: list[datetime], now: datetime) -> Arrivals:
    """`moments` in order."""
    known = moments[bisect_left(moments, now - timedelta(days=REMEMBERED_DAYS)) : bisect_right(moments, now)]
    return Arrivals({"NL": known[-1]}, {"NL": [floor_once(moment) for moment in known]})


@pytest.mark.parametrize("feed", FEEDS)
def test_a_feed_that_stops_is_late_the_same_day(feed: Feed) -> None:
    """A feed stopped and nothing said so: nothing landed equals nothing missing."""
    moments = history(feed, 60)
    looks = [TUESDAY + timedelta(minutes=30 * number) for number in range(48)]
    states = [judge_country_freshness(remember(moments, now), "NL", now).state for now in looks]
    assert FreshnessState.LATE in states
    assert FreshnessState.UNKNOWN not in states


@pytest.mark.heavy
def test_over_sixty_normal_days_of_five_countries_nobody_is_called_late_more_than_twice() -> None:
    """One day in forty is the latest of forty: without slack this would be ten mails for nothing."""
    alarms = 0
    for country, feed in enumerate([*FEEDS, deliver_at_night]):
        moments = history(feed, 125, seed=country, until=TUESDAY + timedelta(days=60))
        for day in range(60):
            looks = [TUESDAY + timedelta(days=day, hours=hour) for hour in range(1, 24, 3)]
            verdicts = [judge_country_freshness(remember(moments, now), "NL", now).state for now in looks]
            alarms += FreshnessState.LATE in verdicts
    assert alarms <= 2


def test_a_day_that_failed_is_no_habit() -> None:
    """After one silent Tuesday the next one would have gone unnoticed for a day longer, for eight weeks."""
    moments = [moment for moment in history(deliver_always, 60) if moment.date() != (TUESDAY - timedelta(7)).date()]
    now = TUESDAY + timedelta(hours=9)
    assert judge_country_freshness(remember(moments, now), "NL", now).state is FreshnessState.LATE


def test_too_few_days_are_unknown_and_not_late() -> None:
    now = TUESDAY + timedelta(hours=20)
    found = judge_country_freshness(remember(history(deliver_always, 6), now), "NL", now)
    assert found.state is FreshnessState.UNKNOWN
    assert "Too few days" in describe_feed_freshness("NL", found, now)
    assert judge_country_freshness(Arrivals(), "NL", now).state is FreshnessState.UNKNOWN


def test_what_is_told_says_since_when_and_what_is_usual() -> None:
    now = TUESDAY + timedelta(hours=9)
    found = judge_country_freshness(remember(history(deliver_at_night, 60), now), "NL", now)
    alert = describe_country_silence("NL", found, now, "http://ui")
    assert alert.subject == "cs-features ERROR: freshness, NL"
    assert "NL is silent: the newest document of NL is of 23 Nov 0" in alert.reason
    assert "the first of a day usually comes by 0" in alert.reason


def make_zone(s3: MemoryS3) -> LandingZone:
    return LandingZone(Bucket(s3, "landing", "CS_FEATURES_LANDING_BUCKET"))


def put(s3: MemoryS3, key: str, at: datetime) -> None:
    s3.objects[key] = b"{}", at


def test_what_landed_is_remembered_when_its_objects_are_gone() -> None:
    s3, data = MemoryS3(), Bucket(MemoryS3(), "data", "CS_FEATURES_DATA_BUCKET")
    key = "interactions/country=NL/date=2026-11-20/a.jsonl"
    put(s3, key, datetime(2026, 11, 20, 7, 3, tzinfo=timezone.utc))
    write_arrival_times(data, look_at_feeds(make_zone(s3), read_arrival_times(data), ["NL"], EIGHT))
    del s3.objects[key]
    put(s3, "interactions/country=NL/date=2026-11-24/b.jsonl", EIGHT)
    after = look_at_feeds(make_zone(s3), read_arrival_times(data), ["NL"], EIGHT)
    assert after.newest["NL"] == EIGHT
    assert after.quarters["NL"] == [datetime(2026, 11, 20, 7, tzinfo=timezone.utc), EIGHT]


def test_a_day_of_the_past_that_is_delivered_again_is_no_sign_of_life() -> None:
    """A feed was dead, and a restore of old folders made it look alive."""
    s3 = MemoryS3()
    put(s3, "interactions/country=NL/date=2026-11-02/a.jsonl", EIGHT)
    put(s3, "interactions/country=NL/date=2026-11-24/_hidden.jsonl", EIGHT)
    found = look_at_feeds(make_zone(s3), Arrivals(), ["NL"], EIGHT)
    assert found.newest == {}


def test_a_memory_of_another_version_is_a_fresh_start() -> None:
    data = Bucket(MemoryS3(), "data", "CS_FEATURES_DATA_BUCKET")
    for body in (b"not json", b'{"newest": 3}', b'{"quarters": {"NL": {"x": [1]}}}'):
        data.put("freshness/arrivals.json", body)
        assert read_arrival_times(data) == Arrivals()
