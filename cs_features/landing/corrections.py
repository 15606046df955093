"""One interaction in several partitions: a correction with another day or country lands beside what it corrects.

The document that landed last owns the id. So that each partition can tell by itself, in whatever order they run:

- `interaction_ids`, a table, lists the ids of a partition's documents, and which of them are superseded by a document
  of another partition as far as it knows;
- `superseded/{partition}/{other}.json` is a notice of `other` to the partition: ids whose owner changed, or whose
  record `other` took out of the feature store. `landing_sensor` takes a notice for a change of the partition it is
  for, as it does a file that lands.

Ids are written before those of others are read. Of two partitions that run at once at least one sees the other, and
whoever sees that the other is wrong about an id notifies it. Here: owners of ids, partitions to notify, notices. Not
here: which document of one partition has an id (`documents.py`), and the records themselves (`publishing/`).
"""

import json
from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from cs_features.partitions import Partition
from cs_features.s3 import StoredObject
from cs_features.schemas import Reason
from cs_features.storage import Tables

IDS = "interaction_ids"
NOTICES = "superseded"
READERS = 10  # the connections of one S3 client

IDS_SCHEMA = pl.Schema(
    {
        "interaction_id": pl.String(),
        "landed_at": pl.Datetime("us", "UTC"),
        "source_uri": pl.String(),
        "source_line": pl.Int64(),
        "superseded_by": pl.String(),  # uri and line of a document in another partition; null where there is none
    }
)
IDS_ELSEWHERE_SCHEMA = pl.Schema({**IDS_SCHEMA, "partition": pl.String()})  # the folder of the partition


# --- owners of ids, pure ----------------------------------------------------------------------


def collect_document_ids(raw: pl.DataFrame) -> pl.DataFrame:
    """A row an accepted document of `raw_interactions`, superseded by nothing so far; columns of `IDS_SCHEMA`."""
    accepted = raw.filter(pl.col("status") == "accepted")
    return accepted.with_columns(superseded_by=pl.lit(None, pl.String())).select(IDS_SCHEMA.names())


def mark_superseded_ids(ids: pl.DataFrame, elsewhere: pl.DataFrame) -> pl.DataFrame:
    """`ids` with `superseded_by`: the last document of other partitions with the id, if it landed later."""
    latest = elsewhere.sort("landed_at", "source_uri").unique("interaction_id", keep="last")
    where = pl.format("{} line {}", "source_uri_there", "source_line_there")
    return (
        ids.join(latest, on="interaction_id", how="left", suffix="_there", maintain_order="left")
        .with_columns(superseded_by=pl.when(_landed_later("_there", "")).then(where))
        .select(IDS_SCHEMA.names())
    )


def reject_superseded_documents(raw: pl.DataFrame, ids: pl.DataFrame) -> pl.DataFrame:
    """`raw` with the accepted rows rejected that `ids` says are superseded.

    They keep their `interaction_id`: no other row of the partition has it.
    """
    superseded = (pl.col("status") == "accepted") & pl.col("superseded_by").is_not_null()
    return (
        raw.join(ids.select("interaction_id", "superseded_by"), "interaction_id", "left", maintain_order="left")
        .with_columns(
            status=pl.when(superseded).then(pl.lit("rejected")).otherwise("status"),
            reason=pl.when(superseded).then(pl.lit(Reason.SUPERSEDED.value)).otherwise("reason"),
            detail=pl.when(superseded).then(pl.format("superseded by {}", "superseded_by")).otherwise("detail"),
        )
        .select(raw.columns)
    )


def find_superseded_ids(ids: pl.DataFrame) -> pl.DataFrame:
    """Of the ids of several partitions, the rows of all documents but the last one of each id."""
    return ids.sort("landed_at", "source_uri").filter(~pl.col("interaction_id").is_last_distinct())


def find_partitions_to_notify(elsewhere: pl.DataFrame, ids: pl.DataFrame, partition: Partition) -> dict[str, list[str]]:
    """The ids, sorted, about which another partition is wrong, by its folder.

    It takes itself for the owner though `partition` has a later document, or takes an id for superseded by a document
    that `partition` has no more.
    """
    ours_is_later = _landed_later("_here", "").fill_null(False)
    is_wrong = pl.when(ours_is_later).then(pl.col("superseded_by").is_null()).otherwise(_is_superseded_by(partition))
    wrong = elsewhere.join(ids, on="interaction_id", how="left", suffix="_here").filter(is_wrong)
    return dict(wrong.group_by("partition").agg(pl.col("interaction_id").sort()).iter_rows())


def _landed_later(one: str, other: str) -> pl.Expr:
    """Whether the columns with suffix `one` landed after those with `other`: the order of `documents.resolve_ids`.

    Two partitions never share a file, so the line decides nothing.
    """
    landed, than = pl.col(f"landed_at{one}"), pl.col(f"landed_at{other}")
    is_same_second = landed == than
    return (landed > than) | (is_same_second & (pl.col(f"source_uri{one}") > pl.col(f"source_uri{other}")))


def _is_superseded_by(partition: Partition) -> pl.Expr:
    return pl.col("superseded_by").str.contains(f"/{partition.folder}/", literal=True).fill_null(False)


# --- owners of ids, on S3 ---------------------------------------------------------------------


