"""What a sheet says in the colleague's language: `words/{language}.yaml`, read and checked.

A value of the taxonomy without a gloss is shown by its English description, so that a new value needs no translation
to be asked for. Not here: which values there are (`prompts/taxonomy.yaml`, `schemas.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import get_args

import yaml
from pydantic import BaseModel, ConfigDict

from cs_features.errors import RequestError
from cs_features.extraction.prompts import Taxonomy
from cs_features.schemas import CATEGORICAL, SCORES, Extraction

FOLDER = Path(__file__).parent / "words"
LANGUAGES: Mapping[str, tuple[str, ...]] = {
    "NL": ("nl",),
    "BE": ("nl", "fr"),
    "FR": ("fr",),
    "ES": ("es",),
    "PL": ("pl",),
}
FALLBACK = "en"
STEPS = tuple(step / 10 for step in range(11))  # what may be chosen for a score
DESCRIPTION_LIMIT = 90  # characters of an English description in a list


class Words(BaseModel):
    """A sheet's own words in one language; of each categorical field the gloss of its values."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sheet: str
    about: str
    headings: dict[str, str]
    cannot_tell: str
    title: str
    instructions: list[str]
    sentiment: dict[str, str]
    resolution_status: dict[str, str]
    primary_topic: dict[str, str]
    intent: dict[str, str]


@dataclass(frozen=True)
class Choices:
    """What may stand in a categorical field's cells: value by gloss, in the order of the list."""

    values: Mapping[str, str]
    cannot_tell: str


@lru_cache(maxsize=8)
def load_language_words(language: str) -> Words:
    return Words.model_validate(yaml.safe_load((FOLDER / f"{language}.yaml").read_text("utf-8")))


def choose_instruction_language(country: str, asked: str | None) -> str:
    """The language asked for, or the first of the country's; English where nobody has written the country's words.

    Raises:
        RequestError: nobody has written this language's words.
    """
    written = sorted(path.stem for path in FOLDER.glob("*.yaml"))
    if asked is not None and asked not in written:
        raise RequestError(f"A sheet can be in {', '.join(written)}, not in {asked!r}")
    return asked or LANGUAGES.get(country, (FALLBACK,))[0]


def list_field_choices(words: Words, taxonomy: Taxonomy) -> dict[str, Choices]:
    """The lists of the categorical fields."""
    return {field: Choices(_gloss_field_values(field, words, taxonomy), words.cannot_tell) for field in CATEGORICAL}


def _gloss_field_values(field: str, words: Words, taxonomy: Taxonomy) -> dict[str, str]:
    glosses: Mapping[str, str] = getattr(words, field)
    found: dict[str, str] = {}
    for value, description in _list_values(field, taxonomy).items():
        gloss = glosses.get(value) or shorten_value_description(value, description)
        found[gloss if gloss not in found else f"{gloss} ({value})"] = value
    return found


def shorten_value_description(value: str, description: str) -> str:
    """The value's name with the beginning of what the prompt says of it."""
    name = value.replace("_", " ").capitalize()
    told = f"{name}: {description}" if description else name
    return told if len(told) <= DESCRIPTION_LIMIT else f"{told[: DESCRIPTION_LIMIT - 2].rstrip()} …"


def _list_values(field: str, taxonomy: Taxonomy) -> dict[str, str]:
    """The values with their English descriptions."""
    if field == "primary_topic":
        return {entry.id: entry.description for entry in taxonomy.topics}
    if field == "intent":
        return {entry.id: entry.description for entry in taxonomy.intents}
    return dict.fromkeys(get_args(Extraction.model_fields[field].annotation), "")


ASKED = (*CATEGORICAL, *SCORES)
