"""One sheet drawn: the sample, its tokens, its texts, and the record of all of it. Acts through the data bucket.

How items are chosen is `sampling.py`'s, how the file looks `workbook.py`'s.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from random import Random

import polars as pl

from cs_features.errors import RequestError
from cs_features.hashing import content_hash
from cs_features.partitions import Partition
from cs_features.review.frame import (
    Version,
    add_item_difficulty,
    choose_drawn_month,
    exclude_drawn_items,
    find_newest_version,
    read_sampling_frame,
    read_texts,
    select_prompt_version,
)
from cs_features.review.records import DRAWN_SCHEMA, Records, Sheet
from cs_features.review.sampling import (
    DOUBLED,
    RANDOM,
    REPEATED,
    Sizes,
    choose_hard_items,
    choose_known_items,
    divide_sheet_size,
    draw_random_items,
)
from cs_features.review.words import Choices, choose_instruction_language, list_field_choices, load_language_words
from cs_features.services import Model
from cs_features.storage import Tables

ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"  # nothing that is read as something else
MAX_SIZE = 500

Entry = tuple[str, str]  # a token and its text


@dataclass(frozen=True)
class DrawRequest:
    """What somebody asks for. `texts` are the languages that the colleague reads; none means all.

    Raises:
        RequestError: for a size that cannot be meant.
    """

    country: str
    size: int
    month: date | None = None
    reader: int = 1
    language: str | None = None
    texts: Sequence[str] = ()

    def __post_init__(self) -> None:
        if not 1 <= self.size <= MAX_SIZE:
            raise RequestError(f"A sheet has 1 to {MAX_SIZE} items, not {self.size}")
        if self.reader < 1:
            raise RequestError(f"Colleagues are numbered from 1, not {self.reader}")


@dataclass(frozen=True)
class DrawnSheet:
    """A sheet before it is written: what is on record, and what the colleague sees, in the order of the file."""

    sheet: Sheet
    drawn: pl.DataFrame
    entries: Sequence[Entry]
    choices: dict[str, Choices]


@dataclass(frozen=True)
class Known:
    """What earlier sheets of the country hold, and what of it may be asked again, or of another colleague."""

    rows: pl.DataFrame
    random: frozenset[str]
    doublable: frozenset[str]
    repeatable: frozenset[str]


def draw_review_sheet(request: DrawRequest, model: Model, tables: Tables, now: datetime) -> DrawnSheet:
    """Draw, and put on record what was drawn.

    Raises:
        RequestError: there is nothing to draw, or the request cannot be meant.
    """
    language = choose_instruction_language(request.country, request.language)
    records, random = Records(tables.bucket), Random(secrets.randbits(128))  # noqa: S311
    days = choose_drawn_month(tables, request.country, request.month)
    frame, version = _read_drawable_rows(tables, days, request)
    known = read_known_draws(records, request)
    chosen, strata = choose_sheet_items(frame, known, request.size, random)
    texts = read_texts(tables, chosen, model, request.country)
    if not texts:
        raise RequestError(f"{request.country}: no text of {days[0].date:%Y-%m} is left to draw; choose another month")
    choices = list_field_choices(load_language_words(language), model.prompts().taxonomy)
    sheet = Sheet(
        id=make_token_code(6),
        country=request.country,
        month=days[0].date.replace(day=1),
        reader=request.reader,
        language=language,
        drawn_at=now,
        until=days[-1].date,
        model_id=version.model_id,
        prompt_version=version.prompt_version,
        strata=strata,
        choices={field: dict(each.values) for field, each in choices.items()},
    )
    drawn = add_opaque_tokens(chosen.filter(pl.col("interaction_id").is_in(list(texts))), sheet.id, texts)
    records.save_drawn_sheet(sheet, drawn)
    entries = [(token, texts[identifier]) for token, identifier in drawn.select("token", "interaction_id").iter_rows()]
    random.shuffle(entries)
    return DrawnSheet(sheet, drawn, entries, choices)


def _read_drawable_rows(
    tables: Tables, days: Sequence[Partition], request: DrawRequest
) -> tuple[pl.DataFrame, Version]:
    """The rows of the newest model and prompt of the month, in the languages asked for."""
    frame = read_sampling_frame(tables, days)
    if request.texts:
        frame = frame.filter(pl.col("language").is_in(list(request.texts)))
    if frame.is_empty():
        raise RequestError(f"{request.country} has no validated features in {', '.join(request.texts) or 'that month'}")
    version = find_newest_version(frame)
    return add_item_difficulty(select_prompt_version(frame, version), tables, days), version


def read_known_draws(records: Records, request: DrawRequest) -> Known:
    """What was drawn before, and of it what may be asked of this colleague: nothing that lies with them now."""
    returned = records.list_returned_sheets(request.country)
    everything, theirs, others = [DRAWN_SCHEMA.to_frame()], set(), set()
    repeatable: set[str] = set()
    for sheet in records.list_drawn_sheets(request.country):
        drawn = records.read_drawn_items(sheet).select(DRAWN_SCHEMA.names())
        if request.texts:
            drawn = drawn.filter(pl.col("language").is_in(list(request.texts)))
        everything.append(drawn)
        at_random = set(drawn.filter(pl.col("kind") == RANDOM)["interaction_id"])
        if sheet.reader != request.reader:
            others |= at_random
            continue
        theirs |= set(drawn["interaction_id"])
        repeatable |= at_random if sheet.id in returned else set()
        repeatable -= set(drawn.filter(pl.col("kind") == REPEATED)["interaction_id"])
    rows = pl.concat(everything)
    random = frozenset(rows.filter(pl.col("kind") == RANDOM)["interaction_id"])
    return Known(rows, random, frozenset(others - theirs), frozenset(repeatable))


def choose_sheet_items(
    frame: pl.DataFrame, known: Known, size: int, random: Random
) -> tuple[pl.DataFrame, dict[str, dict[str, int]]]:
    """The rows of a sheet with kind and probability, and how the random ones were drawn by language."""
    sizes: Sizes = divide_sheet_size(size, len(known.doublable), len(known.repeatable))
    at_random, strata = draw_random_items(exclude_drawn_items(frame, known.random), sizes.random, random)
    fresh = exclude_drawn_items(frame, {*at_random["interaction_id"], *known.rows["interaction_id"]})
    new = pl.concat([at_random, choose_hard_items(fresh, sizes.hard)])
    doubled = choose_known_items(known.doublable, sizes.doubled, DOUBLED, random)
    repeated = choose_known_items(known.repeatable, sizes.repeated, REPEATED, random)
    earlier = known.rows.drop("token", "kind", "probability").unique("interaction_id", keep="last", maintain_order=True)
    columns = [name for name in DRAWN_SCHEMA.names() if name != "token"]
    parts = [
        new.join(frame, on="interaction_id").select(columns),
        pl.concat([doubled, repeated]).join(earlier, on="interaction_id").select(columns),
    ]
    return pl.concat(parts).unique("interaction_id", keep="first", maintain_order=True), strata


def add_opaque_tokens(chosen: pl.DataFrame, sheet_id: str, texts: dict[str, str]) -> pl.DataFrame:
    """The rows with a token each that says nothing, and the hash by which a returned text is known."""
    tokens: dict[str, None] = {}
    while len(tokens) < chosen.height:
        tokens[f"{sheet_id}-{make_token_code(6)}"] = None
    names = pl.Series("token", list(tokens), dtype=pl.String)
    pairs = zip(names, chosen["interaction_id"], strict=True)
    hashes = pl.Series("text_hash", [hash_shown_text(token, texts[each]) for token, each in pairs], dtype=pl.String)
    return chosen.with_columns(names, hashes).select(*DRAWN_SCHEMA.names(), "text_hash")


def make_token_code(length: int) -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(length))


def hash_shown_text(token: str, text: str) -> str:
    """Equal for what is read as the same: spreadsheets change blanks and line ends."""
    return content_hash([token, "".join(filter(str.isalnum, text))])
