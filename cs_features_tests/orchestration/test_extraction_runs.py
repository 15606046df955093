"""`llm_extractions` in real runs: what a landing asks for, what money it may spend, and how it fails."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cs_features.extraction.brakes import SUSPECTED_IN_A_ROW
from cs_features.local.scripted import Script
from cs_features.orchestration.failures import RETRY
from cs_features_tests.support.documents import DAY, document, id_of, jsonl
from cs_features_tests.support.http import read_model_stats
from cs_features_tests.support.lab import PROMPTS, Lab, Run
from cs_features_tests.support.taxonomies import remove_topic

EXTRACT = ["raw_interactions", "llm_extractions"]
FAST = {"requests_per_minute": 60_000}  # a stated quota: no test waits for one to be found
A_CALL = 0.00005  # US dollars, less than any call here costs


def extract(lab: Lab, **config: Any) -> Run:
    """A run of the first two steps, as the launchpad or the sensor configures it."""
    run_config = {"ops": {"llm_extractions": {"config": config}}} if config else None
    return lab.process(only=EXTRACT, run_config=run_config)


def count_answers() -> int:
    """Calls that the endpoint has answered, and would bill, since the stack started."""
    return int(read_model_stats()["answered"])


def may_be_retried(run: Run) -> bool:
    (event,) = run.result.get_step_failure_events()
    data = event.step_failure_data.user_failure_data
    assert data is not None
    return bool(data.metadata[RETRY].value)


@pytest.fixture
def edited(make_lab: Callable[..., Lab], tmp_path: Path) -> Lab:
    """Ten interactions, answered; then the country's prompt was edited, and one document came late."""
    prompts = tmp_path / "prompts"
    shutil.copytree(PROMPTS, prompts, ignore=shutil.ignore_patterns("golden"))
    lab = make_lab(**FAST, prompts_dir=prompts)
    lab.land("NL", DAY, "a.jsonl", jsonl(document(number) for number in range(10)))
    assert extract(lab).success
    file = prompts / "countries" / "NL.md"
    file.write_text(file.read_text() + "\nDutch customers are direct.\n")
    lab.land("NL", DAY, "b.jsonl", jsonl([document("late")]))
    return lab


def test_a_late_document_of_a_partition_whose_prompt_has_changed_costs_one_call(edited: Lab) -> None:
    """Eleven calls, where the README said that nothing is extracted again until somebody asks for it (fault 36)."""
    before, earlier = count_answers(), edited.table("llm_extractions")
    run = extract(edited, reextract=False)
    assert run.success, run.errors
    assert count_answers() - before == 1
    table = edited.table("llm_extractions")
    assert run.metadata("llm_extractions")["kept"] == 10
    assert table.height == 11
    assert table["prompt_version"].n_unique() == 2
    (late,) = table.filter(reused=False).to_dicts()
    assert late["interaction_id"] == id_of("late")
    same = table.filter(reused=True).drop("reused").sort("interaction_id")
    assert same.equals(earlier.drop("reused").sort("interaction_id"))


def test_a_run_that_a_person_asks_for_extracts_everything_with_the_prompt_of_today(edited: Lab) -> None:
    """The other way round: an edited prompt that reaches no old document cannot be shipped."""
    before = count_answers()
    assert extract(edited).success
    assert count_answers() - before == 11
    assert edited.table("llm_extractions")["prompt_version"].n_unique() == 1


def test_a_corrected_document_is_asked_again_also_where_answers_are_kept(edited: Lab) -> None:
    """Kept by its id alone, the answer to the old text would stand under the new one (fault 6)."""
    edited.land("NL", DAY, "c.jsonl", jsonl([document(3, turns=[{"speaker": "customer", "text": "Dank u wel!"}])]))
    before = count_answers()
    assert extract(edited, reextract=False).success
    assert count_answers() - before == 2


def test_five_identical_texts_cost_what_one_call_costs_also_in_a_rerun(lab: Lab) -> None:
    """`sum(cost_usd)` was five times too high after a rerun (fault 37)."""
    same = document("same")["turns"]
    lab.land("NL", DAY, "a.jsonl", jsonl(document(number, turns=same) for number in range(5)))
    run = extract(lab)
    paid = run.metadata("llm_extractions")["cost_usd"]
    assert paid > 0
    for _ in range(2):
        assert lab.table("llm_extractions")["cost_usd"].sum() == pytest.approx(paid)
        assert extract(lab).metadata("llm_extractions")["cost_usd"] == 0


def test_what_failures_have_cost_stays_on_the_bill_after_they_are_redriven(lab: Lab) -> None:
    """The cost of redriven failures vanished from every table (fault 37)."""
    lab.stack.answerer.script = Script(malformed_rate=1.0)
    lab.land("NL", DAY, "a.jsonl", jsonl([document(1), document(2)]))
    wasted = extract(lab).metadata("llm_extractions")["cost_usd"]
    lab.stack.answerer.script = Script()
    redriven = extract(lab, redrive=["all"]).metadata("llm_extractions")["cost_usd"]
    assert min(wasted, redriven) > 0
    assert lab.table("llm_extractions")["cost_usd"].sum() == pytest.approx(wasted + redriven)


