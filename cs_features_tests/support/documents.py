"""Landing documents that are right in every field, and files made of them."""

import gzip
import json
import uuid
from collections.abc import Iterable
from datetime import date
from typing import Any

DAY = date(2025, 3, 4)  # outside of every window that looks back from today


def document(number: int | str = 1, **changes: Any) -> dict[str, Any]:
    """A landing document that is right in every field; a change to `...` removes the field."""
    made = {
        "interaction_id": str(uuid.uuid5(uuid.NAMESPACE_OID, str(number))),
        "occurred_at": "2025-03-04T09:30:00+01:00",
        "country": "NL",
        "channel": "chat",
        "turns": [
            {"speaker": "customer", "text": f"Mijn pakket {number} is nog niet aangekomen, waar blijft het?"},
            {"speaker": "agent", "text": "Ik kijk het voor u na."},
        ],
        "customer_id": f"c-{number}",
        "language": "nl",
    }
    return {key: value for key, value in (made | changes).items() if value is not ...}


def jsonl(documents: Iterable[Any]) -> bytes:
    """One a line; bytes are taken as they are."""
    return b"".join(
        (each if isinstance(each, bytes) else json.dumps(each, ensure_ascii=False).encode()) + b"\n"
        for each in documents
    )


def id_of(number: int | str) -> str:
    return document(number)["interaction_id"]


def gz(body: bytes) -> bytes:
    return gzip.compress(body, mtime=0)
