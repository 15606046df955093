"""A fault of the account is no fault of the rows: refusals that no interaction explains stop the run."""

import math
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cs_features.errors import Outage, RequestRefused, RunStopper
from cs_features.extraction.brakes import (
    FEW_REFUSED,
    FRUITLESS,
    MIN_SUSPECTED,
    SUSPECTED_IN_A_ROW,
    SUSPECTED_SHARE,
    RefusalBrake,
    are_own_faults,
)
from cs_features.extraction.engine import Outcome
from cs_features.extraction.session import Session, extract_needed_answers
from cs_features.local import converse as wire
from cs_features.schemas import Reason
from cs_features_tests.support.desk import DOWN, REFUSED, Desk, extractor_in, key_of, reply, requests_of, serving
from cs_features_tests.support.ledgers import answered, failed, objects_of, opened, totals_of

NOT_ALLOWED = wire.Fault(400, "ValidationException", "Operation not allowed")
UNHEARD_OF = wire.Fault(400, "ValidationException", "This account is under review, see our terms.")
SECRET = "Jan de Vries"


def ask_all(bucket: str, folder: Path, *numbers: int | str, concurrency: int = 4, **changes: Any) -> Session:
    """A run over so many requests, as the asset makes it."""
    with opened(bucket, folder / "journals") as ledger:
        extractor = extractor_in(folder, **changes)
        return extract_needed_answers(requests_of(*numbers), ledger, extractor, concurrency, lambda session: None)


# --- runs -------------------------------------------------------------------------------------


def test_an_account_that_may_not_call_stops_the_run_at_once_and_leaves_nothing_in_the_ledger(
    bucket: str, tmp_path: Path
) -> None:
    """60 of 60 records were deleted in green, and after the mend a rerun made 0 calls (fault 1)."""
    desk = Desk(otherwise=NOT_ALLOWED)
    with serving(desk), pytest.raises(RunStopper, match="AWS Support"):
        ask_all(bucket, tmp_path, *range(60))
    assert len(desk.asked) == 1
    assert objects_of(bucket) == []
    with serving():
        session = ask_all(bucket, tmp_path, *range(60))
    assert session.calls == 60
    assert session.failed == 0


@pytest.mark.parametrize("concurrency", [1, 32])
def test_refusals_that_we_have_no_words_for_stop_the_run_within_five_calls_in_awss_words(
    bucket: str, tmp_path: Path, concurrency: int
) -> None:
    """AWS says 400 to a restricted account in words that nobody has listed: each was one row's own fault."""
    desk = Desk(otherwise=UNHEARD_OF)
    with serving(desk), pytest.raises(RunStopper, match="This account is under review, see our terms") as caught:
        ask_all(bucket, tmp_path, *range(60), concurrency=concurrency)
    assert len(desk.asked) == SUSPECTED_IN_A_ROW + 1 == 5
    assert "Check the account" in str(caught.value)
    assert objects_of(bucket) == []


def test_words_that_differ_from_interaction_to_interaction_are_not_repeated(bucket: str, tmp_path: Path) -> None:
    """They may quote the customers; words that AWS says of five interactions alike quote none of them. Four are all
    that there are: the run is stopped although no other call comes to notice it."""
    faults = {
        f"pakket {number} ": [wire.Fault(400, "ValidationException", f"{SECRET} {number} is not allowed here.")]
        for number in range(4)
    }
    with serving(Desk(faults, otherwise=UNHEARD_OF)), pytest.raises(RunStopper) as caught:
        ask_all(bucket, tmp_path, *range(4))
    assert SECRET not in str(caught.value) + repr(caught.value)


def test_words_that_are_alike_are_quoted_without_what_they_quote(bucket: str, tmp_path: Path) -> None:
    """Five interactions of one customer."""
    fault = wire.Fault(400, "ValidationException", f"Value '{SECRET}' at 'messages' is not allowed here.")
    with serving(Desk(otherwise=fault)), pytest.raises(RunStopper, match="is not allowed here") as caught:
        ask_all(bucket, tmp_path, *range(9))
    assert SECRET not in str(caught.value) + repr(caught.value)


