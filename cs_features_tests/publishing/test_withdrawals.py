"""What leaves the store and what does not: a record goes on evidence about its document, and never many at once.

In memory. That the flow hands the right tables to the publisher is shown in `test_publication_flow.py`.
"""

import itertools
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import polars as pl
import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from cs_features.errors import AwsRefusal, PublishingFailed, RequestError, WithdrawalStopped
from cs_features.landing.claims import IDS, collect_document_ids
from cs_features.landing.notices import list_partition_notices, notify_of_withdrawal
from cs_features.partitions import Partition
from cs_features.publishing import changes, publication
from cs_features.publishing.feature_group import build_feature_record
from cs_features.publishing.manifest import MANIFEST_SCHEMA, UNFINISHED
from cs_features.publishing.publisher import Outcome, Published
from cs_features.publishing.records import WORKERS, WRITTEN_AT_ONCE
from cs_features_tests.support.documents import DAY, id_of
from cs_features_tests.support.memory_s3 import EIGHT
from cs_features_tests.support.publications import (
    Killed,
    Store,
    features,
    landed,
    memory_store,
    outcome_of,
    rejects,
    validated,
)

TWENTY = [features(n) for n in range(20)]


def publish_all(rows: Sequence[dict[str, Any]] = TWENTY) -> Store:
    store = memory_store()
    store.publish(*rows)
    return store


def counts(result: Published) -> dict[str, int]:
    names = ("written", "withdrawn", "handed_over", "kept", "unchanged")
    return {name: getattr(result, name) for name in names if getattr(result, name)}


# --- kept: the document stands, and this run has no features of it -----------------------------


def test_a_run_whose_every_call_fails_leaves_the_store_as_it_was() -> None:
    """Fault 1: a restricted account answered 400 to everything; 60 of 60 records were deleted, in green."""
    store = publish_all()
    assert counts(store.publish_outcome(outcome_of(failed=TWENTY))) == {"kept": 20}
    assert store.holds_exactly(*TWENTY)


def test_a_partition_of_two_whose_calls_fail_keeps_both() -> None:
    """Fault 2: 81 seconds of 503 on a small partition, and both records were gone."""
    store = publish_all(TWENTY[:2])
    assert counts(store.publish_outcome(outcome_of(failed=TWENTY[:2]))) == {"kept": 2}
    assert store.holds_exactly(*TWENTY[:2])


def test_a_kept_record_says_which_prompt_and_model_made_it() -> None:
    """Served under a new prompt by the word of the run, and made by the old one."""
    old = [features(1, prompt_version="v1", model_id="m1"), features(2, prompt_version="v1", model_id="m1")]
    store = publish_all(old)
    new = features(1, prompt_version="v2", model_id="m2", text="first")
    assert counts(store.publish_outcome(outcome_of(new, failed=[old[1]]))) == {"written": 1, "kept": 1}
    assert store.holds_exactly(new, old[1])
    made_by = store.manifest.select("interaction_id", "prompt_version", "model_id").rows()
    assert sorted(made_by) == sorted([(id_of(1), "v2", "m2"), (id_of(2), "v1", "m1")])


def test_a_kept_record_is_withdrawn_when_its_document_goes_at_last() -> None:
    """Kept for a week while the model was down, and then for ever."""
    store = publish_all()
    store.publish_outcome(outcome_of(*TWENTY[1:], failed=TWENTY[:1]))
    assert counts(store.publish_outcome(outcome_of(*TWENTY[1:]))) == {"withdrawn": 1, "unchanged": 19}
    assert store.holds_exactly(*TWENTY[1:])


def test_what_was_never_served_is_not_kept() -> None:
    """A reject counted as served, because it was rejected."""
    store = memory_store()
    assert counts(store.publish_outcome(outcome_of(features(1), failed=[features(2)]))) == {"written": 1}
    assert store.holds_exactly(features(1))


