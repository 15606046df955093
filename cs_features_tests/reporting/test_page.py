"""The page from a year's tables: every number recomputed by other code, nothing unknown shown as 0, one sheet, no
request, no customer's word.
"""

import io
import re
import tempfile
from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import duckdb
import pytest

from cs_features.environments import settings
from cs_features.figures import format_count, format_dollars, format_milliseconds, format_share, format_span
from cs_features.local.bench.year_of_tables import WINDOW_DAYS, Year
from cs_features.reporting.facts import CountryFacts, Spending, sum_up_law
from cs_features.reporting.mail import write_message
from cs_features.reporting.page import COLUMNS, MAX_BYTES, render_page
from cs_features.reporting.reader import Scope
from cs_features.reporting.report import PAGE_KEY, Addresses, Report, make_report, save_report
from cs_features.reporting.sparkline import draw_sparkline
from cs_features.s3 import Bucket
from cs_features.services import Model, build_services
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
    return build_services(settings({})).model


@pytest.fixture
def year(model: Model, monkeypatch: pytest.MonkeyPatch) -> Year:
    monkeypatch.setattr(memory_s3, "PAGE", 1_000)
    tables = Tables(Bucket(MemoryS3(), "data", "CS_FEATURES_DATA_BUCKET"))
    made = Year(tables, model, COUNTRIES, NOW.date(), days=WINDOW_DAYS, documents=20)
    made.write()
    return made


def report(year: Year, now: datetime = NOW) -> Report:
    return make_report(year.tables, Scope(COUNTRIES, WINDOW_DAYS, year.model), [], ADDRESSES, now)


class Rows(HTMLParser):
    """The cells of the table by country and column, as a reader sees them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag == "tr":
            self.rows.append([])
        if tag == "td" and self.rows:
            self.rows[-1].append("")
        self.is_title = tag == "title"

    def handle_data(self, data: str) -> None:
        if self.rows and self.rows[-1] and not self.is_title:
            self.rows[-1][-1] = f"{self.rows[-1][-1]} {data.strip()}".strip()

    def cells(self) -> dict[str, dict[str, str]]:
        return {row[0]: dict(zip(COLUMNS, row[1:], strict=True)) for row in self.rows if row}


def query(year: Year, sql: str, key: str) -> list[tuple[Any, ...]]:
    """SQL over one stored table, in another engine than the product's."""
    with tempfile.NamedTemporaryFile(suffix=".parquet") as file, duckdb.connect() as connection:
        Path(file.name).write_bytes(year.tables.bucket.get(key) or b"")
        connection.sql(f"create view t as select * from '{file.name}'")
        return connection.sql(sql).fetchall()


def test_every_number_of_a_country_is_what_other_code_computes(year: Year) -> None:
    page = Rows(report(year).page).cells()
    yesterday = NOW.date() - timedelta(days=1)
    for country in COUNTRIES:
        folder = f"country={country}/date={yesterday}/data.parquet"
        ((landed, validated, rejected),) = query(
            year,
            f"select landed, validated, rejected from t where partition = '{country}|{yesterday}'",
            "reconciliation/data.parquet",
        )
        ((kept,),) = query(
            year, f"select sum(kept) from t where partition like '{country}|%'", "reconciliation/data.parquet"
        )
        ((count, cost, share),) = query(
            year,
            "select count(*), sum(cost_usd), sum(cache_read_tokens) / "
            "sum(input_tokens + cache_read_tokens + cache_write_tokens) from t",
            f"llm_extractions/{folder}",
        )
        latencies = sorted(row[0] for row in query(year, "select latency_ms from t", f"llm_extractions/{folder}"))
        open_rows = query(
            year,
            f"select reason, documents, redrivable from t where country = '{country}' order by 2 desc, 1 desc",
            "open_rejects/data.parquet",
        )
        reasons = Counter(row[0] for row in query(year, "select reason from t", f"rejected_records/{folder}"))
        top = max(reasons.items(), key=lambda item: (item[1], [-ord(c) for c in item[0]]))[0] if reasons else ""
        spent = spent_by_day(year, country)
        month = sum(usd for day, usd in spent.items() if day.startswith("2026-11"))
        cells = page[country]
        assert cells["landed"] == f"{landed:,}"
        assert cells["validated"] == f"{validated:,}"
        assert cells["rejected, mostly"] == f"{rejected} {top}".strip()
        assert cells["kept"] == str(kept)
        assert cells["open rejects"].split()[0] == str(sum(row[1] for row in open_rows))
        assert open_rows[0][0] in cells["open rejects"]
        assert f"{sum(row[1] for row in open_rows if row[2])} redrivable" in cells["open rejects"]
        assert cells["a thousand"] == f"${cost / count * 1000:.3f}"
        assert cells["cache"] == f"{share * 100:.0f} %"
        p95 = latencies[round(0.95 * (len(latencies) - 1))]
        assert cells["p95"] == (f"{p95 / 1000:.1f} s" if p95 >= 1000 else f"{p95} ms")
        assert cells["dollars today"].startswith(f"${spent.get('2026-11-24', 0):.2f} ${month:.3f} month")
        assert cells["worst field"] == worst_field(year, country)
        assert cells["drift"].startswith("steady week of 16 Nov")


