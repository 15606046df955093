"""`erase_customer`: nothing of him is left anywhere, nothing brings him back, and nothing else has changed."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import dagster as dg
import pytest
from pydantic import SecretStr

from cs_features.cli.erase_customer import main
from cs_features.erasure.receipts import Receipt
from cs_features.erasure.subjects import Subject, make_erasure_subject
from cs_features.erasure.tombstones import (
    MERGE_ABOVE,
    add_tombstone_entries,
    make_tombstone_entry,
    merge_tombstones,
    read_tombstones,
    write_tombstone,
)
from cs_features.errors import AccessRefused, AwsRefusal, ConfigurationError, RequestError
from cs_features.extraction.host import make_host_folder
from cs_features.extraction.journal import Journal
from cs_features.extraction.ledger_lines import format_ledger_line
from cs_features.partitions import Partition
from cs_features.planning.erasing.contents import strip_data_object
from cs_features.planning.erasing.leftovers import list_erasure_leftovers
from cs_features.planning.erasing.places import Tally
from cs_features.planning.erasing.stores import CustomerStores, OfflineStore, Stores, find_offline_store
from cs_features.s3 import Bucket
from cs_features_tests.support.documents import DAY, document, gz, id_of, jsonl
from cs_features_tests.support.inventory import take_inventory
from cs_features_tests.support.lab import Lab, Run
from cs_features_tests.support.ledgers import answered
from cs_features_tests.support.memory_s3 import EIGHT, MemoryS3
from cs_features_tests.support.scan import find_places

KEY = "0123456789abcdef" * 4
HIM = "kunde-7"
HIS = (1, 2, 6, 9)
SECRET = "pakket 4711"


def his(number: int, **changes: Any) -> dict[str, Any]:
    turns = [{"speaker": "customer", "text": f"Waar blijft {SECRET} van bestelling {number}?"}]
    return document(number, **{"customer_id": HIM, "turns": turns, **changes})


class Erasing(Lab):
    """A laboratory with a secret for tombstones, in which one customer has left something in every place."""

    def fill(self) -> None:
        self.land("NL", DAY, "a.jsonl", jsonl([his(1), document(3), document(4), his(2), his(8, country="XX")]))
        self.land("NL", DAY, "c.jsonl.gz", gz(jsonl([his(1), document(5), b'{"customer_id": "kunde-7", "text'])))
        self.land("NL", DAY, "own.json", json.dumps(his(6)).encode())
        self.land("BE", DAY, "a.jsonl", jsonl([his(9, country="BE"), document(10, country="BE")]))
        self.process_all()
        # A correction of another's document, in a file of its own: the older version must not become the newer one.
        self.land(
            "NL", DAY, "b.jsonl", jsonl([document(3, text="Het is toch gekomen.", turns=...), his(2, channel="email")])
        )
        self.process_all()

    def process_all(self) -> list[Run]:
        runs = [self.process("NL"), self.process("BE")]
        assert all(run.success for run in runs), [run.errors for run in runs]
        return runs

    def erase(self, **config: Any) -> Run:
        job = self.definitions.resolve_job_def("erase_customer")
        ops = {"ops": {"erase_everywhere": {"config": {"customer_id": HIM, "dry_run": False, **config}}}}
        return Run(job.execute_in_process(instance=self.instance, run_config=ops, raise_on_error=False), self.instance)

    def names(self) -> list[str]:
        return [HIM, SECRET, *(id_of(number) for number in (*HIS, 8))]

    def calls_of(self, runs: list[Run]) -> int:
        return sum(run.metadata("llm_extractions")["calls"] for run in runs)

    def others(self) -> dict[int, Any]:
        return {number: self.online(id_of(number)) for number in (3, 4, 5, 10)}


@pytest.fixture
def erasing(make_lab: Any) -> Erasing:
    lab = make_lab(tombstone_key=SecretStr(KEY))
    lab.__class__ = Erasing
    lab.fill()
    return lab


def balance(run: Run) -> dict[str, int]:
    check = run.checks["conservation"]
    assert check.passed, check.description
    return {name: int(check.metadata[name].value) for name in ("landed", "validated", "rejected", "exact_duplicates")}


@pytest.mark.heavy
def test_nothing_of_him_is_left_and_nothing_brings_him_back(erasing: Erasing) -> None:
    """Tables erased with landing kept: reconciliation brought him back. Landing erased and rerun: three summaries in
    the history, seven texts in the ledger and a notice were left. A dead journal refilled the ledger one run later."""
    before = erasing.others()
    assert find_places(erasing, erasing.names())
    assert erasing.online(id_of(1))

    counted = erasing.erase(dry_run=True)
    assert counted.success, counted.errors
    assert erasing.online(id_of(1))
    assert find_places(erasing, erasing.names())

    journals = make_host_folder() / "journals" / erasing.settings.data_bucket / Partition("NL", DAY).folder
    late = Journal(journals, [format_ledger_line(answered("late", "He wrote again."), [id_of(2)]).rstrip()])
    done = erasing.erase()
    assert done.success, done.errors
    erasing.stack.local.feature_store.flush()
    assert find_places(erasing, erasing.names()) == []
    assert [erasing.online(id_of(number)) for number in HIS] == [None] * len(HIS)
    assert erasing.others() == before
    late.close()  # its run dies after the erasure

    reruns = erasing.process_all()
    assert erasing.calls_of(reruns) == 0
    # Nine documents of eleven lines are his: what landed is still counted, and each left by a door of its own.
    assert balance(reruns[0]) == {"landed": 11, "validated": 3, "rejected": 8, "exact_duplicates": 0}
    assert find_places(erasing, erasing.names()) == []

    erasing.land("NL", DAY, "again.jsonl", jsonl([his(1), his(1), document(11), his(12, interaction_id=id_of(12))]))
    redelivered = erasing.process("NL")
    assert redelivered.success, redelivered.errors
    assert balance(redelivered)["validated"] == 4
    assert find_places(erasing, [*erasing.names(), id_of(12)]) == []
    assert balance(erasing.process("NL"))["landed"] == 15
    assert find_places(erasing, erasing.names()) == []
    assert erasing.others() == before
    row = take_inventory(erasing)
    assert row.success, row.errors


def test_who_comes_back_after_his_erasure_is_a_customer_again() -> None:
    """A tombstone for ever would have dropped, in silence, everything that he writes from then on."""
    tombstones = add_tombstone_entries(
        [make_tombstone_entry(Subject(until=EIGHT, customer_id=HIM), KEY.encode())], KEY.encode()
    )
    later, earlier = EIGHT + timedelta(days=1), EIGHT - timedelta(days=1)
    assert not tombstones.covers_customer(HIM, later)
    assert tombstones.covers_customer(HIM, earlier)
    assert tombstones.covers_customer(HIM)
    assert not tombstones.covers_customer("kunde-70", earlier)


def test_without_the_key_nobody_is_erased_and_with_another_key_nothing_is_read() -> None:
    """An erasure that the next delivery undoes is none; a run that cannot read the tombstones undoes it by itself."""
    bucket = Bucket(MemoryS3(), "data", "X")
    subject = Subject(until=EIGHT, customer_id=HIM)
    assert not read_tombstones(bucket, None)
    with pytest.raises(ConfigurationError, match="CS_FEATURES_TOMBSTONE_KEY is not set"):
        write_tombstone(bucket, subject, None)
    write_tombstone(bucket, subject, KEY)
    assert read_tombstones(bucket, KEY).covers_customer(HIM)
    for key in (None, KEY[::-1]):
        with pytest.raises(ConfigurationError, match="back"):
            read_tombstones(bucket, key)


def test_many_erasures_are_one_object_to_read() -> None:
    """Each run reads them: a request an erasure would grow for ever."""
    s3 = MemoryS3()
    bucket = Bucket(s3, "data", "X")
    for number in range(MERGE_ABOVE + 1):
        write_tombstone(bucket, Subject(until=EIGHT, customer_id=f"c-{number}"), KEY)
    merge_tombstones(bucket)
    assert len(s3.objects) == 1
    assert all(read_tombstones(bucket, KEY).covers_customer(f"c-{number}") for number in range(MERGE_ABOVE + 1))


def test_nobody_is_named_or_an_id_is_no_uuid() -> None:
    for customer, ids in ((None, []), ("", [" "]), (None, ["7"])):
        with pytest.raises(RequestError):
            make_erasure_subject(customer, ids, EIGHT)


def test_json_and_lines_lose_what_is_his_and_keep_the_rest() -> None:
    """Labels, notices and reports are written by other parts, and c-10 is not c-1."""
    subject = Subject(until=EIGHT, customer_id="c-1", interaction_ids=frozenset({id_of(1)}))
    notice = json.dumps({id_of(1): None, id_of(2): None}).encode()
    labels = b"".join(json.dumps({"interaction_id": id_of(n), "label": "x"}).encode() + b"\n" for n in (1, 2))
    assert strip_data_object("superseded/a.json", notice, subject) == (json.dumps({id_of(2): None}).encode(), 1)
    assert strip_data_object("review/a.jsonl", labels, subject) == (labels.splitlines(keepends=True)[1], 1)
    assert strip_data_object("review/b.jsonl", b'{"customer": "c-10"}\n', subject) is None
    assert strip_data_object("review/c.txt", b"c-10, c-1x, xc-1", subject) is None
    with pytest.raises(ValueError, match="packed"):
        strip_data_object("review/a.xlsx", b"PK", subject)
    with pytest.raises(ValueError, match="names him"):
        strip_data_object("review/d.txt", b"ask c-1", subject)


def test_the_job_takes_no_customer_id_that_says_who_somebody_is(erasing_of_nobody: Lab) -> None:
    """What is typed into a run stays in Dagster's storage."""
    job = erasing_of_nobody.definitions.resolve_job_def("erase_customer")
    ops = {"ops": {"erase_everywhere": {"config": {"customer_id": "jan@example.com"}}}}
    run = Run(job.execute_in_process(instance=erasing_of_nobody.instance, run_config=ops, raise_on_error=False), None)
    assert not run.success
    assert "make erase-customer" in run.errors


