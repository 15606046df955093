"""The Dagster pool in which the model is asked: its slots say which runs share the quota, on whatever host they are.

Dagster's database holds the slots, so there is no service of ours to keep alive. A run that asks writes its host into
its tags; the limiter of each host then paces its runs to their share of the quota. A run that Dagster knows to have
ended counts no more, whether or not its slot was given back. Not here: the pace itself (`extraction/quota.py`).
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import chain

import dagster as dg

from cs_features.extraction.host import name_this_host
from cs_features.planning.priorities import weigh_run_share
from cs_features.services import Model

MODEL_POOL = "bedrock"
HOST_TAG = "cs_features/host"
NO_HOST = ""  # tags are written over and never taken away
ASKING = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]


def share_quota(model: Model, instance: dg.DagsterInstance, run_id: str) -> Model:
    """The model for a step in the pool: it asks no faster than its host's share of the quota allows.

    Where Dagster keeps no slots, as in memory, all of the quota is this host's.
    """
    if not instance.event_log_storage.supports_global_concurrency_limits:
        return model
    return replace(model, others=HostShare(instance, run_id, name_this_host()))


@dataclass
class HostShare:
    """The share of one host, as a run on it that holds a slot finds it."""

    instance: dg.DagsterInstance
    run_id: str
    host: str
    _known: float = field(default=1.0, init=False)
    _is_asking: bool = field(default=False, init=False)

    def find_share(self) -> float:
        from sqlalchemy.exc import SQLAlchemyError  # here: the code location has no database

        # Not before the first call for the model: a run that finds everything in the ledger takes no share.
        try:
            self._tell_whether_asking(True)
            self._known = compute_share(list_asking_hosts(self.instance), self.host)
        except SQLAlchemyError:
            pass  # the database does not answer for a moment: what it said last is the best guess
        return self._known

    def leave_quota(self) -> None:
        from sqlalchemy.exc import SQLAlchemyError

        with suppress(SQLAlchemyError):  # the end of its step tells the same
            self._tell_whether_asking(False)

    def _tell_whether_asking(self, is_asking: bool) -> None:
        if is_asking is not self._is_asking:
            self.instance.add_run_tags(self.run_id, {HOST_TAG: self.host if is_asking else NO_HOST})
            self._is_asking = is_asking


def list_asking_hosts(instance: dg.DagsterInstance) -> list[str]:
    """The host of each run that holds a slot of the pool and asks; more than once where the run's share is larger."""
    slots = instance.event_log_storage.get_concurrency_info(MODEL_POOL).claimed_slots
    holders = sorted({slot.run_id for slot in slots})
    if not holders:
        return []
    runs = instance.get_runs(filters=dg.RunsFilter(run_ids=holders, statuses=ASKING))
    asking = [run.tags for run in runs if run.tags.get(HOST_TAG, NO_HOST) != NO_HOST]
    weighed = ([tags[HOST_TAG]] * weigh_run_share(tags) for tags in asking)
    return list(chain.from_iterable(weighed))


def compute_share(hosts: Sequence[str], host: str) -> float:
    """Of the quota, what the runs on `host` may use together: as much for each entry of `hosts`, wherever it is."""
    ours = max(hosts.count(host), 1)  # whoever asks this asks the model, too
    others = len(hosts) - hosts.count(host)
    return ours / (ours + others)
