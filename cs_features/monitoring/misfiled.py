"""Objects under the landing prefix that no run will ever read, because they lie where none looks.

Which keys are a partition's is decided in `landing/zone.py`; which partitions are looked at, here. A file of a day
before the window is none of them when a run of that day has listed it as it is. Nothing is moved or read.
"""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import polars as pl

from cs_features.landing.files import SUFFIXES
from cs_features.landing.listings import load_partition_listing
from cs_features.landing.zone import Misfiled, classify_landing_key
from cs_features.partitions import Partition
from cs_features.privacy.masking import mask_personal_data
from cs_features.s3 import StoredObject
from cs_features.storage import Tables

SHOWN_CHARACTERS = 40  # of the name of a folder
SHOWN_FOLDERS = 4  # of a key, `interactions` included
_UNUSUAL = re.compile(r"[^A-Za-z0-9_.=:()-]")
_LONG_NUMBER = re.compile(r"[0-9]{6,}")
_DAY = re.compile(r"(?:19|20)[0-9]{2}(?:0[1-9]|1[0-2])(?:[0-2][0-9]|3[01])?")

UNKNOWN_COUNTRY = "a country without a file in prompts/countries/"
BEFORE_FIRST_DATE = "a day before CS_FEATURES_FIRST_DATE"
BEFORE_WINDOW = "a day before the sensor's window, and no run has listed the object"
FUTURE_DAY = "a day in the future"
STILL_HIDDEN = "for more than a day under a name that begins with _ or ., where no documents are looked for"
# What a writer has begun it has committed or given up by then.
HIDDEN_AT_MOST = timedelta(days=1)

MISFILED_SCHEMA = pl.Schema(
    {
        "folder": pl.String(),
        "reason": pl.String(),
        "objects": pl.Int64(),
        "bytes": pl.Int64(),
        "oldest": pl.Datetime("us", "UTC"),
        "newest": pl.Datetime("us", "UTC"),
    }
)


@dataclass(frozen=True, kw_only=True)
class Scope:
    """Which partitions there are, and from which day on their folders are looked at."""

    countries: Collection[str]
    first_date: date
    window_start: date
    now: datetime

    @property
    def today(self) -> date:
        return self.now.date()


class RunMemory:
    """What runs have listed, partition by partition, from what they saved."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._partition: Partition | None = None
        self._listed: frozenset[tuple[str, str]] = frozenset()
        # A version that saved no listings left tables alone: what is older than its table was there to be read.
        self._read_at: dict[str, datetime] = {}
        for item in tables.bucket.list_bucket_objects("raw_interactions/country=").objects:
            self._read_at[item.key.removeprefix("raw_interactions/").removesuffix("/data.parquet")] = item.last_modified

    def has_listed(self, partition: Partition, item: StoredObject) -> bool:
        """Asked in the order of keys, it reads one saved listing a partition."""
        if partition != self._partition:
            listing = load_partition_listing(self._tables.bucket, partition)
            objects = [] if listing is None else listing.objects
            self._partition, self._listed = partition, frozenset((each.key, each.etag) for each in objects)
            if listing is not None:
                self._read_at.pop(partition.folder, None)
        read_at = self._read_at.get(partition.folder)
        return (item.key, item.etag) in self._listed or (read_at is not None and item.last_modified < read_at)


def explain_misfiled_object(item: StoredObject, scope: Scope, memory: RunMemory) -> str | None:
    """Why no run will read the object; None when one will or has, or when it holds no documents."""
    place = classify_landing_key(item.key)
    if item.size == 0:
        return None
    if place is Misfiled.HIDDEN:
        # A marker such as _SUCCESS is no document for ever; a file that is named like one and stays may be a day's.
        lies_for = scope.now - item.last_modified
        return STILL_HIDDEN if item.key.endswith(SUFFIXES) and lies_for > HIDDEN_AT_MOST else None
    if isinstance(place, Misfiled):
        return place.value
    if place.country not in scope.countries:
        return UNKNOWN_COUNTRY
    if place.date > scope.today:
        return FUTURE_DAY
    if place.date < scope.first_date:
        return BEFORE_FIRST_DATE
    if place.date < scope.window_start and not memory.has_listed(place, item):
        return BEFORE_WINDOW
    return None


def find_misfiled_objects(objects: Iterable[StoredObject], scope: Scope, memory: RunMemory) -> pl.DataFrame:
    """`MISFILED_SCHEMA`: a row a folder and reason, most objects first. `objects` come in the order of keys."""
    rows = []
    for item in objects:
        reason = explain_misfiled_object(item, scope, memory)
        if reason is not None:
            rows.append((shorten_folder_name(item.key), reason, item.size, item.last_modified))
    columns = {name: MISFILED_SCHEMA[name] for name in ("folder", "reason", "bytes", "newest")}
    frame = pl.DataFrame(rows, schema=columns, orient="row")
    grouped = frame.group_by("folder", "reason").agg(
        pl.len().cast(pl.Int64).alias("objects"),
        pl.col("bytes").sum(),
        pl.col("newest").min().alias("oldest"),
        pl.col("newest").max(),
    )
    return grouped.select(MISFILED_SCHEMA.names()).sort("objects", "folder", "reason", descending=[True, False, False])


def shorten_folder_name(key: str) -> str:
    """The first folders of a key, without the file's name; what names a customer may be cut out of each."""
    folders = key.split("/")[:-1][:SHOWN_FOLDERS]
    return "/".join(map(show_folder, folders))


def show_folder(name: str) -> str:
    """One folder's name as it is told: masked, short, without signs that act."""
    return _UNUSUAL.sub("?", mask_folder_name(name))[:SHOWN_CHARACTERS]


def mask_folder_name(folder: str) -> str:
    """A folder's name without mail addresses and numbers of persons; a day, however it is written, is none."""
    if _DAY.fullmatch(folder.rsplit("=", 1)[-1]):
        return folder
    masked = mask_personal_data(folder, "NL").text.replace("[", "(").replace("]", ")")
    return _LONG_NUMBER.sub(lambda found: found.group() if _DAY.fullmatch(found.group()) else "(number)", masked)
