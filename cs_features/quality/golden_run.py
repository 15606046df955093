"""The golden corpus, or other labelled interactions, through the engine and the ledger.

Shared by `make evaluate`, the asset `extraction_quality` and `make calibrate`: an unchanged prompt costs
nothing the second time. What the answers are worth is `evaluation.py`'s.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from cs_features.errors import PromptError, RunStopper
from cs_features.extraction.prompting import ConverseRequest, build_request, request_hash
from cs_features.extraction.session import Session, extract
from cs_features.languages import UNDETERMINED
from cs_features.quality.evaluation import answers_frame
from cs_features.quality.golden import GoldenItem
from cs_features.schemas import Interaction, Reason
from cs_features.services import DataBucket, Model
from cs_features.validation.calibration import corrected

Progress = Callable[[Session, int], None]


@dataclass(frozen=True)
class Asked:
    """Answers by name, None where there is none; and what this run asked and paid (US dollars) for them."""

    answers: dict[str, dict[str, Any] | None]
    calls: int
    cost_usd: float


@dataclass(frozen=True)
class Answers:
    """A row an item, as `answers_frame` makes it; and what this run asked and paid (US dollars) for it."""

    frame: pl.DataFrame
    calls: int
    cost_usd: float


def answers_of(
    items: list[GoldenItem], model: Model, data: DataBucket, progress: Progress, *, as_said: bool = False
) -> Answers:
    """Bring every golden item to an answer; `progress` is told the session and how many requests there are.

    The scores are those that count, corrected as the country's file says; `as_said`: as the model said them.

    Raises:
        RunStopper: with every answer so far in the ledger; also when the service failed some calls for good.
        PromptError: the prompts have no file for an item's country.
    """
    prompts = model.prompts()
    asked = ask({item.id: item.interaction() for item in items}, model, data, "golden", progress)
    examples = frozenset(example.answer["summary"] for example in prompts.every_example())
    frame = answers_frame(items, asked.answers, examples)
    if not as_said:
        parts = frame.partition_by("country", as_dict=True).items()
        frame = pl.concat(
            corrected(part, prompts.countries[str(country)].calibration.get(model.model_id))
            for (country,), part in parts
        )
    return Answers(frame, asked.calls, asked.cost_usd)


def ask(
    interactions: Mapping[str, Interaction], model: Model, data: DataBucket, corpus: str, progress: Progress
) -> Asked:
    """Bring interactions, each under a name, to their answers; `corpus` names the folder in the ledger.

    Raises: as `answers_of` does.
    """
    prompts, capabilities = model.prompts(), model.capabilities()
    if missing := sorted({each.country for each in interactions.values()} - prompts.countries.keys()):
        raise PromptError(f"{model.prompts_dir} has no countries/{missing[0]}.md, and there are items from there")
    requests: dict[str, ConverseRequest] = {}
    keys = {}
    for name, interaction in interactions.items():
        request, _ = build_request(prompts, capabilities, interaction, interaction.language or UNDETERMINED)
        keys[name] = request_hash(request)
        requests[keys[name]] = request
    folder = f"{corpus}/{model.model_id}"
    with data.ledger(folder) as ledger:
        session = extract(
            requests,
            ledger,
            model.extractor(prompts),
            model.max_concurrency,
            lambda session: progress(session, len(requests)),
        )
        ledger.compact()
    down = sum(outcome.error is Reason.SERVICE_FAILED for outcome in session.outcomes.values())
    if down:  # an outage would be measured as bad quality
        raise RunStopper(f"Bedrock failed {down} of {len(requests)} calls for good. The others are kept; ask again")
    answers = {name: session.outcomes[key].answer for name, key in keys.items()}
    return Asked(answers, len(session.asked), session.cost_usd)
