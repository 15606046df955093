"""How the assets present themselves in the UI: groups, owners, what a row is, where it lies, its columns, its lineage.

One place, applied to all assets when the code location is assembled; an asset's own file says in one sentence what it
is. Not here: what a column means (`cs_features/columns.py`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from cs_features.columns import TABLES, Column
from cs_features.environments import Settings
from cs_features.monitoring.drift import VERDICTS
from cs_features.monitoring.misfiled import MISFILED_SCHEMA
from cs_features.monitoring.open_rejects import OPEN_REJECTS_SCHEMA
from cs_features.monitoring.reconciliation import RECONCILIATION_SCHEMA
from cs_features.quality.attacks import RESISTANCE_SCHEMA
from cs_features.quality.evaluation import QUALITY_SCHEMA
from cs_features.review.corrected import COUNTRY_REPORT_SCHEMA
from cs_features.review.human_quality import HUMAN_QUALITY_SCHEMA

FLOW, WATCHING, TOOLS = "flow", "watching", "tools"
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Entry:
    """What the UI says of one asset: its group, what a row is, how it lies, the docs, and the file that makes it."""

    group: str
    row: str
    partitioned_by: str
    docs: str
    code: str


_DAY, _WEEK, _LOCALE, _NONE = "country=CC/date=YYYY-MM-DD", "country=CC/week=YYYY-MM-DD", "country=CC/language=xx", ""
_COUNTRY = "country=CC"
_ASSETS = "cs_features/orchestration/assets"
ENTRIES: Mapping[str, Entry] = {
    "landed_documents": Entry(FLOW, "one document of a customer's interaction", _DAY, "landing.md", "landed_documents"),
    "raw_interactions": Entry(FLOW, "one landed document, readable or not", _DAY, "landing.md", "raw_interactions"),
    "llm_extractions": Entry(FLOW, "the model's answer for one accepted document", _DAY, "money.md", "llm_extractions"),
    "validated_features": Entry(FLOW, "one interaction's features", _DAY, "quality.md", "validated_features"),
    "rejected_records": Entry(
        FLOW, "one document that did not become features, and why", _DAY, "landing.md", "validated_features"
    ),
    "feature_store": Entry(FLOW, "one record that the feature group holds", _DAY, "operate.md", "feature_store"),
    "customer_features": Entry(FLOW, "one customer that is served", _NONE, "training.md", "customer_features"),
    "feed_freshness": Entry(WATCHING, "", _NONE, "operate.md", "feed_freshness"),
    "reconciliation": Entry(WATCHING, "one country's day of the sensor's window", _NONE, "operate.md", "inventory"),
    "misfiled_objects": Entry(WATCHING, "one folder that no run reads", _NONE, "landing.md", "inventory"),
    "open_rejects": Entry(WATCHING, "a reason of a country, over all days", _NONE, "operate.md", "inventory"),
    "feature_drift": Entry(WATCHING, "one feature of a country's week", _WEEK, "quality.md", "feature_drift"),
    "operations_report": Entry(WATCHING, "", _NONE, "operate.md", "operations_report"),
    "country_prompts": Entry(TOOLS, "", _NONE, "quality.md", "country_prompts"),
    "extraction_quality": Entry(TOOLS, "one measure of one field", _LOCALE, "quality.md", "extraction_quality"),
    "human_quality": Entry(WATCHING, "one measure of one field", _COUNTRY, "quality.md", "human_quality"),
    "country_report": Entry(
        WATCHING, "a share or a mean of one month, language, model and prompt", _COUNTRY, "quality.md", "human_quality"
    ),
    "attack_resistance": Entry(TOOLS, "a kind of attack in one language", _NONE, "privacy.md", "attack_resistance"),
}

_SCHEMAS: Mapping[str, pl.Schema] = {
    "reconciliation": RECONCILIATION_SCHEMA,
    "misfiled_objects": MISFILED_SCHEMA,
    "open_rejects": OPEN_REJECTS_SCHEMA,
    "feature_drift": VERDICTS,
    "attack_resistance": RESISTANCE_SCHEMA,
    "human_quality": HUMAN_QUALITY_SCHEMA,
    "country_report": COUNTRY_REPORT_SCHEMA,
    "extraction_quality": pl.Schema({**QUALITY_SCHEMA, "model_id": pl.String(), "prompt_version": pl.String()}),
}


def present_assets(assets: Sequence[Any], settings: Settings) -> list[Any]:
    """The assets with their group, owner, description, columns, lineage and links."""
    return list(dg.map_asset_specs(lambda spec: present_spec(spec, settings), assets))


def present_spec(spec: dg.AssetSpec, settings: Settings) -> dg.AssetSpec:
    name = spec.key.path[-1]
    entry = ENTRIES.get(name)
    if entry is None:
        return spec
    return spec.replace_attributes(
        group_name=entry.group,
        owners=[settings.owner] if settings.owner else [],
        description=describe_asset(name, spec.description or "", entry, settings.data_bucket),
        metadata={
            **spec.metadata,
            **describe_table(name, list_types(name, spec)),
            **link_sources(entry, settings.repository_url),
        },
    )


def describe_asset(name: str, sentence: str, entry: Entry, data_bucket: str) -> str:
    """What it is, what a row is, where the table lies, how it is read: as Markdown."""
    if name not in TABLES:
        return sentence
    uri = f"s3://{data_bucket}/{'/'.join(filter(None, [name, entry.partitioned_by, 'data.parquet']))}"
    pattern = f"s3://{data_bucket}/{name}/**/data.parquet" if entry.partitioned_by else uri
    reading = f'polars.scan_parquet("{pattern}"{", hive_partitioning=True" if entry.partitioned_by else ""})'
    return f"{sentence}\n\n**A row** is {entry.row}.\n\n**Where:** `{uri}`\n\n**Read it:** `{reading}`"


def list_types(name: str, spec: dg.AssetSpec) -> Mapping[str, str]:
    """The types of a table's columns: those that the asset names, or those of a table over all partitions."""
    written = spec.metadata.get("dagster/column_schema")
    schema = getattr(written, "schema", written)
    if isinstance(schema, dg.TableSchema):
        return {column.name: column.type for column in schema.columns}
    return {column: str(kind) for column, kind in _SCHEMAS.get(name, pl.Schema()).items()}


