"""The page from a year's tables: every number recomputed by other code, nothing unknown shown as 0, one sheet, no
request, no customer's word.
"""

import io
import re
import tempfile
from copy import deepcopy
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from cs_features.environments import settings
from cs_features.figures import format_count, format_dollars, format_milliseconds, format_share, format_span
from cs_features.local.bench.report_mornings import compare_mornings, describe_morning
from cs_features.local.bench.report_oracle import count_differences, mirror_bucket
from cs_features.local.bench.report_reading import PageReader
from cs_features.local.bench.year_of_tables import WINDOW_DAYS, Year
from cs_features.reporting.facts import CountryFacts, Spending, sum_up_law
from cs_features.reporting.mail import write_morning_message
from cs_features.reporting.page import MAX_BYTES, render_report_page
from cs_features.reporting.reader import Scope
from cs_features.reporting.report import PAGE_KEY, Addresses, Report, make_report, save_operations_report
from cs_features.reporting.sparkline import draw_svg_sparkline
from cs_features.s3 import Bucket
from cs_features.services import Model, build_services_from
from cs_features.storage import Tables
from cs_features_tests.support import memory_s3
from cs_features_tests.support.facts import normal_facts
from cs_features_tests.support.memory_s3 import EIGHT, MemoryS3

NOW = EIGHT.replace(hour=5)
COUNTRIES = ("BE", "NL")
SECRET = "Mijn man Pieter is overleden"
ADDRESSES = Addresses("https://dagster.example.org", "cs-landing")


@pytest.fixture(scope="module")
def model() -> Model:
    return build_services_from(settings({})).model


@pytest.fixture(scope="module")
def written(model: Model) -> Year:
    tables = Tables(Bucket(MemoryS3(), "data", "CS_FEATURES_DATA_BUCKET"))
    made = Year(tables, model, COUNTRIES, NOW.date(), days=WINDOW_DAYS, documents=20)
    made.write()
    return made


@pytest.fixture
def year(written: Year, monkeypatch: pytest.MonkeyPatch) -> Year:
    monkeypatch.setattr(memory_s3, "PAGE", 1_000)
    own = Bucket(deepcopy(written.tables.bucket.client), "data", "CS_FEATURES_DATA_BUCKET")
    return replace(written, tables=Tables(own))


def report(year: Year, now: datetime = NOW) -> Report:
    return make_report(year.tables, Scope(COUNTRIES, WINDOW_DAYS, year.model), [], ADDRESSES, now)


def query(year: Year, sql: str, key: str) -> list[tuple[Any, ...]]:
    """SQL over one stored table, in another engine than the product's."""
    with tempfile.NamedTemporaryFile(suffix=".parquet") as file, duckdb.connect() as connection:
        Path(file.name).write_bytes(year.tables.bucket.get(key) or b"")
        connection.sql(f"create view t as select * from '{file.name}'")
        return connection.sql(sql).fetchall()


@pytest.mark.heavy
@pytest.mark.parametrize("mornings", [3, pytest.param(28, marks=pytest.mark.slow)])
def test_every_number_of_the_page_is_what_other_code_computes(model: Model, mornings: int) -> None:
    """Of five countries, some of whose days differ, are missing or could not be counted; other engine, other code."""
    tables = Tables(Bucket(MemoryS3(), "data", "CS_FEATURES_DATA_BUCKET"))
    countries = ("BE", "ES", "FR", "NL", "PL")
    days = WINDOW_DAYS + mornings
    made = Year(tables, model, countries, NOW.date(), days=days, documents=12, troubled=True)
    made.write()
    compared = compare_mornings(made, mornings)
    assert "\n".join(compared.differences) == ""
    assert compared.figures > 600 * mornings


@pytest.mark.heavy
def test_other_code_notices_a_figure_that_is_wrong(year: Year, tmp_path: Path) -> None:
    """A comparison that compares nothing finds nothing either."""
    mirror_bucket(year.tables.bucket, tmp_path, NOW.date() - timedelta(days=WINDOW_DAYS))
    page, morning = report(year).page, describe_morning(year.model, COUNTRIES, NOW)
    assert count_differences(page, tmp_path, morning)[1] == []
    cells = PageReader(page).cells["NL"]
    for name in ("landed", "p95", "worst field", "dollars today"):
        figure = cells[name].split(" ")[0]
        wrong = page.replace(f">{figure}", ">1234567")
        assert f"NL {name}" in "".join(count_differences(wrong, tmp_path, morning)[1]), name
    bent = re.sub(r'(points="[\d.]+,)[\d.]+', r"\g<1>3.3", page)
    assert "the line is another" in "".join(count_differences(bent, tmp_path, morning)[1])


def test_the_law_is_the_equation_of_the_inventory(year: Year) -> None:
    sums = "select sum(landed), sum(validated), sum(rejected), sum(duplicates), count(*) from t"
    ((landed, validated, rejected, duplicates, count),) = query(year, sums, "reconciliation/data.parquet")
    equation = f"{landed:,} landed = {validated:,} validated + {rejected:,} rejected + {duplicates:,} exact duplicates"
    assert f"{equation} ({count} country-days counted from S3)" in report(year).page


def test_the_page_is_one_file_without_script_or_request(year: Year) -> None:
    made = report(year)
    assert len(made.page.encode()) <= MAX_BYTES
    assert not re.search(r"<script|<link|<img|<iframe|@import|url\(|src=", made.page)
    uri = save_operations_report(year.tables.bucket, made)
    assert uri == f"s3://data/{PAGE_KEY}"
    assert year.tables.bucket.get(PAGE_KEY) == made.page.encode()
    assert year.tables.bucket.get("operations_report/date=2026-11-24/report.html") == made.page.encode()


