"""The Parquet tables on S3, at `s3://{data bucket}/{asset}/country={CC}/date={YYYY-MM-DD}/data.parquet`.

A table is one object a partition, replaced whole by one PUT, so a reader sees the old or the new and
never a mixture. DuckDB, Athena and polars read it as it is. What a column means is in `schemas.py`; how Dagster
reads and writes them, in `orchestration/io_manager.py`.
"""

import io
from contextlib import suppress
from typing import Any

import polars as pl
from botocore.exceptions import ClientError

from cs_features.aws import explained, is_missing
from cs_features.partitions import AnyPartition, Partition


class Tables:
    """Read and write one partition of a table."""

    def __init__(self, s3: Any, bucket: str) -> None:
        self.s3 = s3
        self.bucket = bucket

    def key(self, table: str, partition: AnyPartition | None) -> str:
        """Tables over all partitions, such as the inventories, have no partition."""
        return f"{table}/{partition.folder}/data.parquet" if partition else f"{table}/data.parquet"

    def uri(self, table: str, partition: AnyPartition | None) -> str:
        return f"s3://{self.bucket}/{self.key(table, partition)}"

    def write(self, table: str, partition: AnyPartition | None, frame: pl.DataFrame) -> int:
        """Replace the partition; returns the bytes written."""
        buffer = io.BytesIO()
        frame.write_parquet(buffer, compression="zstd")
        body = buffer.getvalue()
        with explained(f"Data bucket {self.bucket}", "CS_FEATURES_DATA_BUCKET"):
            self.s3.put_object(Bucket=self.bucket, Key=self.key(table, partition), Body=body)
        return len(body)

    def read(self, table: str, partition: AnyPartition | None) -> pl.DataFrame | None:
        """The partition, or None when it was never written."""
        with explained(f"Data bucket {self.bucket}", "CS_FEATURES_DATA_BUCKET"):
            try:
                response = self.s3.get_object(Bucket=self.bucket, Key=self.key(table, partition))
            except ClientError as error:
                if is_missing(error):
                    return None
                raise
            body = response["Body"].read()
        # hive_partitioning off: the path's country and date are columns already, where they matter.
        return pl.read_parquet(io.BytesIO(body), hive_partitioning=False)

    def height(self, table: str, partition: Partition) -> int:
        """Rows of the partition; 0 when it was never written."""
        frame = self.read(table, partition)
        return 0 if frame is None else frame.height

    def partitions(self, table: str) -> list[Partition]:
        """The partitions that the table holds, from a listing."""
        with explained(f"Data bucket {self.bucket}", "CS_FEATURES_DATA_BUCKET"):
            pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=f"{table}/country=")
            keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
        found = []
        for key in keys:
            if not key.endswith("/data.parquet"):
                continue
            with suppress(ValueError):  # somebody else's folder
                found.append(Partition.from_folder(key.split("/", 1)[1].rsplit("/", 1)[0]))
        return found
