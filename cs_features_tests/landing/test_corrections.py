"""A corrected document supersedes the old one wherever that lies, and both are accounted for.

First whole runs on the local stack, with the sensor as the only one who asks for them; then the same on a bucket and
a feature group in memory: whatever landed where, and whoever ran when, one partition has each id.
"""

import itertools
import json
from datetime import datetime, timedelta, timezone
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from moto.s3.models import s3_backends

from cs_features.landing.claims import IDS, IDS_SCHEMA, collect_document_ids
from cs_features.landing.corrections import judge_rival_claims, reject_lost_documents, resolve_id_owners
from cs_features.landing.documents import RAW_SCHEMA
from cs_features.landing.notices import list_partition_notices, notify_of_withdrawal, read_partition_notices
from cs_features.monitoring.findings import read_reconciled_differences
from cs_features.partitions import Partition
from cs_features.publishing.reading import read_features
from cs_features.s3 import Bucket
from cs_features.schemas import FEATURE_COLUMNS
from cs_features.storage import Tables
from cs_features_tests.support.documents import document, id_of, jsonl
from cs_features_tests.support.inventory import take_inventory
from cs_features_tests.support.lab import Lab, Run
from cs_features_tests.support.landing_sensor import TODAY, tick
from cs_features_tests.support.memory_s3 import MemoryS3
from cs_features_tests.support.world import INVALID, PARTITIONS, World, raw

NL, BE = (Partition(country, TODAY) for country in ("NL", "BE"))


def land(lab: Lab, partition: Partition, hour: int, *texts: str, number: int = 1) -> str:
    """One interaction, as its partition's feed delivers it, dated by S3 at an hour of long ago."""
    (text,) = texts or (f"Waar blijft mijn pakket? {partition}, {hour}",)
    turns = [{"speaker": "customer", "text": text}]
    landed = document(number, country=partition.country, occurred_at=f"{partition.date}T00:00:00Z", turns=turns)
    key = lab.land(partition.country, partition.date, f"{number}-{hour}.jsonl", jsonl([landed]))
    bucket = s3_backends["123456789012"]["aws"].buckets[lab.settings.landing_bucket]
    bucket.keys[key].last_modified = datetime(2025, 3, 4, hour)
    return key


