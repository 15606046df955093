"""One interaction in several partitions: a correction with another day or country lands beside what it corrects.

Of documents that plausibly are versions of one interaction, the one that landed last owns the id. Whoever only knows
an id owns nothing: a document is a correction of another partition's if both name the same customer, or if both say
the same words and do not name two customers. Otherwise both stand aside as `id_conflict` until one of them is gone,
and the record that is served stays. That depends on the documents alone, so each partition can tell by itself, in
whatever order they run: it says in its table of ids (`claims.py`) which of them it has lost, and to what.

Ids are written before those of others are read. Of two partitions that run at once at least one sees the other, and
whoever sees that the other is wrong about an id notifies it (`notices.py`). Not here: which document of one partition
has an id (`reading.py`), and the records themselves (`publishing/`).
"""

from collections.abc import Collection

import polars as pl

from cs_features.landing.claims import (
    IDS,
    IDS_SCHEMA,
    Wanted,
    collect_document_ids,
    name_partition,
    read_own_ids,
    read_rival_claims,
)
from cs_features.landing.damage import Damage, find_object_damage
from cs_features.landing.notices import write_partition_notice
from cs_features.partitions import Partition
from cs_features.schemas import Reason
from cs_features.storage import Tables

# --- owners of ids, pure ----------------------------------------------------------------------


def judge_rival_claims(ids: pl.DataFrame, elsewhere: pl.DataFrame) -> pl.DataFrame:
    """`ids` with what documents of other partitions do to each: supersede it, or contradict it.

    Of several the last counts. A document that is superseded is nobody's rival any more.
    """
    rivals = elsewhere.select(IDS_SCHEMA.names()).rename({name: f"{name}_there" for name in IDS_SCHEMA.names()[1:]})
    pairs = ids.join(rivals, on="interaction_id", how="inner").sort("landed_at_there", "source_uri_there")
    supersedes = _is_plausible_correction() & _has_landed_later("_there", "")
    superseded = _name_last_rival(pairs.filter(supersedes), "superseded_by")
    contradicted = _name_last_rival(pairs.filter(~_is_plausible_correction()), "conflicts_with")
    judged = ids.drop("superseded_by", "conflicts_with")
    for found in (superseded, contradicted):
        judged = judged.join(found, on="interaction_id", how="left", maintain_order="left")
    conflicts = pl.when(pl.col("superseded_by").is_null()).then("conflicts_with")
    return judged.with_columns(conflicts_with=conflicts).select(IDS_SCHEMA.names())


def reject_lost_documents(raw: pl.DataFrame, ids: pl.DataFrame) -> pl.DataFrame:
    """`raw` with the accepted rows rejected that `ids` says are superseded or contradicted.

    They keep their `interaction_id`: no other row of the partition has it.
    """
    lost = ids.select("interaction_id", "superseded_by", "conflicts_with")
    joined = raw.join(lost, "interaction_id", "left", maintain_order="left")
    is_accepted = pl.col("status") == "accepted"
    for column, reason, said in (
        ("superseded_by", Reason.SUPERSEDED, "superseded by {}"),
        ("conflicts_with", Reason.ID_CONFLICT, "another interaction has the id: {}"),
    ):
        is_lost = is_accepted & pl.col(column).is_not_null()
        joined = joined.with_columns(
            status=pl.when(is_lost).then(pl.lit("rejected")).otherwise("status"),
            reason=pl.when(is_lost).then(pl.lit(reason.value)).otherwise("reason"),
            detail=pl.when(is_lost).then(pl.format(said, column)).otherwise("detail"),
        )
    return joined.select(raw.columns)


def find_lost_ids(ids: pl.DataFrame) -> pl.DataFrame:
    """Of the ids of several partitions, those of documents that one of another supersedes or contradicts."""
    shared = ids.filter(pl.col("interaction_id").is_duplicated())
    pairs = shared.join(shared, on="interaction_id", how="inner", suffix="_there")
    is_elsewhere = pl.col("partition") != pl.col("partition_there")
    is_lost = ~_is_plausible_correction() | _has_landed_later("_there", "")
    return pairs.filter(is_elsewhere & is_lost).select(ids.columns).unique(["partition", "interaction_id"], keep="any")