def test_a_document_that_no_table_speaks_of_any_more_is_kept_while_it_stands() -> None:
    """raw_interactions was materialized alone, and the next publication took the new document's neighbours out."""
    store = publish_all()
    outcome = Outcome(raw=landed(TWENTY), validated=validated(TWENTY[:18]), rejected=rejects([], "extraction"))
    assert counts(store.publish_outcome(outcome)) == {"unchanged": 18, "kept": 2}


def test_records_whose_documents_may_lie_in_an_object_that_cannot_be_read_are_kept() -> None:
    """A file was overwritten by half of itself: what was behind the cut was taken for deleted."""
    store = publish_all()
    assert counts(store.publish_outcome(outcome_of(*TWENTY[:18], unread=1))) == {"unchanged": 18, "kept": 2}
    assert store.holds_exactly(*TWENTY)
    assert counts(store.publish_outcome(outcome_of(*TWENTY[:18]))) == {"unchanged": 18, "withdrawn": 2}


def damaged(uri: str, reason: str = "malformed_json", **changes: Any) -> pl.DataFrame:
    """The row of a piece of a landing file in which nobody recognizes a document."""
    return landed([features(-1)], status="rejected", reason=reason, source_uri=uri, **changes).with_columns(
        interaction_id=pl.lit(None, pl.String())
    )


def outcome_in_files(*rows: dict[str, Any], among: pl.DataFrame | None = None) -> Outcome:
    """Ten documents a file, by their number among TWENTY; and the rows of `among`."""
    made = outcome_of(*rows)
    files = [f"s3://l/{'a' if TWENTY.index(row) < 10 else 'b'}.jsonl" for row in rows]
    raw = made.raw.with_columns(source_uri=pl.Series(files, dtype=pl.String()))
    return Outcome(
        raw=raw if among is None else pl.concat([raw, among]), validated=made.validated, rejected=made.rejected
    )


@pytest.mark.parametrize(
    "reason", ["malformed_json", "not_utf8", "not_an_object", "document_too_large", "missing_field", "corrupt_gzip"]
)
def test_what_a_damaged_file_held_is_kept_until_the_file_can_be_read(reason: str) -> None:
    """A file was replaced by an error page, by half of itself, by one that is too large: below the brake, its documents
    were taken for deleted."""
    store = memory_store()
    store.publish_outcome(outcome_in_files(*TWENTY))
    result = store.publish_outcome(outcome_in_files(*TWENTY[2:], among=damaged("s3://l/a.jsonl", reason)))
    assert counts(result) == {"unchanged": 18, "kept": 2}
    assert result.hidden == 2
    assert store.holds_exactly(*TWENTY)
    assert counts(store.publish_outcome(outcome_in_files(*TWENTY[2:]))) == {"unchanged": 18, "withdrawn": 2}


def test_a_damaged_file_hides_nothing_that_was_last_seen_in_another() -> None:
    """The other way round: one bad line anywhere, and no document of its day could ever be deleted."""
    store = memory_store()
    store.publish_outcome(outcome_in_files(*TWENTY))
    result = store.publish_outcome(outcome_in_files(*TWENTY[2:], among=damaged("s3://l/b.jsonl")))
    assert counts(result) == {"unchanged": 18, "withdrawn": 2}


def test_the_file_of_a_kept_record_is_the_one_it_was_last_seen_in() -> None:
    """Small files were merged into a large one, which was damaged then: the old names say nothing of it."""
    store = memory_store()
    store.publish_outcome(outcome_in_files(*TWENTY))
    merged = outcome_of(*TWENTY)
    raw = merged.raw.with_columns(source_uri=pl.lit("s3://l/merged.jsonl"))
    store.publish_outcome(Outcome(raw=raw, validated=merged.validated, rejected=merged.rejected))
    result = store.publish_outcome(outcome_in_files(*TWENTY[2:], among=damaged("s3://l/merged.jsonl")))
    assert counts(result) == {"unchanged": 18, "kept": 2}


