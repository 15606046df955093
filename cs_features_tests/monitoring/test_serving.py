"""The law at the last door: what is validated and what is kept is served, in the group in use, and nothing else."""

from datetime import datetime, timezone
from typing import Any

import polars as pl
import pytest
from botocore.exceptions import ClientError

from cs_features.errors import AwsRefusal
from cs_features.hashing import content_hash
from cs_features.landing.documents import RAW_SCHEMA
from cs_features.monitoring.serving import (
    SAMPLE_SIZE,
    OnlineSample,
    OnlineStore,
    ServedBalance,
    balance_served_records,
    choose_sample,
)
from cs_features.publishing.feature_group import build_feature_record
from cs_features.publishing.manifest import UNFINISHED, Entry
from cs_features_tests.support.documents import id_of
from cs_features_tests.support.features import frame, row


def features(number: int, **changes: Any) -> dict[str, Any]:
    return row(interaction_id=id_of(number), **changes)


def entry(number: int, **changes: Any) -> Entry:
    """The manifest's of a record that was published as `features(number)`."""
    record = build_feature_record(frame(features(number)).row(0, named=True))
    values = {
        "interaction_id": id_of(number),
        "event_time": "2025-03-04T08:30:00.000Z",
        "content_hash": content_hash(record),
        "document_hash": f"document {number}",
        "prompt_version": "p",
        "model_id": "m",
        "written_at": datetime(2026, 11, 24, tzinfo=timezone.utc),
        "group": "arn 2026",
    }
    return Entry(**{**values, **changes})


def rejected(**stages: int) -> pl.DataFrame:
    """One reject a stage, of the interaction of that number."""
    rows = [{"interaction_id": id_of(number), "stage": stage} for stage, number in stages.items()]
    return pl.DataFrame(rows, schema={"interaction_id": pl.String(), "stage": pl.String()})


def raw(*numbers: int, reasons: tuple[str, ...] = ()) -> pl.DataFrame:
    """Accepted documents, and rejects without an id for `reasons`."""
    accepted = [{"interaction_id": id_of(n), "status": "accepted", "content_hash": f"document {n}"} for n in numbers]
    others = [{"status": "rejected", "reason": reason} for reason in reasons]
    empty = dict.fromkeys(RAW_SCHEMA.names())
    return pl.DataFrame([{**empty, **each} for each in [*accepted, *others]], schema=RAW_SCHEMA)


def balance(
    validated: list[dict[str, Any]],
    *entries: Entry,
    rejects: pl.DataFrame | None = None,
    landed: pl.DataFrame | None = None,
) -> ServedBalance:
    return balance_served_records(
        frame(*validated),
        {each.interaction_id: each for each in entries},
        rejected() if rejects is None else rejects,
        raw() if landed is None else landed,
    )


def numbers(found: ServedBalance) -> tuple[int, int, int, int, int]:
    return found.validated, found.kept, found.served, found.unpublished, found.unwithdrawn


def test_what_is_validated_is_served_and_the_law_holds() -> None:
    found = balance([features(1), features(2)], entry(1), entry(2))
    assert numbers(found) == (2, 0, 2, 0, 0)
    assert found.holds
    assert found.expected_online == {id_of(1), id_of(2)}


def test_a_publication_that_never_happened_is_found() -> None:
    """Fault 9: the store was away for an hour, the run was given up, and the tables agreed with each other."""
    found = balance([features(1), features(2)], entry(1))
    assert numbers(found) == (2, 0, 1, 1, 0)
    assert not found.holds


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"content_hash": UNFINISHED, "record": "{}"}, id="a publisher died over it"),
        pytest.param({"content_hash": "of another text"}, id="the text was corrected since"),
    ],
)
def test_a_record_that_is_not_served_as_it_is_validated_is_unpublished(change: dict[str, Any]) -> None:
    """Counted by id alone, a correction that was never published was served in its old words for ever."""
    assert balance([features(1)], entry(1, **change)).unpublished == 1


def test_a_record_whose_extraction_gave_nothing_is_kept() -> None:
    """Its document stands: the model refused today, and what was said of it yesterday is still true."""
    found = balance([features(1)], entry(1), entry(2), rejects=rejected(extraction=2), landed=raw(1, 2))
    assert numbers(found) == (1, 1, 2, 0, 0)
    assert found.holds
    assert found.expected_online == {id_of(1), id_of(2)}


@pytest.mark.parametrize(
    ("rejects", "landed"),
    [
        pytest.param(rejected(), raw(1), id="its document is gone"),
        pytest.param(rejected(validation=2), raw(1, 2), id="its answer broke a rule"),
        pytest.param(rejected(landing=2), raw(1), id="its document is invalid by now"),
        pytest.param(
            rejected(extraction=2), raw(1, 2).with_columns(content_hash=pl.lit("corrected")), id="it was corrected"
        ),
    ],
)
def test_a_record_that_has_no_right_to_be_served_any_more_is_found(rejects: pl.DataFrame, landed: pl.DataFrame) -> None:
    """The run that should have withdrawn it ended before the last step: a customer's withdrawal that never happened."""
    found = balance([features(1)], entry(1), entry(2), rejects=rejects, landed=landed)
    assert numbers(found) == (1, 0, 2, 0, 1)
    assert id_of(2) not in found.expected_online


