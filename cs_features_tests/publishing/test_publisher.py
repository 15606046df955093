"""The publisher: after any publication, and after any death of one, the group holds the validated rows exactly."""

import itertools
import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import date, datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import httpx
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cs_features.environments import Settings
from cs_features.errors import AwsRefusal, PublishingFailed
from cs_features.local.feature_store import Faults
from cs_features.publishing import publisher
from cs_features.publishing.feature_group import EVENT_TIME, IDENTIFIER, feature_definitions, record_of, require_group
from cs_features.publishing.publisher import BATCH, MAX_TRIES, UNFINISHED
from cs_features.schemas import FEATURE_COLUMNS
from cs_features_tests.support.documents import DAY, id_of
from cs_features_tests.support.lab import AwsAndModel, Lab
from cs_features_tests.support.publications import Killed, Store, features, store_in


@pytest.fixture
def faults(stack: AwsAndModel, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[float]]:
    """Break the runtime; nobody waits, and what would have been waited is returned."""

    def set_to(**rates: float) -> list[float]:
        slept: list[float] = []
        monkeypatch.setattr(stack.local.feature_store, "_faults", Faults(**rates))
        monkeypatch.setattr(publisher, "time", SimpleNamespace(sleep=slept.append))
        return slept

    return set_to


def written(lab: Lab) -> dict[str, int]:
    """Records that each store has taken since the stack started."""
    url = lab.stack.local.environment["AWS_ENDPOINT_URL_SAGEMAKER_FEATURESTORE_RUNTIME"]
    counts = httpx.get(f"{url}/_local/feature-store/stats").json()["records"]
    return {name: counts.get(name, 0) for name in ("online", "offline")}


# --- publishing -------------------------------------------------------------------------------


def test_every_row_is_online_and_offline_in_its_own_words(store: Store) -> None:
    """Nulls, the scores' last digit, a summary of two lines: what is served is what was validated."""
    rows = [
        features(n, f"Ünïcode — {n}", minutes=n, urgency_score=n / 60, csat_indicator=0.1 + 0.2, customer_id=who)
        for n, who in enumerate([None, "c-1", *["c"] * 58])
    ]
    result = store.publish(*rows)
    assert (result.written, result.deleted, result.unchanged, result.refused) == (60, 0, 0, [])
    assert store.holds_exactly(*rows)
    assert "customer_id" not in store.online()[id_of(0)]


def test_a_line_break_does_not_keep_a_record_from_being_written(store: Store) -> None:
    """The service takes values of one line, and refused the record of every summary that had two."""
    store.publish(features(1, "Two\nlines\r\nor\u2028three."))
    assert store.online()[id_of(1)]["summary"] == "Two lines or three."


def test_only_what_changed_is_written(store: Store) -> None:
    """A nightly rerun of a month wrote a million records that were there already."""
    rows = [features(n) for n in range(30)]
    store.publish(*rows)
    before = written(store.lab)
    result = store.publish(*rows)
    assert (result.written, result.unchanged) == (0, 30)
    assert written(store.lab) == before
    rows[7] = features(7, "corrected")
    result = store.publish(*rows)
    assert (result.written, result.unchanged) == (1, 29)
    # Online the old one goes first, because the online store keeps the older of two with one event time.
    assert written(store.lab) == {"online": before["online"] + 2, "offline": before["offline"] + 1}
    assert store.holds_exactly(*rows)


@pytest.mark.parametrize("minutes", [-5, 0, 5], ids=["earlier", "the same event time", "later"])
def test_replaced_content_is_online_whatever_its_event_time(store: Store, minutes: int) -> None:
    """A correction carries the event time of what it corrects, or an earlier one: it was ignored in silence."""
    store.publish(features(1), features(2))
    store.publish(features(1, "corrected", minutes), features(2))
    assert store.holds_exactly(features(1, "corrected", minutes), features(2))


def test_a_row_that_vanished_is_deleted_online_and_marked_offline(store: Store) -> None:
    """Withdrawn for privacy: gone from what is served, and no longer part of what is trained on."""
    store.publish(features(1), features(2))
    result = store.publish(features(2))
    assert (result.deleted, result.unchanged) == (1, 1)
    assert store.holds_exactly(features(2))
    before = written(store.lab)
    store.publish(features(2))
    assert written(store.lab) == before, "once is enough"


