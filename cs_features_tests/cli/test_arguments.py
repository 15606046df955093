"""Options that argparse alone would take."""

import pytest

from cs_features.cli import backfill, heartbeat, quote


@pytest.mark.parametrize("text", ["0", "-3", "1.5", "ten", "", "9" * 400])
def test_a_number_that_cannot_be_meant_is_refused_with_its_option(
    text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--runs-at-once -3` was quietly taken for 1, and a watchman with fourteen nines died of a traceback."""
    monkeypatch.setattr("sys.argv", ["quote", "--first", "2026-11-24", f"--runs-at-once={text}"])
    for option, act in (
        ("--runs-at-once", lambda: backfill.main([f"--runs-at-once={text}"])),
        ("--minutes", lambda: heartbeat.main([f"--minutes={text}"])),
        ("--runs-at-once", quote.main),
    ):
        with pytest.raises(SystemExit, match="2"):
            act()
        assert f"argument {option}: {text!r} is no whole number" in capsys.readouterr().err
