"""Fifty prompts whose changes are known: what the preview predicts, what the full rerun then shows, what each costs.

The scripted model answers a text by its hash, whatever the prompt says. So a change is planted on the other side:
in the table of features in use, a share of the values that differs by country, language and feature is not what
every candidate will answer. Failed and repaired answers come on top, as they come to a real prompt. Preview and
rerun go through the product's engine and ledgers; the truth is counted here, and not by the product's comparison.
"""

from typing import Any

from cs_features.local.bench.children import Job, run_alone
from cs_features.local.bench.endpoint import start_endpoint
from cs_features.local.bench.figures import Figure, Say, as_percent, at_least, at_most, equal_to
from cs_features.local.bench.planted_changes import extract_all, land_strata, preview_changes
from cs_features.planning.preview.changes import EVERY_VALUE
from cs_features.schemas import ANSWER_FIELDS

SERVICE: dict[str, Any] = {"malformed_rate": 0.01, "refusal_rate": 0.002, "faults": {"503": 0.002}}
SETTINGS = {"CS_FEATURES_REQUESTS_PER_MINUTE": "1e9", "CS_FEATURES_MAX_COST_USD": "1000"}


def measure_preview(quick: bool, say: Say) -> list[Figure]:
    changes = 5 if quick else 50
    with start_endpoint(**SERVICE) as service:
        land_strata(service.s3_client())
        say("extracting with the prompts in use")
        run_alone(service, Job(extract_all, settings=SETTINGS), 600)
        found: list[dict[str, Any]] = []
        for first in range(0, changes, 5):
            found += run_alone(service, Job(preview_changes, {"numbers": list(range(first, first + 5))}, SETTINGS), 600)
            say(f"{len(found)} of {changes} changes")
    return [*_figures_of_intervals(found), *_figures_of_money(found)]


def _figures_of_intervals(found: list[dict[str, Any]]) -> list[Figure]:
    rows = [row for each in found for row in each["rows"]]
    all_values = [row for row in rows if row["feature"] == EVERY_VALUE and row["country"] == "all"]
    features = [row for row in rows if row["feature"] != EVERY_VALUE]
    overall = [row for row in features if row["country"] == "all"]
    in_a_country = [row for row in features if row["country"] != "all"]
    held_of = {name: _share_held(_rows_of(overall, name)) for name in ANSWER_FIELDS}
    worst = min(held_of, key=held_of.__getitem__)
    held = "truth in its interval"
    widths = f"{_mean_width(overall)} and {_mean_width(in_a_country)}"
    return [
        _at_least_90(f"share of all values that changes: {held}", _share_held(all_values), f"{len(found)} changes"),
        _at_least_90(f"share of a feature: {held}", _share_held(overall), f"{len(overall)} of them"),
        _at_least_90("the feature that is held least often", held_of[worst], worst),
        _at_least_90(
            f"share of a feature in one country: {held}", _share_held(in_a_country), f"{len(in_a_country)} of them"
        ),
        Figure("width of an interval, for all and for a country", widths),
    ]


def _figures_of_money(found: list[dict[str, Any]]) -> list[Figure]:
    ratios = [each["preview_usd"] / each["rerun_usd"] for each in found]
    calls = f"{_sum_of(found, 'sample'):,} of {_sum_of(found, 'requests'):,} calls"
    return [
        at_most(
            "cost of the preview / of the full rerun",
            _sum_of(found, "preview_usd") / _sum_of(found, "rerun_usd"),
            0.1,
            as_percent,
            f"dearest of all {as_percent(max(ratios))}; {calls}",
        ),
        equal_to("calls that a rerun paid again", _sum_of(found, "paid_again"), 0),
        Figure("price of the rerun, said after the preview / paid", _price_ratio(found)),
    ]


def _rows_of(rows: list[dict[str, Any]], feature: str) -> list[dict[str, Any]]:
    return [row for row in rows if row["feature"] == feature]


def _share_held(rows: list[dict[str, Any]]) -> float:
    inside = [row["low"] - 1e-9 <= row["truth"] <= row["high"] + 1e-9 for row in rows]
    return sum(inside) / len(inside)


def _at_least_90(what: str, share: float, note: str) -> Figure:
    return at_least(what, share, 0.9, as_percent, note)


def _mean_width(rows: list[dict[str, Any]]) -> str:
    return as_percent(sum(row["high"] - row["low"] for row in rows) / len(rows))


def _sum_of(found: list[dict[str, Any]], name: str) -> Any:
    return sum(each[name] for each in found)


def _price_ratio(found: list[dict[str, Any]]) -> str:
    said, paid = _sum_of(found, "said_usd"), _sum_of(found, "rest_usd")
    return f"{said / paid:.2f}; each day's first call was said to find a cold cache, and found a warm one"
