"""The daily update as Dagster runs it: on the local AWS, with the first group's records as the pipeline wrote them."""

import time
from datetime import datetime, timedelta, timezone
from typing import Any

import polars as pl
import pytest

from cs_features.customers import update
from cs_features.customers.serving import CUSTOMERS, build_spine, parse_records
from cs_features.customers.spine import CUT
from cs_features.customers.training import training_set
from cs_features.customers.update import EMBARGO
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


@pytest.mark.usefixtures("cut_now")
def test_customers_are_served_as_training_says_of_the_cut(lab: Lab) -> None:
    lab = lab.with_customers()
    publish_contacts(lab, "c1", "c2", "c1")
    run = update_customers(lab)
    assert run.errors == ""
    checks = ["customers_served", "nobody_vanished", "served_as_trained"]
    assert sorted(name for name, check in run.checks.items() if check.passed) == checks
    told = run.metadata("customer_features")
    assert (told["served"], told["written"], told["kept"]) == (2, 2, 0)
    cut = datetime.fromtimestamp(told["cut"], timezone.utc)
    store = RecordStore(lab.runtime, lab.settings.customer_feature_group, CUSTOMERS)
    served = parse_records(store.read_records(["c1", "c2", "c3"]), cut, EMBARGO)
    trained = training_set(build_spine(pl.Series(["c1", "c2"]), cut), group=lab.settings.feature_group)
    assert served.equals(trained.frame.drop(CUT))
    assert served["contacts_365d"].to_list() == [2, 1]


@pytest.mark.usefixtures("cut_now")
def test_whose_only_contact_was_taken_away_leaves_when_a_person_says_so(lab: Lab) -> None:
    lab = lab.with_customers()
    publish_contacts(lab, *(f"c{number}" for number in range(8)))
    assert update_customers(lab).success
    publish_contacts(lab, "c0")
    stopped = update_customers(lab)
    assert "7 of 8 records (7 withdrawn) would be withdrawn" in stopped.errors
    assert len(serve(lab, *(f"c{number}" for number in range(8)))) == 8
    allowed = update_customers(lab, allow("customer_features"))
    assert allowed.errors == ""
    assert all(check.passed for check in allowed.checks.values())
    assert serve(lab, *(f"c{number}" for number in range(8))).keys() == {"c0"}


def test_without_a_second_group_it_says_so_and_passes(lab: Lab) -> None:
    run = update_customers(lab)
    assert run.errors == ""
    assert run.metadata("customer_features") == {"feature_group": "none"}
    assert {check.description for check in run.checks.values()} == {
        "CS_FEATURES_CUSTOMER_FEATURE_GROUP is empty: no customer's features are served"
    }


def test_a_second_group_that_is_not_there_is_named(lab: Lab) -> None:
    run = update_customers(lab.with_settings(customer_feature_group="forgotten"))
    assert not run.success
    assert "Feature group forgotten" in run.errors
    assert "CS_FEATURES_CUSTOMER_FEATURE_GROUP" in run.errors
