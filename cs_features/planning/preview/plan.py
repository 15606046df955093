"""Before any call: the features in use, the sample, and what it costs. Reads the tables and ledgers, asks nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl

from cs_features.errors import PromptError, RequestError
from cs_features.extraction.attribution import Owners
from cs_features.extraction.engine import Outcome
from cs_features.extraction.prompting import ConverseRequest
from cs_features.extraction.prompts import Prompts
from cs_features.extraction.table import EXTRACTIONS_SCHEMA, plan_partition_requests
from cs_features.partitions import Partition
from cs_features.planning.preview.changes import count_population_strata
from cs_features.planning.preview.sampling import allocate_stratum_sample, draw_stratum_sample
from cs_features.planning.quote import (
    Habits,
    Queue,
    Quote,
    assume_country_habits,
    build_quote_frame,
    estimate_wall_minutes,
    learn_habits,
    quote_requests,
    select_paid_calls,
)
from cs_features.planning.requests import require_known_countries
from cs_features.schemas import ANSWER_FIELDS
from cs_features.services import DataBucket, Model
from cs_features.storage import Tables

DAYS = 28
# Writing a country's prompt into the cache costs as much as four calls: with 8 % of the calls a preview stays
# under a tenth of the rerun's cost, from a thousand interactions on.
MAX_SHARE = 0.08
MAX_SAMPLE = 400  # at worst +-5 points; +-2.5 would take four times as many

Requests = Mapping[str, ConverseRequest]  # by hash
Outcomes = Mapping[str, Outcome]  # the same

INTERACTION = ["country", "date", "interaction_id"]
POPULATION_SCHEMA = pl.Schema(
    {
        "country": pl.String(),
        "date": pl.Date(),
        "language": pl.String(),
        **{name: EXTRACTIONS_SCHEMA[name] for name in ("interaction_id", *ANSWER_FIELDS, "model_id", "prompt_version")},
    }
)


@dataclass(frozen=True)
class Scope:
    """What to preview. By default: every country, the last 28 days that hold extractions, `sample_size` of them."""

    countries: Sequence[str] = ()
    first: date | None = None
    last: date | None = None
    sample: int | None = None


@dataclass(frozen=True)
class Prepared:
    """A preview before any call.

    `same` are the countries whose prompt the candidate leaves as it is; nothing else here is about them.
    `population` has a row an interaction with its features in use, `sample` some of its rows, with the hash of
    the candidate's request. `raw` has the documents of the sample, `known` what the ledgers hold of its requests.
    """

    model: Model
    in_use: Prompts
    candidate: Prompts
    same: list[str]
    partitions: list[Partition]
    population: pl.DataFrame
    sample: pl.DataFrame
    raw: dict[Partition, pl.DataFrame]
    requests: dict[Partition, Requests]
    known: Outcomes

    @property
    def countries(self) -> list[str]:
        return sorted({partition.country for partition in self.partitions})

    def list_request_owners(self, partition: Partition) -> Owners:
        """Whose each of the candidate's requests is."""
        ours = self.sample.filter(country=partition.country, date=partition.date)
        return dict(ours.group_by("request_hash").agg("interaction_id").iter_rows())

    def by_prompt_in_use(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Those rows whose features come from the prompt and the model in use, and not from earlier ones."""
        versions = {country: self.in_use.asked_version(country) for country in self.countries}
        current = pl.col("country").replace_strict(versions, return_dtype=pl.String)
        return rows.filter(pl.col("prompt_version") == current, pl.col("model_id") == self.model.model_id)


def prepare_preview_plan(candidate: Path, model: Model, data: DataBucket, scope: Scope) -> Prepared:
    """Read the features in use and draw the sample; `model` is the one in use, with its prompts.

    Raises:
        PromptError: the candidate's files cannot be used.
        RequestError: there is nothing to compare with.
        AwsRefusal: the data bucket cannot be read.
    """
    other = model.with_prompts(candidate)
    before, after = model.prompts(), other.prompts()
    exist = before.list_countries() | after.list_countries()
    countries = require_known_countries(scope.countries, exist) if scope.countries else sorted(before.countries)
    _require_candidate_files(countries, (before, after))
    tables = data.tables()
    held = _select_preview_partitions(tables, countries, scope)
    same = [country for country in countries if before.version(country) == after.version(country)]
    partitions = [partition for partition in held if partition.country not in same]
    population = pl.concat(
        [POPULATION_SCHEMA.to_frame(), *(_read_features_in_use(tables, each) for each in partitions)]
    )
    if not held or (partitions and population.is_empty()):
        raise RequestError(
            f"No extractions of {', '.join(countries)} from {scope.first or 'the beginning'} to "
            f"{scope.last or 'today'}: run process_interactions for these days first, or choose others"
        )
    sample = draw_stratified_sample(population, scope.sample or sample_size(population.height))
    raw = {
        partition: read_table(tables, "raw_interactions", partition).join(rows, on="interaction_id", how="semi")
        for partition, rows in split_by_partition(sample)
    }
    sample, requests = add_candidate_requests(sample, raw, after, model)
    ledgers = {partition: read_outcomes(data, partition) for partition in requests}
    known = {
        key: outcome
        for partition, outcomes in ledgers.items()
        for key, outcome in outcomes.items()
        if key in requests[partition]
    }
    return Prepared(other, before, after, same, partitions, population, sample, raw, requests, known)


def _require_candidate_files(countries: Sequence[str], both: Sequence[Prompts]) -> None:
    problems = []
    for prompts in both:
        for country in countries:
            try:
                prompts.countries[country]
            except PromptError as error:
                problems.append(str(error))
    if problems:
        raise PromptError("\n".join(problems))


# --- the sample -------------------------------------------------------------------------------


def sample_size(population: int) -> int:
    return max(1, min(MAX_SAMPLE, int(MAX_SHARE * population)))


def draw_stratified_sample(rows: pl.DataFrame, total: int) -> pl.DataFrame:
    """`total` of the rows, stratified by country and language; the same ones every time."""
    strata = count_population_strata(rows)
    counts = allocate_stratum_sample(strata["interactions"].to_list(), total)
    found = [rows.clear()]
    for (country, language, _), count in zip(strata.iter_rows(), counts, strict=True):
        stratum = rows.filter(pl.col("country") == country, pl.col("language") == language)
        found.append(
            stratum.filter(pl.col("interaction_id").is_in(draw_stratum_sample(stratum["interaction_id"], count)))
        )
    return pl.concat(found)


def add_candidate_requests(
    rows: pl.DataFrame, raw: Mapping[Partition, pl.DataFrame], prompts: Prompts, model: Model
) -> tuple[pl.DataFrame, dict[Partition, Requests]]:
    """The rows with the hash of the request that `prompts` make of each, and these requests."""
    hashes = []
    requests: dict[Partition, Requests] = {}
    for partition, group in split_by_partition(rows):
        documents = raw[partition].join(group, on="interaction_id", how="semi")
        needed, planned = plan_partition_requests(documents, prompts, model.capabilities(), model.masking)
        requests[partition] = planned
        hashes += [(partition.country, partition.date, each.interaction_id, each.request_hash) for each in needed]
    schema = {name: POPULATION_SCHEMA[name] for name in INTERACTION} | {"request_hash": pl.String()}
    return rows.join(pl.DataFrame(hashes, schema=schema, orient="row"), on=INTERACTION), requests


def split_by_partition(rows: pl.DataFrame) -> list[tuple[Partition, pl.DataFrame]]:
    groups = rows.partition_by("country", "date", as_dict=True)
    return [(Partition(country, day), group) for (country, day), group in groups.items()]


def select_country_rows(requests: Mapping[Partition, Requests], country: str) -> Requests:
    """A country's requests, each once, in however many partitions its text stands."""
    asked = [found for partition, found in requests.items() if partition.country == country]
    return {key: request for found in asked for key, request in found.items()}


# --- what is there ----------------------------------------------------------------------------


def read_table(tables: Tables, name: str, partition: Partition) -> pl.DataFrame:
    frame = tables.read(name, partition)
    if frame is None:
        raise RequestError(f"{name} has no {partition}: run process_interactions for it first")
    return frame


def read_outcomes(data: DataBucket, partition: Partition) -> dict[str, Outcome]:
    """What the partition's ledger holds now."""
    return data.ledger(partition.folder).read_outcomes()


def _select_preview_partitions(tables: Tables, countries: Sequence[str], scope: Scope) -> list[Partition]:
    held = sorted(each for each in tables.partitions("llm_extractions") if each.country in countries)
    if scope.first is None and scope.last is None:
        days = sorted({partition.date for partition in held})[-DAYS:]
        return [partition for partition in held if partition.date in days]
    first, last = scope.first or date.min, scope.last or date.max
    return [partition for partition in held if first <= partition.date <= last]


def _read_features_in_use(tables: Tables, partition: Partition) -> pl.DataFrame:
    """The interactions of a partition that were asked, answered or not."""
    raw, extractions = (read_table(tables, name, partition) for name in ("raw_interactions", "llm_extractions"))
    return (
        raw.filter(pl.col("status") == "accepted")
        .select("interaction_id", "language")
        .join(extractions, on="interaction_id")
        .with_columns(country=pl.lit(partition.country), date=pl.lit(partition.date))
        .select(POPULATION_SCHEMA.names())
    )


# --- the price --------------------------------------------------------------------------------


def price_of_sample(prepared: Prepared) -> dict[str, Any]:
    """What the sample costs beyond the ledgers; the sum as in `quote.build_quote_frame`."""
    quotes = []
    for country in prepared.countries:
        requests = select_country_rows(prepared.requests, country)
        quotes.append(
            _quote_sample_requests(prepared, country, requests, prepared.known, _learn_habits(prepared, country, {}))
        )
    return _sum_quotes(quotes, sum(quote.minutes for quote in quotes))


def price_of_rerun(prepared: Prepared, data: DataBucket, outcomes: Outcomes) -> dict[str, Any]:
    """What all partitions cost with the candidate beyond the ledgers, by what the sample's `outcomes` have cost."""
    habits = {country: _learn_habits(prepared, country, outcomes) for country in prepared.countries}
    quotes = []
    for partition in prepared.partitions:
        raw = read_table(data.tables(), "raw_interactions", partition)
        _, requests = plan_partition_requests(
            raw, prepared.candidate, prepared.model.capabilities(), prepared.model.masking
        )
        known, of_its_country = read_outcomes(data, partition), habits[partition.country]
        quotes.append(_quote_sample_requests(prepared, str(partition), requests, known, of_its_country))
    return _sum_quotes(quotes, estimate_wall_minutes(quotes, Queue(), prepared.model))


def _learn_habits(prepared: Prepared, country: str, outcomes: Outcomes) -> Habits:
    calls = select_paid_calls(select_country_rows(prepared.requests, country), dict(outcomes))
    return learn_habits(calls) or assume_country_habits(prepared.candidate, country, prepared.model.capabilities())


def _quote_sample_requests(prepared: Prepared, name: str, requests: Requests, known: Outcomes, habits: Habits) -> Quote:
    return quote_requests(name, len(requests), requests, known, habits, prepared.model.capabilities(), prepared.model)


def _sum_quotes(quotes: Sequence[Quote], wall_minutes: float) -> dict[str, Any]:
    return build_quote_frame(quotes, wall_minutes).to_dicts()[-1]
