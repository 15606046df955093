"""What is kept of sheets and labels, in the data bucket and nowhere else: no text, no comment, no name of a colleague.

`review_sheets/country=CC/sheet=ID/`: `drawn.parquet` says which interaction stands behind each token, with which
probability and which answer; `sheet.json` says for what prompt and model it was drawn, and what its lists offered.
`review_labels/country=CC/sheet=ID/data.parquet` has the labels by token alone. An erasure takes the interaction's row
out of `drawn.parquet`, as out of every table; its labels are then of nobody.
"""

import io
from datetime import date, datetime

import polars as pl
from pydantic import BaseModel, ConfigDict

from cs_features.s3 import Bucket
from cs_features.schemas import CATEGORICAL, SCORES

SHEETS, LABELS = "review_sheets", "review_labels"
FORMAT = 1

_ANSWER = {**{name: pl.String() for name in CATEGORICAL}, **{name: pl.Float64() for name in SCORES}}
DRAWN_SCHEMA = pl.Schema(
    {
        "token": pl.String(),
        "interaction_id": pl.String(),
        "date": pl.Date(),
        "content_hash": pl.String(),
        "language": pl.String(),
        "kind": pl.String(),
        "probability": pl.Float64(),
        "model_id": pl.String(),
        "prompt_version": pl.String(),
        **_ANSWER,
        # What the model itself said, of which corrections of the scores are fitted, and of which prompt that is.
        **{f"{name}_said": pl.Float64() for name in SCORES},
        "asked_version": pl.String(),
    }
)
LABELS_SCHEMA = pl.Schema({"token": pl.String(), **_ANSWER, "cannot_tell": pl.List(pl.String())})


class Sheet(BaseModel):
    """One sheet as it was drawn."""

    model_config = ConfigDict(frozen=True)

    format: int = FORMAT
    id: str
    country: str
    month: date  # its first day
    reader: int  # the colleague's number: who is asked twice, and who is asked what another was
    language: str
    drawn_at: datetime
    until: date  # the last day that could be drawn from
    model_id: str
    prompt_version: str
    strata: dict[str, dict[str, int]]  # by language: rows, drawn
    choices: dict[str, dict[str, str]]  # by field: value by gloss

    @property
    def folder(self) -> str:
        return f"country={self.country}/sheet={self.id}"


class Records:
    """The sheets and labels of one data bucket."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    def save_drawn_sheet(self, sheet: Sheet, drawn: pl.DataFrame) -> None:
        """The rows first: a sheet that is listed has them."""
        self._write(f"{SHEETS}/{sheet.folder}/drawn.parquet", drawn)
        self._bucket.put(f"{SHEETS}/{sheet.folder}/sheet.json", sheet.model_dump_json(indent=1).encode())

    def list_drawn_sheets(self, country: str) -> list[Sheet]:
        """The sheets of a country, oldest first."""
        listed = self._bucket.list_bucket_objects(f"{SHEETS}/country={country}/").objects
        bodies = [self._bucket.get(item.key) for item in listed if item.name == "sheet.json"]
        sheets = [Sheet.model_validate_json(body) for body in bodies if body is not None]
        return sorted(sheets, key=lambda sheet: (sheet.drawn_at, sheet.id))

    def read_drawn_items(self, sheet: Sheet) -> pl.DataFrame:
        found = self._read(f"{SHEETS}/{sheet.folder}/drawn.parquet")
        return DRAWN_SCHEMA.to_frame() if found is None else found

    def save_returned_labels(self, sheet: Sheet, labels: pl.DataFrame) -> None:
        self._write(f"{LABELS}/{sheet.folder}/data.parquet", labels)

    def read_labels(self, sheet: Sheet) -> pl.DataFrame | None:
        """None where the sheet has not come back."""
        return self._read(f"{LABELS}/{sheet.folder}/data.parquet")

    def list_returned_sheets(self, country: str) -> set[str]:
        """The ids of the sheets that have labels, from a listing."""
        listed = self._bucket.list_bucket_objects(f"{LABELS}/country={country}/sheet=").objects
        return {item.key.split("/sheet=", 1)[1].split("/", 1)[0] for item in listed}

    def _write(self, key: str, frame: pl.DataFrame) -> None:
        buffer = io.BytesIO()
        frame.write_parquet(buffer, compression="zstd")
        self._bucket.put(key, buffer.getvalue())

    def _read(self, key: str) -> pl.DataFrame | None:
        body = self._bucket.get(key)
        return None if body is None else pl.read_parquet(io.BytesIO(body), hive_partitioning=False)
