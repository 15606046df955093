"""What became of one partition's interactions, language by language. A pure function of the four tables."""

import polars as pl


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
    accepted = raw.filter(pl.col("status") == "accepted").select(
        "interaction_id",
        "language",
        (pl.col("language_detected") != pl.col("language")).alias("disagrees"),
    )
    paid = extractions.filter(~pl.col("reused")).select("interaction_id", "cost_usd")
    published = validated.select(
        "interaction_id",
        validated=True,
        urgent=pl.col("urgency_score") >= urgent_from,
        dissatisfied=pl.col("csat_indicator") <= dissatisfied_to,
    )
    return (
        accepted.join(paid, on="interaction_id", how="left")
        .join(published, on="interaction_id", how="left")
        .group_by("language")
        .agg(
            pl.len().cast(pl.Int64).alias("interactions"),
            *(pl.col(flag).sum().cast(pl.Int64).alias(name) for flag, name in _FLAGS.items()),
            pl.col("cost_usd").sum(),
        )
        .with_columns(rejected=pl.col("interactions") - pl.col("validated"))
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


_FLAGS = {
    "disagrees": "language_disagreements",
    "validated": "validated",
    "urgent": "urgent",
    "dissatisfied": "dissatisfied",
}
