"""The golden corpus, `prompts/golden/{language}.jsonl`: labelled interactions, checked when they are read.

A wrong item is an error with its file and line, all told at once, and stops its own locale. Nothing is asked and
nothing is scored here. What the corpus can and cannot show is said in `prompts/golden/README.md`.
"""

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated, Any
from uuid import NAMESPACE_URL, uuid5

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from cs_features.errors import PromptError
from cs_features.extraction.file_errors import describe_file_errors
from cs_features.extraction.prompts import Prompts
from cs_features.partitions import Locale
from cs_features.schemas import CATEGORICAL, SCORES, Channel, Interaction, Turn

LABELS = (*CATEGORICAL, *SCORES)

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
    def check_lower_case(cls, facts: list[Fact]) -> list[Fact]:
        for expression in itertools.chain.from_iterable(facts):
            if expression != expression.lower():
                raise ValueError(f"{expression!r} is never found: summaries are searched in lower case")
        return facts

    @model_validator(mode="after")
    def check_item_labellings(self) -> "GoldenItem":
        first, second = self.labellings
        if (first == second) != (self.reconciled is None):
            raise ValueError("reconciled must be null where the labellings are identical, and say why where not")
        if first == second != self.labels:
            raise ValueError("labels differ from the labellings, which agree")
        return self

    def as_interaction(self) -> Interaction:
        """The item as a landing document, which is what the engine extracts."""
        return Interaction(
            interaction_id=uuid5(NAMESPACE_URL, f"golden/{self.id}"),
            occurred_at=datetime(2026, 1, 1, tzinfo=timezone.utc).isoformat(),  # type: ignore[arg-type]
            country=self.country,
            channel=self.channel,
            turns=self.turns,
            language=self.language,
        )


@dataclass(frozen=True)
class GoldenProblem:
    """What is wrong with one line; `country` is None where the line does not even say that."""

    language: str
    country: str | None
    description: str


@dataclass(frozen=True)
class GoldenCorpus:
    """The items that can be used, in the order of files and lines; what is wrong with others; `file:line` by id."""

    items: list[GoldenItem]
    problems: list[GoldenProblem]
    places: dict[str, str]

    def require_all_locales(self) -> list[GoldenItem]:
        """Every item.

        Raises:
            PromptError: a line for each thing that is wrong, with its file, its line and what it is.
        """
        _raise_golden_problems(self.problems)
        return self.items

    def require_golden_locale(self, locale: Locale) -> list[GoldenItem]:
        """The items of one locale; what is wrong with those of others does not matter.

        Raises:
            PromptError: as `require_all_locales`, for this locale's lines and for those that name no country.
        """
        countries = (locale.country, None)
        _raise_golden_problems(
            [each for each in self.problems if each.language == locale.language and each.country in countries]
        )
        return [item for item in self.items if (item.country, item.language) == (locale.country, locale.language)]


def _raise_golden_problems(problems: list[GoldenProblem]) -> None:
    if problems:
        raise PromptError("\n".join(each.description for each in problems))


def read_golden_file(folder: Path, prompts: Prompts) -> GoldenCorpus:
    """The corpus in `folder` (the one that holds `golden/`); an item is judged by the taxonomy of `prompts`."""
    corpus = GoldenCorpus([], [], {})
    for path in sorted((folder / "golden").glob("*.jsonl")):
        # Bytes: splitlines() of a str also splits at U+2028 and others that a text may hold.
        for number, line in enumerate(path.read_bytes().splitlines(), start=1):
            place = f"{path}:{number}"
            try:
                item = GoldenItem.model_validate_json(line)
            except ValidationError as error:
                country = _guess_item_country(line)
                corpus.problems.extend(
                    GoldenProblem(path.stem, country, f"{place}: {_strip_field_name(what)}")
                    for what in describe_file_errors(error)
                )
                continue
            found = list(_find_item_problems(item, path.stem, prompts))
            if item.id in corpus.places:
                found.append(f"id {item.id} is taken, {corpus.places[item.id]} has it")
            corpus.places[item.id] = place
            corpus.problems.extend(GoldenProblem(path.stem, item.country, f"{place}: {what}") for what in found)
            if not found:
                corpus.items.append(item)
    return corpus


def load_golden_corpus(folder: Path, prompts: Prompts) -> list[GoldenItem]:
    """Every item of the corpus in `folder`.

    Raises:
        PromptError: as `GoldenCorpus.require_all_locales`.
    """
    return read_golden_file(folder, prompts).require_all_locales()


def _guess_item_country(line: bytes) -> str | None:
    """The country of a line that is no item."""
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    country = entry.get("country") if isinstance(entry, dict) else None
    return country if isinstance(country, str) else None


def _strip_field_name(what: str) -> str:
    """A line that is no JSON, or no item as a whole, is not an answer's fault."""
    return what.removeprefix("answer: ")


def _find_item_problems(item: GoldenItem, language: str, prompts: Prompts) -> Iterator[str]:
    if item.language != language:
        yield f"language {item.language} does not belong in this file"
    if item.country not in prompts.countries and item.country not in prompts.countries.problems:
        yield f"there is no country file for {item.country}"
    named = {"labels": item.labels, "labellings.0": item.labellings[0], "labellings.1": item.labellings[1]}
    for name, labels in named.items():
        if set(labels) != set(LABELS):
            yield f"{name}: must be {', '.join(LABELS)}"
            continue
        try:
            # A label is an answer: the same rules hold.
            answer = prompts.answer_model.model_validate({"summary": "The customer asks.", **labels})
        except ValidationError as error:
            yield from (f"{name}.{what}" for what in describe_file_errors(error))
            continue
        if (answer.sentiment == "negative" and answer.csat_indicator > 0.4) or (
            answer.sentiment == "positive" and answer.csat_indicator < 0.6
        ):
            yield f"{name}: sentiment {answer.sentiment} does not go with csat_indicator {answer.csat_indicator}"
