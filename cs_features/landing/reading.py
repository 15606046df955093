"""All documents of a partition: the rows of its files, and the owner of each id among them.

Only what changed is read; what did not keeps its rows (`earlier.py`), and the table is the one that reading everything
anew would make. Not here: which document of several partitions has an id (`corrections.py`).
"""

from collections.abc import Iterable
from datetime import datetime
from operator import itemgetter
from typing import Any

import polars as pl

from cs_features.erasure.subjects import Erased
from cs_features.erasure.tombstones import NO_TOMBSTONES
from cs_features.landing.documents import RAW_SCHEMA, DocumentReader, read_landed_document
from cs_features.landing.earlier import EarlierReading, Rows, take_over_rows
from cs_features.landing.erased import note_unread_row, screen_erased_files, withhold_erased_row
from cs_features.landing.files import Unread, split_file_documents
from cs_features.landing.zone import LandedFile, LandingZone
from cs_features.s3 import Listing, StoredObject
from cs_features.schemas import Reason


def read_landed_partition(
    zone: LandingZone,
    listing: Listing,
    reader: DocumentReader,
    earlier: EarlierReading | None = None,
    erased: Erased = NO_TOMBSTONES,
) -> pl.DataFrame:
    """The `raw_interactions` table of one partition, from the objects of `listing`; nothing of who is `erased`."""
    earlier = earlier or EarlierReading()
    kept, unread = keep_rows(listing, reader.version, earlier)
    files = screen_erased_files(zone.read_landed_files(unread), zone.bucket, erased)
    rows = kept + read_rows(files, listing.bucket, reader, earlier)
    # Before ids are resolved: a document that is erased takes an id from nobody.
    return make_raw_table([withhold_erased_row(row, erased) for row in rows], listing.listed_at)


def keep_rows(listing: Listing, version: str, earlier: EarlierReading) -> tuple[Rows, list[StoredObject]]:
    """The rows of objects that were read before and are unchanged, and the objects that are to be read."""
    rows: Rows = []
    unread = []
    for item in listing.objects:
        kept = earlier.keep_rows(f"s3://{listing.bucket}/{item.key}", item, version)
        if kept is None:
            unread.append(item)
        else:
            rows += kept
    return rows, unread


def read_rows(files: Iterable[LandedFile], bucket: str, reader: DocumentReader, earlier: EarlierReading) -> Rows:
    """Every document of `files` as a row, ids not yet resolved.

    A file that cannot be read is a reject of its own, and the documents last read from it stand beside it.
    """
    rows = []
    for landed, content, unread_lines in files:
        uri = f"s3://{bucket}/{landed.key}"
        source = {"source_uri": uri, "source_etag": landed.etag, "landed_at": landed.last_modified}
        for piece in split_file_documents(landed.key, content):
            row = {**read_landed_document(piece, reader), **source, "source_line": piece.line}
            row = note_unread_row(row) if piece.line in unread_lines else row
            rows.append(earlier.date_back_rows(row))
        if isinstance(content, Unread) and content.reason is Reason.UNREADABLE_OBJECT:
            rows += [earlier.date_back_rows(row) for row in take_over_rows(earlier, uri, reader)]
    return rows


def resolve_document_ids(rows: Rows) -> Rows:
    """Give each id to one document: the valid one that landed last.

    The same content again is a `duplicate`. Other content under the same id is rejected as
    `duplicate_id`; so that no id stands on both sides, such a row, and an invalid one whose id a valid
    document holds, names the id in `detail` and has a null `interaction_id`.

    Where a valid one is no version of the same interaction, the last is rejected, too, as `id_conflict`: nobody takes
    an id over by landing later.
    """
    order = sorted(rows, key=lambda row: (row["landed_at"], row["source_uri"], row["source_line"]))
    versions = _list_id_versions(order)
    owners = {key: documents[-1] for key, documents in versions.items()}
    rivals = {key: _find_contradiction(documents) for key, documents in versions.items()}
    for row in order:
        owner = owners.get(row["interaction_id"])
        if owner is None or owner is row or row["status"] == "duplicate":
            continue
        where = f"interaction_id {row['interaction_id']} belongs to {owner['source_uri']} line {owner['source_line']}"
        if row["status"] == "accepted":
            row["status"], row["reason"], row["detail"] = "rejected", Reason.DUPLICATE_ID.value, where
        else:
            row["detail"] = f"{row['detail']}; {where}"
        row["interaction_id"] = None
    for key, rival in rivals.items():
        if rival is not None:
            place = f"{rival['source_uri']} line {rival['source_line']}"
            conflict = {"status": "rejected", "reason": Reason.ID_CONFLICT.value}
            owners[key].update(conflict, detail=f"another interaction has the id: {place}")
    return order


def _find_contradiction(versions: Rows) -> dict[str, Any] | None:
    """The latest of an id's documents that is no version of what the last one tells.

    Of one partition a later document may give an interaction to another customer, or say other words for the same one.
    Who does both knows the id and nothing else; but a chat that is exported while it goes on names its customer and
    says more the second time. Between partitions more is asked: `corrections.py`.
    """
    *earlier, owner = versions
    strangers = (each for each in reversed(earlier) if each["customer_id"] not in (None, owner["customer_id"]))
    return next((each for each in strangers if each["words_hash"] != owner["words_hash"]), None)


def _list_id_versions(order: Rows) -> dict[str, Rows]:
    """The valid rows of each id in landing order, by id; marks rows whose content came before as duplicates."""
    seen: set[tuple[str, str]] = set()
    versions: dict[str, Rows] = {}
    for row in order:
        if row["interaction_id"] is None:
            continue
        content = (row["interaction_id"], row["content_hash"])
        if content in seen:
            row["status"], row["reason"] = "duplicate", None
        elif row["status"] == "accepted":
            versions.setdefault(row["interaction_id"], []).append(row)
        seen.add(content)
    return versions


def make_raw_table(rows: Rows, listed_at: datetime) -> pl.DataFrame:
    """The `raw_interactions` table, a row a landed document in landing order."""
    order = resolve_document_ids(rows)
    # By columns: from rows, polars makes all its values before it makes the table.
    columns = {name: list(map(itemgetter(name), order)) for name in RAW_SCHEMA}
    return pl.DataFrame(columns, schema=RAW_SCHEMA).with_columns(
        pl.lit(listed_at).cast(pl.Datetime("us", "UTC")).alias("listed_at")
    )
