"""The inventories of open rejects and of what lies outside, over all partitions."""

from collections import Counter
from datetime import date, datetime, timedelta, timezone
from typing import Any

import dagster as dg
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from cs_features.local.scripted import Script
from cs_features.monitoring.open_rejects import count_open_rejects
from cs_features.orchestration.checks.inventory import misfiled
from cs_features.partitions import Partition
from cs_features.schemas import Reason
from cs_features_tests.support.documents import DAY, document, jsonl
from cs_features_tests.support.inventory import take_inventory
from cs_features_tests.support.lab import Lab, Run

NEXT_DAY = DAY + timedelta(days=1)
POISON = "ononderbroken storing"
COLUMNS = ["country", "stage", "reason", "redrivable", "documents", "oldest", "newest"]


def said_on(day: date, number: int, text: str = "Waar blijft mijn pakket?", country: str = "NL") -> dict[str, Any]:
    turns = [{"speaker": "customer", "text": f"{text} {number}"}]
    return document(number, country=country, occurred_at=f"{day}T09:30:00Z", turns=turns)


def open_rejects(lab: Lab) -> list[tuple[Any, ...]]:
    body = lab.s3.get_object(Bucket=lab.settings.data_bucket, Key="open_rejects/data.parquet")["Body"].read()
    frame = pl.read_parquet(body)
    assert frame.columns == COLUMNS
    return frame.rows()


def rejects_in_two_countries_and_two_days(lab: Lab) -> None:
    lab.stack.answerer.script = Script(poison=POISON)
    lab.land("NL", DAY, "a.jsonl", jsonl([said_on(DAY, 1), said_on(DAY, 2, POISON), b"broken", b"torn"]))
    lab.land("NL", NEXT_DAY, "a.jsonl", jsonl([said_on(NEXT_DAY, 3), b"broken"]))
    lab.land("BE", DAY, "a.jsonl", jsonl([said_on(DAY, 4, POISON, "BE"), said_on(DAY, 5, country="NL")]))
    for country, day in (("NL", DAY), ("NL", NEXT_DAY), ("BE", DAY)):
        assert lab.process(country, day).success


def assert_told(run: Run, **numbers: int) -> None:
    told = run.metadata("open_rejects")
    assert {name: told[name] for name in told if name.startswith(("open", "redrivable"))} == numbers


def test_rejects_are_counted_by_country_and_reason_over_all_partitions(lab: Lab) -> None:
    """Each partition had its five rejects and nobody minded; together they were a feed that was broken for a week."""
    rejects_in_two_countries_and_two_days(lab)
    run = take_inventory(lab)
    assert run.success, run.errors
    assert open_rejects(lab) == [
        ("NL", "landing", "malformed_json", False, 3, DAY, NEXT_DAY),
        ("BE", "extraction", "request_refused", True, 1, DAY, DAY),
        ("BE", "landing", "country_mismatch", False, 1, DAY, DAY),
        ("NL", "extraction", "request_refused", True, 1, DAY, DAY),
    ]
    assert_told(run, open=6, redrivable=2, open_BE=2, open_NL=4)
    shown = [record.data for record in run.metadata("open_rejects")["by_country_and_reason"].records]
    assert [tuple(each[name] for name in COLUMNS[:5]) for each in shown] == [row[:5] for row in open_rejects(lab)]


def test_an_empty_bucket_has_no_open_rejects(lab: Lab) -> None:
    """The first night of a deployment is no reason for a failed run."""
    run = take_inventory(lab)
    assert run.success, run.errors
    assert open_rejects(lab) == []
    assert_told(run, open=0, redrivable=0)


def test_a_file_beside_a_table_does_not_make_its_rejects_count_twice(lab: Lab) -> None:
    """A copy made before a repair by hand, and the night's figures had doubled."""
    lab.land("NL", DAY, "a.jsonl", jsonl([b"broken", b"torn"]))
    assert lab.process().success
    folder = f"rejected_records/country=NL/date={DAY}"
    lab.s3.put_object(Bucket=lab.settings.data_bucket, Key=f"{folder}/data.parquet.before-repair", Body=b"x")
    lab.s3.put_object(Bucket=lab.settings.data_bucket, Key=f"{folder}/_SUCCESS", Body=b"")
    run = take_inventory(lab)
    assert run.success, run.errors
    assert_told(run, open=2, redrivable=0, open_NL=2)


ONE_PARTITION = st.tuples(
    st.sampled_from(["NL", "BE"]),
    st.dates(date(2026, 1, 1), date(2026, 1, 5)),
    st.lists(st.sampled_from(list(Reason)), max_size=6),
)


