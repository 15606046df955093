"""The client side that scenarios share: synthetic interactions, and the product's own extraction of them.

Everything goes through the product's wiring (`build_services_from`), as an asset would, without Dagster around it.
"""

import json
import random
import time
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

from cs_features.environments import settings
from cs_features.extraction.engine import Extractor
from cs_features.extraction.prompting import ConverseRequest, build_converse_request, request_hash
from cs_features.extraction.prompts import Prompts
from cs_features.extraction.session import Session, extract_needed_answers
from cs_features.extraction.table import Needed
from cs_features.hashing import content_hash
from cs_features.partitions import Partition
from cs_features.schemas import Interaction
from cs_features.services import DataBucket, Model, build_services_from

DAY = date(2026, 3, 4)
POISON = "poison-7c1e"  # `Script.poison`: an interaction that says it is refused for ever

_SENTENCES = (
    "My parcel should have been here on Monday and nobody can tell me where it is.",
    "The invoice shows an amount that I did not agree to.",
    "Thanks, that was quick, it works again.",
    "I have called three times already and was cut off each time.",
    "Could you change the delivery address before it is sent?",
    "The app asks me to log in again whenever I open it.",
    "I would like to return the shoes, they are too small.",
    "How long is the guarantee on this washing machine?",
)


def make_document(number: int, country: str, *, poisoned: bool = False) -> dict[str, Any]:
    """A short synthetic chat, the same for the same number, unlike that of any other."""
    rng = random.Random(f"{country}/{number}")
    lines = rng.sample(_SENTENCES, 3)
    return {
        "interaction_id": str(uuid.uuid5(uuid.NAMESPACE_OID, f"{country}/{number}")),
        "occurred_at": f"{DAY.isoformat()}T{rng.randrange(24):02}:{rng.randrange(60):02}:00Z",
        "country": country,
        "channel": "chat",
        "language": "en",
        "customer_id": f"c-{rng.randrange(10_000):05}",
        "turns": [
            {"speaker": "customer", "text": f"{lines[0]} It is about case {number}. {POISON if poisoned else ''}"},
            {"speaker": "agent", "text": "I am sorry to hear that. Let me see what I can do for you."},
            {"speaker": "customer", "text": f"{lines[1]} {lines[2]}"},
        ],
    }


@dataclass(frozen=True)
class Work:
    """What a partition needs, and the product's parts to get it with."""

    partition: Partition
    model: Model
    data: DataBucket
    prompts: Prompts
    needed: list[Needed]
    requests: Mapping[str, ConverseRequest]

    def extractor(self) -> Extractor:
        return self.model.extractor(self.prompts, self.data, self.partition.folder)


def work_on(country: str, documents: Iterable[Mapping[str, Any]], day: date = DAY) -> Work:
    """`table.plan` without its frame: polars starts threads, and a process that is to fork may have none."""
    services = build_services_from(settings())
    model = services.model
    prompts = model.prompts()
    needed, requests = [], {}
    for each in documents:
        interaction = Interaction.model_validate_json(json.dumps(each))
        request, truncated = build_converse_request(
            prompts, model.capabilities(), interaction, interaction.language or "en"
        )
        key = request_hash(request)
        requests[key] = request
        needed.append(Needed(str(interaction.interaction_id), key, truncated, content_hash(each)))
    return Work(Partition(country, day), model, services.data, prompts, needed, requests)


@dataclass
class FirstAsked:
    """When each request was asked for the first time."""

    moments: dict[int, float] = field(default_factory=dict)

    def note_request(self, request: ConverseRequest) -> None:
        self.moments.setdefault(id(request), time.monotonic())

    def watch_calls(self, extractor: Extractor) -> Extractor:
        def call_and_note(request: ConverseRequest) -> Any:
            self.note_request(request)
            return extractor.call(request)

        return replace(extractor, call=call_and_note)


def run_extraction(work: Work, extractor: Extractor) -> Session:
    """What `llm_extractions` does between its plan and its table."""
    with work.data.ledger(work.partition.folder) as ledger:
        session = extract_needed_answers(work.requests, ledger, extractor, work.model.max_concurrency, lambda _: None)
        ledger.compact_ledger_objects()
    return session
