"""One country's file, `prompts/countries/{CC}.md`: what it may say, and how it is read and checked.

Everything that can be wrong in it is an error with file and line, all told at once. Not here: what the files of
all countries and the instructions are together (`prompts.py`), how corrections are fitted (`quality/calibration.py`).
"""

import itertools
import re
from pathlib import Path
from typing import Annotated, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from cs_features.errors import PromptError
from cs_features.extraction.examples import Example, ExampleError, find_prompt_examples
from cs_features.extraction.file_errors import (
    describe_file_errors,
    find_repeated_keys,
    locate_file_errors,
    locate_yaml_error,
)
from cs_features.languages import ISO_639_1
from cs_features.schemas import Channel, Extraction

SECTIONS = ("Languages and register", "Tone and calibration", "Examples")


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


def read_text(path: Path) -> str:
    """A prompt file's text.

    Raises:
        PromptError: it is not there, cannot be read, or is no UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        raise PromptError(f"{path} does not exist; set CS_FEATURES_PROMPTS_DIR to the folder of prompts") from None
    except OSError as error:
        raise PromptError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise PromptError(f"{path}:{line}: is not UTF-8") from None


def read_country_file(path: Path, answers: type[Extraction]) -> CountryFile:
    """A country's file, its worked examples held to the rules of `answers`.

    Raises:
        PromptError: a line each problem, with file, line and what is wrong.
    """
    text = read_text(path)
    match = re.fullmatch(r"---\n(.*?)\n---\n(.*)", text, flags=re.DOTALL)
    if match is None:
        raise PromptError(f"{path}:1: must begin with front matter between two lines of ---")
    front, body = match[1], match[2]
    first_line = text[: match.start(2)].count("\n") + 1
    examples, problems = check_country_examples(path, body, first_line, answers)
    problems += _check_prompt_sections(path, body, first_line)
    try:
        fields = yaml.safe_load(front)
        problems += find_repeated_keys(path, front, 2)
        if not isinstance(fields, dict):
            raise PromptError(f"{path}:2: the front matter must be `key: value` lines")
        fields |= {"body": body.strip(), "examples": examples}
        file = CountryFile.model_validate(fields, context={"stem": path.stem})
        problems += _check_example_belonging(path, file)
    except yaml.YAMLError as error:
        problems.append(locate_yaml_error(path, error, 2))
    except ValidationError as error:
        problems += locate_file_errors(path, error, front, 2)
    if problems:
        raise PromptError("\n".join(problems))
    return file


def check_country_examples(
    path: Path, text: str, first_line: int, answers: type[Extraction]
) -> tuple[tuple[Example, ...], list[str]]:
    """The worked examples of a prompt file, and what is wrong with them, a line each problem."""
    examples: list[Example] = []
    problems: list[str] = []
    for found in find_prompt_examples(text, first_line):
        if isinstance(found, ExampleError):
            problems.append(f"{path}:{found.line}: {found.problem}")
            continue
        examples.append(found)
        channels = get_args(Channel)
        if found.channel not in channels:
            problems.append(f"{path}:{found.line}: {found.channel!r} is no channel; they are {', '.join(channels)}")
        try:
            answers.model_validate(found.answer)
        except ValidationError as error:
            problems += [f"{path}:{found.answer_line}: the example's {what}" for what in describe_file_errors(error)]
    if not examples and not problems:
        problems.append(f"{path}:{first_line}: has no worked example")
    return tuple(examples), problems


def _check_example_belonging(path: Path, file: CountryFile) -> list[str]:
    """A Belgian example in the Dutch file would calibrate the Dutch on Belgian politeness."""
    return [
        f"{path}:{example.line}: an example in {example.language} for {example.country} does not belong to "
        f"{file.country}, whose languages are {', '.join(file.languages)}"
        for example in file.examples
        if example.country != file.country or example.language not in file.languages
    ]


def _check_prompt_sections(path: Path, body: str, first_line: int) -> list[str]:
    lines: dict[str, int] = {}
    for heading in re.finditer(r"^## (.*)$", body, re.M):
        lines[heading[1].strip()] = first_line + body[: heading.start()].count("\n")
    last_line = first_line + body.rstrip().count("\n")
    missing = [f"{path}:{last_line}: the section `## {name}` is missing" for name in SECTIONS if name not in lines]
    strange = [
        f"{path}:{line}: `## {name}` is no section; they are {', '.join(SECTIONS)}"
        for name, line in lines.items()
        if name not in SECTIONS
    ]
    return missing + strange
