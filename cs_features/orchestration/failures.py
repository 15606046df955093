"""How a step fails, and what a failed run says of its cause: whether asking again may help.

Steps fail by `passing_failure` or `lasting_failure` and by nothing else of ours; `make_failure` chooses by the error.
`landing_sensor` asks again for what may pass and never for what stays. Whether a failure is an incident is decided in
`incidents.py`.
"""

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

import dagster as dg
from dagster._core.errors import DagsterAssetCheckFailedError

from cs_features.errors import BudgetSpent, CsFeaturesError, WithdrawalStopped, is_lasting_error, list_every_error

RETRY = "retry"  # the metadata entry of a failure: whether asking again may help
CAUSE = "cause"  # another one: which cause, where that matters to who reads it
BUDGET = "budget spent"
_CAUSES: Mapping[type[CsFeaturesError], str] = {BudgetSpent: BUDGET, WithdrawalStopped: "withdrawals stopped"}


class Cause(Enum):
    """Why a run failed, as far as it matters to who may ask again."""

    OUTAGE = "an outage"
    LOST = "its process was lost"
    UNKNOWN = "an error that is none of ours"
    LASTING = "a cause that stays until somebody mends it"
    BUDGET = "its budget is spent"
    CHECK = "a blocking check"
    STOPPED = "somebody stopped it"

    @property
    def may_pass(self) -> bool:
        return self in (Cause.OUTAGE, Cause.LOST, Cause.UNKNOWN)


def passing_failure(message: str, metadata: Mapping[str, Any] | None = None) -> dg.Failure:
    """An outage: the same run may succeed later."""
    return dg.Failure(message, metadata={**(metadata or {}), RETRY: dg.MetadataValue.bool(True)}, allow_retries=False)


def lasting_failure(message: str, metadata: Mapping[str, Any] | None = None, cause: str = "") -> dg.Failure:
    """Configuration, permissions, a brake: asking again changes nothing.

    `cause` is a word for alerts, where the message names what differs from run to run; `BUDGET` for a spent one.
    """
    entries = {**(metadata or {}), RETRY: dg.MetadataValue.bool(False)}
    if cause:
        entries[CAUSE] = dg.MetadataValue.text(cause)
    return dg.Failure(message, metadata=entries, allow_retries=False)


def make_failure(message: str, error: CsFeaturesError) -> dg.Failure:
    """A failure of a step that says of an error of ours what its class says: whether it may pass."""
    if is_lasting_error(type(error)):
        return lasting_failure(message, cause=_CAUSES.get(type(error), ""))
    return passing_failure(message)


def find_step_failure(events: Sequence[dg.DagsterEvent]) -> dg.DagsterEvent | None:
    """The first step that failed; the others failed of it, or would have."""
    return next((event for event in events if event.is_step_failure), None)


def list_errors(error: Any) -> list[Any]:
    """An error as Dagster keeps it, and those that it was raised from."""
    chain = []
    while error is not None:
        chain.append(error)
        error = error.cause
    return chain


# Dagster keeps the class of an error as its name.
_OURS: Mapping[str, type[CsFeaturesError]] = {error.__name__: error for error in list_every_error()}


def find_error_type(class_name: str) -> type[CsFeaturesError] | None:
    """Our error of that name; None for all others."""
    return _OURS.get(class_name)


def read_cause(status: dg.DagsterRunStatus, events: Sequence[dg.DagsterEvent]) -> Cause:
    """Why a run that did not succeed ended, from its events."""
    if status is dg.DagsterRunStatus.CANCELED:
        return Cause.LOST if _ran_out_of_time(events) else Cause.STOPPED
    step = find_step_failure(events)
    if step is None:
        return _read_cause_without_step(events)
    failure = step.step_failure_data.user_failure_data
    if failure is not None and RETRY in failure.metadata:
        return _read_cause_of_ours(failure.metadata)
    chain = list_errors(step.step_failure_data.error)
    if any(error.cls_name == DagsterAssetCheckFailedError.__name__ for error in chain):
        return Cause.CHECK
    return Cause.LASTING if _has_lasting_error(chain) else Cause.UNKNOWN


def _read_cause_of_ours(metadata: Mapping[str, Any]) -> Cause:
    if metadata[RETRY].value:
        return Cause.OUTAGE
    cause = metadata.get(CAUSE)
    return Cause.BUDGET if cause is not None and cause.value == BUDGET else Cause.LASTING


def _read_cause_without_step(events: Sequence[dg.DagsterEvent]) -> Cause:
    """Its process died, or it never came to its first step: a wrong setting, or no room for it."""
    chain = list_errors(find_run_error(events))
    return Cause.LASTING if _has_lasting_error(chain) else Cause.LOST


def find_run_error(events: Sequence[dg.DagsterEvent]) -> Any:
    """The error that a run as a whole ended with, None where there is none."""
    end = next((event for event in events if event.event_type is dg.DagsterEventType.RUN_FAILURE), None)
    return getattr(end.event_specific_data, "error", None) if end else None


def _has_lasting_error(chain: Sequence[Any]) -> bool:
    known = [find_error_type(error.cls_name) for error in chain]
    return any(is_lasting_error(error) for error in known if error is not None)


def _ran_out_of_time(events: Sequence[dg.DagsterEvent]) -> bool:
    """Run monitoring cancels a run of too long; a person's cancellation looks the same but for its message."""
    canceling = [event for event in events if event.event_type is dg.DagsterEventType.RUN_CANCELING]
    return any("maximum runtime" in (event.message or "") for event in canceling)
