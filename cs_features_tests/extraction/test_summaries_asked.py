"""What a summary that breaks the contract costs: one repair, and none for a date."""

from pathlib import Path
from typing import Any

import pytest

from cs_features.extraction.bedrock import Reply
from cs_features.extraction.engine import MAX_ASKED, Outcome
from cs_features.extraction.pricing import TokenUsage
from cs_features.extraction.prompting import request_hash
from cs_features.extraction.prompts import TOOL_NAME
from cs_features.schemas import Reason
from cs_features_tests.support.desk import GOOD, extractor_in, request_of

RESIDUE = "The customer asks where a parcel is.</parameter></invoke>"
DUTCH = "De klant vraagt waar het pakket blijft dat vorige week zou komen."
POLISH = "Klient pyta, gdzie jest paczka, która miała przyjść w zeszłym tygodniu."


def ask_for_summaries(folder: Path, *summaries: str) -> tuple[Outcome, list[Any]]:
    """What becomes of an interaction to which the model gives these summaries one after the other; the requests."""
    given = iter(summaries)
    asked: list[Any] = []

    def call(request: dict[str, Any]) -> Reply:
        asked.append(request)
        use = {"toolUseId": "t", "name": TOOL_NAME, "input": {**GOOD, "summary": next(given)}}
        return Reply(use, "tool_use", TokenUsage(input_tokens=100, output_tokens=50), 1)

    request = request_of()
    return extractor_in(folder, call=call).ask(request_hash(request), request), asked


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [(RESIDUE, "carries markup"), (DUTCH, "is not in English"), (POLISH, "is not in English")],
    ids=["tool residue", "Dutch", "Polish"],
)
def test_a_summary_that_breaks_the_contract_is_repaired_by_one_more_call(
    tmp_path: Path, wrong: str, complaint: str
) -> None:
    """Each of them was validated and published (faults 30 and 31)."""
    outcome, asked = ask_for_summaries(tmp_path, wrong, GOOD["summary"])
    assert outcome.answer is not None
    assert outcome.answer["summary"] == GOOD["summary"]
    assert len(asked) == 2
    (told,) = asked[1]["messages"][2]["content"]
    assert complaint in str(told)
    assert wrong not in str(told)


def test_a_summary_that_stays_wrong_is_no_answer_and_its_words_are_not_in_the_reason(tmp_path: Path) -> None:
    outcome, asked = ask_for_summaries(tmp_path, *[DUTCH] * MAX_ASKED)
    assert (outcome.answered, outcome.error, len(asked)) == (False, Reason.INVALID_ANSWER, MAX_ASKED)
    assert outcome.detail == "summary: is not in English"


@pytest.mark.parametrize("date", ["2026-11-20", "20.11.2026", "20/11/2026", "2024-2026", "1.234.567 euros"])
def test_a_date_or_an_amount_costs_no_repair(tmp_path: Path, date: str) -> None:
    """Three calls, and then rejected as "an account or a long number" (fault 32)."""
    outcome, asked = ask_for_summaries(tmp_path, f"The customer asks about the order of {date}.")
    assert outcome.answered
    assert len(asked) == 1
