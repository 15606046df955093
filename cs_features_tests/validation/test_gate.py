"""The gate: `split` puts every document in exactly one table, and `judge` blames rows and only rows."""

import traceback
from datetime import datetime, timezone
from typing import Any

import pandera.polars as pa
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cs_features.errors import SchemaMismatch
from cs_features.extraction.prompts import load_prompt_folder
from cs_features.extraction.table import EXTRACTIONS_SCHEMA
from cs_features.landing.documents import RAW_SCHEMA
from cs_features.schemas import VALIDATED_COLUMNS, Reason
from cs_features.validation.gate import NO_ROW, OTHER_CONTENT, judge, judge_features, split_documents
from cs_features.validation.tables import rejected_schema
from cs_features_tests.support.documents import id_of
from cs_features_tests.support.features import SCHEMA, VALID, frame, row
from cs_features_tests.support.lab import PROMPTS

NOW = datetime(2026, 11, 24, 12, tzinfo=timezone.utc)
ANSWERS = load_prompt_folder(PROMPTS).answer_model
SECRET = "write to jan@example.com"
EXTRACTION_REASONS = [reason.value for reason in Reason if reason.stage == "extraction"]
LANDING_REASONS = [reason.value for reason in Reason if reason.stage == "landing"]

# What can be wrong with an answered row, one rule of the schema each, and the column that is to blame.
BROKEN: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    # name: (column, changes of the raw row, changes of the extraction)
    "summary is empty": ("summary", {}, {"summary": ""}),
    "summary is too long": ("summary", {}, {"summary": "x" * 201}),
    "summary is null": ("summary", {}, {"summary": None}),
    "summary carries a mail address": ("summary", {}, {"summary": "write to jan@example.com"}),
    "summary carries the rest of a tool call": ("summary", {}, {"summary": "A customer asks.</parameter></invoke>"}),
    "summary is in Dutch": ("summary", {}, {"summary": "Klant vraagt waar het pakket van vorige week blijft."}),
    "summary hides a character": ("summary", {}, {"summary": "A customer asks.\u202e"}),
    "sentiment": ("sentiment", {}, {"sentiment": "angry"}),
    "topic": ("primary_topic", {}, {"primary_topic": "weather"}),
    "topic is an intent": ("primary_topic", {}, {"primary_topic": "check_status"}),
    "intent": ("intent", {}, {"intent": None}),
    "resolution_status": ("resolution_status", {}, {"resolution_status": "closed"}),
    "urgency below 0": ("urgency_score", {}, {"urgency_score": -0.01}),
    "urgency above 1": ("urgency_score", {}, {"urgency_score": 7.0}),
    "urgency is NaN": ("urgency_score", {}, {"urgency_score": float("nan")}),
    "urgency is null": ("urgency_score", {}, {"urgency_score": None}),
    "csat below 0": ("csat_indicator", {}, {"csat_indicator": -1.0}),
    "csat above 1": ("csat_indicator", {}, {"csat_indicator": float("inf")}),
    "no event time": ("event_time", {"occurred_at": None}, {}),
    "another country": ("country", {"country": "BE"}, {}),
    "language": ("language", {"language": "dutch"}, {}),
    "no language": ("language", {"language": None}, {}),
    "channel": ("channel", {"channel": "fax"}, {}),
    "no model": ("model_id", {}, {"model_id": ""}),
    "no prompt version": ("prompt_version", {}, {"prompt_version": None}),
}


def raw_row(number: int, **changes: Any) -> dict[str, Any]:
    return {
        **dict.fromkeys(RAW_SCHEMA.names()),
        "interaction_id": id_of(number),
        "occurred_at": datetime(2025, 3, 4, 8, 30, tzinfo=timezone.utc),
        "country": "NL",
        "channel": "chat",
        "language": "nl",
        "status": "accepted",
        "source_uri": "s3://landing/a.jsonl",
        "source_line": number + 1,
        "content_hash": f"hash-{number}",
        "payload": f'{{"number": {number}}}',
        **changes,
    }


def extraction_row(number: int, **changes: Any) -> dict[str, Any]:
    return {
        **dict.fromkeys(EXTRACTIONS_SCHEMA.names()),
        "interaction_id": id_of(number),
        **VALID,
        "status": "answered",
        "model_id": "model",
        "prompt_version": "v",
        "truncated": False,
        "content_hash": f"hash-{number}",
        **changes,
    }


def raw_of(*rows: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=RAW_SCHEMA)


def extractions_of(*rows: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=EXTRACTIONS_SCHEMA)


