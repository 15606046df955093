"""The asset checks in real runs: each blocks the feature store when, and only when, its guard is violated.

`day` has its documents read and answered once; each test runs the steps after that again, which write
both doors anew, with the gate or the landing zone tampered with.
"""

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import Any

import dagster as dg
import polars as pl
import pytest

from cs_features.definitions import build_defs
from cs_features.local.scripted import Script
from cs_features.monitoring.conservation import Balance
from cs_features.orchestration import checks, verdicts
from cs_features.orchestration.verdicts import judge_rows_once
from cs_features.partitions import Partition
from cs_features.services import build_services_from
from cs_features.short_names import shorten_interaction_id
from cs_features.validation.gate import Verdict, judge_features, split_documents
from cs_features_tests.support.documents import DAY, document, gz, id_of, jsonl
from cs_features_tests.support.lab import AwsAndModel, Lab, Run

GATE = ["validated_features", "rejected_records", "feature_store"]
BLOCKING = ["conservation", "one_door", "schema", "extraction_failures"]
Tampering = Callable[[pl.DataFrame, pl.DataFrame], tuple[pl.DataFrame, pl.DataFrame]]


def land_a_day(lab: Lab, day: date = DAY) -> None:
    """Fifteen documents: twelve good, two bad, one delivered twice."""
    at = f"{day}T09:30:00Z"
    good = [document(n, occurred_at=at) for n in range(12)]
    lab.land("NL", day, "a.jsonl", jsonl([*good[:8], document(20, occurred_at=at, channel="fax"), good[0]]))
    lab.land("NL", day, "b.jsonl.gz", gz(jsonl([*good[8:], b"broken"])))


@pytest.fixture(scope="module")
def day(stack: AwsAndModel) -> Iterator[Lab]:
    lab = Lab(stack)
    land_a_day(lab)
    assert lab.process(only=["raw_interactions", "llm_extractions"]).success
    yield lab
    lab.instance.dispose()


@pytest.fixture
def gate(day: Lab, monkeypatch: pytest.MonkeyPatch) -> Callable[[Tampering], Run]:
    """Run the steps from the gate on, what the gate decides being tampered with."""

    def run(tampering: Tampering) -> Run:
        monkeypatch.setattr(
            "cs_features.orchestration.assets.validated_features.split_documents",
            lambda *arguments: tampering(*split_documents(*arguments)),
        )
        return day.process(only=GATE)

    return run


def list_verdicts(run: Run) -> dict[str, bool]:
    return {name: run.checks[name].passed for name in BLOCKING if name in run.checks}


def assert_blocked(run: Run, by: str) -> None:
    assert not run.success
    assert list_verdicts(run) == {name: name != by for name in BLOCKING}
    assert run.checks[by].severity == dg.AssetCheckSeverity.ERROR
    assert run.checks[by].partition == Partition("NL", DAY).key
    assert "feature_store" not in run.materialized


def value(run: Run, check: str, name: str) -> Any:
    return run.checks[check].metadata[name].value


