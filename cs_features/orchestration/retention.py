"""`apply_retention`: what is too old goes, once a week; launched by hand it only counts what would go.

The sweepers of Dagster's history and of the data bucket, one after the other; what each removed is metadata of the
run. Not here: how old is old (`retention/rules.py`).
"""

from datetime import datetime, timezone

import dagster as dg
from pydantic import Field

from cs_features.orchestration.boundary import guard_boundary
from cs_features.orchestration.failures import passing_failure
from cs_features.orchestration.metadata import as_table
from cs_features.orchestration.resources import DataBucket, Retention
from cs_features.retention.data_bucket import list_bucket_sweepers
from cs_features.retention.sweeps import Sweeper, apply_retention_sweepers, build_sweep_frame
from cs_features.retention.tables import list_table_sweepers
from cs_features.services import DataBucket as DataBucketService
from cs_features.services import Retention as RetentionService


class RetentionConfig(dg.Config):
    """By default nothing is removed: the schedule says otherwise."""

    dry_run: bool = Field(True, description="only count what would go")


def list_sweepers(instance: dg.DagsterInstance, data: DataBucketService, retention: RetentionService) -> list[Sweeper]:
    """All that is swept, in order."""
    # Here: it loads Dagster's storages and the migrations of their databases, for a job that runs once a week.
    from cs_features.orchestration.history import list_history_sweepers

    ages = retention.ages()
    of_tables = list_table_sweepers(data.tables(), retention.table_ages())
    return [*list_history_sweepers(instance, ages), *list_bucket_sweepers(data.tables(), ages), *of_tables]


@dg.op(out=dg.Out(dg.Nothing))
@guard_boundary
def sweep_old_data(
    context: dg.OpExecutionContext, config: RetentionConfig, data: DataBucket, retention: Retention
) -> None:
    """Remove what is too old, or count it; the result is this step's metadata."""
    now = datetime.now(timezone.utc)
    results = apply_retention_sweepers(list_sweepers(context.instance, data, retention), now, config.dry_run)
    frame = build_sweep_frame(results)
    megabytes = float(frame["megabytes"].sum())
    verb = "would be removed" if config.dry_run else "removed"
    context.log.info(f"{frame['removed'].sum()} {verb}, {megabytes:.1f} MB")
    context.add_output_metadata(
        {"dry_run": config.dry_run, "sweeps": as_table(frame), "megabytes_freed": dg.MetadataValue.float(megabytes)}
    )
    refused = [f"{each.what}: {each.problem}" for each in results if each.problem]
    if refused:
        raise passing_failure("Not everything could be swept. " + "; ".join(refused))


@dg.job(
    executor_def=dg.in_process_executor,
    description="Removes old runs, events, logs, notices and ledgers; launched by hand it counts what would go.",
)
def apply_retention() -> None:
    """By age and rule; what a partition's state is told from stays."""
    sweep_old_data()


weekly_retention = dg.ScheduleDefinition(
    name="weekly_retention",
    job=apply_retention,
    cron_schedule="0 3 * * 0",
    execution_timezone="UTC",
    run_config={"ops": {"sweep_old_data": {"config": {"dry_run": False}}}},
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
