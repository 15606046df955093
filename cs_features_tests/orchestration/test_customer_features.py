"""The daily update as Dagster runs it: on the local AWS, with the first group's records as the pipeline wrote them."""

from datetime import datetime, timezone

import polars as pl
import pytest

from cs_features.customers import online
from cs_features.customers.decision import Moment
from cs_features.customers.online import read_served_features
from cs_features.customers.serving import EMBARGO, build_spine
from cs_features.customers.spine import CUT
from cs_features.customers.training import training_set
from cs_features.orchestration.assets.customer_features import describe_cut
from cs_features_tests.support.lab import Lab
from cs_features_tests.support.served_customers import allow, cut_now, publish_contacts, serve, update_customers

__all__ = ["cut_now"]


def test_an_update_says_which_contacts_count() -> None:
    """After the demo it serves nobody, and its engineer looked for the customers of a minute ago."""
    cut = datetime(2026, 11, 27, 2, tzinfo=timezone.utc)
    said = describe_cut(Moment(cut, cut, EMBARGO))
    assert "before 2026-11-26 02:00 UTC" in said
    assert "told of by 2026-11-27 02:00; later ones at a later update" in said


@pytest.mark.usefixtures("cut_now")
def test_customers_are_served_as_training_says_of_the_cut(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab = lab.with_customers()
    publish_contacts(lab, "c1", "c2", "c1")
    run = update_customers(lab)
    assert run.errors == ""
    checks = ["customers_served", "nobody_vanished", "served_as_trained"]
    assert sorted(name for name, check in run.checks.items() if check.passed) == checks
    told = run.metadata("customer_features")
    assert (told["served"], told["written"], told["kept"]) == (2, 2, 0)
    cut = datetime.fromtimestamp(told["cut"], timezone.utc)
    monkeypatch.setattr(online, "find_cut", lambda _: cut)
    served = read_served_features(["c1", "c2", "c3"], group=lab.settings.customer_feature_group)
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


EVASIVE = [
    "=cmd|' /C calc'!A0",
    "../../state.json",
    "a b",
    "100%",
    "c?1&x=2#y",
    "café",
    "cafe\u0301",
    "\U0001f600",
    "x" * 256,
]


@pytest.mark.usefixtures("cut_now")
def test_customers_of_any_name_are_served_and_withdrawn(lab: Lab) -> None:
    """An id is in an address when a record is deleted, and in JSON when it is written and read."""
    lab = lab.with_customers()
    publish_contacts(lab, "c0", *EVASIVE)
    run = update_customers(lab)
    assert run.errors == ""
    assert all(check.passed for check in run.checks.values())
    assert serve(lab, *EVASIVE).keys() == set(EVASIVE)
    publish_contacts(lab, "c0")
    assert update_customers(lab, allow("customer_features")).errors == ""
    assert serve(lab, "c0", *EVASIVE).keys() == {"c0"}


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
