"""One landed document: from its bytes to its row of `raw_interactions`, accepted or rejected with a typed reason.

Reading never raises for a bad document. Not here: how a file is split into documents (`files.py`), and which of a
partition's documents has an id (`reading.py`).
"""

import hashlib
from typing import Any
from uuid import UUID

import polars as pl
from pydantic import ValidationError
from pydantic_core import from_json

from cs_features.hashing import content_hash
from cs_features.landing.files import MAX_DOCUMENT_BYTES, Piece
from cs_features.partitions import Partition
from cs_features.schemas import Interaction, Reason, keep_contract_fields, reason_of

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
ERASED_FIELD = "erased"  # the one field of what stands for a document that was erased: see `erased.py`
ERASED_DETAIL = "a marker stands in its place"

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
        "landed_at": pl.Datetime("us", "UTC"),  # when this content was first seen in the partition
        "listed_at": pl.Datetime("us", "UTC"),
        "content_hash": pl.String(),  # of the contract's fields
        "payload": pl.String(),
    }
)


def read_document(piece: Piece, partition: Partition) -> dict[str, Any]:
    """The `raw_interactions` fields of one document, accepted or rejected, sources left out."""
    row: dict[str, Any] = dict.fromkeys(RAW_SCHEMA.names())
    row["payload"] = piece.data.removeprefix(BYTE_ORDER_MARK).decode("utf-8", errors="backslashreplace")
    row["content_hash"] = hashlib.sha256(piece.data).hexdigest()

    def rejected(reason: Reason, detail: str) -> dict[str, Any]:
        return {**row, "status": "rejected", "reason": reason.value, "detail": detail}

    if piece.refusal is not None:
        return rejected(piece.refusal.reason, piece.refusal.detail)
    try:
        piece.data.decode("utf-8")
    except UnicodeDecodeError as error:
        return rejected(Reason.NOT_UTF8, f"byte {error.start}: {error.reason}")
    try:
        document = _parse_json(piece.data)
    except ValueError as error:
        return rejected(Reason.MALFORMED_JSON, str(error)[:200])
    if not isinstance(document, dict):
        return rejected(Reason.NOT_AN_OBJECT, f"a {type(document).__name__}, not an object")
    if document == {ERASED_FIELD: True}:
        return {**rejected(Reason.ERASED, ERASED_DETAIL), "payload": "", "content_hash": None}
    row["interaction_id"] = find_id(document)
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
    if interaction.country != partition.country:
        return rejected(Reason.COUNTRY_MISMATCH, f"says {interaction.country}, the path says {partition.country}")
    day = interaction.occurred_at.date()
    if day != partition.date:
        return rejected(Reason.DATE_MISMATCH, f"occurred on {day} UTC, the path says {partition.date}")
    return {**row, "status": "accepted"}


def identity_of(data: bytes) -> tuple[str, str] | None:
    """(id, content hash) of a document that has an id, valid or not: equal means delivered twice."""
    if len(data) > MAX_DOCUMENT_BYTES:
        return None  # not even parsed
    try:
        document = _parse_json(data)
    except ValueError:
        return None
    if not isinstance(document, dict):
        return None
    found = find_id(document)
    return None if found is None else (found, content_hash(keep_contract_fields(document)))


def _parse_json(data: bytes) -> Any:
    """JSON as the landing contract means it: UTF-8 with or without a byte order mark, no NaN."""
    return from_json(data.removeprefix(BYTE_ORDER_MARK), allow_inf_nan=False)


def find_id(document: dict[str, Any]) -> str | None:
    """The id of a document that may be rejected for other reasons, so that its row can be found."""
    value = document.get("interaction_id")
    if not isinstance(value, str) or not 0 < len(value) <= 64:
        return None
    try:
        return str(UUID(value))  # the same id however it is spelled
    except ValueError:
        return value
