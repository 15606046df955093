"""`make demo`: land interactions, let the sensor find them, watch the runs, print what came of them.

Nothing here calls an asset or a model. It lands files, starts what production starts, and reads the
tables and Dagster's own records.
"""

import argparse
import hashlib
import os
import sys
import time
from contextlib import ExitStack
from datetime import date, datetime, timezone
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from cs_features.environments import Settings, settings
from cs_features.extraction.models import EMBEDDED_MODEL_ID, capabilities_of
from cs_features.extraction.pricing import TokenUsage, find_price_list
from cs_features.landing.notices import list_partition_notices
from cs_features.landing.zone import PREFIX, LandingZone
from cs_features.local.processes import ROOT, LocalProblem, dev_is_running, leave_on_sigterm, run_child, use_stack
from cs_features.local.provision import client_factory
from cs_features.orchestration.sensors.landing_memory import Cursor, Request
from cs_features.orchestration.sensors.landing_survey import Window, survey_landing
from cs_features.partitions import Partition
from cs_features.services import build_services_from
from cs_features.storage import Tables

CORPUS = Path(__file__).with_name("corpus") / PREFIX
REPRESENTATIVE_DAY = "date=2026-11-23"
TIMEOUT_MINUTES = 60
COLUMNS = (
    "country",
    "landed",
    "validated",
    "rejected, by reason",
    "duplicates",
    "cost",
    "at Haiku 5.5 list price*",
    "cache share",
    "p95 a call",
)
# Piped into a file or a log, the table still gets the room it needs.
console = Console(width=None if sys.stdout.isatty() else 150)


def land(source: Path, only: str | None, s3: Any, bucket: str) -> tuple[int, set[str]]:
    """Upload what is not there yet; returns the files uploaded and the partition folders they belong to."""
    files = sorted(path for path in source.glob("country=*/date=*/*") if path.is_file())
    files = [path for path in files if only is None or only in path.parts]
    if not files:
        raise LocalProblem(f"{source} holds no files such as country=NL/date=2026-11-24/name.jsonl")
    folders, uploaded = set(), 0
    for path in files:
        relative = path.relative_to(source).as_posix()
        key, body = f"{PREFIX}/{relative}", path.read_bytes()
        folders.add(relative.rsplit("/", 1)[0])
        # For one PUT the ETag is the MD5: landing the same file twice would only look like a change.
        if _etag(s3, bucket, key) != hashlib.md5(body, usedforsecurity=False).hexdigest():
            s3.put_object(Bucket=bucket, Key=key, Body=body)
            uploaded += 1
    return uploaded, folders


def _etag(s3: Any, bucket: str, key: str) -> str | None:
    found = s3.list_objects_v2(Bucket=bucket, Prefix=key, MaxKeys=1).get("Contents", [])
    return found[0]["ETag"].strip('"') if found and found[0]["Key"] == key else None


def list_wanted_runs(folders: set[str], zone: LandingZone, tables: Tables) -> dict[str, Partition]:
    """How the run key begins that the sensor gives each landed partition as it is now."""
    window = Window(date(2000, 1, 1), datetime.now(timezone.utc).date())
    landscape = survey_landing(zone, window, list_partition_notices(tables))
    if landscape.strays:
        console.print(
            "[yellow]No partition of this project, so the sensor leaves them alone: " + ", ".join(landscape.strays)
        )
    wanted = {}
    for key, folder in landscape.folders.items():
        partition = Partition.from_key(key)
        if partition.folder in folders:
            wanted[Cursor().run_key(key, Request(fingerprint=folder.fingerprint))] = partition
    return wanted


