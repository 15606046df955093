"""Many requests at once: the first one alone, then as many as may be in flight. What asking is, `engine.py` decides."""

import itertools
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
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
    finished: SimpleQueue[Future[Outcome]] = SimpleQueue()
    stopper: BaseException | None = None
    with _switch_threads_patiently(), ThreadPoolExecutor(concurrency, thread_name_prefix="bedrock") as pool:

        def start_pending_calls(count: int) -> int:
            started = 0
            for request in itertools.islice(todo, count):
                pool.submit(ask, *request).add_done_callback(finished.put)
                started += 1
            return started

        running = start_pending_calls(concurrency)
        while running:
            future = finished.get()
            error = future.exception()
            stopper = stopper or error
            running += (0 if stopper else start_pending_calls(1)) - 1
            if error is None:
                yield future.result()
    if stopper is not None:
        raise stopper


@contextmanager
def _switch_threads_patiently() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_SECONDS)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
