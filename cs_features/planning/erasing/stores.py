"""Everything that an erasure looks at, opened from the settings, and its objects. None is read here."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cs_features.aws import explained
from cs_features.customers.serving import CUSTOMERS
from cs_features.erasure.tombstones import PREFIX as TOMBSTONES
from cs_features.extraction.host import make_host_folder
from cs_features.publishing.feature_group import INTERACTIONS, SETTING, GroupLayout, require_group
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
    table: str = "the group's table"  # as Athena knows it


@dataclass(frozen=True)
class CustomerStores:
    """The second feature group: a record a customer."""

    records: RecordStore
    identity: str
    offline: OfflineStore


@dataclass(frozen=True, kw_only=True)
class Stores:
    """`identity` is the feature group's, see `require_group`; `journals` those of this host and data bucket."""

    landing: Bucket
    data: Bucket
    records: RecordStore
    identity: str
    offline: OfflineStore
    journals: Path
    customers: CustomerStores | None = None  # where there is a second group

    def list_iceberg_tables(self) -> list[tuple[str, str]]:
        """The tables that are Iceberg's, each with the identifier of its records."""
        groups = [(INTERACTIONS, self.offline), *([(CUSTOMERS, self.customers.offline)] if self.customers else [])]
        return [(offline.table, layout.identifier) for layout, offline in groups if offline.is_iceberg]


def open_erasable_stores(
    landing: Landing, data_bucket: DataBucket, group: FeatureGroup, second: FeatureGroup
) -> Stores:
    """Raises:
    AwsRefusal, ConfigurationError: a feature group cannot be described, or is not one of ours.
    """
    data = data_bucket.bucket()
    identity, offline = _open_group(group, INTERACTIONS, data)
    return Stores(
        customers=_open_customers(second, data) if second.name else None,
        landing=landing.zone().bucket,
        data=data,
        records=RecordStore(group.runtime(), group.name),
        identity=identity,
        offline=offline,
        journals=make_host_folder() / "journals" / data.name,
    )


def _open_customers(group: FeatureGroup, data: Bucket) -> CustomerStores:
    identity, offline = _open_group(group, CUSTOMERS, data)
    return CustomerStores(RecordStore(group.runtime(), group.name, CUSTOMERS), identity, offline)


def _open_group(group: FeatureGroup, layout: GroupLayout, data: Bucket) -> tuple[str, OfflineStore]:
    control_plane = group.control_plane()
    identity = require_group(control_plane, group.name, layout)
    with explained(f"Feature group {group.name}", layout.setting):
        described = control_plane.describe_feature_group(FeatureGroupName=group.name)
    return identity, find_offline_store(described, data.client)


def find_offline_store(described: dict[str, Any], client: Any) -> OfflineStore:
    """Where DescribeFeatureGroup says that a group's history lies."""
    config = described["OfflineStoreConfig"]
    place = urlsplit(config["S3StorageConfig"]["ResolvedOutputS3Uri"])
    bucket = Bucket(client, place.netloc, SETTING)
    is_iceberg = config.get("TableFormat") == "Iceberg"
    catalog = config.get("DataCatalogConfig", {})
    named = {"table": f"{catalog['Database']}.{catalog['TableName']}"} if catalog else {}
    return OfflineStore(bucket, place.path.strip("/") + "/", is_iceberg, **named)


def list_data(stores: Stores) -> list[StoredObject]:
    """The objects of the data bucket, without the tombstones and the history of features."""
    objects = stores.data.list_bucket_objects("").objects
    offline = [stores.offline, *([stores.customers.offline] if stores.customers else [])]
    apart = (OWN, *(each.prefix for each in offline if each.bucket.name == stores.data.name))
    return [item for item in objects if not item.key.startswith(apart)]


def list_history(stores: Stores) -> list[StoredObject]:
    return stores.offline.bucket.list_bucket_objects(stores.offline.prefix).objects
