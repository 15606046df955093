"""What a run listed is kept before it reads, so that what it could not see is told apart from what it lost."""

from datetime import date, datetime, timezone

import pytest

from cs_features.landing.listings import load_partition_listing, save_partition_listing
from cs_features.partitions import Partition
from cs_features.s3 import Bucket, Listing, StoredObject
from cs_features_tests.support.memory_s3 import MemoryS3

MONDAY = Partition("NL", date(2026, 11, 23))
NOON = datetime(2026, 11, 23, 12, tzinfo=timezone.utc)
LISTED = Listing("cs-landing", [StoredObject("interactions/country=NL/a é.jsonl", "etag-1", 10, NOON)], NOON)


@pytest.fixture
def data() -> Bucket:
    return Bucket(MemoryS3(), "cs-data", "CS_FEATURES_DATA_BUCKET")


def test_a_listing_comes_back_as_it_was_saved(data: Bucket) -> None:
    """Fault 22: an upload in parts is dated before the listing that did not show it; only the record tells."""
    save_partition_listing(data, MONDAY, LISTED)
    assert load_partition_listing(data, MONDAY) == LISTED


def test_the_latest_run_replaces_what_the_one_before_listed(data: Bucket) -> None:
    """With two listings merged, an object that was deleted between two runs would be missed for ever."""
    save_partition_listing(data, MONDAY, LISTED)
    save_partition_listing(data, MONDAY, Listing("cs-landing", [], NOON))
    assert load_partition_listing(data, MONDAY) == Listing("cs-landing", [], NOON)


def test_a_partition_that_never_ran_has_no_listing(data: Bucket) -> None:
    save_partition_listing(data, MONDAY, LISTED)
    assert load_partition_listing(data, Partition("BE", MONDAY.date)) is None


@pytest.mark.parametrize(
    "stored", [b"", b"{", b"[]", b'{"version": 2, "files": []}', b'{"objects": [], "bucket": "b"}']
)
def test_a_listing_that_another_version_wrote_is_taken_for_none(data: Bucket, stored: bytes) -> None:
    """Fault 8, of another memory: a reader that trips over stored state stops its partition for ever."""
    save_partition_listing(data, MONDAY, LISTED)
    data.put("listings/country=NL/date=2026-11-23.json", stored)
    assert load_partition_listing(data, MONDAY) is None


def test_fields_that_a_newer_version_added_are_passed_over(data: Bucket) -> None:
    newer = b'{"bucket": "b", "objects": [], "listed_at": "2026-11-23T12:00:00Z", "run": "r-1"}'
    data.put("listings/country=NL/date=2026-11-23.json", newer)
    assert load_partition_listing(data, MONDAY) == Listing("b", [], NOON)
