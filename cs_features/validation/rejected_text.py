"""What a reject shows of its document: its text without personal data. The original is where `source_uri` and
`source_line` point, and in `raw_interactions`, from which a redrive asks again.

The table of rejects is what people read to mend a feed. The originals stand in one table alone, with a key and a
retention of its own. Here: payload, id and detail of a reject. Not here: what counts as personal (`privacy/`). Pure.
"""

import json
import re
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import polars as pl

from cs_features.privacy.masking import mask_conversation_turns, mask_personal_data
from cs_features.privacy.unseen import spell_out_cell, spell_out_unseen

SHOWN_CHARACTERS = 8_000  # of a document: what is wrong with it is seen at its beginning
LARGE_NUMBER = 100_000  # a JSON number from here on may be somebody's
# The folder of another document: its day beside a file's number looks like a telephone.
_FOLDER = re.compile(r"(s3://[a-z0-9.-]+/interactions/country=[A-Z]{2}/date=\d{4}-\d\d-\d\d/)")
_ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})")


def mask_rejected_rows(rejected: pl.DataFrame, country: str) -> pl.DataFrame:
    """`rejected_records` as it is kept: the same rows, without personal data in what they say."""

    def mask(value: str) -> str:
        return spell_out_unseen(mask_personal_data(value, country).text, spare="")

    def mask_reject_detail(value: str) -> str:
        return "".join(part if _FOLDER.fullmatch(part) else mask(part) for part in _FOLDER.split(value))

    def mask_rejected_document(payload: str) -> str:
        return spell_out_unseen(mask_rejected_payload(payload, country))

    return rejected.with_columns(
        pl.col("interaction_id").map_elements(mask_rejected_id(mask), return_dtype=pl.String),
        pl.col("detail").map_elements(mask_reject_detail, return_dtype=pl.String),
        pl.col("payload").map_elements(mask_rejected_document, return_dtype=pl.String),
    )


def mask_rejected_id(mask: Any) -> Any:
    """An id that is no UUID is whatever somebody wrote there."""
    return lambda value: value if _is_uuid(value) else spell_out_cell(mask(value))


def mask_rejected_payload(payload: str, country: str) -> str:
    """A document's text; as JSON where it is some, with one placeholder for a value wherever it stands."""
    document = _parse_rejected_document(payload)
    if document is None:
        text = _ESCAPE.sub(lambda found: chr(int(found.group(1), 16)), payload[:SHOWN_CHARACTERS])
        return mask_personal_data(text, country).text.encode("utf-8", "replace").decode()
    leaves = list(_list_text_leaves(document))
    masked = iter(mask_conversation_turns(leaves, country))
    return json.dumps(_rebuild(document, masked), ensure_ascii=False).encode("utf-8", "replace").decode()


def _parse_rejected_document(payload: str) -> Any:
    """None for what is no JSON, or too long to be shown whole."""
    if len(payload) > SHOWN_CHARACTERS:
        return None
    try:
        return json.loads(payload)
    except (ValueError, RecursionError):
        return None


def _list_text_leaves(value: Any) -> Iterator[str]:
    """Every text of a JSON value, names and large numbers included, in the order of `_rebuild`."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield name
            yield from _list_text_leaves(item)
    elif isinstance(value, list):
        for item in value:
            yield from _list_text_leaves(item)
    elif _is_text_leaf(value):
        yield str(value)


def _rebuild(value: Any, masked: Iterator[Any]) -> Any:
    if isinstance(value, dict):
        return {next(masked).text: _rebuild(item, masked) for item in value.values()}
    if isinstance(value, list):
        return [_rebuild(item, masked) for item in value]
    if not _is_text_leaf(value):
        return value
    text: str = next(masked).text
    # An id is what it is, and a number stays one where nothing of it was hidden.
    return value if text == str(value) else text


def _is_text_leaf(value: Any) -> bool:
    if isinstance(value, str):
        return not _is_uuid(value)
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) >= LARGE_NUMBER


def _is_uuid(value: str) -> bool:
    try:
        UUID(value)
    except ValueError:
        return False
    return True