def test_an_account_that_is_restricted_in_the_middle_of_a_run_stops_it_too(bucket: str, tmp_path: Path) -> None:
    """The first calls prove nothing about the last ones: 2,000 rows behind them were rejected one by one."""
    desk = Desk()

    def restrict() -> None:
        if len(desk.asked) >= 20:
            desk.otherwise = UNHEARD_OF

    desk.otherwise = restrict
    with serving(desk), pytest.raises(RunStopper):
        ask_all(bucket, tmp_path, *range(200), concurrency=4)
    # Each of the four answers under way may come late and begin the row anew; then the control, and who waits.
    assert len(desk.asked) <= 20 + (1 + 4) * SUSPECTED_IN_A_ROW + 1 + 4
    kept = opened(bucket, tmp_path).read_outcomes()
    assert all(outcome.answered for outcome in kept.values())
    assert len(kept) >= 20


def test_one_poison_row_is_a_reject_of_its_own_and_is_asked_once(bucket: str, tmp_path: Path) -> None:
    """The other way round: a brake that trips at one bad interaction holds up a day for it."""
    numbers = [*range(30), "poison"]
    with serving(Desk({"poison": [REFUSED]})):
        session = ask_all(bucket, tmp_path, *numbers)
    assert session.outcomes[key_of("poison")].error is Reason.REQUEST_REFUSED
    assert session.failed == 1
    desk = Desk()
    with serving(desk):
        assert ask_all(bucket, tmp_path, *numbers).outcomes[key_of("poison")].error is Reason.REQUEST_REFUSED
    assert desk.asked == []


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_a_few_rows_that_are_all_refused_are_rejects_that_the_next_run_asks_again(
    bucket: str, tmp_path: Path, rows: int
) -> None:
    """So few do not make a suspicion, and neither is believed: that the rows are bad, or that the account is."""
    with serving(Desk(otherwise=UNHEARD_OF)):
        assert ask_all(bucket, tmp_path, *range(rows)).failed == rows
    assert objects_of(bucket) == []
    with serving():
        assert ask_all(bucket, tmp_path, *range(rows)).failed == 0


@pytest.mark.parametrize("rows", [5, 30])
def test_poison_rows_that_come_alone_hold_nothing_up(bucket: str, tmp_path: Path, rows: int) -> None:
    """Five interactions that the model's service takes for an attack were all that had landed: the run stopped, and was
    tried again each night. A harmless question tells them from a refused account."""
    refused = {f"pakket {number} ": [REFUSED] for number in range(rows)}
    desk = Desk(refused)
    with serving(desk):
        session = ask_all(bucket, tmp_path, *range(rows))
    assert session.failed == rows
    assert {outcome.error for outcome in session.outcomes.values()} == {Reason.REQUEST_REFUSED}
    controls = desk.calls_for("When do you open tomorrow?")
    assert len(desk.asked) == rows + controls
    assert 1 <= controls <= 3
    assert session.calls == len(desk.asked), "what the controls have cost is on nobody's bill"
    assert session.cost_usd > 0


def test_the_answer_to_the_control_is_nobodys_answer(bucket: str, tmp_path: Path) -> None:
    """Kept as the reply to the interaction, it would be published for it by the next run."""
    refused = {f"pakket {number} ": [REFUSED] * 2 for number in range(5)}
    with serving(Desk(refused)):
        ask_all(bucket, tmp_path, *range(5))
        again = ask_all(bucket, tmp_path, *range(5))
    assert all(outcome.answer is None and outcome.raw_answer is None for outcome in again.outcomes.values())


def test_an_outage_behind_a_few_refusals_is_an_outage(bucket: str, tmp_path: Path) -> None:
    """Taken for a refused account, nobody would try again."""
    refused = {f"pakket {number} ": [REFUSED] for number in range(5)}
    with serving(Desk(refused, otherwise=DOWN)), pytest.raises(Outage):
        ask_all(bucket, tmp_path, *range(5))


