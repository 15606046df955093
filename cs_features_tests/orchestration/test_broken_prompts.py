"""One country's broken file or corpus, and the runs of the others: they go on, and its own say what to mend."""

import shutil
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from cs_features.orchestration.failures import RETRY
from cs_features_tests.support.documents import DAY, document, jsonl
from cs_features_tests.support.lab import PROMPTS, Lab


@pytest.fixture
def broken(lab: Lab, tmp_path: Path) -> Lab:
    """BE.md was saved half-written, and PL.md is gone."""
    folder = Path(shutil.copytree(PROMPTS, tmp_path / "prompts"))
    path = folder / "countries" / "BE.md"
    path.write_text(path.read_text(encoding="utf-8").split("## Tone", 1)[0], encoding="utf-8")
    (folder / "countries" / "PL.md").unlink()
    return lab.with_settings(prompts_dir=folder)


def measure(lab: Lab, key: str) -> dg.ExecuteInProcessResult:
    job = lab.definitions.resolve_job_def("measure_quality")
    return job.execute_in_process(partition_key=key, instance=lab.instance, raise_on_error=False)


def failure_of(result: dg.ExecuteInProcessResult) -> Any:
    (event,) = result.get_step_failure_events()
    return event.step_failure_data


def test_runs_of_another_country_go_on_and_its_own_name_file_and_line(broken: Lab) -> None:
    """Runs of NL failed at once because of DE.md (fault 43)."""
    broken.land("NL", DAY, "a.jsonl", jsonl([document(1)]))
    broken.land("BE", DAY, "a.jsonl", jsonl([document(2, country="BE")]))
    assert broken.process("NL").success
    run = broken.process("BE")
    assert not run.success
    assert run.materialized == set()
    assert "BE.md:" in run.errors
    assert "the section `## Examples` is missing" in run.errors


def test_runs_of_a_country_whose_file_is_gone_say_so_and_publish_nothing(broken: Lab) -> None:
    """PL.md was removed by hand while its documents kept landing (fault 43)."""
    broken.land("PL", DAY, "a.jsonl", jsonl([document(1, country="PL")]))
    run = broken.process("PL")
    assert not run.success
    assert "PL.md does not exist" in run.errors


def test_measurements_of_other_countries_go_on(broken: Lab) -> None:
    """Three golden files had to be edited before BE, FR and NL could be measured again (fault 43)."""
    assert measure(broken, "tr-NL").success
    own = failure_of(measure(broken, "nl-BE"))
    assert "BE.md:" in own.error.message
    assert own.user_failure_data.metadata[RETRY].value is False


def test_a_broken_golden_line_stops_its_own_locale_and_no_other(lab: Lab, tmp_path: Path) -> None:
    """One wrong label in Turkish, and nobody was measured."""
    folder = Path(shutil.copytree(PROMPTS, tmp_path / "prompts"))
    path = folder / "golden" / "tr.jsonl"
    text = path.read_text(encoding="utf-8")
    assert '"country": "BE"' in text
    at = text.index('"country": "BE"')
    wrong = text[:at] + text[at:].replace('"sentiment": "n', '"sentiment": "very n', 1)
    path.write_text(wrong, encoding="utf-8")
    other = lab.with_settings(prompts_dir=folder)
    assert measure(other, "tr-NL").success
    assert measure(other, "nl-BE").success
    assert "tr.jsonl:" in failure_of(measure(other, "tr-BE")).error.message
