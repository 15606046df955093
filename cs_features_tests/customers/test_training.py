"""What a caller of `training_set` gets, may ask, and is told."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from cs_features.customers.definitions import NAMES, SCHEMA
from cs_features.customers.fingerprints import hash_frame_values
from cs_features.customers.online import read_served_features
from cs_features.customers.scoring import customer_features
from cs_features.customers.training import (
    Options,
    TrainingSet,
    build_training_set,
    read_recipe,
    remake_training_set,
    training_set,
)
from cs_features.errors import RequestError
from cs_features.local.bench.training_histories import Row, build_rows
from cs_features.publishing.reading import OfflineHistory
from cs_features_tests.support.publications import LabStore, features

NOON = datetime(2026, 6, 1, 12, tzinfo=timezone.utc)
DAY = timedelta(days=1)


def contact(number: int, when: datetime, told: datetime | None = None, **changed: object) -> Row:
    told = told or when + timedelta(hours=1)
    row = {
        "interaction_id": f"i{number}",
        "event_time": when,
        "customer_id": "c1",
        "channel": "chat",
        "sentiment": "negative",
        "primary_topic": "billing_payment",
        "intent": "complain",
        "resolution_status": "pending",
        "urgency_score": 0.5,
        "csat_indicator": 0.3,
        "prompt_version": "t2-a",
        "model_id": "model",
        "api_invocation_time": told,
        "write_time": told + timedelta(minutes=5),
        "is_deleted": False,
    }
    return row | changed


def history(*rows: Row, as_of: datetime = NOON + 90 * DAY) -> OfflineHistory:
    return OfflineHistory("group", as_of, build_rows(rows))


def spine(*cuts: datetime, customer: str = "c1") -> pl.DataFrame:
    return pl.DataFrame(
        {"customer_id": [customer] * len(cuts), "cut": list(cuts)},
        schema={"customer_id": pl.String(), "cut": pl.Datetime("us", "UTC")},
    )


def counts(made: TrainingSet, name: str = "contacts_365d") -> list[int]:
    return made.frame[name].to_list()


def test_a_cancellation_on_the_day_does_not_predict_itself() -> None:
    """The best feature of a churn model was the mail that cancels."""
    told = history(contact(1, NOON - 3 * DAY), contact(2, NOON - DAY / 2, intent="leave_company"))
    assert counts(build_training_set(spine(NOON), told, Options()), "intent_leave_7d") == [0]
    without = Options(embargo=timedelta(0))
    assert counts(build_training_set(spine(NOON), told, without), "intent_leave_7d") == [1]


def test_a_contact_counts_from_when_the_store_was_told() -> None:
    """Late by a week, it was in the training set of the day on which it took place, and nobody served it then."""
    told = history(contact(1, NOON - 20 * DAY), contact(2, NOON - 9 * DAY, told=NOON))
    cuts = [NOON - timedelta(microseconds=1), NOON]
    assert counts(build_training_set(spine(*cuts), told, Options())) == [1, 2]


def test_a_correction_and_a_deletion_count_from_when_they_were_told() -> None:
    told = history(
        contact(1, NOON),
        contact(1, NOON, told=NOON + 5 * DAY, sentiment="neutral"),
        contact(1, NOON, told=NOON + 9 * DAY, is_deleted=True),
    )
    made = build_training_set(spine(*(NOON + days * DAY for days in (4, 6, 10))), told, Options())
    assert counts(made, "negative_share_30d") == [1.0, 0.0, None]
    assert counts(made) == [1, 1, 0]


def test_history_that_was_filled_in_counts_by_assumption_alone() -> None:
    """The backfill of a year was told on one day: before it no customer had any past."""
    went_live = NOON + 30 * DAY
    told = history(contact(1, NOON, told=went_live), contact(2, NOON + 31 * DAY))
    cuts = spine(NOON + 10 * DAY, NOON + 33 * DAY)
    with pytest.raises(RequestError, match=r"1 cuts lie before 2026-07-01 12:00:00 UTC.*assumed_lag"):
        build_training_set(cuts, told, Options())
    made = build_training_set(cuts, told, Options(assumed_lag=DAY))
    assert counts(made) == [1, 2]
    assert (made.recipe.assumed_lag_seconds, made.recipe.assumed_before) == (86_400, "2026-07-01T12:00:00+00:00")


def test_a_country_that_was_filled_in_later_names_its_own_moment() -> None:
    """The group was live when a fifth country's year was filled in: by its first row that year was no history."""
    rows = [contact(1, NOON), contact(2, NOON + 2 * DAY, told=NOON + 60 * DAY)]
    options = [Options(assumed_lag=DAY), Options(assumed_lag=DAY, assumed_before=NOON + 60 * DAY)]
    made = [build_training_set(spine(NOON + 9 * DAY), history(*rows), each) for each in options]
    assert [counts(each) for each in made] == [[1], [2]]


