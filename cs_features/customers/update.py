"""The daily update of customers' features: what is read for it, the calls, and what was done in the end.

The offline store's new rows go into the memory of contacts; who may have changed is counted again, at the day's cut;
what differs from the manifest is written. Killed anywhere and run again, it ends as it would have: the state that says
how far it came is written last. Not here: who may have changed (`touched.py`), and who leaves (`decision.py`).
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from cs_features.aws import explained
from cs_features.customers.contacts import (
    CONTACTS,
    Memory,
    ReadHistory,
    State,
    forget_old_months,
    recall_contacts,
    save_memory,
    write_state,
)
from cs_features.customers.decision import Decision, Moment, decide_update
from cs_features.customers.definitions import LONGEST
from cs_features.customers.plan import MANIFEST_SCHEMA, TABLE, Entry, build_manifest, check_withdrawals
from cs_features.customers.publication import CustomerPublication
from cs_features.customers.serving import EMBARGO, SETTING, find_cut, identify_layout
from cs_features.customers.spine import CUSTOMER
from cs_features.erasure.tombstones import NO_TOMBSTONES, Tombstones
from cs_features.publishing.changes import carry_out
from cs_features.publishing.manifest import OpenManifest
from cs_features.publishing.publication import Destination
from cs_features.storage import Tables, fill_missing_columns


@dataclass(frozen=True, kw_only=True)
class UpdateRules:
    """What an update may do."""

    window_days: int  # how far apart two documents of one interaction may lie
    max_withdrawn_share: float
    allow_deletions: bool = False
    read_everything: bool = False
    read_tombstones: Callable[[], Tombstones] = lambda: NO_TOMBSTONES


@dataclass(frozen=True, kw_only=True)
class Updated:
    """What one update did, and what the group serves now."""

    moment: Moment
    memory: Memory
    decision: Decision
    manifest: pl.DataFrame  # of the group in use


def update_customers(tables: Tables, read: ReadHistory, destination: Destination, rules: UpdateRules) -> Updated:
    """Bring the second group to what is known of each customer at the day's cut.

    Who is erased while it goes on may have been deleted before his record was written, and the memory with him: then
    it is done once more, from the beginning and without him.

    Raises:
        AwsRefusal: when a bucket or a group refuses; says what to set.
        PublishingFailed: when records were refused, or left unprocessed after all tries; the others were written.
        WithdrawalStopped: when too much would be withdrawn; no record was changed.
    """
    erased, anew = rules.read_tombstones(), rules.read_everything
    while True:
        updated = _update_once(tables, read, destination, rules, erased, anew)
        now = rules.read_tombstones()
        if now == erased:
            return updated
        erased, anew = now, True


def _update_once(
    tables: Tables, read: ReadHistory, destination: Destination, rules: UpdateRules, erased: Tombstones, anew: bool
) -> Updated:
    began = tables.bucket.list_bucket_objects(f"{CONTACTS}/").listed_at
    moment = Moment(began, find_cut(began), EMBARGO)
    memory = recall_contacts(tables, read, began, erased, anew=anew)
    stored = read_manifest(tables)
    is_ours = pl.col("group") == destination.identity
    manifest, of_others = stored.filter(is_ours), stored.filter(~is_ours)
    decision = decide_update(memory, manifest, moment, erased)
    if not rules.allow_deletions:
        check_withdrawals(decision.plan, manifest.height, rules.max_withdrawn_share)

    changing = pl.Series(CUSTOMER, [*decision.entries, *decision.plan.write], pl.String())
    untouched = manifest.filter(~pl.col(CUSTOMER).is_in(changing.implode()))

    def save(entries: Collection[Entry]) -> pl.DataFrame:
        table = pl.concat([untouched, build_manifest(entries)])
        tables.write(TABLE, None, pl.concat([table, of_others]))
        return table

    is_same = not decision.plan.write and not decision.plan.withdraw
    published = manifest if is_same else publish_decision(decision, destination, began, save)
    save_memory(tables, memory)
    first = moment.cut - EMBARGO - timedelta(days=LONGEST + rules.window_days)
    months = forget_old_months(tables, memory, first.date())
    state = State(
        source=memory.source,
        read_until=began,
        whole_read=memory.state.whole_read if memory.state else began,
        months=tuple(months),
        cut=moment.cut,
        layout=identify_layout(),
    )
    write_state(tables.bucket, state)
    return Updated(moment=moment, memory=memory, decision=decision, manifest=published)


def publish_decision(
    decision: Decision, destination: Destination, began: datetime, save: Callable[[Collection[Entry]], pl.DataFrame]
) -> pl.DataFrame:
    """Make the calls; returns the manifest of what is served then."""
    publication = CustomerPublication(decision.plan, decision.records, decision.entries, destination, began)
    manifest = OpenManifest(decision.entries.values(), save)
    with explained(f"Feature group {destination.records.group}", SETTING):
        carry_out(publication, manifest, lambda _: None)
    return save(manifest.entries)


def read_manifest(tables: Tables) -> pl.DataFrame:
    """What the second group holds, a row a customer; no rows when nothing was ever published."""
    stored = tables.read(TABLE, None)
    if stored is None:
        return MANIFEST_SCHEMA.to_frame()
    return fill_missing_columns(stored, MANIFEST_SCHEMA).select(MANIFEST_SCHEMA.names())
