"""What every column of every table means, in which unit, and by which rule: for the UI and for whoever reads a table.

A column that several tables share is spelled once. The rules of an answer are those of its schema, the values of a
code those of its type. Not here: the tables' types, which stand with the code that writes them; a test compares.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from cs_features.schemas import ANSWER_FIELDS, FEATURE_COLUMNS, Channel, Extraction, Reason, Stage


@dataclass(frozen=True)
class Column:
    """One column: what it says, its unit, the rule that it keeps, and the columns that it is made of.

    `sources` are written as "table.column".
    """

    meaning: str
    unit: str = ""
    rule: str = ""
    sources: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        unit = f" In {self.unit}." if self.unit else ""
        rule = f" {self.rule[:1].upper()}{self.rule[1:]}." if self.rule else ""
        return f"{self.meaning}.{unit}{rule}{_spell_sources(self.sources)}"


def _spell_sources(sources: Sequence[str]) -> str:
    """Which columns it is made of: the open-source UI draws no lineage of columns, and shows these words."""
    by_table: dict[str, list[str]] = {}
    for source in sources:
        table, column = source.split(".")
        by_table.setdefault(table, []).append(column)
    return "".join(f" From {table}: {', '.join(columns)}." for table, columns in by_table.items())


def _spell_column_rule(schema: Mapping[str, Any]) -> str:
    """A property of the answer's JSON schema in words."""
    if "enum" in schema:
        return f"one of {', '.join(schema['enum'])}"
    if "minimum" in schema:
        return f"from {schema['minimum']:g} to {schema['maximum']:g}"
    if "maxLength" in schema:
        return f"{schema['minLength']} to {schema['maxLength']} characters, in English, no personal data"
    return "a value of prompts/taxonomy.yaml"


_PROPERTIES = Extraction.model_json_schema()["properties"]
_ANSWER_MEANINGS = {
    "summary": "What the interaction was about",
    "sentiment": "The customer's mood at the end",
    "primary_topic": "What it was mostly about",
    "intent": "What the customer wanted",
    "resolution_status": "Whether it was settled",
    "urgency_score": "How soon somebody has to act",
    "csat_indicator": "How satisfied the customer seems",
}
_STAGES = f"one of {', '.join(get_args(Stage))}"
_REASONS = f"one of {', '.join(reason.value for reason in Reason)}"
_CHANNELS = f"one of {', '.join(get_args(Channel))}"

_ID = Column("The interaction's id, as it landed", rule="a UUID")
_LANDED = {
    "interaction_id": Column(_ID.meaning, rule="a UUID; null where it could not be read"),
    "country": Column("The country of its folder", rule="ISO 3166 alpha-2"),
    "channel": Column("How the customer came", rule=_CHANNELS),
    "language": Column("The language that counts: stated, or else detected", rule="ISO 639-1"),
    "customer_id": Column("The customer, opaque; null where none was given"),
    "source_uri": Column("The landing object that it was read from"),
    "source_line": Column("Its line in that object", rule="from 1"),
    "content_hash": Column("Of the contract's fields: equal where nothing that counts differs", rule="SHA-256"),
}
_MADE_BY = {
    "model_id": Column("The model that answered"),
    "prompt_version": Column("Fingerprint of what the model was told, and of the corrections of its scores"),
}

RAW = {
    **_LANDED,
    "occurred_at": Column("When it happened", unit="UTC", rule="on the day of its folder"),
    "language_stated": Column("Whether the document stated its language"),
    "language_detected": Column("The language of the customer's own words, among those of the country"),
    "status": Column("By which door it goes on", rule="accepted, rejected or duplicate"),
    "reason": Column("Why it was rejected at landing", rule=_REASONS),
    "detail": Column("What exactly was wrong, without a value of the document"),
    "source_etag": Column("Of the object when it was read"),
    "landed_at": Column("When this content was first seen in the partition", unit="UTC, by S3's clock"),
    "listed_at": Column("When the run listed the folder", unit="UTC, by S3's clock"),
    "payload": Column("The document as it landed: a customer's words"),
    "document_id": Column("The id that the document itself states"),
    "document_reason": Column("Why the document is rejected by itself; null for a valid one", rule=_REASONS),
    "document_detail": Column("What exactly was wrong with the document alone"),
    "words_hash": Column("Of what was said and by whom, of a valid document", rule="SHA-256"),
    "reader": Column("The version of what made the row"),
}

