"""`make preview CANDIDATE=DIR`: what another prompt would change, and what a full rerun with it costs.

A small sample of every country and language is asked with the candidate. The intervals (95 %) are for the share
of values that the full rerun will change. `--noise` shows what changes without any change of prompt: where a
model takes no temperature that is not nothing, and no prompt goes below it.
"""

import argparse
import sys

import polars as pl

from cs_features.cli.failures import report_command_failure
from cs_features.environments import settings
from cs_features.errors import CsFeaturesError
from cs_features.planning.preview.changes import format_change_estimates
from cs_features.planning.preview.plan import Scope
from cs_features.planning.preview.run import Preview, preview_candidate_prompts
from cs_features.planning.requests import Calendar, parse_day
from cs_features.services import build_services_from

DIRECTIONS_SHOWN = 15


_PRINTED = {
    "tbl_rows": -1,
    "tbl_cols": -1,
    "tbl_width_chars": 250,
    "float_precision": 3,
    "tbl_hide_dataframe_shape": True,
    "tbl_hide_column_data_types": True,
}


def main() -> int:
    """0; 2 when the request, a file or a setting is wrong, 1 when AWS refuses, each with a sentence on stderr."""
    options = _parse_options()
    try:
        chosen = settings()
        scope = _build_preview_scope(options, Calendar.since(chosen.first_date))
        services = build_services_from(chosen)
        found = preview_candidate_prompts(
            services.data.prompt_versions().find_candidate_folder(options.candidate),
            services.model,
            services.data,
            scope,
            dry_run=options.dry_run,
            noise=options.noise,
            say=print,
            progress=_print_progress,
        )
    except CsFeaturesError as error:
        return report_command_failure(error)
    if found is not None:
        with pl.Config(**_PRINTED):  # type: ignore[arg-type]
            _print_preview_result(found)
    return 0


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make preview", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--candidate", required=True, help="a folder of prompts, or a version that was pushed")
    parser.add_argument("--country", nargs="*", default=[], help="default: all")
    parser.add_argument("--first", help="YYYY-MM-DD; default: the last 28 days held")
    parser.add_argument("--last", help="YYYY-MM-DD")
    parser.add_argument("--sample", type=int, help="interactions to ask; default: 8 %% of them, at most 400")
    parser.add_argument("--noise", action="store_true", help="ask a quarter of the sample again with the prompt in use")
    parser.add_argument("--dry-run", action="store_true", help="only say what the sample and the rerun cost")
    options = parser.parse_args()
    if options.sample is not None and options.sample < 1:
        parser.error("--sample is a positive number")
    return options


def _build_preview_scope(options: argparse.Namespace, calendar: Calendar) -> Scope:
    first, last = (parse_day(day) if day else None for day in (options.first, options.last))
    calendar.require_valid_days(first, last)
    return Scope(options.country, first, last, options.sample)


def _print_progress(done: int, total: int) -> None:
    print(f"\r{done} of {total} answered", end="\n" if done == total else "", file=sys.stderr, flush=True)


def _print_preview_result(found: Preview) -> None:
    print("Values that would change, in percent, with 95 % intervals:")
    print(format_change_estimates(found.changes))
    print(f"Most frequent changes of categories and scores (of {found.directions.height}):")
    print(found.directions.head(DIRECTIONS_SHOWN))
    if found.noise is not None:
        print("What changes when the prompt in use is asked again:")
        print(format_change_estimates(found.noise))


if __name__ == "__main__":
    sys.exit(main())
