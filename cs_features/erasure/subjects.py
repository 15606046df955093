"""Whose data it is: the question that whoever reads a stored document, row or line asks, and the request's answer.

Here: plain comparisons with what a request names. Not here: the same by keyed hashes, after the names are forgotten
(`tombstones.py`).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Protocol
from uuid import UUID

from cs_features.errors import RequestError


class Erased(Protocol):
    """Says what is erased: a request while it is carried out, its tombstones ever after."""

    def __bool__(self) -> bool:
        """False when nothing at all is erased."""

    def covers_interaction(self, interaction_id: str | None) -> bool:
        """Whether an interaction is erased, however its id is spelled."""

    def covers_customer(self, customer_id: str | None, occurred_at: datetime | None = None) -> bool:
        """Whether a customer's interaction of then is erased; who comes back after his erasure is a customer again."""

    def covers_request(self, request_hash: str) -> bool:
        """Whether the ledger's answers to a request are erased."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What a request names, and what was found to belong to it: everything up to `until`."""

    until: datetime
    customer_id: str | None = None
    interaction_ids: frozenset[str] = frozenset()
    requests: frozenset[str] = field(default=frozenset())  # hashes of requests that are of no other interaction

    def __bool__(self) -> bool:
        return bool(self.customer_id or self.interaction_ids)

    def covers_interaction(self, interaction_id: str | None) -> bool:
        return interaction_id is not None and normalize_id(interaction_id) in self.interaction_ids

    def covers_customer(self, customer_id: str | None, occurred_at: datetime | None = None) -> bool:
        is_his = self.customer_id is not None and customer_id == self.customer_id
        return is_his and (occurred_at is None or occurred_at <= self.until)

    def covers_request(self, request_hash: str) -> bool:
        return request_hash in self.requests

    def is_named_in(self, body: bytes) -> bool:
        """Whether a name stands there as a word of its own, where nothing can be parsed: c-10 does not name c-1."""
        return self._names.search(body) is not None

    @cached_property
    def _names(self) -> "re.Pattern[bytes]":
        named = sorted([*self.interaction_ids, *([self.customer_id] if self.customer_id else [])])
        words = "|".join(re.escape(name) for name in named).encode("utf-8", "surrogatepass")
        return re.compile(rb"(?<![\w-])(?:" + words + rb")(?![\w-])", re.IGNORECASE)


def make_subject(customer_id: str | None, interaction_ids: Iterable[str], until: datetime) -> Subject:
    """The subject of a request.

    Raises:
        RequestError: nobody is named, or an id is no UUID.
    """
    ids = [each.strip() for each in interaction_ids if each.strip()]
    wrong = [each for each in ids if not _is_uuid(each)]
    if wrong:
        raise RequestError(f"{len(wrong)} of {len(ids)} interaction ids are no UUIDs: give them as the documents do")
    if not customer_id and not ids:
        raise RequestError("Nobody is named: give a customer_id, or interaction ids")
    normal = frozenset(normalize_id(each) for each in ids)
    return Subject(until=until, customer_id=customer_id or None, interaction_ids=normal)


def normalize_id(value: str) -> str:
    """The one spelling of a UUID; what is none stays as it is."""
    try:
        return str(UUID(value))
    except ValueError:
        return value


def _is_uuid(value: str) -> bool:
    try:
        UUID(value)
    except ValueError:
        return False
    return True
