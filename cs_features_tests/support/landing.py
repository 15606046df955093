"""Files read as the landing bucket is read, each reading counted a second time. No bucket, no run."""

from datetime import datetime, timedelta, timezone
from typing import Any

import polars as pl

from cs_features.landing.documents import DocumentReader
from cs_features.landing.earlier import EarlierReading
from cs_features.landing.files import Unread
from cs_features.landing.reading import make_raw_table, read_rows
from cs_features.landing.zone import LandedFile
from cs_features.monitoring.conservation import LandedCount, add_up_counts
from cs_features.monitoring.document_count import FileCount, count_object_documents
from cs_features.partitions import Partition
from cs_features.s3 import StoredObject
from cs_features_tests.support.documents import DAY

PARTITION = Partition("NL", DAY)
READER = DocumentReader(PARTITION, ("nl",))
NOON = datetime(2026, 11, 24, 12, tzinfo=timezone.utc)


def landed_file(name: str, content: bytes | Unread, minute: int = 0) -> LandedFile:
    """A file as it is read when it landed so many minutes after noon."""
    key = f"interactions/{PARTITION.folder}/{name}"
    size = 1 if isinstance(content, Unread) else len(content)
    return LandedFile(StoredObject(key, f"etag-{minute}", size, NOON + timedelta(minutes=minute)), content)


def read_again(*files: LandedFile, earlier: EarlierReading | None = None) -> pl.DataFrame:
    """`raw_interactions` of files, of a partition that was read before."""
    return make_raw_table(read_rows(files, "landing", READER, earlier or EarlierReading()), NOON)


def count_landed(*files: LandedFile) -> LandedCount:
    """The independent count; a file that cannot be read is one document."""
    return add_up_counts(
        FileCount(documents=1)
        if isinstance(landed.content, Unread)
        else count_object_documents(landed.source.key, landed.content)
        for landed in files
    )


def read(*files: tuple[str, bytes]) -> pl.DataFrame:
    """`raw_interactions` of files that landed a minute apart, compared with the independent count."""
    landed = [landed_file(name, body, minute) for minute, (name, body) in enumerate(files)]
    frame = read_again(*landed)
    assert count_landed(*landed) == (frame.height, frame.filter(status="duplicate").height)
    return frame


def one(raw: pl.DataFrame) -> dict[str, Any]:
    assert raw.height == 1
    return raw.row(0, named=True)


def outcomes(raw: pl.DataFrame) -> list[str]:
    """The reason of each row, or its status where it has none; in the order of files and lines."""
    ordered = raw.sort("source_uri", "source_line")
    return [reason or status for reason, status in ordered.select("reason", "status").iter_rows()]
