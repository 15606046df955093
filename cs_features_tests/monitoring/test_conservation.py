"""What a run has to answer for: that which it listed, whatever landed, was replaced or deleted since."""

import itertools
import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cs_features.errors import AwsRefusal
from cs_features.monitoring import conservation
from cs_features.monitoring.conservation import (
    Balance,
    Counted,
    CountPlan,
    count_planned_documents,
    describe_law_balance,
    plan_count_of_run,
    recall_partition_run,
)
from cs_features.monitoring.kept_counts import CountMemory
from cs_features.s3 import Listing
from cs_features_tests.support.documents import document
from cs_features_tests.support.memory_s3 import EIGHT
from cs_features_tests.support.partitions import Folder


def line(number: int) -> str:
    return json.dumps(document(number))


def counted(folder: Folder) -> tuple[CountPlan, Counted]:
    """As the check counts: from the saved listing, the rows of the run, and the folder now."""
    run = folder.run_record()
    plan = plan_count_of_run(run, folder.list_now())
    return plan, count_planned_documents(plan, run, folder.zone, CountMemory(EIGHT))


def landed(folder: Folder) -> tuple[int, int]:
    return counted(folder)[1].landed


@pytest.fixture
def folder() -> Folder:
    """Two files of three documents, listed by a run."""
    made = Folder()
    made.land("a.jsonl", line(1), line(2))
    made.land("b.jsonl", line(3))
    made.list_for_a_run()
    return made


def test_ten_thousand_objects_cost_ten_thousand_steps() -> None:
    """What a run knew was put together again for each object: ten thousand files at once were half a minute."""
    folder = Folder()
    run = recall_partition_run(Listing("landing", [], EIGHT), folder.raw, Listing("landing", [], EIGHT), EIGHT)
    assert run.known_objects is run.known_objects


# --- objects that landed since ----------------------------------------------------------------


def test_a_folder_at_rest_is_counted_from_its_bytes(folder: Folder) -> None:
    folder.read_for_the_run()
    plan, found = counted(folder)
    assert found.landed == (3, 0)
    assert (len(plan.from_s3), found.changed, found.unreadable) == (2, [], [])


def test_what_the_run_did_not_list_is_not_its_fault(folder: Folder) -> None:
    folder.read_for_the_run()
    folder.land("c.jsonl", line(4))
    plan, found = counted(folder)
    assert found.landed == (3, 0)
    assert [item.name for item in plan.landed_since] == ["c.jsonl"]


def test_an_upload_in_parts_that_began_before_the_listing_is_not_its_fault(folder: Folder) -> None:
    """Fault 22: S3 dates it when it began, an hour before the listing that did not show it; the run was blocked, and
    the alert said that documents were lost."""
    folder.read_for_the_run()
    folder.land("large.jsonl", line(4), line(5), at=EIGHT - timedelta(hours=1))
    assert landed(folder) == (3, 0)


def test_a_listed_file_that_the_reader_lost_is_caught_whatever_its_date_says(folder: Folder) -> None:
    """Excused by date, a file of the second in which the folder was listed was free to disappear."""
    folder.read_for_the_run("b.jsonl")
    folder.s3.objects[folder.key("b.jsonl")] = (line(3).encode(), EIGHT + timedelta(hours=1))
    assert landed(folder) == (3, 0)


# --- objects that were replaced or deleted ----------------------------------------------------


def test_a_file_rewritten_faster_than_a_run_lasts_is_counted_as_it_was_read(folder: Folder) -> None:
    """Fault 23: `today.jsonl` grew every minute; four of four runs were blocked, and nothing was ever online."""
    folder.read_for_the_run()
    folder.land("a.jsonl", line(1), line(2), line(4), line(5))
    _, found = counted(folder)
    assert found.landed == (3, 0)
    assert found.changed == [folder.uri("a.jsonl")]


def test_a_file_rewritten_between_listing_and_reading_is_counted_as_it_was_read(folder: Folder) -> None:
    folder.land("a.jsonl", line(1), line(2), line(4))
    folder.read_for_the_run()
    assert landed(folder) == (4, 0)
    folder.land("a.jsonl", line(1))
    assert landed(folder) == (4, 0)


def test_a_file_deleted_after_it_was_read_is_counted_as_it_was_read(folder: Folder) -> None:
    folder.read_for_the_run()
    folder.unland("a.jsonl")
    _, found = counted(folder)
    assert found.landed == (3, 0)
    assert found.changed == [folder.uri("a.jsonl")]


