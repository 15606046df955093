"""One report: facts read, judged and rendered, and where its page lies.

Here: the order of the steps. Not here: any of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from cs_features.monitoring.alerts import Alert
from cs_features.reporting.concerns import Concern, list_page_concerns
from cs_features.reporting.facts import Operations
from cs_features.reporting.page import render_report_page
from cs_features.reporting.reader import Scope
from cs_features.reporting.state import list_changes, note_seen_versions, read_state, write_state
from cs_features.reporting.tables import read_operations_table
from cs_features.reporting.versions import list_running_versions
from cs_features.s3 import Bucket
from cs_features.storage import Tables

PAGE_KEY = "operations_report/report.html"


@dataclass(frozen=True)
class Report:
    """What a report is made of, what of it needs a person, and the page."""

    facts: Operations
    concerns: list[Concern]
    page: str


@dataclass(frozen=True)
class Addresses:
    """What links and commands name: where the UI is, and the landing bucket."""

    ui_url: str
    landing_bucket: str


def make_report(tables: Tables, scope: Scope, standing: Sequence[Alert], addresses: Addresses, now: datetime) -> Report:
    """Read everything, judge it, render it; remember the versions in use.

    Raises:
        AwsRefusal: the data bucket takes or gives nothing at all.
    """
    state = note_seen_versions(read_state(tables.bucket), list_running_versions(scope.model), now.date())
    facts = replace(read_operations_table(tables, scope, now), changes=list_changes(state))
    concerns = list_page_concerns(facts, standing, addresses.ui_url, addresses.landing_bucket)
    write_state(tables.bucket, state)
    return Report(facts, concerns, render_report_page(facts, concerns, addresses.ui_url))


def save_operations_report(bucket: Bucket, report: Report) -> str:
    """Keep the page under its day and as the latest; returns where the latest lies."""
    body = report.page.encode()
    bucket.put(f"operations_report/date={report.facts.now.date()}/report.html", body)
    bucket.put(PAGE_KEY, body)
    return bucket.uri(PAGE_KEY)