@given(st.lists(ONE_PARTITION, max_size=6))
def test_the_sums_are_those_of_the_partitions(given_tables: list[tuple[str, date, list[Reason]]]) -> None:
    """A group that falls out of the grouping is a kind of reject that nobody ever sees."""
    frames = [
        (
            country,
            day,
            pl.DataFrame(
                {
                    "interaction_id": [None] * len(reasons),
                    "stage": [reason.stage for reason in reasons],
                    "reason": [reason.value for reason in reasons],
                    "redrivable": [reason.redrivable for reason in reasons],
                },
                schema={
                    "interaction_id": pl.String(),
                    "stage": pl.String(),
                    "reason": pl.String(),
                    "redrivable": pl.Boolean(),
                },
            ),
        )
        for country, day, reasons in given_tables
    ]
    counted = count_open_rejects(frames)
    assert counted.columns == COLUMNS
    rows = [(country, day, reason) for country, day, reasons in given_tables for reason in reasons]
    documents = Counter((country, reason.stage, reason.value, reason.redrivable) for country, _, reason in rows)
    assert {row[:4]: row[4] for row in counted.iter_rows()} == documents
    assert counted["documents"].to_list() == sorted(counted["documents"], reverse=True)
    for country, _, reason, _, _, oldest, newest in counted.iter_rows():
        days = [day for where, day, why in rows if (where, why.value) == (country, reason)]
        assert (oldest, newest) == (min(days), max(days))


def test_a_table_that_cannot_be_read_does_not_hide_the_rejects_of_all_others(lab: Lab) -> None:
    """One damaged table, and for a week nobody saw how many documents waited in five countries."""
    lab.land("NL", DAY, "a.jsonl", jsonl([b"broken", b"torn"]))
    assert lab.process().success
    tables = lab.resources["data"].tables()
    tables.bucket.put(tables.key("rejected_records", Partition("BE", DAY)), b"no table")
    older = pl.DataFrame({"reason": ["of_a_newer_version", None], "payload": ["x", "y"]})
    tables.write("rejected_records", Partition("FR", DAY), older)
    run = take_inventory(lab)
    assert run.success, run.errors
    assert_told(run, open=4, redrivable=0, open_NL=2, open_FR=2)
    assert run.metadata("open_rejects")["tables_unreadable"] == 1


# --- what lies outside ------------------------------------------------------------------------


def test_misfiled_objects_are_counted_told_by_folder_and_stop_nothing(lab: Lab) -> None:
    """Fault 13: a feed wrote to `country=NL/2026-11-26/` for a week: no run had failed, and no check had an opinion."""
    today = datetime.now(timezone.utc).date()
    lab.land("NL", today, "a.jsonl", jsonl([said_on(today, 1)]))
    bucket = lab.settings.landing_bucket
    for key in (f"NL/date={today}/a.jsonl", f"country=NL/{today}/a.jsonl", f"country=NL/{today}/b.jsonl", "a.jsonl"):
        lab.s3.put_object(Bucket=bucket, Key=f"interactions/{key}", Body=b"{}")
    lab.s3.put_object(Bucket=bucket, Key="interaction/country=NL/a.jsonl", Body=b"{}")
    lab.land("NL", today + timedelta(days=2), "a.jsonl", b"{}")
    lab.land("NL", "2024-12-31", "a.jsonl", b"{}")
    run = take_inventory(lab)
    assert run.success, run.errors
    check = run.checks["misfiled"]
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert [check.metadata[name].value for name in ("objects", "limit", "folders")] == [6, 0, 5]
    folders = {
        record.data["folder"]: record.data["objects"] for record in check.metadata["first_folders"].value.records
    }
    assert folders[f"interactions/country=NL/{today}"] == 2
    assert "a.jsonl" not in str(check.metadata)
    shown = run.metadata("misfiled_objects")
    assert (shown["objects"], shown["folders_beside_interactions"]) == (6, ["interaction"])


def test_a_bucket_in_order_has_nothing_misfiled(lab: Lab) -> None:
    """A check that is never green is not read."""
    lab.land("NL", datetime.now(timezone.utc).date(), "a.jsonl", jsonl([said_on(DAY, 1)]))
    lab.s3.put_object(Bucket=lab.settings.landing_bucket, Key="interactions/_SUCCESS", Body=b"done")
    assert take_inventory(lab).checks["misfiled"].passed


def test_at_most_twenty_folders_are_shown() -> None:
    frame = pl.DataFrame({"folder": [f"f{n}" for n in range(50)], "objects": [1] * 50})
    result = misfiled(misfiled_objects=frame)
    assert len(result.metadata["first_folders"].value.records) == 20
    assert result.metadata["objects"].value == 50
