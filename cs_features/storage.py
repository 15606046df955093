"""The Parquet tables on S3, at `s3://{data bucket}/{asset}/country={CC}/date={YYYY-MM-DD}/data.parquet`.

A table is one object a partition, replaced whole by one PUT, so a reader sees the old or the new and
never a mixture. DuckDB, Athena and polars read it as it is. What a column means is in `schemas.py`; how Dagster
reads and writes them, in `orchestration/io_manager.py`.
"""

import io
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress

import polars as pl
import polars.selectors as cs
from polars.io.plugins import register_io_source

from cs_features.errors import TableUnreadable
from cs_features.partitions import AnyPartition, Partition
from cs_features.s3 import Bucket

# Encoded at once, and the rows of a Parquet row group: twenty thousand at once take 30 MiB more.
ROWS_TOGETHER = 1_000


def fill_missing_columns(frame: pl.DataFrame, schema: pl.Schema) -> pl.DataFrame:
    """The frame with nulls for the columns of `schema` that an older version of this project did not write."""
    missing = [pl.lit(None, dtype).alias(name) for name, dtype in schema.items() if name not in frame.columns]
    return frame.with_columns(missing)


def encode_parquet_table(frame: pl.DataFrame) -> bytes:
    """As every table is stored."""
    buffer = io.BytesIO()
    frame.write_parquet(buffer, compression="zstd", row_group_size=ROWS_TOGETHER)
    return buffer.getvalue()


def encode_table_slices(slices: Iterable[pl.DataFrame], schema: pl.Schema) -> bytes:
    """The same for a table that comes slice by slice and is never whole in memory."""

    def give_slices(*_: object) -> Iterator[pl.DataFrame]:
        yield from slices

    buffer = io.BytesIO()
    table = register_io_source(give_slices, schema=schema)
    table.sink_parquet(buffer, compression="zstd", row_group_size=ROWS_TOGETHER)
    return buffer.getvalue()


def decode_parquet_table(body: bytes, uri: str) -> pl.DataFrame:
    """The table that was stored at `uri`.

    Raises:
        TableUnreadable: it is none. Nothing in its place is not the same: what was there is not known to be gone.
    """
    with _explain_no_table(body, uri):
        return _scan_body(body).collect()


def scan_parquet_table(body: bytes, uri: str) -> pl.LazyFrame:
    """The same, decoded when it is collected; that it is a table is known now."""
    with _explain_no_table(body, uri):
        table = _scan_body(body)
        table.collect_schema()
        return table


def read_table_columns(table: pl.LazyFrame, columns: Collection[str]) -> pl.DataFrame:
    """Those of `columns` that the table's version has written."""
    return table.select(cs.by_name(*columns, require_all=False)).collect()


def _scan_body(body: bytes) -> pl.LazyFrame:
    # hive_partitioning off: the path's country and date are columns already, where they matter.
    return pl.scan_parquet(io.BytesIO(body), hive_partitioning=False)


@contextmanager
def _explain_no_table(body: bytes, uri: str) -> Iterator[None]:
    try:
        yield
    except pl.exceptions.PolarsError as error:
        raise TableUnreadable(
            f"{uri} is no table that can be read ({type(error).__name__}, {len(body)} bytes): put its previous version "
            "back, the data bucket keeps them, and run this again"
        ) from None


class Tables:
    """Read and write one partition of a table; `bucket` holds them, and what lies beside them."""

    def __init__(self, bucket: Bucket) -> None:
        self.bucket = bucket

    def key(self, table: str, partition: AnyPartition | None) -> str:
        """Tables over all partitions, such as the inventories, have no partition."""
        return f"{table}/{partition.folder}/data.parquet" if partition else f"{table}/data.parquet"

    def uri(self, table: str, partition: AnyPartition | None) -> str:
        return self.bucket.uri(self.key(table, partition))

    def write(self, table: str, partition: AnyPartition | None, frame: pl.DataFrame) -> bytes:
        """Replace the partition; returns what was written."""
        body = encode_parquet_table(frame)
        self.put(table, partition, body)
        return body

    def put(self, table: str, partition: AnyPartition | None, body: bytes) -> None:
        """Replace the partition by what is encoded already."""
        self.bucket.put(self.key(table, partition), body)

    def read(self, table: str, partition: AnyPartition | None) -> pl.DataFrame | None:
        """The partition, or None when it was never written.

        Raises:
            AwsRefusal: when the data bucket cannot be read.
            TableUnreadable: when what is there is no table.
        """
        body = self.bucket.get(self.key(table, partition))
        return None if body is None else decode_parquet_table(body, self.uri(table, partition))

    def height(self, table: str, partition: Partition) -> int:
        """Rows of the partition; 0 when it was never written."""
        frame = self.read(table, partition)
        return 0 if frame is None else frame.height

    def partitions(self, table: str) -> list[Partition]:
        """The partitions that the table holds, from a listing."""
        found = []
        for item in self.bucket.list_bucket_objects(f"{table}/country=").objects:
            if item.name != "data.parquet":
                continue
            with suppress(ValueError):  # somebody else's folder
                found.append(Partition.from_folder(item.key.split("/", 1)[1].rsplit("/", 1)[0]))
        return found
