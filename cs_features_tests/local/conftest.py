"""moto keeps its state once a process: tests that start a local AWS of their own go before those on the session's."""

import pytest


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.get_closest_marker("own_aws") is None)  # stable: the rest keeps its order
