"""`make audit`: a package that nobody knows is not one that is well."""

import json

import pytest

from cs_features.cli import audit
from cs_features.cli.audit import FAULTS, NOT_LOOKED, main

WELL = {"name": "polars", "version": "2.0", "vulns": []}
FAULTY = {"name": "pillow", "version": "12.0", "vulns": [{"id": "X-1", "fix_versions": ["12.1"]}]}
UNKNOWN = {"name": "boto3", "version": "1.44", "skip_reason": "not found"}


@pytest.mark.parametrize(
    ("packages", "code", "said"),
    [
        ([WELL], 0, "No known fault in the 1 packages"),
        ([WELL, FAULTY], FAULTS, "pillow 12.0: X-1, mended in 12.1"),
        ([WELL, UNKNOWN], NOT_LOOKED, "of 1 packages no source"),
        ([UNKNOWN], NOT_LOOKED, "Nobody has looked"),
        ([], NOT_LOOKED, "Nobody has looked"),
    ],
)
def test_it_says_what_is_known_and_where_nobody_has_looked(
    packages: list[object], code: int, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Behind a mirror that knows no advisories, pip-audit skips all packages and ends as if all were well."""
    monkeypatch.setattr(audit, "_ask_pip_audit", lambda: json.dumps({"dependencies": packages}) if packages else "")
    assert main() == code
    captured = capsys.readouterr()
    assert said in captured.out + captured.err
