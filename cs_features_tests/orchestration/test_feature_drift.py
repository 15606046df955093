"""The asset, its check and its schedule, through Dagster: from the days' tables to a warning with a picture."""

from datetime import date, datetime, timedelta, timezone

import dagster as dg
import polars as pl
import pytest

from cs_features.monitoring import drift
from cs_features.monitoring.distributions import FEATURES, MIX
from cs_features.orchestration.jobs import weekly_drift
from cs_features.orchestration.partitions import interaction_partitions, week_partitions
from cs_features.partitions import Partition, Week
from cs_features_tests.support.customers import FIRST, MONDAY, WEEK, customers, moved
from cs_features_tests.support.documents import document, jsonl
from cs_features_tests.support.lab import Lab, Run
from cs_features_tests.support.pictures import picture

COUNTRIES = ("BE", "ES", "FR", "NL", "PL")
NL = Week("NL", MONDAY)


@pytest.fixture(autouse=True)
def few_rearrangements(monkeypatch: pytest.MonkeyPatch) -> None:
    """How exact its p-values are is the business of `monitoring/test_drift.py`."""
    monkeypatch.setattr(drift, "REARRANGEMENTS", 1_999)


def watch(lab: Lab, week: Week = NL) -> Run:
    job = lab.definitions.resolve_job_def("watch_drift")
    return Run(
        job.execute_in_process(partition_key=week.key, instance=lab.instance, raise_on_error=False), lab.instance
    )


def hold(lab: Lab, country: str, *frames: pl.DataFrame, but: frozenset[date] = frozenset()) -> None:
    """The days' tables of validated_features, as the flow leaves them."""
    tables = lab.resources["data"].tables()
    rows = pl.concat(frames).with_columns(day=pl.col("event_time").dt.date(), country=pl.lit(country))
    for (day,), frame in rows.group_by("day"):
        if day not in but:
            tables.write("validated_features", Partition(country, day), frame.drop("day"))


def verdicts(lab: Lab, week: Week = NL) -> pl.DataFrame:
    frame = lab.resources["data"].tables().read("feature_drift", week)
    assert frame is not None
    return frame


def test_a_week_that_drifted_warns_with_a_picture_and_lets_the_run_through(lab: Lab) -> None:
    """The prompt was edited on a Sunday evening, and every rule of the schema still held on Monday."""
    week, baseline = customers(1, spread=0.05, shares=moved(WEEK, 20))
    hold(lab, "NL", week.with_columns(prompt_version=pl.lit("3f2a")), baseline)
    run = watch(lab)
    assert run.success, run.errors
    check = run.checks["drift"]
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert check.asset_key == dg.AssetKey("feature_drift")
    assert check.partition == NL.key
    assert check.description.startswith("sentiment ")
    assert check.description.endswith(" %; new: prompt_version 3f2a")
    assert picture(check.metadata["distributions"].value).width > 700
    told = run.metadata("feature_drift")
    assert picture(told["distributions"]).width > 700
    assert (told["week_rows"], told["baseline_rows"]) == (week.height, baseline.height)
    assert [record.data["feature"] for record in told["verdicts"].records] == [*FEATURES, *MIX]
    assert (
        told["dagster/uri"] == f"s3://{lab.settings.data_bucket}/feature_drift/country=NL/week=2026-11-16/data.parquet"
    )
    assert dict(verdicts(lab).schema) == dict(drift.VERDICTS)
    recorded = lab.instance.event_log_storage.get_asset_check_partition_info([check.asset_check_key])
    assert [(info.partition_key, info.latest_execution_status.value) for info in recorded] == [(NL.key, "FAILED")]


def test_a_steady_week_passes_though_days_are_missing(lab: Lab) -> None:
    """A holiday has no documents and a day that failed no table: the week is compared all the same."""
    week, baseline = customers(2)
    gone = frozenset({FIRST, FIRST + timedelta(days=20), MONDAY + timedelta(days=6)})
    hold(lab, "NL", week, baseline, but=gone)
    hold(lab, "BE", *customers(3, shares=moved(WEEK, 30)))
    run = watch(lab)
    assert run.checks["drift"].passed, run.errors
    assert run.checks["drift"].description.startswith("Steady, ")
    assert verdicts(lab)["week_rows"][0] == week.filter(pl.col("event_time").dt.weekday() < 7).height


