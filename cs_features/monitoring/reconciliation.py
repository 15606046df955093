"""What landed against what the tables hold, for every partition of the window, counted from S3.

It trusts no run: a partition whose numbers differ, or that holds an interaction which belongs to another by now,
is asked for again by the landing sensor, which reads the findings from here. It would have found four lost hours.
Pure comparison, thin reading.
"""

from collections.abc import Iterable, Sequence
from datetime import date

import polars as pl

from cs_features.landing.corrections import find_superseded_ids, read_document_ids
from cs_features.landing.earlier import find_taken_over, recall_reading
from cs_features.landing.zone import LandingZone, is_document_file
from cs_features.monitoring.conservation import Balance, count_landed
from cs_features.monitoring.findings import FindingKind
from cs_features.partitions import Partition
from cs_features.storage import Tables

DIFFERS = (pl.col("missing") != 0) | (pl.col("superseded_elsewhere") != 0)


def balance_of(partition: Partition, zone: LandingZone, tables: Tables) -> Balance:
    """Both sides of the law for one partition; a table that was never written counts as empty."""
    earlier = recall_reading(tables.read("raw_interactions", partition))
    files = zone.read_files(zone.list_documents(partition).objects)
    landed, duplicates = count_landed(files, find_taken_over(earlier.raw))
    held = {name: tables.height(name, partition) for name in ("validated_features", "rejected_records")}
    return Balance(landed, held["validated_features"], held["rejected_records"], duplicates)


def reconcile(partitions: Iterable[Partition], zone: LandingZone, tables: Tables) -> pl.DataFrame:
    """A row a partition: partition, landed, validated, rejected, duplicates, missing, superseded_elsewhere.

    The last counts validated interactions that a later document of another of `partitions` has superseded.
    """
    partitions = list(partitions)
    superseded = dict(
        find_superseded_ids(read_document_ids(partitions, tables))
        .group_by("partition")
        .agg("interaction_id")
        .iter_rows()
    )
    rows = []
    for partition in partitions:
        balance = balance_of(partition, zone, tables)
        rows.append(
            (
                str(partition.key),
                balance.landed,
                balance.validated,
                balance.rejected,
                balance.duplicates,
                balance.missing,
                _validated_among(superseded.get(partition.folder, []), partition, tables),
            )
        )
    columns = ("landed", "validated", "rejected", "duplicates", "missing", "superseded_elsewhere")
    return pl.DataFrame(rows, schema={"partition": pl.String(), **dict.fromkeys(columns, pl.Int64())}, orient="row")


def findings_in(frame: pl.DataFrame) -> dict[str, frozenset[str]]:
    """The kinds of finding in each partition of a reconciliation that has any, by partition key."""
    kinds_by_column = {"missing": FindingKind.DOCUMENTS, "superseded_elsewhere": FindingKind.SUPERSEDED}
    findings = {}
    for row in frame.filter(DIFFERS).iter_rows(named=True):
        findings[row["partition"]] = frozenset(kind.value for name, kind in kinds_by_column.items() if row[name])
    return findings


def _validated_among(ids: Sequence[str], partition: Partition, tables: Tables) -> int:
    validated = tables.read("validated_features", partition) if ids else None
    return 0 if validated is None else len(set(ids) & set(validated["interaction_id"]))


def window(zone: LandingZone, tables: Tables, countries: Iterable[str], first: date, last: date) -> list[Partition]:
    """Partitions from `first` to `last` that have a landing folder or a table."""
    days = {(partition.country, partition.date) for partition in tables.partitions("validated_features")}
    for country in countries:
        objects = zone.list_folder(f"country={country}", start_after_date=first).objects
        for folder in {item.key.split("/")[2] for item in objects if is_document_file(item)}:
            try:
                days.add((country, date.fromisoformat(folder.removeprefix("date="))))
            except ValueError:
                continue  # the sensor reports stray folders
    known = set(countries)
    return sorted(Partition(country, day) for country, day in days if country in known and first <= day <= last)
