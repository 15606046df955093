"""All documents of a partition: the rows of its files, the owner of each id among them, and what language each is in.

Not here: which document of several partitions has an id (`corrections.py`), and what was known before (`earlier.py`).
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import polars as pl

from cs_features.erasure.subjects import Erased
from cs_features.erasure.tombstones import NO_TOMBSTONES
from cs_features.landing.documents import RAW_SCHEMA, read_document
from cs_features.landing.earlier import EarlierReading, take_over_rows
from cs_features.landing.erased import screen_files, withhold_erased_rows
from cs_features.landing.files import Unread, split_file
from cs_features.landing.zone import LandedFile, LandingZone
from cs_features.languages import detect_language
from cs_features.partitions import Partition
from cs_features.s3 import Listing
from cs_features.schemas import Interaction, Reason
from cs_features.utterances.readable import read_turns


def read_partition(
    zone: LandingZone,
    partition: Partition,
    listing: Listing,
    languages: Sequence[str],
    earlier: EarlierReading | None = None,
    erased: Erased = NO_TOMBSTONES,
) -> pl.DataFrame:
    """The `raw_interactions` table of one partition, from the objects of `listing`; nothing of who is `erased`.

    `languages` are those that the country expects. Every accepted document's is detected among them; one that
    states a language keeps it, and `language_detected` says whether its words agree.
    """
    files = screen_files(zone.read_files(listing.objects), zone.bucket, erased)
    rows = read_rows(files, listing.bucket, partition, earlier or EarlierReading())
    for row in rows:
        if row["status"] == "accepted":
            words = join_customers_words(Interaction.model_validate_json(row["payload"]))
            row["language_detected"] = detect_language(words, languages)
            row["language"] = row["language"] or row["language_detected"]
    return withhold_erased_rows(make_raw_table(rows, listing.listed_at), erased)


def read_rows(
    files: Iterable[LandedFile], bucket: str, partition: Partition, earlier: EarlierReading
) -> list[dict[str, Any]]:
    """Every document of `files` as a row, ids not yet resolved.

    A file that cannot be read is a reject of its own, and the documents last read from it stand beside it.
    """
    rows = []
    for landed, content in files:
        uri = f"s3://{bucket}/{landed.key}"
        source = {"source_uri": uri, "source_etag": landed.etag, "landed_at": landed.last_modified}
        for piece in split_file(landed.key, content):
            row = {**read_document(piece, partition), **source, "source_line": piece.line}
            rows.append(_date_back(row, earlier))
        if isinstance(content, Unread) and content.reason is Reason.UNREADABLE_OBJECT:
            rows += take_over_rows(earlier, uri, partition)
    return rows


def _date_back(row: dict[str, Any], earlier: EarlierReading) -> dict[str, Any]:
    """A row whose content was seen before is as old as it was then."""
    landed_at = row["landed_at"]
    return {**row, "landed_at": min(landed_at, earlier.first_seen.get(row["content_hash"], landed_at))}


def resolve_ids(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Give each id to one document: the valid one that landed last.

    The same content again is a `duplicate`. Other content under the same id is rejected as
    `duplicate_id`; so that no id stands on both sides, such a row, and an invalid one whose id a valid
    document holds, names the id in `detail` and has a null `interaction_id`.
    """
    order = sorted(rows, key=lambda row: (row["landed_at"], row["source_uri"], row["source_line"]))
    owners = _find_owners(order)
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
    return order


def _find_owners(order: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The last valid row of each id, by id; marks rows whose content came before as duplicates."""
    seen: set[tuple[str, str]] = set()
    owners: dict[str, dict[str, Any]] = {}
    for row in order:
        if row["interaction_id"] is None:
            continue
        content = (row["interaction_id"], row["content_hash"])
        if content in seen:
            row["status"], row["reason"] = "duplicate", None
        elif row["status"] == "accepted":
            owners[row["interaction_id"]] = row
        seen.add(content)
    return owners


def join_customers_words(interaction: Interaction) -> str:
    """What the customer said, where that is anything: agents answer in the company's language, systems in any."""
    turns = read_turns(interaction)
    own = [turn.text for turn in turns if turn.speaker == "customer"]
    return "\n".join(own or [turn.text for turn in turns])


def make_raw_table(rows: list[dict[str, Any]], listed_at: datetime) -> pl.DataFrame:
    """The `raw_interactions` table, a row a landed document in landing order."""
    return pl.DataFrame(resolve_ids(rows), schema=RAW_SCHEMA).with_columns(
        pl.lit(listed_at).cast(pl.Datetime("us", "UTC")).alias("listed_at")
    )
