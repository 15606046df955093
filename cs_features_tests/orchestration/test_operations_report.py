"""The daily page end to end: real runs on the local AWS, the instance's failures, the bucket, the topic."""

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from cs_features.local.scripted import Script
from cs_features.orchestration.failures import lasting_failure
from cs_features_tests.support.documents import document, jsonl
from cs_features_tests.support.failed_runs import fail_run
from cs_features_tests.support.inventory import take_inventory
from cs_features_tests.support.lab import Lab, Run

SECRET = "Mijn man Pieter is overleden"
YESTERDAY = datetime.now(timezone.utc).date() - timedelta(days=1)


def make_report(lab: Lab) -> Run:
    job = lab.definitions.resolve_job_def("report_operations")
    return Run(job.execute_in_process(instance=lab.instance, raise_on_error=False), lab.instance)


def read_page(lab: Lab) -> str:
    key = "operations_report/report.html"
    return lab.s3.get_object(Bucket=lab.settings.data_bucket, Key=key)["Body"].read().decode()


def said_yesterday(number: int, text: str = "Waar blijft mijn pakket?") -> dict[str, Any]:
    turns = [{"speaker": "customer", "text": f"{text} {number}"}]
    return document(number, occurred_at=f"{YESTERDAY}T09:30:00Z", turns=turns)


def first_line(run: Run) -> str:
    return str(run.metadata("operations_report")["needs_you"]).splitlines()[0]


def test_the_page_of_a_real_day_tells_its_numbers_and_no_customers_word(lab: Lab) -> None:
    lab.stack.answerer.script = Script()
    lab.land("NL", YESTERDAY, "a.jsonl", jsonl([*(said_yesterday(n, SECRET) for n in range(4)), b"broken"]))
    assert lab.process("NL", YESTERDAY).success
    assert take_inventory(lab).success
    run = make_report(lab)
    assert run.success, run.errors
    page, told = read_page(lab), run.metadata("operations_report")
    assert "5 landed = 4 validated + 1 rejected + 0 exact duplicates" in page
    assert told["landed_NL"] == 5
    assert told["validated_NL"] == 4
    assert told["page_bytes"] == len(page.encode())
    assert "Pieter" not in page + str(told)


def test_a_run_that_failed_is_line_one_until_it_is_mended(lab: Lab) -> None:
    assert take_inventory(lab).success
    tags = {"dagster/partition": f"NL|{YESTERDAY}", "dagster/partition/date": str(YESTERDAY)}
    brake = lasting_failure(f"NL {YESTERDAY}: 15 of 20 records would be withdrawn", cause="withdrawals stopped")
    fail_run(lab.instance, brake, tags)
    line = first_line(make_report(lab))
    assert line.startswith("1. withdrawals stopped, NL: ")
    assert "15 of 20 records would be withdrawn" in line
    lab.land("NL", YESTERDAY, "a.jsonl", jsonl([said_yesterday(1)]))
    assert lab.process("NL", YESTERDAY).success
    assert "withdrawals stopped" not in read_page_after(lab)


def read_page_after(lab: Lab) -> str:
    assert make_report(lab).success
    return read_page(lab)


def test_a_check_that_failed_in_a_run_stands_on_the_page(lab: Lab) -> None:
    lab.land("NL", YESTERDAY, "a.jsonl", jsonl([said_yesterday(1), *[b"broken %d" % n for n in range(5)]]))
    assert lab.process("NL", YESTERDAY).success
    assert take_inventory(lab).success
    page = read_page_after(lab)
    assert "rejected_share" in page
    assert f"cs_features.cli.why --rejects &#39;NL|{YESTERDAY}&#39;" in page


def test_a_misfiled_object_stands_on_the_page(lab: Lab) -> None:
    lab.s3.put_object(Bucket=lab.settings.landing_bucket, Key="interactions/NL/a.jsonl", Body=b"{}")
    assert take_inventory(lab).success
    assert "misfiled" in read_page_after(lab)


def test_before_the_first_inventory_the_page_says_what_is_unknown(lab: Lab) -> None:
    run = make_report(lab)
    assert run.success, run.errors
    assert "is unknown: never made" in first_line(run)
    assert "The law is unknown" in read_page(lab)


def test_the_mail_goes_out_once_a_day(make_lab: Callable[..., Lab], monkeypatch: pytest.MonkeyPatch) -> None:
    published: list[dict[str, str]] = []

    class Client:
        def publish(self, **message: str) -> None:
            published.append(message)

    monkeypatch.setattr("cs_features.services.Alerts.client", lambda self: Client())
    lab = make_lab(alerts_topic_arn="arn:aws:sns:eu-central-1:123456789012:morning")
    assert make_report(lab).success
    assert make_report(lab).success
    (message,) = published
    assert message["Subject"].startswith(f"cs-features {datetime.now(timezone.utc).date()}: ")
    assert "is unknown: never made" in message["Message"].splitlines()[0]
