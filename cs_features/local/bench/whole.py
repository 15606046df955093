"""The whole chain for one partition, in a process that does nothing else: what `plain.py` is measured against.

`python -m cs_features.local.bench.whole PARTITION RESULT`: runs `process_interactions` as a run's process does, with
the log level of the shipped instance, and writes its CPU seconds. It imports nothing but the product.
"""

import json
import resource
import sys
from pathlib import Path

# The image has it not; where the tests have brought it, pandera loads it, for 0.15 s, and uses nothing of it.
sys.modules["hypothesis"] = None  # type: ignore[assignment]

import dagster as dg  # noqa: E402

from cs_features.definitions import defs  # noqa: E402

SHIPPED = {"python_logs": {"python_log_level": "INFO"}, "telemetry": {"enabled": False}}  # as dagster.yaml has them


def main() -> None:
    partition, result = sys.argv[1:]
    with dg.DagsterInstance.ephemeral(settings=SHIPPED) as instance:
        job = defs.resolve_job_def("process_interactions")
        job.execute_in_process(partition_key=partition, instance=instance)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    Path(result).write_text(json.dumps(usage.ru_utime + usage.ru_stime))


if __name__ == "__main__":
    main()
