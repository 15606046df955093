"""Fifty prompts whose changes are known: what the preview predicts, what the full rerun then shows, what each costs.

The scripted model answers a text by its hash, whatever the prompt says. So a change is planted on the other side:
in the table of features in use, a share of the values that differs by country, language and feature is not what
every candidate will answer. Failed and repaired answers come on top, as they come to a real prompt. Preview and
rerun go through the product's engine and ledgers; the truth is counted here, and not by the product's comparison.
"""

from collections.abc import Iterable
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
    rows = [row for each in found for row in each["rows"]]
    features = [row for row in rows if row["feature"] != EVERY_VALUE]
    overall = [row for row in features if row["country"] == "all"]
    by_feature = {name: _share_held(row for row in overall if row["feature"] == name) for name in ANSWER_FIELDS}
    worst = min(by_feature, key=by_feature.__getitem__)
    costs = [(each["preview_usd"], each["rerun_usd"]) for each in found]
    return [
        at_least(
            "share of all values that changes: truth in its interval",
            _share_held(row for row in rows if row["feature"] == EVERY_VALUE and row["country"] == "all"),
            0.9,
            as_percent,
            f"{changes} changes",
        ),
        at_least(
            "share of a feature: truth in its interval", _share_held(overall), 0.9, as_percent, _count_of(overall)
        ),
        at_least("the feature that is held least often", by_feature[worst], 0.9, as_percent, worst),
        at_least(
            "share of a feature in one country: truth in its interval",
            _share_held(row for row in features if row["country"] != "all"),
            0.9,
            as_percent,
            _count_of(row for row in features if row["country"] != "all"),
        ),
        Figure("width of an interval, for all and for a country", _mean_widths(features)),
        at_most(
            "cost of the preview / of the full rerun",
            sum(cost for cost, _ in costs) / sum(rerun for _, rerun in costs),
            0.1,
            as_percent,
            f"dearest of all {as_percent(max(cost / rerun for cost, rerun in costs))}; "
            f"{sum(each['sample'] for each in found):,} of {sum(each['requests'] for each in found):,} calls",
        ),
        equal_to("calls that a rerun paid again", sum(each["paid_again"] for each in found), 0),
        Figure("price of the rerun, said after the preview / paid", _price_ratio(found)),
    ]


def _share_held(rows: Iterable[dict[str, Any]]) -> float:
    inside = [row["low"] - 1e-9 <= row["truth"] <= row["high"] + 1e-9 for row in rows]
    return sum(inside) / len(inside)


def _count_of(rows: Iterable[dict[str, Any]]) -> str:
    return f"{len(list(rows))} of them"


def _mean_widths(features: list[dict[str, Any]]) -> str:
    def mean_width(rows: list[dict[str, Any]]) -> str:
        return as_percent(sum(row["high"] - row["low"] for row in rows) / len(rows))

    return " and ".join(
        mean_width([row for row in features if (row["country"] == "all") == for_all]) for for_all in (True, False)
    )


def _price_ratio(found: list[dict[str, Any]]) -> str:
    said, paid = (sum(each[name] for each in found) for name in ("said_usd", "rest_usd"))
    return f"{said / paid:.2f}; each day's first call was said to find a cold cache, and found a warm one"
