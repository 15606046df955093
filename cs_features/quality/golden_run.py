"""The golden corpus, or other labelled interactions, through the engine and the ledger.

Shared by `make evaluate`, the asset `extraction_quality` and `make calibrate`: an unchanged prompt costs
nothing the second time. What the answers are worth is `evaluation.py`'s.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from cs_features.errors import RequestRefused, Unavailable
from cs_features.extraction.engine import Outcome
from cs_features.extraction.prompting import ConverseRequest, build_converse_request, request_hash
from cs_features.extraction.prompts import Prompts
from cs_features.extraction.session import Session, extract_needed_answers
from cs_features.languages import UNDETERMINED
from cs_features.quality.evaluation import build_answers_frame
from cs_features.quality.golden import GoldenItem
from cs_features.schemas import Interaction, Reason
from cs_features.services import DataBucket, Model
from cs_features.validation.calibration import correct_country_scores

# What the model did say, and wrongly. Every other failure is no answer: it says nothing of the model's quality.
WRONG_ANSWERS = frozenset({Reason.INVALID_ANSWER, Reason.ANSWER_CUT_OFF})
# Asked again each time, because what was no answer then may be one now.
NO_ANSWERS = frozenset(reason for reason in Reason if reason.stage == "extraction") - WRONG_ANSWERS
MAX_UNANSWERED_SHARE = 0.10

Progress = Callable[[Session, int], None]


@dataclass(frozen=True)
class Asked:
    """Answers by name, None for one that keeps no rule; names without any answer are `unanswered` and not here.

    `calls` and `cost_usd` (US dollars) are what this run asked and paid.
    """

    answers: dict[str, dict[str, Any] | None]
    unanswered: dict[str, Reason]
    calls: int
    cost_usd: float


@dataclass(frozen=True)
class Answers:
    """A row an item with an answer, as `build_answers_frame` makes it; `unanswered` items, calls and US dollars."""

    frame: pl.DataFrame
    unanswered: int
    calls: int
    cost_usd: float


def ask_golden_items(
    items: list[GoldenItem], model: Model, data: DataBucket, progress: Progress, *, as_said: bool = False
) -> Answers:
    """Bring every golden item to an answer; `progress` is told the session and how many requests there are.

    The scores are those that count, corrected as the country's file says; `as_said`: as the model said them.

    Raises:
        PromptError: an item's country has no usable file.
        RequestRefused: too few items have an answer; says why.
        Unavailable: the service failed some calls for good.
        RunStopper: with every answer so far in the ledger.
    """
    prompts = model.prompts()
    asked = ask_labelled_items({item.id: item.as_interaction() for item in items}, model, data, "golden", progress)
    examples = frozenset(example.answer["summary"] for example in prompts.list_examples())
    answered = [item for item in items if item.id in asked.answers]
    frame = build_answers_frame(answered, asked.answers, examples)
    if not as_said:
        frame = _correct_golden_scores(frame, prompts, model.model_id)
    return Answers(frame, len(asked.unanswered), asked.calls, asked.cost_usd)


def _correct_golden_scores(frame: pl.DataFrame, prompts: Prompts, model_id: str) -> pl.DataFrame:
    parts = frame.partition_by("country", as_dict=True)
    corrected_parts = [
        correct_country_scores(part, prompts.countries[str(country)].calibration.get(model_id))
        for (country,), part in parts.items()
    ]
    return pl.concat([frame.clear(), *corrected_parts])


def ask_labelled_items(
    interactions: Mapping[str, Interaction], model: Model, data: DataBucket, corpus: str, progress: Progress
) -> Asked:
    """Bring interactions, each under a name, to their answers; `corpus` names the folder in the ledger.

    Raises: as `ask_golden_items` does.
    """
    prompts, capabilities = model.prompts(), model.capabilities()
    requests: dict[str, ConverseRequest] = {}
    keys: dict[str, str] = {}
    for name, interaction in interactions.items():
        language = interaction.language or UNDETERMINED
        request, _ = build_converse_request(prompts, capabilities, interaction, language, model.masking.without_start())
        keys[name] = request_hash(request)
        requests[keys[name]] = request
    folder = f"{corpus}/{model.model_id}"
    with data.ledger(folder) as ledger:
        session = extract_needed_answers(
            requests,
            ledger,
            model.extractor(prompts, data, folder),
            model.max_concurrency,
            lambda session: progress(session, len(requests)),
            redrive=NO_ANSWERS,
        )
        ledger.compact_ledger_objects()
    outcomes = {name: session.outcomes[key] for name, key in keys.items()}
    unanswered = find_unanswered_items(outcomes)
    _require_golden_answers(unanswered, len(outcomes))
    answers = {name: outcome.answer for name, outcome in outcomes.items() if name not in unanswered}
    return Asked(answers, unanswered, len(session.asked), session.cost_usd)


def find_unanswered_items(outcomes: Mapping[str, Outcome]) -> dict[str, Reason]:
    """Names without an answer, right or wrong, and why."""
    return {
        name: outcome.error
        for name, outcome in outcomes.items()
        if outcome.error and outcome.error not in WRONG_ANSWERS
    }


def _require_golden_answers(unanswered: Mapping[str, Reason], asked: int) -> None:
    """An outage or an account that may not use the model would be measured as bad quality."""
    counts = Counter(unanswered.values())
    if down := counts[Reason.SERVICE_FAILED]:
        raise Unavailable(f"Bedrock failed {down} of {asked} calls for good. The answers are kept; ask again")
    if len(unanswered) > MAX_UNANSWERED_SHARE * asked:
        reasons = ", ".join(f"{reason.value} {count} ({reason.meaning})" for reason, count in counts.most_common())
        raise RequestRefused(
            f"{len(unanswered)} of {asked} labelled items have no answer: {reasons}. Nothing was measured. The answers "
            "are kept, and the others are asked again next time: mend the account or the prompt first"
        )
