"""Step 0: what each country's prompt is now. Nothing makes it but the files: it is observed by `prompt_sensor`.

Its data version tells Dagster which partitions were extracted with another prompt, and shows them as stale.
"""

import dagster as dg

from cs_features.orchestration.partitions import country_partitions, locale_partitions
from cs_features.partitions import Locale

country_prompts = dg.AssetSpec(
    "country_prompts",
    partitions_def=country_partitions,
    kinds={"markdown"},
    description=(
        "The prompt of each country: fixed instructions, taxonomy, its own file and calibration, and the model. "
        "An edit marks what was extracted with the old one as stale."
    ),
)

of_the_partition = dg.AssetDep(
    country_prompts, partition_mapping=dg.MultiToSingleDimensionPartitionMapping(partition_dimension_name="country")
)

of_the_locale = dg.AssetDep(
    country_prompts,
    partition_mapping=dg.StaticPartitionMapping(
        {
            country: [key for key in locale_partitions.get_partition_keys() if Locale.from_key(key).country == country]
            for country in country_partitions.get_partition_keys()
        }
    ),
)
