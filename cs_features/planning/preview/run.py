"""The calls of a preview, and what follows from them; shared by the command and the job.

Answers go into the ledger of each interaction's own partition, so neither a repeated preview nor a later rerun
with that prompt pays for them again.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from cs_features.errors import RunStopper
from cs_features.extraction.engine import Extractor, Outcome
from cs_features.extraction.fan_out import fan_out
from cs_features.extraction.ledger import Ledger
from cs_features.extraction.prompting import ConverseRequest
from cs_features.extraction.prompts import Prompts
from cs_features.extraction.session import Session
from cs_features.extraction.table import EXTRACTIONS_SCHEMA
from cs_features.planning.preview.changes import (
    ALL,
    CANDIDATE,
    STRATUM,
    count_change_directions,
    count_population_strata,
    estimate_value_changes,
    flag_field_changes,
)
from cs_features.planning.preview.plan import (
    Outcomes,
    Prepared,
    Requests,
    Scope,
    add_candidate_requests,
    draw_stratified_sample,
    prepare_preview_plan,
    price_of_rerun,
    price_of_sample,
    select_country_rows,
)
from cs_features.schemas import ANSWER_FIELDS, Reason
from cs_features.services import DataBucket, Model
from cs_features.validation.calibration import correct_country_scores

NOISE_PART = 4  # one in so many of the sample
ENOUGH = 50  # a smaller sample is too small: intervals of +-13 points and more

Say = Callable[[str], None]  # a sentence for the user
Progress = Callable[[int, int], None]  # calls done, of how many


@dataclass(frozen=True)
class Preview:
    """What the sample says.

    `changes` and `noise` are of `changes.estimates`, `directions` of `changes.directions`. `price` is what a full
    rerun costs beyond the ledgers, the sum of `quote.build_quote_frame`; `calls` and `cost_usd` are what this preview
    itself has paid, `share_of_rerun` the part of it that went to the candidate, of a rerun without any preview.
    """

    changes: pl.DataFrame
    directions: pl.DataFrame
    noise: pl.DataFrame | None
    price: dict[str, Any]
    calls: int
    cost_usd: float
    share_of_rerun: float


def preview_candidate_prompts(
    candidate: Path,
    model: Model,
    data: DataBucket,
    scope: Scope,
    *,
    dry_run: bool,
    noise: bool,
    say: Say,
    progress: Progress = lambda done, total: None,
) -> Preview | None:
    """Ask the sample and conclude; None when nothing was asked: a dry run, or a candidate that changes nothing.

    Raises:
        RunStopper: the budget is spent or Bedrock is down, with every answer so far in the ledgers.
        PromptError, RequestError, AwsRefusal: as `prepare`.
    """
    prepared = prepare_preview_plan(candidate, model, data, scope)
    if prepared.same:
        say(f"{', '.join(prepared.same)}: the prompt is the same, so nothing changes: 0 calls, $0.")
    if not prepared.partitions:
        return None
    for line in _describe_preview_plan(prepared):
        say(line)
    if dry_run:
        price = _format_price(price_of_rerun(prepared, data, prepared.known))
        say(f"A full rerun needs {price}. Dry run: nothing was asked.")
        return None
    extractor = prepared.model.extractor(prepared.candidate, data, "preview")
    try:
        session = ask_sample_requests(prepared, data, extractor, progress)
        found = _conclude_preview(prepared, session, price_of_rerun(prepared, data, session.outcomes))
        for line in _describe_preview_result(prepared, session, found, noise):
            say(line)
        if not noise:
            return found
        again = ask_again(prepared, extractor)
    finally:
        extractor.budget.save_spending()
    say(f"Asking again with the prompt in use cost ${extractor.budget.spent_usd - session.cost_usd:.4f}.")
    return replace(found, noise=again)


def _describe_preview_plan(prepared: Prepared) -> Iterator[str]:
    population, sample = prepared.population, prepared.sample
    yield (
        f"Sample: {sample.height:,} of {population.height:,} interactions in "
        f"{count_population_strata(population).height} strata (country x language). It needs "
        f"{_format_price(price_of_sample(prepared))}."
    )
    if sample.height < min(ENOUGH, population.height):
        yield f"So few tell little: ask for a sample of {min(ENOUGH, population.height)} or more."
    if others := population.height - prepared.by_prompt_in_use(population).height:
        yield f"{others:,} have features of an older prompt or another model; what that changes is counted too."


def _describe_preview_result(prepared: Prepared, session: Session, found: Preview, noise: bool) -> Iterator[str]:
    yield (
        f"A full rerun needs {_format_price(found.price)}. This preview made {found.calls:,} calls for "
        f"${found.cost_usd:.4f}, {100 * found.share_of_rerun:.1f} % of the rerun, "
        "which will not pay for them again."
    )
    down = sum(outcome.error is Reason.SERVICE_FAILED for outcome in session.outcomes.values())
    if down:
        yield f"Bedrock failed {down} calls for good; they are left out and will be asked again."
    if prepared.model.capabilities().temperature is None and not noise:
        yield (
            f"{prepared.model.model_id} takes no temperature: asked twice, it changes some answers under the same "
            "prompt. Preview with noise to see how many."
        )


def _format_price(price: Mapping[str, Any]) -> str:
    guessed = "" if price["learned_from_calls"] or not price["calls"] else "about "
    return (
        f"{price['calls']:,} calls that the ledger cannot save: {guessed}${price['cost_usd']:.4f}, "
        f"{price['minutes']:.1f} minutes"
    )


# --- the calls --------------------------------------------------------------------------------


def ask_sample_requests(prepared: Prepared, data: DataBucket, extractor: Extractor, progress: Progress) -> Session:
    """Bring every request of the sample to an outcome, and keep it in the ledgers.

    Raises:
        RunStopper: with every outcome so far in the ledgers.
    """
    session = Session(dict(prepared.known))
    total = len({key for requests in prepared.requests.values() for key in requests})
    for country in prepared.countries:
        # All of a country's days at once: one call warms its prompt, and then there is enough to fan out.
        with ExitStack() as opened:
            homes: dict[str, list[Ledger]] = {}
            for partition, requests in prepared.requests.items():
                missing = requests.keys() - session.outcomes.keys()
                if partition.country == country and missing:
                    ledger = opened.enter_context(
                        data.ledger(partition.folder, prepared.list_request_owners(partition))
                    )
                    for key in missing:
                        homes.setdefault(key, []).append(ledger)
            todo = {
                key: request for key, request in select_country_rows(prepared.requests, country).items() if key in homes
            }
            for outcome in ask_planned_requests(todo, homes, extractor, session.asked, prepared.model.max_concurrency):
                session.outcomes[outcome.request_hash] = outcome
                progress(len(session.outcomes), total)
    return session


def ask_planned_requests(
    requests: Requests,
    homes: Mapping[str, list[Ledger]],
    extractor: Extractor,
    asked: dict[str, Outcome],
    concurrency: int,
) -> Iterator[Outcome]:
    """Outcomes as they come, each recorded in every partition that has the text; `asked` learns what was paid."""

    def ask_request(key: str, request: ConverseRequest) -> Outcome:
        for ledger in homes[key]:
            if key in ledger.known:  # paid since it was read, or by a preview that was killed
                return ledger.known[key]
        # One partition carries the bill: the sums of all partitions are what was paid.
        first, *others = homes[key]
        receipts = first.give_shipping_receipts(key)
        try:
            outcome = extractor.ask(key, request, receipts)
        except RunStopper as stopper:
            if stopper.paid is not None:
                first.record_call_outcome(stopper.paid)
            raise
        if outcome.attempts > len(receipts.earlier):
            asked[key] = outcome
        total = first.record_call_outcome(outcome)
        for ledger in others:
            ledger.record_call_outcome(outcome.without_bill())
        return total

    return fan_out(requests.items(), ask_request, concurrency)


def ask_again(prepared: Prepared, extractor: Extractor) -> pl.DataFrame | None:
    """What changes without any change: part of the sample, asked with the prompt in use and past the ledger.

    None when that prompt has answered nothing of the sample. Paid anew each time.
    """
    answered = prepared.by_prompt_in_use(prepared.sample).drop("request_hash")
    if answered.is_empty():
        return None
    prompts, model = prepared.in_use, prepared.model
    part, requests = add_candidate_requests(
        draw_stratified_sample(answered, -(-answered.height // NOISE_PART)), prepared.raw, prompts, model
    )
    extractor = replace(extractor, answer_model=prompts.answer_model)
    outcomes = {
        outcome.request_hash: outcome
        for country in prepared.countries
        for outcome in fan_out(select_country_rows(requests, country).items(), extractor.ask, model.max_concurrency)
    }
    pairs = pair_sample_answers(part, outcomes, prompts, prompts, model.model_id)
    found = estimate_value_changes(
        count_population_strata(prepared.by_prompt_in_use(prepared.population)), flag_field_changes(pairs)
    )
    return found.filter(pl.col("country") == ALL)


# --- what follows -----------------------------------------------------------------------------


def _conclude_preview(prepared: Prepared, session: Session, price: dict[str, Any]) -> Preview:
    pairs = pair_sample_answers(
        prepared.sample, session.outcomes, prepared.in_use, prepared.candidate, prepared.model.model_id
    )
    sizes = count_population_strata(prepared.population)
    rerun = price["cost_usd"] + sum(outcome.cost_usd for outcome in session.outcomes.values())
    return Preview(
        changes=estimate_value_changes(sizes, flag_field_changes(pairs)),
        directions=count_change_directions(sizes, pairs),
        noise=None,
        price=price,
        calls=session.calls,
        cost_usd=session.cost_usd,
        share_of_rerun=session.cost_usd / rerun if rerun else 0.0,
    )


def pair_sample_answers(
    sample: pl.DataFrame, outcomes: Outcomes, before: Prompts, after: Prompts, model_id: str
) -> pl.DataFrame:
    """The features in use beside those that the outcomes make, scores corrected as each country's files say.

    Without the interactions that the service failed to answer: that is not the prompt's doing.
    """
    answers = pl.DataFrame(
        [
            {"request_hash": key, **(outcome.answer or dict.fromkeys(ANSWER_FIELDS))}
            for key, outcome in outcomes.items()
            if outcome.error is not Reason.SERVICE_FAILED
        ],
        schema={name: EXTRACTIONS_SCHEMA[name] for name in ("request_hash", *ANSWER_FIELDS)},
    )
    both = [sample.join(answers, on="request_hash", suffix=CANDIDATE).clear()]
    for (country,), rows in sample.partition_by("country", as_dict=True).items():
        was, becomes = (prompts.countries[country].calibration.get(model_id) for prompts in (before, after))
        both.append(
            correct_country_scores(rows, was).join(
                correct_country_scores(answers, becomes), on="request_hash", suffix=CANDIDATE
            )
        )
    return pl.concat(both).select(*STRATUM, *ANSWER_FIELDS, *(name + CANDIDATE for name in ANSWER_FIELDS))
