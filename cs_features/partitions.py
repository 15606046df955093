"""The partitions, date x country, and the only place that knows a key such as "NL|2026-11-24".

A country exists because `prompts/countries/{CC}.md` exists. Days are UTC and include today.
Nothing here reads S3.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import dagster as dg

from cs_features.environments import prompts_dir

FIRST_DATE = "2025-01-01"


def countries_in(prompts: Path) -> list[str]:
    """ISO 3166 alpha-2 codes of the country files, sorted.

    Raises:
        FileNotFoundError: when there is none, with the variable to set.
    """
    countries = sorted(path.stem for path in (prompts / "countries").glob("[A-Z][A-Z].md"))
    if not countries:
        raise FileNotFoundError(
            f"No country file such as countries/NL.md in {prompts}. Set CS_FEATURES_PROMPTS_DIR to the "
            "folder that holds instructions.md, taxonomy.yaml and countries/."
        )
    return countries


def partitions_for(countries: Sequence[str]) -> dg.MultiPartitionsDefinition:
    return dg.MultiPartitionsDefinition(
        {
            # end_offset=1: without it Dagster leaves today out, and documents that land today
            # would belong to an unknown partition.
            "date": dg.DailyPartitionsDefinition(start_date=FIRST_DATE, timezone="UTC", end_offset=1),
            "country": dg.StaticPartitionsDefinition(list(countries)),
        }
    )


interaction_partitions = partitions_for(countries_in(prompts_dir()))


@dataclass(frozen=True, order=True)
class Partition:
    """One country's day."""

    country: str
    date: date

    @classmethod
    def of(
        cls, context: dg.OpExecutionContext | dg.AssetCheckExecutionContext | dg.AssetExecutionContext
    ) -> "Partition":
        return cls.from_key(context.partition_key)

    @classmethod
    def from_key(cls, key: str) -> "Partition":
        """From a Dagster key, whose dimensions are ordered by their names."""
        dimensions = interaction_partitions.get_partition_key_from_str(key).keys_by_dimension
        return cls(country=dimensions["country"], date=date.fromisoformat(dimensions["date"]))

    @classmethod
    def from_folder(cls, folder: str) -> "Partition":
        """From `country=CC/date=YYYY-MM-DD`; ValueError for anything else."""
        country, day = folder.split("/")
        return cls(country=country.removeprefix("country="), date=date.fromisoformat(day.removeprefix("date=")))

    @property
    def key(self) -> dg.MultiPartitionKey:
        return dg.MultiPartitionKey({"country": self.country, "date": self.date.isoformat()})

    @property
    def folder(self) -> str:
        """The Hive-style path of this partition below a table or the landing zone."""
        return f"country={self.country}/date={self.date.isoformat()}"

    def __str__(self) -> str:
        return f"{self.country} {self.date.isoformat()}"
