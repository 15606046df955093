"""When two JSON values are the same: canonical JSON and its SHA-256. Nothing else belongs here.

Documents, requests and feature store records are all told apart by it, so a change here re-asks
every model call and rewrites every record.
"""

import hashlib
import json
from typing import Any

# Made once: `json.dumps` makes one for each value, which takes as long as to write a short one.
_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"))


def canonical_json(value: Any) -> bytes:
    """Equal for equal values, whatever the order of their keys and the spaces between them.

    ASCII, because customers' text may hold lone surrogates, which UTF-8 cannot encode.
    """
    return _CANONICAL.encode(value).encode("ascii")


def content_hash(value: Any) -> str:
    """SHA-256 of the canonical JSON, 64 hexadecimal digits."""
    return hashlib.sha256(canonical_json(value)).hexdigest()
