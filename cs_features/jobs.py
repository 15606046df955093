"""The jobs. One today: the whole chain for one partition, in one process."""

import dagster as dg

from cs_features.partitions import interaction_partitions

process_interactions = dg.define_asset_job(
    "process_interactions",
    selection=dg.AssetSelection.assets(
        "raw_interactions", "llm_extractions", "validated_features", "rejected_records", "feature_store"
    ),
    partitions_def=interaction_partitions,
    # One process a run: the calls to Bedrock are threads, and a process a step costs seconds each.
    executor_def=dg.in_process_executor,
    description="From landed documents to the feature store, for one country's day.",
)
