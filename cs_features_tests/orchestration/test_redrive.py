"""`redrive_rejected`: the redrivable rejects of a partition are asked again, and nothing else is."""

import json
from typing import Any

import pytest

from cs_features.extraction.prompting import build_converse_request
from cs_features.local.scripted import Script, hash_text
from cs_features.partitions import Partition
from cs_features.schemas import Interaction
from cs_features_tests.support.desk import DEFAULT, PROMPTS_READ
from cs_features_tests.support.documents import DAY, document, id_of, jsonl
from cs_features_tests.support.http import read_model_stats
from cs_features_tests.support.kept_lab import KeptLab
from cs_features_tests.support.lab import AwsAndModel, Lab, Run

POISON = "ononderbroken storing"


def refused(number: int) -> dict[str, Any]:
    return document(number, turns=[{"speaker": "customer", "text": f"{POISON} {number}"}])


def user_text(number: int) -> str:
    """What the model is told of a document."""
    request, _ = build_converse_request(PROMPTS_READ, DEFAULT, Interaction(**document(number)), "nl")
    return str(request["messages"][0]["content"][0]["text"])


def redrive(lab: Lab, *reasons: str) -> Run:
    """The job as the UI launches it; with `reasons`, narrowed in the launchpad."""
    config = {"ops": {"llm_extractions": {"config": {"redrive": list(reasons)}}}} if reasons else None
    result = lab.definitions.resolve_job_def("redrive_rejected").execute_in_process(
        partition_key=Partition("NL", DAY).key, instance=lab.instance, run_config=config, raise_on_error=False
    )
    return Run(result, lab.instance)


def calls(lab: Lab) -> int:
    """Converse calls that reached the endpoint since the stack started."""
    return int(read_model_stats(lab.stack.local.environment["AWS_ENDPOINT_URL_BEDROCK_RUNTIME"])["requests"])


def asked_by(run: Run) -> dict[str, Any]:
    names = ("calls", "failed_before", "failed_after")
    return {name: run.metadata("llm_extractions")[name] for name in names}


def reasons(lab: Lab) -> list[str]:
    return sorted(lab.table("rejected_records")["reason"])


@pytest.fixture(scope="module")
def kept_day(stack: AwsAndModel) -> KeptLab:
    """Two good, two that the model refused, one whose answers were invalid, one that is no JSON."""
    lab = Lab(stack)
    lab.stack.answerer.script = Script(poison=POISON, labels={hash_text(user_text(3)): "no object"})
    lab.land("NL", DAY, "a.jsonl", jsonl([document(1), document(3), refused(4), refused(5), document(2), b"broken"]))
    assert lab.process().success
    assert reasons(lab) == ["invalid_answer", "malformed_json", "request_refused", "request_refused"]
    return KeptLab(lab)


@pytest.fixture
def day_with_rejects(kept_day: KeptLab, make_lab: Any) -> Lab:
    return kept_day.restore()


def test_a_redrive_asks_for_the_redrivable_rejects_alone_and_brings_them_to_the_feature_group(
    day_with_rejects: Lab,
) -> None:
    """After a bad prompt was mended, the whole day was asked again, and paid for again."""
    lab = day_with_rejects
    good = {number: lab.online(id_of(number)) for number in (1, 2)}
    lab.stack.answerer.script = Script()
    before = calls(lab)
    run = redrive(lab)
    assert run.success, run.errors
    assert calls(lab) - before == 3
    assert asked_by(run) == {"calls": 3, "failed_before": 3, "failed_after": 0}
    paid = lab.table("llm_extractions").filter(reused=False)
    assert sorted(paid["interaction_id"]) == sorted(map(id_of, (3, 4, 5)))
    assert paid["cost_usd"].min() > 0
    assert 0 < run.metadata("llm_extractions")["cost_usd"] < paid["cost_usd"].sum(), "the failures before cost, too"

    assert sorted(lab.table("validated_features")["interaction_id"]) == sorted(map(id_of, (1, 2, 3, 4, 5)))
    assert reasons(lab) == ["malformed_json"], "no redrive can read what is no JSON"
    assert all(lab.online(id_of(number)) for number in (3, 4, 5))
    assert {number: lab.online(id_of(number)) for number in (1, 2)} == good
    assert run.metadata("feature_store")["written"] == 3
    assert run.checks["conservation"].description == "6 landed = 5 validated + 1 rejected + 0 duplicates"

    for again in (redrive(lab), lab.process()):
        assert calls(lab) - before == 3, "what a redrive has paid for is kept"
        assert asked_by(again) == {"calls": 0, "failed_before": 0, "failed_after": 0}


