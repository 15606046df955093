"""Ids, keys and folder names for logs and messages: enough to find them by, too little to say who somebody is.

Producers put mail addresses and account numbers into file names. The whole name is in the tables, where it is needed
and who may read it is known.
"""

import hashlib
import re

_KNOWN_FOLDER = re.compile(
    r"country=[A-Z]{2}|date=\d{4}-\d{2}-\d{2}|interactions|ledger|listings|superseded|spending|erasure|first_seen|"
    r"raw_interactions|llm_extractions|validated_features|rejected_records|feature_store|interaction_ids"
)
_BEGINNING = re.compile(r"[A-Za-z]{0,4}")
_SUFFIX = re.compile(r"(?:\.(?:json|jsonl|gz|parquet|csv|txt|xml|zip))+$")
ID_CHARACTERS = 8


def shorten_object_key(key: str) -> str:
    """A key with its well-known folders; of every other name the first letters, and a digest that finds the whole."""
    *folders, name = key.split("/")
    shown = [folder if _KNOWN_FOLDER.fullmatch(folder) else shorten_name(folder) for folder in folders]
    return "/".join([*shown, shorten_name(name)])


def shorten_name(name: str) -> str:
    """Such as `part~3f2a9c.jsonl`: the digits are the first of the SHA-256 of the name."""
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:6]
    beginning = _BEGINNING.match(name)
    suffix = _SUFFIX.search(name)
    return f"{beginning.group() if beginning else ''}~{digest}{suffix.group() if suffix else ''}"


def shorten_interaction_id(value: str) -> str:
    return f"{value[:ID_CHARACTERS]}..." if len(value) > ID_CHARACTERS else value
