"""The training set: the spine with each customer's features as they were known at each cut, and the recipe of it all.

Here: what a caller asks for, and what is written down so that it can be made again, byte for byte. Not here: how the
store's history is read (`publishing/reading.py`), what was known (`knowledge.py`), what is counted (`definitions.py`).
"""

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import polars as pl

from cs_features.customers.definitions import LONGEST, choose_known_features, identify_feature_definitions
from cs_features.customers.fingerprints import hash_frame_values
from cs_features.customers.knowledge import Backfill, date_contact_versions, find_first_told
from cs_features.customers.pairs import count_contact_features
from cs_features.customers.spine import (
    CUSTOMER,
    CUT,
    check_known_customers,
    check_read_moment,
    check_spine_columns,
    measure_spine_windows,
)
from cs_features.errors import RequestError
from cs_features.publishing.reading import OfflineHistory, read_history

ONE_DAY = timedelta(days=1)
_TAXONOMY = re.compile(r"t\d+(?=-)")  # how a prompt version begins that says which taxonomy it asks for
_RECIPE = "cs_features_recipe"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What a training set was made of. `asked` of it and the same spine make the same bytes again."""

    group: str
    as_of: str
    embargo_seconds: float
    assumed_lag_seconds: float | None
    assumed_before: str | None  # contacts before it are history that was filled in
    allow_unknown: bool
    features: tuple[str, ...]
    definitions: str
    spine: str  # SHA-256
    prompt_versions: dict[str, int]  # contacts that were counted, once for each row that they stand in
    model_ids: dict[str, int]
    contacts: int  # known ones in the time that the spine's windows span
    contacts_without_customer: int  # of these; no feature counts them
    warnings: tuple[str, ...]
    result: str  # SHA-256 of the frame


@dataclass(frozen=True)
class TrainingSet:
    """The spine's columns in the spine's order, then the features; and their recipe."""

    frame: pl.DataFrame
    recipe: Recipe

    def write(self, path: Path) -> None:
        """One Parquet file with the recipe in its metadata."""
        self.frame.write_parquet(path, compression="zstd", metadata={_RECIPE: json.dumps(asdict(self.recipe))})


@dataclass(frozen=True)
class Options:
    """How a training set is made; the same for each of its rows."""

    embargo: timedelta = ONE_DAY
    assumed_lag: timedelta | None = None
    assumed_before: datetime | None = None  # when the group went live: by default, its first row
    allow_unknown: bool = False
    features: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.embargo < timedelta(0):
            raise RequestError("the embargo is negative: it would let contacts in that took place after the cut")
        if self.assumed_lag is not None and self.assumed_lag < timedelta(0):
            raise RequestError("assumed_lag is negative: nothing is known before it takes place")
        if self.assumed_before is not None and self.assumed_lag is None:
            raise RequestError("assumed_before says nothing without assumed_lag: give both, or neither")
        if self.assumed_before is not None and self.assumed_before.tzinfo is None:
            raise RequestError("assumed_before needs a time zone, for example datetime.now(timezone.utc)")


def training_set(
    spine: pl.DataFrame, options: Options | None = None, *, as_of: datetime | None = None, group: str | None = None
) -> TrainingSet:
    """Features of the spine's customers, each as it was known at its `cut`; `as_of`: the store's state, by default now.

    `spine` has `customer_id`, `cut` (with a time zone) and what else the caller brings, labels included. Only contacts
    count that took place before `cut - embargo` and that the store had been told at `cut`, in the version of then.

    Raises:
        AwsRefusal: the offline store cannot be read.
        RequestError: the spine or an option cannot be meant; one sentence says why.
    """
    now = datetime.now(timezone.utc)
    check_read_moment(as_of or now, now)
    check_spine_columns(spine, as_of or now)
    choose_known_features((options or Options()).features)
    return build_training_set(spine, read_history(as_of, group=group), options or Options())


def build_training_set(spine: pl.DataFrame, history: OfflineHistory, options: Options) -> TrainingSet:
    """`training_set` of a history that was read; calls nothing."""
    check_spine_columns(spine, history.as_of)
    names = choose_known_features(options.features)
    backfill = assume_backfilled_history(history, options)
    versions = date_contact_versions(history.rows, history.as_of.replace(tzinfo=None), backfill)
    check_known_customers(spine, versions, options.allow_unknown)
    windows = measure_spine_windows(spine, options.embargo)
    counted = count_contact_features(windows, versions, names)
    frame = pl.concat([spine, counted.features], how="horizontal")
    seen = _span_feature_windows(windows, versions)
    prompts = _sum_contact_origins(counted.origins, "prompt_version")
    recipe = Recipe(
        group=history.group,
        as_of=history.as_of.isoformat(),
        embargo_seconds=options.embargo.total_seconds(),
        **_describe_assumption(backfill),
        allow_unknown=options.allow_unknown,
        features=names,
        definitions=identify_feature_definitions(),
        spine=hash_frame_values(spine),
        prompt_versions=prompts,
        model_ids=_sum_contact_origins(counted.origins, "model_id"),
        contacts=seen.height,
        contacts_without_customer=seen[CUSTOMER].null_count(),
        warnings=tuple(_warn_of_mixtures(prompts)),
        result=hash_frame_values(frame),
    )
    return TrainingSet(frame, recipe)


def read_recipe(path: Path) -> Recipe:
    """The recipe of a training set that `TrainingSet.write` wrote.

    Raises:
        RequestError: the file has none.
    """
    told = pl.read_parquet_metadata(path).get(_RECIPE)
    if told is None:
        raise RequestError(f"{path.name} has no recipe: it is no training set, or something wrote it anew without one")
    values = json.loads(told)
    return Recipe(**{**values, "features": tuple(values["features"]), "warnings": tuple(values["warnings"])})


def remake_training_set(recipe: Recipe, spine: pl.DataFrame, history: OfflineHistory) -> TrainingSet:
    """The same training set again, of the same spine and a history that was read at any time since.

    A warning says so where the bytes differ: rows were erased, or records were taken out by hand.

    Raises:
        RequestError: group, spine or definitions are not the recipe's.
    """
    found = {"group": history.group, "spine": hash_frame_values(spine), "definitions": identify_feature_definitions()}
    for what, value in found.items():
        if getattr(recipe, what) != value:
            raise RequestError(f"the {what} of the recipe is another one: take what the recipe names, or make it anew")
    lag, before = recipe.assumed_lag_seconds, recipe.assumed_before
    options = Options(
        embargo=timedelta(seconds=recipe.embargo_seconds),
        assumed_lag=None if lag is None else timedelta(seconds=lag),
        assumed_before=None if before is None else datetime.fromisoformat(before),
        allow_unknown=recipe.allow_unknown,
        features=recipe.features,
    )
    as_of = datetime.fromisoformat(recipe.as_of)
    made = build_training_set(spine, replace(history, as_of=as_of), options)
    if made.recipe.result == recipe.result:
        return made
    warning = "the store no longer holds all of what this was made of: customers were erased, or records taken out"
    return TrainingSet(made.frame, replace(made.recipe, warnings=(*made.recipe.warnings, warning)))


def assume_backfilled_history(history: OfflineHistory, options: Options) -> Backfill | None:
    """What `options` assume of history that was filled in: by default, of all that is older than the first row."""
    if options.assumed_lag is None:
        return None
    if options.assumed_before is not None:
        return Backfill(options.assumed_lag, options.assumed_before.astimezone(timezone.utc).replace(tzinfo=None))
    first = find_first_told(history.rows, history.as_of.replace(tzinfo=None))
    return None if first is None else Backfill(options.assumed_lag, first)


def _describe_assumption(backfill: Backfill | None) -> dict[str, Any]:
    if backfill is None:
        return {"assumed_lag_seconds": None, "assumed_before": None}
    before = backfill.before.replace(tzinfo=timezone.utc).isoformat()
    return {"assumed_lag_seconds": backfill.lag.total_seconds(), "assumed_before": before}


def _span_feature_windows(windows: pl.DataFrame, versions: pl.DataFrame) -> pl.DataFrame:
    """A row a contact that was known by the last cut and lies in any window that the spine can have."""
    first, last = windows["end"].min(), windows["end"].max()
    in_time = (pl.col("event_time") < last) & (pl.col("event_time") >= pl.lit(first) - pl.duration(days=LONGEST))
    known = versions.filter(in_time & (pl.col("known_from") <= windows[CUT].max()))
    return known.select("interaction_id", CUSTOMER).unique("interaction_id")


def _sum_contact_origins(origins: pl.DataFrame, column: str) -> dict[str, int]:
    summed = origins.group_by(pl.col(column).fill_null("unknown")).agg(pl.col("contacts").sum()).sort(column)
    return dict(summed.iter_rows())


def _warn_of_mixtures(prompt_versions: Iterable[str]) -> list[str]:
    """A sentence each for versions whose features do not mean the same."""
    versions = sorted(prompt_versions)
    if len(versions) < 2:
        return []
    taxonomies = {found.group() if (found := _TAXONOMY.match(each)) else "t1" for each in versions}
    if len(taxonomies) > 1:
        return [
            f"features of taxonomies {', '.join(sorted(taxonomies))} are mixed: topics and intents do not mean the "
            "same in them; train on cuts of one, or extract the older days again"
        ]
    return [
        f"features of {len(versions)} prompt versions are mixed: compare prompt_versions_{LONGEST}d before a trend is "
        "trusted"
    ]
