"""What the page is made of: plain values, a country and a day at a time. None is "not known", and never 0.

Here: the values, and the sums over them. Not here: where they are read (`tables.py`), what of them needs a person
(`concerns.py`), how they are shown (`page.py`).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from cs_features.monitoring.freshness import Freshness

DAYS = 28


@dataclass(frozen=True, kw_only=True)
class Documents:
    """What the latest inventory counted of one country's day."""

    state: str
    landed: int | None = None
    validated: int | None = None
    rejected: int | None = None
    duplicates: int | None = None
    missing: int | None = None
    kept: int | None = None
    served: int | None = None
    differs: bool = False

    @property
    def is_counted(self) -> bool:
        return None not in (self.landed, self.validated, self.rejected, self.duplicates)


@dataclass(frozen=True, kw_only=True)
class Calls:
    """What the answers of one country's day have cost, from `llm_extractions`."""

    interactions: int
    cost_usd: float
    prompt_tokens: int
    cached_tokens: int
    p95_ms: float | None
    prompt_versions: frozenset[str] = frozenset()
    model_ids: frozenset[str] = frozenset()

    @property
    def cache_share(self) -> float | None:
        return self.cached_tokens / self.prompt_tokens if self.prompt_tokens else None


@dataclass(frozen=True, kw_only=True)
class OpenRejects:
    """Documents of a country that wait for somebody, over all days."""

    documents: int
    redrivable: int
    top_reason: str | None

    @classmethod
    def none(cls) -> "OpenRejects":
        return cls(documents=0, redrivable=0, top_reason=None)


@dataclass(frozen=True, kw_only=True)
class FieldQuality:
    """How often one field of the golden corpus is answered rightly in a country, and the floor for it."""

    name: str
    value: float
    low: float
    high: float
    floor: float
    items: int

    @property
    def margin(self) -> float:
        return self.value - self.floor


@dataclass(frozen=True, kw_only=True)
class Quality:
    """What is known of a country's answers with the prompt and model in use, and from what."""

    worst: FieldQuality | None
    source: str


@dataclass(frozen=True, kw_only=True)
class Drift:
    """The verdict on a country's latest judged week: features that drifted, None where there were too few to tell."""

    monday: date
    drifted: tuple[str, ...] | None


@dataclass(frozen=True, kw_only=True)
class CountryFacts:
    """All that is known of one country. `documents` and `calls` are by day."""

    country: str
    locales: tuple[str, ...] = ()  # of the golden corpus
    documents: Mapping[date, Documents] | None = None
    counted_from: date = date.min  # the days that the inventory has looked at
    counted_to: date = date.max
    calls: Mapping[date, Calls] = field(default_factory=dict)
    rejected_reason: str | None = None  # the most frequent one of yesterday
    open_rejects: OpenRejects | None = None
    freshness: Freshness | None = None
    spent: Mapping[date, float] | None = None
    quality: Quality | None = None
    drift: Drift | None = None


@dataclass(frozen=True, kw_only=True)
class Spending:
    """US dollars of all countries, and the caps."""

    today: float | None
    month: float | None
    day_limit: float
    month_limit: float
    before: tuple[float, ...] = ()  # of the days before today that are known, the oldest first


@dataclass(frozen=True, kw_only=True)
class Source:
    """Something that the page is made from: when it was made, or why it cannot be read."""

    name: str
    made_at: datetime | None = None
    error: str | None = None


@dataclass(frozen=True, kw_only=True)
class Change:
    """Something that is not as it was: a prompt, the model, the taxonomy, the project's version."""

    day: date
    what: str
    before: str
    after: str


@dataclass(frozen=True, kw_only=True)
class Operations:
    """The whole operation at `now`."""

    now: datetime
    countries: Sequence[CountryFacts]
    spending: Spending
    sources: Sequence[Source] = ()
    changes: Sequence[Change] = ()
    stale_days: int | None = None  # country-days of the last four weeks that another prompt or model has made

    @property
    def yesterday(self) -> date:
        return self.now.date() - timedelta(days=1)

    @property
    def days(self) -> list[date]:
        """The four weeks up to yesterday, the oldest first."""
        return [self.now.date() - timedelta(days=back) for back in range(DAYS, 0, -1)]


