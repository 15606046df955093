"""Nothing is paid for twice: reruns, appends, edits, kills, lost hosts, two runs at once, compaction.

Billed calls are counted at the endpoint. The ledger is the real one on the local S3; where the order of
S3 calls matters, an S3 in memory lets hypothesis choose it.
"""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest

from cs_features.errors import AwsRefusal, RunStopper
from cs_features.extraction import ledger as ledger_module
from cs_features.extraction.bedrock import Reply
from cs_features.extraction.engine import Outcome
from cs_features.extraction.ledger import Ledger
from cs_features.extraction.ledger_lines import Askings, format_ledger_line
from cs_features.extraction.prompting import CONTROL_TEXT
from cs_features.extraction.prompts import TOOL_NAME
from cs_features.extraction.session import extract_needed_answers
from cs_features.local.scripted import Script
from cs_features.schemas import Reason
from cs_features_tests.support.desk import GOOD, extractor_in, key_of, requests_of, wait_until
from cs_features_tests.support.documents import DAY, document, jsonl
from cs_features_tests.support.http import read_model_stats
from cs_features_tests.support.lab import PROMPTS, REPOSITORY, AwsAndModel, Lab
from cs_features_tests.support.ledgers import FOLDER, ONE_CALL, Refusing, answered, failed, objects_of, opened

EXTRACT = ["raw_interactions", "llm_extractions"]
FAST = {"requests_per_minute": 60_000}  # a stated quota: no test waits for one to be found


@pytest.fixture
def fast_lab(make_lab: Callable[..., Lab]) -> Lab:
    return make_lab(**FAST)


def _count_ended(counted: dict[str, Any]) -> int:
    failures = sum(counted["refused"].values()) + sum(counted["faults"].values())
    return int(counted["answered"] + counted["throttled"] + failures)


class Billed:
    """Calls answered at the endpoint since this was made."""

    def __init__(self) -> None:
        self._before = read_model_stats()

    @property
    def calls(self) -> int:
        return int(read_model_stats()["answered"] - self._before["answered"])

    @property
    def in_flight(self) -> bool:
        """A client that is killed while it sends leaves a request that ends as a fault: it is over, not in flight."""
        now = read_model_stats()
        return _count_ended(now) - _count_ended(self._before) != now["requests"] - self._before["requests"]


def ask_all(bucket: str, folder: Path, *numbers: int | str, **changes: Any) -> dict[str, Outcome]:
    """A run over so many requests, as the asset makes it."""
    with opened(bucket, folder / "journals") as ledger:
        session = extract_needed_answers(
            requests_of(*numbers), ledger, extractor_in(folder, **changes), 8, lambda session: None
        )
        return session.outcomes


# --- what is asked again, and what is not -----------------------------------------------------


def test_a_rerun_of_an_unchanged_partition_makes_no_call(fast_lab: Lab) -> None:
    """Daft and LangExtract pay for the whole set again at every run."""
    fast_lab.land("NL", DAY, "a.jsonl", jsonl(document(number) for number in range(12)))
    billed = Billed()
    assert fast_lab.process(only=EXTRACT).success
    assert billed.calls == 12
    first, again = fast_lab.table("llm_extractions"), Billed()
    assert fast_lab.process(only=EXTRACT).success
    assert again.calls == 0
    second = fast_lab.table("llm_extractions")
    assert second["reused"].all()
    assert second.drop("reused").equals(first.drop("reused"))


def test_one_appended_interaction_makes_one_call(fast_lab: Lab) -> None:
    """Curator pays for 41 when one row is appended to 40."""
    fast_lab.land("NL", DAY, "a.jsonl", jsonl(document(number) for number in range(10)))
    fast_lab.process(only=EXTRACT)
    fast_lab.land("NL", DAY, "b.jsonl", jsonl([document("late")]))
    billed = Billed()
    fast_lab.process(only=EXTRACT)
    assert billed.calls == 1
    assert fast_lab.table("llm_extractions").height == 11