def test_a_damaged_file_hands_nothing_over_to_a_document_that_it_had_superseded() -> None:
    """The storm: an interaction had moved to another day, whose file was damaged then; the line that it had left behind
    was still there, and the record was withdrawn for it."""
    store = memory_store()
    store.publish_outcome(outcome_in_files(*TWENTY))
    store.tables.write(IDS, Partition("BE", DAY), collect_document_ids(landed(TWENTY[:2])))
    result = store.publish_outcome(outcome_in_files(*TWENTY[2:], among=damaged("s3://l/a.jsonl")))
    assert counts(result) == {"unchanged": 18, "kept": 2}
    result = store.publish_outcome(outcome_in_files(*TWENTY[2:]))
    assert result.kept == 0


def test_a_second_document_of_an_id_is_no_damage() -> None:
    """Its id is known, and stands in the detail: a folder with one correction would never lose a record again."""
    store = memory_store()
    store.publish_outcome(outcome_in_files(*TWENTY))
    among = damaged("s3://l/a.jsonl", "duplicate_id")
    assert counts(store.publish_outcome(outcome_in_files(*TWENTY[2:], among=among))) == {
        "unchanged": 18,
        "withdrawn": 2,
    }


def test_a_record_that_is_served_with_a_later_time_than_the_manifest_knows_leaves_all_the_same() -> None:
    """A delete that is no later than the record is refused: a manifest that was put back from an older version of its
    object knew an earlier time, and the partition could withdraw nothing any more."""
    store = memory_store()
    store.publish(features(1), features(2))
    later = build_feature_record(features(1, minutes=90))
    store.runtime.batch_write_record(Entries=[{"FeatureGroupName": store.group, "Record": later}])
    store.publish(features(2))
    assert store.holds_exactly(features(2))


# --- writing that is refused ------------------------------------------------------------------


def refuse_writes(code: str, status: int) -> Any:
    def batch_write_record(**_: Any) -> Any:
        answer = {"Error": {"Code": code, "Message": "no"}, "ResponseMetadata": {"HTTPStatusCode": status}}
        raise ClientError(answer, "BatchWriteRecord")  # type: ignore[arg-type]

    return batch_write_record


@pytest.mark.parametrize(("code", "status"), [("AccessDeniedException", 403), ("ServiceUnavailable", 503)])
def test_where_writing_is_refused_the_store_loses_one_record_and_not_all(
    monkeypatch: pytest.MonkeyPatch, code: str, status: int
) -> None:
    """Room was made for every record of the partition before anybody knew that none could be written: with
    sagemaker:BatchWriteRecord gone, a new prompt emptied the online store."""
    store = memory_store()
    before, after = ([features(n, summary) for n in range(90)] for summary in ("first", "second"))
    store.publish(*before)
    with monkeypatch.context() as refused:
        refused.setattr(store.runtime, "batch_write_record", refuse_writes(code, status))
        with pytest.raises(AwsRefusal, match=code):
            store.publish(*after)
    assert len(store.online()) == 89
    store.publish(*after)
    assert store.holds_exactly(*after)


def test_once_a_batch_has_failed_no_other_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """An outage that began with the second batch cleared the records of all sixteen."""
    store = memory_store()
    before, after = ([features(n, summary) for n in range(400)] for summary in ("first", "second"))
    store.publish(*before)
    write, refuse = store.runtime.batch_write_record, refuse_writes("ServiceUnavailable", 503)
    answers = itertools.chain([write], itertools.repeat(refuse))
    with monkeypatch.context() as refused:
        refused.setattr(store.runtime, "batch_write_record", lambda **request: next(answers)(**request))
        with pytest.raises(AwsRefusal, match="ServiceUnavailable"):
            store.publish(*after)
    in_flight = WORKERS * WRITTEN_AT_ONCE
    assert len(store.runtime.online) >= 400 - in_flight
    store.publish(*after)
    assert store.runtime.online.keys() == {id_of(n) for n in range(400)}


