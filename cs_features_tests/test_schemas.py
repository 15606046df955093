"""The rules of an answer stand in three forms (tool, pydantic, pandera), which must mean the same."""

import math
import random
import re
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from cs_features.extraction.country_files import Floors, ModelCalibration
from cs_features.extraction.prompts import load_prompt_folder
from cs_features.local.scripted import make_value
from cs_features.schemas import (
    ANSWER_FIELDS,
    CATEGORICAL,
    CONTEXT_COLUMNS,
    FEATURE_COLUMNS,
    SCORES,
    VALIDATED_COLUMNS,
    Reason,
    Stage,
)
from cs_features.validation.gate import judge
from cs_features.validation.tables import rejected_schema
from cs_features_tests.support.features import SCHEMA, VALID, frame, row
from cs_features_tests.support.lab import PROMPTS

PROMPTS_READ = load_prompt_folder(PROMPTS)
MODEL = PROMPTS_READ.answer_model
TOOL = PROMPTS_READ.tool["toolSpec"]["inputSchema"]["json"]


def accepted_by_pydantic(answer: Any) -> bool:
    try:
        MODEL.model_validate(answer)
    except ValidationError:
        return False
    return True


def accepted_by_pandera(answer: dict[str, Any]) -> bool:
    return judge(frame(row(**answer)), SCHEMA).passed


some_fragments = st.sampled_from(
    [
        "a@b.nl",
        "NL91ABNA0417164300",
        "+31 6 12345678",
        "1234567",
        "123456",
        " ",
        "order",
        "€ 12,50",
        "é",
        "ß",
        "\n",
        "\0",
        "中",
        "٣",
        "the customer asks ",
        "de klant vraagt waar ",
        "</s>",
        "=",
        "20.11.2026",
        "\u200b",
        "\u202e",
        "１２３",
    ]
)
some_summaries = st.one_of(
    st.text(max_size=210),
    st.lists(some_fragments, max_size=12).map("".join),
    st.integers(195, 205).map(lambda length: (VALID["summary"] * 3)[:length]),
    st.integers(195, 205).map(lambda length: f"The customer asks about caf{'é' * (length - 26)}"),
    st.integers(85, 95).map(lambda count: "The customer thanks us " + "👍🏽" * count),
)
some_scores = st.one_of(
    st.floats(-0.1, 1.1),
    st.floats(),
    st.sampled_from([0.0, -0.0, 1.0, math.nextafter(1, 2), math.nextafter(0, -1), math.inf]),
)


