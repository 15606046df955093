"""One partition of a reconciliation stops no other, and what cannot be counted is unknown and never none."""

import json
from datetime import date, datetime, timedelta, timezone
from typing import Any

import polars as pl
import pytest
from botocore.exceptions import ClientError

from cs_features.errors import AwsRefusal
from cs_features.landing.documents import RAW_SCHEMA
from cs_features.landing.listings import save_partition_listing
from cs_features.landing.zone import LandingZone
from cs_features.monitoring.findings import FindingKind
from cs_features.monitoring.inventoried import list_partitions
from cs_features.monitoring.reconciliation import (
    DOCUMENTS_UNKNOWN,
    STORE_UNKNOWN,
    Sources,
    collect_reconciliation_findings,
    differs_in,
    reconcile,
)
from cs_features.monitoring.serving import OnlineSample, OnlineStore
from cs_features.partitions import Partition
from cs_features.s3 import Bucket
from cs_features.storage import Tables
from cs_features_tests.support.documents import document, id_of
from cs_features_tests.support.memory_s3 import EIGHT, MemoryS3
from cs_features_tests.support.refusing_s3 import refuse_objects

DAY = date(2026, 11, 24)
NL, BE, FR = (Partition(country, DAY) for country in ("NL", "BE", "FR"))
LONG_AGO = EIGHT - timedelta(days=1)


class FullStore(OnlineStore):
    """Serves whatever it is asked for."""

    def sample_records(self, ids: list[str]) -> OnlineSample:
        return OnlineSample(len(ids), 0)


class Warehouse:
    """A landing bucket and a data bucket in memory, of partitions that were run."""

    def __init__(self) -> None:
        self.landing, self.data = MemoryS3(), MemoryS3()
        self.zone = LandingZone(Bucket(self.landing, "landing", "CS_FEATURES_LANDING_BUCKET"))
        self.tables = Tables(Bucket(self.data, "data", "CS_FEATURES_DATA_BUCKET"))

    def land(self, partition: Partition, name: str, *numbers: int, at: datetime = LONG_AGO) -> str:
        key = f"interactions/{partition.folder}/{name}"
        body = "".join(f"{json.dumps(document(number))}\n" for number in numbers).encode()
        self.landing.objects[key] = body, at
        return key

    def run(self, partition: Partition) -> None:
        """Every document is read and rejected: no model and no store are needed for that."""
        listing = self.zone.list_documents(partition)
        save_partition_listing(self.tables.bucket, partition, listing)
        rows = []
        for item in listing.objects:
            body, _ = self.landing.objects[item.key]
            rows += [
                {
                    **dict.fromkeys(RAW_SCHEMA.names()),
                    "interaction_id": json.loads(line)["interaction_id"],
                    "status": "rejected",
                    "source_uri": self.zone.uri(item.key),
                    "source_etag": item.etag,
                    "listed_at": listing.listed_at,
                    "payload": line,
                }
                for line in body.decode().splitlines()
            ]
        raw = pl.DataFrame(rows, schema=RAW_SCHEMA)
        self.tables.write("raw_interactions", partition, raw)
        rejected = raw.select("interaction_id", stage=pl.lit("validation"))
        self.tables.write("rejected_records", partition, rejected)

    def reconcile(self, **changes: Any) -> pl.DataFrame:
        sources = Sources(zone=self.zone, tables=self.tables, store=FullStore(None, "g", "arn"), **changes)
        return reconcile([BE, FR, NL], sources)


@pytest.fixture
def warehouse() -> Warehouse:
    """Three countries' day, run and at rest."""
    made = Warehouse()
    for partition in (BE, FR, NL):
        made.land(partition, "a.jsonl", 1, 2)
        made.land(partition, "b.jsonl", 3)
        made.run(partition)
    return made


def by_country(frame: pl.DataFrame, *columns: str) -> dict[str, tuple[Any, ...]]:
    return {row[0][:2]: row[1:] for row in frame.select("partition", *columns).iter_rows()}


def test_days_at_rest_are_settled_and_known(warehouse: Warehouse) -> None:
    frame = warehouse.reconcile()
    assert by_country(frame, "state", "landed", "missing", "error") == dict.fromkeys(
        ("BE", "FR", "NL"), ("settled", 3, 0, None)
    )
    assert collect_reconciliation_findings(frame) == {}
    assert frame.filter(DOCUMENTS_UNKNOWN | STORE_UNKNOWN).is_empty()


def test_each_object_is_counted_from_its_bytes_again_once_a_week_and_the_row_says_how_old_its_count_is(
    warehouse: Warehouse,
) -> None:
    """Every night 126,000 objects were read for a number that had not changed; read once for ever, the number would
    be a memory and no count."""
    reads: list[str] = []
    get_object = warehouse.landing.get_object

    def counting_get(**request: Any) -> Any:
        reads.append(request["Key"])
        return get_object(**request)

    warehouse.landing.get_object = counting_get  # type: ignore[method-assign]
    expected = {0: 6, 1: 0, 6: 0, 7: 6, 8: 0}
    for day in range(9):
        warehouse.landing.puts = day * 86_400
        frame = warehouse.reconcile()
        assert by_country(frame, "landed") == {"BE": (3,), "FR": (3,), "NL": (3,)}
        counted_at = EIGHT + timedelta(days=7 if day >= 7 else 0)
        assert frame["oldest_count"].to_list() == [counted_at] * 3
        assert day not in expected or len(reads) == expected[day]
        reads.clear()


