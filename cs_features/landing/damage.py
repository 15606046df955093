"""Which landing files of a partition are damaged, so that documents may still stand there though nobody sees them.

A file that is replaced by something that cannot be read, or that holds a document whose id nobody can tell, is no
evidence that the documents are gone that were last seen in it: their ids stay theirs (`corrections.py`), and their
records are served on (`publishing/plan.py`). Pure.
"""

from dataclasses import dataclass

import polars as pl

from cs_features.schemas import Reason

# Of such a file nothing was seen, or nothing behind some point.
UNREAD = (Reason.UNREADABLE_OBJECT, Reason.TRUNCATED_GZIP, Reason.CORRUPT_GZIP, Reason.FILE_TOO_LARGE)


@dataclass(frozen=True)
class Damage:
    """The damaged files, by uri. `has_unread` says that one of them could not be read to its end."""

    files: frozenset[str] = frozenset()
    has_unread: bool = False

    def may_hide_documents(self, source_uri: str | None) -> bool:
        """Whether a document may be there that was last seen in `source_uri`; None where nobody wrote that down."""
        return self.has_unread if source_uri is None else source_uri in self.files


def find_object_damage(raw: pl.DataFrame) -> Damage:
    """The damage that `raw_interactions` tells of."""
    is_unread = pl.col("reason").is_in([reason.value for reason in UNREAD])
    is_rejected = pl.col("status") == "rejected"
    # The id of a second document with the same id is known: it stands in the detail.
    has_no_id = pl.col("interaction_id").is_null() & pl.col("reason").ne_missing(Reason.DUPLICATE_ID.value)
    damaged = raw.filter(is_unread | (is_rejected & has_no_id))
    return Damage(frozenset(damaged["source_uri"].drop_nulls()), not raw.filter(is_unread).is_empty())
