"""How a step fails: for a cause that passes by itself, or for one that stays until somebody mends it.

`landing_sensor` asks again for runs of the first kind and never for those of the second. A blocking check is of
the second kind, too. Whether a failure is an incident is decided in `incidents.py`.
"""

from collections.abc import Mapping
from typing import Any

import dagster as dg

RETRY = "retry"  # the metadata entry of a failure: whether asking again may help


def lasting_failure(message: str, metadata: Mapping[str, Any] | None = None) -> dg.Failure:
    """Configuration, permissions, a spent budget, a brake: asking again changes nothing."""
    return dg.Failure(message, metadata={**(metadata or {}), RETRY: dg.MetadataValue.bool(False)}, allow_retries=False)


def passing_failure(message: str, metadata: Mapping[str, Any] | None = None) -> dg.Failure:
    """An outage: the same run may succeed later."""
    return dg.Failure(message, metadata={**(metadata or {}), RETRY: dg.MetadataValue.bool(True)}, allow_retries=False)