def spent_by_day(year: Year, country: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for key in year.tables.bucket.client.objects:
        match = re.fullmatch(rf"spending/date=([\d-]+)/country={country}/.*-(\d+\.\d+)\.json", key)
        if match:
            found[match[1]] = found.get(match[1], 0.0) + float(match[2])
    return found


def worst_field(year: Year, country: str) -> str:
    rows: list[tuple[Any, ...]] = []
    for key in year.tables.bucket.client.objects:
        if key.startswith(f"extraction_quality/country={country}/"):
            sql = "select field, cast(round(value * items) as int), items from t where measure = 'accuracy'"
            rows += query(year, sql, key)
    floors = year.model.prompts().countries[country].floors
    best = None
    for name in sorted({row[0] for row in rows}):
        right, items = (sum(row[place] for row in rows if row[0] == name) for place in (1, 2))
        share, floor, z = right / items, float(getattr(floors, name)), 1.959964
        middle, spread = share + z * z / 2 / items, z * ((share * (1 - share) + z * z / 4 / items) / items) ** 0.5
        low, high = (middle - spread) / (1 + z * z / items), (middle + spread) / (1 + z * z / items)
        text = (
            f"{name} {share:.2f} ({max(0, low):.2f}-{min(1, high):.2f}) {share - floor:+.2f} to its floor {floor:.2f}"
        )
        if best is None or (share - floor, name) < best[:2]:
            best = (share - floor, name, text)
    assert best is not None
    return best[2]


def test_the_law_is_the_equation_of_the_inventory(year: Year) -> None:
    sums = "select sum(landed), sum(validated), sum(rejected), sum(duplicates), count(*) from t"
    ((landed, validated, rejected, duplicates, count),) = query(year, sums, "reconciliation/data.parquet")
    equation = f"{landed:,} landed = {validated:,} validated + {rejected:,} rejected + {duplicates:,} exact duplicates"
    assert f"{equation} ({count} country-days counted from S3)" in report(year).page


def test_the_page_is_one_file_without_script_or_request(year: Year) -> None:
    made = report(year)
    assert len(made.page.encode()) <= MAX_BYTES
    assert not re.search(r"<script|<link|<img|<iframe|@import|url\(|src=", made.page)
    uri = save_report(year.tables.bucket, made)
    assert uri == f"s3://data/{PAGE_KEY}"
    assert year.tables.bucket.get(PAGE_KEY) == made.page.encode()
    assert year.tables.bucket.get("operations_report/date=2026-11-24/report.html") == made.page.encode()


def test_twenty_countries_with_everything_wrong_stay_below_the_limit() -> None:
    facts = normal_facts()
    many = [replace(facts.countries[0], country=f"C{letter}") for letter in "ABCDEFGHIJKLMNOPQRST"]
    assert len(render_page(replace(facts, countries=many), [], "https://ui").encode()) <= MAX_BYTES


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
    cells = Rows(report(year).page).cells()["NL"]
    assert {name: cells[name].split()[0] for name in columns} == dict.fromkeys(columns, "unknown")


def test_a_broken_table_is_named_and_stops_no_other(year: Year) -> None:
    year.tables.bucket.put("open_rejects/data.parquet", b"no parquet")
    made = report(year)
    assert "open_rejects: unknown (ComputeError)" in made.page
    assert Rows(made.page).cells()["NL"]["open rejects"].startswith("unknown")
    assert made.concerns[0].title == "source unreadable"
    assert Rows(made.page).cells()["NL"]["landed"] != "unknown"


def test_days_after_an_old_inventory_are_unknown(year: Year) -> None:
    made = report(year, NOW + timedelta(days=2))
    assert Rows(made.page).cells()["NL"]["landed"] == "unknown"
    assert "inventory is old" in made.page


def test_spending_that_cannot_be_listed_is_unknown() -> None:
    facts = normal_facts()
    lost = Spending(today=None, month=None, day_limit=50, month_limit=500)
    countries: list[CountryFacts] = [replace(country, spent=None) for country in facts.countries]
    page = render_page(replace(facts, spending=lost, countries=countries), [], "https://ui")
    assert "What was spent is unknown." in page
    assert Rows(page).cells()["NL"]["dollars today"].startswith("unknown")


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
    message = write_message(made.concerns, NOW, "s3://data/x", "https://ui")
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
    message = write_message([], NOW, "s3://data/x", "https://ui")
    assert message.subject == "cs-features 2026-11-24: nothing needs you"
    assert "https://ui/assets/operations_report" in message.body


def test_a_gap_in_a_sparkline_is_no_zero() -> None:
    drawn = draw_sparkline([1, 2, None, 4, 4], "x")
    assert drawn.count("<polyline") == 2
    assert draw_sparkline([None, None], "x").count("circle") == 0
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
