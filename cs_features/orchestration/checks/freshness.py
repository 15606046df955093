"""Whether each country's feed still delivers, a partition a country: a busy country hides no silent one.

The rule stands in `monitoring/freshness.py`. The check can be run by hand; `freshness_sensor` reports it by itself.
"""

from datetime import datetime, timezone

import dagster as dg

from cs_features.monitoring.freshness import (
    COMPARED_DAYS,
    SLACK,
    Freshness,
    FreshnessState,
    judge_freshness,
    look_at_feeds,
    read_arrivals,
    write_arrivals,
)
from cs_features.monitoring.silence import FRESHNESS, describe_freshness
from cs_features.orchestration.checks.registry import register_check
from cs_features.orchestration.partitions import country_partitions
from cs_features.orchestration.resources import DataBucket, Landing

HOURS_OF_SLACK = int(SLACK.total_seconds() // 3600)


@register_check(
    "landed_documents",
    name=FRESHNESS,
    partitions_def=country_partitions,
    rule=(
        f"The country's newest document is at most {HOURS_OF_SLACK} hours older than it ever was, on the last "
        f"{COMPARED_DAYS} days of that kind (weekday or weekend), at this hour or in the {HOURS_OF_SLACK} hours before."
    ),
    advice="Ask the owner of the feed whether it delivers, and where to; misfiled_objects shows what lies elsewhere.",
)
def freshness(context: dg.AssetCheckExecutionContext, landing: Landing, data: DataBucket) -> dg.AssetCheckResult:
    now, country, bucket = datetime.now(timezone.utc), context.partition_key, data.bucket()
    arrivals = look_at_feeds(landing.zone(), read_arrivals(bucket), [country], now)
    write_arrivals(bucket, arrivals)
    found = judge_freshness(arrivals, country, now)
    return dg.AssetCheckResult(
        passed=found.state is not FreshnessState.LATE,
        severity=dg.AssetCheckSeverity.ERROR,
        description=describe_freshness(country, found, now),
        metadata=describe_figures(found),
    )


def describe_figures(found: Freshness) -> dict[str, dg.MetadataValue]:
    """Numbers that plot a country at a time; what is unknown is left out."""
    figures: dict[str, dg.MetadataValue] = {"days_compared": dg.MetadataValue.int(found.days_compared)}
    if found.newest is not None:
        figures["newest_document"] = dg.MetadataValue.timestamp(found.newest)
    if found.age is not None:
        figures["age_hours"] = dg.MetadataValue.float(round(found.age.total_seconds() / 3600, 2))
    if found.allowed_age is not None:
        figures["allowed_age_hours"] = dg.MetadataValue.float(round(found.allowed_age.total_seconds() / 3600, 2))
    return figures
