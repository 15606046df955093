"""Listings are read as botocore reads them, or by botocore."""

from typing import Any
from xml.sax.saxutils import escape

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cs_features.listed_objects import read_listings_at_once, take_out_objects
from cs_features_tests.support.lab import Lab

READ = ("Key", "ETag", "Size", "LastModified")
KEYS = (
    "a.json",
    "with space & <brackets>.json",
    "plus+percent%25.json",
    "straße/日本/😀.json",
    'quote".json',
    "trail. ",
)


def test_a_listing_says_of_each_object_what_botocore_would_have_said(lab: Lab) -> None:
    """Of 1,400 one-document files a run read two listings for a quarter of what the files cost it."""
    for number, key in enumerate(KEYS):
        lab.s3.put_object(Bucket=lab.settings.landing_bucket, Key=f"listed/{key}", Body=b"x" * number)
    lab.s3.put_object(Bucket=lab.settings.landing_bucket, Key="listed/below/b.json", Body=b"")
    quick = read_listings_at_once(boto3.client("s3"))
    for asked in ({}, {"Delimiter": "/"}, {"MaxKeys": 2}, {"StartAfter": "listed/plus+percent%25.json"}):
        request = {"Bucket": lab.settings.landing_bucket, "Prefix": "listed/", **asked}
        usual, ours = (list(s3.get_paginator("list_objects_v2").paginate(**request)) for s3 in (lab.s3, quick))
        assert [strip_page(page) for page in ours] == [strip_page(page) for page in usual]


def strip_page(page: dict[str, Any]) -> dict[str, Any]:
    """What is read of a page; of each object the four, whatever else is said of it."""
    objects = [{name: each[name] for name in READ} for each in page.get("Contents", [])]
    rest = {name: value for name, value in page.items() if name not in ("Contents", "ResponseMetadata")}
    return {**rest, "Contents": objects, "has": "Contents" in page}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<ListBucketResult><Contents><Key>a</Key>",  # broke off
        b"<html><body>Please log in</body></html>",
        b"<Error><Code>SlowDown</Code></Error>",
        b"<ListBucketResult><Contents><Key>a</Key><ETag>e</ETag><Size>1</Size></Contents></ListBucketResult>",
        b"<ListBucketResult><Contents><Key>a</Key><ETag>e</ETag><Size>one</Size>"
        b"<LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents></ListBucketResult>",
    ],
)
def test_a_page_that_is_not_as_usual_is_left_to_botocore(body: bytes) -> None:
    """What an answer of a proxy means is told in one place, and half an object is none."""
    response: dict[str, Any] = {"body": body}
    read: dict[str, Any] = {}
    take_out_objects(response, read)
    assert (response, read) == ({"body": body}, {})


@given(st.lists(st.text(st.characters(min_codepoint=32, exclude_categories=["Cs"]), min_size=1), max_size=5))
def test_every_key_comes_out_as_it_was_written_or_is_left_to_botocore(keys: list[str]) -> None:
    said = "<ETag>e</ETag><Size>1</Size><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
    objects = "".join(f"<Contents><Key>{escape(key)}</Key>{said}</Contents>" for key in keys)
    body = f"<ListBucketResult>{objects}</ListBucketResult>".encode()
    response: dict[str, Any] = {"body": body}
    read: dict[str, Any] = {}
    take_out_objects(response, read)
    assert response["body"] == body or [each["Key"] for each in read["Contents"]] == keys
