"""Runs that really fail, in milliseconds: tiny jobs by the name of a real one, that raise what a real step would."""

from collections.abc import Mapping

import dagster as dg


def fail_run(
    instance: dg.DagsterInstance,
    error: BaseException,
    tags: Mapping[str, str] | None = None,
    job_name: str = "process_interactions",
) -> dg.DagsterRun:
    """A run whose only step raises `error`."""

    @dg.op(name="llm_extractions")
    def raise_error() -> None:
        raise error

    @dg.job(name=job_name, executor_def=dg.in_process_executor)
    def failing() -> None:
        raise_error()

    result = failing.execute_in_process(instance=instance, tags=dict(tags or {}), raise_on_error=False)
    assert not result.success
    return result.dagster_run


def fail_blocking_check(
    instance: dg.DagsterInstance, tags: Mapping[str, str] | None = None, job_name: str = "process_interactions"
) -> dg.DagsterRun:
    """A run whose asset is made and then stopped by a blocking check."""
    spec = dg.AssetCheckSpec("conservation", asset="validated_features", blocking=True)

    @dg.asset(name="validated_features", check_specs=[spec])
    def make_asset() -> dg.MaterializeResult:
        return dg.MaterializeResult(check_results=[dg.AssetCheckResult(passed=False, check_name="conservation")])

    @dg.asset(deps=[make_asset])
    def feature_store() -> None:
        raise AssertionError("it stands behind the check")

    definitions = dg.Definitions(
        assets=[make_asset, feature_store], jobs=[dg.define_asset_job(job_name)], executor=dg.in_process_executor
    )
    result = definitions.resolve_job_def(job_name).execute_in_process(
        instance=instance, tags=dict(tags or {}), raise_on_error=False
    )
    assert not result.success
    return result.dagster_run