class Desk:
    """The sensor, and a daemon that runs what it asks for; a run key is never run twice, as in Dagster."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.cursor: str | None = None
        self.run_keys: set[str] = set()

    def run(self, partition: Partition, *only: str) -> Run:
        run = self.lab.process(partition.country, partition.date, only=list(only) or None)
        assert run.success, run.errors
        assert all(run.checks[name].passed for name in ("conservation", "one_door") if name in run.checks)
        return run

    def rest(self) -> list[Partition]:
        """Run what is asked for until nothing is; returns the partitions that ran, in order."""
        ran: list[Partition] = []
        while requests := self.tick():
            for partition in requests:
                self.run(partition)
            ran += requests
            assert len(ran) < 20, "it never comes to rest"
        return ran

    def tick(self) -> list[Partition]:
        data = tick(self.lab, self.cursor)
        self.cursor = data.cursor
        fresh = [request for request in data.run_requests if request.run_key not in self.run_keys]
        self.run_keys |= {request.run_key for request in fresh}
        return [Partition.from_key(request.partition_key) for request in fresh]

    def owner(self, number: int = 1) -> Partition | None:
        """Who has the interaction: the only one that validated it, and whose record is served and trained on."""
        lab, key = self.lab, id_of(number)
        validated = {
            partition: rows
            for partition in lab.resources["data"].tables().partitions("validated_features")
            if (rows := self.table("validated_features", partition).filter(interaction_id=key)).height
        }
        lab.stack.local.feature_store.flush()
        trained = read_features(group=lab.settings.feature_group).filter(interaction_id=key)
        served = lab.online(key)
        if not validated:
            assert served is None
            assert trained.is_empty()
            return None
        ((partition, row),) = validated.items()
        assert trained.equals(row.select(FEATURE_COLUMNS))
        assert served is not None
        assert (served["country"], served["event_time"][:10]) == (partition.country, partition.date.isoformat())
        assert served["summary"] == row["summary"][0]
        assert self.table("feature_store", partition).filter(interaction_id=key).height == 1
        return partition

    def rejected(self, partition: Partition) -> list[tuple[str, str]]:
        """(reason, detail) of what the partition rejected."""
        return self.table("rejected_records", partition).select("reason", "detail").rows()

    def table(self, name: str, partition: Partition) -> pl.DataFrame:
        return self.lab.table(name, partition.country, partition.date)

    def uri(self, key: str) -> str:
        return f"s3://{self.lab.settings.landing_bucket}/{key}"

    @property
    def asked(self) -> int:
        """Calls of the model since the stack started."""
        return sum(self.lab.stack.answerer._attempts.values())


@pytest.fixture
def desk(lab: Lab) -> Desk:
    return Desk(lab)


# --- a correction elsewhere -------------------------------------------------------------------


def test_a_correction_in_another_partition_supersedes_and_the_old_document_is_accounted_for(
    desk: Desk,
) -> None:
    """A call centre corrected the country of a chat: both versions were validated, published and trained on."""
    land(desk.lab, NL, 9)
    assert desk.rest() == [NL]
    assert desk.owner() == NL
    correction = land(desk.lab, BE, 10)
    desk.rest()
    assert desk.owner() == BE
    assert desk.rejected(NL) == [("superseded", f"superseded by {desk.uri(correction)} line 1")]
    assert desk.rejected(BE) == []
    (rejected,) = desk.table("rejected_records", NL).to_dicts()
    assert (rejected["interaction_id"], rejected["stage"], rejected["redrivable"]) == (id_of(1), "landing", False)
    assert desk.table("feature_store", NL).is_empty()


def test_a_deleted_correction_makes_the_old_document_valid_again(desk: Desk) -> None:
    """The correction was the mistake, and was withdrawn: the interaction was rejected here and deleted there."""
    land(desk.lab, BE, 8, number=2)
    desk.rest()
    land(desk.lab, NL, 9)
    correction = land(desk.lab, BE, 10)
    assert BE in desk.tick()
    desk.run(BE)
    desk.run(NL)
    desk.rest()
    assert desk.owner() == BE
    desk.lab.unland(correction)  # the folder looks as it did at first
    desk.rest()
    assert (desk.owner(1), desk.owner(2)) == (NL, BE)
    assert desk.rejected(NL) == []


def test_only_the_corrected_interaction_changes_hands(desk: Desk) -> None:
    """One correction, and a whole day was published anew."""
    for number in (1, 2, 3):
        land(desk.lab, NL, 9, number=number)
    land(desk.lab, BE, 9, number=4)
    desk.rest()
    land(desk.lab, BE, 10, number=2)
    asked = desk.asked
    assert sorted(set(desk.rest())) == [BE, NL]
    assert [desk.owner(number) for number in (1, 2, 3, 4)] == [NL, BE, NL, BE]
    assert desk.asked == asked + 1


def test_a_note_that_was_lost_is_found_by_reconciliation(desk: Desk) -> None:
    """The bucket's lifecycle rule took the note before the sensor had seen it: both partitions kept the interaction."""
    land(desk.lab, NL, 9)
    land(desk.lab, NL, 9, number=2)
    desk.rest()
    land(desk.lab, BE, 10)
    assert desk.tick() == [BE]
    desk.run(BE)
    lab, tables = desk.lab, desk.lab.resources["data"].tables()
    for item in list_partition_notices(tables)[NL.folder]:
        lab.s3.delete_object(Bucket=tables.bucket.name, Key=item.key)
    assert desk.tick() == []

    run = take_inventory(lab)
    check = run.checks["reconciled"]
    assert not check.passed
    (row,) = [record.data for record in check.metadata["differing"].value.records]
    assert (row["partition"], row["missing"], row["superseded_elsewhere"]) == (str(NL.key), 0, 1)
    assert run.metadata("reconciliation")["superseded_elsewhere"] == 1
    assert read_reconciled_differences(tables).partitions == {str(NL.key)}
    desk.rest()
    assert (desk.owner(1), desk.owner(2)) == (BE, NL)
    assert take_inventory(lab).checks["reconciled"].passed


# --- the same in memory -----------------------------------------------------------------------

YESTERDAY_NL, HERE, THERE = PARTITIONS


@pytest.mark.parametrize("order", [(HERE, THERE), (THERE, HERE)], ids=["the old one first", "the correction first"])
@pytest.mark.parametrize("minute", [1, 2], ids=["an earlier event time", "the same event time"])
def test_the_order_of_the_runs_decides_nothing(order: tuple[Partition, ...], minute: int) -> None:
    """After an outage the newest day runs first, and the old document came last."""
    world = World()
    world.landed[HERE], world.landed[THERE] = {(1, 0)}, {(1, minute)}
    world.run(*order)
    world.rest()
    assert world.owner() == THERE
    world.ran.clear()
    world.run(HERE, THERE)
    world.rest()
    assert world.ran == [HERE, THERE], "nobody has to run again"
    assert world.owner() == THERE


