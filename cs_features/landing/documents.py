"""From bytes in the landing bucket to the rows of `raw_interactions`: one row a landed document.

Reading never raises for a bad document: it becomes a row with a typed reason. Which document of a partition
an id belongs to is decided here too; across partitions, in `corrections.py`.
"""

import hashlib
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

import polars as pl
from pydantic import ValidationError
from pydantic_core import from_json

from cs_features.hashing import content_hash
from cs_features.landing.zone import LandingZone
from cs_features.languages import detect_language
from cs_features.partitions import Partition
from cs_features.s3 import Listing, StoredObject
from cs_features.schemas import Interaction, Reason, keep_contract_fields, reason_of

SUFFIXES = (".json", ".jsonl", ".jsonl.gz")
# After decompression. A gzip bomb costs up to twice that in memory, and each line of one a kilobyte.
MAX_FILE_BYTES = 128 * 1024 * 1024
MAX_FILE_LINES = 200_000
MAX_DOCUMENT_BYTES = 2 * 1024 * 1024  # no conversation is longer; the payload is kept up to here
BYTE_ORDER_MARK = b"\xef\xbb\xbf"

RAW_SCHEMA = pl.Schema(
    {
        "interaction_id": pl.String(),
        "occurred_at": pl.Datetime("us", "UTC"),
        "country": pl.String(),
        "channel": pl.String(),
        "language": pl.String(),
        "language_stated": pl.Boolean(),
        "language_detected": pl.String(),  # of the customer's own words, among the country's languages
        "customer_id": pl.String(),
        "status": pl.String(),  # accepted, rejected or duplicate
        "reason": pl.String(),
        "detail": pl.String(),
        "source_uri": pl.String(),
        "source_line": pl.Int64(),
        "source_etag": pl.String(),
        "landed_at": pl.Datetime("us", "UTC"),
        "listed_at": pl.Datetime("us", "UTC"),
        "content_hash": pl.String(),
        "payload": pl.String(),
    }
)


@dataclass(frozen=True, slots=True)
class Piece:
    """One document's bytes, or why the file does not yield them. Lines count from 1."""

    line: int
    data: bytes
    reason: Reason | None = None
    detail: str | None = None


def pieces_of(key: str, body: bytes) -> Iterator[Piece]:
    """Split a file into its documents' bytes; what cannot be split is one piece with a reason."""
    if not key.endswith(SUFFIXES):
        yield Piece(1, body[:MAX_DOCUMENT_BYTES], Reason.UNSUPPORTED_FILE, f"expected one of {', '.join(SUFFIXES)}")
        return
    if key.endswith(".json"):
        yield Piece(1, body)
        return
    try:
        body, whole = _decompressed(body) if key.endswith(".gz") else (body, True)
        lines = _lines(body)
    except zlib.error as error:
        yield Piece(1, b"", Reason.CORRUPT_GZIP, str(error))
        return
    except OverflowError as error:
        yield Piece(1, b"", Reason.FILE_TOO_LARGE, str(error))
        return
    cut = None if whole else lines.pop()
    yield from _documents(lines)
    if cut is not None:
        # The lines before the cut are whole documents; only what stands at the cut is lost.
        detail = f"the file ends after {len(body)} decompressed bytes"
        yield Piece(len(lines) + 1, cut[:MAX_DOCUMENT_BYTES], Reason.TRUNCATED_GZIP, detail)


def _lines(body: bytes) -> list[bytes]:
    """Raises OverflowError when there are more than `MAX_FILE_LINES`."""
    if body.count(b"\n") > MAX_FILE_LINES:
        raise OverflowError(f"more than {MAX_FILE_LINES} lines")
    return body.split(b"\n")


def _documents(lines: list[bytes]) -> Iterator[Piece]:
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield Piece(number, line)


def _decompressed(body: bytes) -> tuple[bytes, bool]:
    """What decompresses, and whether the file ends where it should.

    Raises:
        zlib.error: the content is damaged, and nothing in it can be trusted.
        OverflowError: it is larger than `MAX_FILE_BYTES`.
    """
    out = bytearray()
    while body:  # a gzip file may hold several members, one after the other
        member = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        out += member.decompress(body, MAX_FILE_BYTES + 1 - len(out))
        if len(out) > MAX_FILE_BYTES:
            raise OverflowError(f"more than {MAX_FILE_BYTES} bytes decompressed")
        if not member.eof:
            return bytes(out), False
        body = member.unused_data.lstrip(b"\0")  # padding between members is allowed
    return bytes(out), True