def test_an_erasure_of_the_first_row_moves_no_assumption() -> None:
    """What is history was judged by the first row that is left: one erased customer, and a year was known late."""
    rows = [contact(0, NOON + 30 * DAY, customer_id="c0"), contact(1, NOON, told=NOON + 31 * DAY)]
    asked = spine(NOON + 10 * DAY)
    recipe = build_training_set(asked, history(*rows), Options(assumed_lag=DAY)).recipe
    again = remake_training_set(recipe, asked, history(rows[1])).recipe
    assert (again.assumed_before, again.result) == (recipe.assumed_before, recipe.result)


def test_the_callers_columns_and_order_stay() -> None:
    asked = spine(NOON + 9 * DAY, NOON + 3 * DAY).with_columns(label=pl.Series([True, False]))
    made = build_training_set(asked, history(contact(1, NOON)), Options(features=("topics_7d", "contacts_7d")))
    assert made.frame.columns == ["customer_id", "cut", "label", "contacts_7d", "topics_7d"]
    assert made.frame.select(asked.columns).equals(asked)


def test_types_are_the_tables_whatever_is_known() -> None:
    made = build_training_set(spine(NOON + 60 * DAY, customer="c9"), history(contact(1, NOON)), UNKNOWN_TOO)
    assert dict(made.frame.select(NAMES).schema) == dict(SCHEMA)


UNKNOWN_TOO = Options(allow_unknown=True)


def test_a_training_set_is_made_again_byte_for_byte(tmp_path: Path) -> None:
    """Asked which data a model was trained on, nobody could say: the store had moved on."""
    rows = [contact(number, NOON + number * DAY, csat_indicator=number / 7) for number in range(7)]
    asked = spine(NOON + 6 * DAY, NOON + 8 * DAY)
    made = build_training_set(asked, history(*rows, as_of=NOON + 9 * DAY), Options(assumed_lag=DAY))
    made.write(tmp_path / "first.parquet")
    later = [
        contact(1, NOON + DAY, told=NOON + 10 * DAY, csat_indicator=1.0),
        contact(1, NOON + DAY, told=NOON + 11 * DAY, is_deleted=True),
        contact(2, NOON + 2 * DAY, told=NOON + 12 * DAY, prompt_version="t3-b"),
    ]
    recipe = read_recipe(tmp_path / "first.parquet")
    remake_training_set(recipe, asked, history(*later, *rows)).write(tmp_path / "again.parquet")
    assert (tmp_path / "again.parquet").read_bytes() == (tmp_path / "first.parquet").read_bytes()


def test_what_cannot_be_made_again_is_told() -> None:
    told, asked = history(contact(1, NOON), contact(2, NOON)), spine(NOON + 9 * DAY)
    recipe = build_training_set(asked, told, Options()).recipe
    erased = remake_training_set(recipe, asked, history(contact(1, NOON)))
    assert any("no longer holds" in warning for warning in erased.recipe.warnings)
    for other in (replace(told, group="another"), told):
        with pytest.raises(RequestError, match=r"the (group|spine) of the recipe is another one"):
            remake_training_set(recipe, spine(NOON + 8 * DAY) if other is told else asked, other)


@pytest.mark.parametrize(
    ("versions", "said"),
    [
        (("t2-a", "t2-a"), ()),
        (("t2-a", "t2-b"), ("2 prompt versions are mixed",)),
        (("t2-a", "t3-b"), ("taxonomies t2, t3 are mixed",)),
        (("0123abcd", "t2-a"), ("taxonomies t1, t2 are mixed",)),
    ],
)
def test_mixed_versions_are_told(versions: tuple[str, str], said: tuple[str, ...]) -> None:
    """A topic that was split in two made churn of those who had it half as likely."""
    told = history(*(contact(number, NOON, prompt_version=each) for number, each in enumerate(versions)))
    recipe = build_training_set(spine(NOON + 9 * DAY), told, Options()).recipe
    assert len(recipe.warnings) == len(said)
    assert all(part in warning for part, warning in zip(said, recipe.warnings, strict=True))
    assert sum(recipe.prompt_versions.values()) == 2


def test_contacts_that_nobody_can_be_told_of_are_counted_in_the_recipe() -> None:
    """Half of the reviews name no customer: a customer without contacts is not one who is content."""
    told = history(contact(1, NOON), contact(2, NOON, customer_id=None), contact(3, NOON, customer_id=None))
    recipe = build_training_set(spine(NOON + 9 * DAY), told, Options()).recipe
    assert (recipe.contacts, recipe.contacts_without_customer) == (3, 2)


