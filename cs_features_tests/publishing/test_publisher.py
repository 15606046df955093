"""The publisher: after any publication, and after any death of one, the group holds the validated rows exactly."""

import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cs_features.errors import AwsRefusal, PublishingFailed
from cs_features.landing.claims import IDS, collect_document_ids
from cs_features.landing.notices import notify_of_withdrawal, read_partition_notices
from cs_features.local.feature_store import Faults
from cs_features.partitions import Partition
from cs_features.publishing import records
from cs_features.publishing.feature_group import build_feature_record
from cs_features.publishing.manifest import UNFINISHED
from cs_features.publishing.records import MAX_TRIES, WRITTEN_AT_ONCE
from cs_features_tests.support.documents import DAY, id_of
from cs_features_tests.support.http import HTTP
from cs_features_tests.support.lab import AwsAndModel, Lab
from cs_features_tests.support.publications import Killed, LabStore, as_dict, features, landed, store_in


@pytest.fixture
def faults(stack: AwsAndModel, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[float]]:
    """Break the runtime; nobody waits, and what would have been waited is returned."""

    def set_to(**rates: float) -> list[float]:
        slept: list[float] = []
        monkeypatch.setattr(stack.local.feature_store, "_faults", Faults(**rates))
        monkeypatch.setattr(records, "time", SimpleNamespace(sleep=slept.append))
        return slept

    return set_to


def written(lab: Lab) -> dict[str, int]:
    """Records that each store has taken since the stack started."""
    url = lab.stack.local.environment["AWS_ENDPOINT_URL_SAGEMAKER_FEATURESTORE_RUNTIME"]
    counts = HTTP.get(f"{url}/_local/feature-store/stats").json()["records"]
    return {name: counts.get(name, 0) for name in ("online", "offline")}


# --- publishing -------------------------------------------------------------------------------


def test_every_row_is_online_and_offline_in_its_own_words(store: LabStore) -> None:
    """Nulls, the scores' last digit, a summary of two lines: what is served is what was validated."""
    rows = [
        features(n, f"Ünïcode — {n}", minutes=n, urgency_score=n / 60, csat_indicator=0.1 + 0.2, customer_id=who)
        for n, who in enumerate([None, "c-1", *["c"] * 58])
    ]
    result = store.publish(*rows)
    assert (result.written, result.withdrawn, result.unchanged) == (60, 0, 0)
    assert store.holds_exactly(*rows)
    assert "customer_id" not in store.online()[id_of(0)]


def test_a_line_break_does_not_keep_a_record_from_being_written(store: LabStore) -> None:
    """The service takes values of one line, and refused the record of every summary that had two."""
    store.publish(features(1, "Two\nlines\r\nor\u2028three."))
    assert store.online()[id_of(1)]["summary"] == "Two lines or three."


def test_only_what_changed_is_written(store: LabStore) -> None:
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
def test_replaced_content_is_online_whatever_its_event_time(store: LabStore, minutes: int) -> None:
    """A correction carries the event time of what it corrects, or an earlier one: it was ignored in silence."""
    store.publish(features(1), features(2))
    store.publish(features(1, "corrected", minutes), features(2))
    assert store.holds_exactly(features(1, "corrected", minutes), features(2))


def test_a_row_that_vanished_is_deleted_online_and_marked_offline(store: LabStore) -> None:
    """Withdrawn for privacy: gone from what is served, and no longer part of what is trained on."""
    store.publish(features(1), features(2))
    result = store.publish(features(2))
    assert (result.withdrawn, result.unchanged) == (1, 1)
    assert store.holds_exactly(features(2))
    before = written(store.lab)
    store.publish(features(2))
    assert written(store.lab) == before, "once is enough"


def test_a_row_that_vanished_and_came_back_is_there(store: LabStore) -> None:
    """A tombstone outranked the record that came back with its old event time."""
    store.publish(features(1))
    store.publish()
    assert store.holds_exactly()
    store.publish(features(1))
    assert store.holds_exactly(features(1))


# --- faults -----------------------------------------------------------------------------------


