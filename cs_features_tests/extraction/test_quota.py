"""The limiter on a clock that belongs to the test: pace, stalls, reservations, sharing, and finding a quota."""

import fcntl
import math
import struct
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cs_features.extraction.pricing import TokenUsage
from cs_features.extraction.quota import SHARE_SECONDS, Limiter, Quota
from cs_features.extraction.quota_state import (
    BELIEVE_SHARE_SECONDS,
    CATCH_UP_SECONDS,
    EPISODE_SECONDS,
    FORGET_SECONDS,
    REST_SECONDS,
    START_PER_SECOND,
    QuotaState,
    recover_read_pace,
    slow_read_pace,
)
from cs_features_tests.support.desk import PATIENCE, Clock
from cs_features_tests.support.lab import REPOSITORY


def limiter(path: Path, clock: Clock, *, sleep: Any = None, **quota: Any) -> Limiter:
    stated = {"requests_per_minute": None, "tokens_per_minute": None, "burndown": 1, **quota}
    return Limiter(path, clock=clock, sleep=sleep or clock.sleep, **stated)


def starts(limited: Limiter, clock: Clock, seconds: float, reserved: int = 0) -> list[float]:
    """When calls start that are asked one after the other, each taking no time, from now on for `seconds`."""
    begun, until = [], clock() + seconds
    while True:
        limited.wait_for_turn(reserved)
        if clock() >= until - 1e-9:
            return begun
        begun.append(clock())


def most_within(times: Sequence[float], seconds: float) -> int:
    """The most calls that start within any stretch of `seconds`."""
    return max(sum(begin <= other < begin + seconds - 1e-9 for other in times) for begin in times)


# --- a stated rate ----------------------------------------------------------------------------


@pytest.mark.heavy
@pytest.mark.parametrize("per_minute", [30, 600, 1_200, 6_001])
def test_the_pace_is_the_stated_rate(tmp_path: Path, per_minute: int) -> None:
    """botocore's standard mode used 84 % of the quota, with a quarter of its calls throttled."""
    clock = Clock()
    begun = starts(limiter(tmp_path / "q", clock, requests_per_minute=per_minute), clock, 60)
    assert len(begun) in (per_minute, per_minute + 1)
    assert most_within(begun, 1) <= math.ceil(per_minute / 60) + 1


def test_there_is_no_storm_at_the_start_nor_after_a_pause(tmp_path: Path) -> None:
    """A bucket that was full at the start let 1,200 calls go at once, and Bedrock threw most of them back."""
    clock = Clock()
    limited = limiter(tmp_path / "q", clock, requests_per_minute=600)
    for pause in (0, 30, CATCH_UP_SECONDS + 0.2, FORGET_SECONDS - 60, FORGET_SECONDS * 5):
        clock.now += pause
        assert most_within(starts(limited, clock, 5), 1) <= 11


@pytest.mark.heavy
@given(st.lists(st.tuples(st.floats(0, 3), st.integers(1, 30)), max_size=12))
def test_no_stretch_of_time_has_more_calls_than_the_rate_and_what_may_be_caught_up(
    tmp_path_factory: pytest.TempPathFactory, rhythm: list[tuple[float, int]]
) -> None:
    """Whatever the rhythm of pauses and bursts: catching up is bounded, so Bedrock's bucket is never overrun."""
    clock, begun = Clock(), []
    limited = limiter(tmp_path_factory.mktemp("quota") / "q", clock, requests_per_minute=600)
    for pause, calls in rhythm:
        clock.now += pause
        for _ in range(calls):
            limited.wait_for_turn(0)
            begun.append(clock())
    for seconds in (0.5, 1, 3, 10):
        assert not begun or most_within(begun, seconds) <= 10 * (seconds + CATCH_UP_SECONDS) + 1


def test_a_short_stall_is_caught_up(tmp_path: Path) -> None:
    """A garbage collection, a slow disk: at 1,200 a minute every lost tenth of a second is two calls."""
    clock = Clock()
    limited = limiter(tmp_path / "q", clock, requests_per_minute=600)
    begun = starts(limited, clock, 5)
    clock.now += 0.9 * CATCH_UP_SECONDS
    begun += starts(limited, clock, 5)
    assert clock() - begun[0] == pytest.approx(10.9, abs=0.11)
    assert len(begun) == pytest.approx(109, abs=1)