def test_a_mix_that_changed_alone_is_told_and_is_no_warning(lab: Lab) -> None:
    """Customers took to mail. It is worth a line, and no prompt is to blame."""
    week, baseline = customers(4)
    hold(lab, "NL", week.with_columns(channel=pl.lit("email")), baseline)
    check = watch(lab).checks["drift"]
    assert check.passed
    assert "the mix: channel " in check.description


def test_the_first_week_of_a_deployment_passes_and_says_why(lab: Lab) -> None:
    """Landed and processed for real: a few rows, no baseline. Red on the first Monday would be red for eight weeks."""
    day = date(2025, 3, 4)
    lab.land("NL", day, "a.jsonl", jsonl([document(n) for n in range(6)]))
    assert lab.process(day=day).success
    first = Week("NL", date(2025, 3, 3))
    run = watch(lab, first)
    assert run.success, run.errors
    check = run.checks["drift"]
    assert check.passed
    assert check.description.startswith("Too few to tell: 6 rows against 0; ")
    assert set(verdicts(lab, first)["verdict"]) == {"too few"}


def test_a_country_without_any_table_is_no_failure(lab: Lab) -> None:
    """The schedule asks for every country, also for the one that opens next month."""
    run = watch(lab, Week("PL", MONDAY))
    assert run.success, run.errors
    assert run.checks["drift"].passed


def test_dagster_knows_the_days_that_a_week_is_made_from() -> None:
    """Lineage from a week to its days and their weeks before: where a drift is looked into."""
    from cs_features.definitions import defs

    dg.Definitions.validate_loadable(defs)
    graph = defs.resolve_asset_graph()
    mapping = graph.get_partition_mapping(dg.AssetKey("feature_drift"), dg.AssetKey("validated_features"))

    def days_of(week: Week) -> set[str]:
        subset = week_partitions.subset_with_partition_keys([week.key])
        result = mapping.get_upstream_mapped_partitions_result_for_partitions(
            subset, week_partitions, interaction_partitions
        )
        return set(result.partitions_subset.get_partition_keys())

    assert days_of(NL) == {str(day.key) for day in [*NL.before(drift.BASELINE_WEEKS), *NL.days]}
    early = Week("BE", date(2024, 12, 30))
    assert days_of(early) == {f"BE|2025-01-0{day}" for day in range(1, 6)}


def test_a_weeks_table_is_loaded_by_its_week_and_not_by_a_day_of_the_same_name(lab: Lab) -> None:
    """ "NL|2026-11-16" is a day's key and a week's: a table of the one must not be read for the other."""

    seen: list[int] = []

    @dg.asset(partitions_def=week_partitions)
    def reader(feature_drift: pl.DataFrame) -> None:
        seen.append(feature_drift.height)

    assert watch(lab).success
    lab.resources["data"].tables().write("feature_drift", Partition("NL", MONDAY), verdicts(lab).head(1))
    dg.materialize(
        [reader, dg.AssetSpec("feature_drift", partitions_def=week_partitions)],
        partition_key=NL.key,
        instance=lab.instance,
        resources={"io_manager": lab.resources["io_manager"]},
    )
    assert seen == [len(FEATURES + MIX)]


@pytest.mark.parametrize(
    ("now", "monday"),
    [
        pytest.param(datetime(2026, 11, 23, 5, tzinfo=timezone.utc), date(2026, 11, 16), id="Monday morning"),
        pytest.param(datetime(2026, 3, 30, 5, tzinfo=timezone.utc), date(2026, 3, 23), id="the day after summer time"),
        pytest.param(datetime(2026, 1, 5, 5, tzinfo=timezone.utc), date(2025, 12, 29), id="across the year"),
    ],
)
def test_every_monday_the_week_that_ended_is_asked_for_in_every_country(lab: Lab, now: datetime, monday: date) -> None:
    """A week that still goes on is half a week, and was warned of as one."""
    repository = lab.definitions.get_repository_def()
    context = dg.build_schedule_context(lab.instance, now, repository_def=repository)
    # Dagster validates the keys here, as the daemon does.
    requests = weekly_drift.evaluate_tick(context).run_requests or []
    assert [Week.from_key(request.partition_key or "") for request in requests] == [
        Week(code, monday) for code in COUNTRIES
    ]
    assert {request.tags["dagster/partition/week"] for request in requests} == {str(monday)}


def test_the_schedule_runs_by_itself() -> None:
    """Nobody switches on what nobody misses."""
    assert weekly_drift.default_status == dg.DefaultScheduleStatus.RUNNING
    assert (weekly_drift.cron_schedule, weekly_drift.execution_timezone) == ("0 5 * * 1", "UTC")
