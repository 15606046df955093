"""Erased documents in landing files: found, and a marker put in the place of each. The others stay byte for byte.

A marker is a document like any other: it is counted as landed, and rejected as `erased`, so that the law is exact
after an erasure as before. Every line keeps its number, a file that was cut off stays cut off, and what is written
anew keeps the date of what it replaces: no document becomes the newer one of two. Not here: who is erased
(`erasure/`), and what else of him there is (`planning/erasing/`).
"""

import re
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import datetime
from typing import Any, NamedTuple

import polars as pl
from pydantic_core import from_json

from cs_features.erasure.subjects import Erased
from cs_features.errors import AccessRefused
from cs_features.landing.documents import (
    BYTE_ORDER_MARK,
    ERASED_DETAIL,
    ERASED_FIELD,
    RAW_SCHEMA,
    UNREAD_DETAIL,
    find_interaction_id,
)
from cs_features.landing.files import (
    MAX_DOCUMENT_BYTES,
    MAX_FILE_BYTES,
    Unread,
    read_content_chunks,
    refuse_unread_object,
)
from cs_features.landing.zone import LandedFile
from cs_features.s3 import Bucket
from cs_features.schemas import Reason
from cs_features.timestamps import spell_out_timestamp

MARKER = f'{{"{ERASED_FIELD}":true}}'.encode()
# Of a row whose document is erased: where it lies is kept, what it said is not.
_KEPT = ("source_uri", "source_line", "source_etag", "landed_at", "listed_at", "reader")
_MARKED = {
    "status": "rejected",
    "reason": Reason.ERASED.value,
    "document_reason": Reason.ERASED.value,
    "payload": "",
}
# Where a document cannot be parsed: what stands behind the names of the two ids. Bounded, and so linear.
_NAMED = re.compile(rb'"(interaction_id|customer_id)"[ \t]{0,8}:[ \t]{0,8}"([^"\\]{1,256})"')


class Names(NamedTuple):
    """What a document says of whose it is."""

    interaction_id: str | None = None
    customer_id: str | None = None
    occurred_at: datetime | None = None

    def are_all_covered(self, erased: Erased) -> bool:
        return erased.covers_interaction(self.interaction_id) or erased.covers_customer(
            self.customer_id, self.occurred_at
        )


# --- documents, pure --------------------------------------------------------------------------


def find_names(data: bytes) -> list[Names]:
    """Whose a document is; of one that cannot be parsed, every id that stands in it."""
    document = parse_object(data)
    if document is not None:
        customer = document.get("customer_id")
        told = str(customer) if isinstance(customer, (str, int)) else None
        return [Names(find_interaction_id(document), told, _read_moment(document.get("occurred_at")))]
    found = [(name, value.decode("utf-8", "replace")) for name, value in _NAMED.findall(data)]
    return [Names(value) if name == b"interaction_id" else Names(None, value) for name, value in found]


def is_erased(data: bytes, erased: Erased) -> bool:
    return any(names.are_all_covered(erased) for names in find_names(data))


def parse_object(data: bytes) -> dict[str, Any] | None:
    if len(data) > MAX_DOCUMENT_BYTES:
        return None
    with suppress(ValueError):
        document = from_json(data.removeprefix(BYTE_ORDER_MARK), allow_inf_nan=False)
        return document if isinstance(document, dict) else None
    return None


def _read_moment(value: Any) -> datetime | None:
    spelled = spell_out_timestamp(value) if isinstance(value, str) else None
    with suppress(TypeError, ValueError):
        return datetime.fromisoformat(spelled)  # type: ignore[arg-type]
    return None


# --- files, pure ------------------------------------------------------------------------------


class ErasedFile(NamedTuple):
    """A file with its markers, and the lines of the documents that they stand for."""

    body: bytes
    lines: frozenset[int]


def split_for_erasure(key: str, body: bytes) -> list[bytes] | None:
    """The documents of a file, or its lines with blank ones; None where it cannot be taken apart."""
    if refuse_unread_object(key, len(body)) is not None:
        return None
    if key.endswith(".json"):
        return [body]
    content = _inflate(body, compressed=key.endswith(".gz"))
    return None if content is None else content.split(b"\n")


