"""The time of the storm: one true clock, which S3 keeps and which may be moved, and clocks of hosts that are wrong.

The local AWS and the client are two processes: the true time is in a file as seconds to add, which the AWS follows.
Not here: what waits for what (`storm_rounds.py`).
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path

import time_machine

FOLLOW_SECONDS = 0.05


class Clock:
    """This process's clock: the true one, but while it is wrong. Waiting costs no time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._waited = timedelta(0)
        self._traveller = time_machine.travel(datetime.now(timezone.utc), tick=True).start()

    def wait(self, duration: timedelta) -> None:
        """Let so much time pass, here and in S3."""
        if not duration:
            return
        self._waited += duration
        self._traveller.shift(duration)
        fresh = self._path.with_suffix(".new")
        fresh.write_text(str(self._waited.total_seconds()))
        fresh.replace(self._path)
        time.sleep(3 * FOLLOW_SECONDS)

    @contextmanager
    def be_wrong_by(self, skew: timedelta) -> Iterator[None]:
        """As on a host whose clock is ahead of S3's, or behind it."""
        self._traveller.shift(skew)
        try:
            yield
        finally:
            self._traveller.shift(-skew)


def path_of_clock(state: Path) -> Path:
    return state.with_name("clock")


def follow_clock(path: Path) -> None:
    """In the process of the local AWS: keep the time that the file says, from now on."""
    traveller = time_machine.travel(datetime.now(timezone.utc), tick=True).start()

    def follow() -> None:
        followed = 0.0
        while True:
            wanted = float(path.read_text()) if path.exists() else 0.0
            if wanted != followed:
                traveller.shift(timedelta(seconds=wanted - followed))
                followed = wanted
            time.sleep(FOLLOW_SECONDS)

    threading.Thread(target=follow, daemon=True, name="clock").start()
