"""Values with checksums are planted where a producer, a customer, the model or AWS may put one; all is searched.

Dagster's storage on disk, what runs print at DEBUG, alerts and the operations report; tables and ledger for what was
refused.
"""

import logging
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from botocore.exceptions import ClientError

from cs_features.local import scripted
from cs_features.local.scripted import Script
from cs_features.orchestration.assets import validated_features as gate_step
from cs_features.orchestration.incidents import EndedRun, list_alerts
from cs_features.publishing.records import RecordStore
from cs_features_tests.support.desk import GOOD
from cs_features_tests.support.documents import DAY, document, jsonl
from cs_features_tests.support.lab import Lab
from cs_features_tests.support.refusals import refused
from cs_features_tests.support.scan import find_places

pytestmark = pytest.mark.heavy

MAIL, IBAN, CARD, BSN = "jan.jansen@example.com", "NL91ABNA0417164300", "4111111111111111", "123456782"
PHONE = "+31612345678"
PLANTED = (MAIL, IBAN, CARD, BSN, PHONE)
INVENTED = "DE89370400440532013000"  # the model's own: what it says is refused, and stands nowhere else
TEXT = f"Ik ben {MAIL}, rekening {IBAN}, kaart {CARD}, BSN {BSN}, bel {PHONE}."


def said(number: int, **changes: Any) -> dict[str, Any]:
    return document(number, turns=[{"speaker": "customer", "text": f"{TEXT} Zaak {number}."}], **changes)


class Searched(Lab):
    """A laboratory whose instance keeps everything on disk, as the real one does."""

    def use_disk(self, folder: Path) -> None:
        self.folder = folder
        self.instance = dg.DagsterInstance.local_temp(str(folder))

    def list_messages(self) -> list[str]:
        """What SNS would be sent of every run so far."""
        told = []
        for run in self.instance.get_runs():
            log = self.instance.all_logs(run.run_id)
            ended = EndedRun(run, log, "https://dagster.example.org", datetime.now(timezone.utc))
            told += [alert.subject + alert.body for alert in list_alerts(ended)]
        return told

    def read_storage(self) -> str:
        self.instance.dispose()
        files = [path for path in self.folder.rglob("*") if path.is_file()]
        return "\n".join(path.read_bytes().decode("utf-8", "replace") for path in files)


@pytest.fixture
def searched(lab: Lab, tmp_path: Path) -> Searched:
    lab.__class__ = Searched
    lab.use_disk(tmp_path)  # type: ignore[attr-defined]
    return lab  # type: ignore[return-value]


@pytest.fixture
def debug_lines() -> Iterator[list[str]]:
    """Everything that anybody logs, at DEBUG."""
    lines: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(f"{record.name}: {self.format(record)}")

    root, listener = logging.getLogger(), Listener(logging.DEBUG)
    level = root.level
    root.addHandler(listener)
    root.setLevel(logging.DEBUG)
    yield lines
    root.removeHandler(listener)
    root.setLevel(level)


def test_no_planted_value_is_told_and_no_refused_one_is_kept(
    searched: Searched, debug_lines: list[str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """In a crash pandera quoted cells, at DEBUG botocore printed every text, AWS's refusals were relayed to mail, and
    every refused summary stood in ledger and table."""
    make_answer = scripted._make_answer

    def repeat_secrets(script: Script, request: Any, fate: str, draw: Any) -> dict[str, Any]:
        if "Zaak 2" not in str(request.messages):
            return make_answer(script, request, fate, draw)
        summary = f"The customer with account {INVENTED} asks where a parcel is."
        return {"tool_input": {**GOOD, "summary": summary}, "stop_reason": "tool_use"}

    monkeypatch.setattr(scripted, "_make_answer", repeat_secrets)
    bad = [said(3, interaction_id=MAIL), said(4, occurred_at=IBAN), f"{{broken {TEXT}".encode(), said(5, **{IBAN: BSN})]
    searched.land("NL", DAY, "a.jsonl", jsonl([said(1), said(2), *bad]))
    named = searched.land("NL", DAY, f"{MAIL} {IBAN}.jsonl", jsonl([said(6)]))
    with refused(named, message=f"{TEXT}"):
        assert searched.process().success
    assert "invalid_answer" in searched.table("rejected_records")["reason"].to_list()
    assert find_places(searched, [INVENTED]) == []

    runs = [searched.process()]
    with monkeypatch.context() as patch:
        patch.setattr(gate_step, "split_documents", crash_with(ValueError(f"failure cases: {TEXT}")))
        runs.append(searched.process())
    searched.land("NL", DAY, "b.jsonl", jsonl([said(7)]))
    with monkeypatch.context() as patch:
        answer: Any = {"Error": {"Code": "ValidationError", "Message": f"Value {TEXT} is not valid"}}
        patch.setattr(RecordStore, "write_records", crash_with(ClientError(answer, "BatchWriteRecord")))
        runs.append(searched.process())
    assert [run.success for run in runs] == [True, False, False], [run.errors for run in runs]
    assert "ValueError" in runs[1].errors
    assert "ValidationError at BatchWriteRecord" in runs[2].errors

    messages = searched.list_messages()
    assert len(messages) >= 2
    rejects = str(searched.table("rejected_records").drop("source_uri").to_dicts())
    storage = searched.read_storage()
    printed = "".join(capfd.readouterr())
    assert len(storage) > 100_000
    assert len(debug_lines) > 1_000
    # The stand-in for AWS serves, and logs, in this very process.
    told = [line for line in debug_lines if "werkzeug" not in line]
    places = {
        "storage": storage,
        "log": "\n".join(told),
        "output": printed,
        "alerts": "\n".join(messages),
        "rejects": rejects,
    }
    found = {name: [value for value in PLANTED if value in text] for name, text in places.items()}
    assert found == {name: [] for name in places}


def crash_with(error: Exception) -> Any:
    def crash(*_: Any, **__: Any) -> Any:
        raise error

    return crash
