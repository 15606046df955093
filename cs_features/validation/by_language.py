"""What became of one partition's interactions, language by language. Pure functions of its tables.

What a column means is decided in the modules that write the tables; here it is only counted.
"""

import polars as pl

from cs_features.storage import fill_missing_columns

# Columns that tables of older versions may lack.
_OF_RAW = pl.Schema({"language_detected": pl.String()})
_OF_EXTRACTIONS = pl.Schema({"reused": pl.Boolean(), "cost_usd": pl.Float64()})
_FLAGS = {
    "disagrees": "language_disagreements",
    "validated": "validated",
    "urgent": "urgent",
    "dissatisfied": "dissatisfied",
}


def count_by_language(
    raw: pl.DataFrame,
    extractions: pl.DataFrame,
    validated: pl.DataFrame,
    urgent_from: float,
    dissatisfied_to: float,
) -> pl.DataFrame:
    """A row a language of the accepted interactions, most interactions first.

    Columns: language, interactions, language_disagreements (the text looks like another language than the
    document states), validated, rejected, urgent and dissatisfied (among the validated), cost_usd (of this run).
    """
    fates = (
        _select_accepted_rows(raw)
        .join(_select_paid_rows(extractions), on="interaction_id", how="left")
        .join(_flag_validated_rows(validated, urgent_from, dissatisfied_to), on="interaction_id", how="left")
    )
    flags = [pl.col(flag).sum().cast(pl.Int64).alias(name) for flag, name in _FLAGS.items()]
    counts = fates.group_by("language").agg(
        pl.len().cast(pl.Int64).alias("interactions"), *flags, pl.col("cost_usd").sum()
    )
    return (
        counts.with_columns(rejected=pl.col("interactions") - pl.col("validated"))
        .select(
            "language",
            "interactions",
            "language_disagreements",
            "validated",
            "rejected",
            "urgent",
            "dissatisfied",
            "cost_usd",
        )
        .sort("interactions", "language", descending=[True, False])
    )


def _select_accepted_rows(raw: pl.DataFrame) -> pl.DataFrame:
    accepted = fill_missing_columns(raw, _OF_RAW).filter(pl.col("status") == "accepted")
    disagrees = pl.col("language_detected") != pl.col("language")
    return accepted.select("interaction_id", "language", disagrees.alias("disagrees"))


def _select_paid_rows(extractions: pl.DataFrame) -> pl.DataFrame:
    of_this_run = ~pl.col("reused").fill_null(False)
    return fill_missing_columns(extractions, _OF_EXTRACTIONS).filter(of_this_run).select("interaction_id", "cost_usd")


def _flag_validated_rows(validated: pl.DataFrame, urgent_from: float, dissatisfied_to: float) -> pl.DataFrame:
    return validated.select(
        "interaction_id",
        validated=True,
        urgent=pl.col("urgency_score") >= urgent_from,
        dissatisfied=pl.col("csat_indicator") <= dissatisfied_to,
    )
