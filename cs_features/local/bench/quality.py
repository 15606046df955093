"""Whether the evaluation tells the truth: planted error rates against its intervals, a planted drop against its gate.

A draw is two prompts that nobody asked before, and what they answer is the golden labels with errors: in each
language at a rate of its own, and five points more often for the candidate. Every item and field errs by
itself, so the candidate's errors are not those in use and some more, but others: the hardest case for a
paired comparison. Draws go through the engine, boto3 and the endpoint, as `make evaluate` does.
"""

import random
import re
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl

from cs_features.environments import PROMPTS_OF_THE_PROJECT, settings
from cs_features.extraction.models import capabilities_of
from cs_features.extraction.prompting import build_converse_request
from cs_features.extraction.prompts import Prompts, load_prompt_folder
from cs_features.local.bench.children import Job, announce_and_wait, run_alone, serve_stack
from cs_features.local.bench.figures import Figure, Say, as_percent, at_least, equal_to
from cs_features.local.converse import ConverseRequest, Reply
from cs_features.local.provision import provision_account
from cs_features.local.scripted import Script, ScriptedAnswerer, hash_text
from cs_features.local.stack import LocalStack
from cs_features.quality import evaluation
from cs_features.quality.comparison import compare_paired_answers
from cs_features.quality.golden import GoldenItem, load_golden_corpus
from cs_features.quality.golden_run import ask_golden_items
from cs_features.schemas import CATEGORICAL, SCORES
from cs_features.services import DataBucket, Model, build_services_from

DRAWS, QUICK_DRAWS, DRAWS_A_PROCESS = 200, 10, 20
RATES, DROP = (0.05, 0.40), 0.05  # of errors in use, and how many more the candidate makes
IN_USE, CANDIDATE = "in use", "candidate"
SETTINGS = {"CS_FEATURES_REQUESTS_PER_MINUTE": "600000"}  # finding a quota is another scenario's business


def measure_quality(quick: bool, say: Say) -> list[Figure]:
    draws = QUICK_DRAWS if quick else DRAWS
    seen: list[dict[str, Any]] = []
    with serve_stack(Job(serve_planted)) as service:
        while len(seen) < draws:
            count = min(DRAWS_A_PROCESS, draws - len(seen))
            seen += run_alone(service, Job(measure_draws, {"first": len(seen), "count": count}, SETTINGS), 1_200)
            say(f"{len(seen)} of {draws} draws")
    return figures_of(seen)


def figures_of(seen: Sequence[Mapping[str, Any]]) -> list[Figure]:
    """The figures of draws, each as `draw` returns it."""
    covered = pl.DataFrame([row for each in seen for row in each["intervals"]])
    accuracy = covered.filter(pl.col("measure") == "accuracy")
    macro_f1 = covered.filter(pl.col("measure") == "macro_f1")
    verdicts = Counter(each["verdict"] for every in seen for each in every["comparisons"])
    together = pl.DataFrame([each for every in seen for each in every["comparisons"]]).filter(
        language=evaluation.ALL, measure="accuracy"
    )
    told = together.filter(verdict="worse").height / together.height
    return [
        at_least(
            "accuracy intervals that cover the planted accuracy",
            _hit_share(accuracy),
            0.93,
            as_percent,
            f"{len(seen)} draws, {sum(each['calls'] for each in seen):,} calls",
        ),
        _lowest_cell("the same, worst language", accuracy, ["language"]),
        _lowest_cell("the same, worst language and field", accuracy, ["language", "field"]),
        Figure("macro-F1 intervals that cover the planted one", as_percent(_hit_share(macro_f1)), _hit_share(macro_f1)),
        equal_to(
            "a 5-point drop called better, of all comparisons",
            verdicts["better"],
            0,
            f"{verdicts['worse']:,} worse, {verdicts['inconclusive']:,} inconclusive",
        ),
        Figure("the same drop called worse, accuracy in all languages together", as_percent(told), told),
    ]


def _hit_share(covered: pl.DataFrame) -> float:
    return float(covered["hit"].sum()) / covered.height


def _lowest_cell(what: str, covered: pl.DataFrame, by: list[str]) -> Figure:
    cells = covered.group_by(by).agg(pl.col("hit").mean()).sort("hit", *by)
    where = " ".join(cells.row(0)[:-1])
    return Figure(what, f"{as_percent(cells['hit'][0])} ({where}, of {cells.height})", cells["hit"][0])


def measure_draws(first: int, count: int) -> list[dict[str, Any]]:
    """In a client process: `count` draws, the first of which has the number `first`."""
    services = build_services_from(settings())
    model = services.model
    items = load_golden_corpus(model.prompts_dir, model.prompts())
    return [ask_draw(number, items, model, services.data) for number in range(first, first + count)]


