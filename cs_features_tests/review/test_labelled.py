"""From sheets that came back to the tables: chances over several sheets, assets, and an interaction that was erased."""

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import dagster as dg
import polars as pl
import pytest

from cs_features.definitions import defs
from cs_features.erasure.subjects import Subject
from cs_features.orchestration.assets import human_quality as assets
from cs_features.orchestration.jobs import weekly_country_reports
from cs_features.orchestration.resources import DataBucket
from cs_features.partitions import Country
from cs_features.planning.erasing.contents import strip_data_object
from cs_features.quality.calibration import fit_country_corrections
from cs_features.review.drawing import DrawnSheet, DrawRequest, draw_review_sheet
from cs_features.review.fitting import select_for_fitting
from cs_features.review.labelled import join_label_answers, read_returned_labels, select_random_items
from cs_features.review.records import SHEETS, Records
from cs_features.review.returned import merge_returned_labels
from cs_features.schemas import CATEGORICAL, SCORES
from cs_features.storage import Tables
from cs_features_tests.support.review import FIRST, NOW, fill_month, make_model, make_tables

MODEL = make_model()


@pytest.fixture
def tables() -> Tables:
    made = make_tables()
    fill_month(made, rows=200)
    return made


def draw_and_return(tables: Tables, days_later: int = 0, **changes: Any) -> DrawnSheet:
    """A sheet whose colleague agrees with every answer."""
    request = replace(DrawRequest("NL", 50), **changes)
    drawn = draw_review_sheet(request, MODEL, tables, NOW + timedelta(days=days_later))
    names = (*CATEGORICAL, *SCORES)
    labels = {row["token"]: {name: row[name] for name in names} for row in drawn.drawn.iter_rows(named=True)}
    Records(tables.bucket).save_returned_labels(drawn.sheet, merge_returned_labels(None, labels))
    return drawn


def read_labelled(tables: Tables) -> pl.DataFrame:
    return join_label_answers(read_returned_labels(Records(tables.bucket), "NL"))


def test_the_weights_of_one_sheet_add_up_to_the_interactions_that_it_was_drawn_from(tables: Tables) -> None:
    draw_and_return(tables)
    kept = select_random_items(read_labelled(tables))
    assert kept.height == 40
    assert kept["weight"].sum() == pytest.approx(200)


def test_two_sheets_of_a_month_are_one_sample(tables: Tables) -> None:
    """Whoever weighed each sheet by itself counted every interaction twice, and those of the first sheet too often."""
    draw_and_return(tables)
    draw_and_return(tables, days_later=1, reader=2)
    kept = select_random_items(read_labelled(tables))
    assert kept["interaction_id"].n_unique() == kept.height
    assert kept["weight"].sum() == pytest.approx(200, rel=0.02)
    assert read_labelled(tables).filter(kind="doubled").height == 5


def test_a_sheet_that_never_came_back_has_no_part_in_the_weights(tables: Tables) -> None:
    draw_review_sheet(DrawRequest("NL", 50, reader=2), MODEL, tables, NOW - timedelta(days=1))
    draw_and_return(tables)
    assert select_random_items(read_labelled(tables))["weight"].sum() == pytest.approx(160)


def test_labels_of_an_interaction_that_was_erased_are_of_nobody(tables: Tables) -> None:
    """An erasure takes the row with his id out of every table; the labels name nobody, and nothing finds them again."""
    drawn = draw_and_return(tables)
    key = f"{SHEETS}/{drawn.sheet.folder}/drawn.parquet"
    body = tables.bucket.get(key)
    assert body is not None
    erased = Subject(until=NOW, interaction_ids=frozenset({drawn.drawn["interaction_id"][0]}))
    left = strip_data_object(key, body, erased)
    assert left is not None
    assert left.body is not None
    tables.bucket.put(key, left.body)
    assert read_labelled(tables).height == drawn.drawn.height - 1
    for item in tables.bucket.list_bucket_objects("review_").objects:
        stored = tables.bucket.get(item.key)
        assert stored is not None
        assert strip_data_object(item.key, stored, erased) is None


def test_corrections_are_fitted_on_what_the_model_itself_said(tables: Tables) -> None:
    """The features are corrected already: who fits on them corrects a second time what is right."""
    draw_and_return(tables)
    labelled = read_labelled(tables).with_columns(urgency_score_said=pl.col("urgency_score") / 2)
    chosen = select_for_fitting(labelled, "model", "asked")
    assert chosen.height == 40
    fit = fit_country_corrections(chosen)["urgency_score"]
    assert fit.kept
    assert fit.distance_after < fit.distance_before / 2
    assert select_for_fitting(labelled, "model", "another prompt").is_empty()


@pytest.fixture
def data(tables: Tables, monkeypatch: pytest.MonkeyPatch) -> DataBucket:
    monkeypatch.setattr("cs_features.services.DataBucket.tables", lambda self: tables)
    monkeypatch.setattr(assets, "find_first_month", lambda today: FIRST)
    return DataBucket(name="cs-data")


def test_the_assets_write_both_tables_of_a_country(tables: Tables, data: DataBucket) -> None:
    draw_and_return(tables)
    result = dg.materialize([assets.human_quality, assets.country_report], partition_key="NL", resources={"data": data})
    assert result.success
    quality = tables.read("human_quality", Country("NL"))
    report = tables.read("country_report", Country("NL"))
    assert quality is not None
    assert quality.filter(measure="accuracy", language="all")["value"].to_list() == [1.0] * 4
    assert report is not None
    assert report["corrected"].is_between(report["low"], report["high"]).all()
    shown = result.asset_materializations_for_node("human_quality")[0].metadata
    assert shown["labelled_texts_NL"].value == 50


def test_older_months_of_the_report_stay_as_they_were(
    tables: Tables, data: DataBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Features of old months are swept one day: a report that saw none of them would have lost its past."""
    draw_and_return(tables)
    assert dg.materialize([assets.country_report], partition_key="NL", resources={"data": data}).success
    before = tables.read("country_report", Country("NL"))
    monkeypatch.setattr(assets, "find_first_month", lambda today: FIRST.replace(month=12))
    assert dg.materialize([assets.country_report], partition_key="NL", resources={"data": data}).success
    after = tables.read("country_report", Country("NL"))
    assert before is not None
    assert after is not None
    assert after.equals(before)


def test_every_country_is_reported_every_monday() -> None:
    monday = dg.build_schedule_context(
        scheduled_execution_time=datetime(2026, 11, 30, 5, 30, tzinfo=timezone.utc),
        repository_def=defs.get_repository_def(),
    )
    requests = weekly_country_reports.evaluate_tick(monday).run_requests or []
    assert {request.partition_key for request in requests} == {"BE", "ES", "FR", "NL", "PL"}
    assert weekly_country_reports.default_status == dg.DefaultScheduleStatus.RUNNING
