"""Whose data it is: the question that whoever reads a stored document, row or line asks, and the request's answer.

Here: plain comparisons with what a request names. Not here: the same by keyed hashes, after the names are forgotten
(`tombstones.py`).
"""

import json
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import Protocol
from uuid import UUID

from cs_features.errors import RequestError

_ONE_SPELLING = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")  # most have it already


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
    contested_ids: frozenset[str] = frozenset()  # of documents of his that another's document has, too
    requests: frozenset[str] = field(default=frozenset())  # hashes of requests that are of no other interaction

    def __bool__(self) -> bool:
        return bool(self.customer_id or self.interaction_ids)

    def covers_interaction(self, interaction_id: str | None) -> bool:
        return interaction_id is not None and normalize_subject_id(interaction_id) in self.interaction_ids

    def covers_customer(self, customer_id: str | None, occurred_at: datetime | None = None) -> bool:
        is_his = self.customer_id is not None and is_same_customer(customer_id, self.customer_id)
        return is_his and (occurred_at is None or occurred_at <= self.until)

    def covers_request(self, request_hash: str) -> bool:
        return request_hash in self.requests

    def claim_answers(self) -> "Subject":
        """The same for answers, which name an id and nobody: one that may be his goes, and is asked for again."""
        return replace(self, interaction_ids=self.interaction_ids | self.contested_ids)

    def is_named_in(self, body: bytes) -> bool:
        """Whether a name stands there as a word of its own, where nothing can be parsed: c-10 does not name c-1."""
        return self._names.search(body) is not None

    @cached_property
    def _names(self) -> "re.Pattern[bytes]":
        named = sorted([*self.interaction_ids, *_list_spellings(self.customer_id)])
        words = "|".join(re.escape(name) for name in named).encode("utf-8", "surrogatepass")
        return re.compile(rb"(?<![\w-])(?:" + words + rb")(?![\w-])", re.IGNORECASE)


def make_erasure_subject(customer_id: str | None, interaction_ids: Iterable[str], until: datetime) -> Subject:
    """The subject of a request.

    Raises:
        RequestError: nobody is named, or an id is no UUID.
    """
    ids = [each.strip() for each in interaction_ids if each.strip()]
    wrong = [each for each in ids if not _is_uuid(each)]
    if wrong:
        raise RequestError(f"{len(wrong)} of {len(ids)} interaction ids are no UUIDs: give them as the documents do")
    if not (customer_id or "").strip() and not ids:
        raise RequestError("Nobody is named: give a customer_id, or interaction ids")
    normal = frozenset(normalize_subject_id(each) for each in ids)
    return Subject(until=until, customer_id=normalize_customer(customer_id or "") or None, interaction_ids=normal)


def normalize_customer(value: str) -> str:
    """The one spelling of a customer's id: letters with accents as one character, without blanks at its ends.

    Capitals stay: ids are opaque, and `a1` need not be `A1`.
    """
    return unicodedata.normalize("NFC", value).strip()


def is_same_customer(one: str | None, other: str | None) -> bool:
    return one is not None and other is not None and normalize_customer(one) == normalize_customer(other)


def _list_spellings(customer_id: str | None) -> list[str]:
    """As bytes may hold it: composed, taken apart, and as JSON escapes it."""
    if not customer_id:
        return []
    forms = {customer_id, *(unicodedata.normalize(form, customer_id) for form in ("NFC", "NFD"))}
    return sorted({*forms, *(json.dumps(form)[1:-1] for form in forms)})


def normalize_subject_id(value: str) -> str:
    """The one spelling of a UUID; what is none stays as it is."""
    if _ONE_SPELLING.fullmatch(value):
        return value
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