def test_a_waiting_call_does_not_keep_others_from_their_turns(tmp_path: Path) -> None:
    """Sleeping under the lock would make 32 threads one."""
    clock = Clock()
    waiting, go_on = threading.Event(), threading.Event()

    def sleep(_: float) -> None:
        waiting.set()
        assert go_on.wait(PATIENCE)

    limited = limiter(tmp_path / "q", clock, sleep=sleep, requests_per_minute=60)
    limited.wait_for_turn(0)
    sleeper = threading.Thread(target=limited.wait_for_turn, args=(0,))
    sleeper.start()
    assert waiting.wait(PATIENCE)
    slept: list[float] = []
    limiter(tmp_path / "q", clock, sleep=slept.append, requests_per_minute=60).wait_for_turn(0)
    go_on.set()
    sleeper.join(PATIENCE)
    assert slept == [pytest.approx(2.0)]


# --- tokens -----------------------------------------------------------------------------------


def test_tokens_are_reserved_up_front(tmp_path: Path) -> None:
    """Bedrock reserves prompt and maxTokens when a call starts: 100 calls a minute fit here, and not one more."""
    clock = Clock()
    begun = starts(limiter(tmp_path / "q", clock, tokens_per_minute=100_000), clock, 60, reserved=1_000)
    assert len(begun) in (100, 101)


@pytest.mark.parametrize(
    ("usage", "burndown", "used"),
    [
        (None, 1, 0),
        (TokenUsage(), 10, 0),
        (TokenUsage(input_tokens=300), 10, 300),
        (TokenUsage(cache_write_tokens=300), 10, 300),
        (TokenUsage(cache_read_tokens=900), 10, 0),
        (TokenUsage(output_tokens=50), 10, 500),
        (TokenUsage(output_tokens=50), 5, 250),
        (TokenUsage(100, 700, 100, 30), 10, 500),
        (TokenUsage(input_tokens=900, output_tokens=60), 10, 1_500),
    ],
)
def test_settling_gives_back_what_was_not_used_and_cache_reads_are_free(
    tmp_path: Path, usage: TokenUsage | None, burndown: int, used: int
) -> None:
    """Cache reads cost no quota in the end: counted, they cut the throughput of a cached prompt to a fifth. Output
    burns ten times its tokens: not counted, every call of a busy minute is throttled."""
    clock = Clock()
    limited = limiter(tmp_path / "q", clock, tokens_per_minute=60_000, burndown=burndown)
    limited.wait_for_turn(1_000)
    limited.release_reserved(1_000, usage)
    limited.wait_for_turn(0)
    assert clock() - 10_000 == pytest.approx(used / 1_000)


def wait_of_another_run(path: Path, clock: Clock) -> float:
    before = clock()
    limiter(path, clock, tokens_per_minute=60_000).wait_for_turn(0)
    return clock() - before


def test_calls_that_have_ended_leave_nothing_reserved_for_other_runs(tmp_path: Path) -> None:
    """What a call did not use is given back by the next that starts. Of the last ones nobody starts after them: their
    tokens stayed reserved, and other runs waited for calls that were long over."""
    clock = Clock()
    limited = limiter(tmp_path / "q", clock, tokens_per_minute=60_000)
    limited.wait_for_turn(1_000)
    limited.wait_for_turn(1_000)
    limited.release_reserved(1_000, None)
    limited.release_reserved(1_000, None)
    assert wait_of_another_run(tmp_path / "q", clock) == 0


def test_a_run_that_is_ending_gives_back_at_once_what_a_call_did_not_use(tmp_path: Path) -> None:
    """Its slowest call may take a minute more, and none starts meanwhile."""
    clock = Clock()
    limited = limiter(tmp_path / "q", clock, tokens_per_minute=60_000)
    limited.wait_for_turn(1_000)
    limited.wait_for_turn(1_000)
    limited.expect_no_more()
    limited.release_reserved(1_000, None)
    assert wait_of_another_run(tmp_path / "q", clock) == 0