def test_while_an_object_cannot_be_read_nothing_is_called_gone() -> None:
    found = balance([features(1)], entry(1), entry(2), landed=raw(1, reasons=("unreadable_object",)))
    assert numbers(found) == (1, 1, 2, 0, 0)


def test_what_is_kept_for_a_damaged_file_is_within_the_law() -> None:
    """The publisher kept it, and the reconciliation asked for a run each night to withdraw it."""
    landed = raw(1, reasons=("malformed_json",)).with_columns(source_uri=pl.lit("s3://l/a.jsonl"))
    found = balance([features(1)], entry(1), entry(2, source_uri="s3://l/a.jsonl"), landed=landed)
    assert numbers(found) == (1, 1, 2, 0, 0)
    found = balance([features(1)], entry(1), entry(2, source_uri="s3://l/b.jsonl"), landed=landed)
    assert numbers(found) == (1, 0, 2, 0, 1)


def test_an_object_that_cannot_be_read_excuses_nothing_that_is_known() -> None:
    """A truncated file in the folder, and a document that is invalid by now was served for as long as it lay there."""
    found = balance([], entry(2), rejects=rejected(landing=2), landed=raw(reasons=("truncated_gzip",)))
    assert numbers(found) == (0, 0, 1, 0, 1)


def test_a_withdrawal_that_was_begun_is_not_done() -> None:
    found = balance([features(1)], entry(1), entry(2, content_hash=UNFINISHED))
    assert numbers(found) == (1, 0, 1, 0, 1)


def test_an_older_manifest_without_document_hashes_keeps_what_it_served() -> None:
    found = balance([], entry(2, document_hash=None), rejects=rejected(extraction=2), landed=raw(2))
    assert numbers(found) == (0, 1, 1, 0, 0)


# --- the online store -------------------------------------------------------------------------


class Runtime:
    """Answers as BatchGetRecord does; ids of `lost` are not served, those of `failing` get an error each."""

    def __init__(self, lost: set[str], failing: set[str] = frozenset(), unprocessed: set[str] = frozenset()) -> None:  # type: ignore[assignment]
        self.lost, self.failing, self.unprocessed = lost, failing, unprocessed

    def batch_get_record(self, **request: Any) -> dict[str, Any]:
        (wanted,) = request["Identifiers"]
        ids = wanted["RecordIdentifiersValueAsString"]
        assert len(ids) <= 100, "BatchGetRecord takes no more"
        answered = [key for key in ids if key not in self.failing | self.unprocessed]
        return {
            "Records": [
                {"RecordIdentifierValueAsString": key, "Record": []} for key in answered if key not in self.lost
            ],
            "Errors": [
                {"RecordIdentifierValueAsString": key, "ErrorCode": "ThrottlingException", "ErrorMessage": ""}
                for key in self.failing
            ],
            "UnprocessedIdentifiers": [
                {"FeatureGroupName": "g", "RecordIdentifiersValueAsString": sorted(self.unprocessed)}
            ],
        }


def test_records_that_somebody_took_out_are_missing_in_the_sample() -> None:
    """Fault 45: deleted in the console, and the manifest said "15 unchanged" at every run."""
    store = OnlineStore(Runtime({"b", "c"}), "g", "arn")
    assert store.sample_records(["a", "b", "c", "d"]) == OnlineSample(asked=4, missing=2)


def test_what_the_store_does_not_answer_about_is_neither_served_nor_missing() -> None:
    """A throttled request, taken for a hundred missing records, asked for a hundred publications."""
    store = OnlineStore(Runtime({"a", "b"}, failing={"b"}, unprocessed={"c"}), "g", "arn")
    assert store.sample_records(["a", "b", "c", "d"]) == OnlineSample(asked=2, missing=1)


def test_nothing_to_ask_for_is_no_request() -> None:
    assert OnlineStore(None, "g", "arn").sample_records([]) == OnlineSample(0, 0)


def test_a_refused_request_is_told_with_the_group() -> None:
    class Refusing:
        def batch_get_record(self, **_: Any) -> Any:
            raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "BatchGetRecord")

    with pytest.raises(AwsRefusal, match="Feature group g"):
        OnlineStore(Refusing(), "g", "arn").sample_records(["a"])


def test_each_night_looks_at_others_and_one_night_always_at_the_same() -> None:
    """A sample that never changes tells of its hundred records alone, and of no other for ever."""
    ids = {f"id {n}" for n in range(1_000)}
    monday, tuesday = choose_sample(ids, "2026-11-23"), choose_sample(ids, "2026-11-24")
    assert len(monday) == len(set(monday)) == SAMPLE_SIZE
    assert choose_sample(ids, "2026-11-23") == monday
    assert len(set(monday) & set(tuesday)) < 40
    seen = {key for day in range(60) for key in choose_sample(ids, str(day))}
    assert len(seen) > 980
    assert set(choose_sample({"a", "b"}, "x")) == {"a", "b"}
