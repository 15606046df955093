"""Dagster's way to the Parquet tables: a frame in, a frame out, one partition at a time.

Not here: where a table lies and how it is written (`storage.py`).
"""

from typing import Any

import dagster as dg
import polars as pl

from cs_features.freed_memory import give_memory_back
from cs_features.orchestration.boundary import guard_boundary
from cs_features.orchestration.failures import lasting_failure
from cs_features.orchestration.metadata import as_text_table, plot_apart
from cs_features.orchestration.partitions import stored_partition_of
from cs_features.publishing.manifest import MANIFEST
from cs_features.services import DataBucket
from cs_features.storage import decode_parquet_table, scan_parquet_table

PREVIEWED_ROWS = 1
# What a preview may show: codes, scores and times, no word and no id of a customer's. It is stored twice a run: so not
# the country either, nor model and prompt, which all rows have in common, nor what metadata says as a sum.
SHOWN = frozenset(
    """
    channel language status reason stage redrivable truncated reused
    sentiment primary_topic intent resolution_status urgency_score csat_indicator event_time occurred_at landed_at
    suspected_injection cost_usd error
    """.split()  # noqa: SIM905
)


def preview_rows(frame: pl.DataFrame) -> dg.MarkdownMetadataValue:
    """The first rows, without a customer's word or id, and without columns that say nothing in them."""
    first = frame.head(PREVIEWED_ROWS).select(name for name in frame.columns if name in SHOWN)
    return as_text_table(
        first.select(each.name for each in first if each.null_count() < first.height or first.is_empty())
    )


class ParquetTables(dg.IOManager):
    """Each asset's table, in the data bucket.

    What a run has written its later steps get as it was written, without asking S3: a dozen checks and assets would.
    It is kept as it is stored, which is a tenth of a frame. A rerun of one step alone is another run, and asks.
    """

    def __init__(self, data: DataBucket) -> None:
        self.data = data  # and no client yet: a code location loads without AWS
        self._latest_run: tuple[str, dict[str, bytes]] = "", {}

    @guard_boundary
    def handle_output(self, context: dg.OutputContext, obj: pl.DataFrame) -> None:
        partition = stored_partition_of(context)
        table = context.asset_key.path[-1]
        tables = self.data.tables()
        body = tables.write(table, partition, obj)
        self._written_by(context.run_id)[tables.key(table, partition)] = body
        shown: dict[str, Any] = {"dagster/uri": tables.uri(table, partition)}
        if table != MANIFEST:  # whose rows are codes
            shown["preview"] = preview_rows(obj)
        if partition is None:
            shown["dagster/row_count"] = obj.height
        else:
            shown = plot_apart(partition.country, {**shown, "rows": obj.height})
        # With the asset: of an output they would be stored once more, with the event that it was handled.
        context.step_context.add_asset_metadata(shown, context.asset_key)

    @guard_boundary
    def load_input(self, context: dg.InputContext) -> pl.DataFrame | pl.LazyFrame:
        """The table; for an input that is annotated as lazy, what reads it when it is collected.

        Dagster holds inputs until the step has ended.
        """
        give_memory_back()  # of the step before
        partition = stored_partition_of(context)
        name = context.asset_key.path[-1]
        tables = self.data.tables()
        key = tables.key(name, partition)
        body = self._written_by(context.step_context.run_id).get(key) or tables.bucket.get(key)
        if body is None:
            raise lasting_failure(
                f"{name} has no {partition}: materialize it first, or run process_interactions for this partition"
            )
        is_lazy = context.dagster_type.typing_type is pl.LazyFrame
        read_table = scan_parquet_table if is_lazy else decode_parquet_table
        return read_table(body, tables.uri(name, partition))

    def _written_by(self, run_id: str) -> dict[str, bytes]:
        """The tables that a run has written so far, by key; those of the run before are let go."""
        if self._latest_run[0] != run_id:
            self._latest_run = run_id, {}
        return self._latest_run[1]
