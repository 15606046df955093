"""One run over one set of requests: what the ledger has is taken from it, the rest is asked and kept.

Everything that asks the model and keeps its answers goes through here: the partition's run, a redrive, an evaluation.
"""

import itertools
import logging
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from pydantic import ValidationError

from cs_features.errors import Outage, RunStopper
from cs_features.extraction.brakes import YieldBrake
from cs_features.extraction.engine import Extractor, Outcome
from cs_features.extraction.fan_out import fan_out
from cs_features.extraction.ledger import Ledger
from cs_features.extraction.pricing import TokenUsage
from cs_features.extraction.prompting import ConverseRequest
from cs_features.schemas import Extraction, Reason

logger = logging.getLogger(__name__)

# A run in which so many calls fail for the service's reasons is a failed run, not a table of rejects.
MAX_SERVICE_FAILED_SHARE = 0.05
MIN_SERVICE_FAILED = 5


@dataclass
class Session:
    """Outcomes by request, each with all that was ever paid for it; and what this run has asked and paid itself."""

    outcomes: dict[str, Outcome] = field(default_factory=dict)
    asked: dict[str, Outcome] = field(default_factory=dict)

    @property
    def cost_usd(self) -> float:
        """What this run has paid."""
        # A copy, because `asked` grows in other threads.
        return sum((outcome.cost_usd for outcome in list(self.asked.values())), 0.0)

    @property
    def calls(self) -> int:
        """HTTP calls that this run has made."""
        return sum(outcome.attempts for outcome in list(self.asked.values()))

    @property
    def usage(self) -> TokenUsage:
        """Tokens that this run has paid."""
        return sum((outcome.usage for outcome in list(self.asked.values())), TokenUsage())

    @property
    def failed(self) -> int:
        return sum(not outcome.answered for outcome in self.outcomes.values())

    def check_model_service(self) -> None:
        """Raises Outage when the service, and not single interactions, has failed what this run asked."""
        down = sum(outcome.error is Reason.SERVICE_FAILED for outcome in self.asked.values())
        many = down >= MIN_SERVICE_FAILED and down > MAX_SERVICE_FAILED_SHARE * len(self.outcomes)
        if many or (down and down == len(self.asked)):
            raise Outage(
                f"Bedrock failed {down} of {len(self.asked)} calls for good. Every answer is kept; "
                "run the partition again for the rest"
            )


def extract_needed_answers(
    requests: Mapping[str, ConverseRequest],
    ledger: Ledger,
    extractor: Extractor,
    concurrency: int,
    progress: Callable[[Session], None],
    redrive: frozenset[Reason] = frozenset(),
) -> Session:
    """Bring every request to an outcome; `progress` is told after each call.

    Failures are outcomes too and are not asked again, unless their reason is in `redrive`. Replies that a killed run
    has paid for and not judged are judged first, and spare their calls.

    Raises:
        RunStopper: with every outcome so far in the ledger.
    """
    reuse = _Reuse(ledger, extractor.answer_model, redrive)
    found = {key: reuse.find_request_outcome(key) for key in requests}
    session = Session({key: outcome for key, outcome in found.items() if outcome is not None})

    def ask_and_record(key: str, request: ConverseRequest) -> Outcome:
        # Another run of the partition may have paid for it since this one began.
        if (known := reuse.find_request_outcome(key)) is not None:
            return known
        receipts = ledger.give_shipping_receipts(key)
        try:
            outcome = extractor.ask(key, request, receipts)
        except RunStopper as stopper:
            if stopper.paid is not None:
                ledger.record_call_outcome(stopper.paid)
            raise
        if _says_something_of_model(outcome) and extractor.harvest.note_paid_outcome(outcome.error):
            outcome = extractor.ask_after_failures(request, outcome)
        if outcome.attempts > len(receipts.earlier):
            session.asked[key] = outcome
        return _record_with_doubt(outcome, ledger, extractor.harvest)

    missing = [key for key, outcome in found.items() if outcome is None]
    unjudged = [key for key in missing if key in ledger.unjudged]
    unasked = [key for key in missing if key not in ledger.unjudged]
    # Two runs of one partition at once then meet as late as possible, and share what they pay for.
    random.shuffle(unasked)
    todo = ((key, requests[key]) for key in unasked)
    try:
        # One after the other: a dead run had as many in its hands as calls, and hardly one of them needs another.
        judged = (ask_and_record(key, requests[key]) for key in unjudged)
        for outcome in itertools.chain(judged, fan_out(_give_quota_back(todo, extractor), ask_and_record, concurrency)):
            session.outcomes[outcome.request_hash] = outcome
            progress(session)
        # The last calls may have told the worst, and no call came after them to notice.
        extractor.refusals.check()
        extractor.harvest.check()
        if extractor.harvest.is_in_doubt:
            _ask_whose_fault(requests, session, ledger, extractor)
        _bill_unneeded_replies(ledger, extractor)
    finally:
        if not extractor.harvest.is_in_doubt:
            ledger.keep_doubtful_failures()
        extractor.budget.save_spending()
    return session