def erase_landed_documents(key: str, body: bytes, erased: Erased) -> ErasedFile | None:
    """The file with a marker for each erased document; None when it holds none, or cannot be taken apart."""
    lines = split_for_erasure(key, body)
    if lines is None:
        return None
    covered = [bool(line.strip()) and is_erased(line, erased) for line in lines]
    if not any(covered):
        return None
    kept = [_mark_erased_line(line) if is_covered else line for line, is_covered in zip(lines, covered, strict=True)]
    content = b"\n".join(kept)
    marked = frozenset(number for number, is_covered in enumerate(covered, 1) if is_covered)
    return ErasedFile(_deflate_content(content, body) if key.endswith(".gz") else content, marked)


def _mark_erased_line(line: bytes) -> bytes:
    return MARKER + (b"\r" if line.endswith(b"\r") else b"")


def _inflate(body: bytes, compressed: bool) -> bytes | None:
    """A file's whole content, or up to where it is cut off; None for one that is damaged or too large."""
    content = bytearray()
    with suppress(EOFError):
        try:
            for chunk in read_content_chunks(body, compressed):
                content += chunk
                if len(content) > MAX_FILE_BYTES:
                    return None
        except zlib.error:
            return None
    return bytes(content)


def _deflate_content(content: bytes, like: bytes) -> bytes:
    """`content` as gzip, cut off before its end where `like` was: what was lost there is still to be missed."""
    packer = zlib.compressobj(wbits=31)
    packed = packer.compress(content)
    if _is_cut_off(like):
        return packed + packer.flush(zlib.Z_SYNC_FLUSH)
    return packed + packer.flush()


def _is_cut_off(body: bytes) -> bool:
    try:
        for _ in read_content_chunks(body, compressed=True):
            pass
    except EOFError:
        return True
    return False


# --- rows, pure -------------------------------------------------------------------------------


def withhold_erased_row(row: dict[str, Any], erased: Erased, detail: str = UNREAD_DETAIL) -> dict[str, Any]:
    """A row of `raw_interactions`, or what its marker's would be if its document is erased, from whatever reading.

    Whoever knows that a marker stands in its place gives that `detail`.
    """
    if not erased or not _is_erased_row(row, erased):
        return row
    kept = {name: row[name] for name in _KEPT if name in row}
    return {**dict.fromkeys(row), **kept, **_MARKED, **_spell_detail(detail)}


def note_unread_row(row: dict[str, Any]) -> dict[str, Any]:
    """The row of a marker that this run alone has seen: in the bucket its document lies still."""
    return {**row, **_spell_detail(UNREAD_DETAIL)}


def _spell_detail(detail: str) -> dict[str, str]:
    return {"detail": detail, "document_detail": detail}


def count_unread_erased(raw: pl.DataFrame) -> int:
    """How many documents of who is erased lie in landing still."""
    return raw.filter(pl.col("reason") == Reason.ERASED.value, pl.col("detail") == UNREAD_DETAIL).height


def _is_erased_row(row: dict[str, Any], erased: Erased) -> bool:
    names = Names(row["interaction_id"], row["customer_id"], row["occurred_at"])
    if names.are_all_covered(erased):
        return True
    return row["status"] != "accepted" and is_erased((row["payload"] or "").encode("utf-8", "replace"), erased)


def withhold_erased_rows(raw: pl.DataFrame, erased: Erased) -> pl.DataFrame:
    """A stored `raw_interactions` without what its rows say of who is erased."""
    rows = [withhold_erased_row(row, erased, ERASED_DETAIL) for row in raw.iter_rows(named=True)]
    return pl.DataFrame(rows, schema=RAW_SCHEMA)


# --- on S3 ------------------------------------------------------------------------------------


def screen_erased_files(files: Iterable[LandedFile], bucket: Bucket, erased: Erased) -> Iterator[LandedFile]:
    """The files, those with erased documents as they are after their markers were put into the bucket.

    Who was erased is delivered again by whoever has not heard of it: nothing of that is left in the bucket, either,
    where the run may write there. Where it may not, nothing of him is read all the same, and `unread_lines` says where
    he lies still.
    """
    for landed in files:
        source, content = landed.source, landed.content
        found = (
            None if isinstance(content, Unread) or not erased else erase_landed_documents(source.key, content, erased)
        )
        if found is None:
            yield landed
            continue
        # Replaced by somebody meanwhile: the next run reads that one, and this one reads nothing of him all the same.
        put = None
        with suppress(AccessRefused):
            put = bucket.replace(source, found.body)
        yield LandedFile(put or source, found.body, frozenset() if put else found.lines)
