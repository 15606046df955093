"""One interaction in several partitions: a correction with another day or country lands beside what it corrects.

The document that landed last has the id. So that each partition can tell by itself, in whatever order they run:

- `interaction_ids`, a table, says which ids the documents of a partition claim, and which of them are superseded by
  a document elsewhere as far as it knows;
- `superseded/{partition}/{other}.json` is a note of `other` to the partition: ids that changed hands, and when.
  `landing_sensor` takes a note for a change of the partition it is for, as it does a file that lands.

Claims are written before those of others are read. Of two partitions that run at once at least one sees the other,
and whoever sees that the other is mistaken leaves it a note. Here: the claims, the decision, the notes. Not here:
which document of one partition has an id (`landing.py`), and the records themselves (`feature_group.py`). No Dagster.
"""

import json
from collections.abc import Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone

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
IDS_ELSEWHERE_SCHEMA = pl.Schema({**IDS_SCHEMA, "partition": pl.String()})  # the folder of the partition that claims


# --- the decision, pure -----------------------------------------------------------------------


def collect_document_ids(raw: pl.DataFrame) -> pl.DataFrame:
    """What a partition claims: a row an accepted document of `raw_interactions`, superseded by nothing so far."""
    accepted = raw.filter(pl.col("status") == "accepted")
    return accepted.with_columns(superseded_by=pl.lit(None, pl.String())).select(IDS_SCHEMA.names())


def mark_superseded_ids(claims: pl.DataFrame, rivals: pl.DataFrame) -> pl.DataFrame:
    """`claims` with `superseded_by`: the last document that other partitions claim an id by, if it landed later."""
    latest = rivals.sort("landed_at", "source_uri").unique("interaction_id", keep="last")
    where = pl.format("{} line {}", "source_uri_there", "source_line_there")
    return (
        claims.join(latest, on="interaction_id", how="left", suffix="_there", maintain_order="left")
        .with_columns(superseded_by=pl.when(_later("_there", "")).then(where))
        .select(IDS_SCHEMA.names())
    )


def reject_superseded_documents(raw: pl.DataFrame, claims: pl.DataFrame) -> pl.DataFrame:
    """`raw` with the accepted rows rejected that `claims` says are superseded.

    They keep their `interaction_id`: no other row of the partition has it.
    """
    lost = (pl.col("status") == "accepted") & pl.col("superseded_by").is_not_null()
    return (
        raw.join(claims.select("interaction_id", "superseded_by"), "interaction_id", "left", maintain_order="left")
        .with_columns(
            status=pl.when(lost).then(pl.lit("rejected")).otherwise("status"),
            reason=pl.when(lost).then(pl.lit(Reason.SUPERSEDED.value)).otherwise("reason"),
            detail=pl.when(lost).then(pl.format("superseded by {}", "superseded_by")).otherwise("detail"),
        )
        .select(raw.columns)
    )


def find_partitions_to_notify(rivals: pl.DataFrame, claims: pl.DataFrame, partition: Partition) -> dict[str, list[str]]:
    """Ids that another partition takes for its own though `partition` has a later document, or for superseded by
    a document that `partition` has no more; sorted, by the folder of the other partition."""
    ours = _later("_here", "").fill_null(False)
    wrong = pl.when(ours).then(pl.col("superseded_by").is_null()).otherwise(_is_of(partition))
    found = rivals.join(claims, on="interaction_id", how="left", suffix="_here").filter(wrong)
    return dict(found.group_by("partition").agg(pl.col("interaction_id").sort()).iter_rows())


def find_superseded_ids(rivals: pl.DataFrame) -> pl.DataFrame:
    """All claims but the last one of each id."""
    return rivals.sort("landed_at", "source_uri").filter(~pl.col("interaction_id").is_last_distinct())


def _later(one: str, other: str) -> pl.Expr:
    """Whether the columns with suffix `one` landed after those with `other`: `landing.resolve_ids`' order.

    Two partitions never share a file, so the line decides nothing.
    """
    landed, than = pl.col(f"landed_at{one}"), pl.col(f"landed_at{other}")
    return (landed > than) | ((landed == than) & (pl.col(f"source_uri{one}") > pl.col(f"source_uri{other}")))


def _is_of(partition: Partition) -> pl.Expr:
    return pl.col("superseded_by").str.contains(f"/{partition.folder}/", literal=True).fill_null(False)