def _give_quota_back(
    requests: Iterable[tuple[str, ConverseRequest]], extractor: Extractor
) -> Iterator[tuple[str, ConverseRequest]]:
    """The same requests; when the last one is taken, runs on other hosts may have this one's share of the quota."""
    yield from requests
    extractor.limiter.expect_no_more()


def _says_something_of_model(outcome: Outcome) -> bool:
    """Whether the model's own reply decided it, and not a service that is down or refuses (`RefusalBrake`)."""
    return outcome.cost_usd > 0 and outcome.error not in (Reason.SERVICE_FAILED, Reason.REQUEST_REFUSED)


def _record_with_doubt(outcome: Outcome, ledger: Ledger, harvest: YieldBrake) -> Outcome:
    """Keep an outcome; a failure that was paid for before anything was answered may be the account's."""
    if not harvest.is_in_doubt:
        ledger.keep_doubtful_failures()
    is_doubtful = harvest.is_in_doubt and not outcome.answered and _says_something_of_model(outcome)
    return ledger.record_call_outcome(outcome, is_doubtful=is_doubtful)


def _ask_whose_fault(
    requests: Mapping[str, ConverseRequest], session: Session, ledger: Ledger, extractor: Extractor
) -> None:
    """Few were asked, and none has an answer: a harmless question, on the bill of one of them, tells why.

    Where it has none either, they are rejects of this run, and the next one asks for them again.
    """
    failure = ledger.doubtful[-1]
    key = failure.request_hash
    bill = extractor.ask_after_failures(requests[key], Outcome(key, error=Reason.SERVICE_FAILED))
    ledger.record_call_outcome(bill)
    session.outcomes[key] = session.outcomes[key].add_bill_of(bill)
    session.asked[key] = session.asked.get(key, failure).add_bill_of(bill)
    if extractor.harvest.verdict:
        logger.warning("%s", extractor.harvest.verdict)


def _bill_unneeded_replies(ledger: Ledger, extractor: Extractor) -> None:
    """Of replies that no request of today asks for the bill is kept, and not what they say."""
    for key in list(ledger.unjudged):
        bill = extractor.bill_unjudged_replies(key, ledger.give_shipping_receipts(key).earlier)
        ledger.record_call_outcome(
            replace(bill, error=Reason.SERVICE_FAILED, detail="the run ended before it was judged")
        )


@dataclass(frozen=True)
class _Reuse:
    """Which outcomes of the ledger spare a call."""

    ledger: Ledger
    answer_model: type[Extraction]
    redrive: frozenset[Reason]

    def find_request_outcome(self, key: str) -> Outcome | None:
        outcome = self.ledger.known.get(key)
        if outcome is None or outcome.error in self.redrive:
            return None
        if Reason.INVALID_FEATURES in self.redrive and outcome.answered and not self._keeps_rules_of_today(outcome):
            return None
        return outcome

    def _keeps_rules_of_today(self, outcome: Outcome) -> bool:
        """An answer that was accepted once may break rules that came later; the gate rejects it then."""
        try:
            self.answer_model.model_validate(outcome.answer)
        except ValidationError:
            return False
        return True
