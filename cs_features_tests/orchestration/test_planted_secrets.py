"""Values with checksums are planted where a producer, a customer, the model or AWS may put one; all is searched.

Dagster's storage on disk, what runs print at DEBUG, alerts and the operations report; tables and ledger for what was
refused.
"""

import logging
import re
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from botocore.exceptions import ClientError
from pydantic import SecretStr

from cs_features.erasure.subjects import make_erasure_subject
from cs_features.local import scripted
from cs_features.local.scripted import Script
from cs_features.orchestration.assets import validated_features as gate_step
from cs_features.orchestration.incidents import EndedRun, list_alerts
from cs_features.planning.erasing.eraser import erase_subject_everywhere
from cs_features.planning.erasing.stores import open_erasable_stores
from cs_features.publishing.records import RecordStore
from cs_features.services import build_services_from
from cs_features_tests.support.desk import GOOD
from cs_features_tests.support.documents import document, jsonl
from cs_features_tests.support.inventory import take_inventory
from cs_features_tests.support.lab import Lab
from cs_features_tests.support.landing_sensor import tick
from cs_features_tests.support.refusals import refused
from cs_features_tests.support.scan import find_places, read_texts

pytestmark = pytest.mark.heavy

# Objects that hold or name what landed; everything else in the data bucket is searched.
ORIGINALS = (
    "raw_interactions/",
    *("rejected_records/", "feature_store/"),  # searched without their column `source_uri`
    *("listings/", "interaction_ids", "landing_counts/"),  # keys of landing files
)

YESTERDAY = datetime.now(timezone.utc).date() - timedelta(days=1)
# Of every kind that has a form, national and international, as people write them.
SECRETS = {
    "mail": "jan.jansen@example.com",
    "IBAN": "NL91ABNA0417164300",
    "IBAN in groups": "BE68 5390 0754 7034",
    "card": "4111111111111111",
    "card in groups": "5555 5555 5555 4444",
    "BSN": "123456782",
    "NISS": "85.07.30-033.28",
    "NIR": "255081416802538",
    "DNI": "12345678Z",
    "NIE": "X1234567L",
    "PESEL": "44051401359",
    "VAT": "NL123456782B90",
    "phone": "+31612345678",
    "phone at home": "06-87654321",
    "phone with a slash": "0471/23.45.67",
    "phone in France": "0033 1 42 68 53 00",
    "IP": "84.241.200.17",
    "IPv6": "2a02:a210:9f41::7",
    "link": "https://shop.example.com/reset?token=8f3kd92ks8w",
    "session": "sess_9f8e7d6c5b4a3f2e1d0c",
    "passport": "NXR2C4KP7",
    "plate": "RT-482-K",
}
MAIL, IBAN, BSN = SECRETS["mail"], SECRETS["IBAN"], SECRETS["BSN"]
TEXT = "; ".join(SECRETS.values())
CUSTOMER = "piet.customer@example.org"  # an id that is personal: in tables and the store, where it belongs
PLANTED = (*SECRETS.values(), CUSTOMER)
# The model's own: what it says is refused, and stands nowhere else.
INVENTED = (
    "DE89370400440532013000",
    "4012888888881881",
    "87654321X",
    "anna@example.net",
    "+48601234567",
    "10.20.30.40",
    "https://shop.example.com/me?key=1f2e3d4c5b",
    "85073003328",
    "111222333",
)


def said(number: int, **changes: Any) -> dict[str, Any]:
    turns = [
        {"speaker": "customer", "text": f"{TEXT}. Zaak {number}.", "name": MAIL},
        {"speaker": "agent", "text": f"Met Jan de Vries, ik bel {SECRETS['phone']}.", "agent_name": IBAN},
    ]
    kept = {"occurred_at": f"{YESTERDAY}T09:30:00Z", "turns": turns, "customer_id": CUSTOMER, "agent": MAIL, **changes}
    return document(number, **kept)


