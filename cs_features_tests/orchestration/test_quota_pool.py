"""Who shares the model's quota, from Dagster's own database: runs that hold a slot of the pool, on whatever host."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import dagster as dg
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from cs_features.definitions import defs
from cs_features.local import processes
from cs_features.orchestration.quota_pool import HOST_TAG, MODEL_POOL, HostShare, compute_share, list_asking_hosts
from cs_features.planning.priorities import tag_backfill_runs, tag_landed_day, weigh_run_share

SHIPPED = yaml.safe_load(Path(processes.__file__).with_name("dagster.yaml").read_text())


@pytest.fixture(scope="module")
def shipped() -> Iterator[dg.DagsterInstance]:
    """With the pool as it is shipped."""
    with dg.instance_for_test(overrides={"concurrency": {"pools": SHIPPED["concurrency"]["pools"]}}) as made:
        yield made


@pytest.fixture
def instance(shipped: dg.DagsterInstance) -> dg.DagsterInstance:
    """With no slot held."""
    for run_id in shipped.event_log_storage.get_concurrency_run_ids():
        shipped.event_log_storage.free_concurrency_slots_for_run(run_id)
    return shipped


def hold_slot(instance: dg.DagsterInstance, host: str | None) -> str:
    """A run that is at its step in the pool, and asks from that host; None, and it has asked nothing yet."""

    @dg.job
    def nothing() -> None:
        pass

    run = instance.create_run_for_job(nothing, status=dg.DagsterRunStatus.STARTED)
    instance.event_log_storage.initialize_concurrency_limit_to_default(MODEL_POOL)
    claim = instance.event_log_storage.claim_concurrency_slot(MODEL_POOL, run.run_id, "llm_extractions")
    assert claim.is_claimed
    if host is not None:
        instance.add_run_tags(run.run_id, {HOST_TAG: host})
    return run.run_id


def test_each_run_has_as_much_of_the_quota_as_any_other_wherever_it_is(instance: dg.DagsterInstance) -> None:
    """Shares set by hand were right for the hosts of the day they were set."""
    first = hold_slot(instance, None)
    share = HostShare(instance, first, "a")
    assert share.find_share() == 1.0
    for host in ("b", "b", "a"):
        hold_slot(instance, host)
    assert share.find_share() == 0.5
    assert HostShare(instance, hold_slot(instance, None), "c").find_share() == pytest.approx(1 / 5)
    assert share.find_share() == pytest.approx(2 / 5)


def test_what_landed_has_more_of_the_quota_than_a_backfill(instance: dg.DagsterInstance) -> None:
    """Two runs of a backfill had two thirds of the quota, and today's documents a third."""
    landed = HostShare(instance, hold_slot(instance, "a"), "a")
    instance.add_run_tags(landed.run_id, tag_landed_day(date(2026, 11, 24), date(2026, 11, 24)))
    backfills = [HostShare(instance, hold_slot(instance, host), host) for host in ("b", "c")]
    for each in backfills:
        instance.add_run_tags(each.run_id, tag_backfill_runs())
    assert landed.find_share() == pytest.approx(4 / 6)
    assert backfills[0].find_share() == pytest.approx(1 / 6)
    assert [weigh_run_share({"dagster/priority": text}) for text in ("5", "0", "-5", "many")] == [4, 1, 1, 1]


def test_a_run_that_holds_a_slot_and_asks_nothing_takes_no_share(instance: dg.DagsterInstance) -> None:
    """Most runs of a trickle find every answer in the ledger."""
    hold_slot(instance, None)
    assert HostShare(instance, hold_slot(instance, None), "a").find_share() == 1.0


def test_a_run_that_leaves_counts_no_more_until_it_asks_again(instance: dg.DagsterInstance) -> None:
    """It holds its slot until its table is made."""
    share = HostShare(instance, hold_slot(instance, None), "a")
    other = HostShare(instance, hold_slot(instance, None), "b")
    other.find_share()
    assert share.find_share() == 0.5
    other.leave_quota()
    assert share.find_share() == 1.0
    assert other.find_share() == 0.5


def test_the_share_of_a_dead_run_comes_back_though_its_slot_does_not(instance: dg.DagsterInstance) -> None:
    """Fault 19 once more: a process is killed, and what it held is held for ever."""
    dead = hold_slot(instance, "b")
    share = HostShare(instance, hold_slot(instance, None), "a")
    assert share.find_share() == 0.5
    run = instance.get_run_by_id(dead)
    assert run is not None
    instance.report_run_failed(run, "its worker is gone")  # as run monitoring does
    assert dead in instance.event_log_storage.get_concurrency_info(MODEL_POOL).active_run_ids
    assert share.find_share() == 1.0


def test_a_step_in_the_pool_holds_a_slot_while_it_asks_and_gives_it_back(instance: dg.DagsterInstance) -> None:
    """Where the pool had no limit, Dagster wrote down nobody, and each host took the whole quota."""
    found: list[list[str]] = []

    @dg.op(pool=MODEL_POOL)
    def ask(context: dg.OpExecutionContext) -> None:
        HostShare(context.instance, context.run_id, "a").find_share()
        found.append(list_asking_hosts(context.instance))

    @dg.job
    def ask_model() -> None:
        ask()

    assert ask_model.execute_in_process(instance=instance).success
    assert found == [["a"]]
    assert list_asking_hosts(instance) == []


def test_every_step_that_asks_the_model_is_in_the_pool() -> None:
    """One that is not takes what the others do not know of."""
    asking = set()
    for job in defs.resolve_all_job_defs():
        ops = [node for node in job.all_node_defs if isinstance(node, dg.OpDefinition)]
        asking |= {op.name for op in ops if MODEL_POOL in op.pools}
    assert asking == {"llm_extractions", "extraction_quality", "ask_a_sample"}


@given(st.lists(st.sampled_from("abcd"), min_size=1, max_size=20))
def test_the_shares_of_all_hosts_are_the_quota(hosts: list[str]) -> None:
    """More, and calls bounce; less, and it is paid for and not used."""
    assert sum(compute_share(hosts, host) for host in set(hosts)) == pytest.approx(1)
    assert compute_share(hosts, "new") == pytest.approx(1 / (len(hosts) + 1))
