"""Dagster's way to the Parquet tables: a frame in, a frame out, one partition at a time.

Not here: where a table lies and how it is written (`storage.py`).
"""

from typing import Any

import dagster as dg
import polars as pl

from cs_features.orchestration.boundary import guard_boundary
from cs_features.orchestration.failures import lasting_failure
from cs_features.orchestration.metadata import as_text_table, plot_apart
from cs_features.orchestration.partitions import stored_partition_of
from cs_features.services import DataBucket

PREVIEWED_ROWS = 3
# What a preview may show: codes, numbers and times, no word and no id of a customer's.
SHOWN = frozenset(
    """
    country channel language language_stated language_detected status reason stage redrivable truncated reused
    sentiment primary_topic intent resolution_status urgency_score csat_indicator event_time occurred_at landed_at
    model_id prompt_version suspected_injection input_tokens cache_read_tokens cache_write_tokens output_tokens cost_usd
    latency_ms attempts error written_at rejected_at
    """.split()  # noqa: SIM905
)


def preview_rows(frame: pl.DataFrame) -> dg.MarkdownMetadataValue:
    """The first rows, without a customer's word or id."""
    return as_text_table(frame.head(PREVIEWED_ROWS).select(name for name in frame.columns if name in SHOWN))


class ParquetTables(dg.IOManager):
    """Each asset's table, in the data bucket.

    What a run has written its later steps get as it was written: a dozen checks and assets would read it again. A
    rerun of one step alone is another run, and reads.
    """

    def __init__(self, data: DataBucket) -> None:
        self.data = data  # and no client yet: a code location loads without AWS
        self._latest_run: tuple[str, dict[str, pl.DataFrame]] = "", {}

    @guard_boundary
    def handle_output(self, context: dg.OutputContext, obj: pl.DataFrame) -> None:
        partition = stored_partition_of(context)
        table = context.asset_key.path[-1]
        tables = self.data.tables()
        size = tables.write(table, partition, obj)
        self._written_by(context.run_id)[tables.key(table, partition)] = obj
        uri, preview = tables.uri(table, partition), preview_rows(obj)
        shown: dict[str, Any] = {"dagster/uri": uri, "preview": preview, "size_bytes": size}
        if partition is None:
            context.add_output_metadata({**shown, "dagster/row_count": obj.height})
        else:
            context.add_output_metadata(plot_apart(partition.country, {**shown, "rows": obj.height}))

    @guard_boundary
    def load_input(self, context: dg.InputContext) -> pl.DataFrame:
        partition = stored_partition_of(context)
        table = context.asset_key.path[-1]
        tables = self.data.tables()
        written = self._written_by(context.step_context.run_id).get(tables.key(table, partition))
        frame = tables.read(table, partition) if written is None else written
        if frame is None:
            raise lasting_failure(
                f"{table} has no {partition}: materialize it first, or run process_interactions for this partition"
            )
        return frame

    def _written_by(self, run_id: str) -> dict[str, pl.DataFrame]:
        """The tables that a run has written so far, by key; those of the run before are let go."""
        if self._latest_run[0] != run_id:
            self._latest_run = run_id, {}
        return self._latest_run[1]
