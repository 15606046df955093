"""From the files in `prompts/` and one interaction to one Converse request.

Prefix order: tool, fixed instructions, cache point, country block, cache point, interaction. The
prefix must come out byte for byte the same for every call of a country, or nothing is cached.
No call is made here, and no setting decides anything that the request hash does not cover.
"""

import json
import re
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from cs_features.extraction.models import ModelCapabilities
from cs_features.hashing import content_hash
from cs_features.schemas import Extraction, Interaction, Turn, extraction_model

TOOL_NAME = "record_features"
TAXONOMY_PLACEHOLDER = "{{taxonomy}}"

# An answer is some 330 characters of JSON, 110 tokens or so. The quota reserves maxTokens up front, so a
# small value buys throughput; the room above is for long summaries and generous tokenizers.
MAX_OUTPUT_TOKENS = 450

ConverseRequest = dict[str, Any]


class PromptError(ValueError):
    """A prompt file is missing or cannot be used; the message names the file and what to do."""


class TaxonomyEntry(BaseModel):
    """One value, and the line that draws its border to its neighbours."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(pattern=r"^[a-z][a-z_]*$")
    description: str = Field(min_length=1)


class Taxonomy(BaseModel):
    """`prompts/taxonomy.yaml`: the values of `primary_topic` and `intent`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    topics: list[TaxonomyEntry] = Field(min_length=2)
    intents: list[TaxonomyEntry] = Field(min_length=2)

    @field_validator("topics", "intents")
    @classmethod
    def ids_are_unique(cls, entries: list[TaxonomyEntry]) -> list[TaxonomyEntry]:
        twice = [identifier for identifier, count in Counter(entry.id for entry in entries).items() if count > 1]
        if twice:
            raise ValueError(f"{', '.join(twice)} occurs twice")
        return entries

    def as_text(self) -> str:
        def bullets(entries: list[TaxonomyEntry]) -> str:
            return "\n".join(f"- `{entry.id}`: {entry.description}" for entry in entries)

        return f"Topics (primary_topic):\n{bullets(self.topics)}\n\nIntents (intent):\n{bullets(self.intents)}"


