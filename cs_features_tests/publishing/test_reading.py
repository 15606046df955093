"""What models are trained on: one row an interaction, as it was known at a time, whatever was written when."""

from datetime import datetime, timedelta, timezone
from typing import Any

import moto.backends
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cs_features.errors import AwsRefusal, RequestError
from cs_features.local.aws import REGION
from cs_features.publishing.reading import HISTORY_SCHEMA, parse_history_objects, read_features, select_known_rows
from cs_features.schemas import FEATURE_COLUMNS
from cs_features.storage import encode_parquet_table
from cs_features_tests.support.documents import DAY, document, id_of, jsonl
from cs_features_tests.support.features import frame, row
from cs_features_tests.support.lab import Lab
from cs_features_tests.support.publications import MORNING, LabStore, features


def now() -> datetime:
    return datetime.now(timezone.utc)


def known(store: LabStore, as_of: datetime | None = None) -> dict[str, str]:
    """Summaries by interaction."""
    store.lab.stack.local.feature_store.flush()
    frame = read_features(as_of, group=store.group)
    assert frame["interaction_id"].is_unique().all()
    return dict(frame.select("interaction_id", "summary").iter_rows())


def test_the_latest_write_wins_whatever_its_event_time(store: LabStore) -> None:
    """By event time the correction of a wrong date lost against the row it corrected."""
    store.publish(features(1, minutes=5), features(2))
    store.publish(features(1, "corrected", minutes=0), features(2))
    assert known(store) == {id_of(1): "corrected", id_of(2): "first"}


def test_a_deleted_interaction_is_in_no_training_set(store: LabStore) -> None:
    """Deleted customers stayed in every model that was trained from the offline store."""
    store.publish(features(1), features(2))
    store.publish(features(2))
    assert known(store) == {id_of(2): "first"}


def test_nothing_that_was_written_after_a_moment_is_known_at_it(store: LabStore) -> None:
    """Trained on corrections that came a week later, the model was brilliant until it was deployed."""
    moments = [now()]
    for rows in ([features(1)], [features(1, "corrected"), features(2)], [features(2)], [features(1), features(2)]):
        store.publish(*rows)
        moments.append(now())
    expected = [
        {},
        {id_of(1): "first"},
        {id_of(1): "corrected", id_of(2): "first"},
        {id_of(2): "first"},
        {id_of(1): "first", id_of(2): "first"},
    ]
    assert [known(store, moment) for moment in moments] == expected
    assert known(store) == expected[-1]
    elsewhere = timezone(timedelta(hours=5, minutes=30))
    assert [known(store, moment.astimezone(elsewhere)) for moment in moments] == expected


def test_a_moment_without_a_time_zone_is_refused(store: LabStore) -> None:
    """Taken for UTC on one machine and for local time on another, it let two hours of the future in."""
    with pytest.raises(RequestError, match="as_of needs a time zone"):
        read_features(datetime(2026, 11, 24, 12), group=store.group)


def test_columns_and_types_are_those_of_the_validated_features(lab: Lab) -> None:
    """Read back as text, a score of 0.9 was smaller than one of 0.10."""
    lab.land("NL", DAY, "a.jsonl", jsonl([document(1), document(2, customer_id=...), document(3, channel="email")]))
    assert lab.process().success
    lab.stack.local.feature_store.flush()
    read = read_features(group=lab.settings.feature_group)
    assert read.columns == list(FEATURE_COLUMNS)
    validated = lab.table("validated_features").select(FEATURE_COLUMNS).sort("interaction_id")
    assert read.equals(validated)
    assert read.schema == validated.schema


def test_a_group_that_holds_nothing_yet_is_an_empty_table_of_the_same_types(store: LabStore) -> None:
    """A training job on the first day of a deployment failed with a column that is not there."""
    store.lab.stack.local.feature_store.flush()
    assert read_features(group=store.group).schema == frame(row()).select(FEATURE_COLUMNS).schema
    assert read_features(group=store.group).is_empty()


def test_rows_that_a_killed_publisher_wrote_twice_are_one(store: LabStore) -> None:
    """The offline store only appends: what is written again is there again, and weighed double."""
    rows = [features(n) for n in range(3)]
    store.publish(*rows)
    store.forget()  # it died before the manifest was saved
    store.publish(*rows)
    keys = _offline_objects(store)
    bodies = [store.lab.s3.get_object(Bucket=store.lab.settings.data_bucket, Key=key)["Body"].read() for key in keys]
    assert sum(pl.read_parquet(body, hive_partitioning=False).height for body in bodies) == 6
    assert known(store) == {id_of(n): "first" for n in range(3)}


def _offline_objects(store: LabStore) -> list[str]:
    store.lab.stack.local.feature_store.flush()
    uri = store.lab.sagemaker.describe_feature_group(FeatureGroupName=store.group)
    location = uri["OfflineStoreConfig"]["S3StorageConfig"]["ResolvedOutputS3Uri"]
    bucket, prefix = location.removeprefix("s3://").split("/", 1)
    return [item["Key"] for item in store.lab.s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])]


