"""The golden corpus, `prompts/golden/{language}.jsonl`: labelled interactions, checked when they are read.

A wrong item is an error with its file and line, and all errors are told at once. Nothing is asked and nothing
is scored here. What the corpus can and cannot show stands in `prompts/golden/README.md`.
"""

from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated, Any
from uuid import NAMESPACE_URL, uuid5

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from cs_features.errors import PromptError
from cs_features.extraction.file_errors import each_told
from cs_features.extraction.prompts import Prompts
from cs_features.schemas import Channel, Interaction, Turn

LABELS = ("sentiment", "primary_topic", "intent", "resolution_status", "urgency_score", "csat_indicator")

Labels = dict[str, Any]
Fact = Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1)]


class GoldenItem(BaseModel):
    """One labelled interaction. `labels` are all features but the summary; `facts` are what a summary must say.

    Each fact is a list of English expressions, any of which counts. `labellings` are the two independent
    labellings before they were reconciled; `reconciled` says how, null where they agreed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    country: str = Field(pattern=r"^[A-Z]{2}$")
    language: str = Field(pattern=r"^[a-z]{2}$")
    channel: Channel
    turns: list[Turn] = Field(min_length=1)
    phenomena: list[str]
    labels: Labels
    facts: list[Fact] = Field(min_length=1)
    labellings: tuple[Labels, Labels]
    reconciled: str | None

    @field_validator("facts")
    @classmethod
    def are_in_lower_case(cls, facts: list[Fact]) -> list[Fact]:
        if upper := [expression for fact in facts for expression in fact if expression != expression.lower()]:
            raise ValueError(f"{upper[0]!r} is never found: summaries are searched in lower case")
        return facts

    @model_validator(mode="after")
    def labels_come_from_the_labellings(self) -> "GoldenItem":
        first, second = self.labellings
        if (first == second) != (self.reconciled is None):
            raise ValueError("reconciled must be null where the labellings are identical, and say why where not")
        if first == second != self.labels:
            raise ValueError("labels differ from the labellings, which agree")
        return self

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
    """Every item of the corpus in `folder` (the one that holds `golden/`), in the order of files and lines.

    Raises:
        PromptError: a line for each thing that is wrong, with its file, its line and what it is.
    """
    items: list[GoldenItem] = []
    problems: list[str] = []
    places: dict[str, str] = {}
    for path in sorted((folder / "golden").glob("*.jsonl")):
        # Bytes: splitlines() of a str also splits at U+2028 and others that a text may hold.
        for number, line in enumerate(path.read_bytes().splitlines(), start=1):
            place = f"{path}:{number}"
            try:
                item = GoldenItem.model_validate_json(line)
            except ValidationError as error:
                problems += [f"{place}: {_readable(what)}" for what in each_told(error)]
                continue
            problems += [f"{place}: {what}" for what in _problems(item, path.stem, prompts)]
            if item.id in places:
                problems.append(f"{place}: id {item.id} is taken, {places[item.id]} has it")
            places[item.id] = place
            items.append(item)
    if problems:
        raise PromptError("\n".join(problems))
    return items


def _readable(what: str) -> str:
    """A line that is no JSON, or no item as a whole, is not an answer's fault."""
    return what.removeprefix("answer: ")


def _problems(item: GoldenItem, language: str, prompts: Prompts) -> Iterator[str]:
    if item.language != language:
        yield f"language {item.language} does not belong in this file"
    if item.country not in prompts.countries:
        yield f"there is no country file for {item.country}"
    named = {"labels": item.labels, "labellings.0": item.labellings[0], "labellings.1": item.labellings[1]}
    for name, labels in named.items():
        if set(labels) != set(LABELS):
            yield f"{name}: must be {', '.join(LABELS)}"
            continue
        try:
            # A label is an answer: the same rules hold.
            answer = prompts.answer_model.model_validate({"summary": "-", **labels})
        except ValidationError as error:
            yield from (f"{name}.{what}" for what in each_told(error))
            continue
        if (answer.sentiment == "negative" and answer.csat_indicator > 0.4) or (
            answer.sentiment == "positive" and answer.csat_indicator < 0.6
        ):
            yield f"{name}: sentiment {answer.sentiment} does not go with csat_indicator {answer.csat_indicator}"
