"""Whether a country's quality is known to have fallen below its floor. `standing` is pure; `stands` reads for it.

Known means measured with the model and the prompt in use, and below means that the whole 95 % interval is:
with the few items of a language, anything weaker would block on chance.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import polars as pl

from cs_features.extraction.prompts import Floors
from cs_features.partitions import Locale, locales_in
from cs_features.quality.evaluation import wilson
from cs_features.schemas import CATEGORICAL
from cs_features.services import Model
from cs_features.storage import Tables

ALL = "all"


@dataclass(frozen=True)
class Standing:
    """What is known of a country: cells below their floor, and languages that nobody has measured."""

    below: list[str]
    unmeasured: list[str]

    def __str__(self) -> str:
        told = [f"known to be below the floor: {'; '.join(self.below)}"] if self.below else []
        if self.unmeasured:
            told.append(
                f"unknown with this prompt and model: {', '.join(self.unmeasured)}; materialize extraction_quality"
            )
        return ". ".join(told) or "no language is known to be below its floor"


def standing(
    measured: Mapping[str, pl.DataFrame | None],
    floors: Floors,
    languages: Collection[str],
    model_id: str,
    prompt_version: str,
) -> Standing:
    """Where a country stands.

    `measured` are the latest tables of `extraction_quality` by language, for every language of the country
    that the golden corpus has; None was never measured. A cell counts where its language is one of
    `languages`, those that occur in what is about to be extracted; all of the country together always does.
    """
    current = {
        language: frame.filter(
            (pl.col("measure") == "accuracy")
            & (pl.col("model_id") == model_id)
            & (pl.col("prompt_version") == prompt_version)
        )
        for language, frame in measured.items()
        if frame is not None
    }
    current = {language: frame for language, frame in current.items() if frame.height}
    below = []
    for name in CATEGORICAL:
        floor = float(getattr(floors, name))
        cells = {language: _cell(frame, name) for language, frame in current.items()}
        judged = {language: cell for language, cell in cells.items() if language in languages}
        judged[ALL] = (sum(right for right, _ in cells.values()), sum(items for _, items in cells.values()))
        for language, (right, items) in judged.items():
            low, high = wilson(right, items)
            if items and high < floor:
                below.append(f"{language} {name} {right / items:.2f} ({low:.2f}-{high:.2f}), floor {floor:.2f}")
    unmeasured = sorted(language for language in languages if language in measured and language not in current)
    return Standing(below, unmeasured)


def stands(country: str, languages: Collection[str], model: Model, tables: Tables) -> Standing:
    """Where `country` stands now with the prompt and model in use, for interactions in `languages`."""
    prompts = model.prompts()
    locales = [Locale.from_key(key) for key in locales_in(model.prompts_dir)]
    measured = {
        locale.language: tables.read("extraction_quality", locale) for locale in locales if locale.country == country
    }
    floors, version = prompts.countries[country].floors, prompts.version(country)
    return standing(measured, floors, languages, model.model_id, version)


def _cell(frame: pl.DataFrame, name: str) -> tuple[int, int]:
    """(right answers, items) of one field."""
    row = frame.row(by_predicate=pl.col("field") == name, named=True)
    return round(row["value"] * row["items"]), row["items"]