def test_an_edited_country_block_asks_that_country_again_and_no_other(
    make_lab: Callable[..., Lab], tmp_path: Path
) -> None:
    """Calibrating Dutch irony is not a reason to pay for Spain again."""
    prompts = tmp_path / "prompts"
    shutil.copytree(PROMPTS, prompts, ignore=shutil.ignore_patterns("golden"))
    lab = make_lab(**FAST, prompts_dir=prompts)
    lab.land("NL", DAY, "a.jsonl", jsonl(document(number) for number in range(3)))
    lab.land("BE", DAY, "a.jsonl", jsonl(document(number, country="BE") for number in range(10, 14)))
    for country in ("NL", "BE"):
        assert lab.process(country, only=EXTRACT).success
    file = prompts / "countries" / "BE.md"
    file.write_text(file.read_text() + "\nBelgian customers are polite when they are angry.\n")
    billed = Billed()
    assert lab.process("NL", only=EXTRACT).success
    assert billed.calls == 0
    assert lab.process("BE", only=EXTRACT).success
    assert billed.calls == 4


def test_operational_settings_are_not_part_of_the_key(fast_lab: Lab) -> None:
    """DocETL asks everything again when skip_on_error is flipped."""
    fast_lab.land("NL", DAY, "a.jsonl", jsonl(document(number) for number in range(5)))
    fast_lab.process(only=EXTRACT)
    billed = Billed()
    other = fast_lab.with_settings(
        max_concurrency=1, requests_per_minute=30_000, tokens_per_minute=9e9, max_cost_usd=0.0
    )
    assert other.process(only=EXTRACT).success
    assert billed.calls == 0


def test_another_model_is_another_question(fast_lab: Lab) -> None:
    """The other way round: an answer of one model under the name of another is a lie in the feature store."""
    fast_lab.land("NL", DAY, "a.jsonl", jsonl(document(number) for number in range(3)))
    fast_lab.process(only=EXTRACT)
    billed = Billed()
    assert fast_lab.with_settings(model_id="eu.amazon.nova-micro-v1:0").process(only=EXTRACT).success
    assert billed.calls == 3
    assert set(fast_lab.table("llm_extractions")["model_id"]) == {"eu.amazon.nova-micro-v1:0"}


def test_identical_requests_of_a_partition_are_asked_once_and_answer_all_their_rows(fast_lab: Lab) -> None:
    """Five of six peers pay for 40 rows of which 30 are distinct."""
    same = document("same")["turns"]
    documents = [
        *(document(number) for number in range(3)),
        *(document(f"s{number}", turns=same) for number in (1, 2, 3)),
    ]
    fast_lab.land("NL", DAY, "a.jsonl", jsonl(documents))
    billed = Billed()
    fast_lab.process(only=EXTRACT)
    assert billed.calls == 4
    table = fast_lab.table("llm_extractions")
    assert table["status"].to_list() == ["answered"] * 6
    shared = table.filter(table["request_hash"].is_duplicated())
    assert shared.height == 3
    assert shared["summary"].n_unique() == 1
    assert sorted(shared["reused"].to_list()) == [False, True, True]
    assert (shared["cost_usd"] > 0).sum() == 1


def test_an_answer_that_nobody_can_use_is_kept_and_not_paid_for_again(bucket: str, tmp_path: Path) -> None:
    """A refusal costs its tokens; asked again at each rerun, one poison row is a standing order."""

    def refuses(request: dict[str, Any]) -> Reply:
        """But for a harmless question, by which it tells that the account is served."""
        if request["messages"][0]["content"][0]["text"] == CONTROL_TEXT:
            return Reply({"input": GOOD}, "tool_use", ONE_CALL, 1)
        return Reply(None, "refusal", ONE_CALL, 1)

    first = ask_all(bucket, tmp_path, 1, call=refuses)
    again = ask_all(bucket, tmp_path, 1, call=lambda _: pytest.fail("asked again"))
    assert first == again
    assert again[key_of(1)].error is Reason.MODEL_REFUSED
    assert again[key_of(1)].cost_usd > 0


