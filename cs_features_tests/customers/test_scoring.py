"""A model is served what it was trained on: the features of now are those of a training set of this moment."""

from dataclasses import replace
from datetime import timedelta

import pytest

from cs_features.customers.scoring import SETTLING, build_customer_features
from cs_features.customers.training import Options, build_training_set
from cs_features.errors import RequestError
from cs_features.local.bench.training_histories import AS_OF, build_rows, merge_stories, tell_story
from cs_features.publishing.reading import OfflineHistory


@pytest.mark.heavy
def test_a_thousand_customers_are_served_what_training_says_later_of_that_moment() -> None:
    """Counted by another query than the training set's, what was served had another embargo, and nobody saw it."""
    story = merge_stories([tell_story(seed) for seed in range(400)])
    whole = story.build_history()
    compared = 0
    for days in (60, 150):
        now = AS_OF - timedelta(days=days)
        # What the offline store holds at that moment: the last minutes are on their way.
        seen = [row for row in story.rows if row["write_time"] <= now]
        served = build_customer_features(OfflineHistory("group", now, build_rows(seen)), Options())
        assert set(served.frame["cut"]) == {now - SETTLING}
        asked = served.frame.select("customer_id", "cut")
        trained = build_training_set(asked, whole, Options(allow_unknown=True))
        assert trained.frame.equals(served.frame)
        compared += asked.height
    assert compared > 1_000


def test_only_who_has_a_contact_in_the_last_year_is_served() -> None:
    story = merge_stories([tell_story(seed) for seed in range(20)])
    served = build_customer_features(story.build_history(), Options()).frame
    assert served["contacts_365d"].min() == 1
    assert served["customer_id"].is_unique().all()


def test_nobody_to_score_is_told_in_a_sentence() -> None:
    history = replace(tell_story(1).build_history(), as_of=AS_OF - timedelta(days=4_000))
    with pytest.raises(RequestError, match="nobody to score"):
        build_customer_features(history, Options())
