"""Whether a country's quality is known to have fallen below its floor. `judge_country_quality` is pure;
`read_measurements` reads for it.

Known means measured with the model and the prompt in use, and below means that the whole 95 % interval is:
with the few items of a language, anything weaker would block on chance. What nobody has measured is not known,
whether the corpus has items of it or not.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import polars as pl

from cs_features.extraction.country_files import Floors
from cs_features.languages import UNDETERMINED
from cs_features.partitions import Country, Locale, list_locales
from cs_features.quality.evaluation import compute_wilson_interval
from cs_features.schemas import CATEGORICAL
from cs_features.services import Model
from cs_features.storage import Tables

ALL = "all"
QUALITY, HUMAN_QUALITY = "extraction_quality", "human_quality"
ENOUGH_LABELS = 30  # of people, in a language: from then on they decide, and not the golden corpus


@dataclass(frozen=True)
class KnownQuality:
    """What is known of a country: cells below their floor, and languages of which nothing is known.

    `unmeasured` languages have golden items, those `without_items` have none.
    """

    below: list[str]
    unmeasured: list[str]
    without_items: list[str]
    by_people: list[str] = field(default_factory=list)
    """Languages that people have labelled enough of to be judged by them; the others are by the golden corpus."""

    @property
    def is_sufficient(self) -> bool:
        """Everything was measured, and nothing is below its floor."""
        return not (self.below or self.unmeasured or self.without_items)

    def __str__(self) -> str:
        sentences = []
        if self.below:
            sentences.append(f"known to be below the floor: {'; '.join(self.below)}")
        if self.unmeasured:
            languages = ", ".join(self.unmeasured)
            sentences.append(f"unknown with this prompt and model: {languages}; materialize extraction_quality")
        if self.without_items:
            languages = ", ".join(self.without_items)
            sentences.append(
                f"cannot be known: {languages} has no golden items of this country; write some, as "
                "prompts/golden/README.md says"
            )
        told = ". ".join(sentences) or "no language is known to be below its floor"
        return f"{told}. Judged by people's labels: {', '.join(self.by_people)}" if self.by_people else told


def judge_country_quality(
    measured: Mapping[str, pl.DataFrame | None],
    floors: Floors,
    languages: Collection[str],
    model_id: str,
    prompt_version: str,
    human: pl.DataFrame | None = None,
) -> KnownQuality:
    """What is known of a country.

    `measured` are the latest tables of `extraction_quality` by language, for every language of the country
    that the golden corpus has; None was never measured. A cell counts where its language is one of
    `languages`, those that occur in what is about to be extracted; all of the country together always does.
    `human` is the table `human_quality`: a language of which people have labelled enough is judged by them.
    """
    golden = _select_current_figures(measured, model_id, prompt_version)
    by_people = _select_current_figures(split_human_quality(human), model_id, prompt_version)
    current = {
        language: _prefer_people_figures(golden.get(language), by_people.get(language))
        for language in {**golden, **by_people}
    }
    below = []
    for name in CATEGORICAL:
        floor = float(getattr(floors, name))
        cells = {language: _count_right_answers(frame, name) for language, frame in current.items()}
        judged = {language: cell for language, cell in cells.items() if language in languages}
        judged[ALL] = (sum(right for right, _ in cells.values()), sum(items for _, items in cells.values()))
        for language, (right, items) in judged.items():
            low, high = compute_wilson_interval(right, items)
            if items and high < floor:
                below.append(f"{language} {name} {right / items:.2f} ({low:.2f}-{high:.2f}), floor {floor:.2f}")
    # A text in no language that can be told is in none that could have items.
    spoken = set(languages) - {UNDETERMINED}
    unmeasured = spoken & measured.keys() - current.keys()
    without_items = spoken - measured.keys() - current.keys()
    return KnownQuality(below, sorted(unmeasured), sorted(without_items), sorted(by_people.keys() & spoken))


def split_human_quality(human: pl.DataFrame | None) -> dict[str, pl.DataFrame | None]:
    """By language, the accuracies that people's labels are enough for; each stands for as many items as it tells of."""
    if human is None:
        return {}
    told = human.filter(
        pl.col("measure") == "accuracy", pl.col("items") >= ENOUGH_LABELS, pl.col("language") != ALL
    ).with_columns(items=pl.col("effective").floor().cast(pl.Int64))
    return {language: rows for (language,), rows in told.partition_by("language", as_dict=True).items()}


