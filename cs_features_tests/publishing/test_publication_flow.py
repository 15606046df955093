"""The last step within the flow, on the local stack: what it is given, what it says, and which failures it makes.

What a publication decides is in `test_withdrawals.py`, in memory.
"""

from types import SimpleNamespace
from typing import Any

import boto3
import pytest

from cs_features import services
from cs_features.local.feature_store import Faults
from cs_features.local.scripted import Script
from cs_features.orchestration.failures import RETRY
from cs_features.publishing import records
from cs_features_tests.support.documents import DAY, document, id_of, jsonl
from cs_features_tests.support.lab import Lab, Run

ALLOW_DELETIONS = {"ops": {"feature_store": {"config": {"allow_deletions": True}}}}
VERIFY_ONLINE = {"ops": {"feature_store": {"config": {"verify_online": True}}}}
LAST_STEPS = ["validated_features", "rejected_records", "feature_store"]


def counts(run: Run) -> dict[str, int]:
    metadata = run.metadata("feature_store")
    return {name: metadata[name] for name in ("written", "withdrawn", "kept", "unchanged")}


def may_pass(run: Run) -> bool:
    """Whether the failure of the run says that asking again may help."""
    (event,) = run.result.get_step_failure_events()
    return event.step_failure_data.user_failure_data.metadata[RETRY].value


def land(lab: Lab, *numbers: int, **changes: Any) -> None:
    lab.land("NL", DAY, "a.jsonl", jsonl(document(number, **changes) for number in numbers))


def test_features_of_an_old_text_are_not_published_under_the_corrected_document(lab: Lab) -> None:
    """Fault 6: the correction's run failed in llm_extractions, and the last steps were materialized by hand."""
    land(lab, 1, 2)
    assert lab.process().success
    before = lab.online(id_of(2))
    corrected = document(1, turns=[{"speaker": "customer", "text": "Het is al opgelost, dank u wel."}])
    lab.land("NL", DAY, "a.jsonl", jsonl([corrected, document(2)]))
    assert lab.process(only=["raw_interactions"]).success
    run = lab.process(only=["feature_store"])
    assert "1 of 2 rows of validated_features are of documents that raw_interactions no longer holds" in run.errors
    assert not may_pass(run)
    run = lab.process(only=LAST_STEPS)
    assert run.success, run.errors
    assert (lab.online(id_of(1)), lab.online(id_of(2))) == (None, before)
    assert counts(run) == {"written": 0, "withdrawn": 1, "kept": 0, "unchanged": 1}


def test_a_document_without_an_answer_keeps_the_record_that_it_had(lab: Lab) -> None:
    """Fault 2: another model was set that had no answer to it, and the old answer was deleted."""
    land(lab, *range(1, 21))
    assert lab.process().success
    before = lab.online(id_of(1))
    lab.stack.answerer.script = Script(poison="pakket 1 is")
    other = lab.with_settings(model_id="eu.anthropic.claude-haiku-4-5-20251001-v1:0")
    run = other.process()
    assert run.success, run.errors
    assert counts(run) == {"written": 19, "withdrawn": 0, "kept": 1, "unchanged": 0}
    assert lab.online(id_of(1)) == before
    assert lab.table("feature_store").filter(interaction_id=id_of(1))["model_id"].to_list() == [lab.settings.model_id]


def test_another_feature_group_is_filled_by_the_next_run(lab: Lab) -> None:
    """Fault 5: "written 0, unchanged 3" into a group that had been created a minute before."""
    land(lab, 1, 2, 3)
    assert lab.process().success
    name = f"{lab.settings.feature_group}-second"
    lab._create_group(name, lab.settings.data_bucket)
    other = lab.with_settings(feature_group=name)
    run = other.process(only=["feature_store"])
    assert counts(run) == {"written": 3, "withdrawn": 0, "kept": 0, "unchanged": 0}
    assert all(other.online(id_of(number)) for number in (1, 2, 3))
    assert set(lab.table("feature_store")["group"]) == {run.metadata("feature_store")["group"]}


