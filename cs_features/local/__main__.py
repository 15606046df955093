"""`python -m cs_features.local`: the local AWS in a terminal of its own, until Ctrl-C.

Here: the command line, and what it prints. Not here: the stack (`stack.py`), what is created in it
(`provision.py`), the models (`engines.py`, `scripted.py`).
"""

import argparse
import shlex
import signal
import sys
import threading
from pathlib import Path

from cs_features.local.converse import Answerer
from cs_features.local.processes import announce_stack, announcement_path
from cs_features.local.provision import provision_account
from cs_features.local.stack import LocalStack


def main(arguments: list[str] | None = None) -> int:
    """Run until SIGINT or SIGTERM; 1 with a sentence on stderr when the stack cannot start."""
    parser = argparse.ArgumentParser(prog="python -m cs_features.local", description=__doc__.splitlines()[0])
    parser.add_argument("--state", type=Path, default=Path(".local"), help="folder that keeps everything")
    parser.add_argument("--port", type=int, default=4600, help="S3, SNS, SageMaker; the runtimes are on the next")
    parser.add_argument("--requests-per-minute", type=float, help="quota of each Bedrock model; default: none")
    model = parser.add_mutually_exclusive_group()
    model.add_argument("--model", help="GGUF file, or URL of an OpenAI-compatible server; default: SmolLM2-135M")
    model.add_argument("--scripted", metavar="JSON", help="a made-up model; fields of scripted.Script, or {}")
    options = parser.parse_args(arguments)

    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        with LocalStack(
            options.state,
            answerer=_make_answerer(options.model, options.scripted),
            port=options.port,
            requests_per_minute=options.requests_per_minute,
        ) as stack:
            provision_account(stack.environment)
            announce_stack(stack.environment, options.state)
            _print_how_to_use(stack.environment, options.state)
            stop.wait()
            print("Stopping.", flush=True)
    except (RuntimeError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _make_answerer(model: str | None, scripted: str | None) -> Answerer:
    # Imported only when asked for: the engine loads a model library that a scripted stack does not need.
    if scripted is not None:
        from cs_features.local.scripted import Script, ScriptedAnswerer

        return ScriptedAnswerer(Script.from_json(scripted))
    from cs_features.local.engines import choose_engine

    return choose_engine(model)


def _print_how_to_use(environment: dict[str, str], state: Path) -> None:
    path = shlex.quote(str(announcement_path(state)))
    print(f"S3, SNS, SageMaker (moto)       {environment['AWS_ENDPOINT_URL_S3']}")
    print(f"Bedrock, Feature Store runtime  {environment['AWS_ENDPOINT_URL_BEDROCK_RUNTIME']}")
    print(f"State                           {state.resolve()}")
    print(f"\nTo use it (also: set -a; . {path}; set +a):\n")
    print("".join(f"export {name}={shlex.quote(value)}\n" for name, value in environment.items()), flush=True)


if __name__ == "__main__":
    sys.exit(main())
