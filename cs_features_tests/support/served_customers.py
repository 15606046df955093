"""The daily update on the local AWS: contacts that the pipeline publishes, the update's job, what is served then."""

import time
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from cs_features.customers import update
from cs_features.customers.serving import CUSTOMERS
from cs_features.publishing.records import RecordStore
from cs_features_tests.support.documents import document, jsonl
from cs_features_tests.support.lab import Lab, Run
from cs_features_tests.support.publications import as_dict

DAY = datetime.now(timezone.utc).date() - timedelta(days=10)


def update_customers(lab: Lab, run_config: dict[str, Any] | None = None) -> Run:
    job = lab.definitions.resolve_job_def("update_customers")
    result = job.execute_in_process(instance=lab.instance, raise_on_error=False, run_config=run_config)
    return Run(result, lab.instance)


def allow(asset: str) -> dict[str, Any]:
    return {"ops": {asset: {"config": {"allow_deletions": True}}}}


def settle(lab: Lab) -> None:
    """The offline store tells; and S3's clock, which has whole seconds, comes to a later one."""
    lab.stack.local.feature_store.flush()
    time.sleep(1.1)


def publish_contacts(lab: Lab, *customers: str) -> None:
    """The landing file of the day as it is now, one contact each."""
    landed = [
        document(number, customer_id=customer, occurred_at=f"{DAY}T09:30:00+01:00")
        for number, customer in enumerate(customers, start=1)
    ]
    lab.land("NL", DAY, "a.jsonl", jsonl(landed))
    assert lab.process(day=DAY, run_config=allow("feature_store")).success
    settle(lab)


@pytest.fixture
def cut_now(monkeypatch: pytest.MonkeyPatch) -> None:
    """The local offline store tells at once what AWS's tells in the night, so that the cut may be now."""
    monkeypatch.setattr(update, "find_cut", lambda now: now)


def serve(lab: Lab, *customers: str) -> dict[str, dict[str, str]]:
    """What is online, by customer."""
    store = RecordStore(lab.runtime, lab.settings.customer_feature_group, CUSTOMERS)
    return {key: as_dict(record) for key, record in store.read_records(list(customers)).items()}
