"""`make dev`: the Dagster UI, with its daemon, on the local stack, until Ctrl-C."""

import argparse
import sys
from pathlib import Path

from cs_features.local.processes import ROOT, LocalProblem, child, dev_running, leave_on_sigterm, stack


def main() -> int:
    parser = argparse.ArgumentParser(prog="make dev", description=__doc__)
    parser.add_argument("--model", help="a GGUF file, or the address of an OpenAI-compatible server")
    parser.add_argument("--state", type=Path, default=ROOT / ".local")
    parser.add_argument("--port", type=int, default=4600)
    parser.add_argument("--ui-port", type=int, default=3000)
    options = parser.parse_args()
    leave_on_sigterm()
    arguments = ["dagster", "dev", "-w", "workspace.yaml", "-h", "127.0.0.1", "-p", str(options.ui_port)]
    try:
        with (
            stack(options.state, options.port, options.model) as environment,
            dev_running(options.state),
            child(arguments, environment, log=None) as dagster,
        ):
            return dagster.wait()
    except KeyboardInterrupt:
        return 0
    except LocalProblem as problem:
        print(problem, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
