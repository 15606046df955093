"""The files in `prompts/` that reach the model, read and checked: instructions, taxonomy, a file a country.

Everything that can be wrong in them is an error with file and line, and all errors are told at once. How
they become a request is `prompting.py`'s. Whether an example leaks from the golden corpus is `lint_prompts`'s.
"""

import itertools
import re
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Annotated, Any, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from cs_features.errors import PromptError
from cs_features.extraction.examples import Example, ExampleError, examples_in
from cs_features.extraction.file_errors import each_told, repeated_keys, told, told_of_yaml
from cs_features.hashing import content_hash
from cs_features.languages import ISO_639_1
from cs_features.schemas import Channel, Extraction, extraction_model

TOOL_NAME = "record_features"
TAXONOMY_PLACEHOLDER = "{{taxonomy}}"
SECTIONS = ("Languages and register", "Tone and calibration", "Examples")


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


Share = Annotated[float, Field(ge=0, le=1)]


class Floors(BaseModel):
    """The shares of right answers on the golden corpus below which a country publishes nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sentiment: Share
    primary_topic: Share
    intent: Share
    resolution_status: Share


class ScoreCalibration(BaseModel):
    """How to read one score of one model: `knots` are (what it says, what that means), linear in between.

    `threshold` is, after the correction, from where an interaction counts as urgent, or up to where its
    customer counts as dissatisfied.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    threshold: Share
    knots: tuple[tuple[Share, Share], ...] = Field(min_length=2)

    @field_validator("knots")
    @classmethod
    def is_monotone(cls, knots: tuple[tuple[float, float], ...]) -> tuple[tuple[float, float], ...]:
        if any(a[0] >= b[0] or a[1] > b[1] for a, b in itertools.pairwise(knots)):
            raise ValueError("knots must rise: a correction may never turn the order of two scores around")
        return knots


class ModelCalibration(BaseModel):
    """The corrections of one model in one country, as `make calibrate` fits them on the golden corpus."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    urgency_score: ScoreCalibration | None = None
    csat_indicator: ScoreCalibration | None = None


class CountryFile(BaseModel):
    """`prompts/countries/{CC}.md`: front matter, and the body that the model reads."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    country: str = Field(pattern=r"^[A-Z]{2}$")
    name: str
    languages: list[str] = Field(min_length=1)
    floors: Floors
    calibration: dict[str, ModelCalibration] = Field(default_factory=dict)
    body: str = Field(min_length=1)
    examples: tuple[Example, ...] = ()

    @field_validator("languages")
    @classmethod
    def are_languages(cls, languages: list[str]) -> list[str]:
        unknown = [code for code in languages if code not in ISO_639_1]
        if unknown:
            raise ValueError(f"{', '.join(unknown)} is no ISO 639-1 code")
        return languages

    @field_validator("country")
    @classmethod
    def names_its_file(cls, country: str, info: ValidationInfo) -> str:
        if info.context and country != info.context["stem"]:
            raise ValueError(f"the file is {info.context['stem']}.md; its name must be the country's code")
        return country


@dataclass(frozen=True)
class Prompts:
    """Everything under `prompts/` that reaches the model, checked."""

    instructions: str
    taxonomy: Taxonomy
    countries: dict[str, CountryFile]
    examples: tuple[Example, ...] = field(default=())  # those of the instructions

    @cached_property
    def answer_model(self) -> type[Extraction]:
        return _answer_model(self.taxonomy)

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

    def asked_version(self, country: str) -> str:
        """Fingerprint of what the model is told: changes when, and only when, that does."""
        return content_hash([self.instructions, self.countries[country].body, self.tool])[:12]

    def applied_version(self, country: str, asked_version: str) -> str:
        """Fingerprint of all that made a country's values: what the model was told, and the corrections of its scores.

        `asked_version` may be that of an older prompt, whose answers the corrections of today are applied to.
        """
        calibration = self.countries[country].calibration
        if not calibration:
            return asked_version
        corrections = {model: each.model_dump() for model, each in calibration.items()}
        return content_hash([asked_version, corrections])[:12]

    def version(self, country: str) -> str:
        """What features that are asked for and corrected now are made with; the floors change no feature."""
        return self.applied_version(country, self.asked_version(country))

    def every_example(self) -> list[Example]:
        """The worked examples of the instructions and of every country."""
        return [*self.examples, *(example for file in self.countries.values() for example in file.examples)]


def _answer_model(taxonomy: Taxonomy) -> type[Extraction]:
    return extraction_model([entry.id for entry in taxonomy.topics], [entry.id for entry in taxonomy.intents])


def load_prompts(folder: Path) -> Prompts:
    """Read and check `instructions.md`, `taxonomy.yaml` and `countries/*.md`.

    Raises:
        PromptError: a line each problem, with file, line and what is wrong; for a missing file, the
            variable to set.
    """
    return _load_prompts(folder, _states_of_files(folder))


