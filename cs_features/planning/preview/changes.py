"""What another prompt changes: which values of a sample differ, and what share of all values that makes.

Pure functions of frames; the statistics are `sampling.py`'s. Of a summary only whether it differs is told,
never its text.
"""

import polars as pl

from cs_features.planning.preview.sampling import Share, Stratum, estimate_weighted_share
from cs_features.schemas import ANSWER_FIELDS, CATEGORICAL, SCORES

# The prompt's anchors of a score are 0.2 apart: up to half of that is the same anchor, read again.
SCORE_STEP = 0.1
EVERY_VALUE = "all values"
ALL = "all"
FEW = 10  # asked of a stratum; fewer are too few to tell

STRATUM = ("country", "language")
CANDIDATE = "_candidate"

ESTIMATES_SCHEMA = pl.Schema(
    {
        "country": pl.String(),
        "language": pl.String(),
        "feature": pl.String(),
        "interactions": pl.Int64(),
        "asked": pl.Int64(),
        "share": pl.Float64(),
        "low": pl.Float64(),
        "high": pl.Float64(),
    }
)


def count_population_strata(population: pl.DataFrame) -> pl.DataFrame:
    """Strata (country x language) and their `interactions`."""
    return population.group_by(STRATUM).agg(pl.len().cast(pl.Int64).alias("interactions")).sort(STRATUM)


def flag_field_changes(pairs: pl.DataFrame) -> pl.DataFrame:
    """For each pair of answers, whether each feature differs (1.0) or not (0.0), and the share of those that do.

    `pairs` has country, language, the features in use, and those of the candidate under the same names with
    `_candidate` behind. Features of an answer that failed are null, and differ from every value.
    """

    def flag_answer_difference(name: str) -> pl.Expr:
        was, becomes = pl.col(name), pl.col(name + CANDIDATE)
        if name in SCORES:  # rounded, because 0.4 - 0.3 is a little more than 0.1
            far = (was - becomes).abs().round(6) > SCORE_STEP
            return far.fill_null(was.is_null() != becomes.is_null())
        if name == "summary":
            was, becomes = _normalize_text(was), _normalize_text(becomes)
        return was.ne_missing(becomes)

    flags = pairs.select(
        *STRATUM, *(flag_answer_difference(name).cast(pl.Float64).alias(name) for name in ANSWER_FIELDS)
    )
    return flags.with_columns(pl.mean_horizontal(ANSWER_FIELDS).alias(EVERY_VALUE))


def _normalize_text(text: pl.Expr) -> pl.Expr:
    return text.str.to_lowercase().str.replace_all(r"\s+", " ").str.strip_chars()


def estimate_value_changes(sizes: pl.DataFrame, changes: pl.DataFrame) -> pl.DataFrame:
    """A row a feature for all, for each country and for each stratum: the share that changes, with its interval.

    `sizes` is of `sizes_of`, `changes` of `changed`. What country and language do not tell apart says `all`.
    """
    names = (EVERY_VALUE, *ANSWER_FIELDS)
    sums = changes.group_by(STRATUM).agg(
        pl.len().cast(pl.Int64).alias("asked"),
        *(pl.col(name).sum().alias(f"{name} total") for name in names),
        *((pl.col(name) ** 2).sum().alias(f"{name} squares") for name in names),
    )
    strata = sizes.join(sums, on=STRATUM, how="left").with_columns(pl.exclude(*STRATUM).fill_null(0)).sort(STRATUM)
    rows = []
    for (country, language), scope in _list_change_scopes(strata):
        for name in names:
            found = _share_in_scope(scope, name)
            counts = (int(scope["interactions"].sum()), int(scope["asked"].sum()))
            rows.append((country, language, name, *counts, found.value, found.low, found.high))
    return pl.DataFrame(rows, schema=ESTIMATES_SCHEMA, orient="row")


def _list_change_scopes(strata: pl.DataFrame) -> list[tuple[tuple[str, str], pl.DataFrame]]:
    scopes = [((ALL, ALL), strata)]
    for country in strata["country"].unique(maintain_order=True):
        of_country = strata.filter(pl.col("country") == country)
        scopes.append(((country, ALL), of_country))
        for language in of_country["language"]:
            scopes.append(((country, language), of_country.filter(pl.col("language") == language)))
    return scopes


def _share_in_scope(strata: pl.DataFrame, name: str) -> Share:
    columns = strata.select("interactions", "asked", f"{name} total", f"{name} squares")
    return estimate_weighted_share([Stratum(*row) for row in columns.iter_rows()])


def count_change_directions(sizes: pl.DataFrame, pairs: pl.DataFrame) -> pl.DataFrame:
    """From which value to which: a row a change that was seen, the most frequent first.

    Columns: feature, was, becomes, seen (in the sample), share (of all interactions, weighted by stratum).
    """
    asked = pairs.group_by(STRATUM).agg(pl.len().alias("asked"))
    weights = asked.join(sizes, on=STRATUM).with_columns(
        weight=pl.col("interactions") / pl.col("asked") / pl.col("interactions").sum()
    )
    weighted = pairs.join(weights, on=STRATUM)
    flags = flag_field_changes(weighted)
    found = [
        weighted.filter(flags[name] == 1.0)
        .group_by(*_describe_value_change(name))
        .agg(pl.len().cast(pl.Int64).alias("seen"), pl.col("weight").sum().alias("share"))
        .select(pl.lit(name).alias("feature"), "was", "becomes", "seen", "share")
        for name in (*CATEGORICAL, *SCORES)
    ]
    order = ["share", "feature", "was", "becomes"]
    return pl.concat(found).sort(order, descending=[True, False, False, False])


def _describe_value_change(name: str) -> tuple[pl.Expr, pl.Expr]:
    was, becomes = pl.col(name), pl.col(name + CANDIDATE)
    if name in SCORES:
        moved = pl.when(becomes > was).then(pl.lit("higher")).when(becomes < was).then(pl.lit("lower"))
        becomes = moved.when(becomes.is_not_null()).then(pl.lit("a score"))
        was = pl.when(was.is_not_null()).then(pl.lit("a score"))
    return was.fill_null("no answer").alias("was"), becomes.fill_null("no answer").alias("becomes")


def format_change_estimates(found: pl.DataFrame) -> pl.DataFrame:
    """`estimates` for people: a row a scope, a column a feature, such as "12.5 (8.1-17.4)" in percent."""

    def format_percent(name: str) -> pl.Expr:
        return (100 * pl.col(name)).round(1).cast(pl.String)

    text = pl.format("{} ({}-{})", format_percent("share"), format_percent("low"), format_percent("high")).fill_null(
        "not asked"
    )
    few = (pl.col("asked") < FEW) & (pl.col("asked") < pl.col("interactions"))
    return (
        found.with_columns(value=text, note=pl.when(few).then(pl.lit("too few to tell")).otherwise(pl.lit("")))
        .pivot(on="feature", index=[*STRATUM, "interactions", "asked", "note"], values="value", maintain_order=True)
        .select(*STRATUM, "interactions", "asked", EVERY_VALUE, *ANSWER_FIELDS, "note")
    )
