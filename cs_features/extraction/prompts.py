"""The files in `prompts/` that reach the model, read and checked: instructions, taxonomy, a file a country.

A country's file that cannot be used stops its own country and no other. How the files become a request is
`prompting.py`'s. Whether an example leaks from the golden corpus is told by `quality/leaks.py`.
"""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from cs_features.errors import PromptError
from cs_features.extraction.country_files import CountryFile, check_country_examples, read_country_file, read_text
from cs_features.extraction.examples import Example
from cs_features.extraction.file_errors import locate_file_errors, locate_yaml_error
from cs_features.hashing import content_hash
from cs_features.schemas import Extraction, extraction_model

TOOL_NAME = "record_features"
TAXONOMY_PLACEHOLDER = "{{taxonomy}}"
_COUNTRY_FILE = re.compile(r"[A-Z]{2}\.md")
_MEANT_AS_COUNTRY = re.compile(r"[a-z]{2,3}\.(md|markdown|txt)", re.IGNORECASE)


class TaxonomyEntry(BaseModel):
    """One value, and the line that draws its border to its neighbours."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(pattern=r"^[a-z][a-z_]*$")
    description: str = Field(min_length=1)


class TaxonomyChange(BaseModel):
    """What a version changed for those who train on the feature: values, and in `note` meanings."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int = Field(ge=2)
    added: list[str] = Field(default_factory=list)
    removed: list[str] = Field(default_factory=list)
    note: str = Field(min_length=1)


