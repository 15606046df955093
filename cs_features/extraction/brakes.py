"""What stops a run: the budget is spent, or the service is down. Shared by all threads of the run.

Both are asked before a call starts; a call in flight is always let finish, because it is paid for.
"""

import threading
import time
from collections.abc import Callable

from cs_features.errors import RunStopper

# An outage: so many failures in a row, none of them a success, over at least so long.
OUTAGE_FAILURES = 20
OUTAGE_SECONDS = 30.0


class Budget:
    """The dollars of one run."""

    def __init__(self, max_cost_usd: float) -> None:
        self.max_cost_usd = max_cost_usd
        self.spent_usd = 0.0
        self._lock = threading.Lock()

    def spend(self, cost_usd: float) -> None:
        with self._lock:
            self.spent_usd += cost_usd

    def check(self) -> None:
        """Raises RunStopper once the budget is spent; zero allows no call."""
        if self.spent_usd >= self.max_cost_usd:
            raise RunStopper(
                f"the budget of this run is spent: ${self.spent_usd:.4f} of CS_FEATURES_MAX_COST_USD="
                f"{self.max_cost_usd:g}. Every answer is kept; raise it and run the partition again for the rest"
            )


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
        """Raises RunStopper during an outage."""
        if self._failures >= OUTAGE_FAILURES and self._clock() - self._since >= OUTAGE_SECONDS:
            raise RunStopper(
                f"Bedrock has answered none of the last {self._failures} calls in {OUTAGE_SECONDS:g} s or more "
                f"(last: {self._last}). Every answer before that is kept; run the partition again when it is back"
            )
