"""Everything that an erasure looks at, opened from the settings, and its objects. None is read here."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cs_features.aws import explained
from cs_features.erasure.tombstones import PREFIX as TOMBSTONES
from cs_features.extraction.host import make_host_folder
from cs_features.publishing.feature_group import SETTING, require_group
from cs_features.publishing.records import RecordStore
from cs_features.s3 import Bucket, StoredObject
from cs_features.services import DataBucket, FeatureGroup, Landing

OWN = TOMBSTONES.split("/", 1)[0] + "/"


@dataclass(frozen=True)
class OfflineStore:
    """Where a group's history lies: Parquet files, which are rewritten, or an Iceberg table, which is queried."""

    bucket: Bucket
    prefix: str
    is_iceberg: bool


@dataclass(frozen=True, kw_only=True)
class Stores:
    """`identity` is the feature group's, see `require_group`; `journals` those of this host and data bucket."""

    landing: Bucket
    data: Bucket
    records: RecordStore
    identity: str
    offline: OfflineStore
    journals: Path


def open_stores(landing: Landing, data_bucket: DataBucket, group: FeatureGroup) -> Stores:
    """Raises:
    AwsRefusal, ConfigurationError: the feature group cannot be described, or is not one of ours.
    """
    data = data_bucket.bucket()
    control_plane = group.control_plane()
    identity = require_group(control_plane, group.name)
    with explained(f"Feature group {group.name}", SETTING):
        described = control_plane.describe_feature_group(FeatureGroupName=group.name)
    return Stores(
        landing=landing.zone().bucket,
        data=data,
        records=RecordStore(group.runtime(), group.name),
        identity=identity,
        offline=find_offline_store(described, data.client),
        journals=make_host_folder() / "journals" / data.name,
    )


def find_offline_store(described: dict[str, Any], client: Any) -> OfflineStore:
    """Where DescribeFeatureGroup says that a group's history lies."""
    config = described["OfflineStoreConfig"]
    place = urlsplit(config["S3StorageConfig"]["ResolvedOutputS3Uri"])
    bucket = Bucket(client, place.netloc, SETTING)
    return OfflineStore(bucket, place.path.strip("/") + "/", config.get("TableFormat") == "Iceberg")


def list_data(stores: Stores) -> list[StoredObject]:
    """The objects of the data bucket, without the tombstones and the history of features."""
    objects = stores.data.list_objects("").objects
    is_shared = stores.offline.bucket.name == stores.data.name
    apart = (OWN, stores.offline.prefix) if is_shared else (OWN,)
    return [item for item in objects if not item.key.startswith(apart)]


def list_history(stores: Stores) -> list[StoredObject]:
    return stores.offline.bucket.list_objects(stores.offline.prefix).objects
