"""What a run would cost, before it is run: calls still needed, tokens, dollars and minutes. Asks no model.

`--stale` quotes what was made with another prompt or model than those in use, and nothing else. What is quoted is
run from Dagster: select its partitions at the job `process_interactions` and launch a backfill.
"""

import argparse
import sys

import polars as pl

from cs_features.cli.arguments import parse_positive_number
from cs_features.cli.failures import report_command_failure
from cs_features.environments import settings
from cs_features.errors import CsFeaturesError
from cs_features.partitions import list_countries
from cs_features.planning.history import limit_by_account, list_stale_partitions, quote_landed_documents
from cs_features.planning.quote import (
    MIN_HISTORY_CALLS,
    Queue,
    Quote,
    build_quote_frame,
    estimate_wall_minutes,
    list_partitions,
)
from cs_features.planning.requests import Calendar, parse_day, require_known_countries
from cs_features.services import build_services_from

_PRINTED = {
    "tbl_rows": -1,
    "tbl_cols": -1,
    "tbl_width_chars": 240,
    "tbl_hide_dataframe_shape": True,
    "tbl_hide_column_data_types": True,
}


def main() -> int:
    """0; 2 when the request or a setting is wrong, 1 when AWS refuses, each with a sentence on stderr."""
    options = _parse_options()
    try:
        _print_quote_table(options)
    except CsFeaturesError as error:
        return report_command_failure(error)
    return 0


def _parse_options() -> argparse.Namespace:
    description = (__doc__ or "").splitlines()[0]
    parser = argparse.ArgumentParser(prog="python -m cs_features.cli.quote", description=description)
    parser.add_argument("--country", nargs="*", default=[], help="default: all")
    parser.add_argument("--first", required=True, help="YYYY-MM-DD")
    parser.add_argument("--last", help="YYYY-MM-DD; default: the first day alone")
    parser.add_argument("--stale", action="store_true", help="only what another prompt or model than now has made")
    parser.add_argument(
        "--runs-at-once",
        type=parse_positive_number,
        default=Queue.runs_at_once,
        help="as Dagster's max_concurrent_runs",
    )
    return parser.parse_args()


def _print_quote_table(options: argparse.Namespace) -> None:
    chosen = settings()
    services = build_services_from(chosen)
    first = parse_day(options.first)
    last = parse_day(options.last) if options.last else first
    Calendar.since(chosen.first_date).require_valid_days(first, last)
    partitions = list_partitions(
        require_known_countries(options.country, list_countries(chosen.prompts_dir)), first, last
    )
    if options.stale:
        partitions = list_stale_partitions(partitions, services.data, services.model)
    model = limit_by_account(services.model, services.data)
    quotes = quote_landed_documents(partitions, services.landing, services.data, model)
    wall_minutes = estimate_wall_minutes(quotes, Queue(options.runs_at_once), model)
    with pl.Config(**_PRINTED):  # type: ignore[arg-type]
        print(build_quote_frame(quotes, wall_minutes))
    print(f"The minutes of all are those until the last of {len(quotes)} runs has ended, waiting for each other.")
    if any(_is_rough_guess(quote) for quote in quotes):
        print(
            f"Where learned_from_calls is 0, fewer than {MIN_HISTORY_CALLS} calls of this model are known for the "
            "country: take it as +-30 %."
        )


def _is_rough_guess(quote: Quote) -> bool:
    return quote.calls > 0 and quote.learned_from_calls == 0


if __name__ == "__main__":
    sys.exit(main())
