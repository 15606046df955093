"""How tables are shown in Dagster's metadata. No number is computed here."""

from collections.abc import Mapping
from typing import Any

import dagster as dg
import polars as pl


def as_table(frame: pl.DataFrame) -> dg.TableMetadataValue:
    """A frame as a metadata table; dates become text."""
    shown = frame.with_columns(pl.col(pl.Date, pl.Datetime).cast(pl.String))
    return dg.MetadataValue.table(
        records=[dg.TableRecord(row) for row in shown.to_dicts()],
        schema=dg.TableSchema(columns=[dg.TableColumn(name, str(kind)) for name, kind in shown.schema.items()]),
    )


def describe_columns(columns: Mapping[str, Any]) -> dict[str, dg.TableSchema]:
    """The columns of an asset's table, once with its definition: beside each materialization they would be stored three
    times a run."""
    return {
        "dagster/column_schema": dg.TableSchema(
            columns=[dg.TableColumn(name, str(kind)) for name, kind in columns.items()]
        )
    }
