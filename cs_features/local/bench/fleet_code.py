"""The code location of the fleet: the product's, but for how long the sensor waits before it asks again.

Minutes and hours in production; here a benchmark would wait for them.
"""

from datetime import timedelta

from cs_features.orchestration.sensors import landing_decision

landing_decision.RETRY_AFTER = (timedelta(seconds=5),) * 3  # before anything else has read it

from cs_features.definitions import defs  # noqa: E402

__all__ = ["defs"]
