"""What a run has asked S3 a moment ago, so that its next step need not ask again.

A memory is one run's and lasts for FRESH_SECONDS: what changes meanwhile is taken for what changes while any run is on
its way. A run that takes longer asks again, and so does another run, and a step that is run alone. Not here: what has
to be known at the very moment, such as who is erased when a record is written (`publishing/publisher.py`).
"""

import time
from collections.abc import Callable
from typing import Any, TypeVar

Answer = TypeVar("Answer")

FRESH_SECONDS = 30.0


class RunMemory:
    """The answers of the run that asked last, by name."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._run_id = ""
        self._answers: dict[str, tuple[float, Any]] = {}

    def recall(self, run_id: str, name: str, ask: Callable[[], Answer]) -> Answer:
        """What `ask` has answered to this run a moment ago, or answers now."""
        if run_id != self._run_id:
            self._run_id, self._answers = run_id, {}
        now = self._clock()
        known = self._answers.get(name)
        if known is None or now - known[0] > FRESH_SECONDS:
            known = self._answers[name] = now, ask()
        answer: Answer = known[1]
        return answer


RUN_MEMORY = RunMemory()
