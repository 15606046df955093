"""What lies under the landing prefix and in no folder that is looked at: each is told, and nothing else is."""

from datetime import date, datetime, timedelta, timezone

import pytest

from cs_features.landing.listings import save_partition_listing
from cs_features.landing.zone import LandingZone, Misfiled
from cs_features.monitoring.misfiled import (
    BEFORE_FIRST_DATE,
    BEFORE_WINDOW,
    FUTURE_DAY,
    MISFILED_SCHEMA,
    STILL_HIDDEN,
    UNKNOWN_COUNTRY,
    RunMemory,
    Scope,
    find_misfiled_objects,
    shorten_folder_name,
)
from cs_features.partitions import Partition
from cs_features.s3 import Bucket
from cs_features.storage import Tables
from cs_features_tests.support.memory_s3 import MemoryS3

NOW = datetime(2026, 11, 26, 4, 30, tzinfo=timezone.utc)
TODAY = NOW.date()
SCOPE = Scope(countries=("BE", "NL"), first_date=date(2026, 9, 1), window_start=TODAY - timedelta(days=35), now=NOW)
OLD = Partition("NL", date(2026, 10, 1))


class Places:
    """A landing bucket and a data bucket in memory."""

    def __init__(self) -> None:
        self.s3, self.data = MemoryS3(), MemoryS3()
        self.zone = LandingZone(Bucket(self.s3, "landing", "CS_FEATURES_LANDING_BUCKET"))
        self.tables = Tables(Bucket(self.data, "data", "CS_FEATURES_DATA_BUCKET"))

    def land(self, *keys: str, body: bytes = b"{}") -> None:
        for key in keys:
            self.s3.put_object(Key=f"interactions/{key}", Body=body)

    def found(self) -> list[tuple[str, str, int]]:
        """(folder below interactions/, reason, objects)."""
        frame = find_misfiled_objects(self.zone.iterate_all_objects(), SCOPE, RunMemory(self.tables))
        assert dict(frame.schema) == dict(MISFILED_SCHEMA)
        rows = frame.sort("folder").select("folder", "reason", "objects").iter_rows()
        return [(folder.removeprefix("interactions").lstrip("/"), reason, count) for folder, reason, count in rows]


@pytest.fixture
def places() -> Places:
    return Places()


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        pytest.param("NL/date=2026-11-26/a.jsonl", Misfiled.NO_COUNTRY.value, id="no country="),
        pytest.param("country=NL/2026-11-26/a.jsonl", Misfiled.NO_DATE.value, id="no date="),
        pytest.param("country=NL/Date=2026-11-26/a.jsonl", Misfiled.NO_DATE.value, id="a capital"),
        pytest.param("country=NL/a.jsonl", Misfiled.NO_DATE.value, id="directly under the country"),
        pytest.param("a.jsonl", Misfiled.NO_COUNTRY.value, id="directly under interactions"),
        pytest.param("country=nl/date=2026-11-26/a.jsonl", Misfiled.NO_COUNTRY.value, id="a country in small letters"),
        pytest.param("country=NL/date=2026-11-31/a.jsonl", Misfiled.NO_DATE.value, id="a day that is none"),
        pytest.param("country=NL/date=20261126/a.jsonl", Misfiled.NO_DATE.value, id="a day without hyphens"),
        pytest.param("country=NL/date=2026-11-26 /a.jsonl", Misfiled.NO_DATE.value, id="a space behind the day"),
        pytest.param("country=DE/date=2026-11-26/a.jsonl", UNKNOWN_COUNTRY, id="a country nobody set up"),
        pytest.param("country=NL/date=2026-11-27/a.jsonl", FUTURE_DAY, id="tomorrow"),
        pytest.param("country=NL/date=2026-08-31/a.jsonl", BEFORE_FIRST_DATE, id="before the first date"),
        pytest.param("country=NL/date=2026-10-21/a.jsonl", BEFORE_WINDOW, id="the day before the window"),
        pytest.param("country=NL/date=2026-10-22/a.jsonl", None, id="the first day of the window"),
        pytest.param("country=NL/date=2026-11-26/a.jsonl", None, id="today"),
        pytest.param("country=BE/date=2026-11-20/deeper/a.txt", None, id="deeper: its run rejects it"),
    ],
)
def test_each_way_to_miss_the_folder_is_told_with_its_reason(places: Places, key: str, reason: str | None) -> None:
    """Fault 13: "0 partitions ... none changed", and a feed that had misspelt its folder was never read."""
    places.land(key)
    assert [found[1] for found in places.found()] == ([] if reason is None else [reason])


def test_objects_are_counted_by_folder_with_their_size_and_their_dates(places: Places) -> None:
    places.land(
        *(f"country=NL/2026-11-26/{n}.jsonl" for n in range(7)), "country=NL/2026-11-26/deeper/x.jsonl", "b.json"
    )
    frame = find_misfiled_objects(places.zone.iterate_all_objects(), SCOPE, RunMemory(places.tables))
    first = frame.row(0, named=True)
    assert (first["folder"], first["objects"], first["bytes"]) == ("interactions/country=NL/2026-11-26", 7, 14)
    assert first["newest"] - first["oldest"] == timedelta(seconds=6)
    assert frame["objects"].to_list() == [7, 1, 1]


