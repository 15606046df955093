"""`make evaluate`: the golden corpus through the engine and ledger, and how good the answers are.

An unchanged prompt costs nothing the second time. With `--candidate`, another folder of prompts is asked
the same items and compared with the one in use. What the numbers mean is in `evaluation.py`.
"""

import argparse
import sys
from pathlib import Path

import polars as pl

from cs_features.aws import AwsRefusal
from cs_features.environments import settings
from cs_features.evaluation import compare, quality
from cs_features.extraction.bedrock import RunStopper
from cs_features.extraction.session import Session
from cs_features.golden import GoldenItem, load_golden
from cs_features.golden_run import answers_of
from cs_features.resources import Model, resources_for
from cs_features.storage import DataBucket


def _ask(items: list[GoldenItem], model: Model, data: DataBucket) -> pl.DataFrame:
    def progress(session: Session, total: int) -> None:
        print(f"\r{len(session.outcomes)} of {total} answered", end="", file=sys.stderr, flush=True)

    answers = answers_of(items, model, data, progress)
    print(f"\n{answers.calls} calls, ${answers.cost_usd:.4f}", file=sys.stderr)
    return answers.frame


def main() -> int:
    parser = argparse.ArgumentParser(prog="make evaluate", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--language", nargs="*", help="default: every language of the golden corpus")
    parser.add_argument("--candidate", type=Path, help="a folder of prompts to compare with the one in use")
    options = parser.parse_args()
    try:
        resources = resources_for(settings())
        model: Model = resources["model"]
        items = load_golden(Path(model.prompts_dir), model.prompts())
        items = [item for item in items if not options.language or item.language in options.language]
        in_use = _ask(items, model, resources["data"])
        with pl.Config(tbl_rows=-1, tbl_cols=-1, tbl_width_chars=200, float_precision=2, tbl_hide_dataframe_shape=True):
            print(f"{model.model_id}: by language; low and high are the ends of a 95 % interval")
            print(quality(in_use, ("language",)).drop("country"))
            if options.candidate:
                other = model.model_copy(update={"prompts_dir": str(options.candidate)})
                found = compare(in_use, _ask(items, other, resources["data"]))
                rows = [{**vars(each), "verdict": each.verdict} for each in found]
                print(f"{options.candidate} against the prompts in use, on the same items")
                print(pl.DataFrame(rows))
    except (AwsRefusal, RunStopper, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
