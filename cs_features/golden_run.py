"""The golden corpus, or any labelled interactions, through the engine and the ledger.

Shared by `make evaluate`, the asset `extraction_quality` and `make calibrate`: an unchanged prompt costs
nothing the second time. What the answers are worth is `evaluation.py`'s.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import polars as pl

from cs_features.aws import explained
from cs_features.evaluation import answers_frame
from cs_features.extraction.ledger import Ledger
from cs_features.extraction.prompting import ConverseRequest, build_request, request_hash
from cs_features.extraction.session import Session, extract
from cs_features.golden import GoldenItem
from cs_features.resources import Model
from cs_features.storage import DataBucket, s3_client


@dataclass(frozen=True)
class Answers:
    """A row an item, as `answers_frame` makes it; and what this run asked and paid (US dollars) for it."""

    frame: pl.DataFrame
    calls: int
    cost_usd: float


def answers_of(
    items: list[GoldenItem], model: Model, data: DataBucket, progress: Callable[[Session, int], None]
) -> Answers:
    """Bring every item to an answer; `progress` is told the session and how many distinct requests there are.

    Raises:
        RunStopper: with every answer so far in the ledger.
    """
    prompts, capabilities = model.prompts(), model.capabilities()
    requests: dict[str, ConverseRequest] = {}
    keys = {}
    for item in items:
        request, _ = build_request(prompts, capabilities, item.interaction(), item.language)
        keys[item.id] = request_hash(request)
        requests[keys[item.id]] = request
    folder = f"golden/{model.model_id}"
    with explained("Ledger", "CS_FEATURES_DATA_BUCKET"), Ledger(s3_client(data.s3), data.name, folder) as ledger:
        session = extract(
            requests,
            ledger,
            model.extractor(prompts),
            model.max_concurrency,
            lambda session: progress(session, len(requests)),
        )
        ledger.compact()
    found: dict[str, dict[str, Any] | None] = {item: session.outcomes[key].answer for item, key in keys.items()}
    examples = frozenset(example.answer["summary"] for example in prompts.every_example())
    return Answers(answers_frame(items, found, examples), len(session.asked), session.cost_usd)