def test_an_older_document_that_lands_late_elsewhere_is_rejected_at_once() -> None:
    """A feed that had been held back for a day overwrote the corrections of that day."""
    world = World()
    world.landed[HERE] = {(1, 2)}
    world.rest()
    world.landed[THERE] = {(1, 0)}
    world.ran.clear()
    world.rest()
    assert world.ran == [THERE], "nobody else has to run again"
    assert (world.reasons(THERE), world.owner()) == (["superseded"], HERE)


def test_a_third_document_may_move_it_back_or_on() -> None:
    """Corrected to Belgium, and back, and to the day before: each partition had its own idea of who was last."""
    world = World()
    for minute, partition in enumerate((HERE, THERE, HERE)):
        world.landed[partition].add((1, minute))
        world.rest()
        assert world.owner() == partition
    assert (world.reasons(HERE), world.reasons(THERE)) == (["duplicate_id"], ["superseded"])


def test_a_correction_that_the_model_cannot_answer_supersedes_all_the_same() -> None:
    """The old answer stayed in the store, about a text that the customer service had withdrawn."""
    world = World()
    world.landed[HERE] = {(1, 0)}
    world.rest()
    world.landed[THERE] = {(1, INVALID)}
    world.rest()
    assert (world.owner(), world.reasons(HERE)) == (None, ["superseded"])


def test_partitions_that_share_nothing_leave_each_other_no_notice() -> None:
    """Every run was a change of its neighbours, and five countries ran all day."""
    world = World()
    for number, partition in enumerate(PARTITIONS):
        world.landed[partition] = {(number, 0)}
    world.rest()
    assert sorted(world.ran) == sorted(PARTITIONS)
    assert sorted(world.tables.partitions(IDS)) == sorted(PARTITIONS)
    assert list_partition_notices(world.tables) == {}


def test_reruns_leave_no_notice_when_everybody_knows_already() -> None:
    """Each run of the one had the other run, and that one's the first again, all night."""
    world = World()
    world.landed[HERE] = {(1, 0)}
    world.rest()
    world.landed[THERE] = {(1, 1)}
    world.rest()
    before = list_partition_notices(world.tables)
    assert {folder: [item.name for item in found] for folder, found in before.items()} == {
        HERE.folder: [f"BE-{THERE.date}.json"],  # superseded
        THERE.folder: [f"NL-{HERE.date}.json"],  # the record of NL has left the store
    }
    world.run(THERE, HERE, THERE)
    assert list_partition_notices(world.tables) == before


@pytest.mark.parametrize("published_before", [False, True], ids=["a new document", "a changed one"])
def test_a_run_that_began_before_the_correction_landed_may_publish_after_it(published_before: bool) -> None:
    """The run of a large day took ten minutes, and the correction had landed and been published within them."""
    world = World()
    if published_before:
        world.landed[HERE] = {(1, 0)}
        world.rest()
    world.landed[HERE].add((1, 1))
    world.begin(HERE)
    world.landed[THERE] = {(1, 2)}
    world.run(THERE)
    world.advance(HERE)
    world.rest()
    assert (world.owner(), world.reasons(HERE)[-1]) == (THERE, "superseded")


def test_a_correction_may_be_withdrawn_while_its_partition_is_still_running() -> None:
    """The old document came back before the correction had left: its record was ignored beside the later one."""
    world = World()
    world.landed[YESTERDAY_NL], world.landed[HERE] = {(1, 0)}, {(1, 1), (2, 0)}
    world.rest()
    assert world.owner() == HERE
    world.landed[HERE].remove((1, 1))
    world.begin(HERE)
    world.run(YESTERDAY_NL)
    world.advance(HERE)
    world.rest()
    assert (world.owner(1), world.owner(2)) == (YESTERDAY_NL, HERE)


# --- ids and notices in the data bucket -------------------------------------------------------


def bucket_with_ids(documents: dict[Partition, list[tuple[int, int]]], window_days: int = 35) -> Tables:
    """What the raw steps of partitions leave there, run in this order."""
    tables = Tables(Bucket(MemoryS3(), "data", "CS_FEATURES_DATA_BUCKET"))
    for partition, landed in documents.items():
        resolve_id_owners(raw(partition, landed), partition, tables, window_days)
    return tables


