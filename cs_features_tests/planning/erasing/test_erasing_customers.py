"""The second feature group after an erasure: nothing of him there, and of others nothing that counts him."""

from typing import Any

import pytest
from pydantic import SecretStr

from cs_features.customers.plan import TABLE
from cs_features_tests.support.documents import id_of
from cs_features_tests.support.lab import Lab, Run
from cs_features_tests.support.scan import find_places
from cs_features_tests.support.served_customers import cut_now, publish_contacts, serve, settle, update_customers

__all__ = ["cut_now"]
HIM, HER = "kunde-7", "kunde-8"


@pytest.fixture
def served(make_lab: Any, cut_now: None) -> Lab:
    """Two customers with two contacts each, in both groups."""
    lab: Lab = make_lab(tombstone_key=SecretStr("0123456789abcdef" * 4))
    lab = lab.with_customers()
    publish_contacts(lab, HIM, HER, HIM, HER)
    assert update_customers(lab).success
    assert serve(lab, HIM, HER).keys() == {HIM, HER}
    return lab


def erase(lab: Lab, **config: Any) -> dict[str, int]:
    """What was taken out, by place."""
    job = lab.definitions.resolve_job_def("erase_customer")
    ops = {"ops": {"erase_everywhere": {"config": {"dry_run": False, **config}}}}
    run = Run(job.execute_in_process(instance=lab.instance, run_config=ops, raise_on_error=False), lab.instance)
    assert run.errors == ""
    (step,) = [event for event in run.result.all_node_events if event.event_type_value == "STEP_OUTPUT"]
    taken = step.step_output_data.metadata["taken"].records
    return {record.data["place"]: record.data["rows"] for record in taken}


def test_of_an_erased_customer_no_record_no_history_and_no_remembered_contact_is_left(served: Lab) -> None:
    """The features of who had been erased from the first group were served to the churn model for another year."""
    hers = serve(served, HER)
    settle(served)
    counted = erase(served, customer_id=HIM, dry_run=True)
    assert serve(served, HIM, HER).keys() == {HIM, HER}
    taken = erase(served, customer_id=HIM)
    assert taken == counted
    assert (taken["online store of customers"], taken["offline store of customers"], taken[TABLE]) == (1, 1, 1)
    assert taken["customer_contacts"] == 2
    assert serve(served, HIM, HER) == hers
    assert find_places(served, [HIM, id_of(1), id_of(3)]) == []

    again = update_customers(served)
    assert again.errors == ""
    assert all(check.passed for check in again.checks.values())
    assert serve(served, HIM, HER) == hers
    assert find_places(served, [HIM]) == []


def test_of_an_erased_contact_no_record_counts_anything_and_the_customer_is_served_without_it(served: Lab) -> None:
    settle(served)
    taken = erase(served, interaction_ids=[id_of(1)])
    assert taken["online store of customers"] == 1
    assert serve(served, HIM, HER).keys() == {HER}
    again = update_customers(served)
    assert again.errors == ""
    assert all(check.passed for check in again.checks.values())
    assert serve(served, HIM)[HIM]["contacts_365d"] == "1"
