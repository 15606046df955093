"""Tables as objects: what lies in the place of one and is none."""

import polars as pl
import pytest

from cs_features.errors import TableUnreadable, is_lasting_error
from cs_features.partitions import Partition
from cs_features.s3 import Bucket
from cs_features.storage import Tables, encode_parquet_table
from cs_features_tests.support.documents import DAY
from cs_features_tests.support.memory_s3 import MemoryS3

PARTITION = Partition("NL", DAY)


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"PAR1", encode_parquet_table(pl.DataFrame({"a": [1]}))[:-20]], ids=["0", "JSON", "4", "cut"]
)
def test_what_is_no_table_is_named_with_what_to_do(body: bytes) -> None:
    """A run failed with the class of polars' error and no word more, and was tried again as if it could pass."""
    s3 = MemoryS3()
    tables = Tables(Bucket(s3, "data", "CS_FEATURES_DATA_BUCKET"))
    s3.put_object(Key=tables.key("raw_interactions", PARTITION), Body=body)
    with pytest.raises(TableUnreadable, match=r"s3://data/raw_interactions/country=NL/.*put its previous version back"):
        tables.read("raw_interactions", PARTITION)
    assert is_lasting_error(TableUnreadable)
