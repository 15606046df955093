"""Which keys hold whose documents, and what is read of them: bounds before cost, one object's fault its own."""

import threading
from datetime import date, datetime, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cs_features.errors import AwsRefusal
from cs_features.landing import zone as zone_module
from cs_features.landing.files import MAX_DOCUMENT_BYTES, MAX_FILE_BYTES, Unread
from cs_features.landing.zone import LandedFile, LandingZone, Misfiled, classify_landing_key, is_document_file
from cs_features.partitions import Partition
from cs_features.s3 import Bucket, StoredObject
from cs_features.schemas import Reason
from cs_features_tests.support.memory_s3 import MemoryS3
from cs_features_tests.support.refusals import refusal

NOON = datetime(2026, 11, 24, 12, tzinfo=timezone.utc)
FOLDER = "interactions/country=NL/date=2026-11-24"
NL_24 = Partition("NL", date(2026, 11, 24))


def listed(name: str, size: int = 10) -> StoredObject:
    return StoredObject(f"{FOLDER}/{name}", "etag", size, NOON)


def zone_of(client: Any) -> LandingZone:
    return LandingZone(Bucket(client, "landing", "CS_FEATURES_LANDING_BUCKET"))


# --- keys -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "found"),
    [
        (f"{FOLDER}/a.jsonl", NL_24),
        (f"{FOLDER}/shard=3/a.jsonl", NL_24),
        ("interactions/country=ZZ/date=1999-01-01/a.jsonl", Partition("ZZ", date(1999, 1, 1))),
        ("interactions/a.jsonl", Misfiled.NO_COUNTRY),
        ("interactions/NL/date=2026-11-24/a.jsonl", Misfiled.NO_COUNTRY),
        ("interactions/country=nl/date=2026-11-24/a.jsonl", Misfiled.NO_COUNTRY),
        ("interactions/country=NLD/date=2026-11-24/a.jsonl", Misfiled.NO_COUNTRY),
        ("interactions/country=ÑÑ/date=2026-11-24/a.jsonl", Misfiled.NO_COUNTRY),
        ("interactions/Country=NL/date=2026-11-24/a.jsonl", Misfiled.NO_COUNTRY),
        ("interactions//country=NL/date=2026-11-24/a.jsonl", Misfiled.NO_COUNTRY),
        ("interactions/country=NL/a.jsonl", Misfiled.NO_DATE),
        ("interactions/country=NL/2026-11-26/a.jsonl", Misfiled.NO_DATE),
        ("interactions/country=NL/Date=2026-11-24/a.jsonl", Misfiled.NO_DATE),
        ("interactions/country=NL/date=20261124/a.jsonl", Misfiled.NO_DATE),
        ("interactions/country=NL/date=2026-W48-2/a.jsonl", Misfiled.NO_DATE),
        ("interactions/country=NL/date=2026-02-30/a.jsonl", Misfiled.NO_DATE),
        ("interactions/country=NL/date=2026-11-24", Misfiled.NO_DATE),
        ("Interactions/country=NL/date=2026-11-24/a.jsonl", Misfiled.OUTSIDE),
        ("interactions_old/country=NL/date=2026-11-24/a.jsonl", Misfiled.OUTSIDE),
        ("a.jsonl", Misfiled.OUTSIDE),
        ("", Misfiled.OUTSIDE),
        (f"{FOLDER}/_temporary/0/a.jsonl", Misfiled.HIDDEN),
        ("interactions/.hive-staging/country=NL/date=2026-11-24/a.jsonl", Misfiled.HIDDEN),
        ("_backup/interactions/a.jsonl", Misfiled.HIDDEN),
    ],
)
def test_every_key_is_a_partition_s_or_says_why_it_is_none(key: str, found: Partition | Misfiled) -> None:
    """Fault 13: a feed wrote to `country=NL/2026-11-26/` for a month, and the sensor saw no change."""
    assert classify_landing_key(key) == found


@given(st.text(alphabet="interactions/country=NLdate-2026._é ", max_size=60))
def test_no_key_is_too_odd_to_be_classified(key: str) -> None:
    assert isinstance(classify_landing_key(key), Partition | Misfiled)


@pytest.mark.parametrize(
    "name",
    [
        "_temporary/0/_attempt_1/part-0.jsonl",
        ".hive-staging_1/x.jsonl",
        "_SUCCESS",
        ".a.jsonl.crc",
        "part/_b/c.jsonl",
        "a/.git/b.jsonl",
    ],
)
def test_hidden_and_temporary_folders_hold_no_documents(name: str) -> None:
    """Fault 14: the uncommitted copy was accepted, and the real file was its duplicate."""
    assert not is_document_file(listed(name))


@pytest.mark.parametrize("name", ["a_b.jsonl", "a.b/c_d/e.jsonl", "part-_x.jsonl"])
def test_an_underscore_within_a_name_hides_nothing(name: str) -> None:
    assert is_document_file(listed(name))


# --- reading ----------------------------------------------------------------------------------