def test_an_answer_without_its_parts_is_told_and_nothing_is_believed_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy's page with status 200 was a KeyError, and might as well have been taken for a write without errors."""
    store = memory_store()
    for operation in ("batch_write_record", "batch_get_record"):
        with monkeypatch.context() as broken:
            broken.setattr(store.runtime, operation, lambda **_: {"ResponseMetadata": {"HTTPStatusCode": 200}})
            with pytest.raises(PublishingFailed, match="200 without an answer of AWS"):
                store.publish(features(1))
    store.publish(features(1))
    assert store.holds_exactly(features(1))


# --- withdrawn: gone, superseded, invalid or corrected -----------------------------------------


def test_a_document_that_breaks_the_rules_now_takes_its_record_with_it() -> None:
    """The answer held a customer's number, the gate refused it, and the old one stayed."""
    store = publish_all()
    result = store.publish_outcome(outcome_of(*TWENTY[2:], failed=TWENTY[:1], invalid=TWENTY[1:2]))
    assert counts(result) == {"kept": 1, "withdrawn": 1, "unchanged": 18}


def test_a_document_that_became_unreadable_as_it_stands_takes_its_record_with_it() -> None:
    """Overwritten by a version without a country: the id is known, and the document is rejected at landing."""
    store = publish_all()
    outcome = outcome_of(*TWENTY[1:])
    broken = landed(TWENTY[:1], status="rejected", reason="missing_field")
    outcome = Outcome(raw=pl.concat([outcome.raw, broken]), validated=outcome.validated, rejected=outcome.rejected)
    assert counts(store.publish_outcome(outcome)) == {"withdrawn": 1, "unchanged": 19}


def test_the_features_of_an_old_text_leave_with_it_when_the_correction_has_none() -> None:
    """Fault 6: a correction was extracted in vain, and the answer to what had been said before stayed online."""
    store = publish_all()
    corrected = features(0, "corrected")
    assert counts(store.publish_outcome(outcome_of(*TWENTY[1:], failed=[corrected]))) == {
        "withdrawn": 1,
        "unchanged": 19,
    }
    assert store.holds_exactly(*TWENTY[1:])


def test_features_of_a_text_that_raw_interactions_no_longer_holds_are_refused() -> None:
    """Fault 6: raw_interactions was newer than validated_features, and feature_store alone was materialized."""
    store = publish_all()
    corrected = [features(0, "corrected"), *TWENTY[1:]]
    outcome = Outcome(raw=landed(corrected), validated=validated(TWENTY), rejected=rejects([], "extraction"))
    with pytest.raises(RequestError, match=rf"^1 of 20 rows .*{id_of(0)[:8]}.*Materialize llm_extractions"):
        store.publish_outcome(outcome)
    outcome = Outcome(raw=landed(TWENTY[1:]), validated=validated(TWENTY), rejected=rejects([], "extraction"))
    with pytest.raises(RequestError, match=r"^1 of 20 rows"):
        store.publish_outcome(outcome)
    assert store.holds_exactly(*TWENTY)


def belgian_store(store: Store) -> Store:
    """Another partition's publisher on the same group and data bucket."""
    other = memory_store(store.identity)
    other.country, other.runtime, other.memory = "BE", store.runtime, store.memory
    return other


def test_a_record_that_another_partition_serves_by_now_is_left_to_it() -> None:
    """Deleted for a second each night, until the other partition had been told and had run."""
    store = publish_all(TWENTY[:2])
    taken = features(0, country="BE")
    belgian_store(store).publish(taken)
    assert counts(store.publish_outcome(outcome_of(TWENTY[1]))) == {"handed_over": 1, "unchanged": 1}
    assert store.serves_exactly(TWENTY[1], taken)


def test_what_was_written_in_the_second_of_anothers_withdrawal_is_written_again() -> None:
    """Fault 25: S3 dates in whole seconds, and of two things within one nobody knows which came first."""
    store = publish_all(TWENTY[:2])
    store.tables.write(IDS, store.partition, collect_document_ids(landed(TWENTY[:1])))
    notify_of_withdrawal([id_of(0)], Partition("BE", DAY), store.tables, 35)
    (notice,) = [item.key for found in list_partition_notices(store.tables).values() for item in found]
    (written_at,) = set(store.manifest["written_at"])
    for seconds, written in ((-1, 0), (0, 1)):
        body, _ = store.memory.objects[notice]
        store.memory.objects[notice] = body, written_at + timedelta(seconds=seconds)
        assert store.publish_outcome(outcome_of(*TWENTY[:2])).written == written


