"""What stops a run: the money is spent, the service is down, or the account is refused.

Shared by all threads of the run, and asked before a call starts; a call in flight is always let finish, because it is
paid for. What other runs have spent is `spending.py`'s.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cs_features.errors import BudgetSpent, Outage, RequestRefused, RunStopper
from cs_features.extraction.call_errors import quote_aws_safely
from cs_features.schemas import Reason

# An outage: so many failures in a row, none of them a success, over at least so long.
OUTAGE_FAILURES = 20
OUTAGE_SECONDS = 30.0

# Refusals that may be the account's: so many in a row, or so large a share of many. A control question tells then.
SUSPECTED_IN_A_ROW = 4  # and the control is the fifth call
MIN_SUSPECTED = 20
SUSPECTED_SHARE = 0.25

# Interactions that were paid for, from the first one on, without one answer that can be used.
FRUITLESS = 40

# Refusals that answers beside them prove to be the interactions' own; the share is that of the check that blocks a
# publication for its failures.
FEW_REFUSED = 5
MAX_OWN_FAULTS_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class Cap:
    """A limit in US dollars: the variable that sets it, whose spending it counts, and what this run did not spend."""

    setting: str
    limit_usd: float
    counts: str
    spent_before_usd: float = 0.0


class Budget:
    """The dollars of one run."""

    def __init__(self, max_cost_usd: float) -> None:
        self.caps: Sequence[Cap] = [Cap("CS_FEATURES_MAX_COST_USD", max_cost_usd, "this run")]
        self.spent_usd = 0.0
        self._lock = threading.Lock()

    def spend(self, cost_usd: float) -> None:
        with self._lock:
            self.spent_usd += cost_usd

    def check(self) -> None:
        """Raises BudgetSpent once a cap is reached; a cap of zero allows no call."""
        for cap in self.caps:
            spent = cap.spent_before_usd + self.spent_usd
            if spent >= cap.limit_usd:
                raise BudgetSpent(
                    f"the budget of {cap.counts} is spent: ${spent:.4f} of {cap.setting}={cap.limit_usd:g}. "
                    f"Every answer is kept; raise {cap.setting} and run the partition again for the rest"
                )

    def save_spending(self) -> None:
        """Keep what was spent for the runs to come; a budget that ends with its run has nothing to keep."""


class Breaker:
    """Trips when the service answers nothing any more."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._failures = 0
        self._since = 0.0
        self._last = ""

    def succeeded(self) -> None:
        self._failures = 0

    def failed(self, error: Exception) -> None:
        with self._lock:
            if self._failures == 0:
                self._since = self._clock()
            self._failures += 1
            self._last = str(error)

    def check(self) -> None:
        """Raises Outage while the service is down."""
        if self._failures >= OUTAGE_FAILURES and self._clock() - self._since >= OUTAGE_SECONDS:
            raise Outage(
                f"Bedrock has answered none of the last {self._failures} calls in {OUTAGE_SECONDS:g} s or more "
                f"(last: {self._last}). Every answer before that is kept; run the partition again when it is back"
            )


