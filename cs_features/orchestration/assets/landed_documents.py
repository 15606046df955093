"""Step 0: what the feeds deliver. Nothing makes it but they; `freshness_sensor` looks whether each still does."""

import dagster as dg

from cs_features.orchestration.partitions import country_partitions

landed_documents = dg.AssetSpec(
    "landed_documents",
    partitions_def=country_partitions,
    kinds={"s3"},
    description="The documents that each country's feed writes to the landing bucket.",
)

of_the_feed = dg.AssetDep(
    landed_documents, partition_mapping=dg.MultiToSingleDimensionPartitionMapping(partition_dimension_name="country")
)