def test_a_record_that_the_store_does_not_show_yet_is_deleted_all_the_same() -> None:
    """A correction with an earlier event time was killed before its first call, and then withdrawn: a read that lagged
    behind showed nothing, and the deletion was dated before the record that was there."""
    store = publish_all([features(1, minutes=5), features(2)])
    with pytest.raises(Killed):
        store.publish(features(1, "corrected", minutes=0), features(2), dies_after=3)
    store.calls_left = None
    assert store.serves_exactly(features(1, minutes=5), features(2))
    nothing = {"Records": [], "Errors": [], "UnprocessedIdentifiers": []}
    read, store.runtime.batch_get_record = store.runtime.batch_get_record, lambda **_: nothing
    store.publish(features(2))
    store.runtime.batch_get_record = read
    assert store.holds_exactly(features(2))


# --- the brake --------------------------------------------------------------------------------


def test_a_file_that_is_overwritten_by_a_shorter_one_stops_the_publication_with_numbers() -> None:
    """Fault 4: 5 of 20 documents were left, and 15 records were deleted without a word."""
    store = publish_all()
    calls = len(store.memory.objects)
    with pytest.raises(WithdrawalStopped, match=r"^15 of 20 records \(15 gone\).*more than 5%.*allow_deletions: true"):
        store.publish_outcome(outcome_of(*TWENTY[:5]))
    assert store.holds_exactly(*TWENTY)
    assert len(store.memory.objects) == calls
    assert counts(store.publish_outcome(outcome_of(*TWENTY[:5]), allow_deletions=True)) == {
        "withdrawn": 15,
        "unchanged": 5,
    }
    assert store.holds_exactly(*TWENTY[:5])


@pytest.mark.parametrize(
    ("gone", "of", "stops"),
    [(4, 20, False), (5, 20, True), (5, 100, False), (6, 100, True), (4, 4, False), (5, 5, True)],
)
def test_more_than_a_share_and_at_least_five_records_stop_a_publication(gone: int, of: int, stops: bool) -> None:
    """One deleted file of a small day is everyday work; a tenth of a country's day is not."""
    rows = [features(n) for n in range(of)]
    store = publish_all(rows)
    failed = features(1000)  # a document that landed since, so that the folder is not empty
    outcome = outcome_of(*rows[gone:], failed=[failed])
    if stops:
        with pytest.raises(WithdrawalStopped, match=rf"^{gone} of {of} records"):
            store.publish_outcome(outcome)
        assert store.holds_exactly(*rows)
    else:
        assert store.publish_outcome(outcome).withdrawn == gone


@pytest.mark.parametrize("served", [1, 20])
def test_an_empty_landing_folder_empties_no_store(served: int) -> None:
    """Fault 3: another, empty bucket was set, or the objects had expired: 0 records were left anywhere, in green."""
    rows = TWENTY[:served]
    store = publish_all(rows)
    with pytest.raises(WithdrawalStopped, match=rf"holds no document, and {served} of {served} .*LANDING_BUCKET"):
        store.publish_outcome(outcome_of())
    assert store.holds_exactly(*rows)
    store.publish_outcome(outcome_of(), allow_deletions=True)
    assert store.holds_exactly()


def test_a_partition_that_never_held_anything_may_be_empty() -> None:
    """A country without a customer on New Year's Day is no incident."""
    assert counts(memory_store().publish_outcome(outcome_of())) == {}


