"""What a backfill of many days would cost: a few of its partitions are quoted to the call, the others by their size.

Quoting a year to the call reads a million objects, for hours. What was extracted before and what never was are
sampled apart, and so is each country. Here too: whether the caps on spending leave room for it. Not here: the quote
of one partition (`quote.py`, `history.py`), and who launches it (`backfill_launch.py`).
"""

import statistics
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime

import polars as pl

from cs_features.errors import RequestError
from cs_features.extraction.spending import Limits, Totals, read_spending_totals
from cs_features.landing.zone import LandingZone
from cs_features.partitions import Partition
from cs_features.planning.history import quote_landed_documents
from cs_features.planning.quote import Queue, Quote, estimate_wall_minutes
from cs_features.services import DataBucket, Landing, Model

LISTERS = 8
QUOTED_IN_FULL = 20  # partitions; of more, a sample
SAMPLED = 4  # of each country, of what was extracted before and of what was not
# Student's t for 95 in 100 by the number of samples: a handful says little.
T_95 = {2: 12.7, 3: 4.30, 4: 3.18, 5: 2.78}
KEPT_FOR_LANDINGS = 0.1  # of a cap: a backfill that spends it to the end stops today's documents
SUMMED = ("interactions", "calls", "in_ledger", "input_tokens", "cache_read_tokens", "cache_write_tokens",
          "output_tokens", "cost_usd", "minutes")  # fmt: skip

Stratum = tuple[str, bool]  # a country, and whether its partitions were extracted before


@dataclass(frozen=True)
class BackfillQuote:
    """A quote a partition that holds documents, newest day first; of those not `sampled` it is an estimate."""

    quotes: Sequence[Quote]
    partitions: Sequence[Partition]
    sampled: int
    margin_usd: float

    @property
    def calls(self) -> int:
        return sum(quote.calls for quote in self.quotes)

    @property
    def cost_usd(self) -> float:
        return sum(quote.cost_usd for quote in self.quotes)

    def estimate_backfill_minutes(self, queue: Queue, limits: Model) -> float:
        return estimate_wall_minutes(self.quotes, queue, limits)

    def sum_by_country(self) -> pl.DataFrame:
        """A row a country: runs, calls, what is in the ledger, dollars."""
        rows = [
            (partition.country, quote.interactions, quote.calls, quote.in_ledger, quote.cost_usd)
            for partition, quote in zip(self.partitions, self.quotes, strict=True)
        ]
        names = ["country", "interactions", "calls", "in_ledger", "cost_usd"]
        frame = pl.DataFrame(rows, schema=names, orient="row")
        return frame.group_by("country").agg(pl.len().alias("runs"), pl.col(names[1:]).sum()).sort("country")


def quote_backfill_partitions(
    partitions: Sequence[Partition], landing: Landing, data: DataBucket, model: Model
) -> BackfillQuote:
    """Quote those of `partitions` that hold documents.

    Raises:
        RequestError: none of them does.
        PromptError: a country has no usable file.
        AwsRefusal: a bucket cannot be read.
    """
    sizes = measure_landed_bytes(landing.zone(), partitions)
    if not sizes:
        raise RequestError("No documents have landed in these partitions: there is nothing to run")
    strata = group_by_stratum(sizes, set(data.tables().partitions("llm_extractions")))
    sample = choose_sample(strata, len(sizes))
    quoted = quote_sampled_partitions(sample, landing, data, model)
    ordered = sorted(sizes, key=lambda each: (each.date, each.country), reverse=True)
    estimated: dict[Partition, Quote] = {}
    margin = 0.0
    for members in strata.values():
        known = {each: quoted[each] for each in members if each in quoted}
        estimated |= estimate_stratum_cost(members, known, sizes)
        margin += estimate_stratum_margin(members, known, sizes)
    return BackfillQuote([estimated[each] for each in ordered], ordered, len(quoted), margin)


def measure_landed_bytes(zone: LandingZone, partitions: Sequence[Partition]) -> dict[Partition, int]:
    """Bytes of the document files of each partition that has any; a listing a partition."""

    def measure_partition_size(partition: Partition) -> int:
        return sum(item.size for item in zone.list_documents(partition).objects)

    with ThreadPoolExecutor(LISTERS, thread_name_prefix="backfill") as pool:
        sizes = pool.map(measure_partition_size, partitions)
        return {each: size for each, size in zip(partitions, sizes, strict=True) if size}


# --- pure -------------------------------------------------------------------------------------


def group_by_stratum(
    partitions: Collection[Partition], extracted: Collection[Partition]
) -> dict[Stratum, list[Partition]]:
    strata: dict[Stratum, list[Partition]] = defaultdict(list)
    for each in sorted(partitions):
        strata[each.country, each in extracted].append(each)
    return strata