def ask_draw(number: int, items: list[GoldenItem], model: Model, data: DataBucket) -> dict[str, Any]:
    """Ask both prompts of a draw; which intervals cover what was planted, and what the gate says of the drop."""
    frames, calls = {}, 0
    for side in (IN_USE, CANDIDATE):
        with TemporaryDirectory(prefix="cs-features-draw-") as folder:
            prompts = _mark_prompts(model.prompts_dir, Path(folder) / "prompts", number, side)
            asked = ask_golden_items(items, replace(model, prompts_dir=prompts), data, lambda *_: None)
        frames[side], calls = asked.frame, calls + asked.calls
    intervals = []
    for row in evaluation.measure_quality(frames[IN_USE], ("language",)).iter_rows(named=True):
        if row["measure"] in ("accuracy", "macro_f1"):
            labels = [item.labels[row["field"]] for item in items if item.language == row["language"]]
            values = len(_enum_values(model.prompts(), row["field"]))
            in_the_long_run = _planted_value(row["measure"], rate_of(number, IN_USE, row["language"]), labels, values)
            where = {name: row[name] for name in ("language", "field", "measure")}
            intervals.append({**where, "hit": row["low"] <= in_the_long_run <= row["high"]})
    comparisons = [
        {"language": each.language, "measure": each.measure, "verdict": each.verdict}
        for each in compare_paired_answers(frames[IN_USE], frames[CANDIDATE])
    ]
    return {"intervals": intervals, "comparisons": comparisons, "calls": calls}


def _mark_prompts(prompts: Path, copy: Path, number: int, side: str) -> Path:
    """A copy of the prompts that says which draw it is: the endpoint reads it, and no ledger has its answers."""
    shutil.copytree(prompts, copy, ignore=shutil.ignore_patterns("golden"))
    instructions = copy / "instructions.md"
    instructions.write_text(f"{instructions.read_text(encoding='utf-8')}\nDraw {number}, {side}.\n", encoding="utf-8")
    return copy


def _planted_value(measure: str, rate: float, labels: Sequence[str], values: int) -> float:
    """The accuracy or the macro-F1 that errors at `rate` have in the long run, spread evenly over `values`."""
    if measure == "accuracy":
        return 1 - rate
    counts = Counter(labels)
    f1 = []
    for count in counts.values():
        hit, false = (1 - rate) * count, rate / (values - 1) * (len(labels) - count)
        f1.append(2 * hit / (count + hit + false))
    return sum(f1) / len(f1)


def rate_of(number: int, side: str, language: str) -> float:
    """The planted share of errors of a draw's prompt in a language."""
    rate = random.Random(f"{number}/{language}").uniform(*RATES)
    return rate + DROP if side == CANDIDATE else rate


def planted_answer(number: int, side: str, item: GoldenItem, prompts: Prompts) -> dict[str, Any]:
    """What a draw's prompt answers to an item: its labels, each wrong by itself at the language's rate."""
    rng = random.Random(f"{number}/{side}/{item.id}")
    rate = rate_of(number, side, item.language)
    answer: dict[str, Any] = {"summary": "Customer wants this: " + ", ".join(fact[0] for fact in item.facts)}
    if rng.random() < rate:
        answer["summary"] = "Customer asks something and gets no answer."
    for name in CATEGORICAL:
        wrong = [value for value in _enum_values(prompts, name) if value != item.labels[name]]
        answer[name] = rng.choice(wrong) if rng.random() < rate else item.labels[name]
    for name in SCORES:
        answer[name] = round(rng.random(), 2) if rng.random() < rate else item.labels[name]
    return answer


def _enum_values(prompts: Prompts, name: str) -> Sequence[str]:
    values: Sequence[str] = prompts.tool["toolSpec"]["inputSchema"]["json"]["properties"][name]["enum"]
    return values


class PlantedAnswerer(ScriptedAnswerer):
    """Answers the golden corpus as the draw that the prompt names has it planted."""

    def __init__(self) -> None:
        super().__init__()
        self._prompts = load_prompt_folder(PROMPTS_OF_THE_PROJECT)
        self._items = load_golden_corpus(PROMPTS_OF_THE_PROJECT, self._prompts)
        self._script_of = lru_cache(maxsize=4)(self._make_script)

    async def answer(self, request: ConverseRequest) -> Reply:
        if named := re.search(rf"^Draw (\d+), ({IN_USE}|{CANDIDATE})\.$", request.system_text, re.M):
            self.script = self._script_of(int(named[1]), named[2], request.model_id)
        return await super().answer(request)

    def _make_script(self, number: int, side: str, model_id: str) -> Script:
        labels = {
            hash_text(user_text(self._prompts, model_id, item)): planted_answer(number, side, item, self._prompts)
            for item in self._items
        }
        return Script(labels=labels)


def user_text(prompts: Prompts, model_id: str, item: GoldenItem) -> str:
    request, _ = build_converse_request(prompts, capabilities_of(model_id), item.as_interaction(), item.language)
    text: str = request["messages"][0]["content"][0]["text"]
    return text


def serve_planted(state: str) -> None:
    """In a process of its own: the local AWS with a model that errs as planted."""
    with LocalStack(None, answerer=PlantedAnswerer()) as stack:
        provision_account(stack.environment)
        announce_and_wait(stack, state)