def test_empty_objects_and_folders_of_consoles_are_no_documents(places: Places) -> None:
    places.land("NL/", "country=NL/empty.jsonl", body=b"")
    assert places.found() == []


@pytest.mark.parametrize(
    ("key", "is_told"),
    [
        ("country=NL/date=2026-11-26/_export.jsonl", True),
        ("country=NL/date=2026-11-26/.jsonl", True),
        ("country=NL/date=2026-11-26/_temporary/0/part-0.jsonl.gz", True),
        (".staging/a.json", True),
        ("country=NL/date=2026-11-26/_SUCCESS", False),
        ("country=NL/date=2026-11-26/.part-0.jsonl.crc", False),
    ],
)
def test_documents_under_a_hidden_name_are_told_when_nobody_has_committed_them_for_a_day(
    places: Places, key: str, is_told: bool
) -> None:
    """A feed that named its files `_export.jsonl` was never read, never counted and never named; and a job that died
    while it wrote leaves its only copy in `_temporary`."""
    for age, expected in ((timedelta(hours=23), []), (timedelta(hours=25), [STILL_HIDDEN] if is_told else [])):
        places.s3.objects[f"interactions/{key}"] = b"{}", NOW - age
        assert [reason for _, reason, _ in places.found()] == expected


def test_a_bucket_without_strays_is_an_empty_table(places: Places) -> None:
    assert places.found() == []


# --- late files -------------------------------------------------------------------------------


def test_a_late_file_of_a_day_that_has_left_the_window_is_told_until_a_run_has_listed_it(places: Places) -> None:
    """Fault 13: a file 40 days late was nobody's: the sensor does not look there, and no run had failed."""
    places.land(f"{OLD.folder}/a.jsonl")
    assert places.found() == [(OLD.folder, BEFORE_WINDOW, 1)]
    save_partition_listing(places.tables.bucket, OLD, places.zone.list_documents(OLD))
    assert places.found() == []
    places.land(f"{OLD.folder}/b.jsonl")
    assert places.found() == [(OLD.folder, BEFORE_WINDOW, 1)]


def test_an_old_file_that_was_replaced_since_its_run_is_told(places: Places) -> None:
    """A correction by the feed's owner, two months later: it lies under a key that a run knows."""
    places.land(f"{OLD.folder}/a.jsonl")
    save_partition_listing(places.tables.bucket, OLD, places.zone.list_documents(OLD))
    places.land(f"{OLD.folder}/a.jsonl", body=b'{"other": 1}')
    assert places.found() == [(OLD.folder, BEFORE_WINDOW, 1)]


def test_what_a_version_without_saved_listings_has_read_is_not_told(places: Places) -> None:
    """On the first night after the upgrade, every file of a year would have been an alarm."""
    places.land(f"{OLD.folder}/a.jsonl")
    places.data.put_object(Key=f"raw_interactions/{OLD.folder}/data.parquet", Body=b"table")
    moment = datetime(2026, 10, 2, tzinfo=timezone.utc)
    places.data.objects[f"raw_interactions/{OLD.folder}/data.parquet"] = b"table", moment
    for after, expected in ((timedelta(seconds=-1), []), (timedelta(0), [(OLD.folder, BEFORE_WINDOW, 1)])):
        places.s3.objects[f"interactions/{OLD.folder}/a.jsonl"] = b"{}", moment + after
        assert places.found() == expected


def test_the_listing_of_one_day_excuses_no_other(places: Places) -> None:
    """Listings are read one a day, in the order of keys: of the day before, the next one knows nothing."""
    later = Partition("NL", OLD.date + timedelta(days=1))
    places.land(f"{OLD.folder}/a.jsonl", f"{later.folder}/a.jsonl")
    save_partition_listing(places.tables.bucket, OLD, places.zone.list_documents(OLD))
    assert places.found() == [(later.folder, BEFORE_WINDOW, 1)]
    save_partition_listing(places.tables.bucket, later, places.zone.list_documents(later))
    assert places.found() == []


# --- what is shown ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        ("interactions/a.jsonl", "interactions"),
        ("interactions/country=NL/Date=2026-11-26/a.jsonl", "interactions/country=NL/Date=2026-11-26"),
        ("interactions/1/2/3/4/5/a.jsonl", "interactions/1/2/3"),
        ("interactions/jan@example.com, lost parcel/a.jsonl", "interactions/(EMAIL_1)??lost?parcel"),
        ("interactions/klant 123456782/20261124/a.jsonl", "interactions/klant?(NATIONAL_ID_1)/20261124"),
        (f"interactions/{'x' * 100}/a.jsonl", f"interactions/{'x' * 40}"),
    ],
)
def test_a_folder_is_shown_shortened_and_never_the_name_of_a_file(key: str, shown: str) -> None:
    """Whoever names a file after a customer has put the customer into our alerts."""
    assert shorten_folder_name(key) == shown