class Searched(Lab):
    """A laboratory whose instance keeps everything on disk, and prints it, as the real one does."""

    console_level = "DEBUG"

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
def searched(make_lab: Any, tmp_path: Path) -> Searched:
    lab = make_lab(tombstone_key=SecretStr("k" * 32))
    lab.__class__ = Searched
    lab.use_disk(tmp_path)
    return lab  # type: ignore[no-any-return]


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
    monkeypatch.setattr(scripted, "_make_answer", partial(repeat_secrets, scripted._make_answer))
    bad = [
        said(3, interaction_id=MAIL),
        said(4, occurred_at=IBAN),
        f"{{broken {TEXT}".encode(),
        said(5, **{IBAN: BSN}),
        said(6, customer_id=[CUSTOMER, TEXT]),
        said(7, interaction_id=BSN, channel=IBAN),
        said(8, language=MAIL),
        said(9, turns=[{"speaker": IBAN, "text": TEXT}]),
    ]
    # So many ordinary ones that the refused are not too large a share.
    invented = [said(100 + number) for number in range(len(INVENTED))] + [said(200 + number) for number in range(80)]
    searched.land("NL", YESTERDAY, "a.jsonl", jsonl([said(1), *invented, *bad]))
    named = searched.land("NL", YESTERDAY, f"{MAIL} {IBAN}.jsonl", jsonl([said(10)]))
    for folder in (f"country=NL/{SECRETS['card']}", MAIL, f"country={BSN}/date={YESTERDAY}"):
        searched.s3.put_object(Bucket=searched.settings.landing_bucket, Key=f"interactions/{folder}/x.json", Body=b"{}")
    searched.land("NL", f"{YESTERDAY}/{SECRETS['PESEL']}", "x.json", b"{}")
    ticks = [tick(searched)]
    with refused(named, message=f"{TEXT}"):
        first = searched.process(day=YESTERDAY)
        assert first.success, first.errors
    ticks.append(tick(searched, ticks[0].cursor))
    assert searched.table("rejected_records", day=YESTERDAY).filter(reason="invalid_answer").height == len(INVENTED)
    assert find_places(searched, INVENTED) == []

    runs = [searched.process(day=YESTERDAY)]
    with monkeypatch.context() as patch:
        patch.setattr(gate_step, "split_documents", crash_with(ValueError(f"failure cases: {TEXT}")))
        runs.append(searched.process(day=YESTERDAY))
    searched.land("NL", YESTERDAY, "b.jsonl", jsonl([said(11)]))
    with monkeypatch.context() as patch:
        answer: Any = {"Error": {"Code": "ValidationError", "Message": f"Value {TEXT} is not valid"}}
        patch.setattr(RecordStore, "write_records", crash_with(ClientError(answer, "BatchWriteRecord")))
        runs.append(searched.process(day=YESTERDAY))
    assert [run.success for run in runs] == [True, False, False], [run.errors for run in runs]
    assert "ValueError" in runs[1].errors
    assert "ValidationError at BatchWriteRecord" in runs[2].errors
    assert take_inventory(searched).success
    report = searched.definitions.resolve_job_def("report_operations")
    assert report.execute_in_process(instance=searched.instance).success

    messages = searched.list_messages()
    assert len(messages) >= 2
    texts = read_texts(searched, searched.settings.data_bucket)
    told_tables = [key for key in texts if not key.startswith(ORIGINALS)]
    assert {key.split("/")[0] for key in told_tables} >= {"ledger", "operations_report", "reconciliation"}
    named_tables = [searched.table(name, day=YESTERDAY) for name in ("rejected_records", "feature_store")]
    rejects, manifest = (str(table.drop("source_uri").to_dicts()) for table in named_tables)
    erase_customer(searched)
    receipts = [text for key, text in read_texts(searched, searched.settings.data_bucket).items() if "erasure/" in key]
    assert len(receipts) == 2
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
        "ticks": "\n".join(map(str, ticks)),
        "rejects": rejects,
        "receipts": "\n".join(receipts),
    }
    found = {name: [value for value in PLANTED if value in text] for name, text in places.items()}
    assert found == {name: [] for name in places}
    # An id that a customer has, personal or not, is what tables of features are joined by.
    stored = {key: texts[key] for key in told_tables} | {"manifest": manifest}
    in_tables = {key: [value for value in SECRETS.values() if value in text] for key, text in stored.items()}
    assert in_tables == {key: [] for key in stored}


def repeat_secrets(make_answer: Any, script: Script, request: Any, fate: str, draw: Any) -> dict[str, Any]:
    found = re.search(r"Zaak (1\d\d)", str(request.messages))
    if found is None:
        return make_answer(script, request, fate, draw)  # type: ignore[no-any-return]
    summary = f"The customer with {INVENTED[int(found[1]) - 100]} asks where a parcel is."
    return {"tool_input": {**GOOD, "summary": summary}, "stop_reason": "tool_use"}


def erase_customer(lab: Lab) -> None:
    services = build_services_from(lab.settings)
    stores = open_erasable_stores(
        services.landing, services.data, services.feature_group, services.customer_feature_group
    )
    subject = make_erasure_subject(CUSTOMER, [], datetime.now(timezone.utc))
    erase_subject_everywhere(subject, stores, services.data.reveal_tombstone_key(), dry_run=False)


def crash_with(error: Exception) -> Any:
    def crash(*_: Any, **__: Any) -> Any:
        raise error

    return crash
