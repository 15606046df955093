"""The brake: a publication that would take too much out of a group at once stops before its first call. Pure.

What leaves, and on what evidence, is the plan's (`plan.py`).
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from cs_features.errors import WithdrawalStopped
from cs_features.publishing.manifest import Entry
from cs_features.publishing.plan import Documents, Evidence, Plan

MIN_WITHDRAWN = 5  # fewer never stop a publication: one deleted file of a small day is everyday work


def check_withdrawals(plan: Plan, documents: Documents, entries: Mapping[str, Entry], max_share: float) -> None:
    """Stop a publication that would withdraw too much at once.

    An interaction that another partition has by now stays in the store under its name, what a publisher had begun to
    withdraw was let through before, and an erasure is an order with evidence of its own: none of them counts.

    Raises:
        WithdrawalStopped: more than `max_share` of the records served, and at least `MIN_WITHDRAWN`; or any, when
            no document is left in the landing folder.
    """
    leaving = {
        key: evidence
        for key, evidence in plan.withdraw.items()
        if evidence not in (Evidence.SUPERSEDED, Evidence.ERASED) and not entries[key].is_being_withdrawn
    }
    if not leaving:
        return
    served = sum(not entry.is_being_withdrawn for entry in entries.values())
    leave = Leave(Counter(evidence.value for evidence in leaving.values()), served, max_share, "feature_store")
    if documents.landed == 0:
        raise WithdrawalStopped(
            f"The landing folder holds no document, and {leave.numbers} would be withdrawn. Nothing was changed. Is "
            f"CS_FEATURES_LANDING_BUCKET right, and were the objects deleted on purpose? {leave.advice}"
        )
    stop_withdrawals(leave)


@dataclass(frozen=True)
class Leave:
    """Records that would leave a group, by why, of so many that it serves."""

    reasons: Mapping[str, int]
    served: int
    max_share: float
    asset: str

    @property
    def count(self) -> int:
        return sum(self.reasons.values())

    @property
    def numbers(self) -> str:
        reasons = ", ".join(f"{number} {why}" for why, number in sorted(self.reasons.items()))
        return f"{self.count} of {self.served} records ({reasons})"

    @property
    def advice(self) -> str:
        return f"If they are to leave, materialize {self.asset} with allow_deletions: true"


def stop_withdrawals(leave: Leave) -> None:
    """Raises WithdrawalStopped: more than `max_share` of the records served would leave, and at least
    `MIN_WITHDRAWN`."""
    if leave.count >= MIN_WITHDRAWN and leave.count > leave.max_share * leave.served:
        raise WithdrawalStopped(
            f"{leave.numbers} would be withdrawn, more than {leave.max_share:.0%} of what is served "
            f"(CS_FEATURES_MAX_WITHDRAWN_SHARE). Nothing was changed. {leave.advice}"
        )
