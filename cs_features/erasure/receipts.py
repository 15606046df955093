"""The receipt of an erasure: how much was taken out of which place, and what it could not reach, with what ends that.

It names nobody: who it was is a keyed hash, with which a later request finds it. It is kept under
`erasure/receipts/` in the data bucket for as long as somebody may ask.
"""

import json
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from cs_features.s3 import Bucket

RECEIPTS = "erasure/receipts/"


@dataclass(frozen=True)
class Taken:
    """What was his in one place: rows, lines, records or documents, and in how many objects."""

    place: str
    objects: int
    rows: int


@dataclass(frozen=True)
class Leftover:
    """What may still hold something of him, and the command or rule that ends it."""

    what: str
    ends_by: str


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """One erasure, or what one would do."""

    at: datetime
    dry_run: bool
    who: Sequence[str]  # keyed hashes; none in a dry run
    interactions: int
    taken: Sequence[Taken]
    remaining: int  # what a last look over all places still found
    leftovers: Sequence[Leftover]

    def describe(self) -> list[str]:
        """In lines, for who asked."""
        verb = "would be erased" if self.dry_run else "erased"
        lines = [f"{self.interactions} interactions; {verb}:"]
        lines += [f"  {each.place}: {each.rows} in {each.objects} objects" for each in self.taken] or ["  nothing"]
        if not self.dry_run:
            lines.append(f"A last look over all places found {self.remaining}.")
        lines.append("Not within reach:")
        return lines + [f"  {each.what}: {each.ends_by}" for each in self.leftovers]


def keep_erasure_receipt(bucket: Bucket, receipt: Receipt) -> str:
    """Put the receipt into the data bucket; returns its address."""
    key = f"{RECEIPTS}{receipt.at:%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:8]}.json"
    told = {**asdict(receipt), "at": receipt.at.isoformat()}
    bucket.put(key, json.dumps(told, indent=1).encode())
    return bucket.uri(key)
