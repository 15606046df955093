"""The fixtures that every test may ask for: the local AWS, and a laboratory on it.

What they are made of is imported when the first test asks for it: the process that only hands tests out reads this too.
"""

import gc
import os
import tempfile
from collections.abc import Callable, Iterator
from datetime import date, datetime, time, timezone
from typing import TYPE_CHECKING, Any

import pytest
import time_machine
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

os.environ["CS_FEATURES_FIRST_DATE"] = "2025-01-01"  # before the partitions are made; DAY is one of them
# Before numpy and Polars are loaded: a worker a core leaves their threads nothing to do but to spin and to wait.
for threads in ("OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS"):
    os.environ.setdefault(threads, "1")

if TYPE_CHECKING:
    from cs_features_tests.support.lab import AwsAndModel, Lab

# The clock of the whole process goes on from noon: what a test calls today is today when it ends, at any hour. The
# workers of a session inherit its day, for what they collect must be the same.
_TODAY = date.fromisoformat(os.environ.setdefault("PYTEST_SESSION_DAY", str(datetime.now(timezone.utc).date())))
time_machine.travel(datetime.combine(_TODAY, time(12), timezone.utc), tick=True).start()

# A busy machine is slow and not wrong.
hypothesis_settings.register_profile("tests", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.load_profile("tests")


@pytest.hookimpl(tryfirst=True)  # before -m chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if isinstance(item, pytest.Function) and "stack" in item.fixturenames:
            item.add_marker("local_aws")
    # moto allows one AWS a process, and the session's stays. The sort is stable: the rest keeps its order.
    items.sort(key=lambda item: item.get_closest_marker("own_aws") is None)


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """What was imported and collected is no garbage: looking through it again and again took a twelfth of the suite."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


@pytest.fixture(scope="session", autouse=True)
def migrations_read_once() -> Iterator[None]:
    """Dagster reads all of its migrations for each database that it makes, and on disk each run has one of its own."""
    from alembic.script import ScriptDirectory

    read, known = ScriptDirectory.from_config, {}

    def read_once(config: Any) -> Any:
        folder = config.get_main_option("script_location")
        return known.get(folder) or known.setdefault(folder, read(config))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ScriptDirectory, "from_config", read_once)
        yield


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator["AwsAndModel"]:
    from cs_features import freed_memory
    from cs_features.local.provision import provision_account
    from cs_features.local.scripted import Script, ScriptedAnswerer
    from cs_features.local.stack import LocalStack
    from cs_features_tests.support.lab import AwsAndModel
    from cs_features_tests.support.short_wire import short_wire

    answerer = ScriptedAnswerer(Script())
    with short_wire(), LocalStack(None, answerer=answerer) as local, pytest.MonkeyPatch.context() as patch:
        # Runs on one host share journals and a limiter below the temporary folder: not with an earlier session.
        patch.setattr(tempfile, "tempdir", str(tmp_path_factory.mktemp("host")))
        for name in [name for name in os.environ if name.startswith(("CS_FEATURES_", "AWS_"))]:
            if name != "CS_FEATURES_FIRST_DATE":
                patch.delenv(name)
        for name, value in local.environment.items():
            patch.setenv(name, value)
        patch.setenv("DAGSTER_DISABLE_TELEMETRY", "true")
        # A worker's heap is that of a thousand tests: a dozen looks a run for what it could give back are dear.
        patch.setattr(freed_memory, "_trim", None)
        provision_account(local.environment)
        yield AwsAndModel(local, answerer)


@pytest.fixture
def lab(make_lab: Callable[..., "Lab"]) -> "Lab":
    return make_lab()


@pytest.fixture
def make_lab(stack: "AwsAndModel") -> Iterator[Callable[..., "Lab"]]:
    """Laboratories with other settings."""
    from cs_features.local.scripted import Script
    from cs_features_tests.support.lab import Lab

    made: list[Lab] = []

    def make(**settings: Any) -> Lab:
        made.append(Lab(stack, **settings))
        return made[-1]

    yield make
    stack.answerer.script = Script()
    for each in made:
        each.instance.dispose()
