"""The limiter: when the next call may start, for all runs on this host that share a model's quota.

A quota that somebody states is kept to. One that was read (`account_quota.py`) may be used by others than us: after
throttles less of it is used for a while. One that nobody knows is found by adapting to throttles.

What share of the quota is this host's, where runs on other hosts ask as well, is told by whoever knows them; nobody
who knows, and all of it is.

Bedrock's arithmetic: a call reserves its prompt (cached or not) and `maxTokens` when it starts, and is
settled at input + cache writes + output x burn-down when it ends; cache reads are free by then.
The state is a few numbers in one small file under a lock (`quota_state.py`), so that runs in other processes take
their turns from the same clock. No call is made here and no answer is looked at.
"""

import fcntl
import math
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cs_features.extraction.pricing import TokenUsage
from cs_features.extraction.quota_state import (
    EPISODE_SECONDS,
    FORMAT,
    REST_SECONDS,
    QuotaState,
    cut_found_rate,
    find_current_share,
    find_turn_start,
    format_quota_state,
    grow_found_rate,
    parse_quota_state,
    recover_read_pace,
    slow_read_pace,
)

SHARE_SECONDS = 1.0  # so often it is asked which share of the quota is this host's
MIN_SHARE = 0.001
# While the rate may change no turn is booked further ahead: a cut must reach those who wait, and a rate that is being
# found may only grow with calls that really started at it.
LOOK_AHEAD_SECONDS = 0.5


@dataclass(frozen=True)
class Quota:
    """What may be asked a minute; None where nobody knows."""

    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None


class QuotaShare(Protocol):
    """Who knows the runs on other hosts."""

    def find_share(self) -> float:
        """Join those who ask, and say which share of the quota the runs on this host may use now."""

    def leave_quota(self) -> None:
        """Ask no more, until the share is found again: the others may use it."""


class Limiter:
    """Paces calls to stated quotas, to those that were read, or to one that is found by adapting to throttles.

    Args:
        path: the shared file, one a model; made when it is not there.
        requests_per_minute, tokens_per_minute: the quota as somebody states it. Where one of them is None there is
            no such limit; where both are, the quota is read.
        burndown: quota tokens that one output token costs.
        read_quota: asked before the first call, where no quota is stated; None, and nobody knows it.
        others: who knows which share of a quota is this host's; None, and all of it is.
    """

    def __init__(
        self,
        path: Path,
        *,
        requests_per_minute: float | None,
        tokens_per_minute: float | None,
        burndown: int,
        read_quota: Callable[[], Quota] | None = None,
        others: QuotaShare | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._others = others
        self._set_quota(Quota(requests_per_minute, tokens_per_minute))
        self._read_quota = read_quota if self._finding else None
        self._reader = threading.Lock()
        self._burndown = burndown
        self._share_due = -math.inf
        self._share_finder = threading.Lock()
        self._waiting = 0
        self._in_flight = 0
        self._unused_tokens = 0  # of calls that have ended, as far as nobody has given them back yet
        self._is_ending = False
        self._clock = clock
        self._sleep = sleep
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        weakref.finalize(self, os.close, self._file)
        self._threads = threading.Lock()

    def _set_quota(self, quota: Quota, *, is_read: bool = False) -> None:
        requests, tokens = quota.requests_per_minute, quota.tokens_per_minute
        self._per_second = requests / 60 if requests else None
        self._tokens_per_second = tokens / 60 if tokens else None
        self._finding = self._per_second is None and self._tokens_per_second is None
        self._is_read = is_read and not self._finding
        # Whether the rate may be another one in a moment, so that who waits for long must ask again.
        self._may_change = self._finding or self._is_read or self._others is not None

    def wait_for_turn(self, reserved_tokens: int) -> None:
        """Return when a call that reserves so many tokens may start."""
        if self._read_quota is not None:
            self._keep_to_read_quota()
        with self._threads:
            self._waiting += 1
        try:
            self._take_next_turn(reserved_tokens)
        finally:
            with self._threads:
                self._waiting -= 1
        with self._threads:
            self._in_flight += 1
        self._leave_when_done()

    def _keep_to_read_quota(self) -> None:
        """Before the first call, and no earlier: a run that asks the model nothing needs no quota."""
        with self._reader:
            if self._read_quota is not None:
                self._set_quota(self._read_quota(), is_read=True)
                self._read_quota = None

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

    def _find_next_turn(self, state: QuotaState, now: float) -> float:
        turns = [now]
        if self._per_second is not None or self._finding:
            turns.append(find_turn_start(state.next_request, now))
        if self._tokens_per_second is not None:
            turns.append(find_turn_start(state.next_token, now))
        return max(turns)

    def _book_next_turn(self, state: QuotaState, now: float, reserved_tokens: int) -> None:
        if self._finding:
            grow_found_rate(state, now)
        part = self._find_usable_part(state, now)
        rate = self._per_second * part if self._per_second else (state.per_second if self._finding else None)
        if rate is not None:
            state.next_request = find_turn_start(state.next_request, now) + 1 / rate
        if self._tokens_per_second is not None:
            seconds = reserved_tokens / (self._tokens_per_second * part)
            state.next_token = find_turn_start(state.next_token, now) + seconds
        state.changed = now

    def release_reserved(self, reserved_tokens: int, usage: TokenUsage | None) -> None:
        """Give back what the call did not use; None when it was not answered and used nothing."""
        if self._tokens_per_second is None:
            return
        used = 0
        if usage is not None:
            used = usage.input_tokens + usage.cache_write_tokens + usage.output_tokens * self._burndown
        with self._threads:
            self._in_flight = max(0, self._in_flight - 1)
            self._unused_tokens += reserved_tokens - used
            # Whoever starts a call takes the lock in any case: a lock of its own for each that ends cost as much again.
            if self._in_flight and not self._is_ending:
                return
        with self._lock_quota_state():
            pass  # the last one that ends leaves nothing behind

    def _give_unused_back(self, state: QuotaState) -> None:
        if self._unused_tokens and self._tokens_per_second is not None:
            part = self._find_usable_part(state, self._clock())
            state.next_token -= self._unused_tokens / (self._tokens_per_second * part)
            self._unused_tokens = 0

    def _find_usable_part(self, state: QuotaState, now: float) -> float:
        """Of a quota that is known, what the runs on this host may use at this moment."""
        share = find_current_share(state, now)
        return share * recover_read_pace(state, now) if self._is_read else share

    def slow_down(self) -> None:
        """Tell that Bedrock answered 429: rest a little, and unless the quota is stated, go slower."""
        with self._lock_quota_state() as state:
            now = self._clock()
            if now - state.cut < EPISODE_SECONDS:
                return
            if self._is_read:
                slow_read_pace(state, now)
            elif self._finding:
                cut_found_rate(state)
            state.cut = now
            state.next_request = max(state.next_request, now) + REST_SECONDS
            state.next_token = max(state.next_token, now) + REST_SECONDS

    @contextmanager
    def _lock_quota_state(self) -> Iterator[QuotaState]:
        # The lock of the file keeps other processes out, the other one this process's threads.
        with self._threads:
            fcntl.flock(self._file, fcntl.LOCK_EX)
            try:
                content = os.pread(self._file, 1024, 0)
                state = parse_quota_state(content, self._clock())
                self._give_unused_back(state)
                yield state
                os.pwrite(self._file, format_quota_state(state), 0)
                if len(content) > FORMAT.size:  # costs as much as all else that the kernel is asked for here
                    os.ftruncate(self._file, FORMAT.size)
            finally:
                fcntl.flock(self._file, fcntl.LOCK_UN)
