"""Prompts in the data bucket: an edit reaches production without a rebuild, as a whole, and with its author."""

import json
import shutil
from datetime import datetime, timezone
from pathlib import Path

import pytest

from cs_features.cli import prompts as command
from cs_features.errors import PromptError, RequestError
from cs_features.extraction import prompt_versions
from cs_features.extraction.prompt_versions import CURRENT, PromptsInUse, PromptVersions, hash_prompt_folder
from cs_features.extraction.prompts import load_prompt_folder
from cs_features.s3 import Bucket
from cs_features.services import build_services_from
from cs_features_tests.support.lab import PROMPTS, Lab
from cs_features_tests.support.memory_s3 import MemoryS3

NOON = datetime(2026, 11, 27, 12, tzinfo=timezone.utc)


@pytest.fixture
def s3() -> MemoryS3:
    return MemoryS3()


@pytest.fixture
def versions(s3: MemoryS3, tmp_path: Path) -> PromptVersions:
    return PromptVersions(Bucket(s3, "data", "CS_FEATURES_DATA_BUCKET"), tmp_path / "fetched")


@pytest.fixture
def edited(tmp_path: Path) -> Path:
    folder = Path(shutil.copytree(PROMPTS, tmp_path / "edited"))
    path = folder / "countries" / "NL.md"
    path.write_text(path.read_text(encoding="utf-8") + "\nDutch customers say sorry first.\n", encoding="utf-8")
    return folder


def test_what_was_pushed_comes_back_as_it_was(versions: PromptVersions) -> None:
    version = versions.push_prompt_folder(PROMPTS)
    fetched = versions.fetch_prompt_version(version)
    assert hash_prompt_folder(fetched) == hash_prompt_folder(PROMPTS) == version
    assert load_prompt_folder(fetched).version("NL") == load_prompt_folder(PROMPTS).version("NL")


def test_the_same_content_is_the_same_version_and_any_edit_another(versions: PromptVersions, edited: Path) -> None:
    assert versions.push_prompt_folder(PROMPTS) == versions.push_prompt_folder(PROMPTS)
    assert versions.push_prompt_folder(edited) != versions.push_prompt_folder(PROMPTS)


def test_who_changed_what_when_and_why_stays_on_record(versions: PromptVersions, edited: Path) -> None:
    old, new = versions.push_prompt_folder(PROMPTS), versions.push_prompt_folder(edited)
    versions.use_version(old, "arn:aws:iam::1:user/ann", "first", NOON)
    versions.use_version(new, "arn:aws:iam::1:user/bob", "sorry", NOON.replace(hour=13))
    versions.use_version(old, "arn:aws:iam::1:user/ann", "back", NOON.replace(hour=14))
    found = [(change.version, change.before, change.changed_by[-3:], change.why) for change in versions.list_changes()]
    assert found == [(old, None, "ann", "first"), (new, old, "bob", "sorry"), (old, new, "ann", "back")]
    assert versions.find_current() == old


def test_a_record_of_a_version_to_come_is_read(versions: PromptVersions, s3: MemoryS3) -> None:
    record = {"version": "v", "changed_by": "a", "changed_at": "t", "why": "w", "before": None, "ticket": 7}
    s3.put_object(Key="prompts/history/x.json", Body=json.dumps(record).encode())
    assert [change.version for change in versions.list_changes()] == ["v"]


def test_what_was_never_pushed_cannot_be_used(versions: PromptVersions) -> None:
    with pytest.raises(RequestError, match=r"push it with python -m cs_features\.cli\.prompts push"):
        versions.use_version("0123456789ab", "ann", "-", NOON)
    assert versions.find_current() is None


def test_a_version_that_somebody_changed_is_refused(versions: PromptVersions, s3: MemoryS3, edited: Path) -> None:
    """Half a prompt, or another one under an old name, would be wrong in silence."""
    old, new = versions.push_prompt_folder(PROMPTS), versions.push_prompt_folder(edited)
    body, _ = s3.objects[f"prompts/versions/{new}.zip"]
    s3.put_object(Key=f"prompts/versions/{old}.zip", Body=body)
    with pytest.raises(RequestError, match="was changed after it was pushed"):
        versions.fetch_prompt_version(old)


