"""Rivals of an id are found with a handful of requests, and they are those that reading every table finds."""

from collections import Counter
from datetime import timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cs_features.landing.claims import (
    IDS,
    IDS_ELSEWHERE_SCHEMA,
    IDS_SCHEMA,
    INDEX,
    MAX_STALE,
    Wanted,
    collect_document_ids,
    read_document_ids,
    read_rival_claims,
)
from cs_features.partitions import Partition
from cs_features.s3 import Bucket
from cs_features.storage import Tables
from cs_features_tests.support.documents import DAY, document, id_of, jsonl
from cs_features_tests.support.landing import read
from cs_features_tests.support.memory_s3 import MemoryS3
from cs_features_tests.support.world import raw

HERE = Partition("NL", DAY)
COUNTRIES = ("BE", "ES", "FR", "NL", "PL")


class Claims:
    """Tables of ids in memory, and how often each kind of object is read."""

    def __init__(self) -> None:
        self.s3 = MemoryS3()
        self.tables = Tables(Bucket(self.s3, "data", "CS_FEATURES_DATA_BUCKET"))
        self.reads: Counter[str] = Counter()
        get_object = self.s3.get_object

        def counting_get(**request: Any) -> Any:
            self.reads[request["Key"].split("/")[0]] += 1
            return get_object(**request)

        self.s3.get_object = counting_get  # type: ignore[method-assign]

    def write(self, partition: Partition, *numbers: int, superseded_by: str | None = None) -> None:
        ids = collect_document_ids(raw(partition, [(number, 0) for number in numbers]))
        self.tables.write(IDS, partition, ids.with_columns(superseded_by=pl.lit(superseded_by, pl.String())))

    def find(self, *numbers: int, named: Partition | None = HERE) -> set[tuple[str, str]]:
        found = read_rival_claims(Wanted([id_of(number) for number in numbers], named), HERE, self.tables, 35)
        assert found.schema == IDS_ELSEWHERE_SCHEMA
        return set(found.select("partition", "interaction_id").iter_rows())

    def reads_during(self, *numbers: int) -> Counter[str]:
        before = Counter(self.reads)
        self.find(*numbers)
        return self.reads - before


@pytest.fixture
def claims() -> Claims:
    return Claims()


def month_of_claims(claims: Claims) -> list[Partition]:
    partitions = [Partition(country, DAY - timedelta(days=1 + day)) for day in range(12) for country in COUNTRIES]
    for place, partition in enumerate(partitions):
        claims.write(partition, *range(place * 3, place * 3 + 3))
    return partitions


def test_a_month_of_partitions_without_a_shared_id_is_one_read(claims: Claims) -> None:
    """Each run read the ids of 175 partitions, and one more with each that landed."""
    month_of_claims(claims)
    claims.find(9_999)
    reads = claims.reads_during(9_999)
    assert reads[INDEX] == 1
    assert reads[IDS] == 0


def test_only_the_table_that_may_have_the_id_is_read(claims: Claims) -> None:
    partitions = month_of_claims(claims)
    claims.find(9_999)
    assert claims.reads_during(4, 9_999)[IDS] == 1
    assert claims.find(4) == {(partitions[1].folder, id_of(4))}


def test_a_table_that_was_written_since_is_read_itself_until_there_are_many(claims: Claims) -> None:
    partitions = month_of_claims(claims)
    claims.find(9_999)
    for count in (1, MAX_STALE, MAX_STALE + 1):
        for partition in partitions[:count]:
            claims.write(partition, 7_000 + count)
        assert claims.reads_during(9_999)[IDS] == count
    assert claims.reads_during(9_999)[IDS] == 0, "the last one wrote the index anew"


def test_who_names_a_document_of_the_partition_is_found_though_it_has_the_id_no_more(claims: Claims) -> None:
    """Its document is superseded by one that is gone: nobody would tell it."""
    partitions = month_of_claims(claims)
    claims.write(partitions[0], 5, superseded_by=f"s3://landing/interactions/{HERE.folder}/a.json line 1")
    claims.write(partitions[5], 6, superseded_by=f"s3://landing/interactions/{partitions[3].folder}/a.json line 1")
    for _ in range(2):
        assert claims.find(9_999) == {(partitions[0].folder, id_of(5))}
    assert claims.find(9_999, named=None) == set()


@pytest.mark.parametrize("stored", [b"", b"no parquet", b"PAR1"])
def test_an_index_that_cannot_be_read_is_none(claims: Claims, stored: bytes) -> None:
    """A hint of another version may cost requests, and may not stop a partition."""
    partitions = month_of_claims(claims)
    claims.find(9_999)
    for key in [key for key in claims.s3.objects if key.startswith(INDEX)]:
        claims.tables.bucket.put(key, stored)
    assert claims.find(4) == {(partitions[1].folder, id_of(4))}
    assert claims.reads_during(9_999)[IDS] == 0, "and it was written anew"


def test_ids_of_a_version_that_did_not_say_whose_they_are_are_completed(claims: Claims) -> None:
    """After an update every correction of the month would have been another interaction's document."""
    there = Partition("NL", DAY)
    rows = read(("a.jsonl", jsonl([document(1), document(2, customer_id=...)])))
    claims.tables.write("raw_interactions", there, rows)
    ids = collect_document_ids(rows)
    claims.tables.write(IDS, there, ids.drop("customer", "words_hash", "conflicts_with"))
    found = read_document_ids([there], claims.tables, Wanted([id_of(1), id_of(2)]))
    assert found.select(IDS_SCHEMA.names()).equals(ids)
    assert found["customer"].null_count() == 1


partitions_drawn = st.sampled_from(
    [
        Partition(country, DAY + timedelta(days=days))
        for country in ("BE", "NL")
        for days in (-40, -35, -3, -1, 0, 2, 35)
    ]
)
steps = st.one_of(
    st.tuples(st.just("write"), partitions_drawn, st.sets(st.integers(0, 5), max_size=3)),
    st.tuples(st.just("forget"), partitions_drawn),
    st.tuples(st.just("find"), st.sets(st.integers(0, 5), max_size=3)),
    st.tuples(st.just("old index"), st.integers(0, 3)),
)


@pytest.mark.heavy
@settings(max_examples=60)
@given(st.lists(steps, max_size=14))
def test_at_any_history_the_rivals_are_those_that_reading_every_table_finds(history: list[tuple[Any, ...]]) -> None:
    """Writers of the index die, are overtaken and write over each other: what is left of them is a hint."""
    claims = Claims()
    indexes: list[dict[str, Any]] = [{}]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cs_features.landing.claims.MAX_STALE", 1)
        for step in history:
            if step[0] == "write":
                named = f"s3://landing/interactions/{HERE.folder}/a.json line 1" if len(step[2]) == 2 else None
                claims.write(step[1], *step[2], superseded_by=named)
            elif step[0] == "forget":
                claims.s3.objects.pop(claims.tables.key(IDS, step[1]), None)
            elif step[0] == "find":
                _compare(claims, step[1])
            else:
                claims.s3.objects |= indexes[step[1] % len(indexes)]
            indexes.append({key: body for key, body in claims.s3.objects.items() if key.startswith(INDEX)})
        _compare(claims, {0, 1, 2})


def _compare(claims: Claims, numbers: set[int]) -> None:
    near = [each for each in claims.tables.partitions(IDS) if each != HERE and abs((each.date - HERE.date).days) <= 35]
    wanted = Wanted([id_of(number) for number in numbers], HERE)
    expected = read_document_ids(near, claims.tables, wanted)
    assert claims.find(*numbers) == set(expected.select("partition", "interaction_id").iter_rows())