_FROM_DOCUMENT = ("raw_interactions.payload", "raw_interactions.language")
EXTRACTIONS = {
    "interaction_id": Column(_ID.meaning, rule=_ID.rule, sources=("raw_interactions.interaction_id",)),
    **{
        name: Column(
            f"{_ANSWER_MEANINGS[name]}, as the model said", "", _spell_column_rule(_PROPERTIES[name]), _FROM_DOCUMENT
        )
        for name in ANSWER_FIELDS
    },
    "status": Column("Whether an answer kept the rules", rule="answered or failed"),
    "request_hash": Column("Of the request: the key of its answer in the ledger", rule="SHA-256"),
    **_MADE_BY,
    "input_tokens": Column("Prompt tokens that were neither read from the cache nor written to it", unit="tokens"),
    "cache_read_tokens": Column("Prompt tokens read from the model's cache", unit="tokens"),
    "cache_write_tokens": Column("Prompt tokens written to the model's cache", unit="tokens"),
    "output_tokens": Column("Tokens of the answers", unit="tokens"),
    "cost_usd": Column("All that was ever paid for this request, on one of its rows", unit="US dollars, list price"),
    "latency_ms": Column("From the request to its answer", unit="milliseconds"),
    "attempts": Column("Calls that it took; 0 where another row has the bill"),
    "error": Column("Why there is no answer", rule=_REASONS),
    "error_detail": Column("What exactly was wrong"),
    "answer": Column("The answer as the model gave it: a customer's matter"),
    "truncated": Column("Whether the model saw only the beginning of the text"),
    "suspected_injection": Column("Whether the text seems to give the model orders"),
    "reused": Column("Whether the run that wrote this row paid nothing for it"),
    "content_hash": Column(_LANDED["content_hash"].meaning, rule="SHA-256", sources=("raw_interactions.content_hash",)),
}

VALIDATED = {
    "interaction_id": Column(_ID.meaning, rule="a UUID, unique", sources=("raw_interactions.interaction_id",)),
    **{
        name: Column(_ANSWER_MEANINGS[name], "", _spell_column_rule(_PROPERTIES[name]), (f"llm_extractions.{name}",))
        for name in ANSWER_FIELDS
    },
    "event_time": Column("When it happened", unit="UTC", sources=("raw_interactions.occurred_at",)),
    **{
        name: Column(_LANDED[name].meaning, "", _LANDED[name].rule, (f"raw_interactions.{name}",))
        for name in ("customer_id", "country", "language", "channel", "content_hash")
    },
    **{name: Column(_MADE_BY[name].meaning, sources=(f"llm_extractions.{name}",)) for name in _MADE_BY},
    **{
        name: Column(EXTRACTIONS[name].meaning, sources=(f"llm_extractions.{name}",))
        for name in ("truncated", "suspected_injection")
    },
}

REJECTED = {
    **{
        name: Column(_LANDED[name].meaning, "", _LANDED[name].rule, (f"raw_interactions.{name}",))
        for name in ("interaction_id", "source_uri", "source_line")
    },
    "stage": Column("Where it was stopped", rule=_STAGES),
    "reason": Column("Why", "", _REASONS, ("raw_interactions.reason", "llm_extractions.error")),
    "detail": Column("What exactly was wrong", sources=("raw_interactions.detail", "llm_extractions.error_detail")),
    "redrivable": Column("Whether asking the model again can help"),
    "payload": Column("The document as it landed: a customer's words", sources=("raw_interactions.payload",)),
    "rejected_at": Column("When", unit="UTC"),
}

MANIFEST = {
    "interaction_id": Column("The record's id in the feature group", sources=("validated_features.interaction_id",)),
    "event_time": Column("The latest that this partition gave it", sources=("validated_features.event_time",)),
    "content_hash": Column("Of the record as it was written; empty while it is changed"),
    "document_hash": Column("The document that it was made of", sources=("validated_features.content_hash",)),
    **{name: Column(_MADE_BY[name].meaning, sources=(f"validated_features.{name}",)) for name in _MADE_BY},
    "written_at": Column("When the publication that wrote it began", unit="UTC, by S3's clock"),
    "group": Column("The feature group: ARN and creation time"),
    "source_uri": Column("The landing object that its document was read from"),
    "record": Column(
        "The record itself, as JSON; null while it is withdrawn",
        sources=tuple(f"validated_features.{name}" for name in FEATURE_COLUMNS),
    ),
}

CUSTOMER_MANIFEST = {
    **{name: MANIFEST[name] for name in ("content_hash", "written_at", "group")},
    "customer_id": Column("The record's id in the second feature group", sources=("feature_store.record",)),
    "event_time": Column("When the record was published, which is later than all that it was counted from"),
    "leaving": Column("Why it is being withdrawn; null while it is served", rule="erased, expired, withdrawn or begun"),
}

RECONCILIATION = {
    "partition": Column("Country and day"),
    "state": Column("How far its numbers can be judged", rule="settled, changing, running, unknown or past"),
    "landed": Column("Documents in the landing folder, counted from S3"),
    "validated": Column("Rows of validated_features"),
    "rejected": Column("Rows of rejected_records"),
    "duplicates": Column("Exact duplicates"),
    "missing": Column("Documents that left by no door; below zero, by two", rule="0"),
    "outdated": Column("Validated rows of a text that their document no longer has", rule="0"),
    "unread_objects": Column("Objects that have been there for long and that no run has seen", rule="0"),
    "superseded_elsewhere": Column("Validated, though a later document of another partition has the id", rule="0"),
    "oldest_count": Column("When the oldest count that `landed` is made of was made", unit="UTC"),
    "kept": Column("Records that are served though their newest extraction failed"),
    "served": Column("Records that the manifest says are served"),
    "unpublished": Column("Validated rows that were never written to the group in use", rule="0"),
    "unwithdrawn": Column("Records that should have left the group", rule="0"),
    "asked_online": Column("Records looked up in the online store, a sample"),
    "missing_online": Column("Of these, records that are not there", rule="0"),
    "error": Column("Why it could not be counted: a code of AWS, or the class of an error"),
}

