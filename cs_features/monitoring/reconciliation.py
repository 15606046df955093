"""What landed against what is held and served, for every partition of the window, counted from S3.

It trusts no run: a partition whose numbers differ, that holds an interaction which belongs to another by now, or of
which the store does not serve what was validated, is asked for again by the landing sensor, which reads the findings.
A feed that goes on is no difference: what changed a moment ago is left to the sensor. What cannot be counted is
unknown, and stops no other partition. An object's count is a week old at the most, and `oldest_count` says how old.
Not here: the laws (`conservation.py`, `serving.py`). No table of the flow is changed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, cast

import polars as pl
from botocore.exceptions import ClientError

from cs_features.errors import AwsRefusal, CsFeaturesError, ObjectUnreadable
from cs_features.landing.claims import read_document_ids
from cs_features.landing.corrections import find_lost_ids
from cs_features.landing.documents import RAW_SCHEMA
from cs_features.landing.earlier import align_table_columns
from cs_features.landing.listings import load_partition_listing
from cs_features.landing.zone import LandingZone
from cs_features.monitoring.conservation import Balance, count_planned_documents, recall_partition_run
from cs_features.monitoring.findings import FindingKind
from cs_features.monitoring.kept_counts import RECOUNT_AFTER, load_kept_counts
from cs_features.monitoring.serving import OnlineStore, balance_served_records, choose_sample
from cs_features.monitoring.settling import SETTLING_TIME, compare_with_run
from cs_features.partitions import Partition
from cs_features.publishing.manifest import list_entries, read_manifest, select_group_entries
from cs_features.schemas import FEATURE_COLUMNS
from cs_features.storage import Tables, fill_missing_columns

# What may be wrong with one partition's objects and tables. Anything else is a defect, and fails the inventory.
ISOLATED_ERRORS = (CsFeaturesError, pl.exceptions.PolarsError)


class State(str, Enum):
    """How far the numbers of a partition can be judged."""

    SETTLED = "settled"
    CHANGING = "changing"  # objects that changed a moment ago are left out
    RUNNING = "running"  # a run is queued or goes on: the tables may be of two states
    UNKNOWN = "unknown"  # something cannot be read; `error` says why
    PAST = "past"  # before the window: only what a document of the window has superseded is looked at


VALIDATED_COLUMNS = pl.Schema(dict.fromkeys((*FEATURE_COLUMNS, "content_hash"), pl.String()))
RECONCILIATION_SCHEMA = pl.Schema(
    {
        "partition": pl.String(),
        "state": pl.String(),
        "landed": pl.Int64(),
        "oldest_count": pl.Datetime("us", "UTC"),  # when the oldest of the counts was made that `landed` adds up
        "validated": pl.Int64(),
        "rejected": pl.Int64(),
        "duplicates": pl.Int64(),
        "missing": pl.Int64(),  # documents that left by no door; below zero, by two
        "outdated": pl.Int64(),  # validated rows of a text that their document no longer has: a later run failed
        "unread_objects": pl.Int64(),  # that have been there, or gone, for long, and no run has seen it
        "superseded_elsewhere": pl.Int64(),  # validated, though a later document of another partition has the id
        "kept": pl.Int64(),
        "served": pl.Int64(),
        "unpublished": pl.Int64(),
        "unwithdrawn": pl.Int64(),
        "asked_online": pl.Int64(),
        "missing_online": pl.Int64(),
        "error": pl.String(),  # a code of AWS or the class of an error; no number of such a partition is complete
    }
)

KINDS_BY_COLUMN = {
    "missing": FindingKind.DOCUMENTS,
    "outdated": FindingKind.DOCUMENTS,
    "unread_objects": FindingKind.DOCUMENTS,
    "superseded_elsewhere": FindingKind.SUPERSEDED,
    "unpublished": FindingKind.UNPUBLISHED,
    "unwithdrawn": FindingKind.UNPUBLISHED,
    "missing_online": FindingKind.TAKEN_OUT,
}
IS_JUDGED = pl.col("state") != State.RUNNING.value
_IS_COUNTED = pl.col("state") != State.PAST.value
DOCUMENTS_UNKNOWN = _IS_COUNTED & pl.col("missing").is_null()
STORE_UNKNOWN = _IS_COUNTED & pl.col("missing_online").is_null()


def differs_in(*kinds: FindingKind) -> pl.Expr:
    """Whether a judged partition differs in one of `kinds`; a number that is unknown is no difference."""
    columns = [name for name, kind in KINDS_BY_COLUMN.items() if kind in kinds]
    return IS_JUDGED & pl.any_horizontal(pl.col(name).fill_null(0) != 0 for name in columns)


@dataclass(frozen=True, kw_only=True)
class Sources:
    """What is compared. Without a `store`, what is served is unknown, for the reason in `store_error`."""

    zone: LandingZone
    tables: Tables
    store: OnlineStore | None = None
    store_error: str | None = None
    running: frozenset[str] = frozenset()  # keys of partitions with a run that is queued or goes on
    settling_time: timedelta = SETTLING_TIME
    seed: str = ""  # of the sample of the online store


@dataclass(frozen=True)
class _Held:
    """The tables of a partition; one that was never written is empty."""

    raw: pl.DataFrame
    validated: pl.DataFrame
    rejected: pl.DataFrame

    @property
    def listed_at(self) -> datetime | None:
        return None if self.raw.is_empty() else cast("datetime", self.raw["listed_at"].max())


@dataclass(frozen=True)
class _Superseded:
    """By folder: ids that a later document of another partition has, or why a partition's ids cannot be read."""

    ids: Mapping[str, frozenset[str]]
    errors: Mapping[str, str]


