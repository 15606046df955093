"""`make remove-country`: all that belongs to a country goes, nothing of another, and a dry run changes nothing."""

import json
import shutil
from pathlib import Path

import pytest

from cs_features.cli import lint_prompts
from cs_features.cli.remove_country import main
from cs_features.errors import AwsRefusal
from cs_features.extraction.prompts import load_prompt_folder
from cs_features.publishing import reading
from cs_features.publishing.records import RecordStore
from cs_features.quality.golden import load_golden_corpus
from cs_features.s3 import Bucket
from cs_features_tests.support.documents import DAY, document, id_of, jsonl
from cs_features_tests.support.kept_lab import KeptLab
from cs_features_tests.support.lab import PROMPTS, AwsAndModel, Lab

POLISH, DUTCH = range(1, 4), range(11, 14)


class Served(Lab):
    """A laboratory whose store serves records of two countries."""

    @property
    def folder(self) -> Path:
        return Path(self.settings.prompts_dir)

    def keys(self, bucket: str) -> list[str]:
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return [item["Key"] for page in pages for item in page.get("Contents", [])]

    def data_keys(self, country: str = "") -> list[str]:
        """What the country has in the data bucket: not what was spent, nor SageMaker's own files."""
        keys = self.keys(self.settings.data_bucket)
        return [
            key for key in keys if f"/country={country}" in key and not key.startswith(("spending/", "feature-store/"))
        ]

    def prompt_files(self) -> dict[str, bytes]:
        paths = [path for path in self.folder.rglob("*") if path.is_file()]
        return {str(path.relative_to(self.folder)): path.read_bytes() for path in paths}

    def golden_countries(self) -> set[str]:
        lines = [line for path in (self.folder / "golden").glob("*.jsonl") for line in path.read_bytes().splitlines()]
        return {json.loads(line)["country"] for line in lines}


@pytest.fixture(scope="module")
def kept(stack: AwsAndModel, tmp_path_factory: pytest.TempPathFactory) -> KeptLab:
    lab = Served(stack, prompts_dir=Path(shutil.copytree(PROMPTS, tmp_path_factory.mktemp("served") / "prompts")))
    lab.land("PL", DAY, "a.jsonl", jsonl(document(number, country="PL") for number in POLISH))
    lab.land("NL", DAY, "a.jsonl", jsonl(document(number) for number in DUTCH))
    assert lab.process("PL").success
    assert lab.process("NL").success
    return KeptLab(lab)


@pytest.fixture
def served(kept: KeptLab, monkeypatch: pytest.MonkeyPatch) -> Served:
    lab = kept.restore()
    assert isinstance(lab, Served)
    shutil.rmtree(lab.folder)
    shutil.copytree(PROMPTS, lab.folder)
    for name in ("landing_bucket", "data_bucket", "feature_group", "prompts_dir"):
        monkeypatch.setenv(f"CS_FEATURES_{name.upper()}", str(getattr(lab.settings, name)))
    return lab


def test_without_yes_everything_is_counted_and_nothing_changed(
    served: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    """A command that deletes is first run by somebody who wants to know what it does."""
    files, keys = served.prompt_files(), served.data_keys()
    assert main(["PL"]) == 0
    printed = capsys.readouterr().out
    assert "records in the feature store: 3 of 1 partitions" in printed
    polish = [item for item in load_golden_corpus(PROMPTS, load_prompt_folder(PROMPTS)) if item.country == "PL"]
    assert f"golden items: {len(polish)} in {len({item.language for item in polish})} files" in printed
    assert f"tables, ledger, listings): {len(served.data_keys('PL'))}" in printed
    assert "Nothing was changed" in printed
    assert (served.prompt_files(), served.data_keys()) == (files, keys)
    assert served.online(id_of(1)) is not None


def test_everything_of_the_country_goes_and_nothing_of_another(
    served: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    """PL.md was removed by hand, and 214 records of Poland stayed online (fault 43)."""
    others, landed = served.data_keys("NL"), served.keys(served.settings.landing_bucket)
    assert main(["PL", "--yes"]) == 0
    assert "reload the definitions" in capsys.readouterr().out
    assert [served.online(id_of(number)) for number in POLISH] == [None] * 3
    assert all(served.online(id_of(number)) for number in DUTCH)
    assert served.data_keys("PL") == []
    assert served.data_keys("NL") == others
    assert served.keys(served.settings.landing_bucket) == landed
    assert served.golden_countries() == {"BE", "ES", "FR", "NL"}
    assert not (served.folder / "countries" / "PL.md").exists()
    assert lint_prompts.main(served.folder) == 0
    assert any(key.startswith("spending/") for key in served.keys(served.settings.data_bucket))
    assert served.process("NL").success
    known = reading.read_features(group=served.settings.feature_group)
    assert set(known["interaction_id"]) == {id_of(number) for number in DUTCH}


def test_a_record_that_another_country_serves_by_now_is_left(served: Served) -> None:
    """The interaction was filed under PL by mistake and corrected: its record is the Netherlands'."""
    served.land("NL", DAY, "b.jsonl", jsonl([document(1)]))
    assert served.process("NL").success
    assert main(["PL", "--yes"]) == 0
    record = served.online(id_of(1))
    assert record is not None
    assert record["country"] == "NL"
    assert served.online(id_of(2)) is None


def test_a_removal_that_was_killed_is_finished_by_the_next(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half removed, and the manifest that knew the other half already gone."""

    def refuse(bucket: Bucket, keys: object) -> None:
        raise AwsRefusal("Bucket: allow s3:DeleteObject")

    with monkeypatch.context() as patch:
        patch.setattr(Bucket, "delete", refuse)
        assert main(["PL", "--yes"]) == 1
    assert not (served.folder / "countries" / "PL.md").exists()
    assert served.data_keys("PL")
    assert main(["PL", "--yes"]) == 0
    assert served.data_keys("PL") == []
    assert [served.online(id_of(number)) for number in POLISH] == [None] * 3


def test_the_prompt_goes_before_the_records_so_that_no_run_brings_them_back(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sensor saw the documents, ran the day, and Poland was online again."""

    def refuse(*_: object) -> None:
        raise AwsRefusal("Feature group: allow sagemaker:DeleteRecord")

    monkeypatch.setattr(RecordStore, "withdraw_records", refuse)
    assert main(["PL", "--yes"]) == 1
    run = served.process("PL")
    assert not run.success
    assert "PL.md does not exist" in run.errors
    # What knows the records is still there.
    assert any(key.startswith("feature_store/") for key in served.data_keys("PL"))


@pytest.mark.parametrize("country", ["DE", "pl", "", "N"])
def test_a_country_of_which_there_is_nothing_is_refused(
    served: Served, capsys: pytest.CaptureFixture[str], country: str
) -> None:
    """ "All of it is gone" for a typing error."""
    keys = served.data_keys()
    assert main([country, "--yes"]) == 2
    assert "Nothing belongs to" in capsys.readouterr().err
    assert served.data_keys() == keys