def test_twenty_countries_with_everything_wrong_stay_below_the_limit() -> None:
    facts = normal_facts()
    many = [replace(facts.countries[0], country=f"C{letter}") for letter in "ABCDEFGHIJKLMNOPQRST"]
    assert len(render_report_page(replace(facts, countries=many), [], "https://ui").encode()) <= MAX_BYTES


@pytest.mark.parametrize(
    ("lost", "columns"),
    [
        (
            "reconciliation/data.parquet",
            ["landed", "validated", "rejected, mostly", "kept", "days missing / differing"],
        ),
        ("open_rejects/data.parquet", ["open rejects"]),
        ("freshness/arrivals.json", ["newest document"]),
        ("llm_extractions/country=NL/date=2026-11-23/data.parquet", ["a thousand", "cache", "p95"]),
        ("feature_drift/country=NL/week=2026-11-16/data.parquet", ["drift"]),
    ],
)
def test_what_is_not_there_is_unknown_and_never_zero(year: Year, lost: str, columns: list[str]) -> None:
    """A page that shows 0 where it could not look says that all is well."""
    del year.tables.bucket.client.objects[lost]
    cells = PageReader(report(year).page).cells["NL"]
    assert {name: cells[name].split()[0] for name in columns} == dict.fromkeys(columns, "unknown")


def test_a_broken_table_is_named_and_stops_no_other(year: Year) -> None:
    year.tables.bucket.put("open_rejects/data.parquet", b"no parquet")
    made = report(year)
    assert "open_rejects: unknown (ComputeError)" in made.page
    assert PageReader(made.page).cells["NL"]["open rejects"].startswith("unknown")
    assert made.concerns[0].title == "source unreadable"
    assert PageReader(made.page).cells["NL"]["landed"] != "unknown"


def test_days_after_an_old_inventory_are_unknown(year: Year) -> None:
    made = report(year, NOW + timedelta(days=2))
    assert PageReader(made.page).cells["NL"]["landed"] == "unknown"
    assert "inventory is old" in made.page


def test_spending_that_cannot_be_listed_is_unknown() -> None:
    facts = normal_facts()
    lost = Spending(today=None, month=None, day_limit=50, month_limit=500)
    countries: list[CountryFacts] = [replace(country, spent=None) for country in facts.countries]
    page = render_report_page(replace(facts, spending=lost, countries=countries), [], "https://ui")
    assert "What was spent is unknown." in page
    assert PageReader(page).cells["NL"]["dollars today"].startswith("unknown")


def test_no_customers_word_reaches_page_or_message(year: Year) -> None:
    """The planted-secret scan: the texts of every table that the page is made from."""
    import polars as pl

    for key in list(year.tables.bucket.client.objects):
        if key.startswith(("llm_extractions/", "rejected_records/")):
            frame = pl.read_parquet(io.BytesIO(year.tables.bucket.get(key) or b""), hive_partitioning=False)
            texts = {"summary", "answer", "error_detail", "detail", "payload", "interaction_id"} & set(frame.columns)
            buffer = io.BytesIO()
            frame.with_columns(pl.lit(SECRET).alias(name) for name in texts).write_parquet(buffer)
            year.tables.bucket.put(key, buffer.getvalue())
    made = report(year)
    message = write_morning_message(made.concerns, NOW, "s3://data/x", "https://ui")
    assert "Pieter" not in made.page + message.subject + message.body


def test_a_changed_prompt_stands_on_the_page_for_four_weeks(year: Year, model: Model) -> None:
    report(year)
    other = replace(model, model_id="eu.anthropic.claude-haiku-4-5-20251001-v1:0")
    made = make_report(year.tables, Scope(COUNTRIES, WINDOW_DAYS, other), [], ADDRESSES, NOW + timedelta(hours=1))
    assert "24 Nov: model eu.anthropic.claude-haiku-5-5 → eu.anthropic.claude-haiku-4-5" in made.page
    assert "country-days of the last four weeks were made with another prompt or model" in made.page
    later = make_report(year.tables, Scope(COUNTRIES, WINDOW_DAYS, other), [], ADDRESSES, NOW + timedelta(days=29))
    assert "24 Nov: model" not in later.page


def test_the_mail_names_how_much_there_is_to_do_and_where() -> None:
    message = write_morning_message([], NOW, "s3://data/x", "https://ui")
    assert message.subject == "cs-features 2026-11-24: nothing needs you"
    assert "https://ui/assets/operations_report" in message.body


def test_a_gap_in_a_sparkline_is_no_zero() -> None:
    drawn = draw_svg_sparkline([1, 2, None, 4, 4], "x")
    assert drawn.count("<polyline") == 2
    assert draw_svg_sparkline([None, None], "x").count("circle") == 0
    assert sum_up_law([]) is None


def test_figures_are_spelled_for_people() -> None:
    spelled = {
        format_dollars(0.000149): "$0.00015",
        format_dollars(0.0231): "$0.023",
        format_dollars(12.5): "$12.50",
        format_dollars(1234.4): "$1,234",
        format_dollars(None): "unknown",
        format_share(0.0004): "< 0.1 %",
        format_share(0.9999): "> 99.9 %",
        format_share(0.953): "95 %",
        format_share(0.041): "4.1 %",
        format_milliseconds(2_840): "2.8 s",
        format_count(1_300_000): "1,300,000",
        format_span(timedelta(minutes=119)): "119 min",
        format_span(timedelta(hours=30)): "30 h",
        format_span(timedelta(days=3)): "3 days",
    }
    assert all(made == wanted for made, wanted in spelled.items())