def reconcile(partitions: Sequence[Partition], sources: Sources, earlier: Sequence[Partition] = ()) -> pl.DataFrame:
    """A row a partition, `RECONCILIATION_SCHEMA`; of `earlier` ones, those that lost an id to a later document.

    What landed for those may have expired by now, so nothing else of them is compared.
    """
    superseded = _find_superseded([*earlier, *partitions], sources.tables)
    rows = [_reconcile_partition(each, sources, superseded) for each in partitions]
    for partition in earlier:
        row = _reconcile_earlier(partition, sources.tables, superseded)
        if row["superseded_elsewhere"] != 0:
            rows.append(row)
    return pl.DataFrame(rows, schema=RECONCILIATION_SCHEMA)


def collect_reconciliation_findings(frame: pl.DataFrame) -> dict[str, frozenset[str]]:
    """The kinds of finding in each partition of a reconciliation that has any, by partition key."""
    findings = {}
    for row in frame.filter(differs_in(*FindingKind)).iter_rows(named=True):
        kinds = {kind.value for name, kind in KINDS_BY_COLUMN.items() if row[name]}
        findings[row["partition"]] = frozenset(kinds)
    return findings


def _reconcile_partition(partition: Partition, sources: Sources, superseded: _Superseded) -> dict[str, Any]:
    error = superseded.errors.get(partition.folder, sources.store_error)
    row: dict[str, Any] = {"partition": partition.key, "state": State.SETTLED.value, "error": error}
    try:
        held = _read_held(partition, sources.tables)
        row |= _reconcile_documents(partition, held, sources)
        if partition.folder not in superseded.errors:
            elsewhere = superseded.ids.get(partition.folder, frozenset())
            row["superseded_elsewhere"] = len(elsewhere & set(held.validated["interaction_id"]))
        if sources.store is not None:
            row |= _reconcile_store(partition, held, sources.store, sources)
    except ISOLATED_ERRORS as error:
        row["error"] = name_error(error)
    if row["error"] is not None:
        row["state"] = State.UNKNOWN.value
    elif partition.key in sources.running:
        row["state"] = State.RUNNING.value
    return row


def _reconcile_earlier(partition: Partition, tables: Tables, superseded: _Superseded) -> dict[str, Any]:
    unknown = {"partition": partition.key, "state": State.UNKNOWN.value, "superseded_elsewhere": None}
    if partition.folder in superseded.errors:
        return {**unknown, "error": superseded.errors[partition.folder]}
    ids = superseded.ids.get(partition.folder, frozenset())
    try:
        validated = tables.read("validated_features", partition) if ids else None
    except ISOLATED_ERRORS as error:
        return {**unknown, "error": name_error(error)}
    count = 0 if validated is None else len(ids & set(validated["interaction_id"]))
    return {**unknown, "state": State.PAST.value, "superseded_elsewhere": count}