def test_an_object_that_is_refused_makes_its_partition_unknown_and_no_other(warehouse: Warehouse) -> None:
    """Fault 15: one object of another account, and the night's reconciliation of five countries failed. Counted as
    none it would have been two documents too few, and a run that takes them out of the store."""
    refuse_objects(warehouse.landing, warehouse.land(FR, "a.jsonl", 1, 2))
    frame = warehouse.reconcile()
    assert by_country(frame, "state", "landed", "missing", "error") == {
        "BE": ("settled", 3, 0, None),
        "FR": ("unknown", None, None, "ObjectUnreadable"),
        "NL": ("settled", 3, 0, None),
    }
    assert frame.filter(DOCUMENTS_UNKNOWN)["partition"].to_list() == [FR.key]
    assert collect_reconciliation_findings(frame) == {}


def test_an_object_that_its_run_rejected_for_that_is_known(warehouse: Warehouse) -> None:
    """Unknown for as long as nobody mends it, it would have hidden everything else of its day."""
    key = warehouse.land(FR, "c.jsonl", 7)
    refuse_objects(warehouse.landing, key)
    warehouse.run(FR)
    uri = warehouse.zone.uri(key)
    raw = warehouse.tables.read("raw_interactions", FR)
    assert raw is not None
    reason = pl.when(pl.col("source_uri") == uri).then(pl.lit("unreadable_object")).otherwise("reason")
    warehouse.tables.write("raw_interactions", FR, raw.with_columns(reason=reason))
    assert by_country(warehouse.reconcile(), "state", "landed", "missing")["FR"] == ("settled", 4, 0)


def test_an_object_of_one_document_that_can_be_read_again_is_asked_for(warehouse: Warehouse) -> None:
    """A reject before and a document after: one to the law both times, and so it was a reject for ever."""
    key = warehouse.land(FR, "c.jsonl", 7)
    warehouse.run(FR)
    raw = warehouse.tables.read("raw_interactions", FR)
    assert raw is not None
    is_refused = pl.col("source_uri") == warehouse.zone.uri(key)
    reason = pl.when(is_refused).then(pl.lit("unreadable_object")).otherwise("reason")
    warehouse.tables.write("raw_interactions", FR, raw.with_columns(reason=reason))
    frame = warehouse.reconcile()
    assert by_country(frame, "missing", "unread_objects")["FR"] == (0, 1)
    assert collect_reconciliation_findings(frame) == {FR.key: {FindingKind.DOCUMENTS.value}}


@pytest.mark.parametrize("table", ["raw_interactions", "rejected_records", "interaction_ids", "feature_store"])
def test_a_table_that_cannot_be_read_makes_its_partition_unknown_and_no_other(warehouse: Warehouse, table: str) -> None:
    warehouse.data.put_object(Key=f"{table}/{FR.folder}/data.parquet", Body=b"no table")
    frame = warehouse.reconcile()
    states = by_country(frame, "state", "error")
    assert (states["BE"], states["NL"]) == (("settled", None), ("settled", None))
    assert states["FR"] == ("unknown", "TableUnreadable")


def test_tables_that_lack_the_columns_of_this_version_are_counted(warehouse: Warehouse) -> None:
    """Fault 8: the first night after an upgrade every table is of the version before."""
    for table, columns in (("raw_interactions", ["content_hash", "landed_at"]), ("rejected_records", ["stage"])):
        frame = warehouse.tables.read(table, FR)
        assert frame is not None
        warehouse.tables.write(table, FR, frame.drop(columns).with_columns(of_a_newer_one=pl.lit(1)))
    assert by_country(warehouse.reconcile(), "state", "landed", "missing")["FR"] == ("settled", 3, 0)


def test_without_a_feature_group_the_documents_are_known_and_what_is_served_is_not(warehouse: Warehouse) -> None:
    warehouse.land(NL, "late.jsonl", 8)
    sources = Sources(zone=warehouse.zone, tables=warehouse.tables, store_error="ResourceNotFound")
    frame = reconcile([BE, NL], sources)
    assert by_country(frame, "state", "missing", "served", "error") == {
        "BE": ("unknown", 0, None, "ResourceNotFound"),
        "NL": ("unknown", 1, None, "ResourceNotFound"),
    }
    assert collect_reconciliation_findings(frame) == {NL.key: {FindingKind.DOCUMENTS.value}}
    assert frame.filter(STORE_UNKNOWN).height == 2


