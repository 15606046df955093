"""A folder of texts with labels of their own sources."""

import json
import uuid
from pathlib import Path
from typing import Any


def folder_of(path: Path, entries: list[tuple[str, dict[str, Any]]], language: str = "pl") -> Path:
    """A folder of landed documents beside a `labels.jsonl`: a document and a label line for each (source, labels)."""
    landing = path / "landing" / "country=PL" / "date=2026-11-20"
    landing.mkdir(parents=True, exist_ok=True)
    documents, labels = [], []
    for number, (source, given) in enumerate(entries):
        identifier = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{language}/{number}"))
        documents.append(
            {
                "interaction_id": identifier,
                "occurred_at": "2026-11-20T10:00:00+00:00",
                "country": "PL",
                "channel": "review",
                "text": f"Tekst {number}",
            }
        )
        labels.append({"interaction_id": identifier, "language": language, "source": source, "labels": given})
    for target, lines in ((landing / f"{language}.jsonl", documents), (path / "labels.jsonl", labels)):
        with target.open("a") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)
    return path


REVIEWS = [("polemo2.0-in", {"sentiment": ("positive", "negative", "ambivalent")[number % 3]}) for number in range(30)]