def list_notified_ids(partition: Partition, tables: Tables) -> set[str]:
    return set(read_partition_notices(partition, tables).withdrawn)


def test_ids_and_notices_hold_no_text_of_any_customer() -> None:
    """What was said to us is in the tables that are guarded for it, and in no others."""
    memory = MemoryS3()
    tables = Tables(Bucket(memory, "data", "CS_FEATURES_DATA_BUCKET"))
    for minute, partition in enumerate((HERE, THERE)):
        spoken = raw(partition, [(1, minute)]).with_columns(payload=pl.lit("secret words"), customer_id=pl.lit("c-1"))
        resolve_id_owners(spoken, partition, tables, 35)
    assert tables.read(IDS, HERE).schema == IDS_SCHEMA
    notice = json.loads(tables.bucket.get(list_partition_notices(tables)[HERE.folder][0].key))
    assert set(notice) == {id_of(1)}
    assert not any(b"secret" in body or b"c-1" in body for body, _ in memory.objects.values())


def test_partitions_further_apart_than_the_window_do_not_look_at_each_other() -> None:
    """Each run would read every day that ever was."""
    for days, seen in ((2, True), (3, False)):
        later = Partition("NL", HERE.date + timedelta(days=days))
        tables = bucket_with_ids({HERE: [(1, 0)], later: [(1, 1)]}, window_days=2)
        assert (list_notified_ids(HERE, tables) == {id_of(1)}) is seen


def test_a_correction_of_a_day_that_the_sensor_no_longer_looks_at_leaves_it_a_notice() -> None:
    """Fault 11: corrected within the window of its own day and outside of the sensor's; both tables validated it."""
    long_ago = Partition("NL", HERE.date - timedelta(days=34))
    tables = bucket_with_ids({long_ago: [(1, 0), (2, 0)], HERE: [(1, 1)]})
    assert list_notified_ids(long_ago, tables) == {id_of(1)}
    assert list(list_partition_notices(tables)) == [long_ago.folder], "which the sensor lists, whatever its window"
    again = resolve_id_owners(raw(long_ago, [(1, 0), (2, 0)]), long_ago, tables, 35)
    assert again.filter(reason="superseded")["interaction_id"].to_list() == [id_of(1)]


def test_the_partitions_that_have_an_id_are_told_that_its_record_was_withdrawn() -> None:
    """Of two that published at once, the loser deleted the winner's record, and the winner had no reason to look."""
    tables = bucket_with_ids({THERE: [(1, 0)], HERE: [(1, 0)]})
    assert list_notified_ids(THERE, tables) == {id_of(1)}, "NL comes after BE in the alphabet"
    notify_of_withdrawal([id_of(1), id_of(2)], YESTERDAY_NL, tables, 35)
    assert list_notified_ids(HERE, tables) == list_notified_ids(THERE, tables) == {id_of(1)}
    assert list_notified_ids(YESTERDAY_NL, tables) == set()


def test_a_second_notice_forgets_nothing_of_the_first_and_dates_each_by_the_clock_of_s3() -> None:
    """It overwrote the first, which nobody had read yet: the record of that id stayed away for good."""
    tables = bucket_with_ids({HERE: [(1, 0), (2, 0)]})
    times = []
    for number in (1, 2):
        notify_of_withdrawal([id_of(number)], THERE, tables, 35)
        ((notice,),) = list_partition_notices(tables).values()
        times.append(notice.last_modified)
        assert read_partition_notices(HERE, tables).listed_at >= notice.last_modified
    assert times[0] < times[1]
    assert read_partition_notices(HERE, tables).withdrawn == {id_of(1): times[0], id_of(2): times[1]}
    notify_of_withdrawal([id_of(1)], YESTERDAY_NL, tables, 35)
    latest = read_partition_notices(HERE, tables).withdrawn
    assert latest[id_of(1)] > latest[id_of(2)] == times[1], "of two notices about one id the later counts"


def test_a_notice_of_an_older_version_is_read() -> None:
    """It dates each id by the clock of the host that wrote it."""
    tables = bucket_with_ids({HERE: [(1, 0)]})
    moment = datetime(2026, 11, 24, 7, tzinfo=timezone.utc)
    key = f"superseded/{HERE.folder}/BE-{THERE.date}.json"
    tables.bucket.put(key, json.dumps({id_of(2): moment.isoformat()}).encode())
    notify_of_withdrawal([id_of(1)], THERE, tables, 35)
    withdrawn = read_partition_notices(HERE, tables).withdrawn
    assert withdrawn[id_of(2)] == moment < withdrawn[id_of(1)]