def test_a_shorter_file_stops_the_run_until_a_person_says_that_it_is_right(lab: Lab) -> None:
    """Fault 4: 15 of 20 documents were missing from the new version of a file, and from the store a minute later."""
    land(lab, *range(20))
    assert lab.process().success
    land(lab, *range(5))
    run = lab.process()
    assert "15 of 20 records (15 gone) would be withdrawn" in run.errors
    assert not may_pass(run)
    assert all(lab.online(id_of(number)) for number in range(20))
    run = lab.process(only=["feature_store"], run_config=ALLOW_DELETIONS)
    assert counts(run) == {"written": 0, "withdrawn": 15, "kept": 0, "unchanged": 5}


def test_the_share_that_may_leave_is_a_setting(lab: Lab) -> None:
    """A source that always sends a day's first version too long stopped each of its days."""
    land(lab, *range(20))
    assert lab.process().success
    land(lab, *range(5))
    assert counts(lab.with_settings(max_withdrawn_share=0.75).process())["withdrawn"] == 15


def test_a_partition_is_published_again_by_hand(lab: Lab) -> None:
    """Fault 45: nothing in the UI brought back what somebody had deleted online."""
    land(lab, 1, 2)
    assert lab.process().success
    key = {"FeatureGroupName": lab.settings.feature_group, "RecordIdentifierValueAsString": id_of(1)}
    where = {"DeletionMode": "HardDelete", "TargetStores": ["OnlineStore"]}
    boto3.client("sagemaker-featurestore-runtime").delete_record(**key, EventTime="2026-01-01T00:00:00Z", **where)
    assert counts(lab.process(only=["feature_store"]))["unchanged"] == 2
    run = lab.process(only=["feature_store"], run_config=VERIFY_ONLINE)
    assert counts(run) == {"written": 1, "withdrawn": 0, "kept": 0, "unchanged": 1}
    assert lab.online(id_of(1)) is not None


def test_a_blocked_offline_store_fails_the_run_before_anything_is_written(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault 10: online there was everything, and half of it was never trained on."""
    land(lab, 1)
    real = boto3.client("sagemaker")

    class Blocked:
        def describe_feature_group(self, **request: Any) -> dict[str, Any]:
            return real.describe_feature_group(**request) | {"OfflineStoreStatus": {"Status": "Blocked"}}

    monkeypatch.setattr(services.FeatureGroup, "control_plane", lambda self: Blocked())
    run = lab.process()
    assert f"The offline store of feature group {lab.settings.feature_group} is Blocked" in run.errors
    assert not may_pass(run)
    assert lab.online(id_of(1)) is None


def test_a_table_of_the_version_before_is_published_as_it_is(lab: Lab) -> None:
    """Fault 8's kind: after an upgrade every partition had to be extracted again before it could be republished."""
    land(lab, 1, 2)
    assert lab.process(only=["raw_interactions", "llm_extractions", *LAST_STEPS[:2]]).success
    lab.overwrite("validated_features", lambda it: it.drop("truncated", "content_hash"))
    run = lab.process(only=["feature_store"])
    assert run.success, run.errors
    assert counts(run)["written"] == 2


# --- which failures are tried again -----------------------------------------------------------


def test_a_group_that_does_not_exist_is_not_tried_again(lab: Lab) -> None:
    """Fault 49: three retries in three hours of what only a person can mend."""
    land(lab, 1)
    run = lab.with_settings(feature_group="no-such-group").process()
    assert "no-such-group" in run.errors
    assert not may_pass(run)


def test_records_that_do_not_go_through_are_tried_again_later(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """An outage of the store that passes: nobody has to come."""
    land(lab, 1)
    monkeypatch.setattr(records, "time", SimpleNamespace(sleep=lambda seconds: None))
    monkeypatch.setattr(lab.stack.local.feature_store, "_faults", Faults(unprocessed_rate=1.0))
    run = lab.process()
    assert "1 of 1 records were not written" in run.errors
    assert may_pass(run)


def test_a_table_that_lacks_a_feature_is_no_outage(lab: Lab) -> None:
    """Half a table was written by hand; the run was tried again all night."""
    land(lab, 1)
    assert lab.process(only=["raw_interactions", "llm_extractions", *LAST_STEPS[:2]]).success
    lab.overwrite("validated_features", lambda it: it.drop("summary"))
    run = lab.process(only=["feature_store"])
    assert "nothing was published" in run.errors
    assert not may_pass(run)
