"""The jobs: the whole chain for one partition, its redrive, the inventories, quotes and previews; and the schedule."""

from datetime import timedelta

import dagster as dg
from pydantic import Field

from cs_features.errors import ConfigurationError, CsFeaturesError, RequestError
from cs_features.orchestration.boundary import guard_boundary
from cs_features.orchestration.failures import lasting_failure, make_failure
from cs_features.orchestration.metadata import as_table
from cs_features.orchestration.partitions import (
    FIRST_DATE,
    country_partitions,
    interaction_partitions,
    locale_partitions,
    week_partitions,
)
from cs_features.orchestration.quota_pool import MODEL_POOL, share_quota
from cs_features.orchestration.resources import DataBucket, Landing, Model
from cs_features.partitions import Week, monday_of
from cs_features.planning.history import limit_by_account, list_stale_partitions, quote_landed_documents
from cs_features.planning.preview.changes import format_change_estimates
from cs_features.planning.preview.plan import Scope
from cs_features.planning.preview.run import preview_candidate_prompts
from cs_features.planning.priorities import BACKFILL_TAG
from cs_features.planning.quote import Queue, build_quote_frame, estimate_wall_minutes, list_partitions
from cs_features.planning.requests import Calendar, parse_day, require_known_countries

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

PREFLIGHT = dg.AssetSelection.checks(dg.AssetCheckKey(dg.AssetKey("reconciliation"), "preflight"))

check_access = dg.define_asset_job(
    "check_access",
    selection=PREFLIGHT,
    executor_def=dg.in_process_executor,
    description="Whether the account still lets the product work: what `make preflight` asks, as a check.",
)

take_inventory = dg.define_asset_job(
    "take_inventory",
    selection=dg.AssetSelection.assets("reconciliation", "misfiled_objects", "open_rejects") - PREFLIGHT,
    executor_def=dg.in_process_executor,
    description="Counts what landed against what is held and served, what lies outside, and the open rejects.",
)

watch_feeds = dg.define_asset_job(
    "watch_feeds",
    selection=dg.AssetSelection.assets("feed_freshness"),
    partitions_def=country_partitions,
    executor_def=dg.in_process_executor,
    description="Looks whether a country's feed still delivers; asks no model.",
)

report_operations = dg.define_asset_job(
    "report_operations",
    selection=dg.AssetSelection.assets("operations_report"),
    executor_def=dg.in_process_executor,
    description="Writes the page of the day: what needs a person, and every country in one row.",
)

report_countries = dg.define_asset_job(
    "report_countries",
    selection=dg.AssetSelection.assets("human_quality", "country_report"),
    partitions_def=country_partitions,
    executor_def=dg.in_process_executor,
    description="What colleagues' labels say of a country: its quality, and its figures corrected; asks no model.",
)


@dg.schedule(
    job=report_countries,
    cron_schedule="30 5 * * 1",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Every Monday, for every country: its newest labels against its newest answers.",
)
def weekly_country_reports(context: dg.ScheduleEvaluationContext) -> list[dg.RunRequest]:
    day = context.scheduled_execution_time.date()
    countries = country_partitions.get_partition_keys()
    return [dg.RunRequest(run_key=f"{country} {day}", partition_key=country) for country in countries]


measure_quality = dg.define_asset_job(
    "measure_quality",
    selection=dg.AssetSelection.assets("extraction_quality"),
    partitions_def=locale_partitions,
    executor_def=dg.in_process_executor,
    description="Asks the golden corpus of a locale with the prompt and model in use; what was asked before is free.",
)

watch_drift = dg.define_asset_job(
    "watch_drift",
    selection=dg.AssetSelection.assets("feature_drift"),
    partitions_def=week_partitions,
    executor_def=dg.in_process_executor,
    description="Compares a country's week with the weeks before it; asks no model.",
)


@dg.schedule(
    job=watch_drift,
    cron_schedule="0 5 * * 1",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Every Monday, the week that ended on Sunday, for every country.",
)
def weekly_drift(context: dg.ScheduleEvaluationContext) -> list[dg.RunRequest]:
    """Five hours after the week's end: its last documents have landed and are processed."""
    monday = monday_of(context.scheduled_execution_time.date()) - timedelta(days=7)
    weeks = [Week(country, monday) for country in country_partitions.get_partition_keys()]
    return [dg.RunRequest(run_key=week.key, partition_key=week.key) for week in weeks]