def test_an_interaction_of_every_hour_of_the_day_is_found(store: LabStore) -> None:
    """Folders are pruned by the hour in their names; one hour too many, and a shift was missing from every model."""
    rows = [features(n, minutes=60 * n - 8 * 60 - 30) for n in range(24)]
    store.publish(*rows)
    assert len({key.rsplit("/", 1)[0] for key in _offline_objects(store)}) == 24
    assert len(known(store)) == 24


def test_an_interaction_whose_clock_was_ahead_is_known_from_when_it_was_written(store: LabStore) -> None:
    """A chat system ten minutes ahead: its documents land before they have occurred, and were served but not trained
    on; worse, a correction into the coming hour was pruned, and the row that it corrects was not."""
    tonight = now().replace(hour=23, minute=59, second=59, microsecond=0)
    store.publish(features(1), features(2))
    store.publish(features(1), {**features(2, "corrected"), "event_time": tonight})
    assert known(store) == {id_of(1): "first", id_of(2): "corrected"}


def test_a_group_that_does_not_exist_is_named_with_its_setting(lab: Lab) -> None:
    with pytest.raises(AwsRefusal, match="CS_FEATURES_FEATURE_GROUP"):
        read_features(group="no-such-group")


def test_a_group_without_an_offline_store_is_told_in_a_sentence(store: LabStore) -> None:
    """`KeyError: 'OfflineStoreConfig'` in a notebook of the data scientists."""
    (backend,) = (regions[REGION] for regions in moto.backends.get_backend("sagemaker").values())
    (group,) = (each for each in backend.feature_groups.values() if each.feature_group_name == store.group)
    group.offline_store_config = None
    with pytest.raises(AwsRefusal, match=f"{store.group}.*offline store"):
        read_features(group=store.group)


def test_the_group_of_the_settings_is_read_unless_another_is_named(
    store: LabStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.publish(features(1))
    store.lab.stack.local.feature_store.flush()
    monkeypatch.setenv("CS_FEATURES_FEATURE_GROUP", store.group)
    assert read_features()["interaction_id"].to_list() == [id_of(1)]


# --- select_known_rows by itself -----------------------------------------------------------------------

START = datetime(2026, 11, 24, 12)
WRITES = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 20), st.booleans(), st.sampled_from(["a", "b", "c"])),
    max_size=15,
    unique_by=lambda write: write[1],
)


@pytest.mark.heavy
@given(WRITES, st.integers(-1, 21))
def test_a_reading_is_what_a_dictionary_that_was_written_in_that_order_would_hold(
    writes: list[tuple[int, int, bool, str]], as_of: int
) -> None:
    """The rows of an offline store come in any order, and in files of any size."""
    rows = [
        {
            **features(number, summary),
            "event_time": "2025-03-04T08:30:00.000Z",
            "api_invocation_time": START + timedelta(seconds=second),
            "write_time": START + timedelta(minutes=15),
            "is_deleted": deleted,
        }
        for number, second, deleted, summary in writes
    ]
    expected: dict[str, str] = {}
    for number, second, deleted, summary in sorted(writes, key=lambda write: write[1]):
        if second <= as_of:
            expected.pop(id_of(number), None)
            if not deleted:
                expected[id_of(number)] = summary
    schema: dict[str, Any] = {
        **frame(row()).schema,
        "event_time": pl.String(),
        "api_invocation_time": pl.Datetime("us"),
        "write_time": pl.Datetime("us"),
        "is_deleted": pl.Boolean(),
    }
    moment = (START + timedelta(seconds=as_of)).replace(tzinfo=timezone.utc)
    read = select_known_rows(pl.DataFrame(rows, schema=schema), moment)
    assert dict(read.select("interaction_id", "summary").iter_rows()) == expected
    assert set(read["event_time"]) <= {MORNING}


def test_objects_of_many_versions_are_read_together() -> None:
    """A feature that somebody had added to the group stood in the newer objects, and moments in another unit."""
    row = {name: [None] for name in HISTORY_SCHEMA}
    ours = pl.DataFrame(row, schema=HISTORY_SCHEMA)
    older = ours.with_columns(interaction_id=pl.lit("older"), write_time=pl.lit(MORNING.replace(tzinfo=None)))
    newer = older.with_columns(interaction_id=pl.lit("newer"), their_feature=pl.lit(1)).with_columns(
        pl.col("write_time").cast(pl.Datetime("ns"))
    )
    bodies = [encode_parquet_table(each) for each in (older, newer.select(sorted(newer.columns)), older)]
    schema = pl.Schema({name: HISTORY_SCHEMA[name] for name in ("interaction_id", "write_time")})
    read = pl.concat(parse_history_objects(bodies, schema))
    assert read.schema == schema
    assert sorted(read["interaction_id"]) == ["newer", "older", "older"]
    assert read["write_time"].n_unique() == 1
