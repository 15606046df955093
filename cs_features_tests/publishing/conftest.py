"""A feature group for each test of publications."""

from collections.abc import Callable

import pytest

from cs_features_tests.support.lab import Lab
from cs_features_tests.support.publications import LabStore, store_in


@pytest.fixture
def make_store(lab: Lab) -> Callable[[], LabStore]:
    return lambda: store_in(lab)


@pytest.fixture
def store(make_store: Callable[[], LabStore]) -> LabStore:
    return make_store()
