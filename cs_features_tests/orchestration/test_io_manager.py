"""Frames between steps: read from S3 where another run wrote them, and not where this one did."""

import dagster as dg
import polars as pl
import pytest

from cs_features.partitions import Partition
from cs_features.storage import Tables
from cs_features_tests.support.documents import DAY, document, jsonl
from cs_features_tests.support.lab import Lab


@pytest.fixture
def job(lab: Lab) -> dg.JobDefinition:
    """One job for several runs, as in a process that outlives a run."""
    lab.land("NL", DAY, "a.jsonl", jsonl([document(1), document(2)]))
    return lab.definitions.resolve_job_def("process_interactions")


def run(job: dg.JobDefinition, lab: Lab, *assets: str) -> dg.ExecuteInProcessResult:
    return job.execute_in_process(
        partition_key=Partition("NL", DAY).key,
        instance=lab.instance,
        asset_selection=[dg.AssetKey(name) for name in assets] or None,
        raise_on_error=False,
    )


def test_a_run_does_not_read_again_what_it_has_written(
    job: dg.JobDefinition, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run of a handful of documents read its own four tables two dozen times, and waited for S3 each time."""
    read: list[str] = []
    read_table = Tables.read

    def noted(self: Tables, table: str, partition: Partition | None) -> pl.DataFrame | None:
        read.append(table)
        return read_table(self, table, partition)

    monkeypatch.setattr(Tables, "read", noted)
    assert run(job, lab).success
    assert not {"validated_features", "rejected_records"} & set(read)


def test_another_run_reads_what_stands_in_s3_now(job: dg.JobDefinition, lab: Lab) -> None:
    """Kept for longer than a run, a frame would be published that somebody has replaced since."""
    assert run(job, lab).success
    lab.overwrite("validated_features", lambda frame: frame.with_columns(urgency_score=pl.lit(7.0)))
    assert not run(job, lab, "feature_store").success, "the table breaks the schema now"


def test_a_table_that_nobody_has_written_is_named(job: dg.JobDefinition, lab: Lab) -> None:
    failed = run(job, lab, "feature_store")
    (error,) = [event.step_failure_data.error.message for event in failed.get_step_failure_events()][:1]
    assert "has no NL 2025-03-04: materialize it first" in error
