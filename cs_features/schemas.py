"""What a document, an answer and a row must look like. Each rule is written once, here.

`Interaction` is the landing document, `Extraction` the model's answer; its JSON schema is the tool's schema, and
the pandera schema of `validated_features` is generated from it in `validation/tables.py`. The reasons for which a
document is rejected are the `Reason` table. Not here: what a summary must be (`summary_rules.py`).
"""

import re
import unicodedata
from datetime import datetime, timezone
from enum import Enum
from functools import cached_property
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    create_model,
    model_validator,
)
from pydantic_core import PydanticCustomError

from cs_features.privacy.unseen import hides_something
from cs_features.summary_rules import find_broken_rule
from cs_features.timestamps import spell_out_timestamp

Channel = Literal["chat", "email", "phone", "social", "review", "other"]
Speaker = Literal["customer", "agent", "system"]
Stage = Literal["landing", "extraction", "validation"]


class Reason(str, Enum):
    """Why a document did not become features: stage, whether asking again can help, and what that means."""

    stage: Stage
    redrivable: bool
    meaning: str

    def __new__(cls, code: str, stage: Stage, redrivable: bool, meaning: str) -> "Reason":
        member = str.__new__(cls, code)
        member._value_ = code
        member.stage = stage
        member.redrivable = redrivable
        member.meaning = meaning
        return member

    # The file or line cannot be read.
    UNREADABLE_OBJECT = "unreadable_object", "landing", False, "AWS does not give the object, or its body breaks off"
    UNSUPPORTED_FILE = "unsupported_file", "landing", False, "the file's name ends in nothing that is read"
    TRUNCATED_GZIP = "truncated_gzip", "landing", False, "the file ends in the middle; the lines before are documents"
    CORRUPT_GZIP = "corrupt_gzip", "landing", False, "the file is damaged, and nothing in it can be trusted"
    FILE_TOO_LARGE = "file_too_large", "landing", False, "more bytes or lines than a file may have"
    NOT_UTF8 = "not_utf8", "landing", False, "bytes that are no UTF-8"
    MALFORMED_JSON = "malformed_json", "landing", False, "no JSON"
    NOT_AN_OBJECT = "not_an_object", "landing", False, "JSON, but no object"
    DOCUMENT_TOO_LARGE = "document_too_large", "landing", False, "longer than any conversation"
    # The document breaks the landing contract.
    MISSING_FIELD = "missing_field", "landing", False, "a required field is missing"
    WRONG_TYPE = "wrong_type", "landing", False, "a field has another type"
    INVALID_VALUE = "invalid_value", "landing", False, "a field has a value that the contract does not allow"
    EMPTY_TEXT = "empty_text", "landing", False, "nobody says anything that can be read"
    COUNTRY_MISMATCH = "country_mismatch", "landing", False, "the document names another country than its folder"
    DATE_MISMATCH = "date_mismatch", "landing", False, "it occurred on another UTC day than its folder's"
    DUPLICATE_ID = "duplicate_id", "landing", False, "a later document of the partition has its id, with other content"
    SUPERSEDED = "superseded", "landing", False, "a later document of another partition has its id"
    ID_CONFLICT = "id_conflict", "landing", False, "another document has its id, and neither corrects the other"
    ERASED = "erased", "landing", False, "whom it is about was erased: nothing of it is kept but that it landed"
    # The model gave no usable answer.
    SERVICE_FAILED = "service_failed", "extraction", True, "Bedrock did not answer, however often it was asked"
    REQUEST_REFUSED = "request_refused", "extraction", True, "Bedrock refuses this request"
    INPUT_TOO_LONG = "input_too_long", "extraction", True, "more text than the model reads"
    MODEL_REFUSED = "model_refused", "extraction", True, "the model or a guardrail declined"
    ANSWER_CUT_OFF = "answer_cut_off", "extraction", True, "the answer reached its limit of tokens"
    INVALID_ANSWER = "invalid_answer", "extraction", True, "no answer kept the rules, repair and second call included"
    NOT_EXTRACTED = "not_extracted", "extraction", True, "nobody has asked the model for this content yet"
    # The answer did not pass the pandera gate.
    INVALID_FEATURES = "invalid_features", "validation", True, "the row breaks a rule of the feature schema"


# --- the landing document ---------------------------------------------------------------------


def _spell_out(value: Any) -> str:
    # pydantic reads numbers as Unix times; the contract says ISO 8601 text.
    if not isinstance(value, str):
        raise PydanticCustomError("string_type", "must be ISO 8601 text with an offset")
    spelled = spell_out_timestamp(value)
    if spelled is None:
        raise PydanticCustomError("datetime_parsing", "must be ISO 8601 with date, time and offset")
    return spelled


def _is_plausible_time(moment: datetime) -> datetime:
    try:
        return moment.astimezone(timezone.utc)
    except OverflowError:
        raise PydanticCustomError("datetime_parsing", "is outside the years 1 to 9999 in UTC") from None


# Hangul fillers and blank Braille are letters and symbols that show nothing; the last two stand for what was lost.
_BLANK = "\u115f\u1160\u3164\uffa0\u2800\ufffc\ufffd"


_LATIN = re.compile(r"[A-Za-z0-9]")


def says_something_readable(text: str) -> bool:
    if _LATIN.search(text):  # nearly every text, and at its first character
        return True
    # strip() alone would let zero-width characters, accents without a letter and the like pass as text. Each character
    # is asked once: two million blanks took seconds.
    return any(unicodedata.category(character)[0] in "LNPS" and character not in _BLANK for character in set(text))


def _identifies(value: UUID) -> UUID:
    # What a program writes that has no id: all documents without one would be one interaction.
    if value.int in (0, 2**128 - 1):
        raise PydanticCustomError("nil_uuid", "is the nil or the max UUID, which identify nothing")
    return value