def read_document(piece: Piece, country: str, day: date) -> dict[str, Any]:
    """The `raw_interactions` fields of one document, accepted or rejected, sources left out."""
    row: dict[str, Any] = dict.fromkeys(RAW_SCHEMA.names())
    kept = piece.data[:MAX_DOCUMENT_BYTES].removeprefix(BYTE_ORDER_MARK)
    row["payload"] = kept.decode("utf-8", errors="backslashreplace")
    row["content_hash"] = hashlib.sha256(piece.data).hexdigest()

    def rejected(reason: Reason, detail: str) -> dict[str, Any]:
        return {**row, "status": "rejected", "reason": reason.value, "detail": detail}

    if piece.reason is not None:
        return rejected(piece.reason, piece.detail or "")
    if len(piece.data) > MAX_DOCUMENT_BYTES:
        return rejected(Reason.DOCUMENT_TOO_LARGE, f"{len(piece.data)} bytes; the limit is {MAX_DOCUMENT_BYTES}")
    try:
        piece.data.decode("utf-8")
    except UnicodeDecodeError as error:
        return rejected(Reason.NOT_UTF8, f"byte {error.start}: {error.reason}")
    try:
        document = _parsed(piece.data)
    except ValueError as error:
        return rejected(Reason.MALFORMED_JSON, str(error)[:200])
    if not isinstance(document, dict):
        return rejected(Reason.NOT_AN_OBJECT, f"a {type(document).__name__}, not an object")
    row["interaction_id"] = _loose_id(document)
    row["content_hash"] = content_hash(keep_contract_fields(document))
    try:
        interaction = Interaction.model_validate(document)
    except ValidationError as error:
        return rejected(*reason_of(error.errors(include_input=False)))
    row["interaction_id"] = str(interaction.interaction_id)
    row["occurred_at"] = interaction.occurred_at
    row["country"] = interaction.country
    row["channel"] = interaction.channel
    row["language"] = interaction.language
    row["language_stated"] = interaction.language is not None
    row["customer_id"] = interaction.customer_id
    if interaction.country != country:
        return rejected(Reason.COUNTRY_MISMATCH, f"says {interaction.country}, the path says {country}")
    if interaction.occurred_at.date() != day:
        return rejected(Reason.DATE_MISMATCH, f"occurred on {interaction.occurred_at.date()} UTC, the path says {day}")
    return {**row, "status": "accepted"}


def identity_of(data: bytes) -> tuple[str, str] | None:
    """(id, content hash) of a document that has an id, valid or not: equal means delivered twice."""
    if len(data) > MAX_DOCUMENT_BYTES:
        return None  # not even parsed
    try:
        document = _parsed(data)
    except ValueError:
        return None
    if not isinstance(document, dict) or (loose_id := _loose_id(document)) is None:
        return None
    return loose_id, content_hash(keep_contract_fields(document))


def _parsed(data: bytes) -> Any:
    """JSON as the landing contract means it: UTF-8 with or without a byte order mark, no NaN."""
    return from_json(data.removeprefix(BYTE_ORDER_MARK), allow_inf_nan=False)


def _loose_id(document: dict[str, Any]) -> str | None:
    """The id of a document that may be rejected for other reasons, so that its row can be found."""
    value = document.get("interaction_id")
    if not isinstance(value, str) or not 0 < len(value) <= 64:
        return None
    try:
        return str(UUID(value))  # the same id however it is spelled
    except ValueError:
        return value


def rows_of(
    files: Iterable[tuple[StoredObject, bytes]], zone: LandingZone, country: str, day: date
) -> list[dict[str, Any]]:
    """Every document of `files` as a row, ids not yet resolved."""
    rows = []
    for landed, body in files:
        source = {
            "source_uri": zone.uri(landed.key),
            "source_etag": landed.etag,
            "landed_at": landed.last_modified,
        }
        rows += [
            {**read_document(piece, country, day), **source, "source_line": piece.line}
            for piece in pieces_of(landed.key, body)
        ]
    return rows


def resolve_ids(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Give each id to one document: the valid one that landed last.

    The same content again is a `duplicate`. Other content under the same id is rejected as
    `duplicate_id`; so that no id stands on both sides, such a row, and an invalid one whose id a valid
    document holds, names the id in `detail` and has a null `interaction_id`.
    """
    order = sorted(rows, key=lambda row: (row["landed_at"], row["source_uri"], row["source_line"]))
    seen: set[tuple[str, str]] = set()
    holder: dict[str, dict[str, Any]] = {}
    for row in order:
        if row["interaction_id"] is None:
            continue
        content = (row["interaction_id"], row["content_hash"])
        if content in seen:
            row["status"], row["reason"] = "duplicate", None
        elif row["status"] == "accepted":
            holder[row["interaction_id"]] = row
        seen.add(content)
    for row in order:
        owner = holder.get(row["interaction_id"])
        if owner is None or owner is row or row["status"] == "duplicate":
            continue
        where = f"interaction_id {row['interaction_id']} belongs to {owner['source_uri']} line {owner['source_line']}"
        if row["status"] == "accepted":
            row["status"], row["reason"], row["detail"] = "rejected", Reason.DUPLICATE_ID.value, where
        else:
            row["detail"] = f"{row['detail']}; {where}"
        row["interaction_id"] = None
    return order


def read_partition(zone: LandingZone, partition: Partition, listing: Listing, languages: Sequence[str]) -> pl.DataFrame:
    """The `raw_interactions` table of one partition, from the objects of `listing`.

    `languages` are those that the country expects. Every accepted document's is detected among them; one that
    states a language keeps it, and `language_detected` says whether its words agree.
    """
    rows = rows_of(zone.read_all(listing.objects), zone, partition.country, partition.date)
    for row in rows:
        if row["status"] == "accepted":
            words = customers_words(Interaction.model_validate_json(row["payload"]))
            row["language_detected"] = detect_language(words, languages)
            row["language"] = row["language"] or row["language_detected"]
    return raw_frame(rows, listing.listed_at)


def customers_words(interaction: Interaction) -> str:
    """What the customer said, where that is anything: agents answer in the company's language, systems in any."""
    utterances = interaction.utterances
    own = [turn.text for turn in utterances if turn.speaker == "customer"]
    return "\n".join(own or [turn.text for turn in utterances])


def raw_frame(rows: list[dict[str, Any]], listed_at: datetime) -> pl.DataFrame:
    """The `raw_interactions` table, a row a landed document in landing order."""
    return pl.DataFrame(resolve_ids(rows), schema=RAW_SCHEMA).with_columns(
        pl.lit(listed_at).cast(pl.Datetime("us", "UTC")).alias("listed_at")
    )