def find_partitions_to_notify(elsewhere: pl.DataFrame, ids: pl.DataFrame, partition: Partition) -> dict[str, list[str]]:
    """The ids, sorted, about which another partition is wrong, by its folder.

    It takes itself for the owner though `partition` has a later document or another interaction of the id, or it takes
    an id for lost to a document that `partition` has no more.
    """
    here = ids.rename({name: f"{name}_there" for name in IDS_SCHEMA.names()[1:]})
    pairs = elsewhere.join(here, on="interaction_id", how="left")
    has_rival = pl.col("landed_at_there").is_not_null()
    loses = has_rival & _is_plausible_correction() & _has_landed_later("_there", "").fill_null(False)
    conflicts = has_rival & ~_is_plausible_correction()
    says_lost, says_conflict = pl.col("superseded_by").is_not_null(), pl.col("conflicts_with").is_not_null()
    is_wrong = (
        (loses & ~says_lost)
        | (conflicts & ~says_lost & ~says_conflict)
        | (~loses & _names(partition, "superseded_by"))
        | (~conflicts & _names(partition, "conflicts_with"))
    )
    wrong = pairs.filter(is_wrong)
    return dict(wrong.group_by("partition").agg(pl.col("interaction_id").sort()).iter_rows())


def _is_plausible_correction() -> pl.Expr:
    """Whether the document here and the one `_there` plausibly are versions of one interaction.

    Whoever knows an id need not know the customer. Feeds without customers still correct days and countries: those
    documents say the same words, which are no more known to others than the customer is.
    """
    customer, customer_there = pl.col("customer"), pl.col("customer_there")
    same_customer = (customer == customer_there).fill_null(False)
    other_customer = (customer != customer_there).fill_null(False)
    same_words = (pl.col("words_hash") == pl.col("words_hash_there")).fill_null(False)
    return same_customer | (same_words & ~other_customer)


def _has_landed_later(one: str, other: str) -> pl.Expr:
    """Whether the columns with suffix `one` landed after those with `other`, as `reading.resolve_document_ids` orders.

    Two partitions never share a file, so the line decides nothing.
    """
    landed, than = pl.col(f"landed_at{one}"), pl.col(f"landed_at{other}")
    is_same_second = landed == than
    return (landed > than) | (is_same_second & (pl.col(f"source_uri{one}") > pl.col(f"source_uri{other}")))


def _name_last_rival(pairs: pl.DataFrame, column: str) -> pl.DataFrame:
    """The last rival of each id, of pairs in the order of their rivals."""
    where = pl.format("{} line {}", "source_uri_there", "source_line_there").alias(column)
    return pairs.unique("interaction_id", keep="last", maintain_order=True).select("interaction_id", where)


def _names(partition: Partition, column: str) -> pl.Expr:
    return (name_partition(column) == partition.folder).fill_null(False)


def keep_hidden_ids(ids: pl.DataFrame, before: pl.DataFrame, damage: Damage) -> pl.DataFrame:
    """`ids`, and those of the table `before` whose documents may still stand in a file that is damaged now.

    A file that cannot be read has given up no id: a stale document of another partition would take it.
    """
    is_hidden = pl.col("source_uri").is_in(sorted(damage.files))
    hidden = before.select(IDS_SCHEMA.names()).filter(is_hidden)
    return pl.concat([ids, hidden.join(ids, on="interaction_id", how="anti")])


# --- owners of ids, on S3 ---------------------------------------------------------------------


def resolve_id_owners(raw: pl.DataFrame, partition: Partition, tables: Tables, window_days: int) -> pl.DataFrame:
    """`raw` with the documents rejected that lose their id to others within `window_days`; notifies who is wrong.

    Raises:
        AwsRefusal: when the data bucket cannot be read or written.
    """
    ids, damage = collect_document_ids(raw), find_object_damage(raw)
    if damage.files:
        ids = keep_hidden_ids(ids, read_own_ids(partition, tables), damage)
    wanted = Wanted(ids["interaction_id"].to_list(), named=partition)
    written: pl.DataFrame | None = None
    # Until what was written is what follows from reading after it: another partition may have given up an id.
    while written is None or not ids.equals(written):
        tables.write(IDS, partition, ids)
        elsewhere = read_rival_claims(wanted, partition, tables, window_days)
        written, ids = ids, judge_rival_claims(ids, elsewhere)
    for folder, wrong in find_partitions_to_notify(elsewhere, ids, partition).items():
        write_partition_notice(folder, wrong, partition, tables)
    return reject_lost_documents(raw, ids)


def find_ids_held_elsewhere(
    ids: Collection[str], partition: Partition, tables: Tables, window_days: int
) -> frozenset[str]:
    """Those of `ids` that a document of another partition within `window_days` has; reads nothing for none."""
    if not ids:
        return frozenset()
    return frozenset(read_rival_claims(Wanted(ids), partition, tables, window_days)["interaction_id"])
