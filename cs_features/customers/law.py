"""The law of the second group: served = everybody with a contact in the window + kept; and served is as trained.

What is expected comes from all contacts, not from what the update chose to count. A sample is read from the online
store and compared with a training set of the same moment: whoever asks next of a model gets what it learnt from.
"""

from dataclasses import dataclass
from datetime import datetime

import polars as pl

from cs_features.customers.definitions import NAMES
from cs_features.customers.serving import build_spine, parse_records
from cs_features.customers.spine import CUSTOMER
from cs_features.customers.touched import select_contacts
from cs_features.customers.training import Options, build_training_set
from cs_features.customers.update import Updated
from cs_features.publishing.feature_group import Record
from cs_features.publishing.manifest import UNFINISHED
from cs_features.publishing.reading import OfflineHistory
from cs_features.publishing.records import READ_AT_ONCE, RecordStore, split_record_batches


@dataclass(frozen=True)
class CustomerBalance:
    """Both sides of the law, in customers."""

    expected: int  # have a contact in the longest window, by what the offline store told
    kept: int  # served, though the history has no contact of theirs and tells no reason
    served: int  # finished by the manifest
    unserved: int
    unwithdrawn: int

    @property
    def holds(self) -> bool:
        return self.unserved == 0 and self.unwithdrawn == 0


@dataclass(frozen=True)
class Comparison:
    """How many customers the online store was asked for, and how many of them it serves not at all, or otherwise."""

    asked: int
    missing: int
    differing: int
    features: tuple[str, ...]  # those that differ


def balance_customers(updated: Updated) -> CustomerBalance:
    manifest, expected, kept = updated.manifest, updated.decision.expected, updated.decision.plan.kept
    finished = manifest.filter(pl.col("content_hash") != UNFINISHED)[CUSTOMER].unique()
    unexpected = manifest.filter(~pl.col(CUSTOMER).is_in(expected.implode()))[CUSTOMER]
    return CustomerBalance(
        expected=len(expected),
        kept=len(kept),
        served=len(finished),
        unserved=len(expected.filter(~expected.is_in(finished.implode()))),
        unwithdrawn=len(set(unexpected) - set(kept)),
    )


def compare_with_training(updated: Updated, records: RecordStore, size: int = READ_AT_ONCE) -> Comparison:
    """So many customers, others every day.

    Raises:
        AwsRefusal, PublishingFailed: when the records cannot be read.
    """
    expected = updated.decision.expected
    sample = expected.sample(min(size, len(expected)), seed=_seed(updated.moment.cut)).sort()
    if sample.is_empty():
        return Comparison(0, 0, 0, ())
    served: dict[str, Record] = {}
    for customers in split_record_batches(sample, READ_AT_ONCE):
        served |= records.read_records(customers)
    trained = train_on(updated, sample).filter(pl.col(CUSTOMER).is_in(list(served)))
    parsed = parse_records(served, updated.moment.cut, updated.moment.embargo)
    differs = pl.DataFrame({name: parsed[name].ne_missing(trained[name]) for name in NAMES})
    return Comparison(
        asked=len(sample),
        missing=len(sample) - len(served),
        differing=int(differs.select(pl.any_horizontal(pl.all()).sum()).item()),
        features=tuple(name for name in NAMES if differs[name].any()),
    )


def train_on(updated: Updated, customers: pl.Series) -> pl.DataFrame:
    """What `training_set` says of customers at the moment of the update."""
    rows = select_contacts(updated.memory.rows, customers)
    history = OfflineHistory(updated.memory.source, updated.moment.began, rows)
    options = Options(embargo=updated.moment.embargo, allow_unknown=True)
    return build_training_set(build_spine(customers, updated.moment.cut), history, options).frame


def _seed(moment: datetime) -> int:
    return moment.date().toordinal()
