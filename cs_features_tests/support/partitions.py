"""One partition of a landing zone in memory: what a run listed and read of it, and what its folder is now."""

from datetime import datetime
from typing import Any

import polars as pl

from cs_features.landing.zone import LandingZone
from cs_features.monitoring.conservation import RunRecord, recall_partition_run
from cs_features.partitions import Partition
from cs_features.s3 import Bucket, Listing, StoredObject
from cs_features_tests.support.documents import DAY
from cs_features_tests.support.memory_s3 import MemoryS3
from cs_features_tests.support.refusing_s3 import refuse_objects

NL = Partition("NL", DAY)


class Folder:
    """Files land, are replaced and deleted, and a run lists and reads them, in any order."""

    def __init__(self, partition: Partition = NL) -> None:
        self.s3 = MemoryS3()
        self.zone = LandingZone(Bucket(self.s3, "landing", "CS_FEATURES_LANDING_BUCKET"))
        self.partition = partition
        self.listing: Listing | None = None
        self.rows: list[dict[str, Any]] = []

    def key(self, name: str) -> str:
        return f"interactions/{self.partition.folder}/{name}"

    def uri(self, name: str) -> str:
        return self.zone.uri(self.key(name))

    def land(self, name: str, *lines: str, at: datetime | None = None) -> None:
        """A file of lines; S3 dates it `at`, or now."""
        self.s3.put_object(Key=self.key(name), Body="".join(f"{line}\n" for line in lines).encode())
        if at is not None:
            body, _ = self.s3.objects[self.key(name)]
            self.s3.objects[self.key(name)] = body, at

    def unland(self, name: str) -> None:
        del self.s3.objects[self.key(name)]

    def refuse(self, name: str) -> None:
        refuse_objects(self.s3, self.key(name))

    def list_now(self) -> Listing:
        return self.zone.list_documents(self.partition)

    def list_for_a_run(self) -> None:
        self.listing = self.list_now()

    def read_for_the_run(self, *skipped: str) -> None:
        """Every listed object as it is now, but for those that the run loses."""
        assert self.listing is not None
        self.rows = []
        for item in self.listing.objects:
            found = None if item.name in skipped else self.zone.bucket.read(item.key)
            if found is not None:
                self.rows += [self._row(found[0], line) for line in found[1].decode().splitlines()]

    def read_for_the_run_but_reject(self, name: str) -> None:
        """One object is refused, and is a reject of its own."""
        assert self.listing is not None
        self.read_for_the_run(name)
        (item,) = [item for item in self.listing.objects if item.name == name]
        rejected = {"payload": "", "status": "rejected", "reason": "unreadable_object"}
        self.rows.append(self._row(item, "") | rejected)

    def _row(self, item: StoredObject, line: str) -> dict[str, Any]:
        assert self.listing is not None
        return {
            "source_uri": self.zone.uri(item.key),
            "source_etag": item.etag,
            "listed_at": self.listing.listed_at,
            "payload": line,
            "status": "accepted",
            "reason": None,
        }

    @property
    def raw(self) -> pl.DataFrame:
        schema = {
            "source_uri": pl.String(),
            "source_line": pl.Int64(),
            "source_etag": pl.String(),
            "listed_at": pl.Datetime("us", "UTC"),
            "payload": pl.String(),
            "status": pl.String(),
            "reason": pl.String(),
        }
        return pl.DataFrame(self.rows, schema=schema)

    def run_record(self) -> RunRecord:
        listed_at = self.listing.listed_at if self.listing else None
        return recall_partition_run(self.listing, self.raw, self.list_now(), listed_at)