# --- money ------------------------------------------------------------------------------------


def test_retries_of_a_partition_share_one_budget(make_lab: Callable[..., Lab]) -> None:
    """$0.00486 of $0.002: each retry of the sensor began with a fresh budget; the third was green (fault 35)."""
    lab = make_lab(**FAST, max_cost_usd=4 * A_CALL, max_concurrency=1)
    lab.land("NL", DAY, "a.jsonl", jsonl(document(number) for number in range(20)))
    before = count_answers()
    first = extract(lab)
    spent = count_answers() - before
    assert 1 <= spent < 20
    assert "this partition's runs of today" in first.errors
    assert "CS_FEATURES_MAX_COST_USD" in first.errors
    assert not may_be_retried(first)
    for _ in range(3):
        assert not extract(lab).success
    assert count_answers() - before == spent
    richer = lab.with_settings(max_cost_usd=1.0)
    assert extract(richer).success
    assert count_answers() - before == 20, "what was paid for was paid for again"


@pytest.mark.parametrize("cap", ["max_cost_usd_per_day", "max_cost_usd_per_month"])
def test_all_partitions_share_the_caps_of_a_day_and_a_month(make_lab: Callable[..., Lab], cap: str) -> None:
    """A backfill of 30 days could spend 30 budgets (fault 46)."""
    lab = make_lab(**FAST, max_concurrency=1, **{cap: A_CALL})
    for country in ("NL", "BE"):
        lab.land(country, DAY, "a.jsonl", jsonl(document(f"{country}{n}", country=country) for n in range(3)))
    before = count_answers()
    for country in ("NL", "BE"):
        run = lab.process(country, only=EXTRACT)
        assert f"CS_FEATURES_{cap.upper()}" in run.errors
        assert not may_be_retried(run)
    assert count_answers() - before == 1


def test_a_run_that_asks_nothing_makes_no_client_and_looks_up_no_price(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Most runs of a trickle find everything in the ledger, and paid half a second of CPU for what they did not use."""
    lab.land("NL", DAY, "a.jsonl", jsonl([document(1)]))
    assert extract(lab).success
    for name in ("make_bedrock_client", "find_price_list"):
        monkeypatch.setattr(f"cs_features.services.{name}", lambda *_: pytest.fail("used"))
    run = extract(lab)
    assert run.success, run.errors
    assert run.metadata("llm_extractions")["calls"] == 0


# --- how it fails -----------------------------------------------------------------------------


def test_refusals_of_an_account_leave_no_table_and_no_ledger_and_are_not_retried(lab: Lab) -> None:
    """60 refused interactions were 60 rejects, in green (fault 1)."""
    lab.stack.answerer.script = Script(poison="<interaction")  # whatever is asked
    lab.land("NL", DAY, "a.jsonl", jsonl(document(number) for number in range(60)))
    run = extract(lab)
    assert not run.success
    assert run.materialized == {"raw_interactions"}
    assert f"refused {SUSPECTED_IN_A_ROW} of {SUSPECTED_IN_A_ROW} calls, and a harmless question" in run.errors
    assert "The model returned the following errors: the input cannot be processed." in run.errors
    assert not may_be_retried(run)
    lab.stack.answerer.script = Script()
    assert extract(lab).metadata("llm_extractions")["failed_after"] == 0


def test_an_outage_of_a_small_partition_fails_the_run_and_may_be_retried(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """503 for 81 s on a partition of two: both records were deleted, in green (fault 2)."""
    monkeypatch.setattr("cs_features.extraction.engine.MAX_BACKOFF_SECONDS", 0.01)
    lab.stack.answerer.script = Script(faults={"503": 1.0})
    lab.land("NL", DAY, "a.jsonl", jsonl([document(1), document(2)]))
    run = extract(lab)
    assert not run.success
    assert "Bedrock failed 2 of 2 calls" in run.errors
    assert may_be_retried(run)


def test_records_of_a_topic_that_the_taxonomy_has_no_more_stay_where_they_are(
    make_lab: Callable[..., Lab], tmp_path: Path
) -> None:
    """An edit of the taxonomy and one late document: the day's records of that topic were invalid and withdrawn, though
    nothing of theirs had changed; where they were five, the brake held the late document back."""
    prompts = Path(shutil.copytree(PROMPTS, tmp_path / "prompts", ignore=shutil.ignore_patterns("golden")))
    lab = make_lab(**FAST, prompts_dir=prompts)
    lab.land("NL", DAY, "a.jsonl", jsonl([document(1), document(2)]))
    assert lab.process().success
    served = lab.online(id_of(1))
    assert served is not None
    remove_topic(prompts, served["primary_topic"])
    lab.land("NL", DAY, "b.jsonl", jsonl([document("late")]))
    run = lab.process(run_config={"ops": {"llm_extractions": {"config": {"reextract": False}}}})
    assert run.success, run.errors
    assert lab.online(id_of(1)) == served
    assert lab.online(id_of("late")) is not None