def _read_held(partition: Partition, tables: Tables) -> _Held:
    raw = tables.read("raw_interactions", partition)
    validated = tables.read("validated_features", partition)
    rejected = tables.read("rejected_records", partition)
    return _Held(
        raw=RAW_SCHEMA.to_frame() if raw is None else align_table_columns(raw),
        validated=_fill_inventory_table(validated, VALIDATED_COLUMNS),
        rejected=_fill_inventory_table(rejected, pl.Schema({"interaction_id": pl.String(), "stage": pl.String()})),
    )


def _fill_inventory_table(frame: pl.DataFrame | None, schema: pl.Schema) -> pl.DataFrame:
    """Without a row where there is no table, with nulls where another version wrote no such column."""
    return schema.to_frame() if frame is None else fill_missing_columns(frame, schema)


# --- documents landed -------------------------------------------------------------------------


def _reconcile_documents(partition: Partition, held: _Held, sources: Sources) -> dict[str, Any]:
    now = sources.zone.list_documents(partition)
    listing = load_partition_listing(sources.tables.bucket, partition)
    run = recall_partition_run(listing, held.raw, now, held.listed_at)
    situation = compare_with_run(run, now, now.listed_at - sources.settling_time)
    memory = load_kept_counts(sources.tables, partition, now.listed_at, RECOUNT_AFTER)
    counted = count_planned_documents(situation.plan, run, sources.zone, memory)
    memory.save(sources.tables, partition)
    columns: dict[str, Any] = {
        "validated": held.validated.height,
        "rejected": held.rejected.height,
        "outdated": count_outdated_rows(held.raw, held.validated),
        "unread_objects": situation.unread_objects + counted.readable_again,
        "oldest_count": memory.oldest,
    }
    if situation.is_changing:
        columns["state"] = State.CHANGING.value
    if not run.unreadable.issuperset(counted.unreadable):
        # What the run could read may hold any number of documents: as they were read is no count.
        return {**columns, "error": ObjectUnreadable.__name__}
    landed, duplicates = counted.landed
    balance = Balance(landed, held.validated.height, held.rejected.height, duplicates)
    return {**columns, "landed": landed, "duplicates": duplicates, "missing": balance.missing}


def count_outdated_rows(raw: pl.DataFrame, validated: pl.DataFrame) -> int:
    """Validated rows that are of no accepted document's text; rows of versions that wrote no hash say nothing.

    A correction whose run failed leaves the numbers of the law as they were: only the contents tell.
    """
    accepted = raw.filter(pl.col("status") == "accepted").select("interaction_id", "content_hash")
    known = validated.filter(pl.col("content_hash").is_not_null()).select("interaction_id", "content_hash")
    return len(set(known.iter_rows()) - set(accepted.iter_rows()))


def _find_superseded(partitions: Sequence[Partition], tables: Tables) -> _Superseded:
    frames, errors = [read_document_ids([], tables)], {}
    for partition in partitions:
        try:
            frames.append(read_document_ids([partition], tables))
        except ISOLATED_ERRORS as error:
            errors[partition.folder] = name_error(error)
    grouped = find_lost_ids(pl.concat(frames)).group_by("partition").agg("interaction_id")
    return _Superseded({folder: frozenset(ids) for folder, ids in grouped.iter_rows()}, errors)


# --- records served ---------------------------------------------------------------------------


def _reconcile_store(partition: Partition, held: _Held, store: OnlineStore, sources: Sources) -> dict[str, Any]:
    entries = list_entries(select_group_entries(read_manifest(sources.tables, partition), store.identity))
    balance = balance_served_records(held.validated, entries, held.rejected, held.raw)
    columns: dict[str, Any] = {
        "kept": balance.kept,
        "served": balance.served,
        "unpublished": balance.unpublished,
        "unwithdrawn": balance.unwithdrawn,
    }
    sample = choose_sample(balance.expected_online, f"{sources.seed} {partition.key}")
    online = store.sample_records(sample)
    if sample and not online.asked:
        return {**columns, "error": "Unanswered"}
    return {**columns, "asked_online": online.asked, "missing_online": online.missing}


def name_error(error: BaseException) -> str:
    """AWS's code where there is one, or else the class: words of others may quote a customer."""
    if isinstance(error, AwsRefusal) and isinstance(error.__cause__, ClientError):
        return str(error.__cause__.response.get("Error", {}).get("Code") or "AwsRefusal")
    return type(error).__name__