@pytest.mark.parametrize(
    ("body", "ids"),
    [
        (b"", []),
        (b"[1]", []),
        (b'{"version": 9, "ids": ["x"]}', ["ids", "version"]),
        (json.dumps({id_of(2): {"at": 7}}).encode(), [id_of(2)]),
        (json.dumps({id_of(2): "2026-11-24T07:00:00"}).encode(), [id_of(2)]),
    ],
)
def test_a_notice_of_a_version_to_come_stops_no_publication(body: bytes, ids: list[str]) -> None:
    """Whatever it says of an id was told when S3 took it; what no version here can read says nothing."""
    tables = bucket_with_ids({HERE: [(1, 0)]})
    tables.bucket.put(f"superseded/{HERE.folder}/BE-{THERE.date}.json", body)
    withdrawn = read_partition_notices(HERE, tables).withdrawn
    assert sorted(withdrawn) == sorted(ids)
    assert all(moment.tzinfo for moment in withdrawn.values())
    notify_of_withdrawal([id_of(1)], THERE, tables, 35)
    assert sorted(read_partition_notices(HERE, tables).withdrawn) == sorted([*ids, id_of(1)])


# --- the decision by itself -------------------------------------------------------------------


def rivals(*frames: tuple[Partition, pl.DataFrame]) -> pl.DataFrame:
    return pl.concat(
        [collect_document_ids(frame).with_columns(partition=pl.lit(each.folder)) for each, frame in frames]
    )


def test_documents_that_landed_in_the_same_second_have_one_winner_everywhere() -> None:
    """S3 dates objects in whole seconds: each of two partitions took its own document for the later one."""
    frames = {partition: raw(partition, [(1, 0)]) for partition in PARTITIONS}
    accepted = []
    for partition, frame in frames.items():
        others = rivals(*((other, each) for other, each in frames.items() if other != partition))
        decided = reject_lost_documents(frame, judge_rival_claims(collect_document_ids(frame), others))
        accepted += [partition] * decided.filter(status="accepted").height
    assert accepted == [PARTITIONS[1]], "the one whose name comes last"


def test_the_decision_changes_only_what_was_superseded() -> None:
    frame = raw(PARTITIONS[0], [(1, 0), (1, 5), (2, 0), (3, 9)])
    others = rivals((PARTITIONS[1], raw(PARTITIONS[1], [(1, 6), (3, 1), (4, 0)])))
    claims = judge_rival_claims(collect_document_ids(frame), others)
    assert claims.schema == IDS_SCHEMA
    assert claims.drop("superseded_by").equals(collect_document_ids(frame).drop("superseded_by"))
    decided = reject_lost_documents(frame, claims)
    assert decided.schema == RAW_SCHEMA
    assert decided["reason"].to_list() == ["duplicate_id", "superseded", None, None]
    changed = pl.col("reason").eq_missing("superseded")
    assert decided.filter(~changed).equals(frame.filter(~(pl.col("interaction_id").eq_missing(id_of(1)))))
    (row,) = decided.filter(changed).to_dicts()
    assert (row["status"], row["interaction_id"]) == ("rejected", id_of(1))
    assert row["detail"] == f"superseded by s3://landing/{PARTITIONS[1].folder}/1-6 line 1"


SOMEWHERE = st.sampled_from(PARTITIONS)
NUMBER = st.sampled_from([1, 1, 2])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("land"), SOMEWHERE, st.tuples(NUMBER, st.integers(0, 3))),
        st.tuples(st.just("delete"), st.integers(1, 2)),
        st.tuples(st.just("advance"), SOMEWHERE),
        st.tuples(st.just("interrupt"), SOMEWHERE, st.integers(1, 14), st.none() | SOMEWHERE),
        st.tuples(st.just("rest"), st.permutations(PARTITIONS)),
        st.tuples(st.sampled_from(["fail", "mend"]), NUMBER),
        st.tuples(st.sampled_from(["empty"]), SOMEWHERE),
        st.tuples(st.sampled_from(["another prompt", "another group"])),
    ),
    max_size=15,
)


