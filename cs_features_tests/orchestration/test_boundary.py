"""Nothing that a library says reaches Dagster: class and place of what is not ours, and our own words."""

import inspect
from collections.abc import Callable, Iterator

import dagster as dg
import polars as pl
import pytest

from cs_features.definitions import defs
from cs_features.errors import AwsRefusal, Outage
from cs_features.orchestration.boundary import GUARDED, UnexpectedError, guard_boundary
from cs_features.orchestration.checks.registry import _CHECKS
from cs_features.orchestration.failures import passing_failure

SECRET = "NL91ABNA0417164300"


@guard_boundary
def crash_in_polars() -> None:
    pl.Series([SECRET]).cast(pl.Int64)


@guard_boundary
def crash_of_ours() -> None:
    try:
        raise KeyError(SECRET)
    except KeyError as error:
        raise AwsRefusal("Bucket x: allow s3:GetObject") from error


@guard_boundary
def crash_around_ours() -> None:
    try:
        crash_of_ours()
    except AwsRefusal as error:
        raise RuntimeError(SECRET) from error


@guard_boundary
def fail_on_purpose() -> None:
    try:
        raise ValueError(SECRET)
    except ValueError as error:
        raise passing_failure("NL 2026-11-24: an outage") from error


@guard_boundary
def stop_the_run() -> None:
    raise Outage("Bedrock is down") from ValueError(SECRET)


@guard_boundary
def crash_while_yielding() -> Iterator[int]:
    yield 1
    raise ValueError(SECRET)


def everything_told(error: BaseException | None) -> str:
    told = []
    while error is not None:
        told.append(f"{type(error).__name__}: {error}")
        error = error.__cause__ or error.__context__
    return "\n".join(told)


CRASHES = [crash_in_polars, crash_of_ours, crash_around_ours, fail_on_purpose, stop_the_run]


@pytest.mark.parametrize("crash", CRASHES, ids=lambda crash: crash.__name__)
def test_no_word_of_a_library_gets_out(crash: Callable[[], None]) -> None:
    """pandera quotes cells, polars values, AWS what it refuses; all of it stood in the event log, causes included."""
    with pytest.raises(Exception) as caught:  # noqa: PT011
        crash()
    assert SECRET not in everything_told(caught.value)


def test_what_is_unknown_is_told_by_class_and_place() -> None:
    """Without them nobody could mend it: the words were the only thing that was dangerous."""
    with pytest.raises(UnexpectedError, match=r"Raised in .*:[0-9]+ ") as caught:
        crash_in_polars()
    assert type(caught.value).__name__ == "InvalidOperationError"


def test_our_own_errors_and_failures_keep_their_words() -> None:
    with pytest.raises(AwsRefusal, match="allow s3:GetObject"):
        crash_of_ours()
    with pytest.raises(dg.Failure, match="an outage"):
        fail_on_purpose()
    with pytest.raises(UnexpectedError) as caught:
        crash_around_ours()
    assert isinstance(caught.value.__cause__, AwsRefusal), "whether it may pass is told from it"


def test_an_asset_that_yields_is_one_still() -> None:
    assert inspect.isgeneratorfunction(crash_while_yielding)
    found = crash_while_yielding()
    assert next(found) == 1
    with pytest.raises(UnexpectedError):
        next(found)


def test_every_step_check_and_sensor_is_guarded() -> None:
    """The one that was forgotten would be the one that crashes."""
    steps = {
        node.name: node.compute_fn.decorated_fn  # type: ignore[union-attr]
        for job in defs.resolve_all_job_defs()
        for node in job.all_node_defs
        if isinstance(node, dg.OpDefinition)
    }
    assert {"raw_interactions", "erase_everywhere", "quote_partitions"} <= steps.keys()
    # The step of the checks calls what is guarded one by one.
    unguarded = [name for name, function in steps.items() if not hasattr(function, GUARDED)]
    assert [name for name in unguarded if "check" not in name] == []
    assert [check.spec.name for check in _CHECKS if not hasattr(check.function, GUARDED)] == []
    assert [each.name for each in defs.sensors or [] if not hasattr(each._raw_fn, GUARDED)] == []  # type: ignore[union-attr]
