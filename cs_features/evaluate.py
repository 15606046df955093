"""`make evaluate`: the golden corpus through the engine and ledger, and how good the answers are.

An unchanged prompt costs nothing the second time. With `--candidate`, another folder of prompts is asked
the same items and compared with the one in use. What the numbers mean is in `evaluation.py`.
"""

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

import polars as pl

from cs_features.aws import AwsRefusal, explained
from cs_features.environments import settings
from cs_features.evaluation import answers_frame, compare, quality
from cs_features.extraction.bedrock import RunStopper
from cs_features.extraction.ledger import Ledger
from cs_features.extraction.prompting import ConverseRequest, Prompts, build_request, request_hash
from cs_features.extraction.session import Session, extract
from cs_features.golden import GoldenItem, load_golden
from cs_features.resources import Model, resources_for
from cs_features.storage import DataBucket, s3_client


def ask(items: list[GoldenItem], model: Model, data: DataBucket) -> pl.DataFrame:
    """The items with the model's answers, as `answers_frame` makes them; asks what the ledger lacks."""
    prompts, capabilities = model.prompts(), model.capabilities()
    requests: dict[str, ConverseRequest] = {}
    keys = {}
    for item in items:
        request, _ = build_request(prompts, capabilities, item.interaction(), item.language)
        keys[item.id] = request_hash(request)
        requests[keys[item.id]] = request

    def progress(session: Session) -> None:
        print(f"\r{len(session.outcomes)} of {len(requests)} answered", end="", file=sys.stderr, flush=True)

    folder = f"golden/{model.model_id}"
    with explained("Ledger", "CS_FEATURES_DATA_BUCKET"), Ledger(s3_client(data.s3), data.name, folder) as ledger:
        session = extract(requests, ledger, model.extractor(prompts), model.max_concurrency, progress)
        ledger.compact()
    print(f"\nThis evaluation cost ${session.cost_usd:.4f}", file=sys.stderr)
    answers: dict[str, dict[str, Any] | None] = {item: session.outcomes[key].answer for item, key in keys.items()}
    return answers_frame(items, answers, example_summaries(prompts))


def example_summaries(prompts: Prompts) -> frozenset[str]:
    """The summaries of the worked examples, which are in the prompt as JSON blocks."""
    told = [prompts.instructions, *(country.body for country in prompts.countries.values())]
    blocks = [block for text in told for block in re.findall(r"```json\n(.*?)\n```", text, flags=re.DOTALL)]
    return frozenset(json.loads(block)["summary"] for block in blocks)


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
        in_use = ask(items, model, resources["data"])
        with pl.Config(tbl_rows=-1, tbl_cols=-1, tbl_width_chars=200, float_precision=2, tbl_hide_dataframe_shape=True):
            print(f"{model.model_id}: by language; low and high are the ends of a 95 % interval")
            print(quality(in_use, ("language",)).drop("country"))
            if options.candidate:
                other = model.model_copy(update={"prompts_dir": str(options.candidate)})
                found = compare(in_use, ask(items, other, resources["data"]))
                rows = [{**vars(each), "verdict": each.verdict} for each in found]
                print(f"{options.candidate} against the prompts in use, on the same items")
                print(pl.DataFrame(rows))
    except (AwsRefusal, RunStopper, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
