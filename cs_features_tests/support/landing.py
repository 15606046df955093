"""Files read as the landing bucket is read, each reading counted a second time. No bucket, no run."""

from datetime import datetime, timedelta, timezone
from typing import Any

import polars as pl

from cs_features.landing.documents import raw_frame, rows_of
from cs_features.landing.zone import LandingZone
from cs_features.monitoring.conservation import count_landed
from cs_features.s3 import Bucket, StoredObject
from cs_features_tests.support.documents import DAY

ZONE = LandingZone(Bucket(None, "landing", "CS_FEATURES_LANDING_BUCKET"))
NOON = datetime(2026, 11, 24, 12, tzinfo=timezone.utc)


def read(*files: tuple[str, bytes]) -> pl.DataFrame:
    """`raw_interactions` of files that landed a minute apart, compared with the independent count."""
    landed = [
        (
            StoredObject(
                f"interactions/country=NL/date={DAY}/{name}", f"etag-{n}", len(body), NOON + timedelta(minutes=n)
            ),
            body,
        )
        for n, (name, body) in enumerate(files)
    ]
    frame = raw_frame(rows_of(landed, ZONE, "NL", DAY), NOON)
    assert count_landed(landed) == (frame.height, frame.filter(status="duplicate").height)
    return frame


def one(raw: pl.DataFrame) -> dict[str, Any]:
    assert raw.height == 1
    return raw.row(0, named=True)


def outcomes(raw: pl.DataFrame) -> list[str]:
    """The reason of each row, or its status where it has none; in the order of files and lines."""
    ordered = raw.sort("source_uri", "source_line")
    return [reason or status for reason, status in ordered.select("reason", "status").iter_rows()]
