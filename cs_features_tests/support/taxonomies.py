"""Edits of a taxonomy as people make them."""

from pathlib import Path

import yaml


def remove_topic(prompts: Path, topic: str) -> None:
    """Take a topic out, raise the version and say so."""
    path = prompts / "taxonomy.yaml"
    taxonomy = yaml.safe_load(path.read_text(encoding="utf-8"))
    taxonomy["version"] += 1
    taxonomy["changes"].append({"version": taxonomy["version"], "removed": [topic], "note": "Nobody needs it."})
    taxonomy["topics"] = [entry for entry in taxonomy["topics"] if entry["id"] != topic]
    path.write_text(yaml.safe_dump(taxonomy, sort_keys=False), encoding="utf-8")
