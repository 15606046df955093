"""A folder that changes while it is looked at: what is left to the sensor, and what was forgotten."""

import json
from datetime import datetime, timedelta
from typing import Any

import pytest

from cs_features.monitoring.conservation import count_planned_documents
from cs_features.monitoring.kept_counts import CountMemory
from cs_features.monitoring.settling import Situation, compare_with_run
from cs_features_tests.support.documents import document
from cs_features_tests.support.memory_s3 import EIGHT
from cs_features_tests.support.partitions import Folder

NOON = EIGHT + timedelta(hours=4)
JUST_NOW, LONG_AGO = NOON - timedelta(minutes=1), NOON - timedelta(hours=3)
SETTLED_BEFORE = NOON - timedelta(hours=1)


def line(number: int) -> str:
    return json.dumps(document(number))


@pytest.fixture
def folder() -> Folder:
    """Two files of three documents, which a run has read."""
    made = Folder()
    made.land("a.jsonl", line(1), line(2), at=LONG_AGO)
    made.land("b.jsonl", line(3), at=LONG_AGO)
    made.list_for_a_run()
    made.read_for_the_run()
    return made


def situation(folder: Folder) -> tuple[Situation, int]:
    """With the documents that count as landed."""
    run = folder.run_record()
    found = compare_with_run(run, folder.list_now(), SETTLED_BEFORE)
    return found, count_planned_documents(found.plan, run, folder.zone, CountMemory(EIGHT)).landed.documents


def summary(folder: Folder) -> dict[str, Any]:
    found, documents = situation(folder)
    return {"changing": found.is_changing, "unread": found.unread_objects, "documents": documents}


def test_a_folder_as_its_run_saw_it_is_at_rest(folder: Folder) -> None:
    assert summary(folder) == {"changing": False, "unread": 0, "documents": 3}


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        pytest.param(JUST_NOW, {"changing": True, "unread": 0, "documents": 3}, id="a minute ago"),
        pytest.param(SETTLED_BEFORE, {"changing": True, "unread": 0, "documents": 3}, id="just not settled"),
        pytest.param(
            SETTLED_BEFORE - timedelta(seconds=1), {"changing": False, "unread": 1, "documents": 4}, id="just settled"
        ),
        pytest.param(LONG_AGO, {"changing": False, "unread": 1, "documents": 4}, id="hours ago"),
    ],
)
def test_a_new_file_is_left_to_the_sensor_until_it_has_had_its_time(
    folder: Folder, at: datetime, expected: dict[str, Any]
) -> None:
    """Fault 24: a feed that went on at half past four was an ERROR every night; and forgotten for good, a file of the
    evening before was never found."""
    folder.land("c.jsonl", line(4), at=at)
    assert summary(folder) == expected


def test_a_file_that_is_being_rewritten_counts_as_it_was_read(folder: Folder) -> None:
    """Counted as it is now, every night had more documents than rows."""
    folder.land("a.jsonl", line(1), line(2), line(5), line(6), at=JUST_NOW)
    assert summary(folder) == {"changing": True, "unread": 0, "documents": 3}


def test_a_file_that_was_rewritten_long_ago_and_never_read_again_is_found_though_the_numbers_agree(
    folder: Folder,
) -> None:
    """Its run failed three times and was given up: two documents before and two after, and other ones."""
    folder.land("a.jsonl", line(5), line(6), at=LONG_AGO)
    assert summary(folder) == {"changing": False, "unread": 1, "documents": 3}


def test_a_deletion_is_a_difference_where_nothing_else_changes(folder: Folder) -> None:
    """Withdrawn for privacy while the sensor was down: S3 does not say when."""
    folder.unland("a.jsonl")
    assert summary(folder) == {"changing": False, "unread": 1, "documents": 1}


def test_a_deletion_is_part_of_a_change_that_goes_on(folder: Folder) -> None:
    """A writer that replaces `part-1` by `part-2` deletes the first a moment after: no night is without that."""
    folder.unland("a.jsonl")
    folder.land("c.jsonl", line(1), line(2), at=JUST_NOW)
    assert summary(folder) == {"changing": True, "unread": 0, "documents": 3}


def test_a_folder_that_no_run_ever_listed_is_unread_as_a_whole() -> None:
    folder = Folder()
    folder.land("a.jsonl", line(1), at=LONG_AGO)
    folder.land("b.jsonl", line(2), at=JUST_NOW)
    assert summary(folder) == {"changing": True, "unread": 1, "documents": 1}
