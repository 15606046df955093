"""One run over one set of requests: what the ledger has is taken from it, the rest is asked and kept.

Everything that asks the model goes through here: the partition's run, a redrive, an evaluation.
"""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pydantic import ValidationError

from cs_features.extraction.engine import Extractor, Outcome, fan_out
from cs_features.extraction.ledger import Ledger
from cs_features.extraction.prompting import ConverseRequest
from cs_features.schemas import Reason

# A run in which so many calls fail for the service's reasons is a failed run, not a table of rejects.
MAX_SERVICE_FAILED_SHARE = 0.05
MIN_SERVICE_FAILED = 5


@dataclass
class Session:
    """Outcomes by request, and which of them this run has asked for itself."""

    outcomes: dict[str, Outcome] = field(default_factory=dict)
    asked: set[str] = field(default_factory=set)

    @property
    def cost_usd(self) -> float:
        """What this run has paid."""
        # `asked` grows in other threads, ahead of `outcomes`, which grows in this one.
        return sum(outcome.cost_usd for key, outcome in self.outcomes.items() if key in self.asked)

    @property
    def failed(self) -> int:
        return sum(not outcome.answered for outcome in self.outcomes.values())


def extract(
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
        ledger.record(outcome)
        session.asked.add(key)
        return outcome

    missing = [(key, request) for key, request in requests.items() if key not in session.outcomes]
    # Two runs of one partition at once then meet as late as possible, and share what they pay for.
    random.shuffle(missing)
    for outcome in fan_out(missing, ask, concurrency):
        session.outcomes[outcome.request_hash] = outcome
        progress(session)
    return session
