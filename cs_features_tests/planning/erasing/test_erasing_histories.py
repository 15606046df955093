"""Deliveries, erasures, re-deliveries, copies, corrections and runs, in any order: the law stays exact, nothing of who
is erased is stored after a run, and others' documents are what they would be without him.

Everything lies in memory: landing and data bucket, and a feature group that serves nothing.
"""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from cs_features.erasure.subjects import Subject, make_erasure_subject
from cs_features.planning.erasing.eraser import erase_subject_everywhere
from cs_features.planning.erasing.stores import OfflineStore, Stores
from cs_features.publishing.records import RecordStore
from cs_features.s3 import Bucket
from cs_features.storage import encode_parquet_table
from cs_features_tests.support.documents import document, gz
from cs_features_tests.support.histories import Histories
from cs_features_tests.support.memory_group import MemoryGroup
from cs_features_tests.support.memory_s3 import EIGHT, MemoryS3

KEY = "0123456789abcdef" * 4
HIM, WORD = "kunde-7", "zwembadtrap"
VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "corrected": {"channel": "email"},
    "of another country": {"country": "BE"},
    "of another day": {"occurred_at": "2025-03-05T09:30:00+01:00"},
    "invalid": {"channel": "pigeon"},
    "with another field": {"note": "x"},
    "cut off": {},
}


def make_line(number: int, variant: str) -> bytes:
    """A document of his, with his word, or of somebody else's."""
    is_his = number < 2
    turns = [{"speaker": "customer", "text": f"Waar blijft mijn {WORD if is_his else 'pakket'}?"}]
    customer = HIM if is_his else f"c-{number}"
    line = json.dumps(document(number, customer_id=customer, turns=turns, **VARIANTS[variant])).encode()
    return line[:-1] if variant == "cut off" else line


class ErasingHistory:
    """One partition, runs over it that may or may not write to landing, and an eraser who may."""

    def __init__(self) -> None:
        self.past = Histories()
        self.is_erased = False
        group = Bucket(MemoryS3(), "history", "X")
        self.stores = Stores(
            landing=self.past.zone.bucket,
            data=self.past.tables.bucket,
            records=RecordStore(MemoryGroup(), "group"),
            identity="group 0",
            offline=OfflineStore(group, "offline/", False),
            journals=Path("/nowhere"),
        )

    def happen(self, step: Any) -> None:
        if isinstance(step, tuple):
            name, chosen = step
            body = b"\n".join(make_line(*each) for each in chosen)
            self.past.land(name, gz(body) if name.endswith(".gz") else body)
        elif step == "erase":
            receipt = erase_subject_everywhere(Subject(until=EIGHT, customer_id=HIM), self.stores, KEY, dry_run=False)
            assert receipt.remaining == 0
            self.is_erased = True
            self.check_absence(self.past.landing)
        else:
            self.run(may_write="may" in step, is_nightly="nightly" in step)

    def run(self, *, may_write: bool = False, is_nightly: bool = False) -> None:
        """A run, after which the law holds and nothing of him is stored that it may touch."""
        put_object = self.past.landing.put_object
        if not may_write:
            self.past.landing.put_object = refuse_write  # type: ignore[method-assign]
        landed = self.past.run(is_nightly=is_nightly, tombstone_key=KEY)
        self.past.landing.put_object = put_object  # type: ignore[method-assign]
        held = self.past.held()
        assert landed == (held.height, held.filter(status="duplicate").height)
        if self.is_erased:
            self.check_absence(self.past.data)

    def check_absence(self, s3: MemoryS3) -> None:
        for key, (body, _) in s3.objects.items():
            told = (
                str(pl.read_parquet(body).to_dicts()) if key.endswith(".parquet") else body.decode("utf-8", "replace")
            )
            assert WORD not in told, key
            assert HIM not in told, key

    def list_others(self) -> Counter[tuple[Any, ...]]:
        held = self.past.held()
        his = [document(number)["interaction_id"] for number in (0, 1)]
        is_his = pl.col("payload").str.contains(WORD) | (pl.col("reason") == "erased").fill_null(False)
        others = held.filter(~is_his & ~pl.col("interaction_id").is_in(his).fill_null(False))
        return Counter(others.select("source_uri", "source_line", "status", "reason", "interaction_id").iter_rows())


def refuse_write(**_: Any) -> Any:
    """On AWS a run may read landing, and no more."""
    raise ClientError({"Error": {"Code": "AccessDenied"}, "ResponseMetadata": {"HTTPStatusCode": 403}}, "PutObject")


lines = st.tuples(st.integers(0, 3), st.sampled_from(sorted(VARIANTS)))
names = st.sampled_from(["a.jsonl", "b.jsonl", "c.jsonl.gz", "d.json"])
deliveries = st.tuples(names, st.lists(lines, min_size=1, max_size=4))
others = st.sampled_from(["erase", "run", "run that may write", "nightly run"])
TWICE = ("b.jsonl", [(0, "plain"), (0, "plain")])


