"""Whom a prompt change touches: what Dagster shows as stale, what a rerun asks, what is measured anew."""

import shutil
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.test_utils import in_process_test_workspace
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

from cs_features.errors import PromptError
from cs_features.orchestration.partitions import country_partitions, locale_partitions
from cs_features.orchestration.sensors.prompts import UNUSABLE, prompt_sensor
from cs_features.partitions import Locale, Partition
from cs_features_tests.support.documents import document, jsonl
from cs_features_tests.support.kept_lab import KeptLab
from cs_features_tests.support.lab import PROMPTS, AwsAndModel, Lab

DAYS = (date(2025, 3, 4), date(2025, 3, 5))
COUNTRIES = ("NL", "BE")
STALE = """
query($asset: AssetKeyInput!, $partitions: [String!]!) {
  assetNodeOrError(assetKey: $asset) { ... on AssetNode { staleStatusByPartition(partitions: $partitions) } }
}
"""


class Watched:
    """A laboratory whose prompts may be edited, and the sensor that watches them, with its cursor."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.prompts = Path(lab.settings.prompts_dir)
        self.cursor: str | None = None

    def tick(self, lab: Lab | None = None) -> Any:
        """One tick; its observations are reported as the daemon reports them."""
        lab = lab or self.lab
        with dg.build_sensor_context(
            instance=lab.instance, definitions=lab.definitions, resources=lab.resources, cursor=self.cursor
        ) as context:
            result = prompt_sensor.evaluate_tick(context)
        for event in result.asset_events:
            lab.instance.report_runless_asset_event(event)
        self.cursor = result.cursor
        return result

    def edit(self, file: str, old: str, new: str) -> None:
        path = self.prompts / file
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new, 1), encoding="utf-8")

    def stale(self) -> set[str]:
        """Partitions of `llm_extractions` that the UI shows as stale, asked through its GraphQL."""
        from dagster_graphql.test.utils import execute_dagster_graphql

        keys = [str(Partition(country, day).key) for country in COUNTRIES for day in DAYS]
        origin = LoadableTargetOrigin(module_name="cs_features.definitions", attribute="defs")
        variables = {"asset": {"path": ["llm_extractions"]}, "partitions": keys}
        with pytest.MonkeyPatch.context() as patch:
            # For code locations in other processes, of which there is none: an instance in memory has nothing to give.
            patch.setattr(self.lab.instance, "get_ref", lambda: None)
            with in_process_test_workspace(self.lab.instance, origin) as context:
                answer = execute_dagster_graphql(context, STALE, variables)
        statuses = answer.data["assetNodeOrError"]["staleStatusByPartition"]
        return {key for key, status in zip(keys, statuses, strict=True) if status == "STALE"}


@pytest.fixture(scope="module")
def processed(stack: AwsAndModel) -> KeptLab:
    """Two days of two countries, processed, for each test to begin with."""
    lab = Lab(stack)
    Watched(lab).tick()
    for country in COUNTRIES:
        for day in DAYS:
            changes = {"country": country, "occurred_at": f"{day}T08:00:00Z"}
            documents = [document(f"{country}{day.day}{number}", **changes) for number in range(3)]
            lab.land(country, day, "a.jsonl", jsonl(documents))
            assert lab.process(country, day).success
    return KeptLab(lab)


@pytest.fixture
def watched(processed: KeptLab, tmp_path: Path) -> Watched:
    """Everything fresh, with prompts of its own."""
    prompts = shutil.copytree(PROMPTS, tmp_path / "prompts")
    found = Watched(processed.restore().with_settings(prompts_dir=prompts))
    found.tick()
    assert found.stale() == set()
    return found


def keys_of(*countries: str) -> set[str]:
    return {str(Partition(country, day).key) for country in countries for day in DAYS}


def test_editing_the_fixed_instructions_makes_every_country_stale(watched: Watched) -> None:
    """Half of the training set made under another definition of urgency, and nothing that shows it."""
    watched.edit("instructions.md", "the seven features of one", "the seven features of a single")
    watched.tick()
    assert watched.stale() == keys_of(*COUNTRIES)


def test_another_model_makes_every_country_stale(watched: Watched) -> None:
    """Another model is another author of every feature."""
    watched.tick(watched.lab.with_settings(model_id="eu.amazon.nova-micro-v1:0"))
    assert watched.stale() == keys_of(*COUNTRIES)


def test_a_prompt_that_is_put_back_is_fresh_again(watched: Watched) -> None:
    """An experiment that was undone: nothing is to be paid for."""
    watched.edit("countries/NL.md", "- Direct is normal.", "- Blunt is normal.")
    watched.tick()
    assert watched.stale() == keys_of("NL")
    watched.edit("countries/NL.md", "- Blunt is normal.", "- Direct is normal.")
    watched.tick()
    assert watched.stale() == set()


def test_what_changes_no_feature_makes_nothing_stale(watched: Watched) -> None:
    """A stricter floor is no reason to extract a year again."""
    watched.edit("countries/NL.md", "floors: {sentiment: 0.70", "floors: {sentiment: 0.75")
    assert watched.tick().asset_events == []
    assert watched.stale() == set()


def test_editing_one_countrys_file_makes_its_partitions_stale_and_a_rerun_asks_for_them_alone(watched: Watched) -> None:
    """A note on Dutch irony must not re-extract five countries, and may not leave the Netherlands as they were."""
    watched.edit("countries/NL.md", "- Direct is normal.", "- Being direct is normal.")
    watched.tick()
    assert watched.stale() == keys_of("NL")
    calls = {
        (country, day): watched.lab.process(country, day).metadata("llm_extractions")["calls"]
        for country in COUNTRIES
        for day in DAYS
    }
    assert calls == {(country, day): 3 if country == "NL" else 0 for country in COUNTRIES for day in DAYS}
    assert watched.stale() == set()


def test_the_first_tick_observes_every_country_and_asks_for_nothing(lab: Lab) -> None:
    """A new deployment would otherwise begin by spending money."""
    result = Watched(lab).tick()
    assert {event.partition for event in result.asset_events} == set(country_partitions.get_partition_keys())
    assert result.run_requests == []


def test_a_changed_prompt_asks_for_the_quality_of_that_countrys_locales_once(watched: Watched) -> None:
    """The quality of a prompt that nobody measured is unknown: that must not last until somebody thinks of it."""
    watched.edit("countries/BE.md", "- Conflict is avoided", "- Conflicts are avoided")
    wanted = {key for key in locale_partitions.get_partition_keys() if Locale.from_key(key).country == "BE"}
    assert {request.partition_key for request in watched.tick().run_requests} == wanted
    assert watched.tick().run_requests == []


# --- files that cannot be used ----------------------------------------------------------------


@pytest.fixture
def edited(stack: AwsAndModel, tmp_path: Path) -> Watched:
    """A sensor over prompts of its own, after its first tick; nothing was processed with them."""
    watched = Watched(Lab(stack, prompts_dir=shutil.copytree(PROMPTS, tmp_path / "prompts")))
    watched.tick()
    return watched


def observed(tick: Any) -> set[str]:
    return {event.partition for event in tick.asset_events}


def test_a_half_written_country_file_stops_no_other_country_and_is_told(edited: Watched) -> None:
    """Fault 43: one country's file was saved half-written, and no other country's edit was seen until it was mended."""
    edited.edit("countries/NL.md", "## Examples", "## Beispiele")
    edited.edit("countries/BE.md", "- Conflict is avoided", "- Conflicts are avoided")
    tick = edited.tick()
    assert observed(tick) == {"BE"}
    assert {Locale.from_key(request.partition_key).country for request in tick.run_requests} == {"BE"}
    quiet = edited.tick()
    assert observed(quiet) == set()
    assert (quiet.skip_message or "").startswith(UNUSABLE)
    assert "NL.md" in (quiet.skip_message or "")
    assert "`## Beispiele` is no section" in (quiet.skip_message or "")


def test_a_file_that_was_mended_is_an_edit_only_if_it_says_something_else_than_before(edited: Watched) -> None:
    """Forgotten while it was broken, its country was new again: the edit was measured by nobody."""
    edited.edit("countries/NL.md", "## Examples", "## Beispiele")
    edited.tick()
    edited.edit("countries/NL.md", "## Beispiele", "## Examples")
    assert observed(edited.tick()) == set()
    edited.edit("countries/NL.md", "## Examples", "## Beispiele")
    edited.tick()
    edited.edit("countries/NL.md", "## Beispiele", "## Examples")
    edited.edit("countries/NL.md", "- Direct is normal.", "- Being direct is normal.")
    tick = edited.tick()
    assert observed(tick) == {"NL"}
    assert tick.run_requests


def test_countries_that_came_or_went_since_the_code_location_was_loaded_are_told(edited: Watched) -> None:
    """Fault 42: a new country's folder was called a stray until somebody thought of reloading."""
    shutil.copy(edited.prompts / "countries" / "NL.md", edited.prompts / "countries" / "DE.md")
    (edited.prompts / "countries" / "PL.md").unlink()
    told = edited.tick().skip_message or ""
    assert "not partitions yet, reload the code location: DE" in told
    assert "their file is gone: PL" in told


def test_a_file_that_every_country_needs_fails_the_tick_with_file_and_line(edited: Watched) -> None:
    """Without a taxonomy no answer can be judged: a skipped tick would look like nothing to do."""
    (edited.prompts / "taxonomy.yaml").write_text("topics: [")
    with pytest.raises(PromptError, match=r"taxonomy\.yaml"):
        edited.tick()


@pytest.mark.parametrize("cursor", ["{", "[]", "7"])
def test_a_cursor_that_cannot_be_read_is_a_first_sight_and_asks_for_nothing(edited: Watched, cursor: str) -> None:
    """It raised at every tick; and a first sight that asks would measure every country anew."""
    edited.cursor = cursor
    tick = edited.tick()
    assert observed(tick) == set(country_partitions.get_partition_keys())
    assert tick.run_requests == []
