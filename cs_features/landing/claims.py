"""The ids that each partition has documents of, and how those of others are found with a handful of requests.

- `interaction_ids/{partition}`, a table, is what a partition says of its ids; it is the truth.
- `interaction_ids_index/{period}.parquet` is for the runs of 32 days, and holds of each partition within their windows
  the ETag of that table, its ids in 64 bits, and the partitions that it names. It is a hint: a partition whose table
  has another ETag by now is read itself, and so is each that may have a wanted id. Whoever had to read many writes it
  anew. So an index whose writer died, was overtaken or is of another version costs requests, and nothing else.

Not here: whose an id is (`corrections.py`).
"""

import io
from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain

import polars as pl

from cs_features.hashing import content_hash
from cs_features.landing.documents import DocumentReader, read_landed_document
from cs_features.landing.files import Piece
from cs_features.partitions import Partition
from cs_features.storage import Tables, decode_parquet_table, fill_missing_columns

IDS = "interaction_ids"
INDEX = "interaction_ids_index"
READERS = 10  # the connections of one S3 client
DAYS_TOGETHER = 32  # whose runs share an index
MAX_STALE = 8  # tables that are read beside an index before it is written anew

IDS_SCHEMA = pl.Schema(
    {
        "interaction_id": pl.String(),
        "landed_at": pl.Datetime("us", "UTC"),
        "source_uri": pl.String(),
        "source_line": pl.Int64(),
        "customer": pl.String(),  # a hash of the document's; null where it names none
        "words_hash": pl.String(),
        "superseded_by": pl.String(),  # uri and line of a later document in another partition; null where there is none
        "conflicts_with": pl.String(),  # the same of one that is no correction, whichever of the two is the later
    }
)
IDS_ELSEWHERE_SCHEMA = pl.Schema({**IDS_SCHEMA, "partition": pl.String()})  # the folder of the partition
INDEX_SCHEMA = pl.Schema(
    {
        "folder": pl.String(),
        "etag": pl.String(),
        "ids": pl.List(pl.UInt64()),
        "named": pl.List(pl.String()),  # folders of partitions whose documents supersede or contradict one of these
    }
)


def name_partition(column: str) -> pl.Expr:
    """The folder of the partition in which the document lies that the column names."""
    return pl.col(column).str.extract(r"(country=[A-Z]{2}/date=\d{4}-\d{2}-\d{2})/")


@dataclass(frozen=True)
class Wanted:
    """Which rows of other partitions are looked for: those of `ids`, and those that name a document of `named`."""

    ids: Collection[str]
    named: Partition | None = None

    def matches(self) -> pl.Expr:
        has_id = pl.col("interaction_id").is_in(list(self.ids))
        if self.named is None:
            return has_id
        names = [name_partition(column) == self.named.folder for column in ("superseded_by", "conflicts_with")]
        return has_id | pl.any_horizontal(name.fill_null(False) for name in names)


def collect_document_ids(raw: pl.DataFrame) -> pl.DataFrame:
    """A row an accepted document of `raw_interactions`, with no rival so far; columns of `IDS_SCHEMA`."""
    accepted = raw.filter(pl.col("status") == "accepted")
    customers = [None if name is None else content_hash(name)[:16] for name in accepted["customer_id"]]
    none = pl.lit(None, pl.String())
    stated = accepted.with_columns(pl.Series("customer", customers, pl.String()), superseded_by=none)
    return stated.with_columns(conflicts_with=none).select(IDS_SCHEMA.names())


# --- tables of ids ----------------------------------------------------------------------------


@dataclass(frozen=True)
class _Claims:
    """What a partition says of its ids, and the ETag of the table that says it."""

    partition: Partition
    etag: str
    ids: pl.DataFrame


def read_document_ids(partitions: Iterable[Partition], tables: Tables, wanted: Wanted | None = None) -> pl.DataFrame:
    """The ids of `partitions`, of those rows that are `wanted`; columns of `IDS_ELSEWHERE_SCHEMA`."""
    return _select_wanted_claims(_read_claim_tables(partitions, tables), tables, wanted)


def read_own_ids(partition: Partition, tables: Tables) -> pl.DataFrame:
    """What the run before said of `partition`'s ids, `IDS_SCHEMA`; no row where it said nothing."""
    return read_document_ids([partition], tables).select(IDS_SCHEMA.names())


def read_rival_claims(wanted: Wanted, partition: Partition, tables: Tables, window_days: int) -> pl.DataFrame:
    """The rows of other partitions within `window_days` that are `wanted`; columns of `IDS_ELSEWHERE_SCHEMA`.

    Raises:
        AwsRefusal: when the data bucket cannot be read.
    """
    held = _list_claim_tables(tables)
    near = {each: etag for each, etag in held.items() if _is_near_partition(each, partition, window_days)}
    index = _read_claim_index(tables, partition)
    etags = {each.folder: etag for each, etag in near.items()}
    fresh = index.filter(pl.col("etag") == pl.col("folder").replace_strict(etags, default=None, return_dtype=pl.String))
    known = set(fresh["folder"])
    stale = [each for each in near if each.folder not in known]
    matching = _find_matching_tables(fresh, wanted)
    claims = _read_claim_tables([*stale, *(each for each in near if each.folder in matching)], tables)
    if len(stale) > MAX_STALE:
        read = set(stale)
        _write_claim_index(tables, partition, index, [each for each in claims if each.partition in read], held)
    return _select_wanted_claims(claims, tables, wanted)


def _is_near_partition(other: Partition, partition: Partition, window_days: int) -> bool:
    return other != partition and abs((other.date - partition.date).days) <= window_days


