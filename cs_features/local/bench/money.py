"""What an interaction costs at list price on real service chats, and what the prompt cache saves of the input bill.

The endpoint estimates tokens (characters / 4) and keeps the cache's books; all four counts are then taken
times 1.3, so that the figure errs on the dear side. The texts are no part of the project: without them
the scenario says so and measures nothing.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import astuple, replace
from datetime import date
from math import ceil
from pathlib import Path
from typing import Any

from cs_features.environments import Settings
from cs_features.extraction.models import capabilities_of
from cs_features.extraction.pricing import TokenUsage, find_price_list
from cs_features.local.bench.children import Job, run_alone
from cs_features.local.bench.client import run_extraction, work_on
from cs_features.local.bench.endpoint import start_endpoint
from cs_features.local.bench.figures import Figure, Say, as_percent, at_least, at_most
from cs_features.local.processes import ROOT

TEXTS = ROOT.parent / "shared" / "data" / "landing"
CAUTION = 1.3
ANSWER_CHARACTERS = 330  # of a real answer's JSON, a summary of about 150 characters in it
DEAR_ANSWER_TOKENS = 250  # the upper end of what prompting.py expects of an answer


def measure_money(quick: bool, say: Say) -> list[Figure]:
    files = [path for path in sorted(TEXTS.glob("country=*/date=*/*.jsonl")) if _english_chats(path)]
    if not files:
        return [Figure("skipped", f"no English chats at {TEXTS}: put landing documents there to measure on them")]
    by_day: dict[str, list[Path]] = defaultdict(list)
    for path in files:
        by_day[path.parent.name].append(path)
    calls: list[TokenUsage] = []
    for day, paths in list(by_day.items())[: 1 if quick else None]:
        # The days of a country are days apart: each finds a cold cache, which a new endpoint has.
        with start_endpoint() as service:
            for path in paths:
                say(f"{path.parent.parent.name}/{day}")
                calls += [
                    TokenUsage(*each) for each in run_alone(service, Job(usage_of_calls, {"path": str(path)}), 300)
                ]
    return _figures_of(calls)


def _figures_of(calls: Sequence[TokenUsage]) -> list[Figure]:
    model = capabilities_of(Settings.model_fields["model_id"].default)
    price = find_price_list(model)
    careful = [_with_caution(call) for call in calls]
    scripted = sum(call.output_tokens for call in careful) / len(calls)
    real = max(scripted, ceil(ANSWER_CHARACTERS / 4) * CAUTION)
    cost = _mean_cost(price, [replace(call, output_tokens=ceil(real)) for call in careful])
    dear = _mean_cost(price, [replace(call, output_tokens=DEAR_ANSWER_TOKENS) for call in careful])
    paid = _mean_cost(price, [replace(call, output_tokens=0) for call in careful])
    uncached = _mean_cost(price, [TokenUsage(input_tokens=call.prompt_tokens) for call in careful])
    prompt = sum(call.prompt_tokens for call in careful) / len(calls)
    read = sum(call.cache_read_tokens for call in careful) / sum(call.prompt_tokens for call in careful)
    return [
        at_most(
            f"an interaction, {model.model_id}",
            cost,
            0.0002,
            lambda value: f"${value:.6f}",
            f"{len(calls)} calls, {prompt:.0f} prompt tokens, {real:.0f} output tokens; "
            f"the scripted answers have {scripted:.0f}; all counts x {CAUTION}",
        ),
        Figure("the same, with answers at the upper end", f"${dear:.6f} at {DEAR_ANSWER_TOKENS} output tokens", dear),
        at_least(
            "input bill saved by the cache",
            1 - paid / uncached,
            0.75,
            as_percent,
            f"{as_percent(read)} of it read from cache",
        ),
    ]


def _with_caution(call: TokenUsage) -> TokenUsage:
    return TokenUsage(
        ceil(call.input_tokens * CAUTION),
        ceil(call.cache_read_tokens * CAUTION),
        ceil(call.cache_write_tokens * CAUTION),
        ceil(call.output_tokens * CAUTION),
    )


def _mean_cost(price: Callable[[TokenUsage], float], calls: Sequence[TokenUsage]) -> float:
    return sum(map(price, calls)) / len(calls)


def _english_chats(path: Path) -> list[dict[str, Any]]:
    """The English service chats of a landed file."""
    documents = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return [each for each in documents if (each["channel"], each.get("language")) == ("chat", "en")]


def usage_of_calls(path: str) -> list[list[int]]:
    """In a client process: the four token counts of each English chat of a landed file, through the engine."""
    country, day = (part.split("=")[1] for part in Path(path).parts[-3:-1])
    work = work_on(country, _english_chats(Path(path)), date.fromisoformat(day))
    session = run_extraction(work, work.extractor())
    return [list(astuple(outcome.usage)) for outcome in session.outcomes.values() if outcome.answered]