def test_what_the_service_failed_to_answer_is_asked_by_the_next_run(
    stack: AwsAndModel, bucket: str, tmp_path: Path
) -> None:
    """DocETL kept its failures: the rows of one outage stayed empty for ever."""
    stack.answerer.script = Script(faults={"503": 1.0})
    (lost,) = ask_all(bucket, tmp_path, 1).values()
    assert lost.error is Reason.SERVICE_FAILED
    stack.answerer.script = Script()
    (found,) = ask_all(bucket, tmp_path, 1).values()
    assert found.answered


def test_a_redrive_asks_again_for_the_reasons_it_names_and_for_nothing_else(bucket: str, tmp_path: Path) -> None:
    """No peer has one: fixing the prompt of one rejected row meant paying for all rows, or for none."""
    requests = requests_of("refused", "answered", "cut")
    refused, good, cut = requests
    with opened(bucket, tmp_path / "journals") as ledger:
        ledger.record_call_outcome(failed(refused, Reason.MODEL_REFUSED))
        ledger.record_call_outcome(answered(good))
        ledger.record_call_outcome(failed(cut, Reason.ANSWER_CUT_OFF))
    billed = Billed()
    with opened(bucket, tmp_path / "journals") as ledger:
        reasons = frozenset({Reason.MODEL_REFUSED})
        session = extract_needed_answers(requests, ledger, extractor_in(tmp_path), 4, lambda session: None, reasons)
    assert billed.calls == 1
    assert set(session.asked) == {refused}
    assert session.outcomes[refused].answered
    assert session.outcomes[cut].error is Reason.ANSWER_CUT_OFF
    assert opened(bucket, tmp_path).read_outcomes()[refused].answered, "the failure came back at the next run"


def test_a_stopped_run_keeps_what_it_paid_for(bucket: str, tmp_path: Path) -> None:
    """A budget that throws away what it bought buys it again tomorrow."""
    billed = Billed()
    with pytest.raises(RunStopper, match="budget"):
        ask_all(bucket, tmp_path, *range(40), max_cost_usd=1e-9)
    assert billed.calls == 1
    ask_all(bucket, tmp_path, *range(40))
    assert billed.calls == 40


# --- kills and lost hosts ---------------------------------------------------------------------

_RUN = """
import json, sys, time
from pathlib import Path
import boto3
from cs_features.extraction.bedrock import make_bedrock_client, converse
from cs_features.extraction.brakes import Budget
from cs_features.extraction.engine import Extractor
from cs_features.extraction.estimate import TokenEstimate
from cs_features.extraction.ledger import Ledger
from cs_features.extraction.ledger_lines import Askings, format_ledger_line
from cs_features.extraction.quota import Limiter
from cs_features.extraction.session import extract_needed_answers
from cs_features.s3 import Bucket
from cs_features.schemas import Extraction
bucket, folder, concurrency = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
requests, client = json.loads((folder / "requests.json").read_text()), make_bedrock_client(concurrency, 10)
limiter = Limiter(folder / "quota", requests_per_minute=60_000, tokens_per_minute=None, burndown=1)
extractor = Extractor(lambda request: converse(client, request), Extraction, lambda usage: 0.001, limiter, Budget(1.0),
                      TokenEstimate(0.3))
with Ledger(Bucket(boto3.client("s3"), bucket, "X"), "FOLDER", folder / "journals") as ledger:
    extract_needed_answers(requests, ledger, extractor, concurrency, lambda session: None)
""".replace("FOLDER", FOLDER)
CONCURRENCY = 8


