"""Pairs of a spine row and a contact that was known at its cut, joined by customer and counted by row.

One equi-join and one group-by, in parts of bounded size. No as-of join: what was known is an interval of each version,
so there is no rule for ties. Not here: what the counts mean (`definitions.py`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

import polars as pl

from cs_features.customers.definitions import LONGEST, PROMPT_VERSIONS, REPEAT_DAYS, SCHEMA, list_aggregates
from cs_features.customers.spine import CUSTOMER

PAIRS_AT_ONCE = 400_000
_NO_TOPIC = "other"  # two contacts about nothing that can be read are not about the same


@dataclass(frozen=True)
class Counted:
    """The features by spine row, and how many contacts of each prompt version and model stand in them."""

    features: pl.DataFrame
    origins: pl.DataFrame


def count_contact_features(windows: pl.DataFrame, versions: pl.DataFrame, names: Sequence[str]) -> Counted:
    """`windows` are `measure_spine_windows`' rows, `versions` those of `date_contact_versions`."""
    features, origins = [], []
    for spine, contacts in split_customer_parts(windows, versions):
        pairs = pair_spine_contacts(spine, contacts)
        features.append(_count_customer_part(spine, pairs, names))
        origins.append(_count_contact_origins(pairs))
    summed = pl.concat(origins).group_by("prompt_version", "model_id").agg(pl.col("contacts").sum())
    return Counted(_order_spine_rows(features, names), summed.sort("prompt_version", "model_id", nulls_last=True))


def split_customer_parts(windows: pl.DataFrame, versions: pl.DataFrame) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """Spine rows and versions of the same customers, each part of about `PAIRS_AT_ONCE` pairs."""
    rows = windows.group_by(CUSTOMER).len("rows")
    known = versions.group_by(CUSTOMER).len("contacts")
    load = pl.col("rows").cast(pl.UInt64) * pl.col("contacts").fill_null(0)
    parts = (
        rows.join(known, on=CUSTOMER, how="left")
        .sort(CUSTOMER)
        .select(CUSTOMER, part=(load.cum_sum() // PAIRS_AT_ONCE).cast(pl.UInt32))
    )
    spine = _split_by_part(windows, parts)
    contacts = _split_by_part(versions, parts)
    for part, rows_of_part in spine.items():
        yield rows_of_part, contacts.get(part, versions.clear())


def _count_contact_origins(pairs: pl.DataFrame) -> pl.DataFrame:
    counted = pairs.group_by("prompt_version", "model_id").len("contacts")
    return counted.with_columns(pl.col("prompt_version", "model_id").cast(pl.String))


def _split_by_part(frame: pl.DataFrame, parts: pl.DataFrame) -> dict[int, pl.DataFrame]:
    found = frame.join(parts, on=CUSTOMER).partition_by("part", as_dict=True, include_key=False)
    return {int(key[0]): part for key, part in found.items()}


def pair_spine_contacts(windows: pl.DataFrame, versions: pl.DataFrame) -> pl.DataFrame:
    """The pairs that count: known at the cut, and before the end of the windows by at most the longest."""
    age = pl.col("end") - pl.col("event_time")
    is_known = (pl.col("known_from") <= pl.col("cut")) & (pl.col("cut") < pl.col("known_until"))
    in_window = (pl.col("age") > timedelta(0)) & (pl.col("age") <= timedelta(days=LONGEST))
    pairs = (
        windows.lazy()
        .join(versions.lazy(), on=CUSTOMER)
        .with_columns(age=age)
        .filter(is_known & in_window)
        .with_columns(minutes=pl.col("age").dt.total_minutes())
        .sort("row", "primary_topic", "event_time")
    )
    return pairs.with_columns(**_compare_neighbouring_contacts()).collect()


def _compare_neighbouring_contacts() -> dict[str, pl.Expr]:
    """In the order of row, topic and time: whether the topic was there within days, and whether it comes no more."""
    before = pl.struct("row", "primary_topic").shift(1).eq_missing(pl.struct("row", "primary_topic"))
    after = pl.struct("row", "primary_topic").shift(-1).eq_missing(pl.struct("row", "primary_topic"))
    pause = pl.col("event_time") - pl.col("event_time").shift(1)
    is_repeat = before & (pause <= timedelta(days=REPEAT_DAYS)) & (pl.col("primary_topic") != _NO_TOPIC)
    return {"is_repeat": is_repeat.fill_null(False), "is_last_of_topic": ~after.fill_null(False)}


def _count_customer_part(spine: pl.DataFrame, pairs: pl.DataFrame, names: Sequence[str]) -> pl.DataFrame:
    counted = pairs.lazy().group_by("row").agg(list_aggregates(names)).collect()
    if PROMPT_VERSIONS in names:
        counted = counted.join(_list_prompt_versions(pairs), on="row", how="left")
    nothing = [pl.col(name).fill_null(0) for name in names if SCHEMA.get(name) == pl.UInt32]
    return spine.select("row").join(counted, on="row", how="left").select("row", *names).with_columns(nothing)


def _order_spine_rows(parts: list[pl.DataFrame], names: Sequence[str]) -> pl.DataFrame:
    """The parts, which are emptied, in the order of their rows; a column at a time, so that few are held twice."""
    counted = pl.concat(parts, rechunk=False)
    parts.clear()
    order = counted["row"].arg_sort()
    columns = []
    for name in names:
        columns.append(counted[name].gather(order))
        counted = counted.drop(name)
    return pl.DataFrame(columns)


def _list_prompt_versions(pairs: pl.DataFrame) -> pl.DataFrame:
    counted = pairs.group_by("row", "prompt_version").len("contacts")
    by_version = counted.with_columns(pl.col("prompt_version").cast(pl.String)).sort("row", "prompt_version")
    told = pl.concat_str(pl.col("prompt_version").fill_null("unknown"), pl.lit(":"), "contacts")
    return by_version.group_by("row").agg(told.str.join(" ").alias(PROMPT_VERSIONS))
