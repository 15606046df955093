"""How tables and numbers are shown in Dagster's metadata. None is computed here."""

from collections.abc import Mapping
from typing import Any

import dagster as dg
import polars as pl

SHOWN_FIGURES = 4


def as_table(frame: pl.DataFrame) -> dg.TableMetadataValue:
    """A frame as a metadata table, for people: dates as text, and of a fraction the figures that tell something."""
    shown = frame.with_columns(
        pl.col(pl.Date, pl.Datetime).cast(pl.String), pl.col(pl.Float32, pl.Float64).round_sig_figs(SHOWN_FIGURES)
    )
    return dg.MetadataValue.table(
        records=[dg.TableRecord(row) for row in shown.to_dicts()],
        schema=dg.TableSchema(columns=[dg.TableColumn(name, str(kind)) for name, kind in shown.schema.items()]),
    )


def as_text_table(frame: pl.DataFrame) -> dg.MarkdownMetadataValue:
    """A frame as a Markdown table: a tenth of the bytes of `as_table`, for what is written with every run."""
    shown = frame.with_columns(
        pl.col(pl.Datetime).dt.strftime("%Y-%m-%d %H:%M:%S"),
        pl.col(pl.Float32, pl.Float64).round_sig_figs(SHOWN_FIGURES),
    )
    rows = [frame.columns, ["-"] * frame.width, *shown.cast(pl.String).fill_null("").iter_rows()]
    lines = [" | ".join(" ".join(cell.replace("|", "\\|").splitlines()) for cell in row) for row in rows]
    return dg.MetadataValue.md("\n".join(f"| {line} |" for line in lines))


def tables_with_rows(**frames: pl.DataFrame) -> dict[str, dg.TableMetadataValue]:
    """Those of the frames as metadata that have any row: an empty one is stored three times a run and says nothing."""
    return {name: as_table(frame) for name, frame in frames.items() if frame.height}


def plot_apart(place: str, metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers under a key a country (or locale), as `accepted_NL`.

    Dagster draws one line a key through all partitions; a key of them all would jump from country to country.
    """
    return {f"{name}_{place}" if _is_plotted(value) else name: value for name, value in metadata.items()}


def _is_plotted(value: object) -> bool:
    numbers = (int, float, dg.IntMetadataValue, dg.FloatMetadataValue)
    return isinstance(value, numbers) and not isinstance(value, bool)


def describe_columns(columns: Mapping[str, Any]) -> dict[str, dg.TableSchema]:
    """The columns of an asset's table, once with its definition: beside each materialization they would be stored three
    times a run."""
    return {
        "dagster/column_schema": dg.TableSchema(
            columns=[dg.TableColumn(name, str(kind)) for name, kind in columns.items()]
        )
    }