class RefusalBrake:
    """Trips when the account is refused, and not single interactions.

    AWS words both alike, and a day may bring nothing but interactions that no model takes. So refusals only make a
    suspicion; whoever is told of one asks a harmless question in the same way and says here what came of it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._answered = 0
        self._refused = 0
        self._in_a_row: list[RequestRefused] = []
        self._is_tested = False
        self._patience = 1  # doubled with each acquittal, so that a thousand bad rows cost ten controls
        self._verdict = ""

    def note_good_answer(self) -> None:
        with self._lock:
            self._answered += 1
            self._in_a_row.clear()

    def note_account_refusal(self, error: RequestRefused) -> bool:
        """Whether the caller has to ask the control question, and to say what came of it. One caller at a time has."""
        with self._lock:
            self._refused += 1
            self._in_a_row.append(error)
            if self._is_tested or not self._is_account_suspected():
                return False
            self._is_tested = True
            return True

    def _is_account_suspected(self) -> bool:
        if len(self._in_a_row) >= SUSPECTED_IN_A_ROW * self._patience:
            return True
        asked = self._answered + self._refused
        return self._refused >= MIN_SUSPECTED * self._patience and self._refused > SUSPECTED_SHARE * asked

    def acquit(self) -> None:
        """The control was answered: the account is served, and what was refused was so for its own sake."""
        with self._lock:
            self._is_tested = False
            self._patience *= 2
            self._answered = self._refused = 0
            self._in_a_row.clear()

    def convict(self) -> None:
        """The control was refused as well."""
        with self._lock:
            refused, asked = self._refused, self._answered + self._refused
            how_many = f"{refused} of {asked} calls, and a harmless question as well"
            self._verdict = _describe_account_refusals(how_many, self._in_a_row)

    def check(self) -> None:
        """Raises RunStopper when the account is refused."""
        if self._verdict:
            raise RunStopper(self._verdict)


class YieldBrake:
    """Trips when a run has paid for many interactions and not one of the answers can be used.

    A guardrail of the account, a model that does not use the tool or a prompt that it misreads fail each of them alike,
    at up to three calls. A flood of nonsense does so, too: whoever is told asks a harmless question and says here what
    came of it. One answer that can be used is enough for the rest of the run. Until then, and where few landed until
    the run's end, its failures are in doubt: they may be the account's, and no interaction is charged with them.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._has_yielded = False
        self._failures: Counter[Reason] = Counter()
        self._suspected_at = FRUITLESS
        self._acquitted = 0  # failures
        self.verdict = ""

    @property
    def is_in_doubt(self) -> bool:
        """Whether there are failures that neither an answer beside them nor a control has proved to be their own."""
        return not self._has_yielded and self._failures.total() > self._acquitted

    def note_paid_outcome(self, error: Reason | None) -> bool:
        """Whether the caller has to ask the control question; `error` is the reason of an outcome without answer."""
        with self._lock:
            self._has_yielded = self._has_yielded or error is None
            if error is None or self._has_yielded:
                return False
            self._failures[error] += 1
            return self._failures.total() == self._suspected_at

    def acquit(self) -> None:
        """The control has an answer that can be used: what had none was so for its own sake."""
        with self._lock:
            self._acquitted = self._failures.total()
            self._suspected_at = max(FRUITLESS, 2 * self._acquitted)

    def convict(self) -> None:
        """The control has none, either."""
        with self._lock:
            reasons = ", ".join(f"{count} {reason.value}" for reason, count in self._failures.most_common())
            self.verdict = (
                f"None of {self._failures.total()} interactions has an answer that can be used ({reasons}), nor has a "
                "harmless question. Check CS_FEATURES_MODEL_ID, the prompt and the account's guardrails, then run the "
                "partition again: no failure is kept, only its bill"
            )

    def check(self) -> None:
        """Raises RunStopper when nothing will come of the others."""
        if self.verdict:
            raise RunStopper(self.verdict)


def are_own_faults(refused: int, answered: int) -> bool:
    """Whether a run has proved, by answers beside them, that its few refusals are those interactions' own."""
    return answered > 0 and (refused < FEW_REFUSED or refused <= MAX_OWN_FAULTS_SHARE * (refused + answered))


def _describe_account_refusals(how_many: str, errors: Sequence[RequestRefused]) -> str:
    """What to do, with AWS's words where they are the same for every interaction, so that they quote none."""
    said = {error.said for error in errors}
    alike = len(errors) >= SUSPECTED_IN_A_ROW and len(said) == 1
    words = f" AWS says of each: {quote_aws_safely(said.pop())}" if alike else ""
    return (
        f"Bedrock refused {how_many}. Check the account, the model's agreement and CS_FEATURES_MODEL_ID, then run the "
        f"partition again: no refusal is kept.{words}"
    )
