"""One run over one set of requests: what the ledger has is taken from it, the rest is asked and kept.

Everything that asks the model and keeps its answers goes through here: the partition's run, a redrive, an evaluation.
"""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pydantic import ValidationError

from cs_features.errors import Outage
from cs_features.extraction.engine import Extractor, Outcome, fan_out
from cs_features.extraction.ledger import Ledger
from cs_features.extraction.pricing import TokenUsage
from cs_features.extraction.prompting import ConverseRequest
from cs_features.schemas import Reason

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

    def check_service(self) -> None:
        """Raises Outage when the service, and not single interactions, has failed what this run asked."""
        down = sum(outcome.error is Reason.SERVICE_FAILED for outcome in self.asked.values())
        many = down >= MIN_SERVICE_FAILED and down > MAX_SERVICE_FAILED_SHARE * len(self.outcomes)
        if many or (down and down == len(self.asked)):
            raise Outage(
                f"Bedrock failed {down} of {len(self.asked)} calls for good. Every answer is kept; "
                "run the partition again for the rest"
            )


def extract_answers(
    requests: Mapping[str, ConverseRequest],
    ledger: Ledger,
    extractor: Extractor,
    concurrency: int,
    progress: Callable[[Session], None],
    redrive: frozenset[Reason] = frozenset(),
) -> Session:
    """Bring every request to an outcome; `progress` is told after each call.

    Failures are outcomes too and are not asked again, unless their reason is in `redrive`.

    Raises:
        RunStopper: with every outcome so far in the ledger.
    """

    def usable(key: str) -> bool:
        if key not in ledger.known or ledger.known[key].error in redrive:
            return False
        return Reason.INVALID_FEATURES not in redrive or not ledger.known[key].answered or valid(ledger.known[key])

    def valid(outcome: Outcome) -> bool:
        """Whether an answer that was accepted once keeps the rules of today; the gate rejected it otherwise."""
        try:
            extractor.answer_model.model_validate(outcome.answer)
        except ValidationError:
            return False
        return True

    session = Session({key: ledger.known[key] for key in requests if usable(key)})

    def ask(key: str, request: ConverseRequest) -> Outcome:
        # Another run of the partition may have paid for it since this one began.
        if usable(key):
            return ledger.known[key]
        outcome = extractor.ask(key, request)
        session.asked[key] = outcome
        return ledger.record(outcome)

    missing = [(key, request) for key, request in requests.items() if key not in session.outcomes]
    # Two runs of one partition at once then meet as late as possible, and share what they pay for.
    random.shuffle(missing)
    try:
        for outcome in fan_out(missing, ask, concurrency):
            session.outcomes[outcome.request_hash] = outcome
            progress(session)
        extractor.refusals.check()  # the last calls were refused, and no call came after them to notice
    finally:
        extractor.budget.save()
    return session
