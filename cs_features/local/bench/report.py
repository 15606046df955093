"""What the daily page costs from a year of five countries, and whether its figures are right. Each part is a process.

The tables and Dagster's storage are as 1,825 runs would have left them; the job is the one that runs every morning.
"""

import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from cs_features.local.bench.children import Job, measure_peak_mib, run_alone
from cs_features.local.bench.endpoint import start_endpoint
from cs_features.local.bench.figures import Figure, Say, at_most, equal_to

COUNTRIES = ("BE", "ES", "FR", "NL", "PL")
MORNINGS = 28
FIRST_YEAR = {"CS_FEATURES_FIRST_DATE": str(datetime.now(timezone.utc).date() - timedelta(days=366))}


def measure_report(quick: bool, say: Say) -> list[Figure]:
    days = 40 if quick else 365
    with start_endpoint() as service:
        home = service.folder / "dagster"
        home.mkdir()
        arguments = {"home": str(home), "days": days}
        written = run_alone(service, Job(write_history, arguments, FIRST_YEAR), 3_600)
        say(f"{written['partitions']} partitions written")
        made = run_alone(service, Job(make_page, {"home": str(home)}, FIRST_YEAR), 600)
        compared = run_alone(service, Job(compare_page, {}, FIRST_YEAR), 600)
    differences = [*written["differences"], *compared["differences"]]
    for difference in differences[:10]:
        say(difference)
    return [
        equal_to("partitions of Dagster's storage and of the tables", written["partitions"], days * len(COUNTRIES)),
        at_most("the job report_operations, in its process", made["seconds"], 5.0, lambda value: f"{value:.1f} s"),
        at_most("of it, CPU", made["cpu_seconds"], 5.0, lambda value: f"{value:.1f} s"),
        at_most("peak memory", made["peak_mib"], 300, lambda value: f"{value:.0f} MiB"),
        equal_to(
            f"figures of {MORNINGS + 1} pages that other code computes otherwise, "
            f"of {written['figures'] + compared['figures']:,}",
            len(differences),
            0,
        ),
        at_most("the page", made["page_bytes"], 150 * 1024, lambda value: f"{value / 1024:.0f} KiB"),
    ]


def write_history(home: str, days: int) -> dict[str, Any]:
    """In a client process: a year of tables and of Dagster's storage."""
    import dagster as dg

    from cs_features.environments import settings
    from cs_features.local.bench.report_mornings import compare_mornings
    from cs_features.local.bench.year_of_events import write_year
    from cs_features.local.bench.year_of_tables import Year
    from cs_features.services import build_services_from

    services, today = build_services_from(settings()), datetime.now(timezone.utc).date()
    year = Year(services.data.tables(), services.model, COUNTRIES, today, days=days, troubled=True)
    year.write()
    compared = compare_mornings(year, MORNINGS)
    year.write_morning(today)
    with dg.DagsterInstance.from_config(_configure(home)) as instance:
        partitions = write_year(instance, COUNTRIES, today, days)
    return {"partitions": partitions, "figures": compared.figures, "differences": compared.differences}


def make_page(home: str) -> dict[str, Any]:
    """In a client process: the job of the morning; what loading the project takes is not its time."""
    import dagster as dg

    from cs_features.definitions import build_defs
    from cs_features.environments import settings
    from cs_features.reporting.report import PAGE_KEY
    from cs_features.services import build_services_from

    definitions = build_defs()
    job, bucket = definitions.resolve_job_def("report_operations"), build_services_from(settings()).data.bucket()
    with dg.DagsterInstance.from_config(_configure(home)) as instance:
        started, cpu_before = time.monotonic(), time.process_time()
        result = job.execute_in_process(instance=instance)
        seconds, cpu = time.monotonic() - started, time.process_time() - cpu_before
    page = bucket.get(PAGE_KEY) or b""
    return {
        "success": result.success,
        "seconds": seconds,
        "cpu_seconds": cpu,
        "peak_mib": measure_peak_mib(),
        "page_bytes": len(page),
    }


def compare_page() -> dict[str, Any]:
    """In a client process: the page of the job against other code."""
    from cs_features.environments import settings
    from cs_features.local.bench.report_mornings import compare_latest_page
    from cs_features.services import build_services_from

    services = build_services_from(settings())
    compared = compare_latest_page(services.data.bucket(), services.model, COUNTRIES)
    return {"figures": compared.figures, "differences": compared.differences}


def _configure(home: str) -> str:
    (Path(home) / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    return home
