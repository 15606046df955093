"""The jobs: the whole chain for one partition, its redrive, the inventories, and quotes; and the schedule."""

from datetime import date

import dagster as dg
from pydantic import Field

from cs_features.assets.metadata import as_table
from cs_features.partitions import interaction_partitions
from cs_features.quote import as_frame, partitions_between, quotes
from cs_features.resources import Landing, Model
from cs_features.storage import DataBucket

CHAIN = dg.AssetSelection.assets(
    "raw_interactions", "llm_extractions", "validated_features", "rejected_records", "feature_store"
)

process_interactions = dg.define_asset_job(
    "process_interactions",
    selection=CHAIN,
    partitions_def=interaction_partitions,
    # One process a run: the calls to Bedrock are threads, and a process a step costs seconds each.
    executor_def=dg.in_process_executor,
    description="From landed documents to the feature store, for one country's day.",
)


redrive_rejected = dg.define_asset_job(
    "redrive_rejected",
    selection=CHAIN,
    partitions_def=interaction_partitions,
    executor_def=dg.in_process_executor,
    config={"ops": {"llm_extractions": {"config": {"redrive": ["all"]}}}},
    description=(
        "Asks the model again for the redrivable rejects of the chosen partitions, and for nothing else. "
        "Narrow it to some reasons in the launchpad: redrive: [invalid_answer]."
    ),
)

take_inventory = dg.define_asset_job(
    "take_inventory",
    selection=dg.AssetSelection.assets("reconciliation", "open_rejects"),
    executor_def=dg.in_process_executor,
    description="Counts what landed against what is held, and the open rejects.",
)

daily_inventory = dg.ScheduleDefinition(
    name="daily_inventory",
    job=take_inventory,
    cron_schedule="30 4 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)


class QuoteConfig(dg.Config):
    """Which partitions to quote: days as YYYY-MM-DD, both included; no country means all of them."""

    first: str
    last: str
    countries: list[str] = Field(default_factory=list)


@dg.op(out=dg.Out(dg.Nothing))
def quote_partitions(
    context: dg.OpExecutionContext, config: QuoteConfig, landing: Landing, data: DataBucket, model: Model
) -> None:
    """Count the calls that the ledger cannot save, and price them; the result is this step's metadata."""
    every = interaction_partitions.get_partitions_def_for_dimension("country").get_partition_keys()
    first, last = date.fromisoformat(config.first), date.fromisoformat(config.last)
    frame = as_frame(quotes(partitions_between(config.countries or every, first, last), landing, data, model))
    total = frame.tail(1).to_dicts()[0]
    context.log.info(f"{total['calls']} calls, ${total['cost_usd']:.4f}, {total['minutes']:.1f} minutes")
    context.add_output_metadata(
        {
            "calls": total["calls"],
            "cost_usd": total["cost_usd"],
            "minutes": total["minutes"],
            "quote": as_table(frame),
        }
    )


@dg.job(executor_def=dg.in_process_executor, description="What partitions would cost, with no model call.")
def quote() -> None:
    """Calls, tokens, dollars and minutes of partitions before they are run."""
    quote_partitions()
