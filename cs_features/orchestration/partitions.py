"""Dagster's definitions of the partitions, made of the values in `cs_features/partitions.py`.

Made once, when the code location loads, from the country files and `CS_FEATURES_FIRST_DATE`. Not here: what a
partition is, what its key or its folder looks like.
"""

from collections.abc import Sequence
from datetime import date

import dagster as dg

from cs_features.environments import settings
from cs_features.partitions import Partition, Week, list_countries, list_locales, monday_of


def build_day_partitions(countries: Sequence[str], first: date) -> dg.MultiPartitionsDefinition:
    return dg.MultiPartitionsDefinition(
        {
            # end_offset=1: without it Dagster leaves today out, and documents that land today
            # would belong to an unknown partition.
            "date": dg.DailyPartitionsDefinition(start_date=first.isoformat(), timezone="UTC", end_offset=1),
            "country": dg.StaticPartitionsDefinition(list(countries)),
        }
    )


def build_week_partitions(countries: Sequence[str], first: date) -> dg.MultiPartitionsDefinition:
    return dg.MultiPartitionsDefinition(
        {
            # day_offset=1: from Monday on. end_offset=1: the week that is going on is one too.
            "week": dg.WeeklyPartitionsDefinition(
                start_date=monday_of(first).isoformat(), timezone="UTC", day_offset=1, end_offset=1
            ),
            "country": dg.StaticPartitionsDefinition(list(countries)),
        }
    )


_settings = settings()
FIRST_DATE = _settings.first_date
_countries = list_countries(_settings.prompts_dir)

interaction_partitions = build_day_partitions(_countries, FIRST_DATE)
week_partitions = build_week_partitions(_countries, FIRST_DATE)
country_partitions = dg.StaticPartitionsDefinition(_countries)
locale_partitions = dg.StaticPartitionsDefinition(list_locales(_settings.prompts_dir))


def partition_of(
    context: dg.OpExecutionContext | dg.AssetCheckExecutionContext | dg.AssetExecutionContext,
) -> Partition:
    """The country's day that a run of the flow is for."""
    return Partition.from_key(context.partition_key)


def stored_partition_of(context: dg.OutputContext | dg.InputContext) -> Partition | Week | None:
    """What an IO manager is asked for; None is a table over all partitions."""
    if not context.has_partition_key:
        return None
    kind = Week if context.asset_partitions_def == week_partitions else Partition
    return kind.from_key(context.partition_key)
