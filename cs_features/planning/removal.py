"""Taking a country away: what belongs to it, counted first, and its removal in an order that can be killed anywhere.

The prompt file goes first, so that no run brings back what is being taken; a partition's manifest goes after its
records, so that a second try still knows them. Landed documents are nobody's to delete here, and what was spent stays
on the month's bill.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from cs_features.aws import explained
from cs_features.customers.contacts import STATE_KEY as CUSTOMERS_READ
from cs_features.errors import RequestError
from cs_features.partitions import Partition
from cs_features.publishing.manifest import MANIFEST, list_entries, read_manifest, select_group_entries
from cs_features.publishing.records import WRITTEN_AT_ONCE, RecordStore, is_of_partition, split_record_batches
from cs_features.s3 import Bucket
from cs_features.services import Services
from cs_features.storage import Tables


@dataclass(frozen=True)
class Belongings:
    """What belongs to a country. `records` are interaction ids with their latest event time, by partition."""

    country: str
    prompt_file: Path | None
    golden_lines: dict[Path, list[bytes]]  # of each golden file that changes, the lines that stay
    golden_items: int
    records: dict[Partition, dict[str, str]]
    manifests: list[str]
    objects: list[str]  # keys in the data bucket, the manifests apart

    @property
    def record_count(self) -> int:
        return sum(len(records) for records in self.records.values())

    def describe(self) -> list[str]:
        """A line each kind."""
        objects = len(self.objects) + len(self.manifests)
        return [
            f"prompt file: {self.prompt_file or 'none'}",
            f"golden items: {self.golden_items} in {len(self.golden_lines)} files",
            f"records in the feature store: {self.record_count} of {len(self.records)} partitions",
            f"objects in the data bucket (tables, ledger, listings): {objects}",
        ]


def find_country_belongings(country: str, services: Services, group: str) -> Belongings:
    """Everything of `country`; `group` is the identity of the feature group, see `require_group`.

    Raises:
        RequestError: nothing belongs to it.
        AwsRefusal: the data bucket cannot be read.
    """
    tables = services.data.tables()
    prompts = services.model.prompts_dir
    path = prompts / "countries" / f"{country}.md"
    golden_lines, golden_items = _find_golden_items(country, prompts)
    keys = _list_keys(country, tables.bucket)
    manifests = [key for key in keys if key.startswith(f"{MANIFEST}/")]
    found = Belongings(
        country=country,
        prompt_file=path if path.exists() else None,
        golden_lines=golden_lines,
        golden_items=golden_items,
        records=_find_country_records(country, tables, group),
        manifests=manifests,
        objects=[key for key in keys if key not in set(manifests)],
    )
    if found.prompt_file is None and not (golden_items or keys):
        raise RequestError(f"Nothing belongs to {country!r}: {prompts} has no such country, and the data bucket none")
    return found


def _find_golden_items(country: str, prompts: Path) -> tuple[dict[Path, list[bytes]], int]:
    """Of each file that has items of the country, the lines that are not; and how many are."""
    staying: dict[Path, list[bytes]] = {}
    count = 0
    for path in sorted((prompts / "golden").glob("*.jsonl")):
        lines = path.read_bytes().splitlines(keepends=True)
        others = [line for line in lines if not _is_of_country(line, country)]
        if len(others) < len(lines):
            staying[path] = others
            count += len(lines) - len(others)
    return staying, count


def _is_of_country(line: bytes, country: str) -> bool:
    try:
        item = json.loads(line)
    except ValueError:
        return False
    return isinstance(item, dict) and item.get("country") == country


def _list_keys(country: str, bucket: Bucket) -> list[str]:
    """Every key whose second folder is the country's: so tables, ledger and listings are laid out, and no bill is."""
    keys: list[str] = []
    for folder in bucket.list_bucket_folders(""):
        keys += [item.key for item in bucket.list_bucket_objects(f"{folder}country={country}/").objects]
    return keys


def _find_country_records(country: str, tables: Tables, group: str) -> dict[Partition, dict[str, str]]:
    records = {}
    for partition in tables.partitions(MANIFEST):
        if partition.country == country:
            entries = list_entries(select_group_entries(read_manifest(tables, partition), group))
            records[partition] = {key: entry.event_time for key, entry in entries.items()}
    return {partition: found for partition, found in records.items() if found}


def remove_country_belongings(found: Belongings, services: Services) -> int:
    """Take everything away; returns how many records were left because another country serves their ids by now.

    Raises:
        AwsRefusal, PublishingFailed: half-way; the same call again takes the rest.
    """
    if found.prompt_file is not None:
        found.prompt_file.unlink()
    for path, lines in found.golden_lines.items():
        if lines:
            path.write_bytes(b"".join(lines))
        else:
            path.unlink()
    left = _withdraw_records(found, services)
    bucket = services.data.tables().bucket
    bucket.delete(found.objects)
    bucket.delete(found.manifests)
    # No manifest says any more that records were withdrawn: the next daily update reads the whole history.
    bucket.delete([CUSTOMERS_READ])
    return left


def _withdraw_records(found: Belongings, services: Services) -> int:
    group = services.feature_group
    store = RecordStore(group.runtime(), group.name)
    left = 0
    with explained(f"Feature group {group.name}", "CS_FEATURES_FEATURE_GROUP"):
        for partition, records in found.records.items():
            for ids in split_record_batches(records, WRITTEN_AT_ONCE):
                left += len(store.withdraw_records({key: records[key] for key in ids}, is_of_partition(partition)))
    return left
