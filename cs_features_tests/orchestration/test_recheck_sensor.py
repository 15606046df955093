"""The inventory that is taken again: when all that was found has been run, a few times a day, and not before."""

from datetime import datetime, timedelta, timezone

import dagster as dg
import pytest
from dagster._core.definitions.sensor_definition import SensorExecutionData

from cs_features.monitoring.findings import Differences, name_documents_finding, write_reconciled_differences
from cs_features.orchestration.sensors.recheck import (
    RECHECKS_A_DAY,
    Cursor,
    judge_recheck,
    read_cursor,
    recheck_sensor,
)
from cs_features_tests.support.documents import document, jsonl
from cs_features_tests.support.inventory import take_inventory
from cs_features_tests.support.lab import Lab
from cs_features_tests.support.landing_sensor import TODAY

NOON = datetime(2026, 11, 24, 12, tzinfo=timezone.utc)
TODAY_THEN = NOON.date()
NL, BE = "NL|2026-11-24", "BE|2026-11-24"
FOUND = Differences("night", name_documents_finding([NL, BE]))
LATER = NOON + timedelta(minutes=5)


def test_what_was_found_and_has_been_run_since_is_checked_again() -> None:
    """Fault 49: `reconciled` stayed red until the next morning after it had mended itself at five."""
    assert judge_recheck(FOUND, {NL: LATER, BE: LATER}, NOON, Cursor(), TODAY_THEN).is_due


@pytest.mark.parametrize(
    "succeeded", [{}, {NL: LATER}, {NL: LATER, BE: NOON - timedelta(minutes=1)}], ids=["none", "one", "one before"]
)
def test_nothing_is_checked_again_before_all_of_it_has_been_run(succeeded: dict[str, datetime]) -> None:
    """Taken after each of two hundred repairs, the inventory would have read every document two hundred times."""
    verdict = judge_recheck(FOUND, succeeded, NOON, Cursor(), TODAY_THEN)
    assert not verdict.is_due
    assert "have not been run well since" in verdict.reason


def test_a_finding_is_checked_again_once_and_a_day_has_few_of_them() -> None:
    """A partition that no run mends was found, run and found again, all day long."""
    succeeded = {NL: LATER, BE: LATER}
    assert not judge_recheck(FOUND, succeeded, NOON, Cursor(found_by="night"), TODAY_THEN).is_due
    spent = Cursor(found_by="evening", day=TODAY_THEN, rechecks=RECHECKS_A_DAY)
    assert not judge_recheck(FOUND, succeeded, NOON, spent, TODAY_THEN).is_due
    assert judge_recheck(FOUND, succeeded, NOON, spent, TODAY_THEN + timedelta(days=1)).is_due


def test_an_inventory_that_found_nothing_is_not_taken_again() -> None:
    assert not judge_recheck(Differences("night"), {}, NOON, Cursor(), TODAY_THEN).is_due
    assert not judge_recheck(FOUND, {NL: LATER, BE: LATER}, None, Cursor(), TODAY_THEN).is_due


@pytest.mark.parametrize("text", [None, "", "{", "[]", '{"day": "yesterday"}'])
def test_a_cursor_that_cannot_be_read_is_a_fresh_one(text: str | None) -> None:
    assert read_cursor(text) == Cursor()


def tick(lab: Lab, cursor: str | None = None) -> SensorExecutionData:
    with dg.build_sensor_context(
        instance=lab.instance, cursor=cursor, definitions=lab.definitions, resources=lab.resources
    ) as context:
        return recheck_sensor.evaluate_tick(context)


def test_a_partition_that_lost_a_row_is_found_run_and_green_on_the_same_day(lab: Lab) -> None:
    """Fault 49, with the real inventory: red, a repair, and green without a person and without another night."""
    said = document(1, occurred_at=f"{TODAY}T00:00:00Z")
    lab.land("NL", TODAY, "a.jsonl", jsonl([said]))
    assert lab.process("NL", TODAY).success
    lab.overwrite("validated_features", lambda it: it.clear(), "NL", TODAY)
    assert not take_inventory(lab).checks["reconciled"].passed
    assert "1 of 1 partitions" in (tick(lab).skip_message or "")
    assert lab.process("NL", TODAY).success
    data = tick(lab)
    assert len(data.run_requests) == 1
    assert tick(lab, data.cursor).run_requests == []
    assert take_inventory(lab).checks["reconciled"].passed
    assert tick(lab, data.cursor).run_requests == []


def test_a_finding_about_what_is_no_partition_stops_nothing(lab: Lab) -> None:
    write_reconciled_differences(
        lab.resources["data"].tables(), Differences("night", name_documents_finding(["nonsense"]))
    )
    assert "found nothing" in (tick(lab).skip_message or "")


def test_a_bucket_that_refuses_is_told_as_by_the_landing_sensor(lab: Lab) -> None:
    refused = tick(lab.with_settings(data_bucket="no-such-bucket"))
    assert (refused.skip_message or "").startswith("AWS refused.")
