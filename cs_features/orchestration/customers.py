"""`update_customers` and its schedule: once a day, after the cut whose knowledge is served.

Not here: what an update does (`assets/customer_features.py`).
"""

import dagster as dg

from cs_features.customers.serving import CUT_HOUR

update_customers = dg.define_asset_job(
    "update_customers",
    selection=dg.AssetSelection.assets("customer_features"),
    executor_def=dg.in_process_executor,
    description="Counts touched customers' features at the day's cut, and writes those that changed; asks no model.",
)

# Half an hour after the cut: the offline store takes a quarter to tell what was known then.
daily_customers = dg.ScheduleDefinition(
    name="daily_customers",
    job=update_customers,
    cron_schedule=f"30 {CUT_HOUR} * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