def test_a_run_that_is_killed_pays_again_for_what_was_in_flight_and_for_nothing_else(
    stack: AwsAndModel, bucket: str, tmp_path: Path
) -> None:
    """kill -9 after about 20 calls of 80, then a restart: Curator bills 92, LOTUS up to 139, Daft 180."""
    stack.answerer.script = Script(latency_mean_s=0.4)  # so that it is killed long before it is over
    billed, requests = Billed(), requests_of(*range(80))
    (tmp_path / "requests.json").write_text(json.dumps(requests))
    command = [sys.executable, "-W", "ignore", "-c", _RUN, bucket, str(tmp_path), str(CONCURRENCY)]
    with subprocess.Popen(command, cwd=REPOSITORY) as child:
        wait_until(lambda: billed.calls >= 20)
        os.kill(child.pid, signal.SIGKILL)
    assert child.returncode == -signal.SIGKILL
    wait_until(lambda: not billed.in_flight)
    paid = billed.calls
    assert paid < 80, "the run was over before it was killed"
    stack.answerer.script = Script()

    elsewhere = opened(bucket, tmp_path / "another host")
    with elsewhere:
        shipped = set(elsewhere.known)
    with opened(bucket, tmp_path / "journals") as here:
        assert set(here.known) >= shipped
        assert len(here.known) >= paid - CONCURRENCY
        assert all(outcome.answered for outcome in here.known.values())

    outcomes = ask_all(bucket, tmp_path, *range(80))
    assert len(outcomes) == 80
    assert billed.calls <= 80 + CONCURRENCY
    before = billed.calls
    ask_all(bucket, tmp_path, *range(80))
    assert billed.calls == before


