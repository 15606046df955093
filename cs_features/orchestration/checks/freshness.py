"""Whether each country's feed still delivers, a partition a country: a busy country hides no silent one.

The rule stands in `monitoring/freshness.py`; `assets/feed_freshness.py` gives the result.
"""

from cs_features.monitoring.freshness import COMPARED_DAYS, SLACK
from cs_features.monitoring.silence import FRESHNESS
from cs_features.orchestration.checks.registry import register_spec
from cs_features.orchestration.partitions import country_partitions

HOURS_OF_SLACK = int(SLACK.total_seconds() // 3600)

FEED_IS_FRESH = register_spec(
    FRESHNESS,
    "feed_freshness",
    partitions_def=country_partitions,
    rule=(
        f"The country's newest document is at most {HOURS_OF_SLACK} hours older than it ever was, on the last "
        f"{COMPARED_DAYS} days of that kind (weekday or weekend), at this hour or in the {HOURS_OF_SLACK} hours before."
    ),
    meaning="What is served is complete up to then; nothing newer becomes features.",
    advice="Ask the owner of the feed whether it delivers, and where to; misfiled_objects shows what lies elsewhere.",
)