def test_a_file_that_was_listed_and_never_read_and_is_gone_is_a_document_at_the_least(folder: Folder) -> None:
    """Taken for deleted, a file that the reader could not find would be lost with everybody's consent."""
    folder.read_for_the_run("a.jsonl")
    folder.unland("a.jsonl")
    plan, found = counted(folder)
    assert found.landed == (2, 0)
    assert plan.lost == [folder.uri("a.jsonl")]
    balance = Balance(found.landed.documents, validated=1, rejected=0, duplicates=0)
    assert not balance.holds
    assert "1 objects were listed, never read, and are gone" in describe_law_balance(balance, plan, found)


def test_duplicates_are_found_between_files_that_are_read_and_files_that_were(folder: Folder) -> None:
    """The copy in the file that was replaced is a duplicate all the same: its row says so, and the sum must."""
    folder.land("c.jsonl", line(1), line(2), "broken", "broken")
    folder.list_for_a_run()
    folder.read_for_the_run()
    assert landed(folder) == (7, 2)
    folder.land("c.jsonl", line(9))
    assert landed(folder) == (7, 2)
    folder.unland("a.jsonl")
    assert landed(folder) == (7, 2)


def test_the_beginning_of_a_document_that_was_too_large_has_no_identity(folder: Folder) -> None:
    """Two such beginnings may be equal, and their documents are not: rows say rejected twice, and not duplicate."""
    folder.read_for_the_run()
    for row in folder.rows:
        row |= {"payload": line(1), "reason": "document_too_large"}
    folder.unland("a.jsonl")
    folder.unland("b.jsonl")
    assert landed(folder) == (3, 0)


def test_a_file_that_changes_while_it_is_counted_is_counted_as_it_was_read(folder: Folder) -> None:
    folder.read_for_the_run()
    run, now = folder.run_record(), folder.list_now()
    folder.land("a.jsonl", line(7))
    folder.unland("b.jsonl")
    found = count_planned_documents(plan_count_of_run(run, now), run, folder.zone, CountMemory(EIGHT))
    assert found.landed == (3, 0)
    assert sorted(found.changed) == [folder.uri("a.jsonl"), folder.uri("b.jsonl")]


# --- objects that cannot be read --------------------------------------------------------------


def test_an_object_that_s3_refuses_is_one_document_and_stops_no_other(folder: Folder) -> None:
    """Fault 15: another account's object failed its partition, and the reconciliation of all countries."""
    folder.refuse("b.jsonl")
    folder.read_for_the_run_but_reject("b.jsonl")
    plan, found = counted(folder)
    assert found.landed == (3, 0)
    assert found.unreadable == [folder.uri("b.jsonl")]
    assert "1 objects cannot be read now" in describe_law_balance(Balance(3, 2, 1, 0), plan, found)


def test_an_object_that_can_be_read_again_is_counted_as_the_run_had_to_leave_it(folder: Folder) -> None:
    """The permission came back between reading and counting: the rows are a reject, and the documents of the run
    before, of which the file holds one by now."""
    folder.read_for_the_run_but_reject("b.jsonl")
    (rejected,) = [row for row in folder.rows if row["reason"] == "unreadable_object"]
    taken_over = {"status": "accepted", "reason": None}
    folder.rows += [{**rejected, **taken_over, "payload": line(number)} for number in (6, 7)]
    _, found = counted(folder)
    assert found.landed == (5, 0)
    assert (found.changed, found.unreadable) == ([], [folder.uri("b.jsonl")])


def test_an_object_that_is_refused_after_it_was_read_counts_as_it_was_read(folder: Folder) -> None:
    folder.read_for_the_run()
    folder.refuse("a.jsonl")
    assert landed(folder) == (3, 0)


def test_an_object_that_is_refused_and_in_no_row_is_caught(folder: Folder) -> None:
    """Mutant 1 of the faults: any error of S3 taken for "deleted", and the count followed the reader."""
    folder.read_for_the_run("a.jsonl")
    folder.refuse("a.jsonl")
    assert landed(folder) == (2, 0)