def _list_claim_tables(tables: Tables) -> dict[Partition, str]:
    """The ETag of each partition's table."""
    found = {}
    for item in tables.bucket.list_bucket_objects(f"{IDS}/country=").objects:
        with suppress(ValueError):  # somebody else's folder
            if item.name == "data.parquet":
                found[Partition.from_folder(item.key.split("/", 1)[1].rsplit("/", 1)[0])] = item.etag
    return found


def _read_claim_tables(partitions: Iterable[Partition], tables: Tables) -> list[_Claims]:
    def read(partition: Partition) -> _Claims | None:
        found = tables.bucket.read(tables.key(IDS, partition))
        if found is None:
            return None
        return _Claims(partition, found[0].etag, decode_parquet_table(found[1], tables.uri(IDS, partition)))

    wanted = list(partitions)
    if not wanted:
        return []
    with ThreadPoolExecutor(READERS, thread_name_prefix="interaction-ids") as pool:
        return [claims for claims in pool.map(read, wanted) if claims is not None]


def _select_wanted_claims(claims: Iterable[_Claims], tables: Tables, wanted: Wanted | None) -> pl.DataFrame:
    frames = [IDS_ELSEWHERE_SCHEMA.to_frame()]
    for each in claims:
        chosen = fill_missing_columns(each.ids, IDS_SCHEMA)
        if wanted is not None:
            chosen = chosen.filter(wanted.matches())
        if "customer" not in each.ids.columns and not chosen.is_empty():
            chosen = _recall_claimed_documents(chosen, each.partition, tables)
        frames.append(chosen.select(IDS_SCHEMA.names()).with_columns(partition=pl.lit(each.partition.folder)))
    return pl.concat(frames)


def _recall_claimed_documents(ids: pl.DataFrame, partition: Partition, tables: Tables) -> pl.DataFrame:
    """Rows of a version that did not say whose the documents are: what `raw_interactions` says of them."""
    raw = tables.read("raw_interactions", partition)
    if raw is None:
        return ids
    reader = DocumentReader(partition, ("en",))  # of one language, so that none is detected
    rows = []
    for row in raw.filter(pl.col("interaction_id").is_in(ids["interaction_id"].to_list())).iter_rows(named=True):
        made = read_landed_document(Piece(row["source_line"], row["payload"].encode()), reader)
        customer = None if made["customer_id"] is None else content_hash(made["customer_id"])[:16]
        rows.append((row["interaction_id"], customer, made["words_hash"]))
    schema = {name: pl.String() for name in ("interaction_id", "customer", "words_hash")}
    recalled = pl.DataFrame(rows, schema=schema, orient="row").unique("interaction_id", keep="any")
    return ids.drop("customer", "words_hash").join(recalled, "interaction_id", "left", maintain_order="left")


# --- the index --------------------------------------------------------------------------------


def _index_key(partition: Partition) -> str:
    return f"{INDEX}/{partition.date.toordinal() // DAYS_TOGETHER}.parquet"


def _read_claim_index(tables: Tables, partition: Partition) -> pl.DataFrame:
    """The index for runs of `partition`, `INDEX_SCHEMA`; where there is none, or another version's, one of nothing."""
    body = tables.bucket.get(_index_key(partition))
    with suppress(pl.exceptions.PolarsError):
        if body is not None:
            return pl.read_parquet(io.BytesIO(body)).select(INDEX_SCHEMA.names()).cast(INDEX_SCHEMA)
    return INDEX_SCHEMA.to_frame()


def _find_matching_tables(index: pl.DataFrame, wanted: Wanted) -> set[str]:
    """Folders whose tables may hold what is wanted: those that do are among them."""
    folded = pl.Series("ids", list(wanted.ids), pl.String()).to_frame().select(_fold_claim_ids("ids")).to_series()
    one_each = index.select("folder", "ids").explode("ids")
    found = set(one_each.filter(pl.col("ids").is_in(folded.implode()))["folder"])
    if wanted.named is not None:
        found |= set(index.filter(pl.col("named").list.contains(wanted.named.folder))["folder"])
    return found


def _write_claim_index(
    tables: Tables, partition: Partition, index: pl.DataFrame, claims: Iterable[_Claims], held: Mapping[Partition, str]
) -> None:
    """Put `claims` into the index for runs of `partition`; what it says of other tables that are there stays."""
    there = {each.folder for each in held}
    rows = {row["folder"]: row for row in index.iter_rows(named=True) if row["folder"] in there}
    rows |= {each.partition.folder: _index_claim_ids(each) for each in claims}
    buffer = io.BytesIO()
    pl.DataFrame(list(rows.values()), schema=INDEX_SCHEMA).write_parquet(buffer, compression="zstd")
    tables.bucket.put(_index_key(partition), buffer.getvalue())


def _index_claim_ids(claims: _Claims) -> dict[str, object]:
    ids = fill_missing_columns(claims.ids, IDS_SCHEMA)
    named = ids.select(name_partition(column) for column in ("superseded_by", "conflicts_with"))
    return {
        "folder": claims.partition.folder,
        "etag": claims.etag,
        "ids": ids.select(_fold_claim_ids("interaction_id")).to_series().to_list(),
        "named": sorted(set(chain.from_iterable(named.iter_columns())) - {None}),
    }


def _fold_claim_ids(column: str) -> pl.Expr:
    """64 bits of each id, the same in every version of every library; what is no UUID is 0, and like any other such."""
    digits = pl.col(column).str.replace_all("-", "", literal=True)
    halves = [digits.str.slice(start, 16).str.to_integer(base=16, dtype=pl.UInt64, strict=False) for start in (0, 16)]
    return (halves[0] ^ halves[1]).fill_null(0)
