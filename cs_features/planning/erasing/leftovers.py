"""What an erasure cannot reach, each with the command or the rule that ends it. No customer's data is read here."""

from collections.abc import Collection, Iterator

from cs_features.erasure.receipts import Leftover
from cs_features.errors import AwsRefusal
from cs_features.planning.erasing.places import Tally
from cs_features.s3 import Bucket

# A DELETE only notes beside the files which rows are gone; a rewrite, and an end to older snapshots, removes them.
ICEBERG_SQL = (
    "in Athena, one after the other: DELETE FROM {0} WHERE {1} IN (...); OPTIMIZE {0} REWRITE DATA USING BIN_PACK; "
    "ALTER TABLE {0} SET TBLPROPERTIES ('vacuum_max_snapshot_age_seconds'='60'); VACUUM {0}"
)


def list_erasure_leftovers(
    buckets: Collection[Bucket], tally: Tally, iceberg: Collection[tuple[str, str]], other_groups: Collection[Leftover]
) -> list[Leftover]:
    """What is left after a pass that came to `tally`, and what is always beyond reach.

    `iceberg` are those offline stores that are Iceberg tables, each with the identifier of its records.
    """
    found = list(_list_unread_objects(tally))
    found += [
        Leftover("rows of the offline store, which is an Iceberg table", ICEBERG_SQL.format(*table))
        for table in iceberg
    ]
    found += other_groups
    found += [each for bucket in buckets for each in _list_object_versions(bucket)]
    return found + list(ALWAYS)


def name_groups(identities: Collection[str], setting: str) -> list[Leftover]:
    """Groups that hold records of his and are not set any more; `identities` as `require_group` gives them."""
    names = sorted({identity.split(" ")[0].rsplit("/", 1)[-1] for identity in identities})
    return [
        Leftover(f"records in feature group {name}, which was set before", f"again with {setting}={name}")
        for name in names
    ]


def _list_unread_objects(tally: Tally) -> Iterator[Leftover]:
    if tally.unread:
        yield Leftover(
            f"{len(tally.unread)} objects that cannot be read or taken apart, named in the receipt's object",
            "allow s3:GetObject on them and erase again, or look at each and delete it: aws s3 rm",
        )
    if tally.named:
        yield Leftover(
            f"{tally.named} objects whose keys name the person",
            "aws s3 mv them to names that do not, and ask the sender to name no customer",
        )


def _list_object_versions(bucket: Bucket) -> Iterator[Leftover]:
    rule = (
        "a lifecycle rule NoncurrentVersionExpiration; at once: aws s3api list-object-versions and delete-object "
        f"--version-id on bucket {bucket.name}"
    )
    try:
        if bucket.keeps_object_versions():
            yield Leftover(f"older versions in bucket {bucket.name}, which keeps them", rule)
    except AwsRefusal:
        yield Leftover(f"older versions in bucket {bucket.name}, if it keeps them (s3:GetBucketVersioning)", rule)


ALWAYS = (
    Leftover(
        "records that SageMaker had not yet written to the offline store: it takes up to 15 minutes",
        "erase again after 15 minutes; that finds them and nothing else",
    ),
    Leftover(
        "runs that go on, and journals on other hosts",
        "nothing: tombstones keep them from bringing anything back; erase again when they have ended",
    ),
    Leftover(
        "Bedrock's invocation logs, where they are turned on",
        "the retention of their log group or their bucket's lifecycle; at once: delete the log streams of the days",
    ),
    Leftover("review sheets on colleagues' machines", "delete the files; their masked texts may be his"),
    Leftover("backups and replicas of either bucket", "their own retention; restore none without erasing again"),
    Leftover(
        "training sets that were written, and what was trained on them",
        "make and train them again: neither read_features nor training_set gives a row of his any more",
    ),
)
