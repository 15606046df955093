"""`make audit`: known faults of the locked dependencies, where a source of advisories can be reached.

Where none can be, that is said, and is no success: nobody has looked. pip-audit asks; its answer is read here.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LOCK = Path(__file__).resolve().parents[2] / "requirements.lock"
FAULTS, NOT_LOOKED = 1, 3
SECONDS = 300


@dataclass(frozen=True)
class Findings:
    """What was found: a line a fault, and the packages of which no source knew anything."""

    looked: int
    faults: Sequence[str]
    unknown: Sequence[str]


def main() -> int:
    """0: none known; 1: some are, listed; 3: no source of advisories answered, for one package or for all."""
    findings = read_audit_findings(_ask_pip_audit())
    for line in findings.faults:
        print(line)
    if findings.faults:
        return FAULTS
    if findings.unknown or not findings.looked:
        known = f"of {len(findings.unknown)} packages no source of advisories that can be reached from here knows"
        print(f"Nobody has looked: {known}. Run it where one can be, such as CI.", file=sys.stderr)
        return NOT_LOOKED
    print(f"No known fault in the {findings.looked} packages of {LOCK.name}.")
    return 0


def _ask_pip_audit() -> str:
    """Its answer as JSON; empty where it gave none."""
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(LOCK), "--no-deps", "--disable-pip"]
    try:
        done = subprocess.run(  # noqa: S603
            [*command, "--format", "json", "--progress-spinner", "off"],
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return ""
    return done.stdout


def read_audit_findings(answer: str) -> Findings:
    """pip-audit's answer; what it skipped it does not know to be well."""
    packages: list[dict[str, Any]] = json.loads(answer)["dependencies"] if answer.strip() else []
    faults = [
        f"{each['name']} {each['version']}: {fault['id']}, mended in {', '.join(fault['fix_versions']) or 'no version'}"
        for each in packages
        for fault in each.get("vulns", [])
    ]
    unknown = [each["name"] for each in packages if "skip_reason" in each]
    return Findings(len(packages) - len(unknown), faults, unknown)


if __name__ == "__main__":
    sys.exit(main())
