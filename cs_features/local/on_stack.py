"""Run a module on the local stack until it ends: the Dagster UI of `make dev`, or one of the product's commands.

`python -m cs_features.local.on_stack MODULE [ARGUMENTS]`
"""

import argparse
import sys
from contextlib import ExitStack
from pathlib import Path

from cs_features.local.processes import ROOT, LocalProblem, leave_on_sigterm, mark_dev_running, run_child, use_stack


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m cs_features.local.on_stack", description=__doc__.splitlines()[0])
    parser.add_argument("--model", help="a GGUF file, or the address of an OpenAI-compatible server")
    parser.add_argument("--state", type=Path, default=ROOT / ".local")
    parser.add_argument("--port", type=int, default=4600)
    parser.add_argument("command", nargs=argparse.REMAINDER, help="a module and its arguments")
    options = parser.parse_args()
    leave_on_sigterm()
    try:
        with ExitStack() as opened:
            environment = opened.enter_context(use_stack(options.state, options.port, options.model))
            if options.command[:2] == ["dagster", "dev"]:
                opened.enter_context(mark_dev_running(options.state))
            return opened.enter_context(run_child(options.command, environment, log=None)).wait()
    except KeyboardInterrupt:
        return 130
    except LocalProblem as problem:
        print(problem, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
