"""The services as Dagster hands them to assets, checks, ops and sensors, by the names of their parameters.

Not here: what a service is and what it is made of (`services.py`).
"""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from cs_features import services
from cs_features.orchestration.io_manager import ParquetTables

Landing = dg.ResourceParam[services.Landing]
DataBucket = dg.ResourceParam[services.DataBucket]
Model = dg.ResourceParam[services.Model]
FeatureGroup = dg.ResourceParam[services.FeatureGroup]
Alerts = dg.ResourceParam[services.Alerts]
History = dg.ResourceParam[services.History]
Retention = dg.ResourceParam[services.Retention]


def build_resources(made: services.Services) -> Mapping[str, Any]:
    """Every resource, by the name under which assets, checks and sensors ask for it."""
    return {**vars(made), "io_manager": ParquetTables(made.data)}
