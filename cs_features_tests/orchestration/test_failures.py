"""What a failed run says of its cause: runs that really fail, read from Dagster's own records."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest

from cs_features import orchestration
from cs_features.errors import (
    AccessRefused,
    AwsRefusal,
    BudgetSpent,
    CsFeaturesError,
    ObjectRefused,
    ObjectUnreadable,
    Outage,
    PromptError,
    PublishingFailed,
    RequestError,
    RunStopper,
    SettingsError,
    WithdrawalStopped,
)
from cs_features.orchestration.failures import (
    BUDGET,
    Cause,
    lasting_failure,
    make_failure,
    passing_failure,
    read_cause,
)
from cs_features.orchestration.sensors.landing import list_events
from cs_features_tests.support.failed_runs import fail_blocking_check, fail_run
from cs_features_tests.support.memory_instance import memory_instance


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with memory_instance() as made:
        yield made


def cause_of(instance: dg.DagsterInstance, run: dg.DagsterRun) -> Cause:
    latest = instance.get_run_by_id(run.run_id)
    assert latest is not None
    return read_cause(latest.status, list_events(instance, run.run_id))


@pytest.mark.parametrize(
    ("error", "cause", "may_pass"),
    [
        (passing_failure("Bedrock was down"), Cause.OUTAGE, True),
        (lasting_failure("3 of 40 would be withdrawn"), Cause.LASTING, False),
        (lasting_failure("the budget of $25.00 is spent", cause=BUDGET), Cause.BUDGET, False),
        (lasting_failure("below its floor", cause="quality_floor"), Cause.LASTING, False),
        (PromptError("NL.md:3: no such section"), Cause.LASTING, False),
        (SettingsError("CS_FEATURES_MAX_COST_USD='x'"), Cause.LASTING, False),
        (AwsRefusal("Bucket x (SlowDown)"), Cause.UNKNOWN, True),
        (AccessRefused("Bucket x (AccessDenied)"), Cause.LASTING, False),
        (ObjectRefused("s3://x/a", "AccessDenied"), Cause.LASTING, False),
        (ObjectUnreadable("s3://x/a", "its body broke off"), Cause.UNKNOWN, True),
        (RequestError("no such country"), Cause.LASTING, False),
        (Outage("Bedrock is down"), Cause.UNKNOWN, True),
        (KeyError("a customer"), Cause.UNKNOWN, True),
        (dg.Failure("of somebody else"), Cause.UNKNOWN, True),
    ],
    ids=lambda it: it.name if isinstance(it, Cause) else "",
)
def test_the_cause_of_a_failed_step_is_read_from_how_it_failed(
    instance: dg.DagsterInstance, error: BaseException, cause: Cause, may_pass: bool
) -> None:
    """Fault 49: one rule of retries for an outage, a brake and a misspelt setting."""
    found = cause_of(instance, fail_run(instance, error))
    assert (found, found.may_pass) == (cause, may_pass)


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (Outage("x"), Cause.OUTAGE),
        (AwsRefusal("x"), Cause.OUTAGE),
        (PublishingFailed("x"), Cause.OUTAGE),
        (ObjectUnreadable("s3://x/a", "x"), Cause.OUTAGE),
        (ObjectRefused("s3://x/a", "x"), Cause.LASTING),
        (AccessRefused("x"), Cause.LASTING),
        (RunStopper("x"), Cause.LASTING),
        (WithdrawalStopped("x"), Cause.LASTING),
        (BudgetSpent("x"), Cause.BUDGET),
    ],
    ids=lambda it: type(it).__name__ if isinstance(it, CsFeaturesError) else "",
)
def test_a_permission_is_not_tried_again_in_whatever_step_it_is_missing(
    instance: dg.DagsterInstance, error: CsFeaturesError, cause: Cause
) -> None:
    """llm_extractions called every refusal of AWS an outage: without a permission it was tried four times."""
    assert cause_of(instance, fail_run(instance, make_failure(str(error), error))) is cause


def test_a_configuration_error_is_found_below_what_it_was_wrapped_in(instance: dg.DagsterInstance) -> None:
    """Dagster wraps, and so do we: the class that matters was the second or third of the chain."""
    wrapped = RuntimeError("while loading")
    wrapped.__cause__ = PromptError("NL.md:3: no such section")
    assert cause_of(instance, fail_run(instance, wrapped)) is Cause.LASTING


def test_a_blocking_check_is_a_cause_of_its_own(instance: dg.DagsterInstance) -> None:
    """Fault 49: a day that breaks a rule breaks it again."""
    found = cause_of(instance, fail_blocking_check(instance))
    assert (found, found.may_pass) == (Cause.CHECK, False)


def started(instance: dg.DagsterInstance) -> dg.DagsterRun:
    @dg.job(name="process_interactions")
    def nothing() -> None:
        pass

    return instance.create_run_for_job(nothing, status=dg.DagsterRunStatus.STARTED)


ENDS: dict[str, tuple[Callable[[dg.DagsterInstance, dg.DagsterRun], object], Cause]] = {
    "its worker died": (lambda instance, run: instance.report_run_failed(run, "worker is gone"), Cause.LOST),
    "somebody stopped it": (
        lambda instance, run: (instance.report_run_canceling(run), instance.report_run_canceled(run)),
        Cause.STOPPED,
    ),
    "it ran for too long and was ended": (
        lambda instance, run: (
            instance.report_run_canceling(run, message="Canceling due to exceeding maximum runtime of 7200 seconds."),
            instance.report_run_canceled(run),
        ),
        Cause.LOST,
    ),
}


@pytest.mark.parametrize(("end", "cause"), ENDS.values(), ids=ENDS)
def test_a_run_without_a_failed_step_was_lost_unless_somebody_stopped_it(
    instance: dg.DagsterInstance, end: Callable[[dg.DagsterInstance, dg.DagsterRun], object], cause: Cause
) -> None:
    """Fault 19: what run monitoring ends has no failed step; and what a person ends, a person wants ended."""
    run = started(instance)
    end(instance, run)
    assert cause_of(instance, run) is cause


def test_every_failure_of_ours_is_made_by_one_of_the_two_makers() -> None:
    """Fault 49: a failure that says neither whether it passes nor whose words it has is tried again for nothing, and
    told by its class alone."""
    folder = Path(orchestration.__file__).parent
    makers = [path.name for path in folder.rglob("*.py") if re.search(r"\bdg\.Failure\(", path.read_text())]
    assert makers == ["failures.py"]
