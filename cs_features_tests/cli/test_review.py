"""`review draw` and `review read` on tables that the chain made: the files that go out and come back."""

from pathlib import Path

import polars as pl
import pytest

from cs_features.cli import calibrate, review
from cs_features.review.records import Records
from cs_features_tests.support.documents import DAY, document, jsonl
from cs_features_tests.support.lab import Lab
from cs_features_tests.support.review import Colleague


@pytest.fixture
def processed(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Lab:
    lab.land("NL", DAY, "a.jsonl", jsonl(document(number) for number in range(12)))
    assert lab.process().success
    monkeypatch.setenv("CS_FEATURES_LANDING_BUCKET", lab.settings.landing_bucket)
    monkeypatch.setenv("CS_FEATURES_DATA_BUCKET", lab.settings.data_bucket)
    monkeypatch.setenv("CS_FEATURES_FEATURE_GROUP", lab.settings.feature_group)
    return lab


def test_a_sheet_goes_out_and_its_labels_come_back(
    processed: Lab, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "sheet.xlsx"
    # What was drawn for a file that could not be written was not drawn again.
    assert review.main(["draw", "--country", "NL", "--out", str(tmp_path / "nowhere" / "sheet.xlsx")]) == 2
    assert "cannot be written" in capsys.readouterr().err
    assert review.main(["draw", "--country", "NL", "--size", "10", "--out", str(path)]) == 0
    assert "10 texts of 2025-03 (2 hard, 8 random), in nl" in capsys.readouterr().out
    colleague = Colleague(path.read_bytes())
    first, second, *_ = colleague.tokens
    colleague.fill({token: {"G": 0.7} for token in colleague.tokens})
    colleague.fill({first: {"C": "negatief"}, second: {"C": "boos"}})
    path.write_bytes(colleague.save())
    assert review.main(["read", str(path)]) == review.BAD_CELLS
    told = capsys.readouterr()
    assert "11 labels of 10 texts kept, 1 cells to mend" in told.out
    assert f"Teksten, row {colleague.tokens.index(second) + 2}, column C: not a value of the list" in told.err
    records = Records(processed.resources["data"].bucket())
    (sheet,) = records.list_drawn_sheets("NL")
    labels = records.read_labels(sheet)
    assert labels is not None
    told_of_first = labels.filter(token=first).select("sentiment", "urgency_score")
    assert told_of_first.rows() == [("negative", 0.7)]
    assert "interaction_id" not in labels.columns
    monkeypatch.setattr("sys.argv", ["calibrate", "--country", "NL", "--people", "--dry-run"])
    assert calibrate.main() == 0
    assert "NL urgency_score: 8 items" in capsys.readouterr().out
    no_text = pl.lit(None, pl.String()).alias("payload")  # as retention leaves it
    processed.overwrite("raw_interactions", lambda table: table.with_columns(no_text))
    assert review.main(["draw", "--country", "NL", "--size", "2"]) == 2
    assert "no text of 2025-03 is left" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["draw", "--country", "XX"], "no country here"),
        (["draw", "--country", "NL", "--month", "2026"], "write YYYY-MM"),
        (["draw", "--country", "NL", "--size", "0"], "1 to 500 items"),
        (["draw", "--country", "NL", "--reader", "0"], "numbered from 1"),
        (["read", "/nowhere/file.xlsx"], "cannot be read"),
    ],
)
def test_what_cannot_be_meant_is_one_sentence(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert review.main(arguments) == 2
    told = capsys.readouterr().err
    assert sentence in told
    assert told.count("\n") == 1
