"""What runs would cost, before they are run: calls still needed, tokens, dollars and minutes. Pure arithmetic.

What is there to quote and what was learned before is read in `history.py`. No model is asked.
"""

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import date, timedelta
from typing import Any

import polars as pl

from cs_features.extraction.engine import Outcome
from cs_features.extraction.models import ModelCapabilities
from cs_features.extraction.pricing import TokenUsage, find_price_list
from cs_features.extraction.prompting import ConverseRequest, prefix_tokens
from cs_features.extraction.prompts import Prompts
from cs_features.partitions import Partition
from cs_features.services import Model

MIN_HISTORY_CALLS = 20
CALLS_SCHEMA = pl.Schema(dict.fromkeys(("characters", "prompt_tokens", "output_tokens", "latency_ms"), pl.Int64()))


@dataclass(frozen=True)
class Queue:
    """How runs wait for each other.

    Measured on two cores with two runs at once, as the local `dagster.yaml` has it: a backfill of a month took 17
    minutes where its calls took 1.1, so some 12 s of each run went into starting a process and reporting its steps.
    """

    runs_at_once: int = 2
    seconds_a_run: float = 12.0


@dataclass(frozen=True)
class Habits:
    """What calls for one country have been like: prompt tokens = `prefix` + `per_character` x characters.

    Characters are those of the interaction's own text. `calls` is how many calls this was learned from, of which
    `days`; 0 means that nothing was, and the model's stated rates are used.
    """

    prefix: float
    per_character: float
    output: float
    latency_ms: float
    calls: int
    days: str = ""


@dataclass(frozen=True)
class Quote:
    """The quote of one partition. Tokens are sums over the calls still needed; cost is in US dollars.

    `minutes` are those of the calls; how long runs wait for each other is `estimate_wall_minutes`'s. `learned_from`
    are the days whose calls it was learned from, empty where nothing was.
    """

    partition: str
    interactions: int
    calls: int
    in_ledger: int
    input_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    output_tokens: int
    cost_usd: float
    minutes: float
    learned_from_calls: int
    learned_from: str


def count_own_characters(request: ConverseRequest) -> int:
    """Characters of the interaction itself, the part of the prompt that no other call shares."""
    return sum(len(block["text"]) for block in request["messages"][0]["content"])


def learn_habits(calls: pl.DataFrame, days: str = "") -> Habits | None:
    """Least squares over past calls with columns characters, prompt_tokens, output_tokens, latency_ms."""
    if calls.height < MIN_HISTORY_CALLS:
        return None
    x, y = calls["characters"].cast(pl.Float64), calls["prompt_tokens"].cast(pl.Float64)
    spread = float(((x - x.mean()) ** 2).sum())
    slope = float(((x - x.mean()) * (y - y.mean())).sum()) / spread if spread else 0.0
    mean_x, mean_y = float(x.sum()) / calls.height, float(y.sum()) / calls.height
    return Habits(
        prefix=mean_y - slope * mean_x,
        per_character=slope,
        output=float(calls["output_tokens"].sum()) / calls.height,
        latency_ms=float(calls["latency_ms"].sum()) / calls.height,
        calls=calls.height,
        days=days,
    )


def assume_country_habits(prompts: Prompts, country: str, model: ModelCapabilities) -> Habits:
    """Before anything was extracted: the model's stated tokens a character, and a typical answer."""
    return Habits(
        prefix=prefix_tokens(prompts, country, model),
        per_character=model.tokens_per_character,
        output=110.0,
        latency_ms=1_200.0,
        calls=0,
    )


