"""`make preview CANDIDATE=DIR`: what another prompt would change, and what a full rerun with it costs.

A small sample of every country and language is asked with the candidate. The intervals (95 %) are for the share
of values that the full rerun will change. `--noise` shows what changes without any change of prompt: where a
model takes no temperature that is not nothing, and no prompt goes below it.
"""

import argparse
import sys
from datetime import date
from pathlib import Path

import polars as pl

from cs_features.environments import settings
from cs_features.errors import CsFeaturesError
from cs_features.planning.preview.changes import as_shown
from cs_features.planning.preview.plan import Scope
from cs_features.planning.preview.run import preview
from cs_features.services import build_services

DIRECTIONS_SHOWN = 15


def _progress(done: int, total: int) -> None:
    print(f"\r{done} of {total} answered", end="\n" if done == total else "", file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="make preview", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--candidate", type=Path, required=True, help="a folder of prompts")
    parser.add_argument("--country", nargs="*", default=[], help="default: all")
    parser.add_argument("--first", type=date.fromisoformat, help="YYYY-MM-DD; default: the last 28 days held")
    parser.add_argument("--last", type=date.fromisoformat, help="YYYY-MM-DD")
    parser.add_argument("--sample", type=int, help="interactions to ask; default: 8 %% of them, at most 400")
    parser.add_argument("--noise", action="store_true", help="ask a quarter of the sample again with the prompt in use")
    parser.add_argument("--dry-run", action="store_true", help="only say what the sample and the rerun cost")
    options = parser.parse_args()
    try:
        services = build_services(settings())
        found = preview(
            options.candidate,
            services.model,
            services.data,
            Scope(options.country, options.first, options.last, options.sample),
            dry_run=options.dry_run,
            noise=options.noise,
            say=print,
            progress=_progress,
        )
    except CsFeaturesError as error:
        print(error, file=sys.stderr)
        return 1
    if found is None:
        return 0
    with pl.Config(
        tbl_rows=-1,
        tbl_cols=-1,
        tbl_width_chars=250,
        float_precision=3,
        tbl_hide_dataframe_shape=True,
        tbl_hide_column_data_types=True,
    ):
        print("Values that would change, in percent, with 95 % intervals:")
        print(as_shown(found.changes))
        print(f"Most frequent changes of categories and scores (of {found.directions.height}):")
        print(found.directions.head(DIRECTIONS_SHOWN))
        if found.noise is not None:
            print("What changes when the prompt in use is asked again:")
            print(as_shown(found.noise))
    return 0


if __name__ == "__main__":
    sys.exit(main())
