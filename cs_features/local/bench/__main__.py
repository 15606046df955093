"""`python -m cs_features.local.bench [scenario ...] [--quick]`: run the scenarios, print one table.

Here: the registry, the command line, the table, `.local/bench.json`. What is measured stands in the scenarios.
"""

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cs_features.local.bench.arrivals import measure_arrivals
from cs_features.local.bench.chain import measure_chain
from cs_features.local.bench.commands import measure_commands
from cs_features.local.bench.cpu import measure_cpu
from cs_features.local.bench.faults import measure_faults
from cs_features.local.bench.figures import Figure, Say
from cs_features.local.bench.fleet import measure_fleet
from cs_features.local.bench.hosts import measure_hosts
from cs_features.local.bench.kills import measure_kills
from cs_features.local.bench.landing import measure_landing
from cs_features.local.bench.money import measure_money
from cs_features.local.bench.preview import measure_preview
from cs_features.local.bench.privacy import measure_privacy
from cs_features.local.bench.quality import measure_quality
from cs_features.local.bench.quota import measure_quota
from cs_features.local.bench.report import measure_report
from cs_features.local.bench.review import measure_review
from cs_features.local.bench.rows import measure_rows
from cs_features.local.bench.storm import measure_storm
from cs_features.local.bench.training import measure_training
from cs_features.local.bench.trickle import measure_trickle
from cs_features.local.bench.year import measure_year
from cs_features.local.processes import ROOT, LocalProblem, leave_on_sigterm

SCENARIOS: dict[str, Callable[[bool, Say], list[Figure]]] = {
    "quota": measure_quota,
    "hosts": measure_hosts,
    "kills": measure_kills,
    "rows": measure_rows,
    "faults": measure_faults,
    "storm": measure_storm,
    "arrivals": measure_arrivals,
    "year": measure_year,
    "landing": measure_landing,
    "fleet": measure_fleet,
    "trickle": measure_trickle,
    "cpu": measure_cpu,
    "chain": measure_chain,
    "money": measure_money,
    "quality": measure_quality,
    "preview": measure_preview,
    "report": measure_report,
    "privacy": measure_privacy,
    "review": measure_review,
    "training": measure_training,
    "commands": measure_commands,
}
REPORT = ROOT / ".local" / "bench.json"
_MARKS = {True: "[green]yes", False: "[red]NO", None: ""}

# Piped into a file or a log, the table still gets the room it needs.
console = Console(width=None if sys.stdout.isatty() else 150)


def main() -> int:
    """1 when a bar of a full run is missed or a scenario did not run; a quick run proves only the harness."""
    parser = argparse.ArgumentParser(prog="python -m cs_features.local.bench", description=__doc__.splitlines()[0])
    parser.add_argument("scenario", nargs="*", choices=[*SCENARIOS, []], help=f"default: {' '.join(SCENARIOS)}")
    parser.add_argument("--quick", action="store_true", help="about ten times smaller; its figures prove nothing")
    options = parser.parse_args()
    leave_on_sigterm()
    names = options.scenario or list(SCENARIOS)
    command = " ".join(["python -m cs_features.local.bench", *names, *(["--quick"] if options.quick else [])])
    figures = {name: _run_scenario(name, options.quick) for name in names}
    _print_table(figures, command, options.quick)
    _write_report(figures, command, options.quick)
    missed = any(figure.met is False for found in figures.values() for figure in found)
    broken = any(not found or found[0].what == "did not run" for found in figures.values())
    return int(broken or (missed and not options.quick))


def _run_scenario(name: str, quick: bool) -> list[Figure]:
    started = time.monotonic()

    def say_line(line: str) -> None:
        console.print(f"[dim]{time.monotonic() - started:5.0f} s  {name}: {line}", highlight=False)

    say_line("starting")
    try:
        found = SCENARIOS[name](quick, say_line)
    except LocalProblem as problem:
        found = [Figure("did not run", str(problem), met=False)]
    say_line("done")
    return found


def describe_machine() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    load = os.getloadavg()[0]
    return f"{model}, {os.cpu_count()} CPUs, {platform.system()}, Python {platform.python_version()}, load {load:.1f}"


def _print_table(figures: dict[str, list[Figure]], command: str, quick: bool) -> None:
    table = Table(title="Benchmarks" + (" (quick: proves the harness, not the bars)" if quick else ""))
    for column in ("scenario", "", "figure", "bar", "met?"):
        table.add_column(column, justify="right" if column in ("bar", "met?") else "left", overflow="fold")
    for name, found in figures.items():
        for position, figure in enumerate(found):
            table.add_row(
                name if position == 0 else "", figure.what, escape(figure.text), figure.bar, _MARKS[figure.met]
            )
        table.add_section()
    console.print(table)
    console.print(f"[dim]{command}\n{describe_machine()}", highlight=False)


def _write_report(figures: dict[str, list[Figure]], command: str, quick: bool) -> None:
    scenarios: dict[str, list[dict[str, Any]]] = {name: [] for name in figures}
    for name, found in figures.items():
        scenarios[name] += map(asdict, found)
    report = {
        "command": command,
        "machine": describe_machine(),
        "finished_at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "quick": quick,
        "scenarios": scenarios,
    }
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    REPORT.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    sys.exit(main())