GOOD = spine(NOON + 9 * DAY)
BAD_SPINES: list[tuple[Callable[[], pl.DataFrame], str]] = [
    (lambda: GOOD.drop("cut"), "has no column cut"),
    (lambda: GOOD.clear(), "has no rows"),
    (lambda: pl.DataFrame({"customer_id": [], "cut": []}), "has no rows"),
    (lambda: GOOD.lazy(), "is no polars DataFrame"),  # type: ignore[list-item, return-value]
    (lambda: GOOD.with_columns(pl.col("cut").dt.replace_time_zone(None)), "has no time zone"),
    (lambda: GOOD.with_columns(cut=pl.lit("2026-06-10")), "is no moment"),
    (lambda: GOOD.with_columns(customer_id=pl.lit(7)), "is no text"),
    (lambda: GOOD.with_columns(contacts_7d=pl.lit(0)), "contacts_7d has the name of a feature"),
    (lambda: GOOD.with_columns(customer_id=pl.lit(None, pl.String)), "1 rows of the spine have no customer or no cut"),
    (lambda: pl.concat([GOOD, GOOD]), "1 rows of the spine repeat a customer and cut"),
    (lambda: spine(NOON + 99 * DAY), "1 cuts of the spine lie after 2026-08-30 12:00:00 UTC"),
    (lambda: spine(NOON - DAY), "1 cuts lie before 2026-06-01 13:00:00 UTC"),
    (lambda: spine(NOON + 9 * DAY, customer="c2"), "1 of 1 rows name customers that the store never knew"),
]


@pytest.mark.parametrize(("bad", "said"), BAD_SPINES, ids=[said for _, said in BAD_SPINES])
def test_a_spine_that_cannot_be_meant_is_told_in_one_sentence(bad: Callable[[], pl.DataFrame], said: str) -> None:
    with pytest.raises(RequestError, match=said) as caught:
        build_training_set(bad(), history(contact(1, NOON)), Options())
    assert "c1" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_options_that_cannot_be_meant_are_told_in_one_sentence() -> None:
    with pytest.raises(RequestError, match="no feature contact_7d; did you mean contacts_7d"):
        build_training_set(GOOD, history(contact(1, NOON)), Options(features=("contact_7d",)))
    with pytest.raises(RequestError, match="no feature is asked for"):
        build_training_set(GOOD, history(contact(1, NOON)), Options(features=()))
    with pytest.raises(RequestError, match="embargo is negative"):
        Options(embargo=-DAY)
    with pytest.raises(RequestError, match="assumed_lag is negative"):
        Options(assumed_lag=-DAY)
    with pytest.raises(RequestError, match="assumed_before says nothing without assumed_lag"):
        Options(assumed_before=NOON)
    with pytest.raises(RequestError, match="assumed_before needs a time zone"):
        Options(assumed_lag=DAY, assumed_before=NOON.replace(tzinfo=None))
    with pytest.raises(RequestError, match="no row yet"):
        build_training_set(GOOD, history(), Options())


def test_a_moment_that_lies_ahead_is_told() -> None:
    """A training set of next year was made without a word: with the cuts of next month, and what is known today."""
    ahead = datetime.now(timezone.utc) + DAY
    with pytest.raises(RequestError, match=r"as_of lies ahead: at .* UTC nobody knows yet"):
        training_set(spine(ahead), as_of=ahead)
    with pytest.raises(RequestError, match="as_of needs a time zone"):
        training_set(GOOD, as_of=NOON.replace(tzinfo=None))
    with pytest.raises(RequestError, match="as_of lies ahead"):
        customer_features(now=ahead)


@pytest.mark.parametrize(
    ("customers", "said"), [("c-1", "one text"), (["c-1", ""], "empty or no text"), ([7], "no text")]
)
def test_customers_that_cannot_be_meant_are_told(customers: Any, said: str) -> None:
    """Of `c-1` the customers c, - and 1 were asked for, and of nobody a record was found."""
    with pytest.raises(RequestError, match=said):
        read_served_features(customers, group="second")


def test_cuts_of_any_zone_are_the_moments_that_they_are() -> None:
    told = history(contact(1, NOON), contact(2, NOON + 2 * DAY))
    elsewhere = GOOD.with_columns(pl.col("cut").dt.convert_time_zone("Asia/Kolkata"))
    made = [build_training_set(each, told, Options()).frame.select(NAMES) for each in (GOOD, elsewhere)]
    assert made[0].equals(made[1])


def test_a_published_interaction_stands_in_the_training_set(store: LabStore) -> None:
    """Through the store itself: published, corrected, read back from the offline store."""
    recent = {"customer_id": "c1", "event_time": datetime.now(timezone.utc) - 2 * DAY}
    store.publish(features(1) | recent, features(2) | recent)
    store.publish(features(1, "corrected", sentiment="negative") | recent, features(2) | recent)
    store.lab.stack.local.feature_store.flush()
    made = training_set(spine(datetime.now(timezone.utc)), Options(embargo=timedelta(0)), group=store.group)
    assert (counts(made), counts(made, "negative_share_7d")) == ([2], [0.5])
    assert made.recipe.group.startswith("arn:")
    assert made.recipe.result == hash_frame_values(made.frame)
