"""Step 0: what the feeds deliver. Nothing makes it but they; `freshness_sensor` looks whether each still does.

Without partitions: nobody reports what landed to Dagster, and the UI would say "0 % filled" for ever.
"""

import dagster as dg

landed_documents = dg.AssetSpec(
    "landed_documents",
    kinds={"s3"},
    description="The documents that each country's feed writes to the landing bucket.",
)