# --- claims and notes, on S3 ------------------------------------------------------------------


def resolve_owners(raw: pl.DataFrame, partition: Partition, tables: Tables, window_days: int) -> pl.DataFrame:
    """`raw` as the partitions within `window_days` of it leave it; leaves a note to those that are mistaken.

    Raises:
        AwsRefusal: when the data bucket cannot be read or written.
    """
    claims, before = collect_document_ids(raw), None
    keep = pl.col("interaction_id").is_in(claims["interaction_id"].to_list()) | _is_of(partition)
    # Until what was written is what follows from reading after it: a rival may have left meanwhile, too.
    while before is None or not claims.equals(before):
        tables.write(IDS, partition, claims)
        rivals = _rivals(partition, tables, window_days, keep)
        before, claims = claims, mark_superseded_ids(claims, rivals)
    for folder, ids in find_partitions_to_notify(rivals, claims, partition).items():
        _write_notice(folder, ids, partition, tables)
    return reject_superseded_documents(raw, claims)


def notify_of_withdrawal(ids: Collection[str], partition: Partition, tables: Tables, window_days: int) -> None:
    """Tell every partition that claims one of `ids` that this one's record is out of the feature store.

    Both may have been publishing at the same moment, and then what left the store may be the other's record: who
    has the id writes it again.
    """
    rivals = _rivals(partition, tables, window_days, pl.col("interaction_id").is_in(list(ids)))
    for (folder,), claims in rivals.group_by("partition"):
        _write_notice(str(folder), claims["interaction_id"], partition, tables)


def read_document_ids(partitions: Iterable[Partition], tables: Tables, keep: pl.Expr | None = None) -> pl.DataFrame:
    """The claims of `partitions`, those that `keep` selects; columns of `IDS_ELSEWHERE_SCHEMA`."""

    def read(partition: Partition) -> pl.DataFrame:
        claims = tables.read(IDS, partition)
        claims = IDS_SCHEMA.to_frame() if claims is None else claims
        # Filtered at once, so that a month of large partitions is never in memory together.
        return (claims if keep is None else claims.filter(keep)).with_columns(partition=pl.lit(partition.folder))

    with ThreadPoolExecutor(READERS, thread_name_prefix="claims") as pool:
        return pl.concat([IDS_ELSEWHERE_SCHEMA.to_frame(), *pool.map(read, partitions)])


def _rivals(partition: Partition, tables: Tables, window_days: int, keep: pl.Expr) -> pl.DataFrame:
    near = (
        other
        for other in tables.partitions(IDS)
        if other != partition and abs((other.date - partition.date).days) <= window_days
    )
    return read_document_ids(near, tables, keep)


def list_notices(tables: Tables, partition: Partition | None = None) -> dict[str, list[StoredObject]]:
    """The notes to `partition`, or to every one, by its folder, from one listing."""
    prefix = f"{NOTICES}/{partition.folder}/" if partition else f"{NOTICES}/"
    by_folder: dict[str, list[StoredObject]] = {}
    for found in tables.bucket.list_objects(prefix).objects:
        by_folder.setdefault(found.key.removeprefix(f"{NOTICES}/").rsplit("/", 1)[0], []).append(found)
    return by_folder


def read_notices(partition: Partition, tables: Tables) -> dict[str, datetime]:
    """Ids that other partitions left notes about, and when they last did."""
    latest: dict[str, datetime] = {}
    for item in list_notices(tables, partition).get(partition.folder, []):
        for interaction_id, moment in _read(tables, item.key).items():
            at = datetime.fromisoformat(moment)
            latest[interaction_id] = max(at, latest.get(interaction_id, at))
    return latest


def _write_notice(folder: str, ids: Iterable[str], partition: Partition, tables: Tables) -> None:
    """Add to what `partition` told the one of `folder` before, which may not have run since."""
    key = f"{NOTICES}/{folder}/{partition.country}-{partition.date.isoformat()}.json"
    note = _read(tables, key) | dict.fromkeys(ids, datetime.now(timezone.utc).isoformat())
    tables.bucket.put(key, json.dumps(note).encode())


def _read(tables: Tables, key: str) -> dict[str, str]:
    body = tables.bucket.get(key)
    return {} if body is None else dict(json.loads(body))
