"""Who is asked for: strata, systematic draws with known probabilities, hard cases, and what is asked twice. Pure.

A random item stands for 1 / its probability interactions. Hard cases are chosen because they are hard, and what is
asked twice was chosen before: both are kept out of every estimate of quality. Which rows there are is `frame.py`'s.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from random import Random

import polars as pl

from cs_features.schemas import CATEGORICAL

RANDOM, HARD, DOUBLED, REPEATED = "random", "hard", "doubled", "repeated"
HARD_SHARE, DOUBLED_SHARE, REPEATED_SHARE = 0.2, 0.1, 0.06
# What answers say and labels are compared within: neighbours in this order are alike.
SYSTEMATIC_ORDER = ("sentiment", "primary_topic", "event_time", "interaction_id")

ITEM_SCHEMA = pl.Schema({"interaction_id": pl.String(), "kind": pl.String(), "probability": pl.Float64()})


@dataclass(frozen=True)
class Sizes:
    """How many items of each kind a sheet has."""

    random: int
    hard: int
    doubled: int
    repeated: int


def divide_sheet_size(size: int, doublable: int, repeatable: int) -> Sizes:
    """A fifth hard cases, some asked of a second colleague, some asked again; the rest, most of it, at random."""
    hard = round(size * HARD_SHARE)
    doubled = min(doublable, math.ceil(size * DOUBLED_SHARE))
    repeated = min(repeatable, math.ceil(size * REPEATED_SHARE))
    return Sizes(max(0, size - hard - doubled - repeated), hard, doubled, repeated)


def allocate_random_items(heights: Mapping[str, int], total: int) -> dict[str, int]:
    """How many of each stratum: by the root of its size, so that small languages are known too; never more than it has.

    Rounded by largest remainders, after each stratum that can has one.
    """
    total = min(total, sum(heights.values()))
    given = dict.fromkeys(heights, 0)
    for _ in range(total):
        open_strata = [name for name in sorted(heights) if given[name] < heights[name]]
        # The stratum that is furthest behind its share gets the next one (Webster's divisors).
        chosen = max(open_strata, key=lambda name: math.sqrt(heights[name]) / (2 * given[name] + 1))
        given[chosen] += 1
    return given


def draw_systematically(count: int, of: int, random: Random) -> list[int]:
    """`count` of the positions 0 to `of` - 1 at equal steps from a random start: each has the chance `count` / `of`."""
    if not count:
        return []
    step = of / count
    start = random.random() * step
    return [min(of - 1, int(start + step * number)) for number in range(count)]


def draw_random_items(rows: pl.DataFrame, total: int, random: Random) -> tuple[pl.DataFrame, dict[str, dict[str, int]]]:
    """The random items with their probabilities, and of each language how many there were and were drawn."""
    groups = {language: group for (language,), group in rows.partition_by("language", as_dict=True).items()}
    counts = allocate_random_items({language: group.height for language, group in groups.items()}, total)
    parts, strata = [ITEM_SCHEMA.to_frame()], {}
    for language, group in sorted(groups.items()):
        count = counts[language]
        strata[language] = {"rows": group.height, "drawn": count}
        positions = draw_systematically(count, group.height, random)
        chosen = group.sort(SYSTEMATIC_ORDER)[positions].select("interaction_id")
        parts.append(chosen.with_columns(kind=pl.lit(RANDOM), probability=pl.lit(count / group.height)))
    return pl.concat(parts), strata


def choose_hard_items(rows: pl.DataFrame, count: int) -> pl.DataFrame:
    """In turn: where a calibration moved a score most, where the answer is rarest, where there is least to go by."""
    rarity = pl.sum_horizontal(-(pl.len().over(name) / pl.len()).log() for name in CATEGORICAL)
    scored = rows.with_columns(rarity=rarity)
    orders = [
        scored.filter(pl.col("moved") > 0).sort("moved", "interaction_id", descending=[True, False]),
        scored.sort("rarity", "interaction_id", descending=[True, False]),
        scored.sort("evidence", "interaction_id"),
    ]
    chosen = _take_in_turn([order["interaction_id"].to_list() for order in orders], count)
    return _as_items(chosen, HARD)


def _take_in_turn(lists: Sequence[Sequence[str]], count: int) -> list[str]:
    """The first of each list, then the second, without taking one twice."""
    chosen: dict[str, None] = {}
    for position in range(max(map(len, lists), default=0)):
        for each in lists:
            if position < len(each) and len(chosen) < count:
                chosen.setdefault(each[position])
    return list(chosen)


def choose_known_items(candidates: Collection[str], count: int, kind: str, random: Random) -> pl.DataFrame:
    """Items of earlier sheets, to be asked again or of somebody else."""
    return _as_items(random.sample(sorted(candidates), min(count, len(candidates))), kind)


def _as_items(identifiers: Collection[str], kind: str) -> pl.DataFrame:
    rows = [(identifier, kind, None) for identifier in identifiers]
    return pl.DataFrame(rows, schema=ITEM_SCHEMA, orient="row")
