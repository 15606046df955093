"""Whether the account lets the product work: a probe a thing that is needed, each OK or one sentence of advice.

Run by hand before the first day (`cli/preflight.py`) and every day by Dagster, because access can vanish: a model's
agreement, a quota, a role. Here: the order of the probes, and what counts as a failure. Not here: the probes
(`preflight_probes.py`, `preflight_quotas.py`). A probe leaves nothing behind and asks the model one question.
"""

from collections.abc import Callable
from dataclasses import dataclass

from cs_features.errors import CsFeaturesError
from cs_features.monitoring.preflight_probes import (
    probe_alert_topic,
    probe_aws_credentials,
    probe_clock_skew,
    probe_customer_group,
    probe_dagster_database,
    probe_data_bucket,
    probe_feature_group,
    probe_landing_bucket,
    probe_model_access,
)
from cs_features.monitoring.preflight_quotas import probe_model_quotas, probe_task_quota
from cs_features.services import Services

Probe = Callable[[Services], str]

PROBES: dict[str, Probe] = {
    "credentials": probe_aws_credentials,
    "clock": probe_clock_skew,
    "landing bucket": probe_landing_bucket,
    "data bucket": probe_data_bucket,
    "model": probe_model_access,
    "model quotas": probe_model_quotas,
    "task quota": probe_task_quota,
    "feature group": probe_feature_group,
    "customer group": probe_customer_group,
    "alerts topic": probe_alert_topic,
    "database": probe_dagster_database,
}


@dataclass(frozen=True)
class Finding:
    """What a probe found, in one sentence."""

    subject: str
    is_ok: bool
    sentence: str

    @property
    def line(self) -> str:
        return f"{'OK   ' if self.is_ok else 'WRONG'}  {self.subject:<15} {self.sentence}"


def run_preflight_probes(services: Services) -> list[Finding]:
    """Every probe, whatever the others found. A defect in a probe is raised: it says nothing about the account."""
    return [run_preflight_probe(subject, probe, services) for subject, probe in PROBES.items()]


def run_preflight_probe(subject: str, probe: Probe, services: Services) -> Finding:
    try:
        return Finding(subject, True, probe(services))
    except CsFeaturesError as error:
        return Finding(subject, False, str(error))
