"""The partitions as plain values, and the only place that knows a key such as "NL|2026-11-24": the flow's are
date x country. What is watched by the week is week x country, and those keys look the same.

A country exists because `prompts/countries/{CC}.md` exists, a locale such as nl-BE because the golden corpus
has items of it. Days are UTC and include today. Nothing here reads S3 or knows Dagster; the definitions that
Dagster needs are made of these values in `orchestration/partitions.py`.
"""

import json
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from cs_features.errors import ConfigurationError


def list_countries(prompts: Path) -> list[str]:
    """ISO 3166 alpha-2 codes of the country files, sorted.

    Raises:
        ConfigurationError: when there is none, with the variable to set.
    """
    countries = sorted(path.stem for path in (prompts / "countries").glob("[A-Z][A-Z].md"))
    if not countries:
        raise ConfigurationError(
            f"No country file such as countries/NL.md in {prompts}. Set CS_FEATURES_PROMPTS_DIR to the "
            "folder that holds instructions.md, taxonomy.yaml and countries/."
        )
    return countries


def monday_of(day: date) -> date:
    return day - timedelta(days=day.weekday())


def list_locales(prompts: Path) -> list[str]:
    """Locales such as nl-BE that the golden corpus has items of, sorted by country; of countries that have a file."""
    found = set()
    for path in (prompts / "golden").glob("*.jsonl"):
        for line in path.read_bytes().splitlines():
            with suppress(ValueError, KeyError, TypeError):  # `make lint` names a broken line, the code location loads
                item = json.loads(line)
                found.add((str(item["country"]), str(item["language"])))
    countries = set(list_countries(prompts))
    return [f"{language}-{country}" for country, language in sorted(found) if country in countries]


@dataclass(frozen=True, order=True)
class Partition:
    """One country's day."""

    country: str
    date: date

    @classmethod
    def from_key(cls, key: str) -> "Partition":
        """From a Dagster key, whose dimensions are ordered by their names; ValueError for anything else."""
        country, day = key.split("|")
        found = cls(country=country, date=date.fromisoformat(day))
        if found.key != key:  # Python reads more spellings of a day
            raise ValueError(f"{found.key} is another spelling")
        return found

    @classmethod
    def from_folder(cls, folder: str) -> "Partition":
        """From `country=CC/date=YYYY-MM-DD`; ValueError for anything else."""
        country, day = folder.split("/")
        return cls(country=country.removeprefix("country="), date=date.fromisoformat(day.removeprefix("date=")))

    @property
    def key(self) -> str:
        return f"{self.country}|{self.date.isoformat()}"

    @property
    def folder(self) -> str:
        """The Hive-style path of this partition below a table or the landing zone."""
        return f"country={self.country}/date={self.date.isoformat()}"

    def __str__(self) -> str:
        return f"{self.country} {self.date.isoformat()}"


@dataclass(frozen=True, order=True)
class Week:
    """One country's week, from Monday to Sunday."""

    country: str
    monday: date

    @classmethod
    def from_key(cls, key: str) -> "Week":
        country, monday = key.split("|")
        return cls(country=country, monday=date.fromisoformat(monday))

    @property
    def key(self) -> str:
        return f"{self.country}|{self.monday.isoformat()}"

    @property
    def days(self) -> list[Partition]:
        return [Partition(self.country, self.monday + timedelta(days=day)) for day in range(7)]

    def before(self, weeks: int) -> list[Partition]:
        """The days of so many weeks before this one, in order."""
        return [Partition(self.country, self.monday - timedelta(days=day)) for day in range(7 * weeks, 0, -1)]

    @property
    def folder(self) -> str:
        """The Hive-style path of this week below a table."""
        return f"country={self.country}/week={self.monday.isoformat()}"

    def __str__(self) -> str:
        return f"{self.country} week of {self.monday.isoformat()}"


@dataclass(frozen=True, order=True)
class Locale:
    """One language of one country, written as in BCP 47: nl-BE."""

    country: str
    language: str

    @classmethod
    def from_key(cls, key: str) -> "Locale":
        language, country = key.split("-")
        return cls(country, language)

    @property
    def folder(self) -> str:
        """The Hive-style path of this locale below a table."""
        return f"country={self.country}/language={self.language}"

    def __str__(self) -> str:
        return f"{self.language}-{self.country}"


@dataclass(frozen=True, order=True)
class Country:
    """One country, whatever the day."""

    country: str

    @property
    def folder(self) -> str:
        """The Hive-style path of this country below a table."""
        return f"country={self.country}"

    def __str__(self) -> str:
        return self.country


@dataclass(frozen=True, order=True)
class Month:
    """One month over all countries, written as 2026-11."""

    month: str

    @property
    def folder(self) -> str:
        """The Hive-style path of this month below a table."""
        return f"month={self.month}"

    def __str__(self) -> str:
        return self.month


# Anything that a table may be kept by: its folder is below the table's.
AnyPartition = Partition | Week | Locale | Country | Month
