"""What the code location loads before anybody has asked it for anything: every run and every tick pays for it."""

import os
import subprocess
import sys

import pytest

from cs_features_tests.support.lab import REPOSITORY

pytestmark = pytest.mark.heavy

# Fitting and rank tests; pictures; list prices; migrations of Dagster's own database; the stand-ins for AWS.
NOT_AT_THE_START = (
    *("scipy", "matplotlib", "PIL", "genai_prices", "alembic", "moto", "xllamacpp", "pandas", "duckdb"),
    *("phonenumbers", "stdnum"),  # numbering plans and checksums, before any number is met
    *("sqlalchemy", "tqdm", "watchdog"),  # Dagster's databases, which an instance loads where it has one
    *("jinja2", "xlsxwriter", "sklearn", "psycopg2"),  # the page of the day, sheets for people, the churn model
)


# Then a picture is drawn; pyplot has one current figure a process, and two runs drew into each other's. What is
# registered first is called last.
PROGRAM = f"""
import atexit, gc, sys
atexit.register(lambda: print("left to collect at the end:", len(gc.get_objects()) > 10_000))
import cs_features.definitions, polars as pl
print(*[m for m in {NOT_AT_THE_START} if m in sys.modules])
from cs_features.orchestration import plots
plots.draw_confusion(pl.DataFrame({{"label": ["a"], "a": [1]}}), "a")
print(*[m for m in ("matplotlib", "matplotlib.pyplot") if m in sys.modules])
"""


def test_the_code_location_loads_nothing_that_a_run_may_never_need_and_drawing_no_pyplot() -> None:
    """It took 4.1 s of CPU where Dagster alone takes 1.4, in every run on a laptop and in every task.

    Its end took 0.25 s, in which Python looked at each of its objects once more before it forgot them all.
    """
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == ["", "matplotlib", "left to collect at the end: False"]