def wait_for_runs(
    runs: dict[str, Partition], instance: dg.DagsterInstance, daemon: Any, log: Path
) -> dict[str, dg.DagsterRun]:
    """Wait for a finished run of each key's beginning, and show what the runs themselves report."""
    started = time.monotonic()
    finished: dict[str, dg.DagsterRun] = {}
    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total} runs"),
        TimeElapsedColumn(),
        console=console,
    ) as progress:
        task = progress.add_task("waiting for the sensor", total=len(runs))
        shown: set[str] = set()
        while len(finished) < len(runs):
            if daemon is not None and daemon.poll() is not None:
                raise LocalProblem(f"Dagster's daemon stopped; see {log}")
            if time.monotonic() - started > TIMEOUT_MINUTES * 60:
                raise LocalProblem(f"Not done after {TIMEOUT_MINUTES} minutes; see {log}")
            active = []
            for key, partition in runs.items():
                run = None if key in finished else find_run(instance, key, partition)
                if run is None:
                    continue
                if run.is_finished:
                    finished[key] = run
                    mark = "[green]done" if run.is_success else "[red]failed"
                    progress.console.print(f"  {partition}: {mark}")
                elif run.status is dg.DagsterRunStatus.STARTED:
                    active.append(str(partition))
                    for line in list_reports(instance, run.run_id):
                        if line not in shown:
                            shown.add(line)
                            progress.console.print(f"  [dim]{line}")
            progress.update(
                task, completed=len(finished), description=", ".join(active) if active else "waiting for the sensor"
            )
            time.sleep(1)
    return finished


def find_run(instance: dg.DagsterInstance, key: str, partition: Partition) -> dg.DagsterRun | None:
    """The latest run whose key begins with `key`: the sensor adds how often the folder had changed before."""
    of_partition = dg.RunsFilter(tags={"dagster/partition": partition.key})
    runs = instance.get_runs(filters=of_partition, limit=20)
    return next((run for run in runs if run.tags.get("dagster/run_key", "").startswith(key)), None)


def list_reports(instance: dg.DagsterInstance, run_id: str) -> list[str]:
    """What the assets of a run have logged for its reader, in order."""
    return [
        record.user_message
        for record in instance.all_logs(run_id)
        if not record.is_dagster_event and record.level == 20
    ]


def report(partitions: list[Partition], tables: Tables, names: Settings) -> tuple[Table, str]:
    """The closing table, a row a country, and the line that says whether everything is accounted for."""
    reference = find_price_list(capabilities_of(Settings.model_fields["model_id"].default))
    table = Table(title=f"{names.model_id}", title_justify="left")
    for column in COLUMNS:
        table.add_column(column, justify="left" if column in ("country", "rejected, by reason") else "right")
    totals = {"landed": 0, "validated": 0, "rejected": 0, "duplicates": 0}
    for country in sorted({partition.country for partition in partitions}):
        days = [partition for partition in partitions if partition.country == country]
        raw, calls, validated, rejected = (
            pl.concat([frame for day in days if (frame := tables.read(name, day)) is not None] or [pl.DataFrame()])
            for name in ("raw_interactions", "llm_extractions", "validated_features", "rejected_records")
        )
        if min(raw.width, calls.width, validated.width, rejected.width) == 0:
            table.add_row(country, "a run failed before its tables were written: see the Dagster UI")
            continue
        counts = {
            "landed": raw.height,
            "validated": validated.height,
            "rejected": rejected.height,
            "duplicates": raw.filter(pl.col("status") == "duplicate").height,
        }
        totals = {name: totals[name] + count for name, count in counts.items()}
        asked = calls.filter(pl.col("attempts") > 0)
        usages = [
            TokenUsage(*row)
            for row in asked.select(
                "input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens"
            ).iter_rows()
        ]
        prompt_tokens = sum(usage.prompt_tokens for usage in usages)
        share = sum(usage.cache_read_tokens for usage in usages) / prompt_tokens if prompt_tokens else 0.0
        reasons = rejected.group_by("reason").len().sort("len", "reason", descending=[True, False])
        p95 = asked["latency_ms"].quantile(0.95, interpolation="nearest") or 0.0
        table.add_row(
            country,
            str(counts["landed"]),
            str(counts["validated"]),
            f"{rejected.height}: " + ", ".join(f"{reason} {count}" for reason, count in reasons.iter_rows())
            if rejected.height
            else "0",
            str(counts["duplicates"]),
            f"${asked['cost_usd'].sum():.4f}",
            f"${sum(map(reference, usages)):.4f}",
            f"{share:.0%}",
            f"{p95 / 1000:.1f} s",
        )
    left = totals["landed"] - totals["validated"] - totals["rejected"] - totals["duplicates"]
    line = (
        f"Conservation: {totals['landed']} landed = {totals['validated']} validated + {totals['rejected']} rejected "
        f"+ {totals['duplicates']} exact duplicates" + (": nothing is lost" if left == 0 else f"; OFF BY {left}")
    )
    return table, line


