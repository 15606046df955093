"""What stops a run: the money is spent, the service is down, or the account is refused.

Shared by all threads of the run, and asked before a call starts; a call in flight is always let finish, because it is
paid for. What other runs have spent is `spending.py`'s.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cs_features.errors import BudgetSpent, Outage, RequestRefused, RunStopper
from cs_features.extraction.call_errors import quote_aws

# An outage: so many failures in a row, none of them a success, over at least so long.
OUTAGE_FAILURES = 20
OUTAGE_SECONDS = 30.0

# A fault of the account. Requests are asked in random order: were one in ten refused for its own sake, five in a row
# would be seen once in 100,000 runs; beside twenty refusals, one in four is no property of interactions either.
REFUSED_IN_A_ROW = 5
MIN_REFUSED = 20
MAX_REFUSED_SHARE = 0.25
MAX_OWN_FAULTS_SHARE = 0.1  # as in the check that blocks a publication for its failures


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
    """Trips when refusals are too many to be the interactions' own fault."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._answered = 0
        self._refused = 0
        self._in_a_row: list[RequestRefused] = []

    def note_answer(self) -> None:
        with self._lock:
            self._answered += 1
            self._in_a_row.clear()

    def note_refusal(self, error: RequestRefused) -> None:
        with self._lock:
            self._refused += 1
            self._in_a_row.append(error)

    def check(self) -> None:
        """Raises RunStopper when the account, and not an interaction, is refused."""
        with self._lock:
            in_a_row, refused, asked = list(self._in_a_row), self._refused, self._answered + self._refused
        if len(in_a_row) >= REFUSED_IN_A_ROW:
            raise RunStopper(_describe_refusals(f"the last {len(in_a_row)} calls", in_a_row))
        if refused >= MIN_REFUSED and refused > MAX_REFUSED_SHARE * asked:
            raise RunStopper(_describe_refusals(f"{refused} of {asked} calls", in_a_row))


def are_own_faults(refused: int, answered: int) -> bool:
    """Whether a run has proved, by answers beside them, that its few refusals are those interactions' own."""
    return answered > 0 and (refused < REFUSED_IN_A_ROW or refused <= MAX_OWN_FAULTS_SHARE * (refused + answered))


def _describe_refusals(how_many: str, errors: Sequence[RequestRefused]) -> str:
    """What to do, with AWS's words where they are the same for every interaction, so that they quote none."""
    said = {error.said for error in errors}
    alike = len(errors) >= REFUSED_IN_A_ROW and len(said) == 1
    words = f" AWS says of each: {quote_aws(said.pop())}" if alike else ""
    return (
        f"Bedrock refused {how_many}, more than single interactions explain. Check the account, the model's agreement "
        f"and CS_FEATURES_MODEL_ID, then run the partition again: no refusal is kept.{words}"
    )
