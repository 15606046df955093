"""The ledger: what was asked and answered, so that nothing is ever paid for twice.

One folder a partition, `s3://{data bucket}/ledger/country={CC}/date={YYYY-MM-DD}/`, of append-only
objects, a line an outcome, keyed by the hash of the request. An outcome is written to a local journal
the moment it is there and shipped to S3 about once a second: a killed process loses the calls in
flight and nothing else, a lost host a second more. It is a ledger and no cache: no entry expires, and no
operational setting is part of its key. No call is made here.
"""

import fcntl
import json
import logging
import threading
import uuid
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import astuple
from datetime import datetime, timezone
from pathlib import Path
from typing import IO

from typing_extensions import Self

from cs_features.errors import AwsRefusal
from cs_features.extraction.engine import Outcome
from cs_features.extraction.host import host_folder
from cs_features.extraction.pricing import TokenUsage
from cs_features.s3 import Bucket
from cs_features.schemas import Reason

logger = logging.getLogger(__name__)

SHIP_SECONDS = 1.0
COMPACT_ABOVE = 50  # objects

# What passes by itself is asked again by the next run; everything else is an answer of a kind.
NOT_KEPT = frozenset({Reason.SERVICE_FAILED})


def line_of(outcome: Outcome) -> bytes:
    """One ledger line, newline included."""
    entry = {
        "request": outcome.request_hash,
        "answer": outcome.answer,
        "raw": outcome.raw_answer,
        "error": outcome.error.value if outcome.error else None,
        "detail": outcome.detail,
        "tokens": astuple(outcome.usage),
        "cost_usd": outcome.cost_usd,
        "latency_ms": outcome.latency_ms,
        "attempts": outcome.attempts,
    }
    return json.dumps(entry, separators=(",", ":")).encode() + b"\n"


def outcome_of(line: bytes) -> Outcome | None:
    """The outcome of a ledger line; None for a line that a kill has torn."""
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return Outcome(
        request_hash=entry["request"],
        answer=entry["answer"],
        raw_answer=entry["raw"],
        error=Reason(entry["error"])  # type: ignore[call-arg]
        if entry["error"]
        else None,
        detail=entry["detail"],
        usage=TokenUsage(*entry["tokens"]),
        cost_usd=entry["cost_usd"],
        latency_ms=entry["latency_ms"],
        attempts=entry["attempts"],
    )


def merged(lines: Iterable[bytes]) -> dict[str, Outcome]:
    """Outcomes by request: an answer beats a failure, and the later of two equals stands."""
    found: dict[str, Outcome] = {}
    for line in lines:
        outcome = outcome_of(line)
        if outcome is None:
            continue
        known = found.get(outcome.request_hash)
        if known is None or outcome.answered or not known.answered:
            found[outcome.request_hash] = outcome
    return found


