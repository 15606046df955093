"""`why`: where an interaction is, through every table, the ledger and the store, in words and without its text."""

import pytest

from cs_features.cli import why
from cs_features.local.scripted import Script
from cs_features_tests.support.documents import DAY, document, id_of, jsonl
from cs_features_tests.support.lab import Lab

POISON = "ononderbroken storing"
SECRET = "Mijn man Pieter is overleden"


def said(number: int, text: str) -> dict[str, object]:
    return document(number, turns=[{"speaker": "customer", "text": f"{text} {number}"}])


@pytest.fixture
def processed(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Lab:
    lab.stack.answerer.script = Script(poison=POISON)
    lab.land("NL", DAY, "a.jsonl", jsonl([said(1, SECRET), said(2, POISON), b"broken", said(4, SECRET)]))
    run = lab.process()
    assert run.success, run.errors
    monkeypatch.setenv("CS_FEATURES_LANDING_BUCKET", lab.settings.landing_bucket)
    monkeypatch.setenv("CS_FEATURES_DATA_BUCKET", lab.settings.data_bucket)
    monkeypatch.setenv("CS_FEATURES_FEATURE_GROUP", lab.settings.feature_group)
    return lab


def ask(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    capsys.readouterr()
    assert why.main(list(arguments)) == 0
    told = capsys.readouterr().out
    assert "Pieter" not in told
    return told


def test_each_interaction_is_found_where_it_is(processed: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    """ "Where is it?" was an afternoon in five tables, and ended with somebody's text on a screen."""
    served = ask(capsys, id_of(1))
    assert f"raw_interactions of NL {DAY}: accepted: s3://" in served
    assert "a.jsonl line 1" in served
    assert f"ledger of NL {DAY}: an answer is kept under" in served
    assert f"feature_store of NL {DAY}: written" in served
    assert served.endswith("It is served.\n")
    rejected = ask(capsys, id_of(2), "--partition", f"NL|{DAY}")
    assert "rejected at extraction, request_refused" in rejected
    assert "redrive_rejected asks again" in rejected
    assert "It is not served" in rejected
    assert "nothing is known of it" in ask(capsys, id_of(99))


def test_a_record_that_somebody_deleted_online_is_told(processed: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    processed.runtime.delete_record(
        FeatureGroupName=processed.settings.feature_group,
        RecordIdentifierValueAsString=id_of(4),
        EventTime="2026-01-01T00:00:00Z",
    )
    told = ask(capsys, id_of(4))
    assert f"feature_store of NL {DAY}: written" in told
    assert f"online store {processed.settings.feature_group}: no record of it is served" in told


def test_the_first_rejects_are_listed_by_file_and_line(processed: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    told = ask(capsys, "--rejects", f"NL|{DAY}")
    assert "malformed_json" in told
    assert "2 rejects in all" in told
    processed.land("BE", DAY, "a.jsonl", jsonl([document(7, country="BE")]))
    assert processed.process("BE").success
    assert "no rejects" in ask(capsys, "--rejects", f"BE|{DAY}")


def test_a_partition_that_was_never_run_has_not_no_rejects(processed: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    """ "FR 2025-03-05: no rejects", said of a day that nobody had looked at: it was taken for a clean one."""
    assert why.main(["--rejects", "FR|2025-03-05"]) == 2
    assert "FR 2025-03-05 was never run" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [["not-an-id"], [], ["--rejects", "NL"], [id_of(1), "--partition", "x"], ["--rejects", "nl|2025-03-04"],
     ["--rejects", "UK|2025-03-04"], ["--rejects", "NL|20250304"], [id_of(1), "--partition", "../NL|2025-03-04"]],
)  # fmt: skip
def test_a_request_that_cannot_be_meant_is_refused_in_a_sentence(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert why.main(arguments) == 2
    assert "is no " in capsys.readouterr().err