def _states_of_files(folder: Path) -> tuple[tuple[str, int, int], ...]:
    """Name, time and size of every file that counts: equal as long as nobody has written any of them."""
    files = [folder / "instructions.md", folder / "taxonomy.yaml", *sorted((folder / "countries").glob("*.md"))]
    states = [(str(path), path.stat()) for path in files if path.exists()]
    return tuple((path, state.st_mtime_ns, state.st_size) for path, state in states)


@lru_cache(maxsize=4)
def _load_prompts(folder: Path, _states: tuple[tuple[str, int, int], ...]) -> Prompts:
    # A run asks for its prompts in every step; reading and checking them took a quarter of a small run.
    taxonomy = _taxonomy(folder / "taxonomy.yaml")  # without it no example can be judged
    answers = _answer_model(taxonomy)
    problems: list[str] = []
    instructions_path = folder / "instructions.md"
    instructions = _text_of(instructions_path)
    if instructions.count(TAXONOMY_PLACEHOLDER) != 1:
        problems.append(f"{instructions_path}:1: must hold {TAXONOMY_PLACEHOLDER} exactly once")
    countries: dict[str, CountryFile] = {}
    for path in sorted((folder / "countries").glob("[A-Z][A-Z].md")):
        try:
            countries[path.stem] = _country_file(path, answers)
        except PromptError as error:
            problems.append(str(error))
    if not countries and not problems:
        problems.append(f"{folder / 'countries'} holds no file such as NL.md; see CS_FEATURES_PROMPTS_DIR")
    examples, wrong = _examples(instructions_path, instructions, 1, answers)
    if problems or wrong:
        raise PromptError("\n".join([*problems, *wrong]))
    return Prompts(instructions.replace(TAXONOMY_PLACEHOLDER, taxonomy.as_text()), taxonomy, countries, examples)


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise PromptError(f"{path} does not exist; set CS_FEATURES_PROMPTS_DIR to the folder of prompts") from None


def _taxonomy(path: Path) -> Taxonomy:
    text = _text_of(path)
    try:
        return Taxonomy.model_validate(yaml.safe_load(text))
    except yaml.YAMLError as error:
        raise PromptError(told_of_yaml(path, error, 1)) from None
    except ValidationError as error:
        raise PromptError("\n".join(told(path, error, text, 1))) from None


def _country_file(path: Path, answers: type[Extraction]) -> CountryFile:
    text = _text_of(path)
    match = re.fullmatch(r"---\n(.*?)\n---\n(.*)", text, flags=re.DOTALL)
    if match is None:
        raise PromptError(f"{path}:1: must begin with front matter between two lines of ---")
    front, body = match[1], match[2].strip()
    first_line = text[: match.start(2)].count("\n") + 1
    examples, problems = _examples(path, match[2], first_line, answers)
    problems += _sections(path, match[2], first_line)
    try:
        fields = yaml.safe_load(front)
        problems += repeated_keys(path, front, 2)
        if not isinstance(fields, dict):
            raise PromptError(f"{path}:2: the front matter must be `key: value` lines")
        file = CountryFile.model_validate({**fields, "body": body, "examples": examples}, context={"stem": path.stem})
    except yaml.YAMLError as error:
        problems.append(told_of_yaml(path, error, 2))
    except ValidationError as error:
        problems += told(path, error, front, 2)
    else:
        problems += [
            f"{path}:{example.line}: an example in {example.language} for {example.country} does not belong to "
            f"{file.country}, whose languages are {', '.join(file.languages)}"
            for example in examples
            if example.country != file.country or example.language not in file.languages
        ]
    if problems:
        raise PromptError("\n".join(problems))
    return file


def _sections(path: Path, body: str, first_line: int) -> list[str]:
    found = [(match[1].strip(), body[: match.start()].count("\n")) for match in re.finditer(r"^## (.*)$", body, re.M)]
    last_line = first_line + body.rstrip().count("\n")
    missing = [
        f"{path}:{last_line}: the section `## {name}` is missing" for name in SECTIONS if name not in dict(found)
    ]
    strange = [
        f"{path}:{first_line + line}: `## {name}` is no section; they are {', '.join(SECTIONS)}"
        for name, line in found
        if name not in SECTIONS
    ]
    return missing + strange


def _examples(
    path: Path, text: str, first_line: int, answers: type[Extraction]
) -> tuple[tuple[Example, ...], list[str]]:
    """The worked examples of a file, and what is wrong with them."""
    examples: list[Example] = []
    problems: list[str] = []
    for found in examples_in(text, first_line):
        if isinstance(found, ExampleError):
            problems.append(f"{path}:{found.line}: {found.problem}")
            continue
        if found.channel not in get_args(Channel):
            problems.append(
                f"{path}:{found.line}: {found.channel!r} is no channel; they are {', '.join(get_args(Channel))}"
            )
        try:
            answers.model_validate(found.answer)
        except ValidationError as error:
            problems += [f"{path}:{found.answer_line}: the example's {what}" for what in each_told(error)]
        examples.append(found)
    if not examples and not problems:
        problems.append(f"{path}:{first_line}: has no worked example")
    return tuple(examples), problems