def test_interactions_that_another_partition_has_by_now_do_not_count() -> None:
    """A whole feed was corrected to another country: every record has an owner, and nothing is lost."""
    store = publish_all()
    moved = [features(n, country="BE") for n in range(19)]
    store.tables.write(IDS, Partition("BE", DAY), collect_document_ids(landed(moved)))
    assert store.publish_outcome(outcome_of(TWENTY[19])).withdrawn == 19
    store = publish_all()
    superseded = landed(TWENTY[:19], status="rejected", reason="superseded")
    outcome = outcome_of(TWENTY[19])
    outcome = Outcome(raw=pl.concat([outcome.raw, superseded]), validated=outcome.validated, rejected=outcome.rejected)
    assert store.publish_outcome(outcome).withdrawn == 19


@pytest.mark.heavy
def test_a_withdrawal_that_was_let_through_is_finished_after_a_death_without_asking_again() -> None:
    """Killed half-way through what a person had allowed, the next run stopped at the other half for ever."""
    for dies_after in range(5, 20):
        store = publish_all()
        with pytest.raises(Killed):
            store.publish(TWENTY[19], dies_after=dies_after)
        store.calls_left = None
        store.publish_outcome(outcome_of(TWENTY[19]))
        assert store.holds_exactly(TWENTY[19]), f"killed after {dies_after} calls"


