"""The limits of the checks, on frames alone: what passes, what warns and what blocks. Runs are in `test_checks.py`."""

from typing import Any

import dagster as dg
import polars as pl
import pytest

from cs_features.environments import settings
from cs_features.orchestration import checks
from cs_features.schemas import Reason
from cs_features.services import build_services_from
from cs_features_tests.support.documents import id_of


def doors(validated: int, **rejected: int) -> dict[str, pl.DataFrame]:
    """Tables of so many validated rows, and of so many rejected for each reason."""
    reasons = [reason for reason, count in rejected.items() for _ in range(count)]
    stages = [Reason(reason).stage for reason in reasons]
    return {
        "validated_features": pl.DataFrame({"interaction_id": [id_of(number) for number in range(validated)]}),
        "rejected_records": pl.DataFrame(
            {"stage": stages, "reason": reasons}, schema={"stage": pl.String, "reason": pl.String}
        ),
    }


@pytest.mark.parametrize("reason", [reason.value for reason in Reason if reason.stage == "extraction"])
def test_failures_of_every_class_count_against_the_limit(reason: str) -> None:
    """Only service_failed was counted: 60 refusals of a restricted account, and 20 invalid answers of a weak model,
    each emptied the store in green (faults 1 and 2)."""
    result = checks.features.extraction_failures(**doors(54, **{reason: 6}))
    assert result.passed
    result = checks.features.extraction_failures(**doors(53, **{reason: 7}))
    assert (result.passed, result.severity) == (False, dg.AssetCheckSeverity.ERROR)
    numbers = {name: value.value for name, value in result.metadata.items()}
    assert numbers == {"unanswered": 7, "accepted": 60, "share": 7 / 60, "limit": 0.1, reason: 7}


@pytest.mark.parametrize(
    ("tables", "passed"),
    [
        pytest.param(doors(0), True, id="an empty day"),
        pytest.param(doors(0, service_failed=2), True, id="two of two, whose records are kept"),
        pytest.param(doors(0, service_failed=4), True, id="four of four"),
        pytest.param(doors(0, service_failed=5), False, id="five of five"),
        pytest.param(doors(40, request_refused=3, invalid_answer=3), False, id="two classes, one limit"),
        pytest.param(doors(10, malformed_json=50), True, id="documents that nobody could have answered"),
        pytest.param(doors(10, invalid_features=50), True, id="answers that break a rule"),
        pytest.param(doors(0, malformed_json=60, model_refused=5), False, id="a share of those that could be asked"),
    ],
)
def test_a_few_failures_do_not_hold_up_their_neighbours(tables: dict[str, pl.DataFrame], passed: bool) -> None:
    assert checks.features.extraction_failures(**tables).passed is passed


def test_a_summary_that_is_one_of_the_prompts_examples_is_noticed(lab_model: Any) -> None:
    """A small model answers with the example that looks most like the question: true of nobody who wrote to us."""
    example = lab_model.prompts().list_examples()[0].answer["summary"]
    frame = pl.DataFrame({"summary": ["A customer asks for a refund.", example, None]})
    result = checks.extraction.copied_summaries(model=lab_model, llm_extractions=frame)
    assert (result.passed, result.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert result.metadata["copied"].value == 1
    assert checks.extraction.copied_summaries(model=lab_model, llm_extractions=frame.head(1)).passed


def extractions(*rows: dict[str, Any]) -> pl.DataFrame:
    plain = {"input_tokens": 0, "cache_read_tokens": 0, "cache_write_tokens": 0, "cost_usd": 0.0, "latency_ms": 1000}
    return pl.DataFrame(
        [{**plain, "attempts": 1, **row} for row in rows] or None,
        schema={**dict.fromkeys(plain, pl.Int64), "cost_usd": pl.Float64, "attempts": pl.Int64},
    )


WARM = {"input_tokens": 100, "cache_read_tokens": 900}


COLD = {"input_tokens": 100, "cache_write_tokens": 900}


@pytest.mark.parametrize(
    ("rows", "passed"),
    [
        pytest.param([COLD, WARM, WARM, WARM], True, id="one warm-up call, then hits"),
        pytest.param([COLD, WARM], True, id="two calls, the first of which cannot hit"),
        pytest.param([COLD, COLD, COLD, COLD], False, id="written at each call and never read"),
        pytest.param([{"input_tokens": 1000}] * 4, False, id="below the model's minimum nothing is cached"),
        pytest.param([COLD], True, id="one call cannot tell"),
        pytest.param([], True, id="no call"),
        pytest.param([{"attempts": 0, "input_tokens": 1000}] * 4, True, id="answers of an earlier run are no calls"),
    ],
)
def test_a_prompt_that_is_not_cached_is_noticed(lab_model: Any, rows: list[dict[str, Any]], passed: bool) -> None:
    """Bedrock says nothing when a prefix is too short for the cache: only the counts of tokens do."""
    result = checks.extraction.prompt_cache_hits(model=lab_model, llm_extractions=extractions(*rows))
    assert result.passed is passed
    assert result.severity == dg.AssetCheckSeverity.WARN


@pytest.fixture
def lab_model() -> Any:
    return build_services_from(settings({})).model


@pytest.mark.parametrize(
    ("latencies", "passed"),
    [([1000] * 20, True), ([1000] * 19 + [9000], True), ([1000] * 18 + [9000] * 2, False), ([], True)],
    ids=["all fast", "one of twenty slow", "two of twenty slow", "no call"],
)
def test_one_slow_call_in_twenty_is_no_warning_and_two_are(latencies: list[int], passed: bool) -> None:
    frame = extractions(*({"latency_ms": latency} for latency in latencies))
    assert checks.extraction.latency_p95(llm_extractions=frame).passed is passed


def test_costs_are_judged_per_interaction_and_not_per_day() -> None:
    """A large country's day costs more than a small one's, which says nothing."""
    cheap = extractions(*[{"cost_usd": 0.0004}] * 1000)
    dear = extractions({"cost_usd": 0.0006})
    assert [checks.extraction.cost_per_interaction(llm_extractions=frame).passed for frame in (cheap, dear)] == [
        True,
        False,
    ]


def test_rows_without_a_call_say_nothing_about_how_long_calls_take() -> None:
    """Two slow calls of two, and a thousand answers from the ledger at 0 ms beside them: the day looked fast."""
    from_the_ledger = [{"latency_ms": 0, "attempts": 0}] * 1000
    result = checks.extraction.latency_p95(llm_extractions=extractions(*[{"latency_ms": 9000}] * 2, *from_the_ledger))
    assert not result.passed
    assert (result.metadata["p95_ms"].value, result.metadata["calls"].value) == (9000.0, 2)
    slow_once = [{"latency_ms": 9000, "attempts": 0}] * 1000
    assert checks.extraction.latency_p95(llm_extractions=extractions({"latency_ms": 1000}, *slow_once)).passed