def test_a_plain_rerun_asks_for_no_reject(day_with_rejects: Lab) -> None:
    """Each retry of a run paid anew for the answers that had already been found wanting."""
    lab = day_with_rejects
    lab.stack.answerer.script = Script()
    before, rejected = calls(lab), reasons(lab)
    run = lab.process()
    assert calls(lab) == before
    assert asked_by(run) == {"calls": 0, "failed_before": 3, "failed_after": 3}
    assert reasons(lab) == rejected


def test_a_redrive_narrowed_to_a_reason_asks_for_no_other(day_with_rejects: Lab) -> None:
    """A quarter of the day was refused for its content, which no second question changes; the rest was worth asking."""
    lab = day_with_rejects
    lab.stack.answerer.script = Script()
    before = calls(lab)
    run = redrive(lab, "invalid_answer")
    assert calls(lab) - before == 1
    assert asked_by(run) == {"calls": 1, "failed_before": 3, "failed_after": 2}
    assert reasons(lab) == ["malformed_json", "request_refused", "request_refused"]
    assert lab.online(id_of(3)) is not None
    assert lab.online(id_of(4)) is None


def test_what_fails_again_stays_rejected_with_its_latest_reason_and_can_be_redriven_once_more(
    day_with_rejects: Lab,
) -> None:
    """The redrive made it worse: the reasons of last week stayed in the table, and nobody saw what was wrong now."""
    lab = day_with_rejects
    lab.stack.answerer.script = Script(refusal_rate=1.0)
    run = redrive(lab, "request_refused")
    assert asked_by(run) == {"calls": 2 + 1, "failed_before": 3, "failed_after": 3}, "with the control"
    assert reasons(lab) == ["invalid_answer", "malformed_json", "model_refused", "model_refused"]
    lab.stack.answerer.script = Script()
    assert asked_by(redrive(lab)) == {"calls": 3, "failed_before": 3, "failed_after": 0}
    assert reasons(lab) == ["malformed_json"]


@pytest.mark.parametrize("wrong", ["invalid_anwser", "malformed_json"], ids=["misspelt", "of landing"])
def test_a_reason_that_cannot_be_redriven_is_refused_with_those_that_can(lab: Lab, wrong: str) -> None:
    """A misspelt reason matched nothing, the run was green, and the rejects were taken to be beyond help."""
    lab.land("NL", DAY, "a.jsonl", jsonl([document(1)]))
    assert lab.process(only=["raw_interactions"]).success
    before = calls(lab)
    run = redrive(lab, wrong, "invalid_answer")
    assert not run.success
    assert f"redrive names {wrong}; redrivable reasons are " in run.errors
    assert "model_refused" in run.errors.partition("redrivable reasons are")[2]
    assert "malformed_json" not in run.errors.partition("redrivable reasons are")[2]
    assert calls(lab) == before


def test_an_answer_that_the_gate_rejected_is_asked_again_too(lab: Lab) -> None:
    """`rejected_records` says of it that it is redrivable, `open_rejects` counts it so, and a redrive left it there."""
    lab.land("NL", DAY, "a.jsonl", jsonl([document(1), document(2)]))
    assert lab.process(only=["raw_interactions", "llm_extractions"]).success
    # As if the rules of an answer had become stricter since it was accepted.
    bucket = lab.settings.data_bucket
    listed = lab.s3.list_objects_v2(Bucket=bucket, Prefix=f"ledger/{Partition('NL', DAY).folder}/")["Contents"]
    lines = [line for item in listed for line in lab.s3.get_object(Bucket=bucket, Key=item["Key"])["Body"].iter_lines()]
    first, *others = map(json.loads, lines)
    first["answer"]["summary"] = "Call the customer at 0612345678."
    for item in listed:
        lab.s3.delete_object(Bucket=bucket, Key=item["Key"])
    lab.s3.put_object(Bucket=bucket, Key=listed[0]["Key"], Body=jsonl([first, *others]))
    assert lab.process().success
    assert lab.table("rejected_records")["reason"].to_list() == ["invalid_features"]
    assert lab.table("rejected_records")["redrivable"].to_list() == [True]
    before = calls(lab)
    run = redrive(lab)
    assert run.success, run.errors
    assert calls(lab) - before == 1
    assert reasons(lab) == []
