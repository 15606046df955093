"""Whose a line of the ledger or of a journal is: the interactions whose text was asked, and what is left of a line when
one of them is erased.

A request is a text, and several interactions may have the same: a line is theirs together, and goes when the last of
them is erased. Lines of older versions name none: of those the hash of their request decides. Pure.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cs_features.erasure.subjects import Erased

Owners = Mapping[str, Sequence[str]]
"""Interaction ids by the hash of the request that each needs."""


def strip_erased_lines(line: bytes, erased: Erased) -> bytes | None:
    """The line without who is erased; None when it is of nobody else."""
    entry = _parse_entry(line) if erased else None
    if entry is None:
        return line
    named = entry.get("interactions")
    if isinstance(named, list) and named:
        left = [each for each in named if not erased.covers_interaction(str(each))]
        if len(left) == len(named):
            return line
        return json.dumps({**entry, "interactions": left}, separators=(",", ":")).encode() if left else None
    request = entry.get("request")
    return None if isinstance(request, str) and erased.covers_request(request) else line


def strip_all_lines(lines: Iterable[bytes], erased: Erased) -> list[bytes]:
    """What is left of many lines, in their order."""
    kept = [strip_erased_lines(line, erased) for line in lines]
    return [line for line in kept if line is not None]


def drop_refused_answer(line: bytes) -> bytes:
    """A line as it is kept since refused answers are not: older versions kept what the rules had refused."""
    if b'"error":null' in line or b'"raw":null' in line:
        return line
    entry = _parse_entry(line)
    if entry is None or entry.get("error") is None or not entry.get("raw"):
        return line
    return json.dumps({**entry, "raw": None}, separators=(",", ":")).encode()


def _parse_entry(line: bytes) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) else None