def change_documents(world: World, step: tuple[Any, ...]) -> None:
    match step:
        case "land", partition, what:
            world.landed[partition].add(what)
        case "delete", nth:  # the last document or the one before, which matter most
            landed = [(minute, each, number) for each in PARTITIONS for number, minute in world.landed[each]]
            for minute, partition, number in sorted(landed)[-nth:][:1]:
                world.landed[partition].remove((number, minute))
        case "empty", partition:
            world.landed[partition].clear()


def change_surroundings(world: World, step: tuple[Any, ...]) -> None:
    match step:
        case "fail", number:
            world.failing.add(id_of(number))
        case "mend", number:
            world.failing.discard(id_of(number))
        case ("another prompt",):
            world.ask_again(prompt=1)
        case ("another group",):
            world.use_new_group()


def run_partitions(world: World, step: tuple[Any, ...]) -> None:
    match step:
        case "advance", partition:
            world.advance(partition)
        case "interrupt", partition, at, by if by != partition:
            world.interrupted(partition, at, by)
        case "rest", order:
            world.rest(order)


def check_history(steps: list[tuple[Any, ...]]) -> None:
    """Live through `steps`; then the causes end, and everything is served that should be.

    What must hold at each rest is checked there.
    """
    world = World()
    for step in steps:
        change_documents(world, step)
        change_surroundings(world, step)
        run_partitions(world, step)
    world.rest()
    world.let_deletions_through()
    world.failing.clear()
    world.ask_again()
    world.rest()
    assert world.holds()
    answered = {key: uri for key, (uri, _) in world.owners().items() if not uri.endswith(f"-{INVALID}")}
    assert world.served == answered


@pytest.mark.heavy
@settings(max_examples=120)
@given(STEPS)
def test_whatever_landed_where_and_whoever_ran_when_each_interaction_is_there_once(
    steps: list[tuple[Any, ...]],
) -> None:
    """Feeds are late, corrected and withdrawn; partitions run in any order, at once, and are killed; calls fail, the
    prompt and the group change, folders are emptied. When all have run that were asked for, one has the interaction:
    its table, its manifest, the online and the offline store. Nothing leaves the store whose document still stands,
    and no record is of another text than its document."""
    check_history(steps)


@pytest.mark.slow
@settings(max_examples=3_000)
@given(STEPS)
def test_the_same_holds_for_many_more_histories(steps: list[tuple[Any, ...]]) -> None:
    """What happens once in a thousand histories happens every year."""
    check_history(steps)


def test_a_correction_that_was_never_published_gives_the_interaction_back_when_it_is_deleted() -> None:
    """The model had no answer to it, so no record was taken out of the store, and nobody was told that it had gone."""
    world, (one, other) = World(), PARTITIONS[:2]
    world.landed[one].add((1, INVALID))
    world.rest()
    world.landed[other].add((1, 0))
    world.rest()
    assert world.holds()
    world.landed[one].clear()
    world.rest()
    assert world.holds()
    assert world.raw[other].filter(status="accepted").height == 1


def test_of_two_partitions_that_run_at_once_at_least_one_sees_the_other() -> None:
    """Both read before either had written, and both kept the interaction until the night's reconciliation."""
    one, other = PARTITIONS[:2]
    for at in itertools.count(1):
        world = World()
        world.landed[one], world.landed[other] = {(1, 3)}, {(1, 2)}
        if not world.interrupted(one, at, other):
            break
        superseded = world.raw[other].filter(reason="superseded").height
        assert superseded or other.folder in list_partition_notices(world.tables), f"interrupted at call {at}"
    assert at > 2


def test_a_file_that_cannot_be_read_gives_up_no_id_to_a_stale_line_elsewhere() -> None:
    """The storm: a moved document's file was damaged, its id was free, and the old text took the record over."""
    tables = bucket_with_ids({THERE: [(1, 0)], HERE: [(1, 1)]})
    damaged = raw(HERE, [(1, 1)]).with_columns(
        status=pl.lit("rejected"), reason=pl.lit("corrupt_gzip"), interaction_id=pl.lit(None, pl.String())
    )
    for _ in range(2):  # however often it is looked at
        resolve_id_owners(damaged, HERE, tables, 35)
        stale = resolve_id_owners(raw(THERE, [(1, 0)]), THERE, tables, 35)
        assert stale["reason"].to_list() == ["superseded"]
    resolve_id_owners(raw(HERE, []), HERE, tables, 35)
    freed = resolve_id_owners(raw(THERE, [(1, 0)]), THERE, tables, 35)
    assert freed["status"].to_list() == ["accepted"], "the file itself is gone"
