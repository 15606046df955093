"""How each country's feed stands: its newest document, and whether that is later than ever."""

from collections.abc import Iterator
from datetime import datetime, timezone

import dagster as dg

from cs_features.errors import AccessRefused, AwsRefusal
from cs_features.monitoring.freshness import (
    Freshness,
    FreshnessState,
    judge_country_freshness,
    look_at_feeds,
    read_arrival_times,
    write_arrival_times,
)
from cs_features.monitoring.silence import describe_feed_freshness
from cs_features.orchestration.assets.landed_documents import landed_documents
from cs_features.orchestration.boundary import guard_boundary
from cs_features.orchestration.checks.freshness import FEED_IS_FRESH
from cs_features.orchestration.failures import lasting_failure, passing_failure
from cs_features.orchestration.metadata import plot_apart
from cs_features.orchestration.partitions import country_partitions
from cs_features.orchestration.resources import DataBucket, Landing


@dg.asset(
    partitions_def=country_partitions,
    deps=[landed_documents],
    check_specs=[FEED_IS_FRESH],
    kinds={"s3"},
    description="The newest document of each country's feed, against what is usual at this hour.",
)
@guard_boundary
def feed_freshness(
    context: dg.AssetExecutionContext, landing: Landing, data: DataBucket
) -> Iterator[dg.MaterializeResult[None]]:
    now, country, bucket = datetime.now(timezone.utc), context.partition_key, data.bucket()
    try:
        arrivals = look_at_feeds(landing.zone(), read_arrival_times(bucket), [country], now)
        write_arrival_times(bucket, arrivals)
    except AccessRefused as error:
        raise lasting_failure(f"{country}: {error}") from None
    except AwsRefusal as error:
        raise passing_failure(f"{country}: {error}") from None
    found = judge_country_freshness(arrivals, country, now)
    figures, words = plot_apart(country, describe_figures(found)), describe_feed_freshness(country, found, now)
    context.log.info(words)
    check = dg.AssetCheckResult(
        check_name=FEED_IS_FRESH.name,
        passed=found.state is not FreshnessState.LATE,
        severity=dg.AssetCheckSeverity.ERROR,
        description=words,
        metadata=figures,
    )
    # Yielded: Dagster 1.13 takes a result with a check in no other way.
    yield dg.MaterializeResult(metadata=figures, check_results=[check])


def describe_figures(found: Freshness) -> dict[str, dg.MetadataValue]:
    """Numbers that plot; what is unknown is left out."""
    figures: dict[str, dg.MetadataValue] = {"days_compared": dg.MetadataValue.int(found.days_compared)}
    if found.newest is not None:
        figures["newest_document"] = dg.MetadataValue.timestamp(found.newest)
    if found.age is not None:
        figures["age_hours"] = dg.MetadataValue.float(round(found.age.total_seconds() / 3600, 2))
    if found.allowed_age is not None:
        figures["allowed_age_hours"] = dg.MetadataValue.float(round(found.allowed_age.total_seconds() / 3600, 2))
    return figures