def test_entries_that_come_back_unprocessed_or_with_a_passing_error_are_written_again(
    store: LabStore, faults: Callable[..., list[float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """BatchWriteRecord answers 200 and hands back what it had no time for: taken for success, rows were missing."""
    rows = [features(n) for n in range(WRITTEN_AT_ONCE)]
    monkeypatch.setattr(store.lab.stack.local.feature_store, "_chance", random.Random(1))
    slept = faults(unprocessed_rate=0.3)
    calls = store.lab.calls("BatchWriteRecord")
    result = store.publish(*rows)
    faults()
    assert result.written == WRITTEN_AT_ONCE
    assert 1 < store.lab.calls("BatchWriteRecord") - calls <= MAX_TRIES
    assert slept == sorted(slept), "each try waits longer"
    assert len(slept) == store.lab.calls("BatchWriteRecord") - calls - 1
    assert store.holds_exactly(*rows)


def test_entries_that_never_go_through_fail_the_publication_and_the_next_one_writes_them(
    store: LabStore, faults: Callable[..., list[float]]
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


def test_a_refused_record_is_told_while_all_others_are_written_and_the_manifest_knows_which(store: LabStore) -> None:
    """One record that was too large, and a day was missing."""
    rows = [features(n) for n in range(30)]
    rows[7] = features(7, "x" * 360_000)
    with pytest.raises(PublishingFailed, match=rf"^1 of 30 records .*ValidationError.*{id_of(7)[:8]}"):
        store.publish(*rows)
    good = {id_of(n) for n in range(30) if n != 7}
    assert set(store.online()) == good
    unfinished = store.manifest.filter(content_hash=UNFINISHED)["interaction_id"].to_list()
    assert (unfinished, set(store.manifest["interaction_id"])) == ([id_of(7)], good | {id_of(7)})
    before = written(store.lab)
    rows[7] = features(7)
    assert store.publish(*rows).written == 1
    assert written(store.lab)["offline"] == before["offline"] + 1
    assert store.holds_exactly(*rows)


def test_a_call_that_is_refused_says_what_to_set(store: LabStore) -> None:
    """A traceback of boto3's for a group that somebody had deleted an hour before."""
    store.publish(features(1))
    store.group = "no-such-group"
    with pytest.raises(AwsRefusal, match=r"no-such-group .*CS_FEATURES_FEATURE_GROUP"):
        store.publish()


# --- another partition ------------------------------------------------------------------------


def beside(store: LabStore, country: str = "BE", day: date = DAY) -> LabStore:
    """Another partition's publisher, on the same group and the same data bucket."""
    return replace(store, country=country, day=day)


def belgian(number: int, summary: str = "first", minutes: int = 0) -> dict[str, Any]:
    return features(number, summary, minutes, country="BE")


def hold_ids(store: LabStore, *rows: dict[str, Any]) -> None:
    """What the raw step leaves in the data bucket for other partitions."""
    store.tables.write(IDS, store.partition, collect_document_ids(landed(rows)))


@pytest.mark.parametrize("minutes", [-5, 0, 5], ids=["earlier", "the same event time", "later"])
def test_a_row_replaces_the_record_of_another_partition_whatever_their_event_times(
    store: LabStore, minutes: int
) -> None:
    """The same chat, corrected to another country: its event time is the same, and the online store keeps the older."""
    other = beside(store)
    other.publish(belgian(1), belgian(2))
    corrected = features(1, "corrected", minutes)
    result = store.publish(corrected, features(3))
    assert (result.written, result.withdrawn, result.handed_over) == (2, 0, 0)
    result = other.publish(belgian(2))
    assert (result.withdrawn, result.handed_over) == (0, 1)
    assert store.serves_exactly(corrected, features(3), belgian(2))


@pytest.mark.parametrize("days", [0, 1], ids=["another country", "another day"])
def test_a_row_that_is_gone_leaves_alone_what_another_partition_serves_by_now(store: LabStore, days: int) -> None:
    """The correction was online, the corrected one's partition ran again, and the interaction was nowhere."""
    other = beside(store, "NL" if days else "BE", DAY + timedelta(days=days))
    taken = features(1, "corrected", minutes=days * 24 * 60, country=other.country)
    store.publish(features(1), features(2))
    other.publish(taken)
    hold_ids(other, taken)
    before = written(store.lab)
    result = store.publish(features(2))
    assert (result.handed_over, result.withdrawn, result.unchanged) == (1, 0, 1)
    assert written(store.lab) == before, "no tombstone either, which would hide the other's row offline"
    assert read_partition_notices(other.partition, store.tables).withdrawn.keys() == {id_of(1)}
    assert store.serves_exactly(features(2), taken)


def test_what_was_written_before_another_partition_withdrew_its_record_is_written_again_once(store: LabStore) -> None:
    """Two partitions published one id at the same moment, and the deletion of the one's record hit the other's."""
    store.publish(features(1), features(2))
    store.take_out(1)
    hold_ids(store, features(1), features(2))
    notify_of_withdrawal([id_of(1), id_of(7)], Partition("BE", DAY), store.tables, 35)
    store.memory.puts += 1  # a second later
    assert store.publish(features(1), features(2)).written == 1
    assert store.holds_exactly(features(1), features(2))
    assert store.publish(features(1), features(2)).written == 0


def test_records_that_come_back_unread_are_read_again_and_a_failure_is_told(
    store: LabStore, faults: Callable[..., list[float]], monkeypatch: pytest.MonkeyPatch
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


def test_a_publisher_killed_before_its_first_change_has_changed_nothing(store: LabStore) -> None:
    """The mark in the manifest comes before the first change, or nobody knows that there is one to redo."""
    first = [features(n) for n in range(4)]
    store.publish(*first)
    served = {each["interaction_id"]: as_dict(build_feature_record(each)) for each in first}
    marked = False
    for dies_after in itertools.count():
        with pytest.raises(Killed):
            store.publish(features(0), features(1, "corrected"), features(4), dies_after=dies_after)
        store.calls_left = None
        if store.online() != served:
            break
        marked = store.manifest.filter(content_hash=UNFINISHED).height == 4
    assert marked, "one call before the first change"


SOME_ROWS = st.dictionaries(
    st.integers(0, 4), st.tuples(st.sampled_from(["first", "corrected"]), st.integers(0, 2)), max_size=5
)


@pytest.fixture(scope="module")
def shared(stack: AwsAndModel) -> Iterator[Callable[[], LabStore]]:
    """A group of its own for each example, in buckets that all examples share."""
    lab = Lab(stack)
    yield lambda: store_in(lab)
    lab.instance.dispose()


@settings(max_examples=15)
@given(st.lists(st.tuples(SOME_ROWS, st.none() | st.integers(0, 16)), min_size=1, max_size=4), SOME_ROWS)
def test_whatever_was_published_and_killed_before_the_group_holds_what_was_published_last(
    shared: Callable[[], LabStore],
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