def test_interactions_that_are_too_long_are_no_refusal_of_the_account(bucket: str, tmp_path: Path) -> None:
    """A folder of transcripts."""
    too_long = wire.Fault(400, "ValidationException", "Input is too long for requested model.")
    with serving(Desk(otherwise=too_long)):
        session = ask_all(bucket, tmp_path, *range(12))
    assert {outcome.error for outcome in session.outcomes.values()} == {Reason.INPUT_TOO_LONG}


def test_a_repair_that_is_refused_is_no_refusal_of_the_account(tmp_path: Path) -> None:
    """Each of them came after an answer."""
    wrong = reply({"summary": ""})
    desk = Desk({f"pakket {number} ": [wrong, REFUSED, reply()] for number in range(9)})
    with serving(desk):
        extractor = extractor_in(tmp_path)
        for number in range(9):
            key, request = key_of(number), requests_of(number)[key_of(number)]
            assert extractor.ask(key, request).answered


def test_an_answer_between_refusals_proves_that_the_account_is_served(tmp_path: Path) -> None:
    """Six poison rows of eight, in an unlucky order, are six rejects, and nothing else is asked."""
    refused = {f"pakket {number} ": [REFUSED] for number in (0, 1, 2, 4, 5, 6)}
    desk = Desk(refused)
    with serving(desk):
        extractor = extractor_in(tmp_path)
        outcomes = [extractor.ask(key, request) for key, request in requests_of(*range(8)).items()]
    assert [outcome.answered for outcome in outcomes] == [False] * 3 + [True] + [False] * 3 + [True]
    assert len(desk.asked) == 8


# --- answers of which none can be used --------------------------------------------------------

WITHHELD = reply(stop_reason="guardrail_intervened")
USELESS = reply({"summary": "Ja."})


@pytest.mark.parametrize(("given", "calls"), [(WITHHELD, 1), (USELESS, 3)], ids=["a guardrail", "a weak model"])
def test_a_run_of_which_nothing_comes_stops_before_it_has_paid_for_the_day(
    bucket: str, tmp_path: Path, given: wire.Reply, calls: int
) -> None:
    """A guardrail that the account had switched on rejected 3,500 interactions, each of them paid for; a model that
    misread the tool was asked three times for each."""
    desk = Desk(otherwise=given)
    with serving(desk), pytest.raises(RunStopper, match=r"None of 4[0-9] .*_(refused|answer).*guardrails"):
        ask_all(bucket, tmp_path, *range(120))
    assert len(desk.asked) <= calls * (FRUITLESS + 4 * 4) + 1


@pytest.mark.parametrize("rows", [1, 3, 60], ids=["one late document", "a few", "more than the brake lets through"])
@pytest.mark.parametrize("given", [WITHHELD, USELESS], ids=["a guardrail", "a weak model"])
def test_what_an_account_failed_is_charged_to_no_interaction_and_its_bill_is_kept(
    bucket: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, given: wire.Reply, rows: int
) -> None:
    """Forty interactions stayed rejects of their own, and after the mend somebody had to know that they need a redrive;
    where fewer had landed, nobody was told of the account."""
    desk = Desk(otherwise=given)
    with serving(desk), pytest.raises(RunStopper) if rows >= FRUITLESS else nullcontext():
        ask_all(bucket, tmp_path, *range(rows))
    assert rows >= FRUITLESS or "account's guardrails" in caplog.text
    paid = sum(bill.attempts for bill in totals_of(bucket).values())
    assert paid == len(desk.asked)
    with serving():
        session = ask_all(bucket, tmp_path, *range(rows))
    assert session.failed == 0
    assert session.calls == rows
    assert sum(outcome.attempts for outcome in session.outcomes.values()) == paid + rows