@pytest.mark.heavy
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.one_of(deliveries, others), max_size=9))
@example([("a.jsonl", [(0, "plain"), (2, "plain")]), "run", "erase", TWICE, "run"])
@example([("d.json", [(0, "plain"), (2, "plain")]), "erase", ("a.jsonl", [(2, "plain")])])
@example([TWICE, "run", ("b.jsonl", [(0, "plain"), (2, "plain"), (3, "plain")]), "erase"])
@example([TWICE, "run", "erase", TWICE, "run", ("d.json", [(0, "plain")]), "run", "run that may write", "run"])
def test_whatever_is_delivered_of_who_is_erased_the_law_is_exact_and_nothing_comes_back(steps: list[Any]) -> None:
    """Delivered again twice, where the run might not write to landing, his documents were a duplicate for the count
    and two rejects for the run: the law was off by one, and the partition stood still. And a file that had been
    replaced, and not yet read, when markers were put into it was taken for the one that had been: its other documents
    were read by nobody."""
    history, without_erasure = ErasingHistory(), ErasingHistory()
    for step in [*steps, "run", "run"]:
        history.happen(step)
        if step != "erase":
            without_erasure.happen(step)
    assert history.list_others() == without_erasure.list_others()


def read_rows(history: ErasingHistory) -> list[tuple[str | None, str | None]]:
    history.run()
    return history.past.held().sort("source_uri", "source_line").select("status", "reason").rows()


@pytest.mark.parametrize("victim", [{}, {"customer_id": ...}], ids=["another customer's", "of no customer"])
@pytest.mark.parametrize("order", ["ab", "ba"])
def test_who_writes_anothers_id_into_his_document_erases_his_own_alone(victim: dict[str, Any], order: str) -> None:
    """An id is no secret. Landed with an id that he had read somewhere, his erasure took the other's document out of
    landing, tables and store, and its tombstone kept it out for ever."""
    history = ErasingHistory()
    history.past.land(f"{order[0]}.json", json.dumps(document(3, **victim)).encode())
    history.past.land(f"{order[1]}.json", json.dumps(document(3, customer_id=HIM, text=WORD, turns=...)).encode())
    history.past.land(
        "c.jsonl", b'{"interaction_id": "' + document(4)["interaction_id"].encode() + b'", "customer_id": "kunde-7"'
    )
    history.past.land("d.json", json.dumps(document(4)).encode())
    history.run()
    history.happen("erase")
    accepted, erased = ("accepted", None), ("rejected", "erased")
    found = [accepted, erased] if order == "ab" else [erased, accepted]
    assert read_rows(history) == [*found, erased, accepted]


@pytest.mark.parametrize("name", ["a.zip", "damaged.jsonl.gz", "names-him.csv"])
def test_what_lies_in_landing_and_cannot_be_looked_into_is_told(name: str) -> None:
    """A zip that nobody can read may hold him: the receipt said that nothing of him was left."""
    history = ErasingHistory()
    history.past.land(name, b"x;kunde-7;y" if name.endswith(".csv") else b"PK\x03\x04 packed")
    history.past.land("b.mp3", b"of nobody")
    receipt = erase_subject_everywhere(Subject(until=EIGHT, customer_id=HIM), history.stores, KEY, dry_run=False)
    assert next(each.what for each in receipt.leftovers if "taken apart" in each.what).startswith("1 objects")


def test_copies_of_his_document_that_name_no_customer_go_with_it() -> None:
    """They say the same words under the same id: a version of it, and not somebody else's."""
    history = ErasingHistory()
    for name, customer in (("a.json", HIM), ("b.json", ...)):
        made = document(3, customer_id=customer, text=WORD, turns=...)
        history.past.land(name, json.dumps(made).encode())
    history.run()
    history.happen("erase")
    assert read_rows(history) == [("rejected", "erased")] * 2


@pytest.mark.parametrize("spelled", ["josé 1", "jose\u0301 1", " josé 1 ", "jos\\u00e9 1"])
@pytest.mark.parametrize("asked", ["josé 1", "jose\u0301 1", "josé 1 "])
def test_a_customers_id_is_his_however_its_accents_and_blanks_are_written(spelled: str, asked: str) -> None:
    """Two systems write one name with one character or two: by the other, he came back the next day."""
    history = ErasingHistory()
    body = json.dumps(document(3, customer_id="HIM"), ensure_ascii=False).replace("HIM", spelled).encode()
    history.past.land("a.json", body)
    history.run()
    subject = make_erasure_subject(asked, [], EIGHT)
    assert erase_subject_everywhere(subject, history.stores, KEY, dry_run=False).remaining == 0
    history.past.land("b.json", body)
    assert read_rows(history) == [("rejected", "erased")] * 2


@pytest.mark.parametrize("is_iceberg", [True, False])
def test_the_files_of_an_iceberg_table_are_left_to_athena(is_iceberg: bool) -> None:
    """A file that was rewritten behind its snapshots' back is a damaged table."""
    history = ErasingHistory()
    offline = history.stores.offline
    rows = pl.DataFrame({"interaction_id": [document(0)["interaction_id"]], "customer_id": [HIM]})
    body = encode_parquet_table(rows)
    offline.bucket.put("offline/data/a.parquet", body)
    stores = replace(history.stores, offline=replace(offline, is_iceberg=is_iceberg))
    receipt = erase_subject_everywhere(Subject(until=EIGHT, customer_id=HIM), stores, KEY, dry_run=False)
    assert (offline.bucket.get("offline/data/a.parquet") == body) == is_iceberg
    assert any("Iceberg" in each.what for each in receipt.leftovers) == is_iceberg
