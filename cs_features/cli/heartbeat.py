"""`python -m cs_features.cli.heartbeat`: whether the pipeline still looks. One line; 0 alive, 1 dead or unknown.

Dagster's own sensors tell of everything but of the death of the daemon that evaluates them. This command is for
whoever watches from outside, with the data bucket's name and the permission to list and read it:

- cron on any other machine: `*/5 * * * * python -m cs_features.cli.heartbeat || mail -s "cs-features is dead" ...`
- a systemd timer whose unit has `OnFailure=` a unit that tells somebody
- AWS: a task or function on a schedule of five minutes, and a CloudWatch alarm on its failures that treats missing
  data as breaching, so that a watchman who is dead himself is noticed too

In the container of the daemon itself `dagster-daemon liveness-check` restarts what hangs; it tells nobody.
"""

import argparse
import sys
from datetime import timedelta

from cs_features.cli.arguments import parse_positive_number
from cs_features.environments import settings
from cs_features.errors import CsFeaturesError
from cs_features.monitoring.heartbeat import DEAD_AFTER, read_daemon_health
from cs_features.services import build_services_from

ALIVE, DEAD = 0, 1


def main(arguments: list[str] | None = None) -> int:
    """0 when the latest heartbeat is young and all daemons live, otherwise 1; with one line that says which."""
    options = parse_options(arguments)
    try:
        tables = build_services_from(settings()).data.tables()
        health = read_daemon_health(tables.bucket, timedelta(minutes=options.minutes))
    except CsFeaturesError as error:
        print(f"unknown: {error}", file=sys.stderr)
        return DEAD
    print(health.sentence, file=sys.stdout if health.is_alive else sys.stderr)
    return ALIVE if health.is_alive else DEAD


def parse_options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m cs_features.cli.heartbeat", description=(__doc__ or "").splitlines()[0]
    )
    minutes = int(DEAD_AFTER.total_seconds() // 60)
    parser.add_argument(
        "--minutes", type=parse_positive_number, default=minutes, help=f"dead when older than this; default {minutes}"
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