def choose_sample(strata: Mapping[Stratum, Sequence[Partition]], total: int) -> list[Partition]:
    """All of a few partitions; of many, some of each stratum, evenly over its days."""
    if total <= QUOTED_IN_FULL:
        return [each for members in strata.values() for each in members]
    return [each for members in strata.values() for each in spread_sample_evenly(members, SAMPLED)]


def spread_sample_evenly(members: Sequence[Partition], count: int) -> list[Partition]:
    if len(members) <= count:
        return list(members)
    # From the middle of each stretch: neither the first day nor today is like the others.
    return [members[int((number + 0.5) * len(members) / count)] for number in range(count)]


def estimate_stratum_cost(
    members: Sequence[Partition], known: Mapping[Partition, Quote], sizes: Mapping[Partition, int]
) -> dict[Partition, Quote]:
    """The quotes that are known, and for the other partitions what their bytes cost among the known ones."""
    if len(known) == len(members):
        return dict(known)
    learned = next(iter(known.values()))
    known_bytes = sum(sizes[each] for each in known)
    sums = {name: sum(getattr(quote, name) for quote in known.values()) for name in SUMMED}
    estimated = dict(known)
    for each in members:
        if each not in known:
            scaled = {name: type(value)(value * sizes[each] / known_bytes) for name, value in sums.items()}
            estimated[each] = replace(learned, partition=str(each), **scaled)
    return estimated


def estimate_stratum_margin(
    members: Sequence[Partition], known: Mapping[Partition, Quote], sizes: Mapping[Partition, int]
) -> float:
    """Half the width of the interval around the estimated part's cost in which it lies 95 times in 100."""
    estimated_bytes = sum(sizes[each] for each in members if each not in known)
    if not estimated_bytes:
        return 0.0
    rates = [quote.cost_usd / sizes[each] for each, quote in known.items()]
    if len(rates) < min(T_95):
        return rates[0] * estimated_bytes
    error = statistics.stdev(rates) / len(rates) ** 0.5
    return float(T_95[min(len(rates), max(T_95))] * error * estimated_bytes)


def quote_sampled_partitions(
    sample: Sequence[Partition], landing: Landing, data: DataBucket, model: Model
) -> dict[Partition, Quote]:
    """A partition whose files hold no document that the model is asked about costs nothing, and is run all the same."""
    found = {quote.partition: quote for quote in quote_landed_documents(sample, landing, data, model)}
    return {each: found.get(str(each)) or Quote(str(each), 0, 0, 0, 0, 0, 0, 0, 0.0, 0.0, 0, "") for each in sample}


# --- the caps ---------------------------------------------------------------------------------


def require_spending_room(quote: BackfillQuote, data: DataBucket, model: Model, now: datetime) -> None:
    """Raises:
    RequestError: the backfill would spend what today's landings need, with what to do.
    """
    if message := describe_spending_excess(quote, model.limits(), read_spending_totals(data.bucket(), "", now)):
        raise RequestError(message)


def describe_spending_excess(quote: BackfillQuote, limits: Limits, spent: Totals) -> str:
    """Why a backfill does not fit under the caps, or nothing. It is assumed to end on the day on which it begins."""
    caps = [("DAY", "today", limits.day, spent.day), ("MONTH", "this month", limits.month, spent.month)]
    for name, when, cap, already in caps:
        room = cap * (1 - KEPT_FOR_LANDINGS) - already
        if quote.cost_usd > room:
            fitting = count_fitting_runs(quote.quotes, room)
            return (
                f"It would cost ${quote.cost_usd:.2f}, and of CS_FEATURES_MAX_COST_USD_PER_{name}={cap:g} a backfill "
                f"may spend ${max(room, 0.0):.2f} {when}, so that what lands is not stopped. Raise it where Dagster "
                f"runs and for this command, or choose fewer days: the newest {fitting} of {len(quote.quotes)} runs fit"
            )
    too_dear = [each for each in quote.quotes if each.cost_usd > limits.partition]
    if too_dear:
        return (
            f"{too_dear[0].partition} would cost ${too_dear[0].cost_usd:.2f}, more than CS_FEATURES_MAX_COST_USD="
            f"{limits.partition:g} allows a partition a day: raise it where Dagster runs and for this command"
        )
    return ""


def count_fitting_runs(quotes: Sequence[Quote], room: float) -> int:
    """How many of the first quotes can be paid from `room`."""
    total = 0.0
    for number, quote in enumerate(quotes):
        total += quote.cost_usd
        if total > room:
            return number
    return len(quotes)
