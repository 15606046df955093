"""One object that S3 does not give, through the whole chain: it is rejected and named, and nothing else changes."""

import pytest

from cs_features.landing.listings import load_partition_listing
from cs_features.partitions import Partition
from cs_features_tests.support.documents import DAY, document, id_of, jsonl
from cs_features_tests.support.lab import Lab
from cs_features_tests.support.refusals import refused

NL = Partition("NL", DAY)
MANY = range(10, 40)


def rejects(lab: Lab) -> list[tuple[str, str]]:
    rows = lab.table("rejected_records").select("source_uri", "reason").rows()
    return [(uri.rsplit("/", 1)[-1], reason) for uri, reason in rows]


@pytest.mark.parametrize(("code", "status"), [("AccessDenied", 403), ("InvalidObjectState", 403)])
def test_an_object_that_cannot_be_read_costs_no_record_and_stops_no_other(lab: Lab, code: str, status: int) -> None:
    """Fault 15: a refused object failed its partition. Taken for deleted, it would have emptied the store."""
    lab.land("NL", DAY, "many.jsonl", jsonl(document(number) for number in MANY))
    key = lab.land("NL", DAY, "a.jsonl", jsonl([document(1), document(2)]))
    assert lab.process().success
    written = {number: lab.online(id_of(number)) for number in (1, 2, 10)}

    lab.land("NL", DAY, "a.jsonl", jsonl([document(1), document(2), document(4)]))  # what was read is not asked for
    lab.land("NL", DAY, "c.jsonl", jsonl([document(3)]))
    with refused(key, code, status):
        run = lab.process()
    assert run.success, run.errors
    assert run.checks["conservation"].passed
    assert rejects(lab) == [("a.jsonl", "unreadable_object")]
    assert {number: lab.online(id_of(number)) for number in (1, 2, 10)} == written
    assert lab.online(id_of(3)) is not None

    run = lab.process()
    assert run.success, run.errors
    assert run.checks["conservation"].passed
    assert rejects(lab) == []
    assert lab.online(id_of(4)) is not None


def test_an_object_that_was_never_read_is_a_reject_until_it_can_be(lab: Lab) -> None:
    """Its documents are nowhere else: the reject is all that says they exist."""
    lab.land("NL", DAY, "many.jsonl", jsonl(document(number) for number in MANY))
    key = lab.land("NL", DAY, "a.jsonl", jsonl([document(1)]))
    with refused(key, "KMS.DisabledException", 400):
        run = lab.process()
    assert run.success, run.errors
    assert rejects(lab) == [("a.jsonl", "unreadable_object")]
    assert lab.online(id_of(1)) is None
    assert lab.process().success
    assert lab.online(id_of(1)) is not None


def test_a_run_keeps_what_it_listed(lab: Lab) -> None:
    """Fault 22: the law can say what a run could have seen only if the run wrote it down, before it read."""
    key = lab.land("NL", DAY, "a.jsonl", jsonl([document(1)]))
    lab.land("NL", DAY, "_temporary/b.jsonl", jsonl([document(2)]))
    with refused(key, "ExpiredToken", 400):
        assert not lab.process(only=["raw_interactions"]).success
    listing = load_partition_listing(lab.resources["data"].tables().bucket, NL)
    assert listing is not None
    assert [item.key for item in listing.objects] == [key]
    assert listing.bucket == lab.settings.landing_bucket
