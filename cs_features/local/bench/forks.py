"""Lives: forks of a process that has imported everything and started no thread, to be killed at any moment.

A fork starts in a hundredth of the time that a fresh process takes. What a life does is the scenarios' business.
"""

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress

LIFE_SECONDS = 300
LOOK_SECONDS = 0.002


def fork_life(live: Callable[[], None]) -> int:
    """A life that does `live`, as its process id; it ends with status 1 when that raises."""
    life = os.fork()
    # A group of its own, to be killed whole; set on both sides, because either may be first.
    with suppress(ProcessLookupError, PermissionError):
        os.setpgid(life, life)
    if life:
        return life
    code = 1
    try:
        live()
        code = 0
    except BaseException:
        traceback.print_exc(file=sys.stderr)
    finally:
        sys.stderr.flush()
        os._exit(code)


def wait_for_life(life: int, reached: Callable[[], bool] = lambda: False) -> None:
    """Until `reached`, or until the life has ended by itself.

    Raises:
        RuntimeError: neither was so in time; the life is killed.
    """
    deadline = time.monotonic() + LIFE_SECONDS
    while not reached() and os.waitid(os.P_PID, life, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        if time.monotonic() > deadline:
            kill_life(life)
            raise RuntimeError(f"a life was not done after {LIFE_SECONDS} s")
        time.sleep(LOOK_SECONDS)


def kill_life(life: int) -> int | None:
    """End a life and its group with SIGKILL; its status when it had ended by itself before that."""
    os.killpg(life, signal.SIGKILL)  # one that has ended does not notice
    _, status = os.waitpid(life, 0)
    return None if os.WIFSIGNALED(status) else status


def status_of(life: int) -> int:
    """The status of a life that has ended by itself."""
    return os.waitpid(life, 0)[1]
