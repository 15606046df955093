"""What has moved: each country's week against the eight weeks before it, with a warning and a picture."""

from collections.abc import Iterable, Iterator

import dagster as dg
import polars as pl

from cs_features.monitoring import drift
from cs_features.monitoring.distributions import COLUMNS, FEATURES, count_feature_distributions
from cs_features.orchestration.boundary import guard_boundary
from cs_features.orchestration.checks.quality import DRIFT
from cs_features.orchestration.metadata import as_table, plot_apart
from cs_features.orchestration.partitions import week_partitions
from cs_features.orchestration.resources import DataBucket
from cs_features.partitions import Partition, Week
from cs_features.storage import Tables


@dg.asset(
    partitions_def=week_partitions,
    # Read below and not loaded: most of the days may never have been materialized.
    deps=[
        dg.AssetDep(
            "validated_features",
            partition_mapping=dg.MultiPartitionMapping(
                {
                    "country": dg.DimensionPartitionMapping("country", dg.IdentityPartitionMapping()),
                    "date": dg.DimensionPartitionMapping(
                        "week",
                        dg.TimeWindowPartitionMapping(
                            start_offset=-drift.BASELINE_WEEKS, allow_nonexistent_upstream_partitions=True
                        ),
                    ),
                }
            ),
        )
    ],
    check_specs=[DRIFT],
    kinds={"polars"},
    description="Each feature of a country's week against the weeks before it: how far apart, and whether it drifted.",
)
@guard_boundary
def feature_drift(context: dg.AssetExecutionContext, data: DataBucket) -> Iterator[dg.MaterializeResult[pl.DataFrame]]:
    # matplotlib: most runs of this code location draw nothing.
    from cs_features.orchestration.plots import draw_distributions

    country_week = Week.from_key(context.partition_key)
    tables = data.tables()
    week = _read_days(tables, country_week.days)
    baseline = _read_days(tables, country_week.before(drift.BASELINE_WEEKS))
    distributions, calendar = count_feature_distributions(week, baseline)
    verdicts = drift.judge_country_drift(distributions, calendar)
    drifted = frozenset(verdicts.filter(pl.col("verdict") == "drifted")["feature"])
    summary = drift.summarize_drift_verdicts(verdicts, drift.find_new_versions(week, baseline))
    sizes = f"{week.height:,} interactions against {baseline.height:,}"
    title = f"{country_week}: {sizes} of the {drift.BASELINE_WEEKS} weeks before"
    picture = dg.MetadataValue.md(draw_distributions(distributions, title, drifted))
    context.log.info(f"{country_week}: {summary}")
    check = dg.AssetCheckResult(
        check_name=DRIFT.name,
        passed=drifted.isdisjoint(FEATURES),
        severity=dg.AssetCheckSeverity.WARN,
        description=summary,
        metadata={"distributions": picture, **plot_apart(country_week.country, {"drifted": len(drifted)})},
    )
    # Yielded: Dagster 1.13 drops a check that is returned in a tuple, and refuses to return it in any other way.
    yield dg.MaterializeResult(
        value=verdicts,
        metadata={
            "distributions": picture,
            "verdicts": as_table(verdicts.with_columns(pl.col(pl.Float64).round(4))),
            **plot_apart(country_week.country, {"week_rows": week.height, "baseline_rows": baseline.height}),
        },
        check_results=[check],
    )


def _read_days(tables: Tables, days: Iterable[Partition]) -> pl.DataFrame:
    """The days' validated features; a day without a table is no error."""
    frames = [COLUMNS.to_frame()]
    for day in days:
        validated = tables.read("validated_features", day)
        if validated is not None:
            frames.append(validated.select(*COLUMNS))
    return pl.concat(frames)
