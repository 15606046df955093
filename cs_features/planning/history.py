"""What a quote is made from: the documents that landed, what the ledger has of them, and what calls have been like.

Reads the buckets and asks no model; the arithmetic is `quote.py`'s.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

import polars as pl

from cs_features.errors import CsFeaturesError, RequestError
from cs_features.extraction.account_quota import AccountQuota
from cs_features.extraction.engine import Outcome
from cs_features.extraction.host import make_host_folder
from cs_features.extraction.prompting import ConverseRequest
from cs_features.extraction.table import plan_partition_requests
from cs_features.landing.documents import DocumentReader
from cs_features.landing.earlier import read_earlier_tables
from cs_features.landing.reading import read_landed_partition
from cs_features.partitions import Partition
from cs_features.planning.quote import (
    CALLS_SCHEMA,
    Habits,
    Quote,
    assume_country_habits,
    count_own_characters,
    learn_habits,
    quote_requests,
    select_paid_calls,
)
from cs_features.services import DataBucket, Landing, Model
from cs_features.storage import Tables

ENOUGH_CALLS = 500
MAX_DAYS = 14  # tables to read for one partition
_NO_CALLS = CALLS_SCHEMA.to_frame()


def quote_landed_documents(
    partitions: Sequence[Partition], landing: Landing, data: DataBucket, model: Model
) -> list[Quote]:
    """Quote each partition from what the landing bucket and the ledger hold now; one without documents has none.

    Raises:
        PromptError: a country has no usable file.
        AwsRefusal: a bucket cannot be read.
    """
    history = History(data, model)
    prompts, capabilities, zone = model.prompts(), model.capabilities(), landing.zone()
    quotes = []
    for partition in partitions:
        reader = DocumentReader(partition, tuple(prompts.countries[partition.country].languages))
        raw = read_landed_partition(
            zone, zone.list_documents(partition), reader, read_earlier_tables(data.tables(), partition)
        )
        needed, requests = plan_partition_requests(raw, prompts, capabilities, model.masking)
        if not requests:
            continue
        known = data.ledger(partition.folder).read_outcomes()
        habits = history.learn_habits(partition, requests, known)
        quotes.append(quote_requests(str(partition), len(needed), requests, known, habits, capabilities, model))
    return quotes


def limit_by_account(model: Model, data: DataBucket) -> Model:
    """The model for estimates: where no quota is stated, runs keep to the account's. Nothing is written."""
    if model.requests_per_minute or model.tokens_per_minute:
        return model
    with suppress(CsFeaturesError):  # an estimate without it is rougher, and still one
        quota = AccountQuota(data.bucket(), model.model_id, make_host_folder()).estimate_quota()
        return replace(model, requests_per_minute=quota.requests_per_minute, tokens_per_minute=quota.tokens_per_minute)
    return model


class History:
    """What calls for a country have been like, from the days that hold extractions; each is read once."""

    def __init__(self, data: DataBucket, model: Model) -> None:
        self._tables = data.tables()
        self._model = model
        self._held = self._tables.partitions("llm_extractions")
        self._read: dict[Partition, pl.DataFrame] = {}

    def learn_habits(
        self, partition: Partition, requests: Mapping[str, ConverseRequest], known: dict[str, Outcome]
    ) -> Habits:
        """From the partition's own calls: those of the ledger, if it is half done, and those of an earlier prompt in
        its table; and from the days nearest to it, before or after."""
        found = {partition: select_paid_calls(requests, known)}
        for other in self._list_nearest_partitions(partition):
            if sum(frame.height for frame in found.values()) >= ENOUGH_CALLS:
                break
            calls = self._read_calls(other).filter(~pl.col("request_hash").is_in(list(requests)))
            found[other] = pl.concat([found.get(other, _NO_CALLS), calls.drop("request_hash")])
        days = [each.date for each, calls in found.items() if calls.height]
        span = f"{min(days)} to {max(days)}" if days else ""
        learned = learn_habits(pl.concat(found.values()), span)
        return learned or assume_country_habits(self._model.prompts(), partition.country, self._model.capabilities())

    def _list_nearest_partitions(self, partition: Partition) -> list[Partition]:
        others = [each for each in self._held if each.country == partition.country]
        return sorted(others, key=lambda other: abs((other.date - partition.date).days))[:MAX_DAYS]

    def _read_calls(self, partition: Partition) -> pl.DataFrame:
        if partition not in self._read:
            self._read[partition] = read_calls(partition, self._tables, self._model)
        return self._read[partition]


def read_calls(partition: Partition, tables: Tables, model: Model) -> pl.DataFrame:
    """The calls of a day that the model in use answered at the first attempt, with whatever prompt it had then.

    `CALLS_SCHEMA`, and the hash of each request.
    """
    raw = tables.read("raw_interactions", partition)
    extractions = tables.read("llm_extractions", partition)
    if raw is None or extractions is None:
        return _NO_CALLS.with_columns(request_hash=pl.lit(None, pl.String()))
    known = raw.filter(pl.col("payload").is_not_null())  # the texts of long ago are forgotten
    needed, requests = plan_partition_requests(known, model.prompts(), model.capabilities(), model.masking)
    characters = {each.interaction_id: count_own_characters(requests[each.request_hash]) for each in needed}
    return (
        extractions.with_columns(
            prompt_tokens=pl.sum_horizontal("input_tokens", "cache_read_tokens", "cache_write_tokens"),
            characters=pl.col("interaction_id").replace_strict(characters, default=None, return_dtype=pl.Int64),
        )
        .filter(
            pl.col("status") == "answered",
            pl.col("model_id") == model.model_id,
            pl.col("attempts") == 1,
            pl.col("prompt_tokens") > 0,
            pl.col("characters").is_not_null(),
        )
        .select(*CALLS_SCHEMA.names(), "request_hash")
    )


def list_stale_partitions(partitions: Iterable[Partition], data: DataBucket, model: Model) -> list[Partition]:
    """Those whose features were not all made with the prompt and model in use. What was never made is not stale."""
    tables = data.tables()
    held = set(tables.partitions("validated_features"))
    return [each for each in partitions if each in held and _is_stale(each, tables, model)]


def _is_stale(partition: Partition, tables: Tables, model: Model) -> bool:
    frame = tables.read("validated_features", partition)
    if frame is None:
        raise RequestError(f"validated_features of {partition} was deleted while it was read: ask again")
    current = (pl.col("prompt_version") == model.prompts().version(partition.country)) & (
        pl.col("model_id") == model.model_id
    )
    return not frame.select(current.all()).item()