def _is_visible_character(value: str) -> str:
    # "c-1" and "c-1" with a zero-width space look the same and join with nothing.
    if not value.isprintable() or value.isspace() or hides_something(value):
        raise PydanticCustomError("invisible", "has characters that cannot be seen, or none that can")
    return value


class Turn(BaseModel):
    """One utterance."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    speaker: Speaker
    text: str


class Interaction(BaseModel):
    """One landing document; unknown fields are ignored. `occurred_at` is in UTC after validation."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    interaction_id: Annotated[UUID, Field(strict=False), AfterValidator(_identifies)]
    occurred_at: Annotated[
        AwareDatetime, Field(strict=False), BeforeValidator(_spell_out), AfterValidator(_is_plausible_time)
    ]
    country: Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
    channel: Channel
    turns: Annotated[list[Turn], Field(fail_fast=True)] | None = None  # two megabytes of wrong turns are one complaint
    text: str | None = None
    customer_id: Annotated[str, Field(min_length=1, max_length=256), AfterValidator(_is_visible_character)] | None = (
        None
    )
    language: Annotated[str, Field(pattern=r"^[a-z]{2}$")] | None = None

    @model_validator(mode="after")
    def _has_text(self) -> "Interaction":
        if self.turns is None and self.text is None:
            raise PydanticCustomError("missing", "neither turns nor text is given")
        if not self.utterances:
            raise PydanticCustomError("empty_text", "no turn and no text has any character that can be read")
        return self

    @cached_property
    def utterances(self) -> list[Turn]:
        """The turns that say something; one-piece interactions are the customer's single turn."""
        turns = self.turns or [Turn(speaker="customer", text=self.text or "")]
        return [turn for turn in turns if says_something_readable(turn.text)]


_CONTRACT_FIELDS = frozenset(Interaction.model_fields)
_TURN_FIELDS = frozenset(Turn.model_fields)


def keep_contract_fields(document: dict[str, Any]) -> dict[str, Any]:
    """A landing document, valid or not, without the fields that the contract does not name.

    Two documents are the same exactly when this is: an exporter's own field decides nothing.
    """
    kept = _keep_fields(document, _CONTRACT_FIELDS)
    turns = kept.get("turns")
    if not isinstance(turns, list):
        return kept
    return {**kept, "turns": [_keep_fields(turn, _TURN_FIELDS) if isinstance(turn, dict) else turn for turn in turns]}


def _keep_fields(given: dict[str, Any], names: frozenset[str]) -> dict[str, Any]:
    if given.keys() <= names:
        return given
    return {name: value for name, value in given.items() if name in names}


# pydantic's error types, as far as they mean something other than an invalid value.
_REASON_OF_ERROR = {
    "missing": Reason.MISSING_FIELD,
    "empty_text": Reason.EMPTY_TEXT,
    "string_type": Reason.WRONG_TYPE,
    "list_type": Reason.WRONG_TYPE,
    "model_type": Reason.WRONG_TYPE,
    "model_attributes_type": Reason.WRONG_TYPE,
    "uuid_type": Reason.WRONG_TYPE,
}


def reason_of(errors: list[Any]) -> tuple[Reason, str]:
    """Typed reason and detail of a pydantic failure, without any of the document's values."""
    first = errors[0]
    where = ".".join(str(part) for part in first["loc"]) or "document"
    detail = "; ".join(
        f"{'.'.join(str(part) for part in error['loc']) or 'document'}: {error['msg']}" for error in errors[:5]
    )
    reason = _REASON_OF_ERROR.get(first["type"], Reason.INVALID_VALUE)
    return reason, detail if len(detail) <= 500 else f"{where}: {first['msg']}"[:500]


# --- the model's answer -----------------------------------------------------------------------


def _check_summary_rules(summary: str) -> str:
    rule = find_broken_rule(summary)
    if rule is not None:
        raise PydanticCustomError(rule.name, rule.complaint)
    return summary


class Extraction(BaseModel):
    """The model's answer. `extraction_model` narrows topic and intent to the taxonomy."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    summary: Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_check_summary_rules)]
    sentiment: Literal["positive", "neutral", "negative"]
    primary_topic: str
    intent: str
    resolution_status: Literal["resolved", "escalated", "pending"]
    urgency_score: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False, strict=True)]
    csat_indicator: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False, strict=True)]


ANSWER_FIELDS = tuple(Extraction.model_fields)
SCORES = tuple(name for name, field in Extraction.model_fields.items() if field.annotation is float)
CATEGORICAL = tuple(name for name in ANSWER_FIELDS if name not in ("summary", *SCORES))


def extraction_model(topics: list[str], intents: list[str]) -> type[Extraction]:
    """`Extraction` whose topic and intent are those of the taxonomy, in the taxonomy's order."""
    return create_model(
        "Extraction",
        __base__=Extraction,
        primary_topic=(Literal[tuple(topics)], ...),  # type: ignore[arg-type]
        intent=(Literal[tuple(intents)], ...),  # type: ignore[arg-type]
    )


# --- the tables -------------------------------------------------------------------------------

# Beside the answer's fields in validated_features and in the feature group.
CONTEXT_COLUMNS = ("event_time", "customer_id", "country", "language", "channel", "model_id", "prompt_version")
FEATURE_COLUMNS = ("interaction_id", *ANSWER_FIELDS, *CONTEXT_COLUMNS)  # a record of the feature group
# What only the table says: whether the model saw the whole text, of which document the features are, and whether the
# text looks like an attempt to tell the model what to answer.
VALIDATED_COLUMNS = (*FEATURE_COLUMNS, "truncated", "content_hash", "suspected_injection")
