"""Tables as objects: what lies in the place of one and is none."""

import polars as pl
import pytest

from cs_features.errors import TableUnreadable, is_lasting_error
from cs_features.partitions import Partition
from cs_features.s3 import Bucket
from cs_features.storage import (
    ROWS_TOGETHER,
    Tables,
    decode_parquet_table,
    encode_parquet_table,
    encode_table_slices,
    read_table_columns,
    scan_parquet_table,
)
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


def test_a_table_that_comes_in_slices_is_the_one_that_comes_whole() -> None:
    """The manifest of twenty thousand records was in memory three times while it was saved."""
    whole = pl.DataFrame({"name": [str(number) for number in range(ROWS_TOGETHER * 2 + 7)]})
    slices = [whole[start : start + 1_000] for start in range(0, whole.height, 1_000)]
    written = encode_table_slices(slices, whole.schema)
    assert decode_parquet_table(written, "here").equals(whole)
    assert scan_parquet_table(written, "here").collect().equals(whole)
    assert decode_parquet_table(encode_table_slices([], whole.schema), "here").equals(whole.clear())


def test_of_a_table_of_an_older_version_the_columns_are_read_that_it_has() -> None:
    stored = scan_parquet_table(encode_parquet_table(pl.DataFrame({"kept": [1], "unread": [2]})), "here")
    assert read_table_columns(stored, ["kept", "came_later"]).to_dict(as_series=False) == {"kept": [1]}


def test_what_is_no_table_is_told_before_it_is_collected() -> None:
    """A step that reads its input late would fail with polars' words, which may quote a cell."""
    with pytest.raises(TableUnreadable, match="here is no table"):
        scan_parquet_table(b"not a table", "here")