def test_the_next_call_that_starts_gives_back_what_an_ended_one_did_not_use(tmp_path: Path) -> None:
    """A run with thirty calls in flight is never without one."""
    clock = Clock()
    limited = limiter(tmp_path / "q", clock, tokens_per_minute=60_000)
    limited.wait_for_turn(1_000)
    limited.wait_for_turn(1_000)
    limited.release_reserved(1_000, None)
    before = clock()
    limited.wait_for_turn(0)
    assert clock() == before


def test_both_quotas_hold_at_once(tmp_path: Path) -> None:
    """The tighter one decides: 20 calls a minute by requests, 12 by tokens."""
    clock = Clock()
    both = limiter(tmp_path / "q", clock, requests_per_minute=20, tokens_per_minute=12_000)
    assert len(starts(both, clock, 60, reserved=1_000)) in (12, 13)
    clock.now += 100
    assert len(starts(both, clock, 60, reserved=10)) in (20, 21)


def test_a_throttle_under_a_stated_quota_rests_and_keeps_the_rate(tmp_path: Path) -> None:
    """Halving a stated quota at each throttle ended at a tenth of what was paid for."""
    clock = Clock()
    limited = limiter(tmp_path / "q", clock, requests_per_minute=600)
    starts(limited, clock, 2)
    limited.slow_down()
    before = clock()
    limited.wait_for_turn(0)
    assert clock() - before >= REST_SECONDS
    assert len(starts(limited, clock, 60)) == pytest.approx(600, abs=1)


# --- sharing ----------------------------------------------------------------------------------


def test_two_limiters_of_one_process_share_one_rate(tmp_path: Path) -> None:
    """botocore's adaptive mode counts by client: two runs ask twice the quota."""
    clock = Clock()
    pair = [limiter(tmp_path / "q", clock, requests_per_minute=600) for _ in range(2)]
    until, begun = clock() + 60, 0
    while clock() < until:
        pair[begun % 2].wait_for_turn(0)
        begun += 1
    assert begun in (600, 601, 602)


_TURNS = """
import sys
from pathlib import Path
from cs_features.extraction.quota import Limiter
slept = []
limited = Limiter(Path(sys.argv[1]), requests_per_minute=600, tokens_per_minute=None, burndown=1,
                  clock=lambda: 10_000.0, sleep=slept.append)
print("ready", flush=True)
sys.stdin.readline()
for _ in range(100):
    limited.wait_for_turn(0)
print(*slept)
"""