class Taxonomy(BaseModel):
    """`prompts/taxonomy.yaml`: the values of `primary_topic` and `intent`, and what changed from version to version."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int = Field(default=1, ge=1)
    changes: list[TaxonomyChange] = Field(default_factory=list)
    topics: list[TaxonomyEntry] = Field(min_length=2)
    intents: list[TaxonomyEntry] = Field(min_length=2)

    @model_validator(mode="after")
    def check_changes(self) -> "Taxonomy":
        if [change.version for change in self.changes] != list(range(2, self.version + 1)):
            raise ValueError("`changes` must tell of each version from 2 to `version`, once, in order")
        values = {entry.id for entry in (*self.topics, *self.intents)}
        for identifier in sorted(self._list_latest_additions() - values):
            raise ValueError(f"`changes` says that {identifier} was added, but no value has that id")
        return self

    def _list_latest_additions(self) -> set[str]:
        present: set[str] = set()
        for change in self.changes:
            present = (present | set(change.added)) - set(change.removed)
        return present

    def list_removed_values(self) -> list[str]:
        """What older versions had and this one has not."""
        ever = {value for change in self.changes for value in change.removed}
        return sorted(ever - {entry.id for entry in (*self.topics, *self.intents)})

    @field_validator("topics", "intents")
    @classmethod
    def ids_are_unique(cls, entries: list[TaxonomyEntry]) -> list[TaxonomyEntry]:
        twice = [identifier for identifier, count in Counter(entry.id for entry in entries).items() if count > 1]
        if twice:
            raise ValueError(f"{', '.join(twice)} occurs twice")
        return entries

    def as_text(self) -> str:
        topics, intents = _list_folder_entries(self.topics), _list_folder_entries(self.intents)
        return f"Topics (primary_topic):\n{topics}\n\nIntents (intent):\n{intents}"


def _list_folder_entries(entries: list[TaxonomyEntry]) -> str:
    return "\n".join(f"- `{entry.id}`: {entry.description}" for entry in entries)


class CountryFiles(dict[str, CountryFile]):
    """The usable files by country; asking for any other says what is wrong with it.

    Raises:
        PromptError: on `[country]`, with the file, the lines and what is wrong there, or that there is no file.
    """

    def __init__(self, files: Mapping[str, CountryFile], problems: Mapping[str, str], folder: Path) -> None:
        super().__init__(files)
        self.problems = dict(problems)
        self.folder = folder

    def __missing__(self, country: str) -> CountryFile:
        missing = (
            f"{self.folder / country}.md does not exist: put it back, or `make new-country COUNTRY={country}`; "
            "if the country is gone for good, reload the definitions in Dagster"
        )
        raise PromptError(self.problems.get(country, missing))


@dataclass(frozen=True)
class Prompts:
    """Everything under `prompts/` that reaches the model, checked. `countries` has the files that can be used."""

    instructions: str
    taxonomy: Taxonomy
    countries: CountryFiles
    examples: tuple[Example, ...] = field(default=())  # those of the instructions

    @cached_property
    def answer_model(self) -> type[Extraction]:
        """What the model may answer now."""
        return _build_answer_model(self.taxonomy)

    @cached_property
    def features_model(self) -> type[Extraction]:
        """What a row of features may hold: answers of older versions keep the values that these had."""
        removed = self.taxonomy.list_removed_values()
        if not removed:
            return self.answer_model
        topics, intents = ([entry.id for entry in entries] for entries in (self.taxonomy.topics, self.taxonomy.intents))
        return extraction_model([*topics, *removed], [*intents, *removed])

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
        """Fingerprint of what the model is told: changes when, and only when, that does.

        It begins with the version of the taxonomy, such as `t2-`: whoever trains on the features sees in each row
        which meaning its topic and intent have.
        """
        digest = content_hash([self.instructions, self.countries[country].body, self.tool])[:12]
        return f"t{self.taxonomy.version}-{digest}"

    def applied_version(self, country: str, asked_version: str) -> str:
        """Fingerprint of all that made a country's values: what the model was told, and the corrections of its scores.

        `asked_version` may be that of an older prompt, whose answers the corrections of today are applied to.
        """
        calibration = self.countries[country].calibration
        if not calibration:
            return asked_version
        corrections = {model: each.model_dump() for model, each in calibration.items()}
        taxonomy, dash, _ = asked_version.rpartition("-")
        return f"{taxonomy}{dash}{content_hash([asked_version, corrections])[:12]}"

    def version(self, country: str) -> str:
        """What features that are asked for and corrected now are made with; the floors change no feature."""
        return self.applied_version(country, self.asked_version(country))

    def list_countries(self) -> set[str]:
        """The countries that have a file, whether it can be used or not."""
        return self.countries.keys() | self.countries.problems.keys()

    def list_examples(self) -> list[Example]:
        """The worked examples of the instructions and of every country."""
        examples = list(self.examples)
        for file in self.countries.values():
            examples += file.examples
        return examples


def _build_answer_model(taxonomy: Taxonomy) -> type[Extraction]:
    return extraction_model([entry.id for entry in taxonomy.topics], [entry.id for entry in taxonomy.intents])


def load_prompt_folder(folder: Path) -> Prompts:
    """Read and check `instructions.md`, `taxonomy.yaml` and `countries/*.md`.

    What is wrong with one country's file is told when that country is asked for; `check_country_files` tells all.

    Raises:
        PromptError: what every country needs cannot be used; a line each problem, with file, line and what is wrong.
    """
    return _load_prompts(folder, _read_file_states(folder))


def check_country_files(prompts: Prompts) -> list[str]:
    """What is wrong with the countries' files, a line each problem; those of no country's name that are meant to be."""
    problems = "\n".join(prompts.countries.problems.values()).splitlines()
    return problems + [
        f"{path}: is no country's file, and nothing reads it: name it by the code in capitals, such as DE.md"
        for path in sorted(prompts.countries.folder.iterdir())
        if _MEANT_AS_COUNTRY.fullmatch(path.name) and not _COUNTRY_FILE.fullmatch(path.name)
    ]


def _read_file_states(folder: Path) -> tuple[tuple[str, int, int], ...]:
    """Name, time and size of every file that counts: equal as long as nobody has written any of them."""
    files = [folder / "instructions.md", folder / "taxonomy.yaml", *sorted((folder / "countries").glob("*.md"))]
    states = [(str(path), path.stat()) for path in files if path.exists()]
    return tuple((path, state.st_mtime_ns, state.st_size) for path, state in states)


@lru_cache(maxsize=4)
def _load_prompts(folder: Path, _states: tuple[tuple[str, int, int], ...]) -> Prompts:
    # A run asks for its prompts in every step; reading and checking them took a quarter of a small run.
    taxonomy = _read_taxonomy_file(folder / "taxonomy.yaml")  # without it no example can be judged
    answers = _build_answer_model(taxonomy)
    path = folder / "instructions.md"
    instructions = read_text(path)
    examples, problems = check_country_examples(path, instructions, 1, answers)
    if instructions.count(TAXONOMY_PLACEHOLDER) != 1:
        problems.append(f"{path}:1: must hold {TAXONOMY_PLACEHOLDER} exactly once")
    countries = _read_country_files(folder / "countries", answers)
    if not countries and not countries.problems:
        problems.append(f"{folder / 'countries'} holds no file such as NL.md; see CS_FEATURES_PROMPTS_DIR")
    if problems:
        raise PromptError("\n".join(problems))
    return Prompts(instructions.replace(TAXONOMY_PLACEHOLDER, taxonomy.as_text()), taxonomy, countries, examples)


def _read_country_files(folder: Path, answers: type[Extraction]) -> CountryFiles:
    files: dict[str, CountryFile] = {}
    problems: dict[str, str] = {}
    for path in sorted(folder.glob("[A-Z][A-Z].md")):
        try:
            files[path.stem] = read_country_file(path, answers)
        except PromptError as error:
            problems[path.stem] = str(error)
    return CountryFiles(files, problems, folder)


def _read_taxonomy_file(path: Path) -> Taxonomy:
    text = read_text(path)
    try:
        return Taxonomy.model_validate(yaml.safe_load(text))
    except yaml.YAMLError as error:
        raise PromptError(locate_yaml_error(path, error, 1)) from None
    except ValidationError as error:
        raise PromptError("\n".join(locate_file_errors(path, error, text, 1))) from None
