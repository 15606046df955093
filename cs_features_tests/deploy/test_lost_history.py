"""Dagster's database is lost: its history is, and no data. The window is run again, and nothing is paid or written."""

from datetime import datetime, timedelta, timezone

import pytest

from cs_features.partitions import Partition
from cs_features_tests.support.documents import document, id_of, jsonl
from cs_features_tests.support.lab import Lab
from cs_features_tests.support.landing_sensor import partitions, tick
from cs_features_tests.support.memory_instance import memory_instance

YESTERDAY = datetime.now(timezone.utc).date() - timedelta(days=1)


@pytest.mark.heavy
def test_a_lost_database_costs_no_model_call_and_changes_no_record(lab: Lab) -> None:
    """What Dagster forgets, the ledger, the manifests and the landing bucket know."""
    countries = ("NL", "BE")
    for number, country in enumerate(countries):
        at = f"{YESTERDAY}T10:00:00+00:00"
        lab.land(country, YESTERDAY, "a.jsonl", jsonl([document(number, country=country, occurred_at=at)]))
    before = tick(lab)
    for country in countries:
        assert lab.process(country, YESTERDAY).success
    served = [lab.online(id_of(number)) for number in range(2)]
    writes = {operation: lab.calls(operation) for operation in ("BatchWriteRecord", "PutRecord", "DeleteRecord")}

    lab.instance = memory_instance()
    after = tick(lab, cursor=None)
    assert (
        sorted(partitions(after))
        == sorted(partitions(before))
        == sorted(Partition(each, YESTERDAY).key for each in countries)
    )
    for country in countries:
        run = lab.process(country, YESTERDAY)
        assert run.success
        assert run.metadata("llm_extractions")["calls"] == 0
    assert {operation: lab.calls(operation) for operation in writes} == writes
    assert [lab.online(id_of(number)) for number in range(2)] == served
    assert None not in served
