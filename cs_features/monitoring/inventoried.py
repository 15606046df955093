"""Which partitions the inventory looks at: what lies in the landing bucket or stands in a table. Nothing is counted."""

from collections.abc import Collection
from datetime import date, timedelta

from cs_features.errors import AwsRefusal
from cs_features.landing.zone import LandingZone, classify_landing_key, is_document_file
from cs_features.partitions import Partition
from cs_features.storage import Tables


def list_partitions(
    zone: LandingZone, tables: Tables, countries: Collection[str], first: date, last: date
) -> list[Partition]:
    """Partitions from `first` to `last` that have a landing folder or a table.

    Of a country whose folder cannot be listed the last day is one: as its others, it is unknown, and named.

    Raises:
        AwsRefusal: when the data bucket or no country's folder can be listed: half of the partitions are none.
    """
    found = set(tables.partitions("validated_features")) | set(tables.partitions("feature_store"))
    refused = []
    for country in sorted(countries):
        try:
            listed = zone.list_landing_folder(f"country={country}", start_after_date=first).objects
        except AwsRefusal:
            refused.append(country)
            if len(refused) == len(countries):
                raise
            listed = []
            found.add(Partition(country, last))
        for item in listed:
            place = classify_landing_key(item.key)
            if isinstance(place, Partition) and is_document_file(item):
                found.add(place)
    return sorted(each for each in found if each.country in countries and first <= each.date <= last)


def list_earlier_partitions(tables: Tables, countries: Collection[str], first: date, days: int) -> list[Partition]:
    """Partitions of so many days before `first` that have documents with ids."""
    since = first - timedelta(days=days)
    held = tables.partitions("interaction_ids")
    return sorted(each for each in held if each.country in countries and since <= each.date < first)
