"""Whose an interaction is: the ids that belong to a customer, and those that somebody else's documents have, too.

Whoever knows an id can write it into a document of his own. An id that another's document has is no evidence that the
other document is his: of such an interaction only what names him is taken out. What is taken out where: `eraser.py`.
"""

import json
from collections.abc import Collection, Iterator
from dataclasses import replace

import polars as pl

from cs_features.erasure.subjects import Erased, Subject
from cs_features.landing.erased import Names, find_names, parse_object, split_for_erasure
from cs_features.planning.erasing.contents import find_covered_rows
from cs_features.planning.erasing.places import Tally, Walk
from cs_features.planning.erasing.stores import Stores, list_data, list_history


def complete_erasure_subject(subject: Subject, stores: Stores, known: Erased) -> Subject:
    """With the ids of all interactions of the customer that anything stored knows, and the requests that are his alone.

    What is `known` to be erased was his when it was.

    Raises:
        AwsRefusal: a bucket cannot be listed.
    """
    if subject.customer_id is not None:
        ids = {*_find_landed_ids(subject, stores), *_find_stored_ids(subject, stores)} - subject.interaction_ids
        doubtful = {each for each in ids if not known.covers_interaction(each)}
        contested = _find_contested_ids(subject, doubtful, stores)
        own = subject.interaction_ids | (ids - contested)
        subject = replace(subject, interaction_ids=own, contested_ids=contested)
    return replace(subject, requests=_find_own_requests(subject, stores))


def _find_landed_ids(subject: Subject, stores: Stores) -> Iterator[str]:
    for _, names in _iterate_documents(stores):
        customers = {each.customer_id for each in names if each.customer_id is not None}
        # Several documents in one that is broken: which id is whose, nobody knows.
        is_shared = not all(map(subject.covers_customer, customers))
        if not is_shared and any(each.are_all_covered(subject) for each in names):
            yield from (each.interaction_id for each in names if each.interaction_id is not None)


def _iterate_documents(stores: Stores) -> Iterator[tuple[bytes, list[Names]]]:
    walk = Walk(stores.landing, Tally(), dry_run=True)
    for stored, body in walk.read_objects(stores.landing.list_bucket_objects("").objects):
        for line in split_for_erasure(stored.key, body) or []:
            yield line, find_names(line)


def _find_stored_ids(subject: Subject, stores: Stores) -> Iterator[str]:
    for bucket, objects in ((stores.data, list_data(stores)), (stores.offline.bucket, list_history(stores))):
        walk = Walk(bucket, Tally(), dry_run=True)
        tables = [item for item in objects if item.key.endswith(".parquet")]
        for _, body in walk.read_objects(tables):
            frame = pl.read_parquet(body, hive_partitioning=False)
            if "interaction_id" in frame.columns:
                yield from frame.filter(find_covered_rows(frame, subject))["interaction_id"].drop_nulls()


def _find_contested_ids(subject: Subject, ids: Collection[str], stores: Stores) -> frozenset[str]:
    """Those of `ids` that a document has which names another customer, or nobody and says what none of his says.

    What is broken off and names nobody is taken for his: its customer may have stood behind.
    """
    said: dict[str, set[str]] = {}
    unnamed: list[tuple[str, str]] = []
    contested: set[str] = set()
    for line, names in _iterate_documents(stores) if ids else ():
        found = {each.interaction_id for each in names if each.interaction_id in ids}
        customers = {each.customer_id for each in names if each.customer_id is not None}
        words = _read_words(line) if found else None
        if any(map(subject.covers_customer, customers)):
            for key in found:
                said.setdefault(str(key), set()).add(str(words))
        elif customers:
            contested.update(map(str, found))
        elif words is not None:
            unnamed += [(str(key), words) for key in found]
    contested.update(key for key, words in unnamed if words not in said.get(key, ()))
    return frozenset(contested)


def _read_words(line: bytes) -> str | None:
    """What a document says; None of one that cannot be parsed."""
    document = parse_object(line)
    return None if document is None else json.dumps([document.get("turns"), document.get("text")])


def _find_own_requests(subject: Subject, stores: Stores) -> frozenset[str]:
    """Hashes of requests whose text no other interaction has."""
    his: set[str] = set()
    others: set[str] = set()
    walk = Walk(stores.data, Tally(), dry_run=True)
    for _, body in walk.read_objects(stores.data.list_bucket_objects("llm_extractions/").objects):
        frame = pl.read_parquet(body, hive_partitioning=False)
        covered = find_covered_rows(frame, subject)
        his.update(frame.filter(covered)["request_hash"])
        others.update(frame.filter(~covered)["request_hash"])
    return frozenset(his - others)
