"""Histories of a partition's folder and of the runs over it, against a run that remembers nothing but first sights.

Everything lies in memory. A history is a list of steps that hypothesis draws; after each run that ends well, table and
counts are compared with what a reading of every byte makes.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import polars as pl

from cs_features.erasure.tombstones import read_tombstones
from cs_features.errors import AwsRefusal
from cs_features.landing.documents import RAW_SCHEMA, DocumentReader, read_landed_document
from cs_features.landing.earlier import read_earlier_tables, remember_departed_objects
from cs_features.landing.files import split_file_documents
from cs_features.landing.listings import load_partition_listing, save_partition_listing
from cs_features.landing.reading import make_raw_table, read_landed_partition
from cs_features.landing.zone import LandingZone
from cs_features.monitoring.conservation import (
    LandedCount,
    add_up_counts,
    count_planned_documents,
    plan_count_of_run,
    recall_partition_run,
)
from cs_features.monitoring.document_count import count_object_documents
from cs_features.monitoring.kept_counts import RECOUNT_AFTER, load_kept_counts
from cs_features.partitions import Partition
from cs_features.s3 import Bucket, Listing
from cs_features.storage import Tables
from cs_features_tests.support.documents import DAY
from cs_features_tests.support.memory_s3 import MemoryS3

NL = Partition("NL", DAY)


class Killed(BaseException):
    """The process is gone."""


class Reads:
    """What happens before a call of a run, once; and how often objects of the landing bucket were read."""

    def __init__(self) -> None:
        self.calls_left: int | None = None
        self.happens: Callable[[], None] = lambda: None

    def __call__(self) -> None:
        if self.calls_left is None:
            return
        self.calls_left -= 1
        if self.calls_left == 0:
            self.calls_left = None
            self.happens()


class Histories:
    """A landing folder and a data bucket, and runs over them that remember."""

    def __init__(self, languages: tuple[str, ...] = ("nl",)) -> None:
        self.called = Reads()
        self.landing, self.data = MemoryS3(self.called), MemoryS3(self.called)
        self.zone = LandingZone(Bucket(self.landing, "landing", "CS_FEATURES_LANDING_BUCKET"))
        self.tables = Tables(Bucket(self.data, "data", "CS_FEATURES_DATA_BUCKET"))
        self.reader = DocumentReader(NL, languages)
        self.first_seen: dict[str, datetime] = {}  # by every run that wrote its table

    # --- what happens ---

    def land(self, name: str, body: bytes) -> None:
        self.landing.put_object(Key=self.key(name), Body=body)

    def unland(self, name: str) -> None:
        self.landing.objects.pop(self.key(name), None)

    def key(self, name: str) -> str:
        return f"interactions/{NL.folder}/{name}"

    def interrupt(self, after_calls: int, by: Callable[[], None]) -> None:
        self.called.calls_left, self.called.happens = after_calls, by

    def run(self, *, is_nightly: bool = False, tombstone_key: str | None = None) -> LandedCount | None:
        """The raw step and the count, as the asset and the check make them; None when the run ended before its end."""
        try:
            listing = self.zone.list_documents(NL)
            save_partition_listing(self.tables.bucket, NL, listing)
            earlier = read_earlier_tables(self.tables, NL)
            erased = read_tombstones(self.tables.bucket, tombstone_key)
            raw = read_landed_partition(self.zone, listing, self.reader, earlier, erased)
            remember_departed_objects(self.tables, NL, earlier, raw)
            self.tables.write("raw_interactions", NL, raw)
            self._remember(raw)
            now = self.zone.list_documents(NL)
            run = recall_partition_run(load_partition_listing(self.tables.bucket, NL), raw, now, listing.listed_at)
            memory = load_kept_counts(self.tables, NL, now.listed_at, RECOUNT_AFTER if is_nightly else None)
            counted = count_planned_documents(plan_count_of_run(run, now), run, self.zone, memory)
            memory.save(self.tables, NL)
        except (AwsRefusal, Killed):
            return None
        finally:
            self.called.calls_left = None
        return counted.landed

    # --- what must hold ---

    def read_everything(self) -> pl.DataFrame:
        """The table that a run makes which reads every byte, and knows when each content was first seen."""
        rows: list[dict[str, Any]] = []
        listing = self._list_all()
        for item in listing.objects:
            body, _ = self.landing.objects[item.key]
            for piece in split_file_documents(item.key, body):
                row = read_landed_document(piece, self.reader)
                seen = self.first_seen.get(row["content_hash"], item.last_modified)
                source = {"source_uri": self.zone.uri(item.key), "source_line": piece.line, "source_etag": item.etag}
                rows.append({**row, **source, "landed_at": min(seen, item.last_modified)})
        return make_raw_table(rows, listing.listed_at)

    def count_everything(self) -> LandedCount:
        return add_up_counts(
            count_object_documents(item.key, self.landing.objects[item.key][0]) for item in self._list_all().objects
        )

    def held(self) -> pl.DataFrame:
        raw = self.tables.read("raw_interactions", NL)
        return RAW_SCHEMA.to_frame() if raw is None else raw

    def _list_all(self) -> Listing:
        return self.zone.list_documents(NL)

    def _remember(self, raw: pl.DataFrame) -> None:
        for content, landed_at in raw.select("content_hash", "landed_at").iter_rows():
            self.first_seen[content] = min(landed_at, self.first_seen.get(content, landed_at))
