"""Whoever knows an id does not own it: what is no plausible correction stands aside, and what is served stays."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import permutations

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cs_features.landing.claims import read_document_ids
from cs_features.landing.corrections import find_lost_ids, resolve_id_owners
from cs_features.landing.documents import RAW_SCHEMA
from cs_features.landing.notices import list_partition_notices
from cs_features.partitions import Partition
from cs_features.s3 import Bucket
from cs_features.storage import Tables
from cs_features_tests.support.documents import document, id_of, jsonl
from cs_features_tests.support.inventory import take_inventory
from cs_features_tests.support.lab import Lab
from cs_features_tests.support.landing_sensor import TODAY
from cs_features_tests.support.memory_s3 import EIGHT, MemoryS3

PARTITIONS = [Partition("NL", TODAY - timedelta(days=1)), *(Partition(country, TODAY) for country in ("NL", "BE"))]


@dataclass(frozen=True)
class Claim:
    """A document of interaction 1; of each partition at most one, as it is after ids were resolved there."""

    partition: Partition
    minute: int
    customer: str | None = None
    words: str = "a"

    @property
    def uri(self) -> str:
        return f"s3://landing/interactions/{self.partition.folder}/{self.minute}.json"

    def may_correct(self, other: "Claim") -> bool:
        if self.customer is not None and other.customer is not None:
            return self.customer == other.customer
        return self.words == other.words

    def rank(self) -> tuple[int, str]:
        return self.minute, self.uri


def build_raw(claims: Sequence[Claim], partition: Partition) -> pl.DataFrame:
    rows = [
        {
            **dict.fromkeys(RAW_SCHEMA.names()),
            "interaction_id": id_of(1),
            "customer_id": claim.customer,
            "words_hash": claim.words,
            "status": "accepted",
            "source_uri": claim.uri,
            "source_line": 1,
            "landed_at": EIGHT + timedelta(minutes=claim.minute),
        }
        for claim in claims
        if claim.partition == partition
    ]
    return pl.DataFrame(rows, schema=RAW_SCHEMA)


def expect_outcome(claim: Claim, claims: Sequence[Claim]) -> str:
    """By the rule as it is written, from all documents at once."""
    others = [other for other in claims if other.partition != claim.partition]
    if any(other.may_correct(claim) and other.rank() > claim.rank() for other in others):
        return "superseded"
    return "accepted" if all(other.may_correct(claim) for other in others) else "id_conflict"


class Runs:
    """The raw steps of partitions, and a sensor that runs again what was notified."""

    def __init__(self) -> None:
        self.tables = Tables(Bucket(MemoryS3(), "data", "CS_FEATURES_DATA_BUCKET"))
        self.outcomes: dict[Partition, list[str]] = {}

    def run(self, claims: Sequence[Claim], order: Sequence[Partition]) -> None:
        due = list(order)
        for _ in range(30):
            if not due:
                return
            before = self._notices()
            for partition in due:
                raw = resolve_id_owners(build_raw(claims, partition), partition, self.tables, 35)
                told = [reason or status for reason, status in raw.select("reason", "status").iter_rows()]
                self.outcomes[partition] = told
            after = self._notices()
            due = [each for each in order if after.get(each.folder) != before.get(each.folder)]
        raise AssertionError("it never comes to rest")

    def _notices(self) -> dict[str, object]:
        found = list_partition_notices(self.tables)
        return {folder: [(item.key, item.last_modified) for item in items] for folder, items in found.items()}


def outcomes_of(*claims: Claim) -> list[str]:
    """What becomes of each claim, the same in whatever order the partitions run."""
    found = set()
    for order in permutations(PARTITIONS):
        runs = Runs()
        runs.run(claims, order)
        found.add(tuple(told for claim in claims for told in runs.outcomes[claim.partition]))
    ((*outcomes,),) = found
    return outcomes


YESTERDAY, NL, BE = PARTITIONS


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("customers", "words", "expected"),
    [
        pytest.param(("c-1", "c-1"), "ab", ["superseded", "accepted"], id="the same customer"),
        pytest.param(("c-1", "c-2"), "ab", ["id_conflict", "id_conflict"], id="another customer"),
        pytest.param(("c-1", "c-2"), "aa", ["id_conflict", "id_conflict"], id="another customer, the same words"),
        pytest.param((None, None), "ab", ["id_conflict", "id_conflict"], id="no customer, other words"),
        pytest.param((None, None), "aa", ["superseded", "accepted"], id="no customer, the same words"),
        pytest.param(("c-1", None), "aa", ["superseded", "accepted"], id="the customer left out, the same words"),
        pytest.param((None, "c-2"), "ab", ["id_conflict", "id_conflict"], id="a customer who was none, other words"),
    ],
)
def test_a_document_supersedes_what_it_plausibly_corrects(
    customers: tuple[str | None, str | None], words: str, expected: list[str]
) -> None:
    """Whoever knew an id took over its record from another country."""
    claims = [Claim(each, minute, customers[minute], words[minute]) for minute, each in enumerate((NL, BE))]
    assert outcomes_of(*claims) == expected


@pytest.mark.heavy
def test_a_correction_holds_against_the_one_it_corrects_and_stands_aside_with_who_contradicts_both() -> None:
    first, correction, hostile = Claim(YESTERDAY, 0, "c-1"), Claim(NL, 1, "c-1"), Claim(BE, 2, "c-2")
    assert outcomes_of(first, correction, hostile) == ["superseded", "id_conflict", "id_conflict"]


def test_when_the_contradiction_is_gone_the_other_is_accepted_again() -> None:
    """A conflict that outlived its cause would be a way to silence an interaction for good."""
    claims = [Claim(NL, 0, "c-1"), Claim(BE, 1, "c-2")]
    runs = Runs()
    runs.run(claims, PARTITIONS)
    runs.run(claims[:1], [BE])
    runs.run(claims[:1], [NL])
    assert runs.outcomes[NL] == ["accepted"]
    assert list_partition_notices(runs.tables)[NL.folder], "and it is told, so that it runs"


claims_drawn = st.builds(
    Claim,
    partition=st.sampled_from(PARTITIONS),
    minute=st.integers(0, 2),
    customer=st.sampled_from([None, "c-1", "c-2"]),
    words=st.sampled_from("ab"),
)


@pytest.mark.heavy
@settings(max_examples=50)
@given(st.lists(st.lists(claims_drawn, max_size=3, unique_by=lambda claim: claim.partition), min_size=1, max_size=3))
def test_whatever_lands_and_in_whatever_order_each_partition_judges_by_the_documents_alone(
    states: list[list[Claim]],
) -> None:
    """Customers change, documents come and go: at rest nothing of earlier states is left in any verdict."""
    runs = Runs()
    for claims in states:
        runs.run(claims, PARTITIONS)
    told = {claim: runs.outcomes[claim.partition][0] for claim in states[-1]}
    assert told == {claim: expect_outcome(claim, states[-1]) for claim in states[-1]}
    lost = find_lost_ids(read_document_ids(PARTITIONS, runs.tables))["partition"].to_list()
    assert sorted(lost) == sorted(claim.partition.folder for claim, outcome in told.items() if outcome != "accepted")


def test_a_hundred_ids_in_a_file_from_another_country_take_over_no_record(lab: Lab) -> None:
    """Takeover: a hundred of a hundred records were another country's after one file with their ids."""
    own = [document(number, occurred_at=f"{TODAY}T08:00:00Z") for number in range(100)]
    theirs = [{**each, "country": "BE", "customer_id": "c-666", "turns": [], "text": "Opgelost."} for each in own]
    lab.land("NL", TODAY, "a.jsonl", jsonl(own))
    assert lab.process("NL", TODAY).success
    before = [lab.online(id_of(number)) for number in range(100)]
    assert all(before)
    lab.land("BE", TODAY, "b.jsonl", jsonl(theirs))
    for country in ("BE", "NL"):
        run = lab.process(country, TODAY)
        assert run.success, run.errors
        assert not run.checks["id_conflicts"].passed
        assert run.checks["id_conflicts"].metadata["documents"].value == 100
        assert run.checks["conservation"].passed
        assert lab.table("rejected_records", country, TODAY)["reason"].to_list() == ["id_conflict"] * 100
        assert lab.table("validated_features", country, TODAY).is_empty()
    assert [lab.online(id_of(number)) for number in range(100)] == before
    inventory = take_inventory(lab)
    assert inventory.checks["reconciled"].passed
    assert inventory.checks["served"].passed