@pytest.mark.parametrize(
    ("column", "wrong"),
    [("urgency_score", 7.0), ("sentiment", "angry"), ("summary", "write to jan@example.com"), ("country", "BE")],
)
def test_a_row_that_breaks_the_schema_blocks_the_feature_store(
    gate: Callable[[Tampering], Run], column: str, wrong: Any
) -> None:
    """Whatever goes wrong in the gate itself, a value outside its rules does not reach training data."""

    def tampering(validated: pl.DataFrame, rejected: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        first = pl.int_range(pl.len()) == 0
        return validated.with_columns(pl.when(first).then(pl.lit(wrong)).otherwise(column).alias(column)), rejected

    run = gate(tampering)
    assert_blocked(run, "schema")
    assert (value(run, "schema", "rows"), value(run, "schema", "rows_failed")) == (12, 1)
    (case,) = value(run, "schema", "failure_cases").records
    assert (case.data["index"], case.data["column"]) == (0, column)
    assert "jan@" not in str(case.data)


@pytest.mark.parametrize(
    ("tampering", "missing"),
    [
        pytest.param(lambda validated, rejected: (validated[1:], rejected), 1, id="a validated row is gone"),
        pytest.param(lambda validated, rejected: (validated, rejected[:-1]), 1, id="a rejected row is gone"),
        pytest.param(
            lambda validated, rejected: (validated, pl.concat([rejected, rejected[:1]])),
            -1,
            id="a rejected row is twice",
        ),
    ],
)
def test_a_document_that_leaves_by_no_door_or_twice_blocks_the_feature_store(
    gate: Callable[[Tampering], Run], tampering: Tampering, missing: int
) -> None:
    """A batch failure once dropped four hours of data, and every step reported success."""
    run = gate(tampering)
    assert_blocked(run, "conservation")
    assert value(run, "conservation", "missing") == missing
    assert f"is off by {missing}" in run.checks["conservation"].description


def test_an_interaction_behind_both_doors_blocks_the_feature_store(gate: Callable[[Tampering], Run]) -> None:
    """The sum is right and the interaction is both a feature and a dead letter: a redrive would write it twice."""

    def tampering(validated: pl.DataFrame, rejected: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        return validated, rejected.with_columns(interaction_id=pl.lit(validated["interaction_id"][0]))

    run = gate(tampering)
    assert_blocked(run, "one_door")
    assert value(run, "one_door", "in_both") == 1
    assert value(run, "one_door", "interaction_ids") == [shorten_interaction_id(id_of(0))]


def test_a_check_that_crashes_blocks_too_and_is_no_verdict(day: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug in a check recorded as "bad data" sent people to look for it in the documents."""

    def crash(*_: Any) -> None:
        raise ZeroDivisionError("a bug in the check")

    monkeypatch.setattr(checks.features, "judge_rows_once", crash)
    run = day.process(only=GATE)
    assert not run.success
    assert "schema" not in run.checks
    assert {"conservation", "one_door", "extraction_failures"} <= run.checks.keys(), "it took its neighbours' verdicts"
    assert "a bug in the check" not in run.errors, "it may quote a row"
    assert "crash" in run.errors, "the place, where it stands"
    assert "feature_store" not in run.materialized


def test_a_run_judges_the_same_rows_once_and_other_rows_always(day: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check and the publication each went through all rules of all rows, of which a run has new ones for a few."""
    judged: list[int] = []

    def note(validated: pl.DataFrame, *rules: Any) -> Verdict:
        judged.append(validated.height)
        return judge_features(validated, *rules)

    monkeypatch.setattr(verdicts, "judge_features", note)
    assert day.process(only=GATE).success
    assert judged == [12]

    rows, model = day.table("validated_features"), build_services_from(day.settings).model
    assert judge_rows_once("a run", rows, model, Partition("NL", DAY)).passed
    broken = rows.with_columns(urgency_score=pl.lit(7.0))
    assert not judge_rows_once("a run", broken, model, Partition("NL", DAY)).passed


def test_every_check_of_every_partition_is_recorded_under_its_partition(stack: AwsAndModel) -> None:
    """In a run of a range, Dagster writes one evaluation without a partition and leaves every partition's PLANNED
    for ever: the blocking checks had never been seen to pass. One partition a run does not do that."""
    lab = Lab(stack)
    days = [DAY, DAY + timedelta(days=1)]
    for each in days:
        land_a_day(lab, each)
    assert all(lab.process(day=each).success for each in days)
    of_partitions = ("raw_interactions", "llm_extractions", "validated_features", "rejected_records")
    keys = [key for step in checks.CHECKS for key in step.check_keys if key.asset_key.path[0] in of_partitions]
    recorded = {
        (info.check_key.name, info.partition_key, info.latest_execution_status.value)
        for info in lab.instance.event_log_storage.get_asset_check_partition_info(keys)
    }
    failed = {"rejected_share", "quality_floor"}  # 3 of 15; nobody has measured
    assert recorded == {
        (key.name, str(Partition("NL", each).key), "FAILED" if key.name in failed else "SUCCEEDED")
        for key in keys
        for each in days
    }
    assert len(recorded) == 20


def test_every_check_says_what_it_holds_to_and_what_to_do() -> None:
    """A check was renamed, and its mail said from then on what the mails of all others say."""
    graph = build_defs().resolve_asset_graph()
    specs = [graph.get_check_spec(key) for key in graph.asset_check_keys]
    assert all(len(checks.find_rule(spec.name)) > 20 for spec in specs)
    advice = [checks.advice_of(spec.name) for spec in specs]
    assert len({*advice, checks.advice_of("a check of tomorrow")}) == len(specs) + 1


def test_two_checks_of_one_name_are_refused_when_they_are_written() -> None:
    """Advice is found by name: the mail about the one would have told what to do about the other."""
    before = [key for step in checks.registry.build_check_steps() for key in step.check_keys]
    register = checks.registry.register_check("a", name="drift", rule="r", meaning="m", advice="a")
    with pytest.raises(ValueError, match="two checks are named drift"):
        register(lambda a: dg.AssetCheckResult(True))
    assert before == [key for step in checks.registry.build_check_steps() for key in step.check_keys]


# --- conservation counts from S3 --------------------------------------------------------------


def test_a_file_that_raw_missed_is_not_excused(day: Lab) -> None:
    """The count is taken from S3 and not from what the first step claims: a lost file is what it is for."""
    honest = day.table_bytes("raw_interactions")
    try:
        day.overwrite(
            "raw_interactions",
            lambda raw: raw.filter(pl.col("source_uri").str.ends_with("a.jsonl")).with_columns(
                pl.col("listed_at") + timedelta(seconds=5)
            ),
        )
        run = day.process(only=GATE)
    finally:
        day.overwrite("raw_interactions", lambda _: pl.read_parquet(honest, hive_partitioning=False))
    assert not run.success
    assert "feature_store" not in run.materialized
    assert value(run, "conservation", "missing") == 5
    assert value(run, "conservation", "objects_landed_since") == 0


def test_a_file_that_landed_after_the_reading_is_excused_and_told(lab: Lab) -> None:
    """Files land all day: a run is not at fault for what came while it was asking the model."""
    land_a_day(lab)
    lab.process(only=["raw_interactions", "llm_extractions"])
    lab.land("NL", DAY, "late.jsonl", jsonl([document(30), document(31)]))
    run = lab.process(only=GATE)
    assert run.success
    assert run.checks["conservation"].passed
    assert [value(run, "conservation", name) for name in ("landed", "missing", "objects_landed_since")] == [15, 0, 1]


def test_a_file_that_landed_after_the_reading_of_an_empty_folder_is_excused(lab: Lab) -> None:
    """The first file of the day landed while the run for an emptied folder went on: that run failed as if it
    had lost documents."""
    lab.process(only=["raw_interactions", "llm_extractions"])
    lab.land("NL", DAY, "late.jsonl", jsonl([document(30), document(31)]))
    run = lab.process(only=GATE)
    assert run.checks["conservation"].passed
    assert value(run, "conservation", "objects_landed_since") == 1


def test_a_file_that_was_replaced_after_the_reading_is_published_as_it_was_read(lab: Lab) -> None:
    """Fault 23: a file that is rewritten every minute blocked each of its runs, and nothing was ever online. The sensor
    asks for the partition again."""
    land_a_day(lab)
    lab.process(only=["raw_interactions", "llm_extractions"])
    lab.land("NL", DAY, "a.jsonl", jsonl([document(0)]))
    run = lab.process(only=GATE)
    assert run.success, run.errors
    assert [value(run, "conservation", name) for name in ("landed", "missing", "objects_replaced_since")] == [15, 0, 1]
    assert "replaced or deleted after they were read" in run.checks["conservation"].description
    assert lab.online(id_of(7)) is not None


def test_a_file_that_was_uploaded_in_parts_during_the_run_blocks_nothing(lab: Lab) -> None:
    """Fault 22: S3 dates it when the upload began, before the listing that could not show it."""
    land_a_day(lab)
    bucket, key = lab.settings.landing_bucket, f"interactions/country=NL/date={DAY}/parts.jsonl"
    upload = lab.s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    lab.process(only=["raw_interactions", "llm_extractions"])
    part = lab.s3.upload_part(
        Bucket=bucket, Key=key, UploadId=upload, PartNumber=1, Body=jsonl([document(30), document(31)])
    )
    parts = {"Parts": [{"ETag": part["ETag"], "PartNumber": 1}]}
    lab.s3.complete_multipart_upload(Bucket=bucket, Key=key, UploadId=upload, MultipartUpload=parts)
    run = lab.process(only=GATE)
    assert run.success, run.errors
    assert [value(run, "conservation", name) for name in ("landed", "missing", "objects_landed_since")] == [15, 0, 1]


def test_a_balance_reads_as_the_sum_that_it_is() -> None:
    assert str(Balance(6, 4, 1, 1)) == "6 landed = 4 validated + 1 rejected + 1 duplicates"
    assert str(Balance(6, 4, 0, 1)) == "6 landed = 4 validated + 0 rejected + 1 duplicates is off by 1"


# --- failures of the extraction ---------------------------------------------------------------


def test_an_account_that_is_refused_publishes_nothing_and_withdraws_nothing(lab: Lab) -> None:
    """A rerun whose every call is answered 400 "Operation not allowed" ended in green, with no record left online
    (fault 1). Whether the extraction stops the run or this check does, what is served stays."""
    lab.land("NL", DAY, "a.jsonl", jsonl([document(n) for n in range(6)]))
    assert lab.process().success
    unanswered = lab.table("llm_extractions").with_columns(
        status=pl.lit("failed"), error=pl.lit("request_refused"), error_detail=pl.lit("400")
    )
    lab.overwrite("llm_extractions", lambda _: unanswered)
    run = lab.process(only=GATE)
    assert not run.success
    assert not run.checks["extraction_failures"].passed
    assert value(run, "extraction_failures", "request_refused") == 6
    assert "feature_store" not in run.materialized
    assert all(lab.online(id_of(n)) is not None for n in range(6))


def test_steps_run_by_hand_after_a_failed_extraction_publish_no_features_of_the_old_text(lab: Lab) -> None:
    """Version 1 was processed, correction 2 landed, its run failed in llm_extractions, and somebody materialized the
    rest: what was said of the old text was published under the new one, all checks in green (fault 6)."""
    lab.land("NL", DAY, "a.jsonl", jsonl([document(0), document(1)]))
    assert lab.process().success
    corrected = document(0, turns=[{"speaker": "customer", "text": "All is well now, thank you."}])
    lab.land("NL", DAY, "a.jsonl", jsonl([corrected, document(1)]))
    assert lab.process(only=["raw_interactions"]).success
    assert lab.process(only=GATE).success
    assert lab.table("validated_features")["interaction_id"].to_list() == [id_of(1)]
    (rejected,) = lab.table("rejected_records").to_dicts()
    assert (rejected["interaction_id"], rejected["reason"]) == (id_of(0), "not_extracted")
    assert "materialize llm_extractions" in rejected["detail"]
    assert lab.process().success
    assert set(lab.table("validated_features")["interaction_id"]) == {id_of(0), id_of(1)}


# --- the checks that warn ---------------------------------------------------------------------


def test_the_checks_that_warn_do_not_warn_about_a_good_day_and_never_block(lab: Lab) -> None:
    """A warning on every good day is read on none."""
    lab.land("NL", DAY, "a.jsonl", jsonl([document(n) for n in range(12)]))
    run = lab.process()
    assert run.success
    # Nobody has measured this prompt; test_quality_floor.py has the day on which somebody has.
    assert {name for name, check in run.checks.items() if not check.passed} == {"quality_floor"}


def test_too_many_rejections_warn_and_let_the_good_rows_pass(lab: Lab) -> None:
    """A country's exporter breaks: its good rows are still features, and somebody is told."""
    lab.stack.answerer.script = Script(poison="gif")
    lab.land("NL", DAY, "a.jsonl", jsonl([document(0), document(1, turns=[{"speaker": "customer", "text": "gif"}])]))
    run = lab.process()
    assert run.success
    check = run.checks["rejected_share"]
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert value(run, "rejected_share", "share") == 0.5
    assert lab.online(id_of(0)) is not None


def test_costs_cache_and_latency_out_of_bounds_warn_and_let_the_rows_pass(
    day: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None of the three makes a feature wrong: they are for a human to look at, in the same run."""
    monkeypatch.setattr(checks.extraction, "MAX_COST_PER_INTERACTION_USD", 1e-9)
    monkeypatch.setattr(checks.extraction, "MIN_CACHE_SHARE", 1.1)
    monkeypatch.setattr(checks.extraction, "MAX_LATENCY_P95_MS", -1)
    run = day.process(only=["llm_extractions", *GATE])
    assert run.success
    assert "feature_store" in run.materialized
    warned = {name: check.severity for name, check in run.checks.items() if not check.passed}
    names = ("cost_per_interaction", "prompt_cache_hits", "latency_p95", "rejected_share")
    assert warned == dict.fromkeys(names, dg.AssetCheckSeverity.WARN)
