"""What a run would cost, before it is run: calls still needed, tokens, dollars and minutes. Asks no model.

`python -m cs_features.cli.quote` on the command line, the job `quote` in Dagster. The arithmetic is
pure; what it knows of a model's tokens it has learned from the partitions that were extracted before.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import date, datetime, timedelta, timezone
from typing import Any

import polars as pl

from cs_features.extraction.engine import Outcome
from cs_features.extraction.models import ModelCapabilities
from cs_features.extraction.pricing import TokenUsage, price_list
from cs_features.extraction.prompting import ConverseRequest, prefix_tokens
from cs_features.extraction.prompts import Prompts
from cs_features.extraction.table import plan
from cs_features.landing.reading import read_partition
from cs_features.partitions import Partition
from cs_features.services import DataBucket, Landing, Model

HISTORY_DAYS = 14
ENOUGH_CALLS = 500
MIN_HISTORY_CALLS = 20


@dataclass(frozen=True)
class Habits:
    """What calls for one country have been like: prompt tokens = `prefix` + `per_character` x characters.

    Characters are those of the interaction's own text. `calls` is how many calls this was learned from;
    0 means that nothing was, and the model's stated rates stand in.
    """

    prefix: float
    per_character: float
    output: float
    latency_ms: float
    calls: int


@dataclass(frozen=True)
class Quote:
    """The quote of one partition. Tokens are sums over the calls still needed; cost is in US dollars."""

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


def own_text(request: ConverseRequest) -> int:
    """Characters of the interaction itself, the part of the prompt that no other call shares."""
    return sum(len(block["text"]) for block in request["messages"][0]["content"])


def learn(calls: pl.DataFrame) -> Habits | None:
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
    )


def assumed(prompts: Prompts, country: str, model: ModelCapabilities) -> Habits:
    """Before anything was extracted: the model's stated tokens a character, and a typical answer."""
    return Habits(
        prefix=prefix_tokens(prompts, country, model),
        per_character=model.tokens_per_character,
        output=110.0,
        latency_ms=1_200.0,
        calls=0,
    )


def quote_of(
    partition: str,
    interactions: int,
    requests: dict[str, ConverseRequest],
    known: Iterable[str],
    habits: Habits,
    model: ModelCapabilities,
    limits: Model,
) -> Quote:
    """The quote for the requests that the ledger does not `know`."""
    paid = set(known)
    needed = [request for key, request in requests.items() if key not in paid]
    price = price_list(model)
    cached = model.cache_minimum_tokens is not None and habits.prefix >= model.cache_minimum_tokens
    total, cost = TokenUsage(), 0.0
    for number, request in enumerate(needed):
        own, prefix = round(habits.per_character * own_text(request)), round(habits.prefix)
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
        minutes=_minutes(len(needed), total, habits, model, limits),
        learned_from_calls=habits.calls,
    )


def _minutes(calls: int, total: TokenUsage, habits: Habits, model: ModelCapabilities, limits: Model) -> float:
    """The slowest of what limits a run: calls in flight, requests a minute, tokens a minute."""
    times = [calls * habits.latency_ms / limits.max_concurrency / 60_000]
    if limits.requests_per_minute:
        times.append(calls / limits.requests_per_minute)
    if limits.tokens_per_minute:
        settled = total.input_tokens + total.cache_write_tokens + total.output_tokens * model.burndown
        times.append(settled / limits.tokens_per_minute)
    return max(times)


def paid_calls(requests: dict[str, ConverseRequest], outcomes: dict[str, Outcome]) -> pl.DataFrame:
    """Requests that were answered at the first attempt, as `learn` wants them."""
    rows = [
        (own_text(requests[key]), outcome.usage.prompt_tokens, outcome.usage.output_tokens, outcome.latency_ms)
        for key, outcome in outcomes.items()
        if key in requests and outcome.answered and outcome.attempts == 1
    ]
    return pl.DataFrame(rows, schema=_CALLS, orient="row")


_CALLS = dict.fromkeys(("characters", "prompt_tokens", "output_tokens", "latency_ms"), pl.Int64())


def quotes(partitions: Sequence[Partition], landing: Landing, data: DataBucket, model: Model) -> list[Quote]:
    """Quote each partition from what the landing bucket and the ledger hold now."""
    prompts, capabilities, zone = model.prompts(), model.capabilities(), landing.zone()

    def planned(partition: Partition) -> tuple[int, dict[str, ConverseRequest]]:
        languages = prompts.countries[partition.country].languages
        raw = read_partition(zone, partition, zone.list_documents(partition), languages)
        needed, requests = plan(raw, prompts, capabilities)
        return len(needed), requests

    def ledger(partition: Partition) -> dict[str, Outcome]:
        return data.ledger(partition.folder).read()

    def past(partition: Partition) -> pl.DataFrame:
        """The calls of the partition itself, if it is half done, and of the days before it."""
        found: list[pl.DataFrame] = []
        for back in range(HISTORY_DAYS):
            earlier = Partition(partition.country, partition.date - timedelta(days=back))
            outcomes = ledger(earlier)
            if outcomes:
                found.append(paid_calls(planned(earlier)[1], outcomes))
            if sum(frame.height for frame in found) >= ENOUGH_CALLS:
                break
        return pl.concat(found) if found else pl.DataFrame(schema=_CALLS)

    result = []
    for partition in partitions:
        interactions, requests = planned(partition)
        if not requests:
            continue
        habits = learn(past(partition)) or assumed(prompts, partition.country, capabilities)
        known = ledger(partition)
        result.append(quote_of(str(partition), interactions, requests, known, habits, capabilities, model))
    return result


def partitions_between(countries: Sequence[str], first: date, last: date) -> list[Partition]:
    """Every partition of `countries` from `first` to `last`, both included; days to come are none yet."""
    last = min(last, datetime.now(timezone.utc).date())
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    return [Partition(country, day) for country in countries for day in days]


def as_frame(found: Sequence[Quote]) -> pl.DataFrame:
    """A row a quote, and the sum of all as the last."""
    types = {str: pl.String(), int: pl.Int64(), float: pl.Float64()}
    schema = {field.name: types[field.type] for field in fields(Quote)}  # type: ignore[index]
    frame = pl.DataFrame([asdict(quote) for quote in found], schema=schema)
    total: dict[str, Any] = {name: frame[name].sum() for name in frame.columns if name != "partition"}
    return pl.concat([frame, pl.DataFrame([{"partition": "all", **total}], schema=schema)])
