"""How tables are shown in Dagster's metadata. No number is computed here."""

import dagster as dg
import polars as pl


def as_table(frame: pl.DataFrame) -> dg.TableMetadataValue:
    """A frame as a metadata table; dates become text."""
    shown = frame.with_columns(pl.col(pl.Date, pl.Datetime).cast(pl.String))
    return dg.MetadataValue.table(
        records=[dg.TableRecord(row) for row in shown.to_dicts()],
        schema=dg.TableSchema(columns=[dg.TableColumn(name, str(kind)) for name, kind in shown.schema.items()]),
    )