def test_failures_that_a_harmless_question_proves_to_be_their_own_are_asked_once(bucket: str, tmp_path: Path) -> None:
    """Three interactions that every model declines were all that landed; asked at each run, they would be paid for each
    time."""
    desk = Desk({f"pakket {number} ": [WITHHELD] for number in range(3)})
    with serving(desk):
        first = ask_all(bucket, tmp_path, *range(3))
        again = ask_all(bucket, tmp_path, *range(3))
    assert desk.calls_for("When do you open tomorrow?") == 1
    assert first.calls == len(desk.asked) == 4
    assert again.calls == 0
    assert {outcome.error for outcome in again.outcomes.values()} == {Reason.MODEL_REFUSED}
    assert sum(outcome.attempts for outcome in again.outcomes.values()) == 4


def test_failures_before_the_first_answer_are_their_own_once_it_is_there(bucket: str, tmp_path: Path) -> None:
    """Rows are asked in any order: the first ones may be the day's only bad ones."""
    poison = {f"pakket {number} ": [WITHHELD] for number in range(0, 12, 2)}
    desk = Desk(poison)
    with serving(desk):
        first = ask_all(bucket, tmp_path, *range(12), concurrency=1)
        again = ask_all(bucket, tmp_path, *range(12))
    assert len(desk.asked) == first.calls == 12
    assert again.calls == 0
    assert again.outcomes == first.outcomes


def test_an_outage_behind_the_first_failures_leaves_them_to_be_asked_again(bucket: str, tmp_path: Path) -> None:
    """Whose fault they are cannot be told while nobody answers; what was paid can."""
    with serving(Desk({"pakket 1 ": [WITHHELD]}, otherwise=DOWN)):
        session = ask_all(bucket, tmp_path, 1)
    assert {outcome.error for outcome in session.outcomes.values()} == {Reason.MODEL_REFUSED}
    assert opened(bucket, tmp_path).read_outcomes() == {}
    assert sum(bill.cost_usd for bill in totals_of(bucket).values()) > 0


def test_a_doubtful_failure_that_is_kept_after_all_has_been_paid_for_once(bucket: str, tmp_path: Path) -> None:
    """Its bill was kept first, and its verdict later."""
    with opened(bucket, tmp_path / "journals") as ledger:
        ledger.record_call_outcome(failed(1), is_doubtful=True)
        assert ledger.known == {}
        ledger.keep_doubtful_failures()
    assert opened(bucket, tmp_path).read_outcomes() == {"1": failed(1)}


def test_threads_that_keep_the_same_doubtful_failure_keep_it_once(bucket: str, tmp_path: Path) -> None:
    """Many answers come at once after the first failure, and each of their threads finds it in doubt: the one that came
    second failed the run."""
    threads, found = 16, threading.Barrier(16)

    class Doubtful(list[Outcome]):
        """Whoever looks at it is told what he saw when all have looked."""

        def __bool__(self) -> bool:
            seen = len(self) > 0
            with suppress(threading.BrokenBarrierError):
                found.wait(timeout=0.2)
            return seen

    with opened(bucket, tmp_path / "journals") as ledger:
        ledger.doubtful = Doubtful()
        ledger.record_call_outcome(failed(1), is_doubtful=True)
        with ThreadPoolExecutor(threads) as pool:
            kept = [pool.submit(ledger.keep_doubtful_failures) for _ in range(threads)]
        assert [future.exception() for future in kept] == [None] * threads
    assert opened(bucket, tmp_path).read_outcomes() == {"1": failed(1)}


def test_a_flood_of_nonsense_holds_nothing_up(bucket: str, tmp_path: Path) -> None:
    """Fifty interactions that every model declines were all that had landed: each is a reject of its own."""
    desk = Desk({f"pakket {number} ": [WITHHELD] for number in range(50)})
    with serving(desk):
        session = ask_all(bucket, tmp_path, *range(50))
    assert {outcome.error for outcome in session.outcomes.values()} == {Reason.MODEL_REFUSED}
    controls = desk.calls_for("When do you open tomorrow?")
    assert 1 <= controls <= 2, "one after forty, and one at the end for those that came since"
    assert session.calls == len(desk.asked) == 50 + controls, "what the control has cost is on somebody's bill"