@dataclass(frozen=True)
class Law:
    """The law over a window: landed = validated + rejected + duplicates, over the partitions that are counted."""

    landed: int
    validated: int
    rejected: int
    duplicates: int
    counted: int
    uncounted: int

    @property
    def missing(self) -> int:
        return self.landed - self.validated - self.rejected - self.duplicates


def sum_up_law(countries: Iterable[CountryFacts]) -> Law | None:
    """None where there is no inventory."""
    known = [country.documents for country in countries if country.documents is not None]
    if not known:
        return None
    days = [day for documents in known for day in documents.values() if day.state != "past"]
    counted = [day for day in days if day.is_counted]
    return Law(
        landed=sum(day.landed or 0 for day in counted),
        validated=sum(day.validated or 0 for day in counted),
        rejected=sum(day.rejected or 0 for day in counted),
        duplicates=sum(day.duplicates or 0 for day in counted),
        counted=len(counted),
        uncounted=len(days) - len(counted),
    )


def read_day_facts(country: CountryFacts, day: date, figure: Callable[[Documents], int | None]) -> int | None:
    """A day's figure: None where it is unknown, 0 where the inventory has looked and nothing landed."""
    if country.documents is None or not country.counted_from <= day <= country.counted_to:
        return None
    documents = country.documents.get(day)
    return 0 if documents is None else figure(documents)


def sum_kept_records(country: CountryFacts) -> int | None:
    """Records that are served though their newest extraction failed; None where any day of it is unknown."""
    if country.documents is None:
        return None
    kept = [day.kept for day in country.documents.values() if day.state != "past"]
    return None if None in kept else sum(count or 0 for count in kept)


def count_differing_partitions(country: CountryFacts) -> int | None:
    """Partitions that differ from what landed or from what is served, or of which it is unknown."""
    if country.documents is None:
        return None
    return sum(day.differs or day.state == "unknown" for day in country.documents.values())


def list_missing_days(country: CountryFacts, days: Sequence[date]) -> list[date] | None:
    """Days without a document, of a kind (weekday, weekend) on which the country mostly delivers."""
    if country.documents is None:
        return None
    landed = {day for day, documents in country.documents.items() if documents.landed != 0}
    since = min(landed, default=None)
    if since is None:
        return []
    known = [day for day in days if max(since, country.counted_from) <= day <= country.counted_to]
    usual = {kind for kind in (False, True) if _delivers_mostly(known, landed, weekend=kind)}
    return [day for day in known if day not in landed and is_weekend(day) in usual]


def _delivers_mostly(days: Sequence[date], landed: set[date], *, weekend: bool) -> bool:
    of_kind = [day for day in days if is_weekend(day) is weekend]
    return 2 * sum(day in landed for day in of_kind) > len(of_kind)


def is_weekend(day: date) -> bool:
    return day.weekday() >= 5


def sum_spent(country: CountryFacts, days: Iterable[date]) -> float | None:
    if country.spent is None:
        return None
    return sum(country.spent.get(day, 0.0) for day in days)


def price_thousand_interactions(country: CountryFacts, day: date) -> float | None:
    """US dollars a thousand interactions of a day."""
    calls = country.calls.get(day)
    return calls.cost_usd / calls.interactions * 1_000 if calls and calls.interactions else None


def list_country_figures(country: CountryFacts, facts: Operations) -> dict[str, float | None]:
    """The figures of yesterday that are worth a plot, by name."""
    calls = country.calls.get(facts.yesterday)
    worst = country.quality.worst if country.quality else None
    return {
        "landed": read_day_facts(country, facts.yesterday, lambda day: day.landed),
        "validated": read_day_facts(country, facts.yesterday, lambda day: day.validated),
        "rejected": read_day_facts(country, facts.yesterday, lambda day: day.rejected),
        "open_rejects": country.open_rejects.documents if country.open_rejects else None,
        "kept": sum_kept_records(country),
        "dollars": sum_spent(country, [facts.yesterday]),
        "dollars_a_thousand": price_thousand_interactions(country, facts.yesterday),
        "cache_share": calls.cache_share if calls else None,
        "p95_ms": calls.p95_ms if calls else None,
        "worst_field": worst.value if worst else None,
    }
