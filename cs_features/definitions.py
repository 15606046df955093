"""The code location: the one place where assets, checks, jobs, sensors and resources come together.

Nothing imports this module but Dagster and the tests.
"""

import atexit
import gc
from typing import Any

import dagster as dg

from cs_features.environments import settings
from cs_features.orchestration.assets.attack_resistance import attack_resistance
from cs_features.orchestration.assets.country_prompts import country_prompts
from cs_features.orchestration.assets.customer_features import customer_features
from cs_features.orchestration.assets.extraction_quality import extraction_quality
from cs_features.orchestration.assets.feature_drift import feature_drift
from cs_features.orchestration.assets.feature_store import feature_store
from cs_features.orchestration.assets.feed_freshness import feed_freshness
from cs_features.orchestration.assets.human_quality import country_report, human_quality
from cs_features.orchestration.assets.inventory import misfiled_objects, open_rejects, reconciliation
from cs_features.orchestration.assets.landed_documents import landed_documents
from cs_features.orchestration.assets.llm_extractions import llm_extractions
from cs_features.orchestration.assets.operations_report import operations_report
from cs_features.orchestration.assets.raw_interactions import raw_interactions
from cs_features.orchestration.assets.validated_features import validated_features
from cs_features.orchestration.catalog import present_assets
from cs_features.orchestration.checks import CHECKS
from cs_features.orchestration.customers import daily_customers, update_customers
from cs_features.orchestration.erasing import erase_customer
from cs_features.orchestration.jobs import (
    check_access,
    daily_inventory,
    daily_preflight,
    daily_report,
    measure_quality,
    preview_prompt,
    process_interactions,
    quote,
    redrive_rejected,
    report_countries,
    report_operations,
    take_inventory,
    watch_drift,
    watch_feeds,
    weekly_country_reports,
    weekly_drift,
)
from cs_features.orchestration.resources import build_resources
from cs_features.orchestration.retention import apply_retention, weekly_retention
from cs_features.orchestration.sensors.alerts import alert_sensor
from cs_features.orchestration.sensors.freshness import freshness_sensor
from cs_features.orchestration.sensors.landing import landing_sensor
from cs_features.orchestration.sensors.prompts import prompt_sensor
from cs_features.orchestration.sensors.recheck import recheck_sensor
from cs_features.services import build_services_from

ASSETS = (
    landed_documents,
    country_prompts,
    raw_interactions,
    llm_extractions,
    validated_features,
    feature_store,
    customer_features,
    feature_drift,
    extraction_quality,
    human_quality,
    country_report,
    attack_resistance,
    reconciliation,
    misfiled_objects,
    open_rejects,
    feed_freshness,
    operations_report,
)


def build_defs(**resource_overrides: Any) -> dg.Definitions:
    """The definitions of production; tests pass other resources by name and get the same object."""
    resources = {**build_resources(build_services_from(settings())), **resource_overrides}
    return dg.Definitions(
        assets=present_assets(ASSETS, settings()),
        asset_checks=CHECKS,
        jobs=[
            process_interactions,
            redrive_rejected,
            update_customers,
            measure_quality,
            watch_drift,
            watch_feeds,
            take_inventory,
            check_access,
            report_operations,
            report_countries,
            quote,
            preview_prompt,
            apply_retention,
            erase_customer,
        ],
        schedules=[
            daily_customers,
            daily_inventory,
            daily_preflight,
            daily_report,
            weekly_drift,
            weekly_country_reports,
            weekly_retention,
        ],
        sensors=[
            landing_sensor,
            prompt_sensor,
            recheck_sensor,
            freshness_sensor,
            # Without a topic there is nobody to tell.
            *([alert_sensor] if resources["alerts"].topic_arn else []),
        ],
        resources=resources,
        executor=dg.in_process_executor,
    )


def spare_collector() -> None:
    """What is loaded by now stays until the process ends: half a million objects that the collector would go through
    time and again, a tenth of a run's CPU. How often it comes at all: `orchestration/__init__.py`.

    Python collects once more when the process ends, 0.2 s of CPU for what ends with it in any case.
    """
    gc.freeze()
    atexit.register(gc.freeze)


defs = build_defs()
spare_collector()
