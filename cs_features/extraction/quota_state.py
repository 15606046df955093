"""What the runs of a host know of a model's quota together: a few numbers, how they are kept, what follows from them.

Pure. Who may start when is `quota.py`'s.
"""

import struct
import zlib
from dataclasses import dataclass

# How far a stall may be caught up, in seconds. After a longer pause the clock starts anew: what was
# not used then is gone, and no storm follows.
CATCH_UP_SECONDS = 1.0

# Finding a quota that nobody knows: double until the first throttle, then creep.
START_PER_SECOND = 4.0
DOUBLING_SECONDS = 2.0
CREEP_PER_SECOND = 0.005
PATIENT_SECONDS = 40.0
CUT = 0.85
FIRST_CUT = 0.5
# Throttles that arrive together are one event.
EPISODE_SECONDS = 1.0
# After a throttle Bedrock's bucket is empty; a short rest keeps the next calls from bouncing too.
REST_SECONDS = 1.0
FORGET_SECONDS = 600.0
BELIEVE_SHARE_SECONDS = 30.0  # a host's share of the quota, where nobody asks for it any more
# Of a quota that was read, however often it is throttled.
MIN_PACE = 0.01


@dataclass
class QuotaState:
    """What runs share. Times are CLOCK_MONOTONIC, which is one clock for all processes of a host."""

    next_request: float = 0.0
    next_token: float = 0.0
    per_second: float = START_PER_SECOND
    ceiling: float = 0.0  # the rate at the last throttle; 0 before the first
    changed: float = 0.0
    cut: float = 0.0
    share: float = 1.0  # of a quota that is known, that the runs on this host may use
    shared: float = -BELIEVE_SHARE_SECONDS  # when that was found
    pace: float = 1.0  # of a quota that was read, what was used after the last throttle


FORMAT = struct.Struct("<9dI")  # the numbers and their CRC-32
_CHECKSUM_BYTES = 4


def parse_quota_state(content: bytes, now: float) -> QuotaState:
    """The state in a file; a new one if the file is empty, damaged, or from before a reboot or a night."""
    try:
        *numbers, checksum = FORMAT.unpack(content)
    except struct.error:
        return QuotaState(changed=now)
    state = QuotaState(*numbers)
    if checksum != zlib.crc32(content[:-_CHECKSUM_BYTES]) or not now - FORGET_SECONDS <= state.changed <= now + 1:
        return QuotaState(changed=now)
    return state


def format_quota_state(state: QuotaState) -> bytes:
    numbers = FORMAT.pack(*vars(state).values(), 0)[:-_CHECKSUM_BYTES]
    return numbers + zlib.crc32(numbers).to_bytes(_CHECKSUM_BYTES, "little")


def _hurry_after_quiet(state: QuotaState, now: float) -> float:
    """Ever faster the longer no throttle comes: the last one may have been somebody else's doing."""
    return max(1.0, ((now - state.cut) / PATIENT_SECONDS) ** 2)


def recover_read_pace(state: QuotaState, now: float) -> float:
    """What may be used of a quota that was read: all of it, but for a while after a throttle."""
    gained = CREEP_PER_SECOND * (now - state.cut) * _hurry_after_quiet(state, now)
    return min(1.0, state.pace * (1 + gained))


def find_current_share(state: QuotaState, now: float) -> float:
    """What was found last, also by another run; all of the quota where nobody has asked for long."""
    return state.share if now - state.shared < BELIEVE_SHARE_SECONDS else 1.0


def find_turn_start(next_free: float, now: float) -> float:
    """The start of the next turn: the next free one, unless that lies too far back to be caught up."""
    return next_free if next_free > now - CATCH_UP_SECONDS else now


def grow_found_rate(state: QuotaState, now: float) -> None:
    """A higher rate for calls that had to wait for the last one."""
    elapsed = min(max(now - state.changed, 0.0), DOUBLING_SECONDS)
    state.changed = now
    if state.next_request <= now:
        return  # calls do not wait for this rate, so nothing is learned about a higher one
    if state.ceiling == 0.0:
        state.per_second *= 2 ** (elapsed / DOUBLING_SECONDS)
    else:
        state.per_second += CREEP_PER_SECOND * state.ceiling * elapsed * _hurry_after_quiet(state, now)


def cut_found_rate(state: QuotaState) -> None:
    factor = CUT if state.ceiling else FIRST_CUT
    state.ceiling = state.per_second
    state.per_second = max(state.per_second * factor, 0.1)


def slow_read_pace(state: QuotaState, now: float) -> None:
    """After a throttle: others use a part of this quota."""
    state.pace = max(recover_read_pace(state, now) * CUT, MIN_PACE)