def test_a_row_that_vanished_and_came_back_is_there(store: Store) -> None:
    """A tombstone outranked the record that came back with its old event time."""
    store.publish(features(1))
    store.publish()
    assert store.holds_exactly()
    store.publish(features(1))
    assert store.holds_exactly(features(1))


# --- faults -----------------------------------------------------------------------------------


def test_entries_that_come_back_unprocessed_or_with_a_passing_error_are_written_again(
    store: Store, faults: Callable[..., list[float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """BatchWriteRecord answers 200 and hands back what it had no time for: taken for success, rows were missing."""
    rows = [features(n) for n in range(BATCH)]
    monkeypatch.setattr(store.lab.stack.local.feature_store, "_chance", random.Random(1))
    slept = faults(unprocessed_rate=0.3)
    calls = store.lab.calls("BatchWriteRecord")
    result = store.publish(*rows)
    faults()
    assert (result.written, result.refused) == (BATCH, [])
    assert 1 < store.lab.calls("BatchWriteRecord") - calls <= MAX_TRIES
    assert slept == sorted(slept), "each try waits longer"
    assert len(slept) == store.lab.calls("BatchWriteRecord") - calls - 1
    assert store.holds_exactly(*rows)


def test_entries_that_never_go_through_fail_the_publication_and_the_next_one_writes_them(
    store: Store, faults: Callable[..., list[float]]
) -> None:
    """After the last try the rest was dropped, and the manifest said that it was there."""
    store.publish(features(0))
    rows = [features(n) for n in range(30)]
    faults(unprocessed_rate=1.0)
    calls = store.lab.calls("BatchWriteRecord")
    with pytest.raises(PublishingFailed, match=r"^29 of 29 records were not written to .*feature_store again"):
        store.publish(*rows)
    assert store.lab.calls("BatchWriteRecord") - calls == 2 * MAX_TRIES
    assert set(store.online()) == {id_of(0)}
    faults()
    assert store.publish(*rows).written == 29
    assert store.holds_exactly(*rows)


def test_a_refused_record_is_told_while_all_others_are_written_and_the_manifest_knows_which(store: Store) -> None:
    """One record that was too large, and a day was missing."""
    rows = [features(n) for n in range(30)]
    rows[7] = features(7, "x" * 360_000)
    with pytest.raises(PublishingFailed, match=rf"^1 of 30 records .*ValidationError.*{id_of(7)}"):
        store.publish(*rows)
    good = {id_of(n) for n in range(30) if n != 7}
    assert set(store.online()) == good
    assert store.manifest is not None
    unfinished = store.manifest.filter(content_hash=UNFINISHED)["interaction_id"].to_list()
    assert (unfinished, set(store.manifest["interaction_id"])) == ([id_of(7)], good | {id_of(7)})
    before = written(store.lab)
    rows[7] = features(7)
    assert store.publish(*rows).written == 1
    assert written(store.lab)["offline"] == before["offline"] + 1
    assert store.holds_exactly(*rows)


def test_a_call_that_is_refused_says_what_to_set(store: Store) -> None:
    """A traceback of boto3's for a group that somebody had deleted an hour before."""
    store.publish(features(1))
    store.group = "no-such-group"
    with pytest.raises(AwsRefusal, match=r"no-such-group .*CS_FEATURES_FEATURE_GROUP"):
        store.publish()


# --- the group --------------------------------------------------------------------------------


def without(name: str) -> list[dict[str, str]]:
    return [item for item in feature_definitions() if item["FeatureName"] != name]


@pytest.mark.parametrize(
    ("definitions", "told"),
    [
        (without("csat_indicator"), "lacks csat_indicator: add them with UpdateFeatureGroup"),
        (
            [*without("urgency_score"), {"FeatureName": "urgency_score", "FeatureType": "String"}],
            "differs: urgency_score is String, not Fractional. A feature's type cannot be changed: "
            "create a new group and set CS_FEATURES_FEATURE_GROUP",
        ),
        (None, "it does not exist in this account and region: create it, or set CS_FEATURES_FEATURE_GROUP"),
    ],
    ids=["lacks a feature", "another type", "missing"],
)
def test_a_group_that_cannot_take_the_features_is_refused_with_what_to_do(
    lab: Lab, definitions: list[dict[str, str]] | None, told: str
) -> None:
    """A thousand refused records, each for the same reason, and the reason was the group."""
    name = f"{lab.settings.feature_group}-other"
    if definitions:
        lab.sagemaker.create_feature_group(
            FeatureGroupName=name,
            RecordIdentifierFeatureName=IDENTIFIER,
            EventTimeFeatureName=EVENT_TIME,
            FeatureDefinitions=definitions,
            OnlineStoreConfig={"EnableOnlineStore": True},
            OfflineStoreConfig={"S3StorageConfig": {"S3Uri": f"s3://{lab.settings.data_bucket}/x"}},
            RoleArn="arn:aws:iam::123456789012:role/tests",
        )
    with pytest.raises(AwsRefusal) as refusal:
        require_group(lab.sagemaker, name)
    assert name in str(refusal.value)
    assert told in str(refusal.value)


def test_a_group_with_the_features_and_more_of_its_own_is_taken(lab: Lab) -> None:
    """Another team added a feature to the group, which is their right."""
    require_group(lab.sagemaker, lab.settings.feature_group)
    group = lab.sagemaker.describe_feature_group(FeatureGroupName=lab.settings.feature_group)
    assert [item["FeatureName"] for item in group["FeatureDefinitions"]] == list(FEATURE_COLUMNS)
    lab.sagemaker.create_feature_group(
        FeatureGroupName=f"{lab.settings.feature_group}-more",
        RecordIdentifierFeatureName=IDENTIFIER,
        EventTimeFeatureName=EVENT_TIME,
        FeatureDefinitions=[*feature_definitions(), {"FeatureName": "theirs", "FeatureType": "Integral"}],
        OfflineStoreConfig={"S3StorageConfig": {"S3Uri": f"s3://{lab.settings.data_bucket}/x"}},
        RoleArn="arn:aws:iam::123456789012:role/tests",
    )
    require_group(lab.sagemaker, f"{lab.settings.feature_group}-more")


# --- another partition ------------------------------------------------------------------------


def beside(store: Store, country: str = "BE", day: date = DAY) -> Store:
    """Another partition's publisher, on the same group."""
    return Store(store.lab, store.group, country, day)


def belgian(number: int, summary: str = "first", minutes: int = 0) -> dict[str, Any]:
    return features(number, summary, minutes, country="BE")


def both_hold_exactly(one: Store, rows: list[dict[str, Any]], other: Store, others: list[dict[str, Any]]) -> bool:
    """The group holds the rows of both, and each manifest its own."""
    whole = Store(one.lab, one.group, manifest=pl.concat([one.manifest, other.manifest]))
    assert set(one.manifest["interaction_id"]) == {each["interaction_id"] for each in rows}
    return whole.holds_exactly(*rows, *others)


def settled(one: Store, rows: list[dict[str, Any]], other: Store, others: list[dict[str, Any]]) -> bool:
    """Each partition runs again for its own sake, then for what the other has withdrawn; then both hold their rows."""
    for each, its in ((one, rows), (other, others)):
        each.publish(*its)
    now = datetime.now(timezone.utc)
    one.publish(*rows, disturbed=dict.fromkeys(other.withdrawn, now))
    other.publish(*others, disturbed=dict.fromkeys(one.withdrawn, now))
    return both_hold_exactly(one, rows, other, others)


@pytest.mark.parametrize("minutes", [-5, 0, 5], ids=["earlier", "the same event time", "later"])
def test_a_row_replaces_the_record_of_another_partition_whatever_their_event_times(store: Store, minutes: int) -> None:
    """The same chat, corrected to another country: its event time is the same, and the online store keeps the older."""
    other = beside(store)
    other.publish(belgian(1), belgian(2))
    result = store.publish(features(1, "corrected", minutes), features(3))
    assert (result.written, result.deleted, result.left) == (2, 0, 0)
    other.publish(belgian(2))
    assert both_hold_exactly(store, [features(1, "corrected", minutes), features(3)], other, [belgian(2)])


@pytest.mark.parametrize("days", [0, 1], ids=["another country", "another day"])
def test_a_row_that_is_gone_leaves_alone_what_another_partition_serves_by_now(store: Store, days: int) -> None:
    """The correction was online, the corrected one's partition ran again, and the interaction was nowhere."""
    other = beside(store, "NL" if days else "BE", DAY + timedelta(days=days))
    taken = features(1, "corrected", minutes=days * 24 * 60, country=other.country)
    store.publish(features(1), features(2))
    other.publish(taken)
    before = written(store.lab)
    result = store.publish(features(2))
    assert (result.left, result.deleted, result.unchanged) == (1, 0, 1)
    assert written(store.lab) == before, "no tombstone either, which would hide the other's row offline"
    assert store.withdrawn == [id_of(1)]
    assert both_hold_exactly(store, [features(2)], other, [taken])


def test_what_was_written_before_another_partition_withdrew_its_record_is_written_again_once(store: Store) -> None:
    """Two partitions published one id at the same moment, and the deletion of the one's record hit the other's."""
    store.publish(features(1), features(2))
    key = {"FeatureGroupName": store.group, "RecordIdentifierValueAsString": id_of(1)}
    store.lab.runtime.delete_record(**key, EventTime="2025-03-04T23:00:00Z", DeletionMode="HardDelete")
    disturbed = {id_of(1): datetime.now(timezone.utc), id_of(7): datetime.now(timezone.utc)}
    assert store.publish(features(1), features(2), disturbed=disturbed).written == 1
    assert store.holds_exactly(features(1), features(2))
    assert store.publish(features(1), features(2), disturbed=disturbed).written == 0


def test_records_that_come_back_unread_are_read_again_and_a_failure_is_told(
    store: Store, faults: Callable[..., list[float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Taken for records that are not there, the new ones were ignored beside them."""
    faults()
    other, get = beside(store), store.lab.runtime.batch_get_record
    other.publish(belgian(1), belgian(2))
    answers = itertools.count()

    def busy(**request: Any) -> Any:
        keys = request["Identifiers"][0]["RecordIdentifiersValueAsString"]
        if next(answers) == 0:
            error = {"FeatureGroupName": store.group, "ErrorCode": "ThrottlingException", "ErrorMessage": ""}
            return {
                "Records": [],
                "Errors": [{**error, "RecordIdentifierValueAsString": keys[0]}],
                "UnprocessedIdentifiers": [{**request["Identifiers"][0], "RecordIdentifiersValueAsString": keys[1:]}],
            }
        return get(**request)

    monkeypatch.setattr(store, "batch_get_record", busy)
    store.publish(features(1, "corrected"), features(2, "corrected"))
    assert {each["summary"] for each in store.online().values()} == {"corrected"}
    answers = itertools.repeat(0)
    with pytest.raises(PublishingFailed, match=r"1 records of .* could not be read"):
        store.publish(features(1, "again"), features(2, "corrected"))


# --- death ------------------------------------------------------------------------------------

# Every kind of change at once: left alone, replaced under an earlier, the same and a later event time, gone, new.
FIRST = [features(n) for n in range(6)]
SECOND = [
    features(0),
    features(1, "corrected", -5),
    features(2, "corrected"),
    features(3, "corrected", 5),
    features(6),
    features(7),
]
THIRD = [features(1), features(2, "corrected again"), features(4), features(7, "late", 1)]


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that few rows take many calls."""
    monkeypatch.setattr(publisher, "BATCH", 2)
    monkeypatch.setattr(publisher, "SAVE_EVERY", 1)


@pytest.mark.parametrize("then", [SECOND, FIRST, THIRD], ids=["the same again", "back to before", "other rows"])
@pytest.mark.usefixtures("small_batches")
def test_a_publisher_killed_between_any_two_calls_is_made_good_by_the_next(
    make_store: Callable[[], Store], then: list[dict[str, Any]]
) -> None:
    """Killed between the deletion of a record and its successor, the interaction was in neither store for good."""
    deaths = 0
    while True:
        store = make_store()
        store.publish(*FIRST)
        try:
            store.publish(*SECOND, dies_after=deaths)
        except Killed:
            deaths += 1
        else:
            break
        store.publish(*then)
        assert store.holds_exactly(*then), f"killed after {deaths - 1} calls"
    assert deaths > 10


# 1 was taken by the other partition, 2 stays, 3 is gone, 4 to 6 are taken from the other under three event times.
OTHERS = [belgian(4, minutes=-5), belgian(5), belgian(6, minutes=5)]
TAKEN = [features(2), *(features(number, "corrected") for number in (4, 5, 6))]


@pytest.mark.parametrize("then", [TAKEN, [features(2)]], ids=["the same again", "given back"])
@pytest.mark.usefixtures("small_batches")
def test_a_publisher_killed_while_ids_pass_between_partitions_is_made_good(
    make_store: Callable[[], Store], then: list[dict[str, Any]]
) -> None:
    """Killed after the other partition's record had gone, the interaction was in neither partition's name."""
    deaths = 0
    while True:
        store = make_store()
        other = beside(store)
        store.publish(features(1), features(2), features(3))
        other.publish(belgian(1), *OTHERS)
        try:
            store.publish(*TAKEN, dies_after=deaths)
        except Killed:
            deaths += 1
        else:
            break
        store.calls_left = None
        assert settled(store, then, other, [belgian(1), *(OTHERS if then != TAKEN else [])]), f"killed at {deaths - 1}"
        assert {id_of(1), id_of(3)} <= set(store.withdrawn)
    assert deaths > 10


@pytest.mark.parametrize("minutes", [-5, 0, 5], ids=["earlier", "the same event time", "later"])
@pytest.mark.parametrize(
    ("before", "running", "ours"),
    [
        pytest.param([features(1)], [], [], id="dropped here while it is written there"),
        pytest.param([], [features(1)], [], id="written here and there, and it is the other's"),
        pytest.param([features(1)], [features(1, "changed")], [], id="changed here while it is written there"),
        pytest.param([], [features(1)], [features(1)], id="written here while it is dropped there"),
    ],
)
def test_two_partitions_may_publish_one_id_at_the_same_moment(
    make_store: Callable[[], Store],
    before: list[dict[str, Any]],
    running: list[dict[str, Any]],
    ours: list[dict[str, Any]],
    minutes: int,
) -> None:
    """A run that had begun before the correction landed published the old document over it, ten minutes later."""
    theirs = [belgian(1, "theirs", minutes)]
    moment = 0
    while True:
        store = make_store()
        other, happened = beside(store), []
        if ours:
            other.publish(*theirs)
        store.publish(*before)

        def meanwhile(number: int, moment: int = moment, other: Store = other, happened: list[int] = happened) -> None:
            if number == moment:
                happened.append(number)
                other.publish(*([] if ours else theirs))

        store._calls, store.before_call = itertools.count(), meanwhile
        with suppress(AwsRefusal):  # a delete that came too late; the run is tried again
            store.publish(*running)
        if not happened:
            break
        assert settled(store, ours, other, [] if ours else theirs), f"between calls {moment - 1} and {moment}"
        moment += 1
    assert moment >= 4


def test_a_publisher_killed_at_its_first_call_has_changed_nothing(store: Store) -> None:
    """The mark in the manifest comes before the first change, or nobody knows that there is one to redo."""
    store.publish(*FIRST)
    for dies_after in (0, 1):
        with pytest.raises(Killed):
            store.publish(*SECOND, dies_after=dies_after)
        assert store.online() == {
            each["interaction_id"]: {pair["FeatureName"]: pair["ValueAsString"] for pair in record_of(each)}
            for each in FIRST
        }
    assert store.manifest is not None
    assert store.manifest.filter(content_hash=UNFINISHED).height == 7


SOME_ROWS = st.dictionaries(
    st.integers(0, 4), st.tuples(st.sampled_from(["first", "corrected"]), st.integers(0, 2)), max_size=5
)


@pytest.fixture(scope="module")
def shared(stack: AwsAndModel) -> Iterator[Callable[[], Store]]:
    """A group of its own for each example, in buckets that all examples share."""
    lab = Lab(stack)
    yield lambda: store_in(lab)
    lab.instance.dispose()


@settings(max_examples=25)
@given(st.lists(st.tuples(SOME_ROWS, st.none() | st.integers(0, 12)), min_size=1, max_size=4), SOME_ROWS)
def test_whatever_was_published_and_killed_before_the_group_holds_what_was_published_last(
    shared: Callable[[], Store],
    before: list[tuple[dict[int, tuple[str, int]], int | None]],
    last: dict[int, tuple[str, int]],
) -> None:
    """Reruns, corrections and deaths come in any order; what is served and trained on is the latest table."""
    store = shared()
    for rows, dies_after in before:
        try:
            store.publish(*_rows(rows), dies_after=dies_after)
        except Killed:
            continue
    store.publish(*_rows(last))
    assert store.holds_exactly(*_rows(last))


def _rows(chosen: dict[int, tuple[str, int]]) -> list[dict[str, Any]]:
    return [features(number, summary, minutes) for number, (summary, minutes) in chosen.items()]


def test_the_group_of_the_settings_is_the_one_that_is_provisioned(stack: AwsAndModel) -> None:
    """The demo's group lacked a feature that the publisher had learnt since."""
    client = Lab(stack).sagemaker
    require_group(client, Settings().feature_group)
