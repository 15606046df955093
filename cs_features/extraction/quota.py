"""The limiter: when the next call may start, for all runs on this host that share a model's quota.

What share of the quota is this host's, where runs on other hosts ask as well, is told by whoever knows them; nobody
who knows, and all of it is.

Bedrock's arithmetic: a call reserves its prompt (cached or not) and `maxTokens` when it starts, and is
settled at input + cache writes + output x burn-down when it ends; cache reads are free by then.
The state is a few numbers in one small file under a lock, so that runs in other processes take their
turns from the same clock. No call is made here and no answer is looked at.
"""

import fcntl
import math
import os
import struct
import threading
import time
import weakref
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cs_features.extraction.pricing import TokenUsage

# How far a stall may be caught up, in seconds. After a longer pause the clock starts anew: what was
# not used then is gone, and no storm follows.
CATCH_UP_SECONDS = 1.0

# Finding a quota that nobody states: double until the first throttle, then creep.
START_PER_SECOND = 4.0
DOUBLING_SECONDS = 2.0
CREEP_PER_SECOND = 0.005
PATIENT_SECONDS = 40.0
CUT = 0.85
FIRST_CUT = 0.5
# While the quota is being found no turn is booked further ahead: a cut must reach those who wait, and
# the rate may only grow with calls that really started at it.
LOOK_AHEAD_SECONDS = 0.5
# Throttles that arrive together are one event.
EPISODE_SECONDS = 1.0
# After a throttle Bedrock's bucket is empty; a short rest keeps the next calls from bouncing too.
REST_SECONDS = 1.0
FORGET_SECONDS = 600.0

# The share of the quota that is this host's is asked for so often, and believed for so long where nobody asks.
SHARE_SECONDS = 1.0
BELIEVE_SHARE_SECONDS = 30.0
MIN_SHARE = 0.001


@dataclass
class _State:
    """What runs share. Times are CLOCK_MONOTONIC, which is one clock for all processes of a host."""

    next_request: float = 0.0
    next_token: float = 0.0
    per_second: float = START_PER_SECOND
    ceiling: float = 0.0  # the rate at the last throttle; 0 before the first
    changed: float = 0.0
    cut: float = 0.0
    share: float = 1.0  # of the stated quota, that the runs on this host may use
    shared: float = -BELIEVE_SHARE_SECONDS  # when that was found


_FORMAT = struct.Struct("<8dI")  # the numbers and their CRC-32
_CHECKSUM_BYTES = 4


class QuotaShare(Protocol):
    """Who knows the runs on other hosts."""

    def find_share(self) -> float:
        """Join those who ask, and say which share of the quota the runs on this host may use now."""

    def leave_quota(self) -> None:
        """Ask no more, until the share is found again: the others may use it."""