def test_the_images_prompts_are_in_use_until_a_version_is(
    versions: PromptVersions, edited: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr(prompt_versions, "monotonic", lambda: clock[0])
    in_use = PromptsInUse(lambda: versions, PROMPTS)
    assert in_use.find_folder() == PROMPTS
    versions.use_version(versions.push_prompt_folder(edited), "ann", "-", NOON)
    assert in_use.find_folder() == PROMPTS
    clock[0] = prompt_versions.LOOK_AGAIN_SECONDS + 1
    assert "Dutch customers say sorry first." in (in_use.find_folder() / "countries" / "NL.md").read_text()


def test_a_candidate_is_a_folder_or_a_version(versions: PromptVersions, edited: Path) -> None:
    """A task has no folder of whoever asks for a preview."""
    version = versions.push_prompt_folder(edited)
    assert versions.find_candidate_folder(str(edited)) == edited
    assert hash_prompt_folder(versions.find_candidate_folder(version)) == version
    with pytest.raises(RequestError, match="is neither a folder nor a version"):
        versions.find_candidate_folder("/no/such/folder")


@pytest.mark.parametrize("named", ["", ".", "..", "../fetched", "0123456789AB"])
def test_what_is_no_version_is_none_whatever_lies_there(versions: PromptVersions, tmp_path: Path, named: str) -> None:
    """An empty variable, `use "$VERSION"`, was the folder that all versions are fetched to."""
    (tmp_path / "fetched").mkdir()
    with pytest.raises(RequestError, match="is neither a folder nor a version"):
        versions.fetch_prompt_version(named)
    if not named:
        with pytest.raises(RequestError, match="is neither a folder nor a version"):
            versions.find_candidate_folder(named)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"version": 2}', b'{"current": "0123456789ab"}', b'{"version": "main"}']
)
def test_a_note_of_what_is_in_use_that_names_no_version_is_told_and_can_be_replaced(
    versions: PromptVersions, s3: MemoryS3, body: bytes
) -> None:
    """A KeyError told nobody what to do; and the image's prompts instead would be others, in silence."""
    s3.put_object(Key=CURRENT, Body=body)
    with pytest.raises(PromptError, match="names no version of the prompts: put one into use"):
        versions.find_current()
    version = versions.push_prompt_folder(PROMPTS)
    versions.use_version(version, "ann", "mended", NOON)
    assert versions.find_current() == version


def test_a_damaged_archive_is_told_in_a_sentence(versions: PromptVersions, s3: MemoryS3) -> None:
    version = versions.push_prompt_folder(PROMPTS)
    body, _ = s3.objects[f"prompts/versions/{version}.zip"]
    s3.put_object(Key=f"prompts/versions/{version}.zip", Body=body[:1000])
    with pytest.raises(RequestError, match="is damaged: push its folder again"):
        versions.fetch_prompt_version(version)


def test_a_change_that_no_version_can_read_hides_no_other(versions: PromptVersions, s3: MemoryS3) -> None:
    versions.use_version(versions.push_prompt_folder(PROMPTS), "ann", "first", NOON)
    s3.put_object(Key="prompts/history/a.json", Body=b"[1]")
    assert [change.why for change in versions.list_changes()] == ["first", None]


def test_a_folder_of_prompts_that_is_a_file_or_holds_no_text_is_told(edited: Path) -> None:
    """A traceback of pathlib, for a slip in an argument or a picture beside the prompts."""
    with pytest.raises(PromptError, match=r"NL\.md/taxonomy\.yaml does not exist"):
        load_prompt_folder(edited / "countries" / "NL.md")
    (edited / "golden" / "chart.png").write_bytes(b"\x89PNG")
    with pytest.raises(PromptError, match=r"chart\.png:1: is not UTF-8"):
        hash_prompt_folder(edited)


def test_the_commands_push_use_and_tell(
    lab: Lab, edited: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CS_FEATURES_DATA_BUCKET", lab.settings.data_bucket)
    assert command.main(["push", str(edited)]) == 0
    version = capsys.readouterr().out.strip()
    assert command.main(["use", version, "--why", "an apology is no complaint"]) == 0
    assert command.main(["history"]) == 0
    assert "user/moto  an apology is no complaint" in capsys.readouterr().out
    assert command.main(["pull", version, str(tmp_path / "pulled")]) == 0
    assert hash_prompt_folder(tmp_path / "pulled") == version
    assert command.main(["pull", version, str(tmp_path / "pulled")]) == 2
    assert "is there already" in capsys.readouterr().err
    model = build_services_from(lab.settings.model_copy(update={"prompts_from": "bucket"})).model
    assert model.prompts().asked_version("NL") == load_prompt_folder(edited).asked_version("NL")
    assert lab.s3.get_object(Bucket=lab.settings.data_bucket, Key=CURRENT)


def test_a_new_country_is_a_deployment_and_says_so(
    lab: Lab, edited: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The partitions are the image's: documents of the country would have been strays."""
    monkeypatch.setenv("CS_FEATURES_DATA_BUCKET", lab.settings.data_bucket)
    (edited / "countries" / "NL.md").unlink()
    command.main(["push", str(edited)])
    version = capsys.readouterr().out.strip()
    assert command.main(["use", version, "--why", "-"]) == 2
    assert "differ in countries (NL)" in capsys.readouterr().err


def test_what_cannot_be_used_is_not_pushed(
    lab: Lab, edited: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CS_FEATURES_DATA_BUCKET", lab.settings.data_bucket)
    (edited / "instructions.md").write_text("no taxonomy", encoding="utf-8")
    assert command.main(["push", str(edited)]) == 2
    assert "instructions.md" in capsys.readouterr().err
