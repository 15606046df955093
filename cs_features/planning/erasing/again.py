"""Whoever was erased and was delivered again, out of landing: by tombstones, so that nobody need be named.

A run does the same where it may write to landing. Tables hold nothing of such a document, and the next run of its
partition finds the marker. Not here: erasing somebody for the first time (`eraser.py`).
"""

from cs_features.erasure.tombstones import read_tombstones
from cs_features.landing.erased import erase_landed_documents
from cs_features.planning.erasing.contents import Stripped
from cs_features.planning.erasing.places import Tally, Walk
from cs_features.s3 import Bucket


def erase_landed_again(landing: Bucket, data: Bucket, key: str | None, *, dry_run: bool) -> Tally:
    """A marker in the place of every document in landing that a tombstone covers, or how many there are.

    Raises:
        AwsRefusal: half-way; the same call again does the rest.
        ConfigurationError: the key is not that of the tombstones.
    """
    erased = read_tombstones(data, key)
    tally = Tally()

    def strip(key: str, body: bytes) -> Stripped | None:
        found = erase_landed_documents(key, body, erased)
        return None if found is None else Stripped(found.body, len(found.lines))

    objects = landing.list_bucket_objects("").objects if erased else []
    Walk(landing, tally, dry_run).strip_data_objects(objects, lambda _: "landing bucket", strip)
    return tally