class Ledger:
    """One partition's ledger, open for a run. Several runs may hold it at once, on any host.

    `known` are the outcomes that were there when it was opened; `record` adds one and is safe to call
    from many threads. Leaving the context ships what is left, also when the run fails.
    """

    def __init__(self, bucket: Bucket, folder: str, journals: Path | None = None) -> None:
        self._bucket = bucket
        self._prefix = f"ledger/{folder}/"
        self._journals = (journals or host_folder() / "journals") / bucket.name / folder
        self._lock = threading.Lock()
        self._pending: list[bytes] = []
        self._closing = threading.Event()
        self._read: set[str] = set()
        self.known: dict[str, Outcome] = {}

    def __enter__(self) -> Self:
        self._journals.mkdir(parents=True, exist_ok=True, mode=0o700)
        recovered = list(self._recover())
        self.known = merged([*self._read_all(), *recovered])
        if len(self._read) > COMPACT_ABOVE:
            self.compact()  # what many killed runs have left; each restart would read it all
        self._journal_path = self._journals / f"{uuid.uuid4().hex}.jsonl"
        self._journal = _held(self._journal_path)
        self._thread = threading.Thread(target=self._work, name="ledger", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._thread.join()
        with self._journal:
            self._ship()
            # Only now are all its lines in S3; if shipping raised, the next run recovers them.
            self._journal_path.unlink()

    def read(self) -> dict[str, Outcome]:
        """What S3 holds now, for readers that are no run and record nothing."""
        return merged(self._read_all())

    def record(self, outcome: Outcome) -> None:
        """Keep an outcome. When this returns, a kill of the process no longer loses it."""
        if outcome.error in NOT_KEPT:
            return
        line = line_of(outcome)
        with self._lock:
            self._journal.write(line)
            self._journal.flush()
            self._pending.append(line)

    def _learn(self, outcomes: dict[str, Outcome]) -> None:
        for key, outcome in outcomes.items():
            if key not in self.known or outcome.answered or not self.known[key].answered:
                self.known[key] = outcome

    def compact(self) -> None:
        """Merge the objects of finished runs into one. What another run adds meanwhile is left alone."""
        self._ship()
        keys = self._list()
        if len(keys) <= 1:
            return
        bodies = [self._bucket.get(key) for key in keys]
        if None in bodies:
            return  # another run is compacting
        outcomes = merged(line for body in bodies for line in (body or b"").splitlines())
        self._put("compact", [line_of(outcome) for outcome in outcomes.values()])
        self._bucket.delete(keys)

    def _work(self) -> None:
        """Ship what was recorded and learn what other runs of the partition have shipped."""
        while not self._closing.wait(SHIP_SECONDS):
            try:
                self._ship()
                self._learn(merged(self._read_new()))
            except AwsRefusal as error:
                # The journal has the lines; the next round, or the end of the run, ships them.
                logger.warning("Ledger not shipped, trying again: %s", error)

    def _ship(self) -> None:
        with self._lock:
            lines, self._pending = self._pending, []
        if not lines:
            return
        try:
            self._put("part", lines)
        except BaseException:
            with self._lock:
                self._pending = lines + self._pending
            raise

    def _recover(self) -> Iterator[bytes]:
        """Lines that killed runs on this host had no time to ship; they are shipped now."""
        for path in sorted(self._journals.glob("*.jsonl")):
            with suppress(FileNotFoundError, BlockingIOError), path.open("rb+") as journal:
                # A journal that can be locked has no living owner.
                fcntl.flock(journal, fcntl.LOCK_EX | fcntl.LOCK_NB)
                lines = [line for line in journal if outcome_of(line) is not None]
                if lines:
                    self._put("part", [line if line.endswith(b"\n") else line + b"\n" for line in lines])
                path.unlink(missing_ok=True)
                yield from lines

    def _put(self, kind: str, lines: list[bytes]) -> None:
        now = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S%f")
        key = f"{self._prefix}{kind}-{now}-{uuid.uuid4().hex[:8]}.jsonl"
        self._bucket.put(key, b"".join(lines))
        self._read.add(key)

    def _list(self) -> list[str]:
        return [item.key for item in self._bucket.list_objects(self._prefix).objects]

    def _read_all(self) -> list[bytes]:
        """Every line. A compaction elsewhere may delete what was listed: then its successor is listed."""
        while True:
            lines: list[bytes] = []
            keys = self._list()
            bodies = [self._bucket.get(key) for key in keys]
            if None not in bodies:
                self._read.update(keys)
                for body in bodies:
                    lines += (body or b"").splitlines()
                return lines

    def _read_new(self) -> list[bytes]:
        keys = [key for key in self._list() if key not in self._read]
        bodies = [self._bucket.get(key) for key in keys]
        self._read.update(keys)
        return [line for body in bodies if body is not None for line in body.splitlines()]


def _held(path: Path) -> IO[bytes]:
    """A journal that says, by its lock, that its owner lives. It gets its name when it is locked, not before."""
    unnamed = path.with_suffix(".new")
    file = unnamed.open("ab")
    fcntl.flock(file, fcntl.LOCK_EX)
    unnamed.rename(path)
    return file