def describe_table(name: str, types: Mapping[str, str]) -> dict[str, Any]:
    """The columns with their types and meaning, and what each is made of."""
    columns = TABLES.get(name)
    if columns is None:
        return {}
    described = [
        dg.TableColumn(column, types.get(column, "unknown"), description=about.sentence)
        for column, about in columns.items()
    ]
    found: dict[str, Any] = {"dagster/column_schema": dg.TableSchema(columns=described)}
    if lineage := trace_columns(columns):
        found["dagster/column_lineage"] = lineage
    return found


def trace_columns(columns: Mapping[str, Column]) -> dg.TableColumnLineage | None:
    """From document to feature: which columns of the step before each is made of."""
    deps = {
        name: [_parse_source(source) for source in about.sources] for name, about in columns.items() if about.sources
    }
    return dg.TableColumnLineage(deps_by_column=deps) if deps else None


def _parse_source(source: str) -> dg.TableColumnDep:
    table, column = source.split(".")
    return dg.TableColumnDep(asset_key=dg.AssetKey(table), column_name=column)


def link_sources(entry: Entry, repository_url: str | None) -> dict[str, Any]:
    """Where the docs and the code are: in the repository, if it is known, or else in this checkout."""
    code = f"{_ASSETS}/{entry.code}.py"
    if repository_url is None:
        reference: Any = dg.LocalFileCodeReference(file_path=str(ROOT / code), line_number=1, label=code)
        docs: Any = dg.MetadataValue.path(str(ROOT / "docs" / entry.docs))
    else:
        reference = dg.UrlCodeReference(url=f"{repository_url}/blob/main/{code}", label=code)
        docs = dg.MetadataValue.url(f"{repository_url}/blob/main/docs/{entry.docs}")
    return {"docs": docs, "dagster/code_references": dg.CodeReferencesMetadataValue(code_references=[reference])}
