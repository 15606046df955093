"""The documents that did not become features and wait for somebody, counted over many partitions. Pure.

Not here: what a reject is (`schemas.py`), and what is done about it (`redrive_rejected`).
"""

from collections.abc import Iterable
from datetime import date

import polars as pl

from cs_features.storage import fill_missing_columns

_KEYS = ("country", "stage", "reason", "redrivable")
_ROWS = pl.Schema(
    {
        "stage": pl.String(),
        "reason": pl.String(),
        "redrivable": pl.Boolean(),
        "country": pl.String(),
        "day": pl.Date(),
    }
)

OPEN_REJECTS_SCHEMA = pl.Schema(
    {
        **{name: _ROWS[name] for name in _KEYS},
        "documents": pl.Int64(),
        "oldest": pl.Date(),
        "newest": pl.Date(),
    }
)


def count_open_rejects(tables: Iterable[tuple[str, date, pl.DataFrame]]) -> pl.DataFrame:
    """Rejects of many partitions, given as (country, day, rejected_records), counted.

    Columns: country, stage, reason, redrivable, documents, oldest, newest (days); most documents first. Tables of
    other versions may lack columns, which count as null, and have reasons that this one does not know.
    """
    frames = [_ROWS.to_frame()]
    frames += [_select_rows(country, day, rejected) for country, day, rejected in tables]
    counted = (
        pl.concat(frames)
        .group_by(*_KEYS)
        .agg(
            pl.len().cast(pl.Int64).alias("documents"),
            pl.col("day").min().alias("oldest"),
            pl.col("day").max().alias("newest"),
        )
    )
    return counted.sort("documents", *_KEYS, descending=[True, False, False, False, False])


def _select_rows(country: str, day: date, rejected: pl.DataFrame) -> pl.DataFrame:
    placed = fill_missing_columns(rejected, _ROWS).with_columns(country=pl.lit(country), day=pl.lit(day))
    return placed.select(pl.col(name).cast(dtype, strict=False) for name, dtype in _ROWS.items())
