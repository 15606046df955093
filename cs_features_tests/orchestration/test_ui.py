"""The Dagster UI and the daily page in a real browser, at a year of five countries: what their user sees there."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

import dagster as dg
import httpx
import pytest

from cs_features.environments import settings
from cs_features.local.bench.year_of_events import write_year
from cs_features.local.bench.year_of_tables import WINDOW_DAYS, Year
from cs_features.reporting.reader import Scope
from cs_features.reporting.report import Addresses, make_report
from cs_features.s3 import Bucket
from cs_features.services import build_services_from
from cs_features.storage import Tables
from cs_features_tests.support.browser import CHROMIUM, Page, open_browser
from cs_features_tests.support.lab import REPOSITORY
from cs_features_tests.support.memory_s3 import MemoryS3

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium: apt-get install chromium, and run it again"),
]
COUNTRIES = ("BE", "ES", "FR", "NL", "PL")
TODAY = datetime.now(timezone.utc).date()
YESTERDAY = TODAY - timedelta(days=1)
DAYS = 365
ASSETS = ("raw_interactions", "llm_extractions", "validated_features", "rejected_records", "feature_store")


@dataclass
class Ui:
    url: str
    page: Page


@pytest.fixture(scope="module")
def ui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ui]:
    """The webserver over a year of 1,825 partitions, and a browser. No AWS: the UI asks Dagster's storage alone."""
    home, profile = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("profile")
    (home / "dagster.yaml").write_text("telemetry:\n  enabled: false\nnux:\n  enabled: false\n")
    with dg.DagsterInstance.from_config(str(home)) as instance:
        assert write_year(instance, COUNTRIES, TODAY, DAYS) == len(COUNTRIES) * DAYS
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    first = TODAY - timedelta(days=DAYS)
    environment = {**os.environ, "DAGSTER_HOME": str(home), "CS_FEATURES_FIRST_DATE": str(first)}
    command = [sys.executable, "-m", "dagster_webserver", "-w", "workspace.yaml", "-h", "127.0.0.1", "-p", str(port)]
    with (home / "log").open("w") as log:
        process = subprocess.Popen(
            command, cwd=REPOSITORY, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    try:
        wait_for_server(f"http://127.0.0.1:{port}/server_info", process, home / "log")
        with open_browser(profile) as page:
            yield Ui(f"http://127.0.0.1:{port}", page)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=60)


def wait_for_server(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()[-2_000:]
        try:
            httpx.get(url)
            return
        except httpx.TransportError:
            time.sleep(0.5)
    raise AssertionError(log.read_text()[-2_000:])


def test_the_lineage_shows_what_flows_from_the_landed_documents(ui: Ui) -> None:
    """One flat group: nobody saw what is the flow, what watches it and what is a tool."""
    ui.page.open(f"{ui.url}/asset-groups", "flow", "watching", "tools")
    ui.page.open(f"{ui.url}/locations/cs_features.definitions/asset-groups/flow", "landed_documents", *ASSETS)


def test_the_partitions_of_an_asset_are_a_year_of_five_countries(ui: Ui) -> None:
    seconds = ui.page.open(
        f"{ui.url}/assets/validated_features?view=partitions",
        "Materialized (1825)",
        f"Missing ({len(COUNTRIES)})",
        "Failed (0)",
        str(YESTERDAY),
        *COUNTRIES,
    )
    print(f"partitions of validated_features: {seconds:.1f} s")


def test_a_check_says_what_it_holds_to_what_it_found_and_what_to_do(ui: Ui) -> None:
    url = f"{ui.url}/assets/rejected_records?view=checks&checkDetail=rejected_share"
    seconds = ui.page.open(url, "At most 10% of the documents are rejected.", "If it fails:", str(YESTERDAY), "Passed")
    print(f"checks of rejected_records: {seconds:.1f} s")


def test_an_asset_says_what_a_row_is_where_it_lies_and_what_its_columns_mean(ui: Ui) -> None:
    seconds = ui.page.open(
        f"{ui.url}/assets/validated_features",
        "A row is one interaction's features",
        "s3://cs-data/validated_features/country=CC/date=YYYY-MM-DD/data.parquet",
        "How soon somebody has to act. From 0 to 1.",
        "validated_features.py",
    )
    print(f"overview of validated_features: {seconds:.1f} s")


def test_the_launchpad_shows_what_a_person_may_let_a_run_do(ui: Ui) -> None:
    job = f"{ui.url}/locations/cs_features.definitions/jobs"
    ui.page.open(f"{job}/process_interactions/playground", "allow_deletions", "reextract")


def test_the_daily_page_is_one_sheet_and_reads_as_it_was_made(ui: Ui, tmp_path: Path) -> None:
    now = datetime(TODAY.year, TODAY.month, TODAY.day, 5, tzinfo=timezone.utc)
    tables = Tables(Bucket(MemoryS3(), "data", "CS_FEATURES_DATA_BUCKET"))
    model = build_services_from(settings({})).model
    Year(tables, model, COUNTRIES, TODAY, days=WINDOW_DAYS).write()
    addresses = Addresses("http://127.0.0.1:3000", "cs-landing")
    file = tmp_path / "report.html"
    file.write_text(make_report(tables, Scope(COUNTRIES, WINDOW_DAYS, model), [], addresses, now).page)
    ui.page.open(file.as_uri(), "WHAT NEEDS YOU TODAY", "THE LAW, OVER THE WINDOW", "exact duplicates", *COUNTRIES)
    assert ui.page.count_printed_pages() == 1
    assert ui.page.evaluate("document.querySelectorAll('svg polyline').length") > 3 * len(COUNTRIES)
    assert ui.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert ui.page.evaluate("performance.getEntriesByType('resource').length") == 0