@pytest.mark.heavy
def test_processes_take_their_turns_from_one_clock(tmp_path: Path) -> None:
    """Parallelism is threads in a run times runs, and the quota is the account's: with time standing still, 300
    turns of three processes are 300 different turns without a gap."""
    children = [
        subprocess.Popen(
            [sys.executable, "-c", _TURNS, str(tmp_path / "q")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=REPOSITORY,
        )
        for _ in range(3)
    ]
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    turns = sorted(float(turn) for child in children for turn in child.communicate(timeout=PATIENCE)[0].split())
    # The very first turn is now, so nobody slept for it.
    assert turns == [pytest.approx(number / 10) for number in range(1, 300)]


def test_models_do_not_share_a_rate(tmp_path: Path) -> None:
    """Each model has a quota of its own, and a file of its own."""
    clock = Clock()
    for name in ("one", "other"):
        limiter(tmp_path / name, clock, requests_per_minute=1).wait_for_turn(0)
    assert clock.slept == []


# --- sharing with other hosts -----------------------------------------------------------------


class Others:
    """Who knows the runs on other hosts: the share that they leave, and how often they were asked for it."""

    def __init__(self, share: float = 1.0) -> None:
        self.share, self.asked, self.left = share, 0, 0

    def find_share(self) -> float:
        self.asked += 1
        return self.share

    def leave_quota(self) -> None:
        self.left += 1


def test_a_host_keeps_to_its_share_and_has_all_of_the_quota_when_it_is_alone_again(tmp_path: Path) -> None:
    """Four hosts of one stated quota were throttled 31.6 % of the time, and shares set by hand left idle what a host
    without work did not use."""
    clock, others = Clock(), Others(0.25)
    limited = limiter(tmp_path / "q", clock, requests_per_minute=600, others=others)
    assert len(starts(limited, clock, 60)) in (150, 151)
    others.share = 1.0
    starts(limited, clock, SHARE_SECONDS + 1)
    assert len(starts(limited, clock, 60)) == pytest.approx(600, abs=1)
    others.share = 0.5
    starts(limited, clock, SHARE_SECONDS + 1)
    assert len(starts(limited, clock, 60)) == pytest.approx(300, abs=1)


def test_the_share_holds_for_tokens_too(tmp_path: Path) -> None:
    clock, others = Clock(), Others(0.5)
    limited = limiter(tmp_path / "q", clock, tokens_per_minute=60_000, others=others)
    assert len(starts(limited, clock, 60, reserved=1_000)) in (30, 31)


def test_others_are_asked_once_a_second_however_many_calls_there_are(tmp_path: Path) -> None:
    """Each time is a query to Dagster's database."""
    clock, others = Clock(), Others(1.0)
    starts(limiter(tmp_path / "q", clock, requests_per_minute=6_000, others=others), clock, 60)
    assert others.asked <= 60 / SHARE_SECONDS + 1


def test_a_run_that_knows_nobody_keeps_to_what_another_on_its_host_has_found(tmp_path: Path) -> None:
    """`make evaluate` beside a run of the daemon: it took the whole quota, and the other host was throttled for it."""
    clock, others = Clock(), Others(0.25)
    limiter(tmp_path / "q", clock, requests_per_minute=600, others=others).wait_for_turn(0)
    command = limiter(tmp_path / "q", clock, requests_per_minute=600)
    assert len(starts(command, clock, 20)) in (49, 50)
    clock.now += BELIEVE_SHARE_SECONDS  # the run has ended, and nobody asks any more
    assert len(starts(command, clock, 60)) in (600, 601)


def test_a_run_that_has_asked_for_all_leaves_its_share_to_the_others(tmp_path: Path) -> None:
    """In the seconds of its last answers each of four hosts held a quarter of the quota and asked nothing."""
    clock, others = Clock(), Others(0.5)
    limited = limiter(tmp_path / "q", clock, requests_per_minute=600, others=others)
    limited.wait_for_turn(0)
    assert (others.asked, others.left) == (1, 0)
    limited.expect_no_more()
    assert (others.asked, others.left) == (1, 1)
    limited.wait_for_turn(0)  # a retry
    assert (others.asked, others.left) == (2, 2)


def test_calls_that_still_wait_keep_the_share(tmp_path: Path) -> None:
    """Left too early, 32 calls that had been handed out were asked beside everybody else's."""
    clock, others = Clock(), Others(0.1)
    limited = limiter(tmp_path / "q", clock, requests_per_minute=60, others=others)
    left: list[int] = []

    def sleep(seconds: float) -> None:
        limited.expect_no_more()  # while this call waits
        left.append(others.left)
        clock.sleep(seconds)

    limited.wait_for_turn(0)
    limited._sleep = sleep
    limited.wait_for_turn(0)
    assert set(left) == {0}
    assert others.left == 1


# --- a quota that was read --------------------------------------------------------------------


class Account:
    """What the account's quota is, and how often somebody asked."""

    def __init__(self, requests: float | None = None, tokens: float | None = None) -> None:
        self.quota, self.asked = Quota(requests, tokens), 0
        self.may_answer = threading.Event()
        self.may_answer.set()

    def read(self) -> Quota:
        self.asked += 1
        self.may_answer.wait(PATIENCE)
        return self.quota


def test_a_quota_is_read_before_the_first_call_and_by_one_thread(tmp_path: Path) -> None:
    """A run that finds all in its ledger needs no quota, and 32 threads need it once."""
    clock, account = Clock(), Account(60_000)
    limited = limiter(tmp_path / "q", clock, read_quota=account.read)
    assert account.asked == 0
    begun: list[float] = []

    def begin_call() -> None:
        limited.wait_for_turn(0)
        begun.append(clock())

    account.may_answer.clear()
    threads = [threading.Thread(target=begin_call) for _ in range(32)]
    for thread in threads:
        thread.start()
    account.may_answer.set()
    for thread in threads:
        thread.join(PATIENCE)
    assert (account.asked, len(begun)) == (1, 32)


@pytest.mark.parametrize("stated", [{"requests_per_minute": 600}, {"tokens_per_minute": 600}])
def test_where_one_is_stated_none_is_read(tmp_path: Path, stated: dict[str, float]) -> None:
    clock, account = Clock(), Account(1)
    assert len(starts(limiter(tmp_path / "q", clock, read_quota=account.read, **stated), clock, 10, 1)) in (100, 101)
    assert account.asked == 0


def test_a_quota_that_was_read_is_the_pace_from_the_first_call_on(tmp_path: Path) -> None:
    """Found by adapting, a quota of 60 a minute was doubled upon from 240."""
    clock = Clock()
    by_requests = limiter(tmp_path / "q", clock, read_quota=Account(600).read)
    assert len(starts(by_requests, clock, 60)) in (600, 601)
    by_tokens = limiter(tmp_path / "t", clock, read_quota=Account(None, 100_000).read)
    assert len(starts(by_tokens, clock, 60, reserved=1_000)) in (100, 101)
    both = limiter(tmp_path / "b", clock, read_quota=Account(20, 12_000).read)
    assert len(starts(both, clock, 60, reserved=1_000)) in (12, 13)


def test_of_a_quota_that_was_read_each_host_has_its_share(tmp_path: Path) -> None:
    """Four hosts to which nobody stated it each found it by passing it: 10.3 % of their calls were throttled."""
    clock, others = Clock(), Others(0.25)
    limited = limiter(tmp_path / "q", clock, read_quota=Account(600).read, others=others)
    assert len(starts(limited, clock, 60)) in (150, 151)
    tokens = limiter(tmp_path / "t", clock, read_quota=Account(None, 60_000).read, others=others)
    assert len(starts(tokens, clock, 60, reserved=1_000)) in (15, 16)
    limited.expect_no_more()
    assert others.left == 1


def test_a_quota_that_nobody_can_read_is_found(tmp_path: Path) -> None:
    unread, _ = find(tmp_path / "one", 20, 60, read_quota=Account().read)
    found, _ = find(tmp_path / "other", 20, 60)
    assert (unread.answered, unread.throttled) == (found.answered, found.throttled)


def test_after_throttles_less_of_it_is_used_and_then_all_of_it_again(tmp_path: Path) -> None:
    """The quota is the account's, and another project may use a part of it for an hour. What somebody states is kept
    to, because he has left the others theirs."""
    clock = Clock()
    limited = limiter(tmp_path / "q", clock, read_quota=Account(600).read)
    starts(limited, clock, 5)
    for _ in range(5):
        clock.now += 2 * EPISODE_SECONDS
        limited.slow_down()
    low = len(starts(limited, clock, 10))
    assert 40 <= low <= 60
    later = len(starts(limited, clock, 10))
    assert low < later < 80
    clock.now += FORGET_SECONDS / 2
    assert len(starts(limited, clock, 60)) in (600, 601)


def test_tokens_slow_down_as_calls_do(tmp_path: Path) -> None:
    clock = Clock()
    limited = limiter(tmp_path / "q", clock, read_quota=Account(None, 600_000).read)
    limited.wait_for_turn(0)
    for _ in range(5):
        clock.now += 2 * EPISODE_SECONDS
        limited.slow_down()
    assert 40 <= len(starts(limited, clock, 10, reserved=1_000)) <= 60


@pytest.mark.parametrize("left", [0.3, 0.5, 0.9])
def test_what_others_leave_of_the_account_is_used_without_a_storm(tmp_path: Path, left: float) -> None:
    """Paced to the whole quota beside another project, half of all calls were thrown back."""
    bedrock, _ = find(tmp_path / "q", 20 * left, 300, read_quota=Account(1_200).read)
    late = [time for time in bedrock.answered if time > 10_060]
    assert len(late) >= 0.85 * 20 * left * 240
    assert len(bedrock.throttled) <= 0.02 * len(bedrock.answered)


def test_an_hour_of_throttles_leaves_a_pace() -> None:
    state = QuotaState()
    for _ in range(500):
        slow_read_pace(state, 10_000.0)
        state.cut = 10_000.0
    assert recover_read_pace(state, 10_000.0) >= 0.005


# --- finding a quota --------------------------------------------------------------------------


class Bedrock:
    """A quota of so many calls a second with a burst of one second, and who hits it."""

    def __init__(self, clock: Clock, per_second: float) -> None:
        self.clock, self.per_second = clock, per_second
        self.level, self.filled = per_second, clock()
        self.answered: list[float] = []
        self.throttled: list[float] = []

    def call(self) -> bool:
        now = self.clock()
        self.level = min(self.per_second, self.level + (now - self.filled) * self.per_second)
        self.filled = now
        if self.level < 1:
            self.throttled.append(now)
            return False
        self.level -= 1
        self.answered.append(now)
        return True


def find(path: Path, per_second: float, seconds: float, **known: Any) -> tuple[Bedrock, Clock]:
    """A run of calls against a quota that nobody has stated."""
    clock = Clock()
    bedrock, limited = Bedrock(clock, per_second), limiter(path, clock, **known)
    until = clock() + seconds
    while clock() < until:
        limited.wait_for_turn(0)
        if not bedrock.call():
            limited.slow_down()
    return bedrock, clock


@pytest.mark.parametrize(("per_second", "throttled"), [(6, 0.03), (20, 0.01), (60, 0.005)])
def test_a_quota_that_nobody_states_is_found_and_used_without_a_storm(
    tmp_path: Path, per_second: float, throttled: float
) -> None:
    """Default quotas differ by account; a fixed guess is either a storm of 429s or an idle account."""
    bedrock, _ = find(tmp_path / "q", per_second, 300)
    late = [time for time in bedrock.answered if time > 10_060]
    assert len(late) >= 0.85 * per_second * 240
    assert len(bedrock.throttled) <= throttled * len(bedrock.answered)


def test_the_rate_grows_until_the_first_throttle(tmp_path: Path) -> None:
    """A rate that grows by one call a minute reaches a quota of 20 a second after the day is over."""
    clock = Clock()
    limited = limiter(tmp_path / "q", clock)
    begun = starts(limited, clock, 20)
    by_second = [sum(second <= time - begun[0] < second + 1 for time in begun) for second in range(20)]
    assert by_second[0] <= 2 * START_PER_SECOND
    assert by_second[-1] > 50 * START_PER_SECOND
    assert by_second == sorted(by_second)


def pace(limited: Limiter, clock: Clock) -> float:
    """Calls a second, as two turns that follow each other tell it once nothing is left to catch up."""
    before = clock()
    while clock() == before:
        limited.wait_for_turn(0)
    before = clock()
    limited.wait_for_turn(0)
    return 1 / (clock() - before)


def grown(path: Path) -> tuple[Limiter, Clock]:
    """A limiter that has grown to some 30 calls a second and was never throttled."""
    clock = Clock()
    limited = limiter(path, clock)
    starts(limited, clock, 6)
    return limited, clock


def test_throttles_that_arrive_together_cut_the_rate_once(tmp_path: Path) -> None:
    """Thirty-two calls in flight are thrown back together: cut for each of them the rate falls to nothing."""
    one, clock_of_one = grown(tmp_path / "one")
    many, clock_of_many = grown(tmp_path / "many")
    before = pace(one, clock_of_one)
    pace(many, clock_of_many)
    one.slow_down()
    for _ in range(32):
        clock_of_many.now += EPISODE_SECONDS / 50
        many.slow_down()
    after = pace(one, clock_of_one)
    assert after == pytest.approx(pace(many, clock_of_many), rel=0.05)
    assert 0.5 * before < after < 0.9 * before


def test_a_later_throttle_is_another_episode_and_cuts_again(tmp_path: Path) -> None:
    """One cut for ever would leave the run above a quota that has shrunk."""
    limited, clock = grown(tmp_path / "q")
    limited.slow_down()
    first = pace(limited, clock)
    for _ in range(10):
        clock.now += 2 * EPISODE_SECONDS
        limited.slow_down()
    assert pace(limited, clock) < 0.6 * first


def test_after_the_first_throttle_the_rate_creeps_and_no_longer_doubles(tmp_path: Path) -> None:
    """Doubling again after each cut throttles a quarter of all calls for ever; never growing again wastes a quota
    that was only busy for a minute."""
    limited, clock = grown(tmp_path / "q")
    limited.slow_down()
    low = pace(limited, clock)
    starts(limited, clock, 10)
    middle = pace(limited, clock)
    starts(limited, clock, 60)
    high = pace(limited, clock)
    assert low < middle < 1.5 * low
    assert high > middle


def test_calls_that_do_not_wait_teach_nothing(tmp_path: Path) -> None:
    """A trickle of one call a second does not show that a hundred would pass; grown on it, a backfill began in a
    storm."""
    clock = Clock()
    limited = limiter(tmp_path / "q", clock)
    for _ in range(100):
        limited.wait_for_turn(0)
        clock.now += 1
    assert most_within(starts(limited, clock, 1), 1) <= 2 * START_PER_SECOND


def test_the_rate_never_falls_to_nothing(tmp_path: Path) -> None:
    """An hour of throttles (another team's backfill) must not leave a run that never asks again."""
    limited, clock = grown(tmp_path / "q")
    for _ in range(500):
        clock.now += 2 * EPISODE_SECONDS
        limited.slow_down()
    clock.slept.clear()
    limited.wait_for_turn(0)
    limited.wait_for_turn(0)
    assert sum(clock.slept) < 30


def test_a_queue_longer_than_the_memory_of_the_file_keeps_its_order(tmp_path: Path) -> None:
    """A new account has two requests a minute, and 32 threads stand in line for a quarter of an hour: a file that
    took the far end of the line for damage let the rest of them go at once."""
    clock, slept = Clock(), [0.0]
    limited = limiter(tmp_path / "q", clock, sleep=slept.append, requests_per_minute=2)
    for _ in range(64):
        limited.wait_for_turn(0)
    assert slept == [pytest.approx(30 * number) for number in range(64)]

    tokens: list[float] = [0.0]
    limited = limiter(tmp_path / "t", clock, sleep=tokens.append, tokens_per_minute=5_000)
    for _ in range(32):
        limited.wait_for_turn(4_000)
    assert tokens == [pytest.approx(48 * number) for number in range(32)]

    both: list[float] = [0.0]
    limited = limiter(tmp_path / "b", clock, sleep=both.append, requests_per_minute=1_200, tokens_per_minute=10_000)
    for _ in range(64):
        limited.wait_for_turn(4_000)
    assert both == [pytest.approx(24 * number) for number in range(64)]


# --- the file ---------------------------------------------------------------------------------


def test_what_one_run_found_the_next_one_uses_unless_it_is_old(tmp_path: Path) -> None:
    """Each run that starts at four calls a second loses half a minute; last night's rate says nothing about now."""
    _, clock = grown(tmp_path / "q")
    assert pace(limiter(tmp_path / "q", clock), clock) > 4 * START_PER_SECOND
    clock.now += FORGET_SECONDS + 1
    assert pace(limiter(tmp_path / "q", clock), clock) <= 2 * START_PER_SECOND


def test_after_a_reboot_the_clock_starts_anew(tmp_path: Path) -> None:
    """CLOCK_MONOTONIC begins at zero again: the turns of before lie days ahead."""
    path = tmp_path / "q"
    starts(limiter(path, Clock(now=900_000.0), requests_per_minute=60), Clock(now=900_000.0), 0)
    clock = Clock(now=40.0)
    limiter(path, clock, requests_per_minute=60).wait_for_turn(0)
    assert clock.slept == []


_NOW = 100.0  # seconds after a boot


@given(content=st.binary(max_size=120), stated=st.sampled_from([None, 600.0]))
@example(content=b"", stated=None)
@example(content=b"half a st", stated=None)
@example(content=b"\0" * 48, stated=None)
@example(content=b"\xff" * 48, stated=None)
@example(content=b"not a state at all, and longer than any state that there was", stated=600.0)
@example(content=struct.pack("<6d", 0, 0, math.nan, 0, _NOW, 0), stated=None)
def test_a_corrupt_file_is_started_anew(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, stated: float | None
) -> None:
    """A host that lost power leaves a file of zeros: every run ended in a ZeroDivisionError until somebody deleted
    it, or, with other garbage, asked without any limit."""
    clock, path = Clock(now=_NOW), tmp_path_factory.mktemp("quota") / "q"
    path.write_bytes(content)
    limited = limiter(path, clock, requests_per_minute=stated)
    begun = []
    for _ in range(12):
        limited.wait_for_turn(0)
        begun.append(clock())
    assert begun[0] == _NOW
    assert 0.5 < begun[-1] - begun[0] < 5


# --- locks ------------------------------------------------------------------------------------


class Held:
    """A first call that stands still inside the limiter's lock, and whether a second one gets in beside it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.inside, self.go_on = threading.Event(), threading.Event()
        self.second_waits_or_is_in = threading.Event()
        self.second_is_in = False
        self.first_thread: int | None = None
        self.clock_now = 10_000.0
        self._flock = fcntl.flock
        monkeypatch.setattr(fcntl, "flock", self.flock)

    def clock(self) -> float:
        """Asked inside the lock, and nowhere else."""
        me = threading.get_ident()
        if self.first_thread is None:
            self.first_thread = me
            self.inside.set()
            assert self.go_on.wait(PATIENCE)
        elif me != self.first_thread and not self.go_on.is_set():
            self.second_is_in = True
            self.second_waits_or_is_in.set()
        return self.clock_now

    def flock(self, file: int, operation: int) -> None:
        if operation == fcntl.LOCK_EX and self.inside.is_set() and not self.go_on.is_set():
            self.second_waits_or_is_in.set()
        self._flock(file, operation)

    def lock_of(self, limited: Limiter) -> None:
        """Tell when a thread waits for the limiter's own lock."""
        held, lock = self, limited._threads

        class Telling:
            def __enter__(self) -> None:
                if held.inside.is_set() and not held.go_on.is_set():
                    held.second_waits_or_is_in.set()
                lock.acquire()

            def __exit__(self, *_: object) -> None:
                lock.release()

        limited._threads = Telling()  # type: ignore[assignment]

    def run(self, one: Limiter, other: Limiter) -> None:
        threads = [threading.Thread(target=each.wait_for_turn, args=(0,)) for each in (one, other)]
        threads[0].start()
        assert self.inside.wait(PATIENCE)
        threads[1].start()
        assert self.second_waits_or_is_in.wait(PATIENCE)
        self.go_on.set()
        for thread in threads:
            thread.join(PATIENCE)
        assert not self.second_is_in, "two calls booked the same turn"


def test_two_processes_never_book_the_same_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the lock of the file two runs read the same state, and one booking was lost: found 2 times in 3 by a
    race of real processes. Two limiters on one file are as far apart as two processes: the lock is the file's."""
    held, slept = Held(monkeypatch), [0.0]
    one = limiter(tmp_path / "q", Clock(), sleep=slept.append, requests_per_minute=60)
    other = limiter(tmp_path / "q", Clock(), sleep=slept.append, requests_per_minute=60)
    one._clock = other._clock = held.clock
    held.run(one, other)
    assert sorted(slept) == [0.0, 1.0]


def test_two_threads_of_a_run_never_book_the_same_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lock of the file is held by the process, for all of its threads at once: it keeps none of them out."""
    held, slept = Held(monkeypatch), [0.0]
    limited = limiter(tmp_path / "q", Clock(), sleep=slept.append, requests_per_minute=60)
    limited._clock = held.clock
    held.lock_of(limited)
    held.run(limited, limited)
    assert sorted(slept) == [0.0, 1.0]
