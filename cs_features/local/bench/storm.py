"""Whatever goes wrong, the store serves what is true: a full store, and rounds of causes that would empty it.

Fifteen partitions are published. Then at random: another feature group, a bucket emptied or swapped, landing objects
that expire or are damaged, a model that refuses, babbles or is down for minutes, runs killed between any two calls,
corrections, deletions and hosts whose clocks are wrong. After each round nothing may be withdrawn that still exists,
and no record of an old text may stand under a new document; when the causes have ended, sensor and reconciliation
alone must bring everything back that should be served. The runs are the product's, on the local AWS; the time of both
is ours.
"""

import time
from pathlib import Path
from typing import Any

from cs_features.local.bench.children import Job, run_alone, serve_stack
from cs_features.local.bench.figures import Figure, Say, equal_to
from cs_features.local.bench.storm_model import serve_storm
from cs_features.local.bench.storm_rounds import Storm

SETTINGS = {
    "CS_FEATURES_REQUESTS_PER_MINUTE": "60000",
    "CS_FEATURES_MAX_COST_USD": "1000",
    "CS_FEATURES_MAX_COST_USD_PER_DAY": "10000",
    "CS_FEATURES_MAX_COST_USD_PER_MONTH": "10000",
    "CS_FEATURES_LANDING_QUIET_SECONDS": "0",
}
DEADLINE_SECONDS = 6 * 3_600


def measure_storm(quick: bool, say: Say) -> list[Figure]:
    partitions, documents, rounds = (3, 200, 12) if quick else (15, 2_000, 40)
    with serve_stack(Job(serve_storm)) as service:
        progress = service.folder / "progress"
        arguments = {
            "state": str(service.folder / "state"),
            "partitions": partitions,
            "documents": documents,
            "rounds": rounds,
            "progress": str(progress),
        }
        spoken = [time.monotonic()]

        def report_progress() -> None:
            if time.monotonic() - spoken[0] > 20 and progress.exists():
                spoken[0] = time.monotonic()
                say(progress.read_text())

        found = run_alone(service, Job(run_storm, arguments, SETTINGS), DEADLINE_SECONDS, report_progress)
    causes = ", ".join(f"{count} {cause}" for cause, count in sorted(found["causes"].items()))
    return [
        Figure("rounds", f"{rounds}: {causes}; {found['runs']} runs, {found['failed']} failed", rounds),
        equal_to("records withdrawn though their document exists", found["withdrawn"], 0, "; ".join(found["details"])),
        equal_to("records of an old text under a new document", found["mixed"], 0),
        equal_to("documents not served when the causes had ended", found["unserved"], 0),
        equal_to("records served of documents that are gone", found["superfluous"], 0),
        equal_to("rounds after which nobody was needed", found["healed"], rounds),
    ]


def run_storm(state: str, partitions: int, documents: int, rounds: int, progress: str) -> dict[str, Any]:
    """In a client process: publish, storm, compare; counts of what must not happen."""
    storm = Storm(Path(state), partitions, documents)
    storm.publish_everything()
    for number in range(rounds):
        Path(progress).write_text(f"round {number + 1} of {rounds}: {storm.count_runs()}")
        storm.play_round()
    return storm.report()
