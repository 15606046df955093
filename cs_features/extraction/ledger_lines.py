"""A line of the ledger: how an asking is written down, read back, and what several askings say together.

Belongs here: pure functions of lines. Does not belong here: where lines are kept (`ledger.py`).

A line is one asking of one request, with its own bill. Other versions of this project wrote and will write other
lines: one that this version cannot understand says nothing to it, and is kept as it is.
"""

import json
import math
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from cs_features.extraction.attribution import drop_refused_answer
from cs_features.extraction.engine import Outcome
from cs_features.extraction.pricing import TokenUsage
from cs_features.schemas import Reason

VERSION = 2  # of the lines; the first one had no number and merged the askings of a request into one line

# What passes by itself: only its bill is kept, and the next run asks again.
PASSING = frozenset({Reason.SERVICE_FAILED})


def format_ledger_line(outcome: Outcome, interactions: Sequence[str] = ()) -> bytes:
    """One ledger line, newline included. No two are alike: a line read twice is known to be the same asking.

    `interactions` are those whose text was asked.
    """
    entry = {
        "version": VERSION,
        "asking": uuid.uuid4().hex,
        "request": outcome.request_hash,
        "interactions": list(interactions),
        "answer": outcome.answer,
        "raw": outcome.raw_answer,
        "error": outcome.error.value if outcome.error else None,
        "detail": outcome.detail,
        "tokens": outcome.usage.counts,
        "cost_usd": outcome.cost_usd,
        "latency_ms": outcome.latency_ms,
        "attempts": outcome.attempts,
    }
    return json.dumps(entry, separators=(",", ":")).encode() + b"\n"


def parse_ledger_line(line: bytes) -> Outcome | None:
    """The outcome of a line; None for one that says nothing to this version."""
    try:
        entry = json.loads(line)
        if not isinstance(entry, dict) or entry.get("version", 1) > VERSION:
            return None
        error = entry.get("error")
        outcome = Outcome(
            request_hash=_require_line_text(entry["request"]),
            answer=_require_object_or_none(entry.get("answer")),
            raw_answer=None if error is not None else _require_text_or_none(entry.get("raw")),
            error=None if error is None else Reason(error),  # type: ignore[call-arg]
            detail=_require_text_or_none(entry.get("detail")),
            usage=TokenUsage(*map(_require_line_count, entry.get("tokens", ()))),
            cost_usd=_require_line_amount(entry.get("cost_usd", 0.0)),
            latency_ms=_require_line_count(entry.get("latency_ms", 0)),
            attempts=_require_line_count(entry.get("attempts", 0)),
        )
    except (KeyError, TypeError, ValueError, RecursionError):
        return None
    return outcome if outcome.answered or outcome.error is not None else None


def _require_line_text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value


def _require_text_or_none(value: Any) -> str | None:
    return None if value is None else _require_line_text(value)


def _require_object_or_none(value: Any) -> dict[str, Any] | None:
    if value is not None and not isinstance(value, dict):
        raise TypeError("not an object")
    return value


def _require_line_count(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise TypeError("not a count")
    return value


def _require_line_amount(value: Any) -> float:
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value < math.inf:
        raise TypeError("not an amount")
    return float(value)


class Askings:
    """Lines, each of them once and in order, and what they say together.

    `known` are the outcomes by request: an answer beats a failure, and the later of two equals counts; its tokens,
    cost and attempts add up every asking of the request. `totals` has those requests, too, that only the service
    has failed: they have a bill and are not known.
    """

    def __init__(self, lines: Iterable[bytes] = ()) -> None:
        self._lines: dict[bytes, None] = {}
        self.known: dict[str, Outcome] = {}
        self.totals: dict[str, Outcome] = {}
        for line in lines:
            self.add_ledger_line(line)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._lines)

    def __len__(self) -> int:
        return len(self._lines)

    def add_ledger_line(self, line: bytes) -> None:
        line = drop_refused_answer(line.rstrip(b"\r\n"))
        if line and line not in self._lines:
            self.add_outcome_asking(line, parse_ledger_line(line))

    def add_outcome_asking(self, line: bytes, outcome: Outcome | None) -> None:
        """A new line of which it is known what it says."""
        self._lines[line.rstrip(b"\r\n")] = None
        if outcome is None:
            return
        total = _combine_askings(self.totals.get(outcome.request_hash), outcome)
        self.totals[outcome.request_hash] = total
        if total.error not in PASSING:
            self.known[outcome.request_hash] = total


def _combine_askings(earlier: Outcome | None, later: Outcome) -> Outcome:
    if earlier is None:
        return later
    if _rank_line_outcome(later) >= _rank_line_outcome(earlier):
        return later.add_bill_of(earlier)
    return earlier.add_bill_of(later)


def _rank_line_outcome(outcome: Outcome) -> int:
    if outcome.answered:
        return 2
    return 0 if outcome.error in PASSING else 1


def find_copied_objects(lines: Mapping[str, Sequence[bytes]]) -> list[str]:
    """Keys of objects whose every line the largest one holds, too. Of equal ones the last key is the largest."""
    if len(lines) < 2:
        return []
    sets = {key: set(there) for key, there in lines.items()}
    largest = max(sets, key=lambda key: (len(sets[key]), key))
    return [key for key in sets if key != largest and sets[key] <= sets[largest]]
