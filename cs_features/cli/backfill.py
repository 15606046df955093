"""Run many days again, or for the first time: what it would cost, and with `--yes` launch it and follow it.

Without `--yes` nothing is launched. The runs stand behind everything that lands, newest day first, one a partition,
and are the same backfill that the Dagster UI shows. Ctrl-C ends the following and not the backfill; `--cancel ID`
stops it, `--resume ID` goes on with what is not done. Neither pays for an answer twice.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from datetime import datetime, timezone

import polars as pl

from cs_features.cli.arguments import parse_positive_number
from cs_features.cli.failures import REFUSED, report_command_failure
from cs_features.environments import Settings, settings
from cs_features.errors import CsFeaturesError, RequestError
from cs_features.partitions import Partition, list_countries
from cs_features.planning.backfill_launch import Backfill, DagsterUi
from cs_features.planning.backfill_progress import describe_progress, format_remaining_duration
from cs_features.planning.backfill_quote import BackfillQuote, quote_backfill_partitions, require_spending_room
from cs_features.planning.history import limit_by_account
from cs_features.planning.quote import Queue, list_partitions
from cs_features.planning.requests import Calendar, parse_day, require_known_countries
from cs_features.services import Model, build_services_from

LOOK_EVERY_SECONDS = 10.0
_PRINTED = {"tbl_rows": -1, "tbl_hide_dataframe_shape": True, "tbl_hide_column_data_types": True}


def main(arguments: list[str] | None = None) -> int:
    """0; 2 when the request or a setting is wrong, 1 when AWS or Dagster refuses or runs failed."""
    options = parse_options(arguments)
    try:
        return carry_out_request(options)
    except CsFeaturesError as error:
        return report_command_failure(error)


def parse_options(arguments: list[str] | None) -> argparse.Namespace:
    description = (__doc__ or "").splitlines()[0]
    parser = argparse.ArgumentParser(prog="python -m cs_features.cli.backfill", description=description)
    parser.add_argument("--country", nargs="*", default=[], help="default: all")
    parser.add_argument("--first", help="YYYY-MM-DD")
    parser.add_argument("--last", help="YYYY-MM-DD; default: today")
    parser.add_argument("--yes", action="store_true", help="launch it; without it only its price is told")
    parser.add_argument("--no-follow", action="store_true", help="launch it and do not wait")
    parser.add_argument(
        "--runs-at-once", type=parse_positive_number, default=Queue.runs_at_once, help="as dagster.yaml lets a backfill"
    )
    known = parser.add_mutually_exclusive_group()
    known.add_argument("--follow", metavar="ID", help="how far a backfill is")
    known.add_argument("--cancel", metavar="ID", help="stop one; its answers are kept")
    known.add_argument("--resume", metavar="ID", help="what of one is not done, as a new backfill")
    return parser.parse_args(arguments)


def carry_out_request(options: argparse.Namespace) -> int:
    chosen = settings()
    services, ui = build_services_from(chosen), DagsterUi(chosen.ui_url)
    queue = Queue(options.runs_at_once)
    if options.cancel:
        return cancel_backfill(ui, options.cancel)
    model = limit_by_account(services.model, services.data)
    if options.follow:
        return follow_backfill(ui, options.follow, queue, model)
    partitions = (
        list_undone_partitions(ui, options.resume) if options.resume else list_asked_partitions(options, chosen)
    )
    quote = quote_backfill_partitions(partitions, services.landing, services.data, model)
    print_backfill_quote(quote, queue, model)
    require_spending_room(quote, services.data, model, datetime.now(timezone.utc))
    if not options.yes:
        print("Nothing was launched. To launch it: --yes, or YES=1 with make.")
        return 0
    backfill_id = launch_quoted_backfill(ui, quote, options.resume)
    return 0 if options.no_follow else follow_backfill(ui, backfill_id, queue, model)


def list_asked_partitions(options: argparse.Namespace, chosen: Settings) -> list[Partition]:
    """The partitions asked for.

    Raises:
        RequestError: no first day, or days and countries that cannot be meant.
    """
    if not options.first:
        raise RequestError("Say from which day on: --first YYYY-MM-DD (or --follow, --cancel, --resume and an id)")
    calendar = Calendar.since(chosen.first_date)
    first = parse_day(options.first)
    last = parse_day(options.last) if options.last else calendar.today
    calendar.require_valid_days(first, last)
    return list_partitions(require_known_countries(options.country, list_countries(chosen.prompts_dir)), first, last)


def list_undone_partitions(ui: DagsterUi, backfill_id: str) -> list[Partition]:
    """What of a backfill that is over has not succeeded.

    Raises:
        RequestError: it is still going on, or all of it is done.
    """
    backfill = ui.read_backfill_state(backfill_id)
    if not backfill.is_backfill_over:
        raise RequestError(f"{backfill_id} is still going on: follow it with --follow, or stop it with --cancel first")
    undone = backfill.list_undone_keys()
    if not undone:
        raise RequestError(f"All {len(backfill.runs)} partitions of {backfill_id} are done: nothing is left to resume")
    return [Partition.from_key(key) for key in undone]


def print_backfill_quote(quote: BackfillQuote, queue: Queue, model: Model) -> None:
    with pl.Config(**_PRINTED):  # type: ignore[arg-type]
        print(quote.sum_by_country())
    minutes = quote.estimate_backfill_minutes(queue, model)
    print(
        f"{len(quote.quotes)} runs, {quote.calls:,} calls, ${quote.cost_usd:.2f} (+-{quote.margin_usd:.2f}), "
        f"about {format_remaining_duration(minutes)} if nothing else runs."
    )
    if quote.sampled < len(quote.quotes):
        print(f"{quote.sampled} partitions were quoted to the call, the others estimated from their bytes.")


def launch_quoted_backfill(ui: DagsterUi, quote: BackfillQuote, resumed: str | None) -> str:
    days = sorted(each.date for each in quote.partitions)
    countries = sorted({each.country for each in quote.partitions})
    title = f"{' '.join(countries)} {days[0]} to {days[-1]}" + (f", rest of {resumed}" if resumed else "")
    backfill_id = ui.launch_partition_backfill([each.key for each in quote.partitions], quote.calls, title)
    print(f"Launched {backfill_id}: {ui.url}/runs/b/{backfill_id}")
    return backfill_id


def cancel_backfill(ui: DagsterUi, backfill_id: str) -> int:
    ui.cancel_backfill(backfill_id)
    print(f"{backfill_id} is being stopped; what it was answered is kept. To go on: --resume {backfill_id} --yes")
    return 0


def follow_backfill(ui: DagsterUi, backfill_id: str, queue: Queue, model: Model) -> int:
    """Print a line whenever something has changed, until it is over or the user has seen enough."""
    shown = ""
    try:
        while True:
            backfill = ui.read_backfill_state(backfill_id)
            line = describe_progress(backfill, queue, model, time.time())
            if line != shown:
                print(line, flush=True)
                shown = line
            if backfill.is_backfill_over:
                return report_backfill_end(backfill)
            time.sleep(LOOK_EVERY_SECONDS)
    except KeyboardInterrupt:
        print(f"It goes on without being watched. Look again: --follow {backfill_id}; stop it: --cancel {backfill_id}")
        return 0


def report_backfill_end(backfill: Backfill) -> int:
    undone: Sequence[str] = backfill.list_undone_keys()
    if not undone:
        return 0
    print(f"Not done: {', '.join(undone[:10])}{' and more' if len(undone) > 10 else ''}", file=sys.stderr)
    print(f"When what stopped them is mended: --resume {backfill.id} --yes", file=sys.stderr)
    return REFUSED


if __name__ == "__main__":
    sys.exit(main())