def failed(number: int, error: str | None, detail: str | None = "why") -> dict[str, Any]:
    nothing = dict.fromkeys(VALID)
    return extraction_row(number, **nothing, status="failed", error=error, error_detail=detail)


some_fates = st.lists(
    st.one_of(
        st.just(("landed", "good")),
        st.tuples(st.just("broken"), st.sampled_from(sorted(BROKEN))),
        st.tuples(st.just("failed"), st.sampled_from(EXTRACTION_REASONS)),
        st.just(("forgotten", "")),
        st.tuples(st.just("rejected"), st.sampled_from(LANDING_REASONS)),
        st.tuples(st.just("unreadable"), st.sampled_from(LANDING_REASONS)),
        st.just(("duplicate", "")),
    ),
    max_size=12,
)


@pytest.mark.heavy
@given(some_fates)
def test_every_document_leaves_by_exactly_one_door(fates: list[tuple[str, str]]) -> None:
    """A join that multiplies rows, or a filter that a null slips through, loses documents without an error."""
    raw, extractions, good, reasons = [], [], set(), {}
    for number, (fate, which) in enumerate(fates):
        changes: dict[str, Any] = {}
        if fate in ("rejected", "unreadable"):
            changes = {"status": "rejected", "reason": which, "detail": "why"}
            reasons[number + 1] = which
            if fate == "unreadable":
                changes |= {"interaction_id": None, "occurred_at": None, "country": None, "channel": None}
        elif fate == "duplicate":
            changes = {"status": "duplicate"}
        elif fate == "broken":
            _, changes, answer = BROKEN[which]
            extractions.append(extraction_row(number, **answer))
            reasons[number + 1] = "invalid_features"
        elif fate == "failed":
            extractions.append(failed(number, which))
            reasons[number + 1] = which
        elif fate == "forgotten":
            reasons[number + 1] = "not_extracted"
        else:
            extractions.append(extraction_row(number))
            good.add(id_of(number))
        raw.append(raw_row(number, **changes))
    validated, rejected = split_documents(raw_of(*raw), extractions_of(*reversed(extractions)), SCHEMA, NOW)
    assert sorted(validated["interaction_id"]) == sorted(good)
    assert sorted(rejected.select("source_line", "reason").rows()) == sorted(reasons.items())
    assert not set(validated["interaction_id"]) & set(rejected["interaction_id"].drop_nulls())
    assert judge(validated, SCHEMA).passed


@pytest.mark.parametrize(("column", "raw", "answer"), BROKEN.values(), ids=BROKEN)
def test_a_row_that_breaks_a_rule_is_rejected_and_its_neighbour_is_not(
    column: str, raw: dict[str, Any], answer: dict[str, Any]
) -> None:
    """A wrong value that looks right is worse than a missing one: each rule of the schema guards on its own."""
    validated, rejected = split_documents(
        raw_of(raw_row(0), raw_row(1, **raw), raw_row(2)),
        extractions_of(extraction_row(0), extraction_row(1, **answer), extraction_row(2)),
        SCHEMA,
        NOW,
    )
    assert validated["interaction_id"].to_list() == [id_of(0), id_of(2)]
    (bad,) = rejected.to_dicts()
    assert (bad["interaction_id"], bad["stage"], bad["reason"], bad["redrivable"]) == (
        id_of(1), "validation", "invalid_features", True,
    )  # fmt: skip
    assert bad["detail"].startswith(f"{column}: ")
    assert (bad["source_uri"], bad["source_line"], bad["payload"]) == ("s3://landing/a.jsonl", 2, '{"number": 1}')


def test_a_row_with_two_faults_is_rejected_once_and_names_both() -> None:
    """One row a fault would make two rejected records of one document."""
    _, rejected = split_documents(
        raw_of(raw_row(0)), extractions_of(extraction_row(0, sentiment="angry", urgency_score=7.0)), SCHEMA, NOW
    )
    (detail,) = rejected["detail"]
    assert "sentiment: " in detail
    assert "urgency_score: " in detail


def test_an_id_that_is_no_uuid_or_stands_twice_does_not_become_a_feature() -> None:
    """Two records under one id overwrite each other online, and which one stays is chance."""
    twice = [raw_row(0), raw_row(0, source_line=9), raw_row(1, interaction_id="4711")]
    validated, rejected = split_documents(
        raw_of(*twice), extractions_of(extraction_row(0), extraction_row(1, interaction_id="4711")), SCHEMA, NOW
    )
    assert validated.is_empty()
    assert sorted(rejected["source_line"]) == [1, 2, 9]
    assert set(rejected["reason"]) == {"invalid_features"}


