"""The first rejects of a partition as they may be shown: reason, what was wrong, file and line, and no text. Pure."""

import polars as pl

from cs_features.monitoring.misfiled import mask_folder_name
from cs_features.schemas import Reason
from cs_features.short_names import shorten_name

SHOWN_REJECTS = 20
_MEANINGS = {reason.value: reason.meaning for reason in Reason}


def name_file(name: str) -> str:
    """As it is; where it may say who somebody is, its first letters and a digest that finds it."""
    return name if mask_folder_name(name) == name else shorten_name(name)


def list_first_rejects(rejected: pl.DataFrame, most: int = SHOWN_REJECTS) -> pl.DataFrame:
    """Columns: stage, reason, detail, file, line; landing first, in the order of files.

    What the gate says of a document names no value of it; what a service or a model said may, so that of those the
    reason's meaning is shown.
    """
    is_ours = pl.col("stage") == "landing"
    file = pl.col("source_uri").str.split("/").list.last()
    meaning = pl.col("reason").replace_strict(_MEANINGS, default="a reason of another version")
    return (
        rejected.with_columns(is_ours.alias("first"))
        .sort("first", "source_uri", "source_line", descending=[True, False, False])
        .head(most)
        .select(
            "stage",
            "reason",
            pl.when(is_ours).then(pl.col("detail")).otherwise(meaning).alias("detail"),
            file.map_elements(name_file, return_dtype=pl.String).alias("file"),
            pl.col("source_line").alias("line"),
        )
    )