def test_while_s3_refuses_nothing_is_lost_and_it_is_shipped_when_s3_is_back(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A minute of SlowDown must not cost the answers of that minute, nor stop the run that pays for them."""
    monkeypatch.setattr(ledger_module, "SHIP_SECONDS", 0.02)
    refused: list[str] = []
    down = threading.Event()

    def refuses(operation: str) -> bool:
        if down.is_set():
            refused.append(operation)
        return down.is_set()

    with opened(bucket, tmp_path, Refusing(refuses)) as ledger:
        ledger.record_call_outcome(answered("before"))
        wait_until(lambda: len(objects_of(bucket)) == 1)
        down.set()
        for number in range(5):
            ledger.record_call_outcome(answered(number))
        wait_until(lambda: refused.count("put_object") >= 3)
        down.clear()
        wait_until(lambda: len(opened(bucket, tmp_path / "reader").read_outcomes()) == 6)
        ledger.record_call_outcome(answered("after"))
    assert set(opened(bucket, tmp_path / "reader").read_outcomes()) == {"before", "after", *map(str, range(5))}
    assert not list(tmp_path.rglob("*.jsonl")), "a journal of a finished run is left behind"


def test_a_run_that_ends_while_s3_refuses_is_shipped_by_the_next_one_on_the_host(bucket: str, tmp_path: Path) -> None:
    """Deleting the journal before it is shipped would be the one moment at which an answer is nowhere. A host that
    never saw the journal has what was shipped, and asks for the rest."""
    down = threading.Event()
    ledger = opened(bucket, tmp_path / "here", Refusing(lambda operation: down.is_set() and operation == "put_object"))

    def a_run() -> None:
        with ledger:
            ledger.record_call_outcome(answered("shipped"))
            wait_until(lambda: len(objects_of(bucket)) == 1)
            down.set()
            ledger.record_call_outcome(answered("journaled"))

    with pytest.raises(AwsRefusal):
        a_run()
    with opened(bucket, tmp_path / "another host") as elsewhere:
        assert set(elsewhere.known) == {"shipped"}
    with opened(bucket, tmp_path / "here") as again:
        assert again.known == {key: answered(key) for key in ("shipped", "journaled")}
    with opened(bucket, tmp_path / "another host") as elsewhere:
        assert set(elsewhere.known) == {"shipped", "journaled"}


@pytest.mark.parametrize("torn", [1, 40, -1])
def test_a_torn_last_line_of_a_journal_is_ignored(bucket: str, tmp_path: Path, torn: int) -> None:
    """A kill in the middle of a write: a reader that insisted on JSON never opened the partition again."""
    journal = tmp_path / bucket / FOLDER / "dead.jsonl"
    journal.parent.mkdir(parents=True)
    journal.write_bytes(format_ledger_line(answered("whole")) + format_ledger_line(answered("torn"))[:-1][:torn])
    with opened(bucket, tmp_path) as ledger:
        assert ledger.known == {"whole": answered("whole")}
        ledger.record_call_outcome(answered("next"))
    assert opened(bucket, tmp_path).read_outcomes() == {"whole": answered("whole"), "next": answered("next")}
    assert not journal.exists()


def test_the_journal_of_a_running_run_is_left_to_it(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second run that 'recovered' the first one's journal deleted it under its hands."""
    monkeypatch.setattr(ledger_module, "SHIP_SECONDS", 3_600)
    with opened(bucket, tmp_path) as one:
        one.record_call_outcome(answered("one"))
        (journal,) = tmp_path.rglob("*.jsonl")
        with opened(bucket, tmp_path) as other:
            assert other.known == {}
            assert journal.exists()
        assert Askings(journal.read_bytes().splitlines()).known == {"one": answered("one")}
    assert set(opened(bucket, tmp_path).read_outcomes()) == {"one"}


def test_two_runs_that_start_at_the_same_moment_keep_their_journals(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the making of a journal and its lock it looks like a dead run's: the other run deleted it, so the
    first one wrote to a file that no longer was, and failed when it wanted to delete it at the end."""
    meanwhile, flock = [True], fcntl.flock

    def locked(file: Any, operation: int) -> None:
        if meanwhile and not operation & fcntl.LOCK_NB:
            meanwhile.pop()
            with opened(bucket, tmp_path):
                pass
        flock(file, operation)

    monkeypatch.setattr(fcntl, "flock", locked)
    with opened(bucket, tmp_path) as ledger:
        assert not meanwhile
        ledger.record_call_outcome(answered("one"))
        (journal,) = tmp_path.rglob("*.jsonl")
        assert Askings(journal.read_bytes().splitlines()).known == {"one": answered("one")}
    assert set(opened(bucket, tmp_path).read_outcomes()) == {"one"}


def test_what_is_recorded_is_in_the_journal_before_record_returns(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LOTUS writes its cache after the whole batch: a kill loses all of it."""
    monkeypatch.setattr(ledger_module, "SHIP_SECONDS", 3_600)
    with opened(bucket, tmp_path) as ledger:
        for number in range(3):
            ledger.record_call_outcome(answered(number))
            (journal,) = tmp_path.rglob("*.jsonl")
            assert len(journal.read_bytes().splitlines()) == number + 1


def test_many_threads_record_whole_lines(bucket: str, tmp_path: Path) -> None:
    """Lines of two threads in one another are two answers lost."""
    with opened(bucket, tmp_path) as ledger:
        threads = [
            threading.Thread(target=lambda t=t: [ledger.record_call_outcome(answered(f"{t}-{n}")) for n in range(100)])
            for t in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(opened(bucket, tmp_path).read_outcomes()) == 800


def test_journals_are_for_their_owner_alone(bucket: str, tmp_path: Path) -> None:
    """They hold summaries of what customers said, in a folder that every user of the host can list."""
    with opened(bucket, tmp_path / "journals"):
        (journal,) = tmp_path.rglob("*.jsonl")
        assert journal.parent.stat().st_mode & 0o077 == 0


# --- two runs at once -------------------------------------------------------------------------


def test_two_runs_of_one_partition_share_what_they_pay_for(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sensor's run and a backfill of the same day: the second pays only for what it asks in the same moment."""
    monkeypatch.setattr(ledger_module, "SHIP_SECONDS", 0.02)
    requests = requests_of(*range(10))
    asked: list[int] = []
    with opened(bucket, tmp_path / "here") as one, opened(bucket, tmp_path / "there") as other:

        def while_the_other_runs(_: dict[str, Any]) -> Reply:
            asked.append(1)
            for key in requests:
                one.record_call_outcome(Outcome(key, answer=GOOD, usage=ONE_CALL, attempts=1))
            wait_until(lambda: len(other.known) == 10)
            return Reply({"toolUseId": "t", "name": "n", "input": GOOD}, "tool_use", ONE_CALL, 1)

        session = extract_needed_answers(
            requests, other, extractor_in(tmp_path, call=while_the_other_runs), 4, lambda session: None
        )
    assert len(asked) == 1
    assert len(session.outcomes) == 10
    assert len(session.asked) == 1, "the other run's calls are on this run's bill"


def test_an_answer_that_is_known_is_not_replaced_by_another_runs_failure(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer beats a failure, also when the failure comes in while the run goes."""
    monkeypatch.setattr(ledger_module, "SHIP_SECONDS", 0.02)
    with opened(bucket, tmp_path / "here") as one, opened(bucket, tmp_path / "there") as other:
        other.record_call_outcome(answered("x"))
        wait_until(lambda: "x" in one.known)
        other.record_call_outcome(failed("x"))
        other.record_call_outcome(answered("marker"))
        wait_until(lambda: "marker" in one.known)
        assert one.known["x"].answered


# --- what is kept of a refusal, and of an outage ------------------------------------------------


def test_what_the_service_failed_is_not_kept(bucket: str, tmp_path: Path) -> None:
    """An outage in the ledger is an outage for ever."""
    with opened(bucket, tmp_path) as ledger:
        for reason in Reason:
            ledger.record_call_outcome(failed(reason.value, reason))
    kept = set(opened(bucket, tmp_path).read_outcomes())
    assert kept == {reason.value for reason in Reason} - {Reason.SERVICE_FAILED.value}


def refused(number: int | str) -> Outcome:
    return Outcome(str(number), error=Reason.REQUEST_REFUSED, detail="ValidationException", attempts=1)


@pytest.mark.parametrize(
    ("answers", "refusals", "kept"),
    [(0, 1, 0), (0, 4, 0), (1, 1, 1), (1, 4, 4), (20, 5, 0), (95, 5, 5), (60, 40, 0)],
)
def test_refusals_are_kept_once_other_interactions_are_answered_beside_them(
    bucket: str, tmp_path: Path, answers: int, refusals: int, kept: int
) -> None:
    """Refusals of a restricted account stayed in the ledger: after it was mended a rerun made no call (fault 1). One
    poison row among good ones must not be asked again at every rerun."""
    with opened(bucket, tmp_path) as ledger:
        for number in range(refusals):
            ledger.record_call_outcome(refused(f"refused {number}"))
        for number in range(answers):
            ledger.record_call_outcome(answered(number))
    found = opened(bucket, tmp_path).read_outcomes()
    assert sum(outcome.error is Reason.REQUEST_REFUSED for outcome in found.values()) == kept
    assert sum(outcome.answered for outcome in found.values()) == answers


def test_a_run_that_is_stopped_keeps_no_refusal(bucket: str, tmp_path: Path) -> None:
    """What stopped it may be what they came from."""

    def stopped() -> None:
        with opened(bucket, tmp_path) as ledger:
            ledger.record_call_outcome(answered(1))
            ledger.record_call_outcome(refused(2))
            raise RunStopper("the account is refused")

    with pytest.raises(RunStopper):
        stopped()
    assert set(opened(bucket, tmp_path).read_outcomes()) == {"1"}


def test_a_refusal_that_follows_a_paid_answer_is_kept_because_it_has_a_bill(bucket: str, tmp_path: Path) -> None:
    """The answer that was paid before it proves that the account is served."""
    with opened(bucket, tmp_path) as ledger:
        ledger.record_call_outcome(failed("paid", Reason.REQUEST_REFUSED))
    assert set(opened(bucket, tmp_path).read_outcomes()) == {"paid"}


def test_what_was_paid_for_a_request_that_a_stop_left_unanswered_is_on_its_bill(bucket: str, tmp_path: Path) -> None:
    """The answer was invalid, the budget spent before its repair: a call that no column ever showed (fault 37)."""
    requests = requests_of(1)
    uses = [{"toolUseId": "t", "name": TOOL_NAME, "input": tool_input} for tool_input in ({}, GOOD)]

    def call(_: dict[str, Any]) -> Reply:
        return Reply(uses.pop(0), "tool_use", ONE_CALL, 1)

    with pytest.raises(RunStopper, match="budget"):
        ask_all(bucket, tmp_path, 1, call=call, max_cost_usd=1e-9)
    with opened(bucket, tmp_path / "journals") as ledger:
        assert ledger.known == {}, "a stop is no answer"
        session = extract_needed_answers(requests, ledger, extractor_in(tmp_path, call=call), 4, lambda session: None)
    (outcome,) = session.outcomes.values()
    assert outcome.answered
    assert outcome.cost_usd == pytest.approx(2 * session.cost_usd)
    assert outcome.attempts == 2


# --- the thread that ships ----------------------------------------------------------------------


def test_a_shipping_thread_that_dies_is_told_by_the_next_record_and_nothing_is_lost(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It died of a line that it could not read, and the run went on for hours without shipping (fault 8)."""
    monkeypatch.setattr(ledger_module, "SHIP_SECONDS", 0.01)

    def dies(_: Ledger) -> list[bytes]:
        raise ValueError("a defect")

    def a_run() -> None:
        with opened(bucket, tmp_path) as ledger:
            ledger.record_call_outcome(answered("before"))
            monkeypatch.setattr(Ledger, "_read_new", dies)
            wait_until(lambda: not ledger._thread.is_alive())
            ledger.record_call_outcome(answered("after"))

    with pytest.raises(RuntimeError, match="ships the ledger has died") as caught:
        a_run()
    assert isinstance(caught.value.__cause__, ValueError)
    assert set(opened(bucket, tmp_path).read_outcomes()) == {"before", "after"}


def test_a_shipping_thread_that_dies_after_the_last_record_fails_the_run_too(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A green run hides the defect until a longer one meets it."""
    monkeypatch.setattr(ledger_module, "SHIP_SECONDS", 0.01)
    monkeypatch.setattr(Ledger, "_ship_pending", lambda ledger: 1 / 0)
    ledger = opened(bucket, tmp_path)

    def a_run() -> None:
        with ledger:
            wait_until(lambda: not ledger._thread.is_alive())
            monkeypatch.undo()

    with pytest.raises(RuntimeError, match="ships the ledger has died"):
        a_run()


@pytest.mark.parametrize("line", [b'{"request":"y","answer":null,"error":"a_reason_of_tomorrow"}', b"\xff\xfe", b"[]"])
def test_a_line_that_another_run_ships_and_this_one_cannot_read_does_not_stop_it(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: bytes
) -> None:
    """Two versions during a deployment: the older run's thread died unnoticed (fault 8)."""
    monkeypatch.setattr(ledger_module, "SHIP_SECONDS", 0.01)
    with opened(bucket, tmp_path) as ledger:
        body = line + b"\n" + format_ledger_line(answered("theirs"))
        boto3.client("s3").put_object(Bucket=bucket, Key=f"ledger/{FOLDER}/part-9-theirs.jsonl", Body=body)
        wait_until(lambda: "theirs" in ledger.known)
        ledger.record_call_outcome(answered("ours"))
    assert set(opened(bucket, tmp_path).read_outcomes()) == {"ours", "theirs"}