class Limiter:
    """Paces calls to stated quotas, or to one that is found by adapting to throttles.

    Args:
        path: the shared file, one a model; made when it is not there.
        requests_per_minute, tokens_per_minute: the quota that the runs on this host may use together;
            None is no limit on tokens, and a rate found by adapting on requests.
        burndown: quota tokens that one output token costs.
        others: who knows which share of a stated quota is this host's; None, and all of it is.
    """

    def __init__(
        self,
        path: Path,
        *,
        requests_per_minute: float | None,
        tokens_per_minute: float | None,
        burndown: int,
        others: QuotaShare | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._per_second = requests_per_minute / 60 if requests_per_minute else None
        self._tokens_per_second = tokens_per_minute / 60 if tokens_per_minute else None
        self._burndown = burndown
        self._others = others
        self._share_due = -math.inf
        self._share_finder = threading.Lock()
        self._waiting = 0
        self._is_ending = False
        self._clock = clock
        self._sleep = sleep
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        weakref.finalize(self, os.close, self._file)
        self._threads = threading.Lock()

    def wait_for_turn(self, reserved_tokens: int) -> None:
        """Return when a call that reserves so many tokens may start."""
        with self._threads:
            self._waiting += 1
        try:
            self._take_next_turn(reserved_tokens)
        finally:
            with self._threads:
                self._waiting -= 1
        self._leave_when_done()

    def _take_next_turn(self, reserved_tokens: int) -> None:
        while True:
            self._refresh_pool_share()
            with self._lock_quota_state() as state:
                now = self._clock()
                wait = self._find_next_turn(state, now) - now
                booked = not self._may_change or wait <= LOOK_AHEAD_SECONDS
                if booked:
                    self._book_next_turn(state, now, reserved_tokens)
            if not booked:
                self._sleep(min(wait - LOOK_AHEAD_SECONDS / 2, LOOK_AHEAD_SECONDS))
                continue
            if wait > 0:
                self._sleep(wait)
            return

    @property
    def _finding(self) -> bool:
        return self._per_second is None and self._tokens_per_second is None

    @property
    def _may_change(self) -> bool:
        """Whether the rate may be another one in a moment, so that who waits for long must ask again."""
        return self._finding or self._others is not None

    def _refresh_pool_share(self) -> None:
        """Ask for this host's share where nobody here has for a while. One thread asks, the others go on."""
        if self._others is None or self._finding or self._clock() < self._share_due:
            return
        if not self._share_finder.acquire(blocking=False):
            return
        try:
            self._share_due = self._clock() + SHARE_SECONDS
            share = min(max(self._others.find_share(), MIN_SHARE), 1.0)
            with self._lock_quota_state() as state:
                state.share, state.shared = share, self._clock()
        finally:
            self._share_finder.release()

    def expect_no_more(self) -> None:
        """No call will be asked for but those that wait by now, and their retries: the others get this run's share.

        The last answers of a run take seconds, in which it would hold a share and ask nothing.
        """
        self._is_ending = True
        self._leave_when_done()

    def _leave_when_done(self) -> None:
        if self._others is not None and self._is_ending and self._waiting == 0 and not self._finding:
            self._share_due = -math.inf
            self._others.leave_quota()

    def _find_next_turn(self, state: _State, now: float) -> float:
        turns = [now]
        if self._per_second is not None or self._finding:
            turns.append(_start_of_turn(state.next_request, now))
        if self._tokens_per_second is not None:
            turns.append(_start_of_turn(state.next_token, now))
        return max(turns)

    def _book_next_turn(self, state: _State, now: float, reserved_tokens: int) -> None:
        if self._finding:
            self._grow_found_rate(state, now)
        share = _current_share(state, now)
        rate = self._per_second * share if self._per_second else (state.per_second if self._finding else None)
        if rate is not None:
            state.next_request = _start_of_turn(state.next_request, now) + 1 / rate
        if self._tokens_per_second is not None:
            seconds = reserved_tokens / (self._tokens_per_second * share)
            state.next_token = _start_of_turn(state.next_token, now) + seconds
        state.changed = now

    def release_reserved(self, reserved_tokens: int, usage: TokenUsage | None) -> None:
        """Give back what the call did not use; None when it was not answered and used nothing."""
        if self._tokens_per_second is None:
            return
        used = 0
        if usage is not None:
            used = usage.input_tokens + usage.cache_write_tokens + usage.output_tokens * self._burndown
        with self._lock_quota_state() as state:
            share = _current_share(state, self._clock())
            state.next_token -= (reserved_tokens - used) / (self._tokens_per_second * share)

    def slow_down(self) -> None:
        """Tell that Bedrock answered 429: rest a little, and if the quota is being found, go slower."""
        with self._lock_quota_state() as state:
            now = self._clock()
            if now - state.cut < EPISODE_SECONDS:
                return
            state.cut = now
            state.next_request = max(state.next_request, now) + REST_SECONDS
            state.next_token = max(state.next_token, now) + REST_SECONDS
            if self._finding:
                factor = CUT if state.ceiling else FIRST_CUT
                state.ceiling = state.per_second
                state.per_second = max(state.per_second * factor, 0.1)

    def _grow_found_rate(self, state: _State, now: float) -> None:
        elapsed = min(max(now - state.changed, 0.0), DOUBLING_SECONDS)
        state.changed = now
        if state.next_request <= now:
            return  # calls do not wait for this rate, so nothing is learned about a higher one
        if state.ceiling == 0.0:
            state.per_second *= 2 ** (elapsed / DOUBLING_SECONDS)
        else:
            # Ever faster the longer no throttle comes: the ceiling may have been another host's doing.
            haste = max(1.0, ((now - state.cut) / PATIENT_SECONDS) ** 2)
            state.per_second += CREEP_PER_SECOND * state.ceiling * elapsed * haste

    @contextmanager
    def _lock_quota_state(self) -> Iterator[_State]:
        # The lock of the file keeps other processes out, the other one this process's threads.
        with self._threads:
            fcntl.flock(self._file, fcntl.LOCK_EX)
            try:
                state = _parse_quota_state(os.pread(self._file, 1024, 0), self._clock())
                yield state
                os.pwrite(self._file, _format_quota_state(state), 0)
                os.ftruncate(self._file, _FORMAT.size)
            finally:
                fcntl.flock(self._file, fcntl.LOCK_UN)


def _parse_quota_state(content: bytes, now: float) -> _State:
    """The state in a file; a new one if the file is empty, damaged, or from before a reboot or a night."""
    try:
        *numbers, checksum = _FORMAT.unpack(content)
    except struct.error:
        return _State(changed=now)
    state = _State(*numbers)
    if checksum != zlib.crc32(content[:-_CHECKSUM_BYTES]) or not now - FORGET_SECONDS <= state.changed <= now + 1:
        return _State(changed=now)
    return state


def _format_quota_state(state: _State) -> bytes:
    numbers = _FORMAT.pack(*vars(state).values(), 0)[:-_CHECKSUM_BYTES]
    return numbers + zlib.crc32(numbers).to_bytes(_CHECKSUM_BYTES, "little")


def _current_share(state: _State, now: float) -> float:
    """What was found last, also by another run; all of the quota where nobody has asked for long."""
    return state.share if now - state.shared < BELIEVE_SHARE_SECONDS else 1.0


def _start_of_turn(next_free: float, now: float) -> float:
    """The start of the next turn: the next free one, unless that lies too far back to be caught up."""
    return next_free if next_free > now - CATCH_UP_SECONDS else now
