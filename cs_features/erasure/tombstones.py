"""Tombstones: what says of an interaction or a customer, without naming them, that they are erased and stay erased.

Objects under `erasure/tombstones/` in the data bucket, each with keyed hashes (HMAC-SHA256): whoever reads them
without the key learns nothing, and cannot try the few million customer ids that there are. Whoever reads documents,
journals or records asks here, and without the right key nobody can ask: then nothing is read, instead of brought back.
Not here: what is taken out of which place (`planning/erasing/`).
"""

import hashlib
import hmac
import json
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import lru_cache
from typing import Any

from cs_features.erasure.subjects import Subject, normalize_customer, normalize_subject_id
from cs_features.errors import ConfigurationError
from cs_features.s3 import Bucket

PREFIX = "erasure/tombstones/"
SETTING = "CS_FEATURES_TOMBSTONE_KEY"
VERSION = 1
MERGE_ABOVE = 20  # objects: each is a request of every run


@dataclass(frozen=True)
class Tombstones:
    """All that is erased, as keyed hashes; customers with the moment up to which they are."""

    key: bytes = b""
    interactions: frozenset[str] = frozenset()
    customers: Mapping[str, datetime] = field(default_factory=dict)
    requests: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.interactions or self.customers or self.requests)

    def covers_interaction(self, interaction_id: str | None) -> bool:
        if interaction_id is None or not self.interactions:
            return False
        return hash_subject_name(self.key, "interaction", normalize_subject_id(interaction_id)) in self.interactions

    def covers_customer(self, customer_id: str | None, occurred_at: datetime | None = None) -> bool:
        if customer_id is None or not self.customers:
            return False
        # As it is spelled, too: versions before this one hashed that.
        spellings = {normalize_customer(customer_id), customer_id}
        known = [self.customers.get(hash_subject_name(self.key, "customer", each)) for each in spellings]
        until = max(filter(None, known), default=None)
        return until is not None and (occurred_at is None or occurred_at <= until)

    def covers_request(self, request_hash: str) -> bool:
        return bool(self.requests) and hash_subject_name(self.key, "request", request_hash) in self.requests


NO_TOMBSTONES = Tombstones()


def hash_subject_name(key: bytes, kind: str, name: str) -> str:
    """The keyed hash of a name; the same name of another kind has another one."""
    keyed = _begin_hash(key).copy()
    keyed.update(f"{kind}:{name}".encode("utf-8", "surrogatepass"))
    return keyed.hexdigest()


@lru_cache(maxsize=4)
def _begin_hash(key: bytes) -> hmac.HMAC:
    """What all names have in common: a daily update asks for hundreds of thousands."""
    return hmac.new(key, digestmod=hashlib.sha256)


def identify_hash_key(key: bytes) -> str:
    """Tells keys apart without showing one."""
    return hash_subject_name(key, "key", "")[:16]


def require_hash_key(key: str | None) -> bytes:
    """The key's bytes.

    Raises:
        ConfigurationError: there is none, and nothing may be erased that could come back.
    """
    if key is None:
        raise ConfigurationError(
            f"{SETTING} is not set: without it an erased customer would come back with the next delivery. Set it to "
            "a random text of 32 characters and more (openssl rand -hex 32), keep it, and give every run the same one"
        )
    return key.encode()


def make_tombstone_entry(subject: Subject, key: bytes) -> dict[str, Any]:
    """What a tombstone object says of one request."""
    customers = [normalize_customer(subject.customer_id)] if subject.customer_id else []
    return {
        "key": identify_hash_key(key),
        "until": subject.until.isoformat(),
        "interactions": _hash_all_names(key, "interaction", subject.interaction_ids),
        "customers": _hash_all_names(key, "customer", customers),
        "requests": _hash_all_names(key, "request", subject.requests),
    }


def _hash_all_names(key: bytes, kind: str, names: Iterable[str]) -> list[str]:
    return sorted(hash_subject_name(key, kind, name) for name in names)


def add_tombstone_entries(entries: Iterable[Mapping[str, Any]], key: bytes) -> Tombstones:
    """What many requests say together."""
    interactions: set[str] = set()
    requests: set[str] = set()
    customers: dict[str, datetime] = {}
    for entry in entries:
        until = datetime.fromisoformat(entry["until"])
        interactions.update(entry["interactions"])
        requests.update(entry["requests"])
        for name in entry["customers"]:
            customers[name] = max(until, customers.get(name, until))
    return Tombstones(key, frozenset(interactions), customers, frozenset(requests))


# --- on S3 ------------------------------------------------------------------------------------


def read_tombstones(bucket: Bucket, key: str | None) -> Tombstones:
    """Everything that was ever erased; one listing and no more where nothing was.

    Raises:
        AwsRefusal: the data bucket cannot be read.
        ConfigurationError: there are tombstones and no key, or another key than theirs, or another version's.
    """
    entries = [entry for entries in _read_tombstone_objects(bucket).values() for entry in entries]
    if not entries:
        return NO_TOMBSTONES
    known = require_hash_key(key)
    others = {entry["key"] for entry in entries} - {identify_hash_key(known)}
    if others:
        raise ConfigurationError(
            f"{SETTING} is not the key of {len(others)} kinds of tombstones in bucket {bucket.name}: set the key with "
            "which the customers were erased. Nothing is read without it, because it would bring them back"
        )
    return add_tombstone_entries(entries, known)


def write_tombstone(bucket: Bucket, subject: Subject, key: str | None) -> None:
    """Put the tombstone of a request: first of all, so that nothing comes back behind the eraser."""
    _put_tombstone_entries(bucket, [make_tombstone_entry(subject, require_hash_key(key))])


def merge_tombstones(bucket: Bucket) -> None:
    """One object instead of many; the old ones go after the new one is there."""
    objects = _read_tombstone_objects(bucket)
    if len(objects) <= MERGE_ABOVE:
        return
    _put_tombstone_entries(bucket, [entry for entries in objects.values() for entry in entries])
    bucket.delete(objects)


def _put_tombstone_entries(bucket: Bucket, entries: list[dict[str, Any]]) -> None:
    now = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S%f")
    body = json.dumps({"version": VERSION, "entries": entries}).encode()
    bucket.put(f"{PREFIX}{now}-{uuid.uuid4().hex[:8]}.json", body)


def _read_tombstone_objects(bucket: Bucket) -> dict[str, list[dict[str, Any]]]:
    """The entries of each object, by key. A merge may delete what was listed: then its successor is listed."""
    while True:
        keys = [item.key for item in bucket.list_bucket_objects(PREFIX).objects]
        bodies = [bucket.get(key) for key in keys]
        if None not in bodies:
            return {key: _parse_object(body or b"") for key, body in zip(keys, bodies, strict=True)}


def _parse_object(body: bytes) -> list[dict[str, Any]]:
    try:
        told = json.loads(body)
        if told["version"] != VERSION:
            raise ValueError
        return list(told["entries"])
    except (KeyError, TypeError, ValueError):
        raise ConfigurationError(
            f"{PREFIX} in the data bucket holds what this version cannot read: use the version that wrote it. Nothing "
            "is read without its tombstones, because it would bring back who was erased"
        ) from None
