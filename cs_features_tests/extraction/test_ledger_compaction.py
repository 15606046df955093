"""Compaction: it may lose nothing, whatever happens between any two of its calls, and may not make the ledger grow."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from cs_features.extraction import ledger as ledger_module
from cs_features.extraction.engine import Outcome
from cs_features.extraction.ledger import Ledger
from cs_features.extraction.ledger_lines import Askings, format_ledger_line
from cs_features.s3 import Bucket
from cs_features.schemas import Reason
from cs_features_tests.support.ledgers import FOLDER, answered, failed, objects_of, opened, outcomes
from cs_features_tests.support.memory_s3 import MemoryS3


def test_compaction_leaves_one_object_with_everything_in_it(bucket: str, tmp_path: Path) -> None:
    """A part a second is 3,600 objects an hour, each one a GET for every later run."""
    for number in range(4):
        with opened(bucket, tmp_path) as ledger:
            ledger.record_call_outcome(answered(number))
            ledger.record_call_outcome(failed("x"))
    before = opened(bucket, tmp_path).read_outcomes()
    assert len(objects_of(bucket)) == 4
    with opened(bucket, tmp_path) as ledger:
        ledger.compact_ledger_objects()
        assert len(objects_of(bucket)) == 1
        ledger.compact_ledger_objects()
    assert len(objects_of(bucket)) == 1
    assert opened(bucket, tmp_path).read_outcomes() == before
    assert len(before) == 5


steps = st.tuples(
    st.integers(1, 12),  # S3 requests of whoever is at work before this step cuts in
    st.integers(0, 2),  # whose step it is
    st.sampled_from(["record", "record", "record", "compact", "compact", "reopen"]),
    outcomes,
)


@pytest.mark.heavy
@hypothesis_settings(max_examples=150)
@given(st.lists(steps, min_size=4, max_size=25))
def test_no_order_of_appends_compactions_and_openings_of_three_runs_loses_an_outcome(
    tmp_path_factory: pytest.TempPathFactory, script: list[tuple[int, int, str, Outcome]]
) -> None:
    """Deleting what another run has just replaced, or listing in the moment between its write and its delete: each
    interleaving of S3 requests is possible between hosts, and each lost answer is paid for again."""
    recorded: list[Outcome] = []
    busy: set[int] = set()
    todo = list(script)
    left = 0

    def next_step() -> None:
        nonlocal left
        _, who, what, outcome = todo.pop(0)
        left = todo[0][0] if todo else 0
        busy.add(who)
        if what == "record":
            runs[who].record_call_outcome(outcome)
            recorded.append(outcome)
        elif what == "compact":
            runs[who].compact_ledger_objects()
        else:
            runs[who].__exit__(None, None, None)
            there = Askings(line for body, _ in s3.objects.values() for line in body.splitlines()).known
            runs[who] = made(who).__enter__()
            assert {key for key, each in there.items() if each.answered} <= {
                key for key, each in runs[who].known.items() if each.answered
            }
            assert set(there) <= set(runs[who].known)
        busy.discard(who)

    def meanwhile() -> None:
        nonlocal left
        left -= 1
        if left <= 0 and todo and todo[0][1] not in busy and busy:
            next_step()

    folder = tmp_path_factory.mktemp("ledgers")
    s3 = MemoryS3()

    def made(who: int) -> Ledger:
        return Ledger(Bucket(s3, "bucket", "X"), FOLDER, folder / str(who))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ledger_module, "SHIP_SECONDS", 3_600)  # the background thread keeps out of it
        runs = [made(who).__enter__() for who in range(3)]
        s3.before_call = meanwhile
        while todo:
            next_step()
        s3.before_call = lambda: None
        for run in runs:
            run.__exit__(None, None, None)
        found = made(9).read_outcomes()
        with made(9) as last:
            last.compact_ledger_objects()
        assert made(9).read_outcomes() == found
    assert len(s3.objects) <= 1
    kept = [each for each in recorded if each.error is not Reason.REQUEST_REFUSED or each.cost_usd]
    assert {each.request_hash for each in kept} <= set(found) <= {each.request_hash for each in recorded}
    for key, outcome in found.items():
        same = [each for each in recorded if each.request_hash == key]
        assert outcome.answer in ([each.answer for each in same if each.answered] or [None])
        assert outcome.cost_usd == pytest.approx(sum(each.cost_usd for each in same)), "lost or doubled"


# --- an S3 that does not delete ---------------------------------------------------------------


class Undeletable(MemoryS3):
    """S3 that answers 200 to DeleteObjects and deletes nothing, as it does without the permission."""

    def __init__(self) -> None:
        super().__init__()
        self.deletable = False

    def delete_objects(self, **request: Any) -> dict[str, Any]:
        if self.deletable:
            return super().delete_objects(**request)
        return {"Errors": [{"Key": item["Key"], "Code": "AccessDenied"} for item in request["Delete"]["Objects"]]}

    @property
    def size(self) -> int:
        return sum(len(body) for body, _ in self.objects.values())


def run_once(s3: MemoryS3, folder: Path, *outcomes: Outcome) -> None:
    """A run of the partition, as `llm_extractions` makes it."""
    with Ledger(Bucket(s3, "bucket", "CS_FEATURES_DATA_BUCKET"), FOLDER, folder) as ledger:
        for outcome in outcomes:
            ledger.record_call_outcome(outcome)
        ledger.compact_ledger_objects()


def test_a_ledger_that_may_not_delete_grows_by_what_is_new_and_the_runs_go_on(tmp_path: Path) -> None:
    """DeleteObjects answers 200 with an error a key: each run left a full copy of the ledger behind (fault 20)."""
    s3 = Undeletable()
    run_once(s3, tmp_path, *map(answered, range(50)))
    run_once(s3, tmp_path, answered("late"))
    copied_once = s3.size
    for number in range(10):
        run_once(s3, tmp_path, answered(f"later {number}"))
    new = sum(len(format_ledger_line(answered(f"later {number}"))) for number in range(10))
    assert s3.size == copied_once + new
    assert len(Ledger(Bucket(s3, "bucket", "X"), FOLDER, tmp_path).read_outcomes()) == 61

    s3.deletable = True
    run_once(s3, tmp_path, answered("last"))
    assert len(s3.objects) == 1
    assert len(Ledger(Bucket(s3, "bucket", "X"), FOLDER, tmp_path).read_outcomes()) == 62


def test_a_ledger_of_many_objects_that_may_not_delete_can_be_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What killed runs leave is merged at the opening: refused there, no run of the partition could begin."""
    monkeypatch.setattr(ledger_module, "COMPACT_ABOVE", 2)
    s3 = Undeletable()
    for number in range(5):
        with Ledger(Bucket(s3, "bucket", "X"), FOLDER, tmp_path) as ledger:
            ledger.record_call_outcome(answered(number))
    run_once(s3, tmp_path, answered("next"))
    assert len(Ledger(Bucket(s3, "bucket", "X"), FOLDER, tmp_path).read_outcomes()) == 6


