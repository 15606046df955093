"""The journal: a run's own file on its host, in which everything that was paid for stands before anybody looks at it.

Two sorts of lines: a reply as it came, and an outcome, which is a line of the ledger (`ledger_lines.py`). Outcomes go
on to S3. Replies never leave the host: they may say what the rules are about to refuse. Once a request has an outcome
its replies are settled; those that are not are judged by the next run on the host, which pays for nothing twice.

Belongs here: the file, its lock, its lines. Not here: S3, and what an outcome says.
"""

import fcntl
import itertools
import json
import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from cs_features.erasure.subjects import Erased
from cs_features.extraction.attribution import strip_all_lines
from cs_features.extraction.bedrock import Reply
from cs_features.extraction.pricing import TokenUsage

REPLY_VERSION = 1


def format_reply_line(name: str, request_hash: str, reply: Reply, interactions: Sequence[str] = ()) -> bytes:
    """One line, newline included. No two have one name: a line that stands in two journals is known to be one."""
    entry = {
        "reply": name,
        "version": REPLY_VERSION,
        "request": request_hash,
        "interactions": list(interactions),
        "tool_use": reply.tool_use,
        "stop_reason": reply.stop_reason,
        "tokens": reply.usage.counts,
        "latency_ms": reply.latency_ms,
    }
    return json.dumps(entry, separators=(",", ":")).encode() + b"\n"


@dataclass
class Content:
    """What a journal holds: the outcomes, and by request the replies that no outcome of it has settled."""

    outcomes: list[bytes] = field(default_factory=list)
    unjudged: dict[str, list[bytes]] = field(default_factory=dict)


def read_journal_content(lines: Iterable[bytes]) -> Content:
    """Lines of a version that came later are kept as outcomes of a later version are: they go to S3 untouched, unless
    they are replies. A kill tears the last line; it says nothing."""
    content = Content()
    for line in lines:
        entry = _parse_entry(line)
        request = entry.get("request") if isinstance(entry, dict) else None
        if entry is None:
            continue
        if isinstance(entry, dict) and "reply" in entry:
            if isinstance(request, str):
                content.unjudged.setdefault(request, []).append(line.rstrip(b"\n"))
            continue
        content.outcomes.append(line.rstrip(b"\n"))
        if isinstance(request, str):
            content.unjudged.pop(request, None)
    return content


def _parse_entry(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def parse_unjudged_replies(lines: Iterable[bytes]) -> list[Reply]:
    """Replies in order; a line that this version cannot understand is none."""
    found = map(_parse_unjudged_reply, lines)
    return [reply for reply in found if reply is not None]


def _parse_unjudged_reply(line: bytes) -> Reply | None:
    entry = _parse_entry(line)
    if not isinstance(entry, dict) or entry.get("version") != REPLY_VERSION:
        return None
    try:
        tool_use, tokens = entry["tool_use"], [int(count) for count in entry["tokens"]]
        if tool_use is not None and not isinstance(tool_use, dict):
            return None
        return Reply(tool_use, str(entry["stop_reason"]), TokenUsage(*tokens), int(entry["latency_ms"]))
    except (KeyError, TypeError, ValueError):
        return None


class Journal:
    """The journal of a living run: locked, and appended to by many threads at once.

    A line is one write to a file opened for appending, which the kernel keeps whole and apart from others: no lock of
    ours, for which a paid reply would have to wait.
    """

    def __init__(self, folder: Path, first_lines: Iterable[bytes] = ()) -> None:
        self.path = folder / f"{uuid.uuid4().hex}.jsonl"
        unnamed = self.path.with_suffix(".new")
        self._file = unnamed.open("ab", buffering=0)
        self._numbers = itertools.count()
        fcntl.flock(self._file, fcntl.LOCK_EX)
        for line in first_lines:
            self.append_journal_line(line + b"\n")
        unnamed.rename(self.path)  # it gets its name when it is locked, not before

    def append_journal_line(self, line: bytes) -> None:
        written = self._file.write(line)
        if written != len(line):
            raise OSError(f"the journal {self.path} took {written} of {len(line)} bytes: is the disk full?")

    def append_unjudged_reply(self, request_hash: str, reply: Reply, interactions: Sequence[str] = ()) -> None:
        # Its name is counted and not drawn: drawing asks the kernel, and while it does other threads take the
        # interpreter. Of 200 kills 81 found a thread waiting there, with a paid reply that was in no journal yet.
        name = f"{self.path.stem}-{next(self._numbers)}"
        self.append_journal_line(format_reply_line(name, request_hash, reply, interactions))

    def read_unjudged_replies(self) -> dict[str, list[bytes]]:
        with self.path.open("rb") as journal:
            return read_journal_content(journal).unjudged

    def close(self) -> None:
        """Leave it to the next run on the host."""
        self._file.close()

    def remove(self) -> None:
        """It holds nothing that is not in S3."""
        self.path.unlink()
        self._file.close()


@dataclass(frozen=True)
class DeadJournal:
    """What a run that was killed, or could not ship, has left behind; locked until it is removed."""

    path: Path
    file: IO[bytes]
    content: Content

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)
        self.file.close()


def lock_dead_journals(folder: Path) -> Iterator[DeadJournal]:
    """Those of this host's journals that have no living owner: they can be locked."""
    for path in sorted(folder.glob("*.jsonl")):
        with suppress(FileNotFoundError, BlockingIOError):
            journal = path.open("rb+")
            try:
                fcntl.flock(journal, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                journal.close()
                raise
            yield DeadJournal(path, journal, read_journal_content(journal))


def strip_erased_journals(folder: Path, erased: Erased) -> int:
    """Take who is erased out of the journals that dead runs left in the folders below; returns how many lines went.

    A living run's cannot be touched: what it ships is looked at when the ledger is opened next.
    """
    removed = 0
    for below in sorted({path.parent for path in folder.rglob("*.jsonl")}):
        for dead in lock_dead_journals(below):
            lines = [*dead.content.outcomes, *itertools.chain.from_iterable(dead.content.unjudged.values())]
            kept = strip_all_lines(lines, erased)
            if kept != lines:
                Journal(below, kept).close()
                dead.remove()
                removed += len(lines) - len(kept)
            dead.file.close()
    return removed


def merge_unjudged_replies(contents: Iterable[Content]) -> dict[str, list[bytes]]:
    """The unjudged replies of several journals by request; one that was carried from one to another counts once."""
    merged: defaultdict[str, dict[bytes, None]] = defaultdict(dict)
    for content in contents:
        for request, lines in content.unjudged.items():
            merged[request].update(dict.fromkeys(lines))
    return {request: list(lines) for request, lines in merged.items()}
