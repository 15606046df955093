"""Two hundred SIGKILLs over one partition: what is paid twice, lost or doubled.

Calls in flight at a kill are paid for whoever kills; what counts is what is asked again although its
answer had come. The clients note each call in a file in shared memory, which a kill leaves as it is;
the bill is the endpoint's.
"""

import mmap
import os
import random
import time
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from cs_features.extraction.engine import Extractor
from cs_features.extraction.prompting import ConverseRequest
from cs_features.extraction.table import build_extraction_table
from cs_features.local.bench.children import Job, run_alone, say_regularly
from cs_features.local.bench.client import DAY, Work, make_document, run_extraction, work_on
from cs_features.local.bench.endpoint import start_endpoint
from cs_features.local.bench.figures import Figure, Say, at_most, equal_to
from cs_features.local.bench.forks import fork_life, kill_life, status_of, wait_for_life
from cs_features.partitions import Partition

COUNTRY = "NL"
TABLE = "llm_extractions"
NEVER, IN_FLIGHT, RETURNED = 0, 1, 2
# Of twenty kills one is kept for the time when all is answered: compaction and the table's writing.
KEPT_FOR_THE_END = 20


def measure_kills(quick: bool, say: Say) -> list[Figure]:
    count, wanted = (400, 20) if quick else (2_000, 200)
    with start_endpoint(latency_mean_s=0.3, latency_p95_s=0.7) as service:

        def describe_progress() -> str:
            return f"{service.read_stats().answered} calls billed so far, {count} needed"

        job = Job(kill_and_restart, {"count": count, "kills": wanted})
        result = run_alone(service, job, 1_500, say_regularly(say, describe_progress))
        while (stats := service.read_stats()).calls_finished < stats.requests:
            time.sleep(0.1)
        frame = service.open_tables().read(TABLE, Partition(COUNTRY, DAY))
    assert frame is not None, "the last life wrote the table"
    ids = Counter(frame["interaction_id"])
    expected = {make_document(number, COUNTRY)["interaction_id"] for number in range(count)}
    answered = set(frame.filter(frame["status"] == "answered")["interaction_id"])
    again, in_flight = result["asked_again"], result["in_flight"]
    # Two ways to count, and the worse one stands: by the clients' notes, and by the endpoint's bill.
    beyond = max(again, stats.answered - in_flight - count)
    note = f"{stats.answered} billed, {count} needed, {in_flight} in flight at {result['kills']} kills"
    return [
        equal_to("kills -9", result["kills"], wanted, f"{result['at_end']} of them after the last answer"),
        at_most("billed / needed beyond calls in flight", 1 + beyond / count, 1.01, lambda value: f"{value:.4f}", note),
        equal_to("lost interactions", len(expected - answered), 0),
        equal_to("doubled interactions", sum(number > 1 for number in ids.values()), 0),
    ]


def kill_and_restart(count: int, kills: int) -> dict[str, Any]:
    """In a client process that has imported everything and made no client and no thread: fork, kill, repeat."""
    work = work_on(COUNTRY, [make_document(number, COUNTRY) for number in range(count)])
    notes = Notes(work, Path(os.environ["TMPDIR"]) / "notes")
    rng = random.Random(7)
    in_flight = done = at_end = 0
    while done < kills:
        left = count - notes.call_states.count(RETURNED)
        goal = notes.call_states.count(RETURNED) + _next_goal(rng, left, kills - done, kills)
        life = fork_life(partial(_live_once, work, notes))
        wait_for_life(life, partial(notes.have_returned, goal))
        time.sleep(rng.uniform(0, 0.06 if left else 0.8))
        if (status := kill_life(life)) is not None:
            _went_well(status)
            continue  # it was quicker than the kill
        done += 1
        at_end += left == 0
        in_flight += notes.forget_calls_in_flight()
    life = fork_life(partial(_live_once, work, notes))
    wait_for_life(life)
    _went_well(status_of(life))
    return {"kills": done, "in_flight": in_flight, "asked_again": notes.asked_again(), "at_end": at_end}


def _went_well(status: int) -> None:
    if status:
        raise RuntimeError(f"a life ended by itself with status {status}; see above")


def _next_goal(rng: random.Random, left: int, kills_left: int, kills: int) -> int:
    """How many answers the next life may see: random, and such that the kills cover the whole partition."""
    kills_left -= kills // KEPT_FOR_THE_END
    return left if kills_left <= 0 else min(left, rng.randint(0, 2 * left // kills_left))


class Notes:
    """A byte a request (never asked, in flight, returned) and one for how often it was asked again after that."""

    def __init__(self, work: Work, path: Path) -> None:
        self._place = {id(request): place for place, request in enumerate(work.requests.values())}
        size = len(self._place)
        path.write_bytes(bytes(2 * size))
        self._file = path.open("r+b")
        self._bytes = mmap.mmap(self._file.fileno(), 2 * size)
        self._size = size

    @property
    def call_states(self) -> bytes:
        return self._bytes[: self._size]

    def have_returned(self, count: int) -> bool:
        return self.call_states.count(RETURNED) >= count

    def asked_again(self) -> int:
        return sum(self._bytes[self._size :])

    def forget_calls_in_flight(self) -> int:
        """How many there were; called when nothing is alive that could have any."""
        flying = [place for place, state in enumerate(self.call_states) if state == IN_FLIGHT]
        for place in flying:
            self._bytes[place] = NEVER
        return len(flying)

    def watch_calls(self, extractor: Extractor) -> Extractor:
        def call_and_note(request: ConverseRequest) -> Any:
            place = self._place[id(request)]
            if self._bytes[place] == RETURNED:
                self._bytes[self._size + place] += 1
            else:
                self._bytes[place] = IN_FLIGHT
            reply = extractor.call(request)
            self._bytes[place] = RETURNED
            return reply

        return replace(extractor, call=call_and_note)


def _live_once(work: Work, notes: Notes) -> None:
    """One life: what `llm_extractions` does, from the ledger to the table."""
    session = run_extraction(work, notes.watch_calls(work.extractor()))
    frame = build_extraction_table(
        work.needed,
        session.outcomes,
        session.asked,
        work.model.model_id,
        work.prompts.version(COUNTRY),
    )
    work.data.tables().write(TABLE, work.partition, frame)