def test_a_bucket_that_is_not_there_is_no_refused_object(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every object taken for refused, the law would have been compared with the run's own claims."""
    from botocore.exceptions import ClientError

    def get_object(**_: Any) -> Any:
        raise ClientError({"Error": {"Code": "NoSuchBucket", "Message": ""}}, "GetObject")

    folder.read_for_the_run()
    monkeypatch.setattr(folder.s3, "get_object", get_object)
    with pytest.raises(AwsRefusal, match="CS_FEATURES_LANDING_BUCKET"):
        counted(folder)


def test_large_files_are_counted_as_small_ones_are(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conservation, "LARGE_BYTES", len(line(3)) + 1)
    folder.read_for_the_run()
    assert landed(folder) == (3, 0)


# --- runs of versions that saved no listing ---------------------------------------------------


@pytest.mark.parametrize(("seconds", "expected"), [(-1, 4), (0, 3), (1, 3)])
def test_without_a_saved_listing_a_file_is_excused_from_the_second_of_the_listing_on(
    folder: Folder, seconds: int, expected: int
) -> None:
    """Both times are S3's, in whole seconds: of the second of the listing itself nobody can say which came first."""
    folder.read_for_the_run()
    listed_at = folder.list_now().listed_at
    folder.land("late.jsonl", line(8), at=listed_at + timedelta(seconds=seconds))
    run = recall_partition_run(None, folder.raw, folder.list_now(), listed_at + timedelta(milliseconds=400))
    assert count_planned_documents(
        plan_count_of_run(run, folder.list_now()), run, folder.zone, CountMemory(EIGHT)
    ).landed == (
        expected,
        0,
    )


def test_the_listing_of_another_run_is_not_taken_for_that_of_the_rows(folder: Folder) -> None:
    """A run listed anew and died before it read: its listing lies beside the rows of the run before, which had not
    seen the file, and a run of the later steps alone was blocked for having lost it."""
    folder.read_for_the_run()
    raw, listed_at = folder.raw, folder.listing.listed_at
    folder.land("late.jsonl", line(8))
    newer = folder.list_now()
    run = recall_partition_run(newer, raw, folder.list_now(), listed_at)
    assert count_planned_documents(
        plan_count_of_run(run, folder.list_now()), run, folder.zone, CountMemory(EIGHT)
    ).landed == (3, 0)


def test_a_run_that_listed_another_bucket_is_counted_as_it_read(folder: Folder) -> None:
    """Fault 3: the setting was changed between two steps; the objects of the one bucket are not in the other."""
    folder.read_for_the_run()
    other = Folder()
    other.zone.bucket.name = "other"
    other.land("a.jsonl", line(7))
    run = recall_partition_run(folder.listing, folder.raw, other.list_now(), folder.listing.listed_at)
    plan = plan_count_of_run(run, other.list_now())
    assert count_planned_documents(plan, run, other.zone, CountMemory(EIGHT)).landed == (3, 0)
    assert len(plan.landed_since) == 1


# --- histories --------------------------------------------------------------------------------

NAMES = ("a.jsonl", "b.jsonl", "c.jsonl")
CHANGE = st.tuples(st.sampled_from(["land", "unland"]), st.sampled_from(NAMES), st.lists(st.integers(1, 4), max_size=3))


@pytest.mark.heavy
@given(st.lists(CHANGE, max_size=6), st.lists(CHANGE, max_size=4), st.lists(CHANGE, max_size=6))
def test_whatever_changes_around_a_run_that_reads_all_it_listed_the_law_holds(
    before: list[Any], between: list[Any], after: list[Any]
) -> None:
    """Only what was deleted between listing and reading was never read: each such file is one document too many."""
    folder, fresh = Folder(), itertools.count(100)

    def apply(changes: list[Any]) -> None:
        for kind, name, numbers in changes:
            if kind == "land":
                # A line of its own, so that every version of a file is another and holds a document.
                folder.land(name, *map(line, numbers), line(next(fresh)))
            elif folder.key(name) in folder.s3.objects:
                folder.unland(name)

    apply(before)
    folder.list_for_a_run()
    apply(between)
    folder.read_for_the_run()
    read = {row["source_uri"] for row in folder.rows}
    never_read = {folder.zone.uri(item.key) for item in folder.listing.objects} - read
    apply(after)
    plan, found = counted(folder)
    distinct = {row["payload"] for row in folder.rows}
    came_back = sum(item.etag != "" for item in plan.from_s3 if folder.zone.uri(item.key) in never_read)
    if not came_back:
        assert found.landed == (len(folder.rows) + len(never_read), len(folder.rows) - len(distinct))
    assert len(plan.lost) == len(never_read) - came_back
