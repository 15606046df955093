"""What the latest reconciliation found, as the landing sensor reads it: which partitions, and what is wrong in each.

One small file in the data bucket, replaced whole. Not here: how anything is found (`reconciliation.py`), and what
is done about it (`orchestration/sensors/landing.py`).
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from cs_features.storage import Tables

FINDINGS_KEY = "reconciliation/differences.json"


class FindingKind(str, Enum):
    """What can be wrong in a partition. A file may hold kinds of a newer version: they stay plain text."""

    DOCUMENTS = "documents"  # landed is not validated + rejected + duplicates
    SUPERSEDED = "superseded"  # an interaction is validated here though a later document elsewhere has its id
    UNPUBLISHED = "unpublished"  # a validated row that was never written to the feature group in use
    TAKEN_OUT = "taken_out"  # a record that was written and is not served


@dataclass(frozen=True)
class Differences:
    """The partitions that differed at the latest reconciliation, by key, with the kinds of finding in each."""

    found_by: str = ""
    """The reconciliation's id; empty before the first."""
    findings: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @property
    def partitions(self) -> frozenset[str]:
        return frozenset(self.findings)

    def select_finding_partitions(self, is_wanted: Callable[[str], bool]) -> "Differences":
        return Differences(self.found_by, {key: kinds for key, kinds in self.findings.items() if is_wanted(key)})


def name_documents_finding(partitions: Iterable[str]) -> dict[str, frozenset[str]]:
    """Findings of the law alone, for so many partition keys."""
    return {key: frozenset({FindingKind.DOCUMENTS.value}) for key in partitions}


def write_reconciled_differences(tables: Tables, differences: Differences) -> None:
    content = {
        "found_by": differences.found_by,
        # Versions before the kinds read this list alone.
        "partitions": sorted(differences.findings),
        "findings": {key: sorted(kinds) for key, kinds in sorted(differences.findings.items())},
    }
    tables.bucket.put(FINDINGS_KEY, json.dumps(content).encode())


def read_reconciled_differences(tables: Tables) -> Differences:
    """What the latest reconciliation found; nothing before the first, or where the file is not one of ours.

    Raises:
        AwsRefusal: when the data bucket cannot be read.
    """
    body = tables.bucket.get(FINDINGS_KEY)
    try:
        content = json.loads(body or b"{}")
    except ValueError:
        return Differences()  # the next reconciliation writes it anew; a tick must not fail of it
    if not isinstance(content, dict):
        return Differences()
    return Differences(str(content.get("found_by", "")), _findings_of(content))


def _findings_of(content: dict[str, Any]) -> dict[str, frozenset[str]]:
    findings = content.get("findings")
    if isinstance(findings, dict):
        return {key: frozenset(map(str, kinds)) for key, kinds in findings.items()}
    return name_documents_finding(map(str, content.get("partitions", [])))
