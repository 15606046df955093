"""Partition keys, paths and which countries exist."""

import json
import os
import shutil
import subprocess
import sys
from datetime import date, datetime, timedelta, timezone
from pathlib import Path

import dagster as dg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cs_features.errors import ConfigurationError
from cs_features.extraction.prompts import load_prompt_folder
from cs_features.orchestration.partitions import (
    build_day_partitions,
    build_week_partitions,
    interaction_partitions,
    week_partitions,
)
from cs_features.partitions import Partition, Week, list_countries, monday_of
from cs_features_tests.support.lab import PROMPTS, REPOSITORY

some_partitions = st.builds(
    Partition, st.sampled_from(["NL", "BE", "FR", "ES", "PL"]), st.dates(date(2025, 1, 1), date(2026, 11, 24))
)


@given(some_partitions)
def test_a_partition_survives_the_way_through_dagsters_key(partition: Partition) -> None:
    """A key taken apart in the wrong order makes a country of the date, and every path after it is wrong."""
    assert Partition.from_key(str(partition.key)) == partition
    assert Partition.from_key(partition.key) == partition
    assert interaction_partitions.has_partition_key(partition.key)


@given(some_partitions)
def test_the_folder_is_hive_style_and_unlike_any_other(partition: Partition) -> None:
    """Athena and DuckDB read country and date from the path; two partitions in one folder overwrite each other."""
    parts = dict(part.split("=") for part in partition.folder.split("/"))
    assert list(parts) == ["country", "date"]
    assert Partition(parts["country"], date.fromisoformat(parts["date"])) == partition


def test_the_key_has_the_country_first() -> None:
    """Dagster orders dimensions by name. Scripts and run tags hold such keys, and the reverse is unknown to it."""
    assert str(Partition("NL", date(2026, 11, 24)).key) == "NL|2026-11-24"
    assert not interaction_partitions.has_partition_key("2026-11-24|NL")


def test_today_is_a_partition_and_tomorrow_is_none() -> None:
    """Dagster leaves today out unless told: what landed today belonged to an unknown partition."""
    now = datetime.now(timezone.utc)
    known = [
        interaction_partitions.has_partition_key(Partition("NL", (now + timedelta(days=days)).date()).key)
        for days in (-1, 0, 1)
    ]
    assert known == [True, True, False]


def test_a_day_begins_at_midnight_utc_for_every_country() -> None:
    """In a local time zone, the documents of the last hour would be sought in the next day's folder."""
    dates = build_day_partitions(["NL"], date(2025, 1, 1)).get_partitions_def_for_dimension("date")
    assert isinstance(dates, dg.DailyPartitionsDefinition)
    assert dates.timezone == "UTC"
    assert dates.get_partition_keys(datetime(2026, 11, 24, 0, 0, 1, tzinfo=timezone.utc))[-1] == "2026-11-24"
    assert dates.get_partition_keys(datetime(2026, 11, 23, 23, 59, tzinfo=timezone.utc))[-1] == "2026-11-23"
    assert dates.get_first_partition_key() == "2025-01-01"


def test_the_countries_are_those_that_the_prompts_have() -> None:
    """A country with a partition and no prompt fails every run; one with a prompt and no partition never has any."""
    assert list_countries(PROMPTS) == sorted(load_prompt_folder(PROMPTS).countries) == ["BE", "ES", "FR", "NL", "PL"]


@pytest.mark.heavy
def test_a_new_country_is_one_new_file_and_nothing_else(tmp_path: Path) -> None:
    """Adding Germany must not need a change of code: the whole code location is loaded with the new file."""
    prompts = tmp_path / "prompts"
    shutil.copytree(PROMPTS, prompts)
    text = (PROMPTS / "countries" / "NL.md").read_text().replace("country: NL", "country: DE", 1)
    (prompts / "countries" / "DE.md").write_text(text)
    (prompts / "countries" / "notes.md").write_text("no country")
    (prompts / "countries" / "de.md.bak").write_text("no country")
    program = """
import json
from datetime import date
from cs_features.definitions import defs
from cs_features.orchestration.partitions import interaction_partitions
from cs_features.partitions import Partition
job = defs.resolve_job_def("process_interactions")
print(json.dumps({
    "countries": interaction_partitions.get_partitions_def_for_dimension("country").get_partition_keys(),
    "job": job.partitions_def.has_partition_key(Partition("DE", date(2026, 11, 2)).key),
}))
"""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("CS_FEATURES_")},
        "CS_FEATURES_PROMPTS_DIR": str(prompts),
        "PYTHONWARNINGS": "ignore",
    }
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == {"countries": ["BE", "DE", "ES", "FR", "NL", "PL"], "job": True}


def test_a_folder_without_countries_names_the_variable_to_set(tmp_path: Path) -> None:
    """An image without its prompts folder failed to load with an empty list of partitions and no word why."""
    with pytest.raises(ConfigurationError, match="CS_FEATURES_PROMPTS_DIR"):
        list_countries(tmp_path)


# --- weeks ------------------------------------------------------------------------------------


@given(st.sampled_from(["NL", "BE", "FR", "ES", "PL"]), st.dates(date(2025, 1, 1), date(2026, 11, 24)))
def test_every_day_is_in_one_week_which_begins_on_a_monday(country: str, day: date) -> None:
    """Dagster's weeks begin on Sundays unless told: the Sunday's customers would be compared twice or never."""
    week = Week(country, monday_of(day))
    assert week.monday.weekday() == 0
    assert Partition(country, day) in week.days
    assert week_partitions.has_partition_key(week.key)
    assert Week.from_key(week.key) == Week.from_key(str(week.key)) == week
    assert week.folder == f"country={country}/week={week.monday}"


def test_the_weeks_reach_from_that_of_the_first_date_to_the_one_that_goes_on() -> None:
    """A week that can only be looked at when it is over is looked at too late."""
    weeks = build_week_partitions(["NL"], date(2025, 1, 1)).get_partitions_def_for_dimension("week")
    assert isinstance(weeks, dg.WeeklyPartitionsDefinition)
    assert weeks.timezone == "UTC"
    assert weeks.get_first_partition_key() == "2024-12-30"
    assert weeks.get_partition_keys(datetime(2026, 11, 23, 0, 0, 1, tzinfo=timezone.utc))[-1] == "2026-11-23"
    assert weeks.get_partition_keys(datetime(2026, 11, 22, 23, 59, tzinfo=timezone.utc))[-1] == "2026-11-16"


def test_the_days_before_a_week_are_whole_weeks_up_to_its_sunday() -> None:
    before = Week("NL", date(2026, 11, 16)).before(8)
    assert (before[0].date, before[-1].date, len(before)) == (date(2026, 9, 21), date(2026, 11, 15), 56)
    assert before == sorted(before)