def quote_requests(
    partition: str,
    interactions: int,
    requests: Mapping[str, ConverseRequest],
    known: Iterable[str],
    habits: Habits,
    model: ModelCapabilities,
    limits: Model,
) -> Quote:
    """The quote for the requests that the ledger does not `know`."""
    paid = set(known)
    needed = [request for key, request in requests.items() if key not in paid]
    price = find_price_list(model)
    cached = model.cache_minimum_tokens is not None and habits.prefix >= model.cache_minimum_tokens
    total, cost = TokenUsage(), 0.0
    for number, request in enumerate(needed):
        own, prefix = round(habits.per_character * count_own_characters(request)), round(habits.prefix)
        usage = TokenUsage(
            input_tokens=own if cached else own + prefix,
            cache_read_tokens=prefix if cached and number > 0 else 0,
            cache_write_tokens=prefix if cached and number == 0 else 0,
            output_tokens=round(habits.output),
        )
        total += usage
        cost += price(usage)
    return Quote(
        partition=partition,
        interactions=interactions,
        calls=len(needed),
        in_ledger=len(requests) - len(needed),
        input_tokens=total.input_tokens,
        cache_read_tokens=total.cache_read_tokens,
        cache_write_tokens=total.cache_write_tokens,
        output_tokens=total.output_tokens,
        cost_usd=cost,
        minutes=_estimate_minutes(len(needed), total, habits, model, limits),
        learned_from_calls=habits.calls,
        learned_from=habits.days,
    )


def _estimate_minutes(calls: int, total: TokenUsage, habits: Habits, model: ModelCapabilities, limits: Model) -> float:
    """The slowest of what limits a run: calls in flight, requests a minute, tokens a minute."""
    times = [calls * habits.latency_ms / limits.max_concurrency / 60_000]
    if limits.requests_per_minute:
        times.append(calls / limits.requests_per_minute)
    if limits.tokens_per_minute:
        settled = total.input_tokens + total.cache_write_tokens + total.output_tokens * model.burndown
        times.append(settled / limits.tokens_per_minute)
    return max(times)


def select_paid_calls(requests: Mapping[str, ConverseRequest], outcomes: dict[str, Outcome]) -> pl.DataFrame:
    """Requests that were answered at the first attempt, as `learn_habits` wants them."""
    rows = []
    for key, outcome in outcomes.items():
        if key in requests and outcome.answered and outcome.attempts == 1:
            usage = outcome.usage
            own = count_own_characters(requests[key])
            rows.append((own, usage.prompt_tokens, usage.output_tokens, outcome.latency_ms))
    return pl.DataFrame(rows, schema=CALLS_SCHEMA, orient="row")


def estimate_wall_minutes(quotes: Sequence[Quote], queue: Queue, limits: Model) -> float:
    """Minutes until the last of the runs has ended: each starts as soon as one before it has made room.

    The quota is one for all runs of a host, so that together they take at least what it allows.
    """
    free_at = [0.0] * queue.runs_at_once
    for quote in quotes:
        begin = heapq.heappop(free_at)
        heapq.heappush(free_at, begin + queue.seconds_a_run / 60 + quote.minutes)
    calls = sum(quote.calls for quote in quotes)
    shortest = calls / limits.requests_per_minute if limits.requests_per_minute else 0.0
    return max(shortest, *free_at)


def build_quote_frame(quotes: Sequence[Quote], wall_minutes: float) -> pl.DataFrame:
    """A row a quote, and the sum of all as the last; its `minutes` are those until the last run has ended."""
    types = {str: pl.String(), int: pl.Int64(), float: pl.Float64()}
    schema = {field.name: types[field.type] for field in fields(Quote)}  # type: ignore[index]
    frame = pl.DataFrame([asdict(quote) for quote in quotes], schema=schema)
    total: dict[str, Any] = {name: frame[name].sum() for name, kind in frame.schema.items() if kind != pl.String}
    last = {**total, "partition": "all", "learned_from": "", "minutes": wall_minutes}
    return pl.concat([frame, pl.DataFrame([last], schema=schema)])


def list_partitions(countries: Sequence[str], first: date, last: date) -> list[Partition]:
    """Every partition of `countries` from `first` to `last`, both included."""
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    return [Partition(country, day) for country in countries for day in days]
