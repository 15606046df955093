"""The golden corpus, `prompts/golden/{language}.jsonl`: labelled interactions, checked when they are read.

A wrong item is an error with its file and line. Nothing is asked and nothing is scored here.
"""

from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cs_features.extraction.file_errors import each_told
from cs_features.extraction.prompts import PromptError, Prompts
from cs_features.schemas import Channel, Interaction, Turn

LABELS = ("sentiment", "primary_topic", "intent", "resolution_status", "urgency_score", "csat_indicator")


class GoldenItem(BaseModel):
    """One labelled interaction. `labels` are all features but the summary; `facts` are what a summary must say.

    Each fact is a list of English expressions, any of which counts. `labellings` are the two independent
    labellings before they were reconciled.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    country: str = Field(pattern=r"^[A-Z]{2}$")
    language: str = Field(pattern=r"^[a-z]{2}$")
    channel: Channel
    turns: list[Turn] = Field(min_length=1)
    phenomena: list[str]
    labels: dict[str, Any]
    facts: list[list[str]] = Field(min_length=1)
    labellings: list[dict[str, Any]]
    reconciled: str | None

    def interaction(self) -> Interaction:
        """The item as a landing document, which is what the engine extracts."""
        return Interaction(
            interaction_id=uuid5(NAMESPACE_URL, f"golden/{self.id}"),
            occurred_at=datetime(2026, 1, 1, tzinfo=timezone.utc).isoformat(),  # type: ignore[arg-type]
            country=self.country,
            channel=self.channel,
            turns=self.turns,
            language=self.language,
        )


def load_golden(folder: Path, prompts: Prompts) -> list[GoldenItem]:
    """Every item of the corpus, in the order of files and lines.

    Raises:
        PromptError: one line for each wrong item, with its file, its line and what is wrong.
    """
    items: list[GoldenItem] = []
    problems: list[str] = []
    seen: set[str] = set()
    for path in sorted((folder / "golden").glob("*.jsonl")):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            try:
                item = GoldenItem.model_validate_json(line)
                _check(item, path, prompts, seen)
            except (ValidationError, ValueError) as error:
                what = each_told(error) if isinstance(error, ValidationError) else [str(error)]
                problems.append(f"{path}:{number}: {'; '.join(what)}")
                continue
            seen.add(item.id)
            items.append(item)
    if problems:
        raise PromptError("\n".join(problems))
    return items


def _check(item: GoldenItem, path: Path, prompts: Prompts, seen: set[str]) -> None:
    if item.id in seen:
        raise ValueError(f"id {item.id} occurs twice")
    if item.language != path.stem:
        raise ValueError(f"language {item.language} does not belong in this file")
    if item.country not in prompts.countries:
        raise ValueError(f"there is no country file for {item.country}")
    if set(item.labels) != set(LABELS):
        raise ValueError(f"labels must be {', '.join(LABELS)}")
    # A label is an answer: the same rules hold.
    prompts.answer_model.model_validate({"summary": "-", **item.labels})
