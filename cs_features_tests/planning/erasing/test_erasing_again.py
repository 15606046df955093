"""What is delivered again of who was erased, where runs may not write to landing: told, counted, and taken out."""

import json
from typing import Any

import dagster as dg
import pytest
from pydantic import SecretStr

from cs_features.cli.erase_customer import main
from cs_features.erasure.subjects import Subject
from cs_features.erasure.tombstones import write_tombstone
from cs_features.errors import AccessRefused
from cs_features.landing.documents import UNREAD_DETAIL
from cs_features.landing.erased import MARKER
from cs_features.planning.erasing.contents import Replaced, follow_new_versions
from cs_features.s3 import Bucket, StoredObject
from cs_features_tests.support.documents import DAY, document, id_of, jsonl
from cs_features_tests.support.lab import Lab, Run
from cs_features_tests.support.landing import landed_file, read_again
from cs_features_tests.support.memory_s3 import EIGHT
from cs_features_tests.support.scan import find_places

KEY = "0123456789abcdef" * 4
HIM = "kunde-7"


@pytest.fixture
def lab(make_lab: Any, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """Somebody is erased, a feed that has not heard of it delivers him again, and runs may not write to landing."""
    lab: Lab = make_lab(tombstone_key=SecretStr(KEY))
    for name in ("landing_bucket", "data_bucket", "feature_group", "customer_feature_group"):
        monkeypatch.setenv(f"CS_FEATURES_{name.upper()}", getattr(lab.settings, name))
    monkeypatch.setenv("CS_FEATURES_TOMBSTONE_KEY", KEY)
    data = Bucket(lab.s3, lab.settings.data_bucket, "X")
    write_tombstone(data, Subject(until=EIGHT.replace(year=2027), customer_id=HIM), KEY)
    made = [document(1, customer_id=HIM), document(2), document(1, customer_id=HIM)]
    lab.land("NL", DAY, "a.jsonl", jsonl(made))
    return lab


def refuse_landing(monkeypatch: pytest.MonkeyPatch, lab: Lab) -> None:
    put = Bucket.replace

    def replace(bucket: Bucket, stored: StoredObject, body: bytes) -> StoredObject | None:
        if bucket.name == lab.settings.landing_bucket:
            raise AccessRefused("allow s3:PutObject")
        return put(bucket, stored, body)

    monkeypatch.setattr(Bucket, "replace", replace)


def count_told(run: Run) -> int:
    """What check and metadata say alike; a warning, or nothing."""
    assert run.success, run.errors
    assert run.checks["conservation"].passed
    check, told = run.checks["erased_landed"], run.metadata("raw_interactions")["erased_and_unread"]
    assert check.metadata["documents"].value == told
    assert check.passed == (told == 0)
    assert check.severity is dg.AssetCheckSeverity.WARN
    return int(told)


def test_what_was_delivered_again_is_told_until_a_command_that_names_nobody_takes_it_out(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On AWS it stayed in landing until the next erasure of the same customer, and nobody was told."""
    with monkeypatch.context() as on_aws:
        refuse_landing(on_aws, lab)
        assert [count_told(lab.process("NL")) for _ in range(2)] == [2, 2], "by the run that reads, and who keeps rows"
    assert main(["--again"]) == 0
    assert "2 documents in 1 objects of the landing bucket would be erased again" in capsys.readouterr().out
    assert find_places(lab, [HIM]) != []
    assert main(["--again", "--yes"]) == 0
    assert "2 documents in 1 objects of the landing bucket erased again" in capsys.readouterr().out
    assert count_told(lab.process("NL")) == 0
    assert find_places(lab, [HIM, id_of(1)]) == []


def test_no_name_is_in_what_is_told(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_landing(monkeypatch, lab)
    run = lab.process("NL")
    told = [str(run.checks["erased_landed"]), json.dumps(run.metadata("raw_interactions"), default=str)]
    assert not [each for each in told for name in (HIM, id_of(1)) if name in each]


def test_a_run_that_may_write_to_landing_has_nothing_to_tell(lab: Lab) -> None:
    assert count_told(lab.process("NL")) == 0
    assert find_places(lab, [HIM, id_of(1)]) == []


def test_who_lay_unread_in_a_file_that_another_erasure_wrote_anew_is_looked_for_again() -> None:
    """Its rows would have said for ever that he lies there, or never again."""
    raw = read_again(landed_file("a.jsonl", MARKER), landed_file("b.jsonl", MARKER))
    a, b = raw["source_uri"]
    told = raw.with_columns(detail=raw["source_uri"].replace_strict({a: UNREAD_DETAIL, b: raw["detail"][1]}))
    followed = follow_new_versions(told, {uri: Replaced("etag-0", "new") for uri in (a, b)})
    assert followed["source_etag"].to_list() == ["etag-0", "new"]