def test_the_table_of_customers_words_stands_under_its_own_key_after_an_erasure_too(make_lab: Any) -> None:
    """Everything in the bucket had one key: whoever might read a table of features might read what customers wrote."""
    key = boto3.client("kms").create_key()["KeyMetadata"]["Arn"]
    lab = make_lab(tombstone_key=SecretStr(KEY), raw_kms_key=key)
    lab.land("NL", DAY, "a.jsonl", jsonl([his(1), document(2)]))
    assert lab.process().success
    before = list_encryption(lab)
    assert before["raw_interactions"] == key
    assert {found for table, found in before.items() if table != "raw_interactions"} == {None}
    lab.__class__ = Erasing
    assert lab.erase().success
    assert lab.table("raw_interactions").filter(reason="erased").height == 1
    assert list_encryption(lab)["raw_interactions"] == key


def list_encryption(lab: Lab) -> dict[str, str | None]:
    """The key of each table's objects, by the first folder of the data bucket."""
    bucket = lab.settings.data_bucket
    keys = [item["Key"] for item in lab.s3.list_objects_v2(Bucket=bucket)["Contents"]]
    return {key.split("/")[0]: lab.s3.head_object(Bucket=bucket, Key=key).get("SSEKMSKeyId") for key in keys}


def test_a_run_that_may_not_write_landing_says_what_to_run(
    erasing_of_nobody: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On AWS the job is for counting: it named a permission that nobody should give to runs, and not the command."""
    erasing_of_nobody.land("NL", DAY, "a.jsonl", jsonl([his(1)]))

    def refuse(bucket: Bucket, *_: Any) -> None:
        raise AccessRefused(f"Bucket {bucket.name}: allow s3:PutObject on it")

    monkeypatch.setattr(Bucket, "replace", refuse)
    job = erasing_of_nobody.definitions.resolve_job_def("erase_customer")
    ops = {"ops": {"erase_everywhere": {"config": {"customer_id": HIM, "dry_run": False}}}}
    run = Run(job.execute_in_process(instance=erasing_of_nobody.instance, run_config=ops, raise_on_error=False), None)
    assert not run.success
    assert "cs_features.cli.erase_customer --customer - --yes" in run.errors
    assert "deploy/README.md" in run.errors


STATEMENTS = (
    "in Athena, one after the other: DELETE FROM sagemaker_featurestore.{0} WHERE {1} IN (...); "
    "OPTIMIZE sagemaker_featurestore.{0} REWRITE DATA USING BIN_PACK; "
    "ALTER TABLE sagemaker_featurestore.{0} SET TBLPROPERTIES ('vacuum_max_snapshot_age_seconds'='60'); "
    "VACUUM sagemaker_featurestore.{0}"
)


@pytest.mark.parametrize("formats", [("Iceberg", "Iceberg"), ("Glue", "Iceberg"), ("Iceberg", "Glue"), ("Glue", None)])
def test_of_an_iceberg_table_the_receipt_says_what_to_run_word_by_word(formats: tuple[str, str | None]) -> None:
    """DELETE alone only notes which rows are gone, and VACUUM spares files that the last snapshot still names."""
    first, second = (None if each is None else describe_offline(each, number) for number, each in enumerate(formats))
    assert first is not None
    records: Any = None
    stores = Stores(
        landing=Bucket(MemoryS3(), "landing", "X"),
        data=Bucket(MemoryS3(), "data", "X"),
        records=records,
        identity="group 0",
        offline=first,
        journals=Path("/nowhere"),
        customers=None if second is None else CustomerStores(records, "group 1", second),
    )
    found = list_erasure_leftovers((), Tally(), stores.list_iceberg_tables(), ())
    names = [("table_0", "interaction_id"), ("table_1", "customer_id")]
    expected = [STATEMENTS.format(*name) for name, each in zip(names, formats, strict=True) if each == "Iceberg"]
    assert [each.ends_by for each in found if "Iceberg" in each.what] == expected


def describe_offline(table_format: str, number: int) -> OfflineStore:
    config: dict[str, Any] = {"S3StorageConfig": {"ResolvedOutputS3Uri": "s3://b/p"}, "TableFormat": table_format}
    config["DataCatalogConfig"] = {"Database": "sagemaker_featurestore", "TableName": f"table_{number}"}
    return find_offline_store({"OfflineStoreConfig": config}, MemoryS3())


RECEIPT = Receipt(at=EIGHT, dry_run=False, who=(), interactions=1, taken=(), remaining=0, leftovers=())


def refuse_erasure(*_: Any, **__: Any) -> Receipt:
    raise AwsRefusal("Bucket cs-data is slow")


@pytest.mark.parametrize(
    ("outcome", "told"),
    [
        (refuse_erasure, "Half of it may be erased: the same again does the rest"),
        (
            lambda *_, **__: replace(RECEIPT, remaining=2),
            "2 rows and lines changed while they were erased: run it again",
        ),
        (lambda *_, **__: RECEIPT, ""),
    ],
)
def test_the_job_says_what_is_left_to_do(
    erasing_of_nobody: Lab, monkeypatch: pytest.MonkeyPatch, outcome: Any, told: str
) -> None:
    """Green, with two rows of his left and a run going on that had read him before."""
    lab = erasing_of_nobody
    monkeypatch.setattr("cs_features.orchestration.erasing.erase_subject_everywhere", outcome)
    lab.instance.add_run(dg.DagsterRun("process_interactions", status=dg.DagsterRunStatus.STARTED))
    ops = {"ops": {"erase_everywhere": {"config": {"customer_id": HIM, "dry_run": False}}}}
    job = lab.definitions.resolve_job_def("erase_customer")
    result = job.execute_in_process(instance=lab.instance, run_config=ops, raise_on_error=False)
    run = Run(result, lab.instance)
    assert run.success == (not told)
    assert told in run.errors
    outputs = [event.step_output_data.metadata for event in result.all_events if event.is_successful_output]
    for metadata in outputs:
        assert "1 runs that go on now" in str(metadata["not_within_reach"])
    assert len(outputs) == run.success


@pytest.fixture
def erasing_of_nobody(make_lab: Any) -> Lab:
    lab: Lab = make_lab(tombstone_key=SecretStr(KEY))
    return lab


def test_the_command_counts_first_and_erases_with_yes(
    erasing_of_nobody: Lab, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lab = erasing_of_nobody
    for name in ("landing_bucket", "data_bucket", "feature_group", "customer_feature_group"):
        monkeypatch.setenv(f"CS_FEATURES_{name.upper()}", getattr(lab.settings, name))
    monkeypatch.setenv("CS_FEATURES_TOMBSTONE_KEY", KEY)
    lab.land("NL", DAY, "a.jsonl", jsonl([his(1), document(2)]))
    assert main(["--customer", HIM]) == 0
    assert "landing bucket: 1 in 1 objects" in capsys.readouterr().out
    assert find_places(lab, [HIM]) != []
    assert main(["--customer", HIM, "--yes"]) == 0
    printed = capsys.readouterr().out
    assert "A last look over all places found 0." in printed
    assert HIM not in printed
    assert find_places(lab, [HIM]) == []
    assert main([]) == 2
