"""Run one of the product's commands on the local stack: `python -m cs_features.local.on_stack MODULE [ARGUMENTS]`."""

import argparse
import sys
from pathlib import Path

from cs_features.local.processes import ROOT, LocalProblem, child, leave_on_sigterm, stack


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m cs_features.local.on_stack", description=__doc__)
    parser.add_argument("--model", help="a GGUF file, or the address of an OpenAI-compatible server")
    parser.add_argument("--state", type=Path, default=ROOT / ".local")
    parser.add_argument("--port", type=int, default=4600)
    parser.add_argument("command", nargs=argparse.REMAINDER, help="a module and its arguments")
    options = parser.parse_args()
    leave_on_sigterm()
    try:
        with (
            stack(options.state, options.port, options.model) as environment,
            child(options.command, environment, log=None) as command,
        ):
            return command.wait()
    except KeyboardInterrupt:
        return 130
    except LocalProblem as problem:
        print(problem, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