class Counted(MemoryS3):
    """Counts the bytes that were asked for and not yet handed on."""

    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.Lock()
        self.asked = 0
        self.refusals: dict[str, Exception] = {}

    def get_object(self, **request: Any) -> dict[str, Any]:
        with self.lock:
            self.asked += 1
        if request["Key"] in self.refusals:
            raise self.refusals[request["Key"]]
        return super().get_object(**request)


def test_suffix_and_size_decide_before_a_byte_is_read() -> None:
    """Fault 17: forty recordings of 10 MiB were read, all at once, to be rejected by their names."""
    client = Counted()
    sizes = {"a.mp3": 10, "b.json": MAX_DOCUMENT_BYTES + 1, "c.jsonl": MAX_FILE_BYTES + 1, "d.jsonl.gz": 2**40}
    files = list(zone_of(client).read_landed_files([listed(name, size) for name, size in sizes.items()]))
    reasons = [file.content.reason for file in files if isinstance(file.content, Unread)]
    assert reasons == ["unsupported_file", "document_too_large", "file_too_large", "file_too_large"]
    assert [file.source.name for file in files] == list(sizes)
    assert client.asked == 0


@pytest.mark.parametrize(("name", "size"), [("a.json", MAX_DOCUMENT_BYTES), ("a.jsonl", MAX_FILE_BYTES)])
def test_what_is_just_within_its_limit_is_read(name: str, size: int) -> None:
    client = Counted()
    client.put_object(Key=f"{FOLDER}/{name}", Body=b"x")
    (file,) = zone_of(client).read_landed_files([listed(name, size)])
    assert file.content == b"x"


def test_only_so_much_is_read_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault 17: with everything read ahead, a day's files were in memory together."""
    monkeypatch.setattr(zone_module, "MAX_BYTES_AHEAD", 30)
    client = Counted()
    items = [listed(f"{number}.jsonl", 10) for number in range(20)]
    for item in items:
        client.put_object(Key=item.key, Body=b"0123456789")
    handed_on = 0
    for _ in zone_of(client).read_landed_files(items):
        handed_on += 1
        assert client.asked <= handed_on + 3
    assert handed_on == 20


def test_one_object_larger_than_what_is_read_ahead_is_read_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zone_module, "MAX_BYTES_AHEAD", 5)
    client = Counted()
    items = [listed(f"{number}.jsonl", 10) for number in range(3)]
    for item in items:
        client.put_object(Key=item.key, Body=b"0123456789")
    assert [file.source.name for file in zone_of(client).read_landed_files(items)] == ["0.jsonl", "1.jsonl", "2.jsonl"]


def read_with(client: Counted, *names: str) -> list[LandedFile]:
    for name in names:
        client.put_object(Key=f"{FOLDER}/{name}", Body=name.encode())
    return list(zone_of(client).read_landed_files([listed(name) for name in names]))


def test_an_object_that_cannot_be_read_is_not_taken_for_deleted() -> None:
    """Last section, 1: any error of S3 made the file disappear, and the law held, counted through the same read."""
    client = Counted()
    client.refusals[f"{FOLDER}/b.jsonl"] = refusal("AccessDenied")
    first, refused_file, last = read_with(client, "a.jsonl", "b.jsonl", "c.jsonl")
    assert (first.content, last.content) == (b"a.jsonl", b"c.jsonl")
    assert isinstance(refused_file.content, Unread)
    assert refused_file.content.reason is Reason.UNREADABLE_OBJECT
    assert refused_file.content.detail.startswith("AccessDenied")
    assert refused_file.source == listed("b.jsonl")


def test_an_object_that_was_deleted_since_it_was_listed_is_left_out() -> None:
    client = Counted()
    client.put_object(Key=f"{FOLDER}/b.jsonl", Body=b"b")
    files = list(zone_of(client).read_landed_files([listed("a.jsonl"), listed("b.jsonl")]))
    assert [file.source.name for file in files] == ["b.jsonl"]


def test_a_refusal_of_everything_is_the_accounts_and_no_files_fault() -> None:
    """With s3:GetObject or the bucket's key gone, a green run rejected every document of a day; when both were back
    nobody read them."""
    client = Counted()
    client.refusals = {f"{FOLDER}/{name}.jsonl": refusal("KMS.DisabledException", 400) for name in "abcde"}
    names = [f"{name}.jsonl" for name in "abcdef"]
    with pytest.raises(AwsRefusal, match=r"each of the 5 landing objects .*KMS\.DisabledException"):
        read_with(client, *names[:5])
    assert len(read_with(client, *names[:4])) == 4, "of a few nobody can tell: each is named as a reject"
    assert len(read_with(client, *names)) == 6


def test_a_fault_of_the_account_stops_the_reading() -> None:
    """A token that expired is no fault of any file."""
    client = Counted()
    client.refusals[f"{FOLDER}/b.jsonl"] = refusal("ExpiredToken", 400)
    with pytest.raises(AwsRefusal, match="ExpiredToken"):
        read_with(client, "a.jsonl", "b.jsonl")
