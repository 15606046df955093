"""The documents that did not become features and wait for somebody, counted over many partitions. Pure."""

from collections.abc import Iterable
from datetime import date

import polars as pl


def open_rejects_of(tables: Iterable[tuple[str, date, pl.DataFrame]]) -> pl.DataFrame:
    """Rejects of many partitions, given as (country, day, rejected_records), counted.

    Columns: country, stage, reason, redrivable, documents, oldest, newest (days); most documents first.
    """
    keys = ("country", "stage", "reason", "redrivable")
    counted = [
        rejected.select("stage", "reason", "redrivable", pl.lit(country).alias("country"), pl.lit(day).alias("day"))
        for country, day, rejected in tables
    ]
    schema = {
        "stage": pl.String(),
        "reason": pl.String(),
        "redrivable": pl.Boolean(),
        "country": pl.String(),
        "day": pl.Date(),
    }
    return (
        pl.concat([pl.DataFrame(schema=schema), *counted])
        .group_by(*keys)
        .agg(
            pl.len().cast(pl.Int64).alias("documents"),
            pl.col("day").min().alias("oldest"),
            pl.col("day").max().alias("newest"),
        )
        .sort("documents", *keys, descending=[True, False, False, False, False])
    )
