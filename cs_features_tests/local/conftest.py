"""moto keeps its state once a process: tests that start stacks of their own go before those on the session's."""

import pytest

_OWN_STACKS = ("test_aws.py", "test_feature_store.py")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.name not in _OWN_STACKS)  # stable: the rest keeps its order
