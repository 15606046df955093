"""Facts of the daily page as they are on an ordinary day, with the noise that ordinary days have."""

import random
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

from cs_features.monitoring.freshness import Freshness, FreshnessState
from cs_features.quality.evaluation import compute_wilson_interval
from cs_features.reporting.facts import (
    DAYS,
    Calls,
    CountryFacts,
    Documents,
    Drift,
    FieldQuality,
    OpenRejects,
    Operations,
    Quality,
    Source,
    Spending,
)

NOW = datetime(2026, 11, 24, 5, tzinfo=timezone.utc)
TODAY = NOW.date()
YESTERDAY = TODAY - timedelta(days=1)
COUNTRIES = ("BE", "ES", "FR", "NL", "PL")


def normal_facts(now: datetime = NOW, seed: int = 0) -> Operations:
    chance = random.Random(seed)
    countries = [make_country(country, now, chance) for country in COUNTRIES]
    before = tuple(chance.uniform(0.3, 1.0) for _ in range(DAYS))
    return Operations(
        now=now,
        countries=countries,
        spending=Spending(today=0.01, month=0.8 * now.day, day_limit=50, month_limit=500, before=before),
        sources=[Source(name="reconciliation", made_at=now - timedelta(minutes=30))],
        stale_days=0,
    )


def make_country(country: str, now: datetime, chance: random.Random) -> CountryFacts:
    days = [now.date() - timedelta(days=back) for back in range(DAYS, -1, -1)]
    right = chance.randint(25, 30)
    low, high = compute_wilson_interval(right, 30)
    worst = FieldQuality(name="intent", value=right / 30, low=low, high=high, floor=0.7, items=30)
    return CountryFacts(
        country=country,
        locales=(f"xx-{country}",),
        documents={day: make_documents(chance) for day in days},
        calls={day: make_calls(chance) for day in days},
        open_rejects=OpenRejects(documents=chance.randint(0, 40), redrivable=3, top_reason="malformed_json"),
        freshness=Freshness(
            FreshnessState.FRESH, now - timedelta(hours=1), timedelta(hours=1), timedelta(hours=5), timedelta(hours=5)
        ),
        spent={day: chance.uniform(0.05, 0.2) for day in days},
        quality=Quality(worst=worst, source="golden, 30 items"),
        drift=Drift(monday=now.date() - timedelta(days=14), drifted=()),
    )


def make_documents(chance: random.Random) -> Documents:
    validated, rejected, kept = chance.randint(150, 700), chance.randint(0, 9), chance.choice((0, 0, 0, 0, 1))
    return Documents(
        state="settled",
        landed=validated + rejected,
        validated=validated,
        rejected=rejected,
        duplicates=0,
        missing=0,
        kept=kept,
        served=validated + kept,
    )


def make_calls(chance: random.Random) -> Calls:
    return Calls(
        interactions=500,
        cost_usd=chance.uniform(0.07, 0.09),
        prompt_tokens=2_000_000,
        cached_tokens=chance.randint(1_700_000, 1_950_000),
        p95_ms=chance.uniform(1_800, 3_200),
    )


def change_country(facts: Operations, country: str, **changes: Any) -> Operations:
    countries = [replace(each, **changes) if each.country == country else each for each in facts.countries]
    return replace(facts, countries=countries)