@pytest.mark.parametrize("extracted_from", ["hash-of-an-old-text", None], ids=["another content", "unknown content"])
def test_features_of_an_old_text_are_never_those_of_a_corrected_document(extracted_from: str | None) -> None:
    """A correction landed, its extraction failed, and the steps after it were run by hand: what was said of the
    old text was published under the new one (fault 6). That nobody knows what a row was made from is no match."""
    extractions = extractions_of(extraction_row(0, content_hash=extracted_from), extraction_row(1))
    validated, rejected = split_documents(raw_of(raw_row(0), raw_row(1), raw_row(2)), extractions, SCHEMA, NOW)
    assert validated["interaction_id"].to_list() == [id_of(1)]
    assert rejected.sort("source_line").select("stage", "reason", "detail", "redrivable").rows() == [
        ("extraction", "not_extracted", OTHER_CONTENT, True),
        ("extraction", "not_extracted", NO_ROW, True),
    ]


def test_extractions_of_a_version_that_did_not_say_of_which_content_match_nothing() -> None:
    """After an update, tables of the day before were joined on the id alone."""
    extractions = extractions_of(extraction_row(0)).drop("content_hash")
    validated, rejected = split_documents(raw_of(raw_row(0)), extractions, SCHEMA, NOW)
    assert validated.is_empty()
    assert rejected.select("reason", "detail").rows() == [("not_extracted", OTHER_CONTENT)]


def test_a_failure_of_an_old_text_is_not_that_of_a_corrected_document() -> None:
    """The correction was refused for the length of the text that it replaced."""
    extractions = extractions_of(failed(0, "input_too_long") | {"content_hash": "hash-of-an-old-text"})
    _, rejected = split_documents(raw_of(raw_row(0)), extractions, SCHEMA, NOW)
    assert rejected["reason"].to_list() == ["not_extracted"]


def test_a_validated_row_says_of_which_content_it_is_and_whether_the_model_saw_all_of_it() -> None:
    """A training job could not leave out the interactions of which the model had read a third (fault 34)."""
    extractions = extractions_of(extraction_row(0, truncated=True), extraction_row(1))
    validated, _ = split_documents(raw_of(raw_row(0), raw_row(1)), extractions, SCHEMA, NOW)
    assert validated.select("content_hash", "truncated").rows() == [("hash-0", True), ("hash-1", False)]


def test_a_rejection_says_its_stage_and_whether_asking_again_can_help() -> None:
    """A redrive of everything asks again for documents that no model can mend."""
    raw = [raw_row(0, status="rejected", reason="malformed_json", detail=None), raw_row(1), raw_row(2)]
    _, rejected = split_documents(
        raw_of(*raw),
        extractions_of(failed(1, "service_failed", "after 8 attempts"), failed(2, None, None)),
        SCHEMA,
        NOW,
    )
    assert rejected.sort("source_line").select("stage", "reason", "detail", "redrivable").rows() == [
        ("landing", "malformed_json", "", False),
        ("extraction", "service_failed", "after 8 attempts", True),
        ("extraction", "not_extracted", NO_ROW, True),
    ]
    assert rejected["rejected_at"].to_list() == [NOW] * 3


@pytest.mark.parametrize("with_extractions", [True, False])
def test_an_empty_day_gives_two_empty_tables_of_the_right_types(with_extractions: bool) -> None:
    """A table without its types broke the reader of a month of days, one of which was Christmas."""
    extractions = extractions_of(extraction_row(0)) if with_extractions else extractions_of()
    validated, rejected = split_documents(raw_of(), extractions, SCHEMA, NOW)
    full, some = split_documents(
        raw_of(raw_row(0), raw_row(1)), extractions_of(extraction_row(0), failed(1, "model_refused")), SCHEMA, NOW
    )
    assert (validated.height, rejected.height, full.height, some.height) == (0, 0, 1, 1)
    assert validated.schema == full.schema
    assert rejected.schema == some.schema
    assert list(validated.columns) == list(VALIDATED_COLUMNS)
    assert list(rejected.columns) == list(rejected_schema.columns)


def test_the_verdict_names_row_column_and_rule() -> None:
    """ "1 of 4000 rows failed" without the row is a search through 4000 rows."""
    verdict = judge(frame(row(), row(interaction_id=id_of(2), sentiment="angry")), SCHEMA)
    assert verdict.failed_rows == [1]
    (case,) = verdict.failures.to_dicts()
    assert (case["column"], case["failure_case"]) == ("sentiment", "angry")
    assert "positive" in case["check"]


