"""The interactions that may be drawn, with their answers, and the texts of those that were, as the model saw them.

Reads `validated_features`, `llm_extractions` and `raw_interactions`; decides nothing.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl

from cs_features.errors import RequestError
from cs_features.extraction.envelope import render_interaction
from cs_features.partitions import Partition
from cs_features.privacy.policy import MASK_EVERYTHING
from cs_features.review.records import DRAWN_SCHEMA
from cs_features.schemas import CATEGORICAL, SCORES, Interaction
from cs_features.services import Model
from cs_features.storage import Tables, fill_missing_columns

FRAME_SCHEMA = pl.Schema(
    {
        **{name: DRAWN_SCHEMA[name] for name in ("interaction_id", "date", "content_hash", "language")},
        "event_time": pl.Datetime("us", "UTC"),
        "model_id": pl.String(),
        "prompt_version": pl.String(),
        **{name: DRAWN_SCHEMA[name] for name in (*CATEGORICAL, *SCORES)},
        "truncated": pl.Boolean(),
        "suspected_injection": pl.Boolean(),
    }
)
SAID_COLUMNS = (*(f"{name}_said" for name in SCORES), "asked_version")  # of `llm_extractions`
TEXT_LIMIT = 32_000  # characters: a cell holds 32,767
CUT = "\n[…]\n"


@dataclass(frozen=True)
class Version:
    """The model and the prompt, its corrections of the scores included, that made an answer."""

    model_id: str
    prompt_version: str


def choose_drawn_month(tables: Tables, country: str, asked: date | None) -> list[Partition]:
    """The days of the month asked for, or of the latest, that have validated features.

    Raises:
        RequestError: there are none.
    """
    held = sorted(each for each in tables.partitions("validated_features") if each.country == country)
    month = asked or (held[-1].date.replace(day=1) if held else None)
    days = [each for each in held if each.date.replace(day=1) == month]
    if not days:
        when = f" in {month:%Y-%m}" if month else ""
        raise RequestError(f"{country} has no validated features{when}: there is nothing to draw from")
    return days


def read_sampling_frame(tables: Tables, days: Sequence[Partition]) -> pl.DataFrame:
    """A row a validated interaction with the answer that counts."""
    parts = [FRAME_SCHEMA.to_frame()]
    for day in days:
        found = tables.read("validated_features", day)
        if found is not None:
            dated = fill_missing_columns(found.with_columns(date=pl.lit(day.date)), FRAME_SCHEMA)
            parts.append(dated.select(FRAME_SCHEMA.names()).cast(FRAME_SCHEMA))
    return pl.concat(parts)


def find_newest_version(frame: pl.DataFrame) -> Version:
    newest = frame.sort("date", "event_time", "interaction_id").row(-1, named=True)
    return Version(newest["model_id"], newest["prompt_version"])


def select_prompt_version(frame: pl.DataFrame, version: Version) -> pl.DataFrame:
    return frame.filter(pl.col("model_id") == version.model_id, pl.col("prompt_version") == version.prompt_version)


def add_item_difficulty(frame: pl.DataFrame, tables: Tables, days: Sequence[Partition]) -> pl.DataFrame:
    """With what the model itself said and what is hard about each row.

    `moved` is how far the calibration took a score, `evidence` is 0, or less where there is little to go by.
    """
    names = ("interaction_id", *SAID_COLUMNS)
    parts = [pl.DataFrame(schema={name: DRAWN_SCHEMA[name] for name in names})]
    for day in days:
        found = tables.read("llm_extractions", day)
        if found is not None:
            said = {f"{name}_said": pl.col(name).cast(pl.Float64) for name in SCORES}
            parts.append(found.select("interaction_id", **said, asked_version=pl.col("prompt_version")))
    distances = [(pl.col(name) - pl.col(f"{name}_said")).abs().fill_null(0.0) for name in SCORES]
    lacks = [
        pl.col("truncated").fill_null(False),
        pl.col("suspected_injection").fill_null(False),
        pl.col("primary_topic") == "other",
        pl.col("intent") == "other",
    ]
    said_rows = pl.concat(parts).unique("interaction_id", keep="last", maintain_order=True)
    return frame.join(said_rows, on="interaction_id", how="left").with_columns(
        moved=pl.max_horizontal(distances), evidence=-pl.sum_horizontal(lacks).cast(pl.Int64)
    )


def read_texts(tables: Tables, chosen: pl.DataFrame, model: Model, country: str) -> dict[str, str]:
    """The text of each interaction as the model is told it, by id; those whose document changed are left out, and those
    whose text was forgotten by age."""
    texts: dict[str, str] = {}
    for (day,), rows in chosen.partition_by("date", as_dict=True).items():
        raw = tables.read("raw_interactions", Partition(country, day))
        if raw is None:
            continue
        accepted = raw.filter(pl.col("status") == "accepted", pl.col("payload").is_not_null())
        same = accepted.join(rows.select("interaction_id", "content_hash"), on=["interaction_id", "content_hash"])
        for identifier, language, payload in same.select("interaction_id", "language", "payload").iter_rows():
            texts[identifier] = render_for_reader(Interaction.model_validate_json(payload), language, model)
    return texts


def render_for_reader(interaction: Interaction, language: str, model: Model) -> str:
    """What stands between the envelope's tags, as long as a cell may be.

    Masked even where the settings let the model see everything: a sheet leaves the account by mail.
    """
    told, _ = render_interaction(interaction, language, model.capabilities().input_characters, MASK_EVERYTHING)
    inside = "\n".join(told.splitlines()[1:-1])
    if len(inside) > TEXT_LIMIT:
        half = (TEXT_LIMIT - len(CUT)) // 2
        inside = f"{inside[:half]}{CUT}{inside[-half:]}"
    return inside.encode("utf-8", "replace").decode()


def exclude_drawn_items(frame: pl.DataFrame, identifiers: Collection[str]) -> pl.DataFrame:
    return frame.filter(~pl.col("interaction_id").is_in(list(identifiers)))
