"""The plan of a publication: which records are written, withdrawn, kept and left alone. Pure.

What a run does not see is not gone. A record is withdrawn on evidence about its document: gone, superseded, invalid
or corrected. One whose document stands unchanged is kept, whatever became of its extraction. The calls are made in
`changes.py`.
"""

import json
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum

import polars as pl

from cs_features.erasure.subjects import Erased
from cs_features.errors import RequestError
from cs_features.hashing import content_hash
from cs_features.landing.damage import Damage, find_object_damage
from cs_features.partitions import Partition
from cs_features.publishing.feature_group import FeatureRecord, Record, build_feature_record, encode_record
from cs_features.publishing.manifest import Entry
from cs_features.publishing.records import identify_record_partition
from cs_features.schemas import Reason
from cs_features.short_names import shorten_interaction_id

# Of raw_interactions, what a publication reads: above all not the documents themselves.
DOCUMENT_COLUMNS = ["interaction_id", "status", "reason", "content_hash", "landed_at", "source_uri"]


class Evidence(str, Enum):
    """Why a record leaves the store."""

    ERASED = "erased"  # a tombstone says that whom it is about was erased
    GONE = "gone"  # no object of the partition holds its document any more, and none that held it is damaged
    SUPERSEDED = "superseded"  # a document of another partition has the id
    INVALID = "invalid"  # its document, or what was made of it, breaks the rules
    CORRECTED = "corrected"  # the document has another text now, of which there are no features
    BEGUN = "begun"  # a publisher had begun to withdraw it when it died


@dataclass(frozen=True, slots=True)
class Document:
    """An accepted document as it is now: columns of raw_interactions."""

    content_hash: str
    landed_at: datetime
    source_uri: str | None = None


@dataclass(frozen=True, kw_only=True)
class Documents:
    """What is known of a partition's documents, by interaction id."""

    accepted: Mapping[str, Document]
    superseded: Collection[str]
    held_elsewhere: Collection[str]  # of ids that no document here has, those that one of another partition has
    invalid: Collection[str]
    disputed: Collection[str]  # documents of other interactions have the id: what is served stays
    landed: int  # rows of raw_interactions
    damage: Damage
    erased: Collection[str] = frozenset()  # ids of entries that a tombstone covers

    def find_record_source(self, entry: Entry) -> str | None:
        """The landing file of a record's document, or where it was last seen."""
        document = self.accepted.get(entry.interaction_id)
        return entry.source_uri if document is None else document.source_uri


@dataclass(frozen=True)
class Plan:
    """What a publication does with each interaction, by id."""

    write: Mapping[str, FeatureRecord]
    withdraw: Mapping[str, Evidence]
    keep: Mapping[str, Entry]  # served from before, though this run has no features of it
    unchanged: Mapping[str, FeatureRecord]


# --- what the plan is made of -----------------------------------------------------------------


def collect_partition_documents(
    raw: pl.DataFrame, rejected: pl.DataFrame, held_elsewhere: Collection[str]
) -> Documents:
    """From raw_interactions and rejected_records; `held_elsewhere` are ids of documents of other partitions."""
    accepted = raw.filter(pl.col("status") == "accepted")
    columns = ("interaction_id", "content_hash", "landed_at", "source_uri")
    superseded = raw.filter(pl.col("reason") == Reason.SUPERSEDED.value)["interaction_id"]
    is_disputed = pl.col("reason").eq_missing(Reason.ID_CONFLICT.value)
    unusable = raw.filter((pl.col("status") == "rejected") & ~is_disputed)["interaction_id"].drop_nulls()
    invalid = rejected.filter(pl.col("stage") == "validation")["interaction_id"]
    return Documents(
        accepted={key: _note_document(*values) for key, *values in accepted.select(columns).iter_rows()},
        superseded=frozenset(superseded),
        held_elsewhere=frozenset(held_elsewhere),
        invalid=frozenset(invalid) | frozenset(unusable),
        disputed=frozenset(raw.filter(is_disputed)["interaction_id"]),
        landed=raw.height,
        damage=find_object_damage(raw),
    )


def _note_document(content_hash: str, landed_at: datetime, source_uri: str | None) -> Document:
    # A file has thousands of documents: its name is kept once.
    return Document(content_hash, landed_at, source_uri and sys.intern(source_uri))


def build_records(validated: pl.DataFrame) -> dict[str, FeatureRecord]:
    """The rows of validated_features as records, by interaction id; an older version's have no document's hash."""
    return {
        row["interaction_id"]: encode_record(build_feature_record(row), row.get("content_hash"))
        for row in validated.iter_rows(named=True)
    }


def leave_out_erased(validated: pl.DataFrame, erased: Erased) -> pl.DataFrame:
    """The rows of validated_features that may be published: a run may have begun before somebody was erased."""
    if not erased or validated.is_empty():
        return validated
    rows = validated.select("interaction_id", "customer_id", "event_time").iter_rows()
    covered = [erased.covers_interaction(key) or erased.covers_customer(customer, at) for key, customer, at in rows]
    return validated.filter(~pl.Series(covered, dtype=pl.Boolean))


def find_erased_entries(entries: Mapping[str, Entry], erased: Erased) -> frozenset[str]:
    """Ids of records that were served when whom they are about was erased."""
    return frozenset(key for key, entry in entries.items() if erased and _is_entry_covered(entry, erased))


def _is_entry_covered(entry: Entry, erased: Erased) -> bool:
    record = {pair["FeatureName"]: pair["ValueAsString"] for pair in json.loads(entry.record or "[]")}
    moment = datetime.fromisoformat(entry.event_time.replace("Z", "+00:00")) if entry.event_time else None
    return erased.covers_interaction(entry.interaction_id) or erased.covers_customer(record.get("customer_id"), moment)


