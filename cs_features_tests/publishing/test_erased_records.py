"""A publication and an erasure that meet: whoever comes second, the record is gone, and no brake keeps it."""

from collections.abc import Callable
from datetime import datetime, timezone

import polars as pl
import pytest

from cs_features.erasure.subjects import Subject
from cs_features.erasure.tombstones import NO_TOMBSTONES, Tombstones, read_tombstones, write_tombstone
from cs_features.partitions import Partition
from cs_features.publishing.publisher import Destination, Outcome, PublicationRules, Published, publish_partition
from cs_features.publishing.records import RecordStore
from cs_features.s3 import Bucket
from cs_features.storage import Tables
from cs_features_tests.support.documents import DAY, id_of
from cs_features_tests.support.memory_group import MemoryGroup
from cs_features_tests.support.memory_s3 import MemoryS3
from cs_features_tests.support.publications import REJECTED_SCHEMA, Row, features, landed, validated

KEY = "k" * 32
NL = Partition("NL", DAY)
NOW = datetime(2026, 11, 27, tzinfo=timezone.utc)
HIM = Subject(until=NOW, customer_id="c-7")


class World:
    """A group and a data bucket, and a run's rows on their way into them."""

    def __init__(self) -> None:
        self.bucket = Bucket(MemoryS3(), "data", "X")
        self.group = MemoryGroup()

    def publish(self, rows: list[Row], read: Callable[[], Tombstones] | None = None) -> Published:
        return publish_partition(
            NL,
            Outcome(raw=landed(rows), validated=validated(rows), rejected=pl.DataFrame(schema=REJECTED_SCHEMA)),
            Tables(self.bucket),
            Destination(RecordStore(self.group, "group"), "group 0"),
            PublicationRules(
                window_days=35,
                max_withdrawn_share=0.05,
                read_tombstones=read or (lambda: read_tombstones(self.bucket, KEY)),
            ),
        )


@pytest.fixture
def rows() -> list[Row]:
    """Ten records, eight of them his: far beyond what a publication may withdraw unasked."""
    return [features(number, customer_id="c-7" if number < 8 else f"c-{number}") for number in range(10)]


OTHERS = {id_of(8), id_of(9)}


def test_the_brake_lets_an_erasure_through(rows: list[Row]) -> None:
    """An erasure is an order with evidence of its own: stopped, it would wait for a second person."""
    world = World()
    world.publish(rows)
    write_tombstone(world.bucket, HIM, KEY)
    published = world.publish(rows)
    assert published.withdrawn == 8
    assert set(world.group.online) == set(published.manifest["interaction_id"]) == OTHERS


def test_who_is_erased_while_his_record_is_written_is_taken_out_again(rows: list[Row]) -> None:
    """The eraser has deleted what there was; the run had read the tombstones before, and wrote him afterwards."""
    world = World()
    asked = []

    def read() -> Tombstones:
        asked.append(len(asked))
        if len(asked) == 1:
            return NO_TOMBSTONES
        if len(asked) == 2:  # after the records were written
            assert len(world.group.online) == 10
            write_tombstone(world.bucket, HIM, KEY)
        return read_tombstones(world.bucket, KEY)

    published = world.publish(rows, read)
    assert set(world.group.online) == set(published.manifest["interaction_id"]) == OTHERS


def test_a_run_that_is_older_than_the_erasure_publishes_nothing_of_him(rows: list[Row]) -> None:
    world = World()
    write_tombstone(world.bucket, HIM, KEY)
    assert world.publish(rows).written == 2
    assert set(world.group.offline) == OTHERS
