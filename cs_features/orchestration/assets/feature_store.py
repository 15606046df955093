"""Step 4: the validated rows into the SageMaker feature group, once, judged again before they go."""

from functools import partial

import dagster as dg
import polars as pl
from pydantic import Field

from cs_features.errors import AwsRefusal, PublishingFailed
from cs_features.landing.corrections import notify_of_withdrawal, read_notices
from cs_features.orchestration.partitions import interaction_partitions, partition_of
from cs_features.orchestration.resources import DataBucket, FeatureGroup, Landing, Model
from cs_features.publishing.feature_group import require_group
from cs_features.publishing.publisher import publish
from cs_features.quality.floor import read_known_quality
from cs_features.validation.gate import judge
from cs_features.validation.tables import features_schema


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
    group_name="interactions",
    kinds={"sagemaker"},
    description="What the feature group holds of this partition: the table is the manifest of what was written.",
)
def feature_store(
    context: dg.AssetExecutionContext,
    config: FeatureStoreConfig,
    landing: Landing,
    model: Model,
    feature_group: FeatureGroup,
    data: DataBucket,
    raw_interactions: pl.DataFrame,
    validated_features: pl.DataFrame,
    rejected_records: pl.DataFrame,
) -> dg.MaterializeResult[pl.DataFrame]:
    partition = partition_of(context)
    # A run of this asset alone is not bound by the checks that failed in an earlier run: both guards again.
    verdict = judge(validated_features, features_schema(model.prompts().answer_model, partition.country))
    if not verdict.passed:
        raise dg.Failure(
            f"{partition}: nothing was published, because {len(verdict.failed_rows)} rows of validated_features break "
            "its schema. Materialize validated_features again for this partition",
            metadata={"failure_cases": dg.MetadataValue.json(verdict.failures.head(100).to_dicts())},
            allow_retries=False,
        )
    tables = data.tables()
    quality = read_known_quality(partition.country, set(validated_features["language"]), model, tables)
    if quality.below:
        raise dg.Failure(f"{partition}: nothing was published. {quality}", allow_retries=False)
    try:
        require_group(feature_group.control_plane(), feature_group.name)
        result = publish(
            validated_features,
            tables.read("feature_store", partition),
            feature_group.runtime(),
            feature_group.name,
            save=partial(tables.write, "feature_store", partition),
            country=partition.country,
            day=partition.date,
            disturbed=read_notices(partition, tables),
            withdraw=lambda ids: notify_of_withdrawal(ids, partition, tables, landing.window_days),
        )
    except (AwsRefusal, PublishingFailed) as error:
        raise dg.Failure(f"{partition}: {error}") from error
    context.log.info(
        f"{partition}: {result.written} written, {result.deleted} deleted, {result.unchanged} unchanged, "
        f"{result.left} left to another partition"
    )
    return dg.MaterializeResult(
        value=result.manifest,
        metadata={
            "feature_group": feature_group.name,
            "written": result.written,
            "deleted": result.deleted,
            "left_to_another_partition": result.left,
            "unchanged": result.unchanged,
        },
    )
