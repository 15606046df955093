"""What the tables lose of days long ago, by an age each; what the law counts stays, and nothing goes unasked."""

from datetime import datetime, timedelta, timezone

import polars as pl
import pytest

from cs_features.partitions import Partition
from cs_features.retention.sweeps import apply_retention_sweepers
from cs_features.retention.tables import TableAges, list_table_sweepers
from cs_features.s3 import Bucket
from cs_features.storage import Tables
from cs_features_tests.support.memory_s3 import MemoryS3

NOW = datetime(2026, 11, 27, 3, tzinfo=timezone.utc)
OLD, YOUNG = (Partition("NL", (NOW - timedelta(days=days)).date()) for days in (101, 99))
ROWS = pl.DataFrame({"interaction_id": ["1", "2", "3"], "payload": ["a text", "", None], "reader": "v1"})
HUNDRED = timedelta(days=100)


@pytest.fixture
def tables() -> Tables:
    made = Tables(Bucket(MemoryS3(), "data", "X"))
    for name in ("raw_interactions", "rejected_records", "llm_extractions", "validated_features"):
        for partition in (OLD, YOUNG):
            made.write(name, partition, ROWS)
    return made


def test_without_an_age_nothing_goes(tables: Tables) -> None:
    """What is deleted by a default that nobody has read is lost in silence."""
    assert list_table_sweepers(tables, TableAges()) == []


def test_texts_of_old_days_go_and_their_rows_stay_to_be_counted(tables: Tables) -> None:
    """A table that went whole while its documents were in landing would look like a day that no run has seen."""
    sweepers = list_table_sweepers(tables, TableAges(texts=HUNDRED))
    counted = apply_retention_sweepers(sweepers, NOW, True)
    assert tables.read("raw_interactions", OLD).equals(ROWS)  # type: ignore[union-attr]
    assert [(each.what, each.removed) for each in counted] == [
        ("texts of raw_interactions", 1),
        ("texts of rejected_records", 1),
    ]
    assert apply_retention_sweepers(sweepers, NOW, False) == counted
    raw, rejected = (tables.read(name, OLD) for name in ("raw_interactions", "rejected_records"))
    assert raw is not None
    assert rejected is not None
    assert raw["payload"].to_list() == [None] * 3
    assert raw["reader"].to_list() == [None] * 3, "a rerun would take the rows over, without their texts"
    assert rejected["payload"].to_list() == [""] * 3
    assert raw.height == rejected.height == 3
    assert tables.read("raw_interactions", YOUNG).equals(ROWS)  # type: ignore[union-attr]
    assert [each.removed for each in apply_retention_sweepers(sweepers, NOW, False)] == [0, 0]


def test_answers_and_features_of_old_days_go_whole_each_by_its_own_age(tables: Tables) -> None:
    apply_retention_sweepers(list_table_sweepers(tables, TableAges(answers=HUNDRED)), NOW, False)
    assert tables.partitions("llm_extractions") == [YOUNG]
    assert len(tables.partitions("validated_features")) == 2
    apply_retention_sweepers(list_table_sweepers(tables, TableAges(features=HUNDRED)), NOW, False)
    assert tables.partitions("validated_features") == [YOUNG]
