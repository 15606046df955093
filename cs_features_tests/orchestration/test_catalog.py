"""What the UI says of the assets: every one is presented, every column explained once, no preview shows a customer."""

from collections.abc import Mapping

import dagster as dg
import polars as pl
import pytest

from cs_features.columns import TABLES
from cs_features.definitions import ASSETS
from cs_features.environments import Settings, settings
from cs_features.errors import SettingsError
from cs_features.extraction.table import EXTRACTIONS_SCHEMA
from cs_features.landing.documents import RAW_SCHEMA
from cs_features.monitoring.drift import VERDICTS
from cs_features.monitoring.misfiled import MISFILED_SCHEMA
from cs_features.monitoring.open_rejects import OPEN_REJECTS_SCHEMA, count_open_rejects
from cs_features.monitoring.reconciliation import RECONCILIATION_SCHEMA
from cs_features.orchestration.catalog import ENTRIES, FLOW, TOOLS, WATCHING, present_assets
from cs_features.orchestration.checks import CHECKS, find_rule
from cs_features.orchestration.io_manager import SHOWN, preview_rows
from cs_features.orchestration.metadata import as_text_table
from cs_features.publishing.manifest import MANIFEST_SCHEMA
from cs_features.quality.attacks import RESISTANCE_SCHEMA
from cs_features.quality.evaluation import QUALITY_SCHEMA
from cs_features.schemas import VALIDATED_COLUMNS
from cs_features.validation.tables import rejected_schema
from cs_features_tests.support.lab import REPOSITORY

WRITTEN: Mapping[str, list[str]] = {
    "raw_interactions": RAW_SCHEMA.names(),
    "llm_extractions": EXTRACTIONS_SCHEMA.names(),
    "validated_features": list(VALIDATED_COLUMNS),
    "rejected_records": list(rejected_schema.columns),
    "feature_store": MANIFEST_SCHEMA.names(),
    "reconciliation": RECONCILIATION_SCHEMA.names(),
    "misfiled_objects": MISFILED_SCHEMA.names(),
    "open_rejects": OPEN_REJECTS_SCHEMA.names(),
    "feature_drift": VERDICTS.names(),
    "attack_resistance": RESISTANCE_SCHEMA.names(),
    "extraction_quality": [*QUALITY_SCHEMA.names(), "model_id", "prompt_version"],
}


def present(**changes: str) -> dict[str, dg.AssetSpec]:
    presented = present_assets(ASSETS, Settings(**changes))
    specs = [spec for each in presented for spec in (each.specs if hasattr(each, "specs") else [each])]
    return {spec.key.path[-1]: spec for spec in specs}


@pytest.mark.parametrize("table", WRITTEN)
def test_every_column_that_is_written_is_explained_and_no_other(table: str) -> None:
    """The UI showed columns without a word about what they mean."""
    assert set(TABLES[table]) == set(WRITTEN[table])
    assert all(column.meaning for column in TABLES[table].values())


def test_the_inventory_of_rejects_is_what_its_schema_says() -> None:
    assert count_open_rejects([]).schema == OPEN_REJECTS_SCHEMA


def test_every_asset_stands_in_a_group_with_a_description_an_owner_and_links() -> None:
    specs = present(owner="team:insights", repository_url="https://github.com/example/cs-features")
    assert specs.keys() == ENTRIES.keys()
    assert {spec.group_name for spec in specs.values()} == {FLOW, WATCHING, TOOLS}
    for spec in specs.values():
        assert spec.description
        assert list(spec.owners) == ["team:insights"]
        assert spec.metadata["docs"].value.startswith("https://github.com/example/cs-features/blob/main/docs/")


def test_links_lead_to_files_that_are_there() -> None:
    for entry in ENTRIES.values():
        assert (REPOSITORY / "docs" / entry.docs).exists()
        assert (REPOSITORY / f"cs_features/orchestration/assets/{entry.code}.py").exists()


def test_a_tables_description_says_what_a_row_is_and_how_to_read_it() -> None:
    description = present(data_bucket="the-data")["validated_features"].description or ""
    assert "**A row** is one interaction's features" in description
    assert "s3://the-data/validated_features/country=CC/date=YYYY-MM-DD/data.parquet" in description
    assert "polars.scan_parquet(" in description


def test_a_feature_is_traced_back_to_the_document() -> None:
    specs = present()

    def sources(table: str, column: str) -> set[tuple[str, str]]:
        lineage = specs[table].metadata["dagster/column_lineage"]
        lineage = getattr(lineage, "value", lineage)
        return {(dep.asset_key.path[-1], dep.column_name) for dep in lineage.deps_by_column[column]}

    assert ("validated_features", "sentiment") in sources("feature_store", "record")
    assert sources("validated_features", "sentiment") == {("llm_extractions", "sentiment")}
    assert ("raw_interactions", "payload") in sources("llm_extractions", "sentiment")


def test_a_column_says_in_words_what_it_is_made_of() -> None:
    """The open-source UI keeps lineage of columns and draws none of it."""
    assert TABLES["validated_features"]["sentiment"].sentence.endswith(" From llm_extractions: sentiment.")
    assert TABLES["llm_extractions"]["sentiment"].sentence.endswith(" From raw_interactions: payload, language.")


def test_lineage_names_columns_that_exist() -> None:
    for columns in TABLES.values():
        for source in (source for column in columns.values() for source in column.sources):
            table, column = source.split(".")
            assert column in TABLES[table], source


def test_a_preview_shows_no_word_and_no_id_of_a_customer() -> None:
    private = {"interaction_id", "customer_id", "payload", "summary", "answer", "record", "detail", "error_detail"}
    assert SHOWN.isdisjoint(private)
    frame = pl.DataFrame({"interaction_id": ["x"], "summary": ["Pieter"], "sentiment": ["neutral"], "new": ["Pieter"]})
    assert preview_rows(frame).md_str.splitlines()[0] == "| sentiment |"
    assert "Pieter" not in str(preview_rows(frame).md_str)


def test_a_preview_stays_a_table_whatever_a_cell_holds() -> None:
    """A stray bar or line break would move every cell after it under another heading."""
    told = as_text_table(pl.DataFrame({"one": ["a|b\rc", None], "two": [1, 2]})).md_str
    assert told == "| one | two |\n| - | - |\n| a\\|b c | 1 |\n|  | 2 |"


@pytest.mark.parametrize("table", WRITTEN)
def test_every_column_shows_its_type_and_its_meaning(table: str) -> None:
    schema = present()[table].metadata["dagster/column_schema"]
    columns = getattr(schema, "schema", schema).columns
    assert "unknown" not in {column.type for column in columns}
    assert all(column.description for column in columns)


def test_a_check_says_what_it_holds_to_and_what_to_do() -> None:
    """ "Passed" and "failed" said nothing to who opened it at seven in the morning."""
    for spec in (spec for check in CHECKS for spec in check.check_specs):
        assert "**If it fails:** " in (spec.description or "")
        assert "If it fails" not in find_rule(spec.name)


@pytest.mark.parametrize("owner", ["somebody", "team:", "a b@example.org"])
def test_an_owner_that_is_none_is_refused_where_it_is_set(owner: str) -> None:
    with pytest.raises(SettingsError, match="CS_FEATURES_OWNER"):
        settings({"CS_FEATURES_OWNER": owner})
