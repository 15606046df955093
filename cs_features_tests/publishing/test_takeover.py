"""A record of days that nobody looks at any more belongs to its interaction, whoever writes under its id today."""

from datetime import timedelta

import pytest

from cs_features.publishing.feature_group import get_record_feature
from cs_features_tests.support.documents import DAY, id_of
from cs_features_tests.support.memory_group import MemoryGroup
from cs_features_tests.support.publications import Store, features


def publish_at(group: MemoryGroup, days: int, customer: str | None) -> tuple[int, int]:
    """(written, left to others) of a publication of interaction 1 so many days later."""
    store = Store("group", "group 0", group, day=DAY + timedelta(days=days))
    made = {**features(1, f"of {customer}", days * 24 * 60), "customer_id": customer}
    published = store.publish(made)
    assert store.manifest["interaction_id"].to_list() == [id_of(1)] * published.written
    return published.written, published.others


@pytest.mark.parametrize(
    ("customers", "days", "written"),
    [
        pytest.param(("c-1", "c-2"), 36, 0, id="another customer"),
        pytest.param(("c-1", None), 36, 0, id="nobody, for somebody"),
        pytest.param((None, None), 36, 0, id="nobody, for nobody"),
        pytest.param(("c-1", "c-1"), 36, 1, id="the same customer"),
        pytest.param(("c-1", "c-2"), 35, 1, id="within the window, where the documents decide"),
    ],
)
def test_a_record_from_before_the_window_gives_way_to_the_same_customer_alone(
    customers: tuple[str | None, str | None], days: int, written: int
) -> None:
    """A file of today with the ids of last quarter took over its records: no partition so far away is looked at."""
    group = MemoryGroup()
    assert publish_at(group, 0, customers[0]) == (1, 0)
    assert publish_at(group, days, customers[1]) == (written, 1 - written)
    expected = f"of {customers[written]}"
    assert get_record_feature(group.online[id_of(1)], "summary") == expected
    offline = group.offline[id_of(1)]
    assert offline is not None
    assert get_record_feature(offline, "summary") == expected
