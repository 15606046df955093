"""Where one interaction is, and why: every table, the ledger and the store, in the order of the flow; never its text.

Without `--partition` every day that was ever read is looked through, a file each. `--rejects 'NL|2026-11-24'` lists
the first rejects of a partition instead: reason, what was wrong, file and line.
"""

import argparse
import sys
from collections.abc import Sequence
from uuid import UUID

import polars as pl

from cs_features.cli.failures import report_command_failure
from cs_features.environments import settings
from cs_features.errors import CsFeaturesError, RequestError
from cs_features.partitions import Partition, list_countries
from cs_features.planning.requests import require_known_countries
from cs_features.reporting.rejects import list_first_rejects
from cs_features.reporting.whereabouts import conclude, trace_interaction_everywhere
from cs_features.services import Services, build_services_from

_PRINTED = {"tbl_rows": -1, "tbl_width_chars": 160, "fmt_str_lengths": 90, "tbl_hide_dataframe_shape": True}


def main(arguments: list[str] | None = None) -> int:
    """0; 2 when the request or a setting is wrong, 1 when AWS refuses."""
    options = parse_options(arguments)
    try:
        chosen = settings()
        services = build_services_from(chosen)
        asked = options.rejects or options.partition
        hint = parse_partition_key(asked, list_countries(chosen.prompts_dir)) if asked else None
        if options.rejects and hint:
            print_first_rejects(services, hint)
        else:
            print_interaction_traces(services, parse_interaction_id(options.interaction_id), hint)
    except CsFeaturesError as error:
        return report_command_failure(error)
    return 0


def parse_options(arguments: list[str] | None) -> argparse.Namespace:
    description = (__doc__ or "").splitlines()[0]
    parser = argparse.ArgumentParser(prog="python -m cs_features.cli.why", description=description)
    parser.add_argument("interaction_id", nargs="?", default="", help="a UUID")
    parser.add_argument("--partition", metavar="KEY", help="look at this one alone, such as 'NL|2026-11-24'")
    parser.add_argument("--rejects", metavar="KEY", help="the first rejects of a partition")
    return parser.parse_args(arguments)


def parse_interaction_id(text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError:
        raise RequestError(f"{text!r} is no UUID: give the interaction_id, or --rejects with a partition") from None


def parse_partition_key(key: str, countries: Sequence[str]) -> Partition:
    try:
        partition = Partition.from_key(key)
    except ValueError:
        raise RequestError(f"{key!r} is no partition such as 'NL|2026-11-24'") from None
    require_known_countries([partition.country], countries)
    return partition


def print_interaction_traces(services: Services, interaction_id: str, hint: Partition | None) -> None:
    traces = list(trace_interaction_everywhere(services, interaction_id, hint))
    for trace in traces:
        print(f"{trace.place}: {trace.sentence}")
    print(conclude(traces))


def print_first_rejects(services: Services, partition: Partition) -> None:
    rejected = services.data.tables().read("rejected_records", partition)
    if rejected is None:
        raise RequestError(f"{partition} was never run: nobody knows what of it would be rejected")
    if rejected.is_empty():
        print(f"{partition}: no rejects")
        return
    with pl.Config(**_PRINTED):  # type: ignore[arg-type]
        print(list_first_rejects(rejected))
    print(
        f"{partition}: {rejected.height} rejects in all, at {services.data.tables().uri('rejected_records', partition)}"
    )


if __name__ == "__main__":
    sys.exit(main())
