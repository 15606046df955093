"""One landed document: from its bytes to its row of `raw_interactions`, accepted or rejected with a typed reason.

`read_landed_document` is the one place where a document becomes a row: what a row holds of a text, and what not, is
decided there. Rows are kept for as long as their object is unchanged, so each says by which version of this it was
made. Reading never raises for a bad document. Not here: how a file is split into documents (`files.py`), which rows are
kept (`earlier.py`), and which of a partition's documents has an id (`reading.py`).
"""

import hashlib
import re
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import polars as pl
from pydantic import ValidationError
from pydantic_core import from_json

from cs_features.code_version import digest_shaping_settings, digest_source_files
from cs_features.hashing import content_hash
from cs_features.landing.files import MAX_DOCUMENT_BYTES, Piece
from cs_features.languages import detect_language
from cs_features.partitions import Partition
from cs_features.schemas import Interaction, Reason, keep_contract_fields, reason_of
from cs_features.utterances.readable import read_utterance_turns

_ID_AS_WRITTEN = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")  # by Python, and by most exporters
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
ERASED_FIELD = "erased"  # the one field of what stands for a document that was erased: see `erased.py`
ERASED_DETAIL = "a marker stands in its place"
UNREAD_DETAIL = "it lies in landing still, and nobody reads it"
# All that a row depends on beside the bytes and the country's languages. A test holds that none is missing.
SHAPED_BY_MODULES = (
    "cs_features.code_version",
    "cs_features.errors",
    "cs_features.hashing",
    "cs_features.landing.documents",
    "cs_features.landing.files",
    "cs_features.languages",
    "cs_features.partitions",
    "cs_features.privacy",
    "cs_features.schemas",
    "cs_features.summary_rules",
    "cs_features.timestamps",
    "cs_features.utterances",
)
SHAPED_BY_LIBRARIES = (
    "google-re2",
    "lingua-language-detector",
    "mail-parser-reply",
    "phonenumbers",
    "pydantic",
    "pydantic_core",
    "python-stdnum",
)

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
        "words_hash": pl.String(),  # of what was said and by whom, of a valid document
        "payload": pl.String(),
        # What the document is by itself, whatever other documents make of it: with this it is judged again.
        "document_id": pl.String(),
        "document_reason": pl.String(),  # why it is rejected by itself; null for a valid one
        "document_detail": pl.String(),
        "reader": pl.String(),  # the version of what made the row: `DocumentReader.version`
    }
)


@dataclass(frozen=True)
class DocumentReader:
    """What a row depends on beside the document: where it lies, and the languages that its country expects."""

    partition: Partition
    languages: tuple[str, ...]

    @property
    def version(self) -> str:
        """Rows of another version are read again, as soon as their object can be."""
        return digest_shaping_settings(digest_source_files(SHAPED_BY_MODULES, SHAPED_BY_LIBRARIES), self.languages)


def read_landed_document(piece: Piece, reader: DocumentReader) -> dict[str, Any]:
    """The `raw_interactions` fields of one document, as it is by itself, sources left out.

    Every accepted document's language is detected; one that states a language keeps it, and `language_detected` says
    whether its words agree.
    """
    row = _judge_parsed_document(piece, reader)
    return {
        **row,
        "document_id": row["interaction_id"],
        "document_reason": row["reason"],
        "document_detail": row["detail"],
        "reader": reader.version,
    }


def restore_kept_document(row: dict[str, Any]) -> dict[str, Any]:
    """A row as `read_landed_document` made it, before other documents were looked at."""
    return {
        **row,
        "interaction_id": row["document_id"],
        "status": "accepted" if row["document_reason"] is None else "rejected",
        "reason": row["document_reason"],
        "detail": row["document_detail"],
    }


def _judge_parsed_document(piece: Piece, reader: DocumentReader) -> dict[str, Any]:
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
        document = _parse_json_line(piece.data)
    except ValueError as error:
        return rejected(Reason.MALFORMED_JSON, str(error)[:200])
    if not isinstance(document, dict):
        return rejected(Reason.NOT_AN_OBJECT, f"a {type(document).__name__}, not an object")
    if document == {ERASED_FIELD: True}:
        return {**rejected(Reason.ERASED, ERASED_DETAIL), "payload": "", "content_hash": None}
    row["interaction_id"] = find_interaction_id(document)
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
    path = reader.partition
    if interaction.country != path.country:
        return rejected(Reason.COUNTRY_MISMATCH, f"says {interaction.country}, the path says {path.country}")
    day = interaction.occurred_at.date()
    if day != path.date:
        return rejected(Reason.DATE_MISMATCH, f"occurred on {day} UTC, the path says {path.date}")
    detected = detect_language(join_customers_words(interaction), reader.languages)
    return {
        **row,
        "status": "accepted",
        "language": interaction.language or detected,
        "language_detected": detected,
        "words_hash": content_hash([[turn.speaker, turn.text] for turn in interaction.utterances]),
    }


def join_customers_words(interaction: Interaction) -> str:
    """What the customer said, where that is anything: agents answer in the company's language, systems in any."""
    turns = read_utterance_turns(interaction)
    own = [turn.text for turn in turns if turn.speaker == "customer"]
    return "\n".join(own or [turn.text for turn in turns])


def identity_of(data: bytes) -> tuple[str, str] | None:
    """(id, content hash) of a document that has an id, valid or not: equal means delivered twice."""
    if len(data) > MAX_DOCUMENT_BYTES:
        return None  # not even parsed
    try:
        document = _parse_json_line(data)
    except ValueError:
        return None
    if not isinstance(document, dict):
        return None
    found = find_interaction_id(document)
    return None if found is None else (found, content_hash(keep_contract_fields(document)))


def _parse_json_line(data: bytes) -> Any:
    """JSON as the landing contract means it: UTF-8 with or without a byte order mark, no NaN."""
    return from_json(data.removeprefix(BYTE_ORDER_MARK), allow_inf_nan=False)


def find_interaction_id(document: dict[str, Any]) -> str | None:
    """The id of a document that may be rejected for other reasons, so that its row can be found."""
    value = document.get("interaction_id")
    if not isinstance(value, str) or not 0 < len(value) <= 64:
        return None
    if _ID_AS_WRITTEN.fullmatch(value):
        return value
    try:
        return str(UUID(value))  # the same id however it is spelled
    except ValueError:
        return value