def resolve_owners(raw: pl.DataFrame, partition: Partition, tables: Tables, window_days: int) -> pl.DataFrame:
    """`raw` with the documents rejected that others within `window_days` supersede; notifies who is wrong about an id.

    Raises:
        AwsRefusal: when the data bucket cannot be read or written.
    """
    ids = collect_document_ids(raw)
    written: pl.DataFrame | None = None
    shared = pl.col("interaction_id").is_in(ids["interaction_id"].to_list()) | _is_superseded_by(partition)
    # Until what was written is what follows from reading after it: another partition may have given up an id.
    while written is None or not ids.equals(written):
        tables.write(IDS, partition, ids)
        elsewhere = _read_ids_nearby(partition, tables, window_days, shared)
        written, ids = ids, mark_superseded_ids(ids, elsewhere)
    for folder, wrong in find_partitions_to_notify(elsewhere, ids, partition).items():
        _write_notice(folder, wrong, partition, tables)
    return reject_superseded_documents(raw, ids)


def find_ids_held_elsewhere(
    ids: Collection[str], partition: Partition, tables: Tables, window_days: int
) -> frozenset[str]:
    """Those of `ids` that a document of another partition within `window_days` has; reads nothing for none."""
    if not ids:
        return frozenset()
    elsewhere = _read_ids_nearby(partition, tables, window_days, pl.col("interaction_id").is_in(list(ids)))
    return frozenset(elsewhere["interaction_id"])


def read_document_ids(partitions: Iterable[Partition], tables: Tables, wanted: pl.Expr | None = None) -> pl.DataFrame:
    """The ids of `partitions`, of those rows that are `wanted`; columns of `IDS_ELSEWHERE_SCHEMA`."""

    def read(partition: Partition) -> pl.DataFrame:
        stored = tables.read(IDS, partition)
        ids = IDS_SCHEMA.to_frame() if stored is None else stored.select(IDS_SCHEMA.names())
        # Filtered at once, so that a month of large partitions is never in memory together.
        chosen = ids if wanted is None else ids.filter(wanted)
        return chosen.with_columns(partition=pl.lit(partition.folder))

    with ThreadPoolExecutor(READERS, thread_name_prefix="interaction-ids") as pool:
        return pl.concat([IDS_ELSEWHERE_SCHEMA.to_frame(), *pool.map(read, partitions)])


def _read_ids_nearby(partition: Partition, tables: Tables, window_days: int, wanted: pl.Expr) -> pl.DataFrame:
    near = (
        other
        for other in tables.partitions(IDS)
        if other != partition and abs((other.date - partition.date).days) <= window_days
    )
    return read_document_ids(near, tables, wanted)


# --- notices ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Notices:
    """What other partitions told one: ids, each with when it was told last, and when these were listed. S3's clock."""

    withdrawn: Mapping[str, datetime]
    listed_at: datetime


def notify_of_withdrawal(ids: Collection[str], partition: Partition, tables: Tables, window_days: int) -> None:
    """Notify every partition with a document of one of `ids` that the record of this one is out of the feature store.

    Both may have been publishing at the same moment, and then what left the store may be the other's record: who
    owns the id writes it again.
    """
    elsewhere = _read_ids_nearby(partition, tables, window_days, pl.col("interaction_id").is_in(list(ids)))
    for (folder,), rows in elsewhere.group_by("partition"):
        _write_notice(str(folder), rows["interaction_id"], partition, tables)


def list_notices(tables: Tables) -> dict[str, list[StoredObject]]:
    """The notices to every partition, by its folder, from one listing."""
    by_folder: dict[str, list[StoredObject]] = {}
    for found in tables.bucket.list_objects(f"{NOTICES}/").objects:
        by_folder.setdefault(found.key.removeprefix(f"{NOTICES}/").rsplit("/", 1)[0], []).append(found)
    return by_folder


def read_notices(partition: Partition, tables: Tables) -> Notices:
    """What other partitions told this one so far; a notice that comes later is dated no earlier than `listed_at`."""
    listing = tables.bucket.list_objects(f"{NOTICES}/{partition.folder}/")
    latest: dict[str, datetime] = {}
    for item in listing.objects:
        for interaction_id, moment in _read_notice(tables, item.key).items():
            latest[interaction_id] = max(moment, latest.get(interaction_id, moment))
    return Notices(latest, listing.listed_at)


def _write_notice(folder: str, ids: Iterable[str], partition: Partition, tables: Tables) -> None:
    """Add to what `partition` told the one of `folder` before, which may not have run since.

    S3 dates the object when it takes it, so an id that is added now has no time yet: it is that of the object.
    """
    key = f"{NOTICES}/{folder}/{partition.country}-{partition.date.isoformat()}.json"
    before = {name: moment.isoformat() for name, moment in _read_notice(tables, key).items()}
    notice = {**before, **dict.fromkeys(ids)}
    tables.bucket.put(key, json.dumps(notice).encode())


def _read_notice(tables: Tables, key: str) -> dict[str, datetime]:
    """Ids and when each was told, by S3's clock (by the writer's own in notices of older versions)."""
    found = tables.bucket.read(key)
    if found is None:
        return {}
    stored, body = found
    times: dict[str, str | None] = json.loads(body)
    return {
        name: stored.last_modified if moment is None else datetime.fromisoformat(moment)
        for name, moment in times.items()
    }
