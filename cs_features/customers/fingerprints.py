"""The hash of a frame: the same for the same names, types and values, however polars holds them in memory.

Arrow's buffers are not it: behind a null anything may stand, and texts may lie in any order. Column by column, so that
a million rows are never copied whole.
"""

from hashlib import sha256

import polars as pl


def hash_frame_values(frame: pl.DataFrame) -> str:
    """SHA-256 in 64 hexadecimal digits."""
    digest = sha256()
    for column in frame.get_columns():
        digest.update(f"{column.name}\n{column.dtype}\n{len(column)}\n".encode())
        digest.update(_list_bytes(column.is_null()))
        digest.update(_serialize_column_values(column))
    return digest.hexdigest()


def _serialize_column_values(column: pl.Series) -> bytes:
    if column.dtype == pl.String:
        lengths = column.str.len_bytes().fill_null(0)
        return _list_bytes(lengths) + str(column.fill_null("").str.join("").item()).encode()
    if column.dtype == pl.Boolean:
        return _list_bytes(column.fill_null(False))
    if column.dtype.is_numeric() or column.dtype.is_temporal():
        return _list_bytes(column.to_physical().fill_null(0))
    return repr(column.to_list()).encode()  # what callers bring beside: categories, lists


def _list_bytes(values: pl.Series) -> bytes:
    return values.to_numpy().tobytes()
