"""A feature group for each test that publishes."""

import pytest

from cs_features_tests.support.lab import Lab
from cs_features_tests.support.publications import LabStore, store_in


@pytest.fixture
def store(lab: Lab) -> LabStore:
    return store_in(lab)