def test_one_answer_that_can_be_used_lets_the_rest_be_rejects_of_their_own(bucket: str, tmp_path: Path) -> None:
    """Where a guardrail withholds most answers, its own rejects must not stop the others of the day."""
    desk = Desk({f"pakket {number} ": [reply()] for number in range(0, 90, 3)}, otherwise=WITHHELD)
    with serving(desk):
        session = ask_all(bucket, tmp_path, *range(90))
    assert session.failed == 60
    assert desk.calls_for("When do you open tomorrow?") == 0


# --- the brake --------------------------------------------------------------------------------

events = st.lists(st.booleans(), max_size=200)


@given(events)
def test_four_in_a_row_or_a_quarter_of_many_are_a_suspicion(answers: list[bool]) -> None:
    """One answer is proof that the account is served; one in four refused asks for a proof."""
    brake, refused, in_a_row = RefusalBrake(), 0, 0
    for number, answer in enumerate(answers, start=1):
        if answer:
            brake.note_good_answer()
            in_a_row = 0
            continue
        refused, in_a_row = refused + 1, in_a_row + 1
        many = refused >= MIN_SUSPECTED and refused > SUSPECTED_SHARE * number
        assert brake.note_account_refusal(RequestRefused("ValidationException")) == (
            many or in_a_row >= SUSPECTED_IN_A_ROW
        )
        if many or in_a_row >= SUSPECTED_IN_A_ROW:
            break
        brake.check()


@given(st.integers(1, 2_000))
def test_a_folder_of_bad_rows_costs_a_handful_of_controls(rows: int) -> None:
    """One control for every four rows was a quarter of the bill again."""
    brake, controls = RefusalBrake(), 0
    for _ in range(rows):
        if brake.note_account_refusal(RequestRefused("ValidationException")):
            controls += 1
            brake.note_good_answer()
            brake.acquit()
    assert controls <= math.log2(rows / SUSPECTED_IN_A_ROW + 1)


def test_one_thread_asks_the_control_and_all_stop_when_it_is_refused() -> None:
    """Thirty-two threads met the suspicion together."""
    brake = RefusalBrake()
    told = [brake.note_account_refusal(RequestRefused("ValidationException")) for _ in range(32)]
    assert told.count(True) == 1
    brake.check()
    brake.convict()
    with pytest.raises(RunStopper):
        brake.check()


@given(st.integers(0, 300), st.integers(0, 300))
def test_refusals_are_believed_where_answers_are_beside_them_and_they_are_few(refused: int, answers: int) -> None:
    """What is believed is kept and not asked again until somebody redrives it."""
    believed = are_own_faults(refused, answers)
    assert believed <= (answers > 0)
    if answers:
        assert believed == (refused < FEW_REFUSED or refused / (refused + answers) <= 0.1)


# --- what the service fails -------------------------------------------------------------------


def test_a_run_whose_every_call_the_service_failed_is_an_outage_however_few_they_were(
    bucket: str, tmp_path: Path
) -> None:
    """503 for 81 s on a partition of two: both records were deleted, in green (fault 2)."""
    with serving(Desk(otherwise=DOWN)):
        session = ask_all(bucket, tmp_path, 1, 2)
    with pytest.raises(Outage, match="2 of 2 calls"):
        session.check_model_service()


@pytest.mark.parametrize(("down", "asked", "outage"), [(1, 2, False), (4, 50, False), (5, 200, False), (5, 50, True)])
def test_single_calls_that_the_service_failed_are_rejects(down: int, asked: int, outage: bool) -> None:
    """One row that the model cannot get through must not hold up the others."""
    outcomes = [failed(number, Reason.SERVICE_FAILED) for number in range(down)]
    outcomes += [answered(number) for number in range(down, asked)]
    by_key: dict[str, Outcome] = {outcome.request_hash: outcome for outcome in outcomes}
    session = Session(by_key, by_key)
    if outage:
        with pytest.raises(Outage):
            session.check_model_service()
    else:
        session.check_model_service()


def test_a_run_that_asked_nothing_is_no_outage() -> None:
    """Zero of zero."""
    Session().check_model_service()