def main() -> int:
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__.splitlines()[0])
    parser.add_argument("--interactions", type=Path, help="a folder of your own: country=CC/date=YYYY-MM-DD/files")
    parser.add_argument("--all", action="store_true", help="the whole corpus, not its representative day")
    parser.add_argument("--model", help="a GGUF file, or the address of an OpenAI-compatible server")
    parser.add_argument("--state", type=Path, default=ROOT / ".local")
    parser.add_argument("--port", type=int, default=4600)
    options = parser.parse_args()
    leave_on_sigterm()
    try:
        return run(options)
    except LocalProblem as problem:
        console.print(f"[red]{problem}")
        return 1


def run(options: argparse.Namespace) -> int:
    clock = time.monotonic()
    source, day = (options.interactions, None) if options.interactions else (CORPUS, REPRESENTATIVE_DAY)
    with ExitStack() as opened:
        environment = opened.enter_context(use_stack(options.state, options.port, options.model))
        # This process reads the same settings as the daemon that it starts.
        os.environ.update(environment)
        names, client = settings(), client_factory(environment)
        services = build_services_from(names)
        zone, tables = services.landing.zone(), services.data.tables()
        console.print(
            f"The local AWS is up ({time.monotonic() - clock:.0f} s). It stands in for S3, Bedrock and SageMaker."
        )
        uploaded, folders = land(source, None if options.all else day, client("s3"), names.landing_bucket)
        console.print(f"{uploaded} files landed in s3://{names.landing_bucket}/{PREFIX}/, {len(folders)} partitions.")
        runs = list_wanted_runs(folders, zone, tables)
        instance = opened.enter_context(dg.DagsterInstance.get())
        daemon, log = None, options.state / "logs" / "daemon.log"
        if not dev_is_running(options.state):  # two daemons on one instance would launch runs twice
            daemon = opened.enter_context(
                run_child(["dagster._daemon", "run", "-w", "workspace.yaml"], environment, log)
            )
        finished = wait_for_runs(runs, instance, daemon, log)
        console.print(f"{len(finished)} runs, {time.monotonic() - clock:.0f} s from the start.\n")
        table, conservation = report(sorted(runs.values()), tables, names)
        console.print(table)
        console.print(
            "[dim]* the same tokens at the list price of the default model, for scale: its tokenizer differs."
        )
        if names.model_id == EMBEDDED_MODEL_ID:
            console.print(
                "[yellow]SmolLM2-135M is a stand-in that proves the plumbing: its sentiment is near chance. "
                "Do not judge the features by it."
            )
        console.print(f"\n[bold]{conservation}")
        console.print("\nSee it in the Dagster UI: [bold]make dev[/bold], then http://127.0.0.1:3000")
        failed = [str(runs[key]) for key, found in finished.items() if not found.is_success]
        if failed:
            console.print(f"[red]Runs failed for {', '.join(failed)}: open them in the UI")
        return 1 if failed or "OFF BY" in conservation else 0


if __name__ == "__main__":
    sys.exit(main())
