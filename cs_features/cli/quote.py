"""What a run would cost, before it is run: calls still needed, tokens, dollars and minutes. Asks no model."""

import argparse
import sys
from datetime import date

import polars as pl

from cs_features.environments import settings
from cs_features.errors import CsFeaturesError
from cs_features.partitions import list_countries
from cs_features.planning.quote import as_frame, partitions_between, quotes
from cs_features.services import build_services


def main() -> int:
    try:
        return _print_quote()
    except CsFeaturesError as error:
        print(error, file=sys.stderr)
        return 1


def _print_quote() -> int:
    every = list_countries(settings().prompts_dir)
    description = (__doc__ or "").splitlines()[0]
    parser = argparse.ArgumentParser(prog="python -m cs_features.cli.quote", description=description)
    parser.add_argument("--country", nargs="*", default=every, choices=every, help="default: all")
    parser.add_argument("--first", type=date.fromisoformat, required=True, help="YYYY-MM-DD")
    parser.add_argument("--last", type=date.fromisoformat, help="YYYY-MM-DD; default: the first day alone")
    options = parser.parse_args()
    partitions = partitions_between(options.country, options.first, options.last or options.first)
    services = build_services(settings())
    found = quotes(partitions, services.landing, services.data, services.model)
    with pl.Config(
        tbl_rows=-1, tbl_cols=-1, tbl_width_chars=240, tbl_hide_dataframe_shape=True, tbl_hide_column_data_types=True
    ):
        print(as_frame(found))
    if any(quote.learned_from_calls == 0 and quote.calls for quote in found):
        print("Where learned_from_calls is 0, nothing was extracted for the country before: take it as +-30 %.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
