"""The law at the last door: served = validated + kept, from the manifest to the online store.

Kept are records that are served from before, though this run has no features of them: their documents stand, and the
extraction of today gave nothing, their id is in dispute, or their landing file is damaged. The manifest is believed
for what was written to the group in use, and a sample of it is looked up in the online store. Not here: what is
published and withdrawn (`publishing/plan.py`). Nothing is written.
"""

import hashlib
import heapq
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from cs_features.aws import explained
from cs_features.hashing import content_hash
from cs_features.landing.damage import find_object_damage
from cs_features.publishing.feature_group import SETTING, build_feature_record, identify_feature_group
from cs_features.publishing.manifest import Entry
from cs_features.schemas import Reason

# One request a partition. Each night another hundred: of a partition that lost 3 % of its records the first night
# tells with 95 in 100, and of one that lost all of them every night does.
SAMPLE_SIZE = 100


@dataclass(frozen=True)
class GroupState:
    """The feature group in use: which it is, as the manifest names it, and what its offline store is."""

    identity: str
    offline_status: str


@dataclass(frozen=True)
class ServedBalance:
    """Both sides of the law at the last door, for one partition, in records."""

    validated: int
    kept: int
    served: int  # finished by the manifest, in the group in use
    unpublished: int  # validated, and not served as they are validated
    unwithdrawn: int  # served, and neither validated nor kept
    expected_online: frozenset[str]  # ids of which the online store has to serve a record

    @property
    def holds(self) -> bool:
        return self.unpublished == 0 and self.unwithdrawn == 0


@dataclass(frozen=True)
class OnlineSample:
    """How many records the online store was asked for and answered about, and how many of those it does not serve."""

    asked: int
    missing: int


@dataclass(frozen=True)
class OnlineStore:
    """The group in use, to be asked; `runtime` is a client of sagemaker-featurestore-runtime."""

    runtime: Any
    group: str
    identity: str  # as the manifest names it

    def sample_records(self, ids: list[str]) -> OnlineSample:
        """Look up to 100 records up. What the store does not answer about counts as not asked.

        Raises:
            AwsRefusal: when the request is refused as a whole.
        """
        if not ids:
            return OnlineSample(0, 0)
        wanted = {"FeatureGroupName": self.group, "RecordIdentifiersValueAsString": ids, "FeatureNames": ["event_time"]}
        with explained(f"Feature group {self.group}", SETTING):
            response = self.runtime.batch_get_record(Identifiers=[wanted])
        unanswered = {item["RecordIdentifierValueAsString"] for item in response["Errors"]}
        for item in response["UnprocessedIdentifiers"]:
            unanswered.update(item["RecordIdentifiersValueAsString"])
        served = {item["RecordIdentifierValueAsString"] for item in response["Records"]}
        answered = set(ids) - unanswered
        return OnlineSample(len(answered), len(answered - served))


def describe_served_group(control_plane: Any, name: str) -> GroupState:
    """Raises AwsRefusal when the group cannot be described."""
    with explained(f"Feature group {name}", SETTING):
        described = control_plane.describe_feature_group(FeatureGroupName=name)
    return GroupState(
        identify_feature_group(described), described.get("OfflineStoreStatus", {"Status": "Active"})["Status"]
    )


def balance_served_records(
    validated: pl.DataFrame, entries: Mapping[str, Entry], rejected: pl.DataFrame, raw: pl.DataFrame
) -> ServedBalance:
    """Compare the validated rows with the manifest's entries of the group in use, by interaction id."""
    finished = {key: entry for key, entry in entries.items() if entry.is_finished}
    validated_ids = set(validated["interaction_id"])
    unpublished = 0
    for row in validated.iter_rows(named=True):
        entry = finished.get(row["interaction_id"])
        if entry is None or entry.content_hash != content_hash(build_feature_record(row)):
            unpublished += 1
    others = finished.keys() - validated_ids
    kept = select_kept_records(others, finished, rejected, raw)
    begun = entries.keys() - finished.keys() - validated_ids
    return ServedBalance(
        validated=len(validated_ids),
        kept=len(kept),
        served=len(finished),
        unpublished=unpublished,
        unwithdrawn=len(others - kept) + len(begun),
        expected_online=frozenset(finished.keys() & validated_ids) | kept,
    )


def select_kept_records(
    ids: Collection[str], entries: Mapping[str, Entry], rejected: pl.DataFrame, raw: pl.DataFrame
) -> set[str]:
    """Those of `ids` whose served record still stands: its document is there unchanged, and was not answered.

    A document that is nowhere else may be in the file in which it was last seen, if that is damaged.
    """
    accepted = raw.filter(pl.col("status") == "accepted")
    documents = dict(accepted.select("interaction_id", "content_hash").iter_rows())
    unanswered = set(rejected.filter(pl.col("stage") == "extraction")["interaction_id"].drop_nulls())
    refused = set(rejected.filter(pl.col("stage") != "extraction")["interaction_id"].drop_nulls())
    disputed = set(raw.filter(pl.col("reason").eq_missing(Reason.ID_CONFLICT.value))["interaction_id"])
    damage = find_object_damage(raw)

    def is_document_standing(key: str) -> bool:
        if key in disputed:
            return True
        if key in documents:
            return key in unanswered and entries[key].document_hash in (None, documents[key])
        return key not in refused and damage.may_hide_documents(entries[key].source_uri)

    return set(filter(is_document_standing, ids))


def choose_sample(ids: Collection[str], seed: str) -> list[str]:
    """Up to `SAMPLE_SIZE` of the ids, others for another seed; the same for the same."""

    def rank_by_hash(interaction_id: str) -> bytes:
        return hashlib.sha256(f"{seed} {interaction_id}".encode()).digest()

    return heapq.nsmallest(SAMPLE_SIZE, ids, key=rank_by_hash)