def test_a_store_that_answers_about_no_record_is_unknown_and_not_empty(warehouse: Warehouse) -> None:
    class Silent(OnlineStore):
        def sample_records(self, ids: list[str]) -> OnlineSample:
            return OnlineSample(0, 0)

    moment = datetime(2026, 11, 24, tzinfo=timezone.utc)
    manifest = {"interaction_id": id_of(1), "event_time": "", "content_hash": "x", "written_at": moment}
    warehouse.tables.write("feature_store", NL, pl.DataFrame([manifest]))
    raw = warehouse.tables.read("raw_interactions", NL)
    assert raw is not None
    warehouse.tables.write("raw_interactions", NL, raw.with_columns(status=pl.lit("accepted")))
    rejected = pl.DataFrame({"interaction_id": [id_of(n) for n in (1, 2, 3)], "stage": ["extraction"] * 3})
    warehouse.tables.write("rejected_records", NL, rejected)
    sources = Sources(zone=warehouse.zone, tables=warehouse.tables, store=Silent(None, "g", "arn"))
    frame = reconcile([BE, NL], sources)
    assert by_country(frame, "state", "kept", "missing_online", "error") == {
        "BE": ("settled", 0, 0, None),
        "NL": ("unknown", 1, None, "Unanswered"),
    }


def test_a_bucket_that_is_not_there_is_no_partitions_trouble(warehouse: Warehouse) -> None:
    """Isolated, a wrong setting would be 175 partitions unknown, and no failed run."""
    refuse_objects(warehouse.landing, code="NoSuchBucket", status=404)
    with pytest.raises(AwsRefusal, match="CS_FEATURES_LANDING_BUCKET"):
        list_partitions(warehouse.zone, warehouse.tables, ["NL"], DAY, DAY)


def test_a_country_that_cannot_be_listed_is_unknown_and_stops_no_other(warehouse: Warehouse) -> None:
    """The bucket's policy denied one country's prefix, and the inventory of all five was never taken again."""
    paginate = warehouse.landing.paginate

    def refusing(**request: Any) -> Any:
        if request["Prefix"].startswith("interactions/country=FR"):
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "ListObjectsV2")
        return paginate(**request)

    warehouse.landing.paginate = refusing  # type: ignore[method-assign]
    countries = ["BE", "FR", "NL"]
    found = list_partitions(warehouse.zone, warehouse.tables, countries, DAY, DAY)
    assert found == [BE, FR, NL]
    states = by_country(warehouse.reconcile(), "state", "error")
    assert (states["BE"], states["FR"], states["NL"]) == (
        ("settled", None),
        ("unknown", "AccessDenied"),
        ("settled", None),
    )


# --- what is still moving ---------------------------------------------------------------------


def test_a_feed_that_goes_on_is_changing_and_no_difference(warehouse: Warehouse) -> None:
    """Fault 24: a live feed at half past four was an ERROR every night, though the sensor only waited for quiet."""
    warehouse.land(NL, "c.jsonl", 4, 5, at=warehouse.landing.now)
    frame = warehouse.reconcile()
    assert by_country(frame, "state", "landed", "missing", "unread_objects")["NL"] == ("changing", 3, 0, 0)
    assert collect_reconciliation_findings(frame) == {}


def test_of_a_feed_that_goes_on_the_listed_part_is_judged(warehouse: Warehouse) -> None:
    """Excused as a whole, a feed that never rests could lose whatever it liked."""
    warehouse.land(NL, "c.jsonl", 4, 5, at=warehouse.landing.now)
    rejected = warehouse.tables.read("rejected_records", NL)
    assert rejected is not None
    warehouse.tables.write("rejected_records", NL, rejected[1:])
    frame = warehouse.reconcile()
    assert by_country(frame, "state", "missing")["NL"] == ("changing", 1)
    assert collect_reconciliation_findings(frame) == {NL.key: {FindingKind.DOCUMENTS.value}}


def test_a_partition_that_is_being_run_is_not_judged(warehouse: Warehouse) -> None:
    """In the middle of a run its tables are of two states."""
    warehouse.tables.write("rejected_records", NL, pl.DataFrame({"interaction_id": [], "stage": []}))
    frame = warehouse.reconcile(running=frozenset({NL.key}))
    assert by_country(frame, "state", "missing")["NL"] == ("running", 3)
    assert collect_reconciliation_findings(frame) == {}
    assert collect_reconciliation_findings(warehouse.reconcile(running=frozenset({BE.key}))).keys() == {NL.key}


def test_kinds_are_found_by_their_own_columns(warehouse: Warehouse) -> None:
    row = warehouse.reconcile().filter(partition=NL.key)
    columns = {
        "missing": FindingKind.DOCUMENTS,
        "outdated": FindingKind.DOCUMENTS,
        "unread_objects": FindingKind.DOCUMENTS,
        "superseded_elsewhere": FindingKind.SUPERSEDED,
        "unpublished": FindingKind.UNPUBLISHED,
        "unwithdrawn": FindingKind.UNPUBLISHED,
        "missing_online": FindingKind.TAKEN_OUT,
    }
    for column, kind in columns.items():
        changed = row.with_columns(pl.lit(-1).alias(column))
        assert collect_reconciliation_findings(changed) == {NL.key: {kind.value}}
        assert [each for each in FindingKind if not changed.filter(differs_in(each)).is_empty()] == [kind]