class CountryFile(BaseModel):
    """`prompts/countries/{CC}.md`: front matter, and the body that the model reads."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    country: str = Field(pattern=r"^[A-Z]{2}$")
    name: str
    languages: list[str] = Field(min_length=1)
    body: str = Field(min_length=1)


@dataclass(frozen=True)
class Prompts:
    """Everything under `prompts/` that reaches the model, checked."""

    instructions: str
    taxonomy: Taxonomy
    countries: dict[str, CountryFile]

    @cached_property
    def answer_model(self) -> type[Extraction]:
        return extraction_model(
            [entry.id for entry in self.taxonomy.topics], [entry.id for entry in self.taxonomy.intents]
        )

    @cached_property
    def tool(self) -> dict[str, Any]:
        schema = self.answer_model.model_json_schema()
        schema.pop("title")
        for rule in schema["properties"].values():
            rule.pop("title")
        return {
            "toolSpec": {
                "name": TOOL_NAME,
                "description": "Record the seven features of the interaction.",
                "inputSchema": {"json": schema},
            }
        }

    def version(self, country: str) -> str:
        """Fingerprint of what the model is told for `country`: changes when, and only when, that does."""
        told = [self.instructions, self.countries[country].body, self.tool]
        return content_hash(told)[:12]


def load_prompts(folder: Path) -> Prompts:
    """Read and check `instructions.md`, `taxonomy.yaml` and `countries/*.md`.

    Raises:
        PromptError: names the file, what is wrong with it and, for a missing one, the variable to set.
    """
    taxonomy_path = folder / "taxonomy.yaml"
    try:
        taxonomy = Taxonomy.model_validate(yaml.safe_load(_text_of(taxonomy_path)))
    except (ValidationError, yaml.YAMLError) as error:
        raise PromptError(f"{taxonomy_path}: {error}") from None
    instructions_path = folder / "instructions.md"
    instructions = _text_of(instructions_path)
    if instructions.count(TAXONOMY_PLACEHOLDER) != 1:
        raise PromptError(f"{instructions_path} must hold {TAXONOMY_PLACEHOLDER} exactly once")
    countries = {path.stem: _country_file(path) for path in sorted((folder / "countries").glob("[A-Z][A-Z].md"))}
    if not countries:
        raise PromptError(f"{folder / 'countries'} holds no file such as NL.md; see CS_FEATURES_PROMPTS_DIR")
    return Prompts(instructions.replace(TAXONOMY_PLACEHOLDER, taxonomy.as_text()), taxonomy, countries)


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise PromptError(f"{path} does not exist; set CS_FEATURES_PROMPTS_DIR to the folder of prompts") from None


def _country_file(path: Path) -> CountryFile:
    match = re.fullmatch(r"---\n(.*?)\n---\n(.*)", _text_of(path), flags=re.DOTALL)
    if match is None:
        raise PromptError(f"{path} must begin with front matter between two lines of ---")
    try:
        country = CountryFile.model_validate({**yaml.safe_load(match[1]), "body": match[2].strip()})
    except (ValidationError, yaml.YAMLError, TypeError) as error:
        raise PromptError(f"{path}: {error}") from None
    if country.country != path.stem:
        raise PromptError(f"{path} says country: {country.country}; the file's name must be the country's code")
    return country


def render_interaction(interaction: Interaction, language: str, limit: int) -> tuple[str, bool]:
    """The user message, and whether turns were left out because it was longer than `limit` characters.

    Beyond the limit the first and the last turns are kept, because that is where the wish and the
    outcome stand, and a line says what is missing.
    """
    lines, truncated = _within(interaction.utterances, limit)
    text = "\n".join(lines)
    # A customer may type our tags. Data must not be able to close its own envelope.
    text = re.sub(r"<(?=\s*/?\s*interaction)", "‹", text, flags=re.IGNORECASE)
    head = f'<interaction channel="{interaction.channel}" language="{language}" country="{interaction.country}">'
    return f"{head}\n{text}\n</interaction>", truncated


def _within(turns: list[Turn], limit: int) -> tuple[list[str], bool]:
    # Indented, a line of a customer's text cannot pass for another speaker's turn.
    lines = ["\n  ".join(f"{turn.speaker}: {turn.text.strip()}".splitlines()) for turn in turns]
    if sum(map(len, lines)) <= limit:
        return lines, False
    head = _first_characters(lines, limit // 2)
    tail = [line[::-1] for line in _first_characters([line[::-1] for line in reversed(lines)], limit // 2)][::-1]
    return [*head, "system: [middle of the interaction left out, too long]", *tail], True


def _first_characters(lines: list[str], limit: int) -> list[str]:
    kept: list[str] = []
    for line in lines:
        if len(line) >= limit:
            return [*kept, line[:limit]]
        kept.append(line)
        limit -= len(line)
    return kept


def prefix_tokens(prompts: Prompts, country: str, model: ModelCapabilities) -> int:
    """Estimated tokens of what every call of a country shares, and the cache may keep."""
    shared = [prompts.instructions, prompts.countries[country].body, json.dumps(prompts.tool)]
    return round(sum(map(len, shared)) * model.tokens_per_character)


def build_request(
    prompts: Prompts, model: ModelCapabilities, interaction: Interaction, language: str
) -> tuple[ConverseRequest, bool]:
    """The Converse request of one interaction, and whether its text was truncated."""
    text, truncated = render_interaction(interaction, language, model.input_characters)
    cache_point = [{"cachePoint": {"type": "default"}}] if model.cache_points else []
    inference: dict[str, Any] = {"maxTokens": MAX_OUTPUT_TOKENS}
    if model.temperature is not None:
        inference["temperature"] = model.temperature
    request = {
        "modelId": model.model_id,
        "system": [
            {"text": prompts.instructions},
            *cache_point,
            {"text": prompts.countries[interaction.country].body},
            *cache_point,
        ],
        "messages": [{"role": "user", "content": [{"text": text}]}],
        "inferenceConfig": inference,
        "toolConfig": {"tools": [prompts.tool], "toolChoice": {"tool": {"name": TOOL_NAME}}},
    }
    return request, truncated


def repair_request(request: ConverseRequest, tool_use: dict[str, Any], complaint: str) -> ConverseRequest:
    """The same request, continued with the invalid answer and what the validator says of it."""
    # An answer may come without any input, but may not be sent back without.
    said = {**tool_use, "input": tool_use.get("input") or {}}
    answer = {"role": "assistant", "content": [{"toolUse": said}]}
    verdict = {
        "toolUseId": tool_use["toolUseId"],
        "content": [{"text": f"Invalid: {complaint}. Record all seven features again, within the schema."}],
        "status": "error",
    }
    return {
        **request,
        "messages": [*request["messages"], answer, {"role": "user", "content": [{"toolResult": verdict}]}],
    }


def request_hash(request: ConverseRequest) -> str:
    """Equal for two requests exactly when the model is told the same in the same way."""
    return content_hash(request)