@pytest.mark.parametrize("missing", [["suspected_injection"], ["truncated", "content_hash", "suspected_injection"]])
def test_a_table_of_the_version_before_may_be_published_again(missing: list[str]) -> None:
    """feature_store alone, after an update: columns that no record has stopped it."""
    stored = frame(row(), row(interaction_id=id_of(2), sentiment="angry")).drop(missing)
    assert judge_features(stored, ANSWERS, "NL").failed_rows == [1]


def test_the_verdict_does_not_show_what_points_at_a_person() -> None:
    """Failure cases are shown in the UI: a summary is refused for the very data that must not be shown."""
    verdict = judge(frame(row(summary="write to jan@example.com")), SCHEMA)
    assert verdict.failures["failure_case"].to_list() == ["(not shown)"]


def test_a_verdict_shows_no_value_of_a_column_that_nobody_called_harmless() -> None:
    """`customer_id` was dropped from a list of private columns, and a failure of it would have been shown."""
    columns = {"customer_id": "c-1", "interaction_id": "jan@example.com", "tomorrow": "secret", "sentiment": "angry"}
    refuse = pa.Check(lambda data: data.lazyframe.select(pl.col(data.key).is_null()))
    schema = pa.DataFrameSchema({name: pa.Column(pl.String, refuse) for name in columns})
    shown = judge(pl.DataFrame([columns]), schema).failures
    assert dict(shown.select("column", "failure_case").iter_rows()) == {
        **dict.fromkeys(columns, "(not shown)"),
        "sentiment": "angry",
    }


@pytest.mark.parametrize(
    ("raw", "extractions", "expected"),
    [
        (
            raw_row(0, status="rejected", reason="reason_of_tomorrow", detail="why"),
            [],
            ("landing", "invalid_value", "reason_of_tomorrow, a reason of another version: why", False),
        ),
        (
            raw_row(0),
            [failed(0, "reason_of_tomorrow")],
            ("extraction", "not_extracted", "reason_of_tomorrow, a reason of another version: why", True),
        ),
    ],
    ids=["at landing", "of the extraction"],
)
def test_a_reason_of_another_version_is_kept_in_words(
    raw: dict[str, Any], extractions: list[dict[str, Any]], expected: tuple[Any, ...]
) -> None:
    """After a step back to the version before, a partition could not run at all (fault 8)."""
    _, rejected = split_documents(raw_of(raw), extractions_of(*extractions), SCHEMA, NOW)
    assert rejected.select("stage", "reason", "detail", "redrivable").rows() == [expected]


def test_a_reject_whose_text_was_forgotten_by_age_is_one_without_a_text() -> None:
    """The gate took its own table for broken: a day could not be validated again once its texts were old."""
    raw = raw_row(0, status="rejected", reason="invalid_value", detail="why", payload=None)
    _, rejected = split_documents(raw_of(raw), extractions_of(), SCHEMA, NOW)
    assert rejected["payload"].to_list() == [""]


def test_a_check_that_crashes_is_an_error_and_no_verdict_on_the_rows() -> None:
    """A bug in a check rejected a whole country's day as invalid, and the alarm said "bad data"."""

    def crash(_: Any) -> bool:
        raise ZeroDivisionError(SECRET)

    schema = pa.DataFrameSchema({"interaction_id": pa.Column(pl.String, pa.Check(crash))})
    with pytest.raises(RuntimeError, match="crashed") as crashed:
        judge(pl.DataFrame({"interaction_id": ["a", "b"]}), schema)
    assert SECRET not in "".join(traceback.format_exception(crashed.value))


@pytest.mark.parametrize(
    "change",
    [
        lambda it: it.drop("sentiment"),
        lambda it: it.with_columns(pl.col("urgency_score").cast(pl.String)),
        lambda it: it.with_columns(extra=1),
        lambda it: it.select(reversed(it.columns)),
    ],
    ids=["a column is missing", "a column has another type", "a column too many", "another order"],
)
def test_a_table_of_another_shape_is_an_error_and_no_verdict_on_the_rows(change: Any) -> None:
    """No row is to blame for a missing column; rejecting all of them would hide a broken deployment."""
    with pytest.raises(SchemaMismatch, match="materialize it again") as mismatch:
        judge(change(frame(row(summary=SECRET))), SCHEMA)
    assert SECRET not in "".join(traceback.format_exception(mismatch.value))
