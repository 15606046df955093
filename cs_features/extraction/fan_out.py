"""Many requests at once: the first one alone, then as many as may be in flight. What asking is, `engine.py` decides."""

import itertools
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from queue import SimpleQueue

from cs_features.extraction.engine import Outcome
from cs_features.extraction.prompting import ConverseRequest

MAX_WARM_UPS = 5
# How long a thread may keep the interpreter. At Python's 5 ms the threads of a busy machine take it from one another
# in the middle of everything, between a paid reply and its line in the journal, too.
SWITCH_SECONDS = 0.05


def fan_out(
    requests: Iterable[tuple[str, ConverseRequest]],
    ask: Callable[[str, ConverseRequest], Outcome],
    concurrency: int,
) -> Iterator[Outcome]:
    """Ask all requests, `concurrency` at a time, and yield outcomes as they come.

    The first request is asked alone: its prefix is in the model's cache before the others need it. If it
    is refused unread, the next one is.
    When a call raises, no new one starts; those in flight are paid for, so their outcomes are
    yielded before the error is raised.
    """
    todo = iter(requests)
    for request in itertools.islice(todo, MAX_WARM_UPS):
        outcome = ask(*request)
        yield outcome
        if outcome.usage.prompt_tokens:
            break
    waiting: SimpleQueue[tuple[str, ConverseRequest] | None] = SimpleQueue()
    finished: SimpleQueue[Outcome | BaseException] = SimpleQueue()

    def ask_what_waits() -> None:
        for request in iter(waiting.get, None):
            try:
                finished.put(ask(*request))
            except BaseException as error:
                finished.put(error)

    stopper: BaseException | None = None
    pool = ThreadPoolExecutor(concurrency, thread_name_prefix="bedrock")
    with _switch_threads_patiently(), pool, _send_threads_home(waiting, concurrency):
        running = 0
        for request in itertools.islice(todo, concurrency):
            waiting.put(request)
            pool.submit(ask_what_waits)
            running += 1
        while running:
            result = finished.get()
            if isinstance(result, BaseException):
                stopper = stopper or result
            following = None if stopper else next(todo, None)
            if following is None:
                running -= 1
            else:
                waiting.put(following)
            if not isinstance(result, BaseException):
                yield result
    if stopper is not None:
        raise stopper


@contextmanager
def _send_threads_home(waiting: "SimpleQueue[tuple[str, ConverseRequest] | None]", threads: int) -> Iterator[None]:
    """Whatever ends the asking: a thread that waits for a request would wait for ever."""
    try:
        yield
    finally:
        for _ in range(threads):
            waiting.put(None)


@contextmanager
def _switch_threads_patiently() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_SECONDS)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
