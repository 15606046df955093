"""Step 4: the validated rows into the SageMaker feature group, once, judged again before they go.

Not here: which records are written and withdrawn, and how (`publishing/`).
"""

import dagster as dg
import polars as pl
from pydantic import Field

from cs_features.errors import CsFeaturesError, SchemaMismatch
from cs_features.freed_memory import give_memory_back
from cs_features.orchestration.boundary import guard_boundary
from cs_features.orchestration.failures import lasting_failure, make_failure
from cs_features.orchestration.metadata import describe_columns, plot_apart
from cs_features.orchestration.partitions import interaction_partitions, partition_of
from cs_features.orchestration.resources import DataBucket, FeatureGroup, Landing, Model
from cs_features.orchestration.run_memory import RUN_MEMORY
from cs_features.orchestration.verdicts import judge_rows_once
from cs_features.partitions import Partition
from cs_features.publishing.feature_group import require_group
from cs_features.publishing.manifest import MANIFEST_SCHEMA
from cs_features.publishing.plan import DOCUMENT_COLUMNS
from cs_features.publishing.publication import Destination
from cs_features.publishing.publisher import Outcome, PublicationRules, Published, publish_partition
from cs_features.publishing.records import RecordStore
from cs_features.quality.floor import judge_measurements, read_measurements
from cs_features.storage import read_table_columns


class FeatureStoreConfig(dg.Config):
    """What a person lets a publication do; by default it withdraws little at once and believes the manifest."""

    allow_deletions: bool = Field(
        False, description="withdraw records however many they are: they really are to leave the store"
    )
    verify_online: bool = Field(
        False, description="ask the online store for every record that seems unchanged, and write again what is gone"
    )


@dg.asset(
    partitions_def=interaction_partitions,
    kinds={"sagemaker"},
    metadata=describe_columns(MANIFEST_SCHEMA),
    description="What the feature group holds of this partition: the table is the manifest of what was written.",
)
@guard_boundary
def feature_store(
    context: dg.AssetExecutionContext,
    config: FeatureStoreConfig,
    landing: Landing,
    model: Model,
    feature_group: FeatureGroup,
    data: DataBucket,
    raw_interactions: pl.LazyFrame,
    validated_features: pl.LazyFrame,
    rejected_records: pl.DataFrame,
) -> dg.MaterializeResult[pl.DataFrame]:
    partition = partition_of(context)
    # A run of this asset alone is not bound by the checks that failed in an earlier run: both guards again.
    _require_valid_rows(context.run_id, validated_features.collect(), model, partition)
    languages = set(validated_features.select("language").collect()["language"])
    tables = data.tables()
    measurements = RUN_MEMORY.recall(
        context.run_id, "measurements", lambda: read_measurements(partition.country, model, tables)
    )
    quality = judge_measurements(measurements, partition.country, languages, model)
    if quality.below:
        raise lasting_failure(f"{partition}: nothing was published. {quality}", cause="quality below the floor")
    outcome = Outcome(
        raw=read_table_columns(raw_interactions, DOCUMENT_COLUMNS),
        validated=validated_features,
        rejected=rejected_records,
    )
    rules = PublicationRules(
        window_days=landing.window_days,
        max_withdrawn_share=feature_group.max_withdrawn_share,
        allow_deletions=config.allow_deletions,
        verify_online=config.verify_online,
        read_tombstones=data.tombstones,
    )
    try:
        identity = require_group(feature_group.control_plane(), feature_group.name)
        destination = Destination(RecordStore(feature_group.runtime(), feature_group.name), identity)
        published = publish_partition(partition, outcome, tables, destination, rules)
    except CsFeaturesError as error:
        raise make_failure(f"{partition}: {error}", error) from error
    counts = count_records(published)
    context.add_asset_metadata({"group": identity, **plot_apart(partition.country, counts)})
    give_memory_back()  # of the records: the manifest holds them once more
    return dg.MaterializeResult(value=published.manifest)


def _require_valid_rows(run_id: str, validated: pl.DataFrame, model: Model, partition: Partition) -> None:
    try:
        verdict = judge_rows_once(run_id, validated, model, partition)
    except SchemaMismatch as error:
        raise lasting_failure(f"{partition}: nothing was published. {error}") from error
    if not verdict.passed:
        raise lasting_failure(
            f"{partition}: nothing was published, because {len(verdict.failed_rows)} rows of validated_features break "
            "its schema. Materialize validated_features again for this partition",
            {"failure_cases": dg.MetadataValue.json(verdict.failures.head(100).to_dicts())},
        )


def count_records(published: Published) -> dict[str, int]:
    """What became of the partition's records, by the name of the materialization's metadata."""
    return {
        "written": published.written,
        "withdrawn": published.withdrawn,
        "handed_over": published.handed_over,
        "kept": published.kept,
        "kept_of_damaged_files": published.hidden,
        "unchanged": published.unchanged,
        "of_other_interactions": published.others,
    }
