"""Step 4: the validated rows into the SageMaker feature group, once, judged again before they go."""

import dagster as dg
import polars as pl

from cs_features.aws import AwsRefusal
from cs_features.feature_group import PublishingFailed, publish, require_group
from cs_features.partitions import Partition, interaction_partitions
from cs_features.resources import FeatureGroup, Model
from cs_features.schemas import features_schema
from cs_features.storage import DataBucket
from cs_features.validation import judge


@dg.asset(
    partitions_def=interaction_partitions,
    group_name="interactions",
    kinds={"sagemaker"},
    description="What the feature group holds of this partition: the table is the manifest of what was written.",
)
def feature_store(
    context: dg.AssetExecutionContext,
    model: Model,
    feature_group: FeatureGroup,
    data: DataBucket,
    validated_features: pl.DataFrame,
) -> dg.MaterializeResult[pl.DataFrame]:
    partition = Partition.of(context)
    # A run of this asset alone is not bound by a check that failed in an earlier run.
    verdict = judge(validated_features, features_schema(model.prompts().answer_model, partition.country))
    if not verdict.passed:
        raise dg.Failure(
            f"{partition}: nothing was published, because {len(verdict.failed_rows)} rows of validated_features break "
            "its schema. Materialize validated_features again for this partition",
            metadata={"failure_cases": dg.MetadataValue.json(verdict.failures.head(100).to_dicts())},
            allow_retries=False,
        )
    manifests = data.tables()
    try:
        require_group(feature_group.control_plane(), feature_group.name)
        result = publish(
            validated_features,
            manifests.read("feature_store", partition),
            feature_group.runtime(),
            feature_group.name,
            save=lambda manifest: manifests.write("feature_store", partition, manifest),
        )
    except (AwsRefusal, PublishingFailed) as error:
        raise dg.Failure(f"{partition}: {error}") from error
    context.log.info(f"{partition}: {result.written} written, {result.deleted} deleted, {result.unchanged} unchanged")
    return dg.MaterializeResult(
        value=result.manifest,
        metadata={
            "feature_group": feature_group.name,
            "written": result.written,
            "deleted": result.deleted,
            "unchanged": result.unchanged,
        },
    )