def _prefer_people_figures(golden: pl.DataFrame | None, people: pl.DataFrame | None) -> pl.DataFrame:
    """A field's accuracy by people's labels where there is one, else by the golden corpus."""
    if golden is None or people is None:
        return people if golden is None else golden  # type: ignore[return-value]
    shared = [name for name in golden.columns if name in people.columns]
    return pl.concat([people.select(shared), golden.join(people, on="field", how="anti").select(shared)])


def _select_current_figures(
    measured: Mapping[str, pl.DataFrame | None], model_id: str, prompt_version: str
) -> dict[str, pl.DataFrame]:
    """The accuracies that were measured with this prompt and model, of the languages that have any."""
    current = {}
    for language, frame in measured.items():
        if frame is None:
            continue
        of_now = frame.filter(
            (pl.col("measure") == "accuracy")
            & (pl.col("model_id") == model_id)
            & (pl.col("prompt_version") == prompt_version)
        )
        if of_now.height:
            current[language] = of_now
    return current


@dataclass(frozen=True)
class Measurements:
    """A country's latest tables, of whatever prompt and model: what `read_measured_figures` gives, and people's."""

    golden: Mapping[str, pl.DataFrame | None]
    human: pl.DataFrame | None


def read_measurements(country: str, model: Model, tables: Tables) -> Measurements:
    """What was measured of `country` last."""
    locales = [Locale.from_key(key) for key in list_locales(model.find_prompts_folder())]
    golden = read_measured_figures([locale for locale in locales if locale.country == country], tables)
    return Measurements(golden, read_human_quality(country, tables))


def judge_measurements(
    measurements: Measurements, country: str, languages: Collection[str], model: Model
) -> KnownQuality:
    """What they say with the prompt and model in use, for interactions in `languages`."""
    prompts = model.prompts()
    floors, version = prompts.countries[country].floors, prompts.version(country)
    return judge_country_quality(measurements.golden, floors, languages, model.model_id, version, measurements.human)


# By address and ETag: a run asks twice, and what was measured a week ago is the same.
_read_before: dict[tuple[str, str], pl.DataFrame | None] = {}
_KEPT = 100  # tables


def read_measured_figures(locales: Collection[Locale], tables: Tables) -> dict[str, pl.DataFrame | None]:
    """The latest tables of `extraction_quality` of a country's locales, by language; None was never measured."""
    measured: dict[str, pl.DataFrame | None] = {locale.language: None for locale in locales}
    for country in sorted({locale.country for locale in locales}):
        listed = tables.bucket.list_bucket_objects(f"{QUALITY}/country={country}/").objects
        etags = {item.key: item.etag for item in listed}
        for locale in locales:
            key = tables.key(QUALITY, locale)
            if locale.country == country and key in etags:
                measured[locale.language] = _read_once(QUALITY, locale, etags[key], tables)
    return measured


def read_human_quality(country: str, tables: Tables) -> pl.DataFrame | None:
    """The table of people's judgement; None where nobody has labelled anything."""
    key = tables.key(HUMAN_QUALITY, Country(country))
    found = next((item for item in tables.bucket.list_bucket_objects(key).objects if item.key == key), None)
    return None if found is None else _read_once(HUMAN_QUALITY, Country(country), found.etag, tables)


def _read_once(table: str, place: Locale | Country, etag: str, tables: Tables) -> pl.DataFrame | None:
    version = tables.uri(table, place), etag
    if version not in _read_before:
        if len(_read_before) >= _KEPT:
            _read_before.clear()
        _read_before[version] = tables.read(table, place)
    return _read_before[version]


def _count_right_answers(frame: pl.DataFrame, name: str) -> tuple[int, int]:
    """(right answers, items) of one field."""
    found = frame.filter(pl.col("field") == name)
    if found.is_empty():  # people have said too little of it, and nobody has measured it
        return 0, 0
    row = found.row(0, named=True)
    return round(row["value"] * row["items"]), row["items"]