def some_choices(valid: list[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.sampled_from(valid),
        st.sampled_from(valid).map(str.upper),
        st.sampled_from(["", " ", "none", valid[0] + " "]),
        st.text(max_size=12),
    )


some_values = {
    "summary": some_summaries,
    "urgency_score": some_scores,
    "csat_indicator": some_scores,
    **{name: some_choices(rule["enum"]) for name, rule in TOOL["properties"].items() if "enum" in rule},
}


@pytest.mark.heavy
@given(st.sampled_from(ANSWER_FIELDS).flatmap(lambda field: st.tuples(st.just(field), some_values[field])))
def test_the_answers_that_are_accepted_are_those_whose_rows_are(change: tuple[str, Any]) -> None:
    """Where the two differ, either an answer was paid for and thrown away, or the store's gate is not the rule."""
    answer = VALID | dict([change])
    assert accepted_by_pydantic(answer) == accepted_by_pandera(answer)


@pytest.mark.parametrize(
    "summary",
    [
        "½@a.bc",
        "a\u0301@a.bc",
        "\u0301@a.bc",
        "a@b.½",
        "\u0301NL91ABNA0417164300",
        "½1234567",
        "²1234567",
        "\u200d1234567",
    ],
    ids=ascii,
)
def test_both_pattern_engines_see_the_same_personal_data(summary: str) -> None:
    """`\\w` and `\\b` are not the same characters to Python and to polars: marks, fractions, joiners."""
    assert accepted_by_pydantic(VALID | {"summary": summary}) == accepted_by_pandera({"summary": summary})


@pytest.mark.parametrize("field", ANSWER_FIELDS)
def test_no_feature_may_be_null_or_missing(field: str) -> None:
    """A model that does not know a score leaves it out; a null trains as if it were a value."""
    assert not accepted_by_pydantic(VALID | {field: None})
    assert not accepted_by_pydantic({name: value for name, value in VALID.items() if name != field})
    assert not accepted_by_pandera({field: None})


@pytest.mark.parametrize("value", ["0.5", True, [0.5], {"value": 0.5}])
def test_a_score_that_is_no_number_is_no_answer(value: Any) -> None:
    """`true` became 1.0, the highest urgency, and "0.5" hides that the model left the schema."""
    assert not accepted_by_pydantic(VALID | {"urgency_score": value})


def test_a_whole_number_is_a_score() -> None:
    """JSON knows no difference between 1 and 1.0: models write either."""
    assert MODEL.model_validate(VALID | {"urgency_score": 1, "csat_indicator": 0}).urgency_score == 1.0


def test_an_answer_with_more_than_the_seven_features_is_no_answer() -> None:
    """A model that adds "reasoning" has left the schema, and its values are not to be trusted."""
    assert not accepted_by_pydantic(VALID | {"reasoning": "because"})


@given(st.integers())
def test_whatever_the_tool_allows_is_an_answer(seed: int) -> None:
    """A rule that the tool does not tell the model is a rejection that the model could not avoid."""
    answer = make_value(TOOL, random.Random(seed))
    assert MODEL.model_validate(answer).model_dump() == answer


def test_the_tool_tells_the_model_every_rule() -> None:
    """Bounds, lengths and choices that are only in our validator cost a repair call each time."""
    assert list(TOOL["properties"]) == TOOL["required"] == list(ANSWER_FIELDS)
    assert TOOL["additionalProperties"] is False
    rules = TOOL["properties"]
    assert (rules["summary"]["minLength"], rules["summary"]["maxLength"]) == (1, 200)
    assert rules["sentiment"]["enum"] == ["positive", "neutral", "negative"]
    assert rules["resolution_status"]["enum"] == ["resolved", "escalated", "pending"]
    for name in ("urgency_score", "csat_indicator"):
        assert (rules[name]["type"], rules[name]["minimum"], rules[name]["maximum"]) == ("number", 0, 1)
    assert rules["primary_topic"]["enum"] == [entry.id for entry in PROMPTS_READ.taxonomy.topics]
    assert rules["intent"]["enum"] == [entry.id for entry in PROMPTS_READ.taxonomy.intents]


def test_the_columns_are_those_of_the_contract() -> None:
    """Training jobs read these names from the feature group, in Athena and in Parquet."""
    assert ANSWER_FIELDS == (
        "summary", "sentiment", "primary_topic", "intent", "resolution_status", "urgency_score", "csat_indicator",
    )  # fmt: skip
    assert CONTEXT_COLUMNS == (
        "event_time", "customer_id", "country", "language", "channel", "model_id", "prompt_version",
    )  # fmt: skip
    assert ("interaction_id", *ANSWER_FIELDS, *CONTEXT_COLUMNS) == FEATURE_COLUMNS
    added = ("truncated", "content_hash", "suspected_injection")
    assert tuple(SCHEMA.columns) == VALIDATED_COLUMNS == (*FEATURE_COLUMNS, *added)
    assert list(rejected_schema.columns) == [
        "interaction_id", "source_uri", "source_line", "stage", "reason", "detail", "redrivable", "payload",
        "rejected_at",
    ]  # fmt: skip


def test_the_models_of_a_country_file_name_the_features_that_there_are() -> None:
    """A feature was renamed, and its floor and its correction were looked for under the old name for ever."""
    assert tuple(Floors.model_fields) == CATEGORICAL
    assert tuple(ModelCalibration.model_fields) == SCORES


def test_every_reason_has_a_stage_of_the_contract_and_asking_again_is_for_the_model_only() -> None:
    """`redrivable` drives the redrive: a landing error asked again is money for the same rejection."""
    assert {reason.stage for reason in Reason} == set(get_args(Stage)) == {"landing", "extraction", "validation"}
    assert all(reason.redrivable == (reason.stage != "landing") for reason in Reason)
    assert all(re.fullmatch(r"[a-z0-9_]+", reason.value) for reason in Reason)