def test_a_death_late_in_a_large_publication_does_not_begin_it_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that was killed each time after nine tenths of a large day wrote the same nine tenths for ever."""
    monkeypatch.setattr(changes, "WRITTEN_AT_ONCE", 2)
    monkeypatch.setattr(changes, "READ_AT_ONCE", 2)
    monkeypatch.setattr(publication, "SAVE_EVERY", 1)
    monkeypatch.setattr(changes, "WORKERS", 1)
    store = memory_store()
    with pytest.raises(Killed):
        store.publish(*TWENTY, dies_after=28)
    store.calls_left = None
    assert 0 < store.publish_outcome(outcome_of(*TWENTY)).written <= 12
    assert store.holds_exactly(*TWENTY)


# --- whose the memory is ----------------------------------------------------------------------


def test_times_in_the_manifest_are_those_of_s3() -> None:
    """Fault 25: of two hosts whose clocks were two seconds apart each believed its own, and an id was in neither."""
    store = memory_store()
    store.memory.puts = 1000
    store.publish(*TWENTY)
    assert set(store.manifest["written_at"]) == {EIGHT + timedelta(seconds=1000)}


def test_another_group_is_given_everything_whatever_the_manifest_says() -> None:
    """Fault 5: a second group was created and set, as our own message advises: "written 0, unchanged 3", for ever."""
    store, other = publish_all(), memory_store("group 2")
    other.memory = store.memory
    assert counts(other.publish_outcome(outcome_of(*TWENTY))) == {"written": 20}
    assert other.holds_exactly(*TWENTY)
    assert counts(other.publish_outcome(outcome_of(*TWENTY))) == {"unchanged": 20}


def test_records_of_another_group_are_neither_kept_nor_withdrawn_nor_counted() -> None:
    """A new group may be filled while the model is down and half of the documents are gone."""
    store, other = publish_all(), memory_store("group 2")
    other.memory = store.memory
    assert counts(other.publish_outcome(outcome_of(TWENTY[0], failed=[TWENTY[1]]))) == {"written": 1}
    assert other.holds_exactly(TWENTY[0])


def test_a_group_that_is_set_again_loses_what_was_deleted_in_between() -> None:
    """The new group had a fault, the old one was set again, and served a customer whose documents had been deleted
    on request in the meantime."""
    store, other = publish_all(), memory_store("group 2")
    other.memory = store.memory
    other.publish(*TWENTY)
    other.publish(*TWENTY[1:])
    assert counts(store.publish_outcome(outcome_of(*TWENTY[1:19], failed=TWENTY[19:]))) == {
        "withdrawn": 1,
        "unchanged": 18,
        "kept": 1,
    }
    assert store.holds_exactly(*TWENTY[1:])
    assert counts(other.publish_outcome(outcome_of(*TWENTY[2:]))) == {"withdrawn": 1, "unchanged": 18}
    assert other.holds_exactly(*TWENTY[2:])


def of_an_older_version(store: Store) -> pl.DataFrame:
    return store.manifest.select("interaction_id", "event_time", "content_hash", "written_at")


def test_a_manifest_of_an_older_version_is_believed_where_the_store_agrees() -> None:
    """After the upgrade a million records were written again that were there already; or none, to an empty group."""
    store = publish_all()
    store.overwrite_manifest(of_an_older_version(store))
    store.runtime.online.pop(id_of(3))
    assert counts(store.publish_outcome(outcome_of(*TWENTY[:18], failed=TWENTY[18:]))) == {
        "written": 1,
        "unchanged": 17,
        "kept": 2,
    }
    assert store.holds_exactly(*TWENTY)
    assert store.manifest.schema == MANIFEST_SCHEMA
    filled = store.manifest.filter(pl.col("interaction_id") == id_of(0)).row(0, named=True)
    assert (filled["group"], filled["document_hash"], filled["model_id"]) == ("group 1", "0 first", "model")


def test_a_manifest_of_an_older_version_claims_no_record_of_another_partition() -> None:
    """The interaction had moved to Belgium; the old country kept its record as its own, and withdrew it later."""
    store = publish_all(TWENTY[:2])
    store.overwrite_manifest(of_an_older_version(store))
    taken = features(0, country="BE")
    belgian_store(store).publish(taken)
    assert counts(store.publish_outcome(outcome_of(TWENTY[1], failed=TWENTY[:1]))) == {"unchanged": 1}
    assert store.serves_exactly(TWENTY[1], taken)
    assert store.manifest["interaction_id"].to_list() == [id_of(1)]


def test_a_manifest_of_an_older_version_empties_no_new_group() -> None:
    """The version and the group changed in one deployment, and nothing of the old table is in the new group."""
    store, other = publish_all(), memory_store("group 2")
    other.memory = store.memory
    store.overwrite_manifest(of_an_older_version(store))
    assert counts(other.publish_outcome(outcome_of(TWENTY[0], failed=TWENTY[1:]))) == {"written": 1}


def test_what_a_publisher_of_an_older_version_had_begun_is_taken_as_the_store_has_it() -> None:
    """Killed by the deployment itself, with a model that was down afterwards: all of it counted as half withdrawn."""
    store = publish_all()
    begun = of_an_older_version(store).with_columns(content_hash=pl.lit(UNFINISHED))
    store.overwrite_manifest(begun)
    store.runtime.online.pop(id_of(0))
    outcome = outcome_of(*TWENTY[10:], failed=TWENTY[:10])
    assert counts(store.publish_outcome(outcome)) == {"withdrawn": 1, "unchanged": 10, "kept": 9}
    assert store.holds_exactly(*TWENTY[1:])


def test_features_of_an_older_version_are_kept_only_if_their_document_landed_before_them() -> None:
    """Which text they were of was not written down then; only when."""
    store = publish_all(TWENTY[:2])
    written_at = store.manifest["written_at"][0]
    store.overwrite_manifest(of_an_older_version(store))
    outcome = outcome_of(failed=TWENTY[:2])
    later, earlier = written_at + timedelta(minutes=1), written_at - timedelta(minutes=1)
    raw = outcome.raw.with_columns(landed_at=pl.when(interaction_id=id_of(1)).then(later).otherwise(earlier))
    outcome = Outcome(raw=raw, validated=outcome.validated, rejected=outcome.rejected)
    assert counts(store.publish_outcome(outcome)) == {"kept": 1, "withdrawn": 1}
    assert store.manifest["interaction_id"].to_list() == [id_of(0)]


def test_a_manifest_of_a_newer_version_is_read_without_what_we_do_not_know() -> None:
    """A rollback failed on every partition that the new version had published."""
    store = publish_all(TWENTY[:2])
    store.overwrite_manifest(store.manifest.with_columns(invented=pl.lit("tomorrow")))
    assert counts(store.publish_outcome(outcome_of(*TWENTY[:2]))) == {"unchanged": 2}


def test_features_of_an_older_version_without_the_documents_hash_are_published() -> None:
    """The gate of the version before did not say of which content a row is; a null is no contradiction."""
    store = memory_store()
    outcome = outcome_of(*TWENTY)
    without_hash = outcome.validated.with_columns(content_hash=pl.lit(None, pl.String()))
    old = Outcome(raw=outcome.raw, validated=without_hash, rejected=outcome.rejected)
    assert counts(store.publish_outcome(old)) == {"written": 20}
    assert counts(store.publish_outcome(outcome)) == {"unchanged": 20}
    assert store.manifest["document_hash"].null_count() == 0


# --- what somebody took out -------------------------------------------------------------------


def test_verify_online_writes_again_what_somebody_took_out_or_changed() -> None:
    """Fault 45: a record was deleted online by hand; every rerun said "15 unchanged", and it stayed away."""
    store = publish_all()
    store.runtime.online.pop(id_of(1))
    store.runtime.online.pop(id_of(2))
    record = [dict(pair) for pair in store.runtime.online[id_of(3)]]
    next(pair for pair in record if pair["FeatureName"] == "sentiment")["ValueAsString"] = "positive"
    store.runtime.online[id_of(3)] = record
    outcome = outcome_of(*TWENTY[2:], failed=TWENTY[:2])
    assert counts(store.publish_outcome(outcome)) == {"unchanged": 18, "kept": 2}
    assert counts(store.publish_outcome(outcome, verify_online=True)) == {"written": 3, "unchanged": 16, "kept": 2}
    assert store.holds_exactly(*TWENTY)
    assert counts(store.publish_outcome(outcome, verify_online=True)) == {"unchanged": 18, "kept": 2}


def test_verify_online_takes_another_partitions_record_for_none_of_ours() -> None:
    """The id was served, by the country that the correction had left."""
    store = publish_all(TWENTY[:2])
    belgian_store(store).publish(features(1, country="BE"))
    assert counts(store.publish_outcome(outcome_of(*TWENTY[:2]), verify_online=True)) == {"written": 1, "unchanged": 1}
    assert store.holds_exactly(*TWENTY[:2])


# --- any history ------------------------------------------------------------------------------

FATES = st.lists(st.sampled_from(["answered", "corrected", "failed", "invalid", "gone"]), min_size=6, max_size=6)


@pytest.mark.heavy
@given(st.lists(st.tuples(FATES, st.none() | st.integers(0, 12)), min_size=1, max_size=5), st.booleans())
def test_after_any_history_the_store_serves_what_stands_and_nothing_of_another_text(
    runs: list[tuple[list[str], int | None]], allow_deletions: bool
) -> None:
    """Answered, corrected, failed, invalid and gone in any order, with deaths between: after the last run each
    interaction is served with the features of its text if there ever were any, or not at all."""
    store = memory_store()
    text: dict[int, str] = {}
    stands = features(99)
    for fates, dies_after in [*runs, (runs[-1][0], None)]:
        now: dict[str, list[dict[str, Any]]] = {"answered": [stands], "failed": [], "invalid": []}
        for number, fate in enumerate(fates):
            if fate == "corrected":
                text[number] = text.get(number, "first") + "!"
            row = features(number, text.get(number, "first"))
            now.get({"corrected": "answered"}.get(fate, fate), []).append(row)
        store.calls_left = dies_after
        outcome = outcome_of(*now["answered"], failed=now["failed"], invalid=now["invalid"])
        try:
            result = store.publish_outcome(outcome, allow_deletions=allow_deletions or dies_after is None)
        except (Killed, WithdrawalStopped):
            continue
        finally:
            store.calls_left = None
        served = {key: record["summary"] for key, record in store.online().items()}
        answered = {row["interaction_id"]: row["summary"] for row in now["answered"]}
        failed = {row["interaction_id"]: row["summary"] for row in now["failed"]}
        assert answered.items() <= served.items() <= (answered | failed).items()
        assert result.kept == len(served) - len(answered)
        assert UNFINISHED not in store.manifest["content_hash"]