def test_lines_of_another_version_survive_a_compaction_byte_by_byte(tmp_path: Path) -> None:
    """An older run rewrote a newer one's lines as far as it understood them, and dropped the rest (fault 8)."""
    s3 = MemoryS3()
    newer = b'{"version":99,"request":"x","answers":[{"summary":"s"}]}'
    other = b'{"request":"y","answer":null,"error":"a_reason_of_tomorrow","cost_usd":0.1}'
    s3.put_object(Key=f"ledger/{FOLDER}/part-0-newer.jsonl", Body=newer + b"\n" + other + b"\n")
    for number in range(3):
        run_once(s3, tmp_path, answered(number))
    ((body, _),) = s3.objects.values()
    assert {newer, other} <= set(body.splitlines())
    assert len(body.splitlines()) == 5


def test_one_more_answer_costs_a_listing_a_get_a_put_and_a_delete(tmp_path: Path) -> None:
    """The end of each run listed and read its ledger again, which it had read at its beginning: eight requests for one
    answer (issue 11)."""
    s3, asked = MemoryS3(), list[int]()
    run_once(s3, tmp_path, answered("first"))
    s3.before_call = lambda: asked.append(1)
    run_once(s3, tmp_path, answered("second"))
    assert (len(asked), len(s3.objects)) == (4, 1)
    run_once(s3, tmp_path)
    assert len(asked) == 6, "with nothing new the ledger is read and left as it is"