daily_inventory = dg.ScheduleDefinition(
    name="daily_inventory",
    job=take_inventory,
    cron_schedule="30 4 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)


# An hour before the inventory, which fails of the same causes and says less about them.
daily_preflight = dg.ScheduleDefinition(
    name="daily_preflight",
    job=check_access,
    cron_schedule="30 3 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)


# After the inventory, and before anybody has breakfast.
daily_report = dg.ScheduleDefinition(
    name="daily_report",
    job=report_operations,
    cron_schedule="0 5 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)


class QuoteConfig(dg.Config):
    """Which partitions to quote: days as YYYY-MM-DD, both included; no country means all of them."""

    first: str
    last: str
    countries: list[str] = Field(default_factory=list)
    stale_only: bool = Field(False, description="only what another prompt or model than those in use has made")


@dg.op(out=dg.Out(dg.Nothing))
@guard_boundary
def quote_partitions(
    context: dg.OpExecutionContext, config: QuoteConfig, landing: Landing, data: DataBucket, model: Model
) -> None:
    """Count the calls that the ledger cannot save, and price them; the result is this step's metadata."""
    try:
        first, last = parse_day(config.first), parse_day(config.last)
        Calendar.since(FIRST_DATE).require_valid_days(first, last)
        countries = require_known_countries(config.countries, country_partitions.get_partition_keys())
        partitions = list_partitions(countries, first, last)
        if config.stale_only:
            partitions = list_stale_partitions(partitions, data, model)
        model = limit_by_account(model, data)
        quotes = quote_landed_documents(partitions, landing, data, model)
    except (ConfigurationError, RequestError) as error:
        raise lasting_failure(str(error)) from None
    wall_minutes = estimate_wall_minutes(quotes, Queue(count_runs_at_once(context.instance)), model)
    frame = build_quote_frame(quotes, wall_minutes)
    total = frame.tail(1).to_dicts()[0]
    context.log.info(
        f"{len(quotes)} runs, {total['calls']} calls, ${total['cost_usd']:.4f}, {wall_minutes:.1f} minutes until the "
        "last run has ended"
    )
    context.add_output_metadata(
        {
            "calls": total["calls"],
            "cost_usd": total["cost_usd"],
            "minutes": total["minutes"],
            "quote": as_table(frame),
        }
    )


def count_runs_at_once(instance: dg.DagsterInstance) -> int:
    """How many runs of a backfill may go at the same time; where the instance has no queue, as many as assumed."""
    queue = instance.get_concurrency_config().run_queue_config
    if queue is None:
        return Queue.runs_at_once
    of_backfills = [each["limit"] for each in queue.tag_concurrency_limits if each["key"] == BACKFILL_TAG]
    limits = [limit for limit in (queue.max_concurrent_runs, *of_backfills) if limit is not None and limit > 0]
    return min(limits, default=Queue.runs_at_once)


@dg.job(executor_def=dg.in_process_executor, description="What partitions would cost, with no model call.")
def quote() -> None:
    """Calls, tokens, dollars and minutes of partitions before they are run."""
    quote_partitions()


class PreviewConfig(dg.Config):
    """Which prompts to preview on which interactions; what is left out is chosen as `make preview` does."""

    candidate: str = Field(
        description="a version that was pushed, or a folder of prompts on the machine that runs this job"
    )
    countries: list[str] = Field(default_factory=list)
    first: str = Field("", description="YYYY-MM-DD; by default the last 28 days that hold extractions")
    last: str = Field("", description="YYYY-MM-DD")
    sample: int | None = Field(None, gt=0, description="interactions to ask; by default 8 % of them, at most 400")
    noise: bool = Field(False, description="also ask a quarter of the sample again with the prompt in use")
    dry_run: bool = Field(False, description="only say what the sample and the rerun cost")

    def build_scope(self) -> Scope:
        """Raises:
        RequestError: days that cannot be meant.
        """
        first, last = (parse_day(day) if day else None for day in (self.first, self.last))
        Calendar.since(FIRST_DATE).require_valid_days(first, last)
        return Scope(self.countries, first, last, self.sample)


@dg.op(out=dg.Out(dg.Nothing), pool=MODEL_POOL)
@guard_boundary
def ask_a_sample(context: dg.OpExecutionContext, config: PreviewConfig, data: DataBucket, model: Model) -> None:
    """Ask a sample with the candidate and say what changes; the result is this step's metadata."""
    sentences: list[str] = []

    def log_sentence(line: str) -> None:
        sentences.append(line)
        context.log.info(line)

    try:
        found = preview_candidate_prompts(
            data.prompt_versions().find_candidate_folder(config.candidate),
            share_quota(model, context.instance, context.run_id),
            data,
            config.build_scope(),
            dry_run=config.dry_run,
            noise=config.noise,
            say=log_sentence,
        )
    except CsFeaturesError as error:
        raise make_failure(str(error), error) from None
    metadata: dict[str, dg.MetadataValue] = {"told": dg.MetadataValue.md("\n\n".join(sentences))}
    if found is not None:
        metadata |= {
            "changes_in_percent": as_table(format_change_estimates(found.changes)),
            "directions": as_table(found.directions),
            "rerun_calls": dg.MetadataValue.int(found.price["calls"]),
            "rerun_cost_usd": dg.MetadataValue.float(found.price["cost_usd"]),
            "rerun_minutes": dg.MetadataValue.float(found.price["minutes"]),
            "preview_calls": dg.MetadataValue.int(found.calls),
            "preview_cost_usd": dg.MetadataValue.float(found.cost_usd),
        }
        if found.noise is not None:
            metadata["changes_of_the_prompt_in_use"] = as_table(format_change_estimates(found.noise))
    context.add_output_metadata(metadata)


@dg.job(executor_def=dg.in_process_executor, description="What another prompt would change, from a small sample.")
def preview_prompt() -> None:
    """Shares of each feature that would change, with intervals, and the price of a full rerun."""
    ask_a_sample()
