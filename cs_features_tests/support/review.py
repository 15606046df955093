"""A month of interactions in memory, as the review draws from it, and a colleague who fills in a sheet."""

import io
import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta, timezone
from random import Random
from typing import Any

import openpyxl
import polars as pl

from cs_features.environments import Settings
from cs_features.extraction.table import EXTRACTIONS_SCHEMA
from cs_features.landing.documents import RAW_SCHEMA
from cs_features.partitions import Partition
from cs_features.review.drawing import DrawnSheet
from cs_features.review.frame import FRAME_SCHEMA
from cs_features.s3 import Bucket
from cs_features.services import Model, build_services_from
from cs_features.storage import Tables
from cs_features_tests.support.memory_s3 import MemoryS3

FIRST = date(2026, 11, 1)
NOW = datetime(2026, 11, 27, 9, tzinfo=timezone.utc)
SENTIMENTS, TOPICS = ("negative", "neutral", "positive"), ("billing_payment", "delivery_fulfilment", "other")
INTENTS, STATUSES = ("complain", "ask_information", "praise"), ("resolved", "pending", "escalated")

WriteText = Callable[[int], str]


def make_tables() -> Tables:
    return Tables(Bucket(MemoryS3(), "cs-data", "CS_FEATURES_DATA_BUCKET"))


def make_model() -> Model:
    return build_services_from(Settings()).model


def say_plainly(number: int) -> str:
    return f"Mijn pakket {number} is nog niet aangekomen, waar blijft het?"


def fill_month(
    tables: Tables,
    *,
    rows: int = 120,
    country: str = "NL",
    text: WriteText = say_plainly,
    versions: Sequence[str] = ("v1",),
    languages: Sequence[str] = ("nl", "nl", "nl", "en"),
    days: int = 4,
) -> pl.DataFrame:
    """`rows` interactions on the first `days` of the month, the prompt's versions one after the other."""
    random, made = Random(7), []
    for number in range(rows):
        day = FIRST + timedelta(days=number * days // rows)
        made.append(_make_row(number, day, versions[number * len(versions) // rows], languages, random))
    frame = pl.DataFrame(made, schema={**FRAME_SCHEMA, "number": pl.Int64()})
    for (day,), part in frame.partition_by("date", as_dict=True).items():
        partition = Partition(country, day)
        tables.write("validated_features", partition, part.drop("date", "number"))
        tables.write("raw_interactions", partition, _make_raw(part, country, text))
        said = part.select("interaction_id", "urgency_score", "csat_indicator", prompt_version=pl.lit("asked"))
        tables.write(
            "llm_extractions", partition, pl.concat([EXTRACTIONS_SCHEMA.to_frame(), said], how="diagonal_relaxed")
        )
    return frame


def _make_row(number: int, day: date, version: str, languages: Sequence[str], random: Random) -> dict[str, Any]:
    return {
        "interaction_id": str(uuid.uuid5(uuid.NAMESPACE_OID, f"review {number}")),
        "date": day,
        "content_hash": f"hash-{number}",
        "language": languages[number % len(languages)],
        "event_time": datetime(day.year, day.month, day.day, 9, tzinfo=timezone.utc) + timedelta(minutes=number % 500),
        "model_id": "model",
        "prompt_version": version,
        "sentiment": random.choice(SENTIMENTS),
        "primary_topic": random.choice(TOPICS),
        "intent": random.choice(INTENTS),
        "resolution_status": random.choice(STATUSES),
        "urgency_score": random.randrange(11) / 10,
        "csat_indicator": random.randrange(11) / 10,
        "truncated": False,
        "suspected_injection": False,
        "number": number,
    }


def _make_raw(part: pl.DataFrame, country: str, text: WriteText) -> pl.DataFrame:
    made = []
    for row in part.iter_rows(named=True):
        payload = {
            "interaction_id": row["interaction_id"],
            "occurred_at": row["event_time"].isoformat(),
            "country": country,
            "channel": "chat",
            "text": text(row["number"]),
        }
        shared = {name: row[name] for name in ("interaction_id", "language", "content_hash")}
        made.append({**shared, "status": "accepted", "payload": json.dumps(payload)})
    return pl.concat([RAW_SCHEMA.to_frame(), pl.DataFrame(made)], how="diagonal_relaxed")


class Colleague:
    """Somebody with a spreadsheet program, who sees a sheet and fills it in."""

    def __init__(self, body: bytes) -> None:
        self.book = openpyxl.load_workbook(io.BytesIO(body))
        self.page = self.book.worksheets[1]

    @property
    def tokens(self) -> list[str]:
        return [str(cell.value) for cell in self.page["A"][1:]]

    def find_cell(self, token: str, column: str) -> Any:
        return self.page[f"{column}{self.tokens.index(token) + 2}"]

    def fill(self, answers: Mapping[str, Mapping[str, Any]]) -> None:
        """By token and column letter."""
        for token, cells in answers.items():
            for column, value in cells.items():
                self.find_cell(token, column).value = value

    def save(self) -> bytes:
        body = io.BytesIO()
        self.book.save(body)
        return body.getvalue()


def answer_truthfully(drawn: DrawnSheet) -> dict[str, dict[str, Any]]:
    """What a colleague says who agrees with every answer: glosses by token and column letter."""
    glosses = {name: {value: gloss for gloss, value in each.items()} for name, each in drawn.sheet.choices.items()}
    answers: dict[str, dict[str, Any]] = {}
    for row in drawn.drawn.iter_rows(named=True):
        said = {column: glosses[name][row[name]] for column, name in zip("CDEF", glosses, strict=True)}
        answers[row["token"]] = {**said, "G": row["urgency_score"], "H": row["csat_indicator"]}
    return answers
