"""Every byte that is stored, as text: what a search for a person's data has to look through."""

import gzip
import io
import json
from collections.abc import Iterable

import polars as pl

from cs_features_tests.support.lab import Lab


def read_texts(lab: Lab, bucket: str) -> dict[str, str]:
    """Each object of a bucket by key, compressed files and tables opened; the key itself is part of its text."""
    pages = lab.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
    return {key: f"{key}\n{_open(key, lab.s3.get_object(Bucket=bucket, Key=key)['Body'].read())}" for key in keys}


def _open(key: str, body: bytes) -> str:
    if key.endswith(".parquet"):
        rows = pl.read_parquet(io.BytesIO(body), hive_partitioning=False).to_dicts()
        return json.dumps(rows, default=str, ensure_ascii=False)
    if key.endswith(".gz"):
        body = gzip.decompress(body)
    return body.decode("utf-8", "replace")


def find_places(lab: Lab, values: Iterable[str]) -> list[str]:
    """Where any of the values stands, in either bucket: `key: value`."""
    lab.stack.local.feature_store.flush()
    texts = {
        key: text
        for bucket in (lab.settings.landing_bucket, lab.settings.data_bucket)
        for key, text in read_texts(lab, bucket).items()
    }
    return sorted(f"{key}: {value}" for key, text in texts.items() for value in values if value in text)