def require_current_records(records: Mapping[str, FeatureRecord], documents: Documents) -> None:
    """Raises RequestError when features are of a text that their document no longer has."""
    outdated = [
        key
        for key, record in records.items()
        if record.document_hash is not None
        and (key not in documents.accepted or documents.accepted[key].content_hash != record.document_hash)
    ]
    if outdated:
        raise RequestError(
            f"{len(outdated)} of {len(records)} rows of validated_features are of documents that raw_interactions no "
            f"longer holds, the first {shorten_interaction_id(outdated[0])}. Materialize llm_extractions and "
            "validated_features again"
        )


def choose_records_to_read(entries: Mapping[str, Entry], verify_online: bool) -> list[str]:
    """Ids of which the online store is to be asked, because the manifest alone is not to be believed: those of which
    an older version did not say to which group it wrote them, and with `verify_online` all."""
    return [key for key, entry in entries.items() if entry.group is None or (verify_online and entry.is_finished)]


def complete_manifest_entries(entries: Mapping[str, Entry], online: Mapping[str, Record | None]) -> dict[str, Entry]:
    """What older versions left out is as the online store serves it. Where it serves nothing there is no entry, but
    for what a publisher of that time had begun."""
    completed: dict[str, Entry] = {}
    for key, entry in entries.items():
        if entry.group is None and (served := online.get(key)):
            completed[key] = replace(entry, content_hash=content_hash(served), record=json.dumps(served))
        elif entry.group is not None or not entry.is_finished:
            completed[key] = entry
    return completed


# --- the plan ---------------------------------------------------------------------------------


def plan_publication(
    records: Mapping[str, FeatureRecord],
    documents: Documents,
    entries: Mapping[str, Entry],
    withdrawn_elsewhere: Mapping[str, datetime],
    online: Mapping[str, Record | None],
) -> Plan:
    """Bring the group from what `entries` say to `records`, and keep what still stands.

    `withdrawn_elsewhere` are ids that another partition took out of the store, with when, by S3's clock: what was
    written no later may have been hit. `online` has what the store serves of the ids that were looked up, None for
    those of which it serves nothing of this partition.
    """
    write: dict[str, FeatureRecord] = {}
    withdraw: dict[str, Evidence] = {}
    keep: dict[str, Entry] = {}
    unchanged: dict[str, FeatureRecord] = {}
    for key, record in records.items():
        entry = entries.get(key)
        is_same = entry is not None and entry.content_hash == record.content_hash
        if entry is not None and is_same and _is_served(entry, withdrawn_elsewhere, online):
            unchanged[key] = record
        else:
            write[key] = record
    for key, entry in entries.items():
        if key in records:
            continue
        evidence = find_withdrawal_evidence(entry, documents)
        if evidence is not None:
            withdraw[key] = evidence
        elif entry.record is not None and not _is_served(entry, withdrawn_elsewhere, online):
            write[key] = encode_record(json.loads(entry.record), entry.document_hash)
        else:
            keep[key] = entry
    return Plan(write, withdraw, keep, unchanged)


def find_withdrawal_evidence(entry: Entry, documents: Documents) -> Evidence | None:
    """Why the record of an interaction without features in this run has to leave; None when it still stands."""
    key = entry.interaction_id
    if key in documents.erased:
        return Evidence.ERASED
    document = documents.accepted.get(key)
    if key in documents.disputed:
        return Evidence.BEGUN if entry.is_being_withdrawn else None
    if document is None:
        if key in documents.superseded:
            return Evidence.SUPERSEDED
        if key in documents.invalid:
            return Evidence.INVALID
        # The other document may be the one that this one superseded: which is later, the damaged file would tell.
        if not documents.damage.may_hide_documents(entry.source_uri):
            return Evidence.SUPERSEDED if key in documents.held_elsewhere else Evidence.GONE
    elif not is_made_of(entry, document):
        return Evidence.CORRECTED
    elif key in documents.invalid:
        return Evidence.INVALID
    return Evidence.BEGUN if entry.is_being_withdrawn else None


def is_made_of(entry: Entry, document: Document) -> bool:
    """Whether the record says something of this text; versions that did not write that down wrote a time."""
    if entry.document_hash is None:
        return document.landed_at < entry.written_at
    return entry.document_hash == document.content_hash


def _is_served(entry: Entry, withdrawn_elsewhere: Mapping[str, datetime], online: Mapping[str, Record | None]) -> bool:
    """Whether what the manifest says of the record can be believed."""
    key = entry.interaction_id
    if not entry.is_finished:
        return False
    # S3 dates in whole seconds: a withdrawal of the same second may have come after the writing.
    if key in withdrawn_elsewhere and entry.written_at <= withdrawn_elsewhere[key]:
        return False
    served = online.get(key)
    return key not in online or (served is not None and content_hash(served) == entry.content_hash)


def may_replace(record: Record, features: Record, partition: Partition, window_days: int) -> bool:
    """Whether `features` of `partition` may take the place of a record that is served, of whatever partition.

    Of partitions within the window it was settled when they were read whose the id is. Of others only the records
    are left to judge by: the one of another customer is another interaction's, and so is one that names none.
    """
    owner = identify_record_partition(record)
    if owner is None or owner == partition or abs((owner.date - partition.date).days) <= window_days:
        return True
    customer = _read_customer(record)
    return customer is not None and customer == _read_customer(features)


def _read_customer(record: Record) -> str | None:
    return next((pair["ValueAsString"] for pair in record if pair["FeatureName"] == "customer_id"), None) or None
