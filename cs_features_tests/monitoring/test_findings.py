"""What the sensor reads of the latest reconciliation, in every form in which it may lie in the bucket."""

import json

import pytest

from cs_features.monitoring.findings import (
    FINDINGS_KEY,
    Differences,
    FindingKind,
    name_documents_finding,
    read_reconciled_differences,
    write_reconciled_differences,
)
from cs_features.s3 import Bucket
from cs_features.storage import Tables
from cs_features_tests.support.memory_s3 import MemoryS3

FOUND = {
    "NL|2026-11-24": frozenset({FindingKind.DOCUMENTS.value, FindingKind.UNPUBLISHED.value}),
    "BE|2026-11-24": frozenset({FindingKind.TAKEN_OUT.value}),
}


@pytest.fixture
def tables() -> Tables:
    return Tables(Bucket(MemoryS3(), "data", "CS_FEATURES_DATA_BUCKET"))


def test_what_was_found_is_read_as_it_was_written(tables: Tables) -> None:
    """The sensor decides by the kind what a run has to do: a kind that is lost on the way is a repair that is none."""
    write_reconciled_differences(tables, Differences("night", FOUND))
    assert read_reconciled_differences(tables) == Differences("night", FOUND)


def test_before_the_first_reconciliation_nothing_is_found(tables: Tables) -> None:
    assert read_reconciled_differences(tables) == Differences()


def test_a_file_of_the_version_before_is_read(tables: Tables) -> None:
    """Fault 8: deployed at noon, and until the next night every tick failed of the file that the last one left."""
    tables.bucket.put(FINDINGS_KEY, json.dumps({"found_by": "night", "partitions": ["NL|2026-11-24"]}).encode())
    assert read_reconciled_differences(tables) == Differences("night", name_documents_finding(["NL|2026-11-24"]))


def test_the_version_before_reads_the_file_of_this_one(tables: Tables) -> None:
    """Put back to yesterday's version, the sensor must still know which partitions to ask for."""
    write_reconciled_differences(tables, Differences("night", FOUND))
    assert json.loads(tables.bucket.get(FINDINGS_KEY) or b"")["partitions"] == sorted(FOUND)


def test_a_kind_of_a_newer_version_is_a_finding_all_the_same(tables: Tables) -> None:
    newer = {"found_by": "x", "findings": {"NL|2026-11-24": ["eaten"]}, "seen": 7}
    tables.bucket.put(FINDINGS_KEY, json.dumps(newer).encode())
    assert read_reconciled_differences(tables).findings == {"NL|2026-11-24": frozenset({"eaten"})}


@pytest.mark.parametrize("body", [b"", b"half a fi", b"[]", b"null", b"\xff"])
def test_a_file_that_is_none_of_ours_fails_no_tick(tables: Tables, body: bytes) -> None:
    """A file that cannot be read would have stopped every tick of every partition until the next night."""
    tables.bucket.put(FINDINGS_KEY, body)
    assert read_reconciled_differences(tables) == Differences()


def test_findings_can_be_narrowed_to_the_partitions_of_the_window() -> None:
    differences = Differences("night", FOUND)
    narrowed = differences.select_finding_partitions(lambda key: key.startswith("BE"))
    assert narrowed == Differences("night", {"BE|2026-11-24": FOUND["BE|2026-11-24"]})
    assert narrowed.partitions == {"BE|2026-11-24"}