MISFILED = {
    "folder": Column("Where the objects lie, shortened"),
    "reason": Column("Why no run reads them"),
    "objects": Column("How many", rule="0"),
    "bytes": Column("How large together", unit="bytes"),
    "oldest": Column("When the first of them came", unit="UTC"),
    "newest": Column("When the last of them came", unit="UTC"),
}

OPEN_REJECTS = {
    "country": Column("The country"),
    "stage": Column("Where they were stopped", rule=_STAGES),
    "reason": Column("Why", rule=_REASONS),
    "redrivable": Column("Whether asking the model again can help"),
    "documents": Column("How many"),
    "oldest": Column("The first day that has one"),
    "newest": Column("The last day that has one"),
}

DRIFT = {
    "feature": Column("The feature, or a part of the mix"),
    "change": Column("What moved, in words"),
    "verdict": Column("Whether it is another week", rule="drifted, steady or too few"),
    "distance": Column("How the effect is measured", rule="Kolmogorov or total variation"),
    "effect": Column("How far the week is from the eight before", rule="from 0 to 1"),
    "effect_same_mix": Column("What is left of it at the same mix of language and channel", rule="from 0 to 1"),
    "statistic": Column("The effect over the typical distance of rearranged weeks"),
    "p_value": Column("Adjusted by Holm over all features", rule="from 0 to 1"),
    "week_rows": Column("Interactions of the week"),
    "baseline_rows": Column("Interactions of the weeks before"),
}

QUALITY = {
    "country": Column("The country, or all"),
    "language": Column("The language, or all"),
    "field": Column("The answer's field"),
    "measure": Column("What is measured: accuracy, macro_f1, spearman, ..."),
    "value": Column("The measure"),
    "low": Column("Lower end of its 95 % interval; null where there is none"),
    "high": Column("Upper end of its 95 % interval; null where there is none"),
    "items": Column("Golden items that it is of"),
    **_MADE_BY,
}

RESISTANCE = {
    "kind": Column("The kind of attack"),
    "language": Column("The language it is written in"),
    "cases": Column("Hostile texts of the suite"),
    "structural": Column("Those that broke out of the envelope or passed the summary gate: a defect, each"),
    "suspected": Column("Those that suspected_injection marks"),
    "answered": Column("Those that the model in use was asked and answered"),
    "obeyed": Column("Answers that give the attacker what he asked for"),
}

HUMAN_QUALITY = {
    **{name: QUALITY[name] for name in ("country", "language", "field")},
    "measure": Column("What is measured: accuracy, macro_f1, spearman, mean_error, cannot_tell, alpha, ..."),
    **{name: QUALITY[name] for name in ("value", "low", "high")},
    "items": Column("Labels that it is of; of an alpha, texts that were labelled more than once"),
    "effective": Column("How many labels of equal weight would tell as much"),
    "model_id": Column("The model that answered; null for an alpha, which is of people alone"),
    "prompt_version": Column("The prompt that it was told; null for an alpha"),
}

COUNTRY_REPORT = {
    "country": Column("The country"),
    "month": Column("The month's first day"),
    "language": Column("The language, or all"),
    **_MADE_BY,
    "parts": Column("How many models and prompts answered in the month; more than one are not the same figure"),
    "interactions": Column("Interactions of this month, language, model and prompt"),
    "labels": Column("Of these, labelled by people and drawn at random"),
    "field": Column("The answer's field"),
    "value": Column("The value whose share it is; null for the mean of a score"),
    "naive": Column("The figure as answered", rule="from 0 to 1"),
    "corrected": Column("The figure corrected by labels; null without labels", rule="from 0 to 1"),
    "low": Column("Lower end of the 95 % interval of the corrected figure"),
    "high": Column("Upper end of the 95 % interval of the corrected figure"),
    "state": Column("Whether there were labels enough to correct it by"),
}

TABLES: Mapping[str, Mapping[str, Column]] = {
    "raw_interactions": RAW,
    "llm_extractions": EXTRACTIONS,
    "validated_features": VALIDATED,
    "rejected_records": REJECTED,
    "feature_store": MANIFEST,
    "customer_features": CUSTOMER_MANIFEST,
    "reconciliation": RECONCILIATION,
    "misfiled_objects": MISFILED,
    "open_rejects": OPEN_REJECTS,
    "feature_drift": DRIFT,
    "extraction_quality": QUALITY,
    "human_quality": HUMAN_QUALITY,
    "country_report": COUNTRY_REPORT,
    "attack_resistance": RESISTANCE,
}
