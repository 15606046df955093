"""How downstream models read the features: clean, deduplicated, and as they were known at a time.

The offline store is append-only: a rerun, a correction and a deletion each add rows. Of the rows of one
interaction the one that was written last counts, and a deletion is a row too. Nothing is written here, and nothing
is counted by customer (`customers/`).
"""

import io
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, datetime, timezone
from typing import Any

import polars as pl

from cs_features import aws
from cs_features.environments import settings
from cs_features.errors import AwsRefusal, RequestError
from cs_features.publishing.feature_group import FRACTIONAL, IDENTIFIER, identify_feature_group
from cs_features.publishing.records import split_record_batches
from cs_features.schemas import FEATURE_COLUMNS

READERS = 16
PARSED_AT_ONCE = 256  # objects: their bodies are in memory beside their rows
EVENT_TIME_FORMAT = "%Y-%m-%dT%H:%M:%S%.3fZ"


@dataclass(frozen=True)
class OfflineHistory:
    """All rows that one feature group's offline store held at a moment (UTC): each version, each deletion."""

    group: str  # see `feature_group.identify_feature_group`
    as_of: datetime
    rows: pl.DataFrame  # of `HISTORY_SCHEMA`, or of the columns that were asked for


@dataclass(frozen=True)
class Part:
    """What of an offline store is read: objects of contacts of these days that were put since then."""

    days: Collection[date]
    since: datetime


def read_features(as_of: datetime | None = None, *, group: str | None = None) -> pl.DataFrame:
    """One row an interaction, as the feature group knew it at `as_of` (default: now).

    Point-in-time correct: no row is used that was written after `as_of`, so a model trained on the
    frame has seen no value that was not known then. Columns are those of a record (`schemas.FEATURE_COLUMNS`);
    `event_time` is a UTC datetime, the scores are floats. SageMaker needs up to 15 minutes to write
    a record to the offline store.

    Raises:
        AwsRefusal: when the group or its offline store cannot be read; says what to set or allow.
        RequestError: when `as_of` has no time zone.
    """
    history = read_history(as_of, group=group)
    return select_known_rows(history.rows, history.as_of)


def read_history(
    as_of: datetime | None = None,
    *,
    group: str | None = None,
    part: Part | None = None,
    columns: Collection[str] | None = None,
) -> OfflineHistory:
    """Every row that was told the group until `as_of` (default: now) and that its offline store holds by now.

    Of `part` alone where it is given and the store lies in folders by day, which an Iceberg table does not; of
    `columns` alone where they are given: a year's summaries are most of its memory.

    Raises:
        AwsRefusal: when the group or its offline store cannot be read; says what to set or allow.
        RequestError: when `as_of` has no time zone.
    """
    as_of = as_of or datetime.now(timezone.utc)
    if as_of.tzinfo is None:
        raise RequestError("as_of needs a time zone, for example datetime.now(timezone.utc)")
    group = group or settings().feature_group
    with aws.explained(f"Feature group {group}", "CS_FEATURES_FEATURE_GROUP"):
        described = aws.client("sagemaker").describe_feature_group(FeatureGroupName=group)
        if "OfflineStoreConfig" not in described:
            raise AwsRefusal(
                f"Feature group {group} has no offline store: create one that has, and set CS_FEATURES_FEATURE_GROUP"
            )
        store = described["OfflineStoreConfig"]
        uri = store["S3StorageConfig"]["ResolvedOutputS3Uri"]
        asked = None if store.get("TableFormat") == "Iceberg" else part
        schema = pl.Schema({name: kind for name, kind in HISTORY_SCHEMA.items() if columns is None or name in columns})
        rows = _read_rows(aws.client("s3", max_pool_connections=READERS), uri, as_of, asked, schema)
    return OfflineHistory(identify_feature_group(described), as_of.astimezone(timezone.utc), rows)


def select_known_rows(rows: pl.DataFrame, as_of: datetime) -> pl.DataFrame:
    """The latest row of each interaction among those written until `as_of`, deleted ones left out."""
    moment = as_of.astimezone(timezone.utc).replace(tzinfo=None)
    return (
        rows.filter(pl.col("api_invocation_time") <= moment)
        .sort("api_invocation_time", "write_time")
        .unique(IDENTIFIER, keep="last", maintain_order=True)
        .filter(~pl.col("is_deleted"))
        .select(FEATURE_COLUMNS)
        .with_columns(
            pl.col("event_time").str.to_datetime(EVENT_TIME_FORMAT, time_unit="us").dt.replace_time_zone("UTC")
        )
        .sort(IDENTIFIER)
    )


def _read_rows(s3: Any, uri: str, as_of: datetime, part: Part | None, schema: pl.Schema) -> pl.DataFrame:
    bucket, prefix = uri.removeprefix("s3://").split("/", 1)

    def list_part(folder: str) -> list[str]:
        return [
            item["Key"]
            for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=folder)
            for item in page.get("Contents", [])
            if item["Key"].endswith(".parquet") and (part is None or item["LastModified"] >= part.since)
        ]

    def read(key: str) -> bytes:
        body: bytes = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        return body

    parsed = [schema.to_frame()]
    with ThreadPoolExecutor(READERS, thread_name_prefix="offline-store") as pool:
        listed = pool.map(list_part, _list_folders(prefix, part))
        keys = [key for found in listed for key in _drop_later_days(found, as_of)]
        for some in split_record_batches(keys, PARSED_AT_ONCE):
            parsed += parse_history_objects(pool.map(read, some), schema)
    return pl.concat(parsed)


def parse_history_objects(bodies: Iterable[bytes], schema: pl.Schema) -> Iterator[pl.DataFrame]:
    """Objects of one schema at once: most hold a row or two, and cost more to open than to read."""
    alike: dict[tuple[tuple[str, pl.DataType], ...], list[bytes]] = {}
    for body in bodies:
        found = pl.read_parquet_schema(io.BytesIO(body))
        alike.setdefault(tuple(found.items()), []).append(body)
    for objects in alike.values():
        rows = pl.read_parquet(objects, columns=schema.names(), hive_partitioning=False)
        yield rows.select(schema.names()).cast(dict(schema))  # type: ignore[arg-type]


def _list_folders(prefix: str, part: Part | None) -> list[str]:
    """Folders go by event time."""
    if part is None:
        return [prefix]
    return [f"{prefix.rstrip('/')}/{day:year=%Y/month=%m/day=%d}/" for day in sorted(part.days)]


def _drop_later_days(keys: list[str], as_of: datetime) -> Iterator[str]:
    """Clocks may be ahead of ours, but no partition lies after today."""
    last_day = as_of.astimezone(timezone.utc).strftime("year=%Y/month=%m/day=%d")
    for key in keys:
        if key[key.find("year=") :].rsplit("/", 2)[0] <= last_day:
            yield key


HISTORY_SCHEMA = pl.Schema(
    {
        **{name: pl.Float64() if name in FRACTIONAL else pl.String() for name in FEATURE_COLUMNS},
        "api_invocation_time": pl.Datetime("us"),
        "write_time": pl.Datetime("us"),
        "is_deleted": pl.Boolean(),
    }
)
