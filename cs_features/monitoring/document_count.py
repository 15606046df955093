"""How many documents lie in a landing file, counted by code of its own.

The law is worth as much as this count is independent: nothing is shared with the reader in `landing/files.py`
but the limits of the contract and the notion of when two documents are the same. Every step is linear in bytes,
members and lines, and of an archive only a chunk is inflated at a time. Not here: which files are counted
(`conservation.py`). Pure functions.
"""

import hashlib
import re
import zlib
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field

from cs_features.landing.documents import identity_of
from cs_features.landing.files import MAX_DOCUMENT_BYTES, MAX_FILE_BYTES, MAX_FILE_LINES

CHUNK_BYTES = 4 * 1024  # of a compressed member: what zlib copies again at the end of each
SLICE_BYTES = 1024 * 1024
_PADDING = re.compile(rb"\0*")


class UncountableError(ValueError):
    """The file is damaged or beyond the contract's limits: it is one document, whatever it holds."""


class CutShortError(ValueError):
    """The archive ends before its end: what stands at the cut is one document more."""


@dataclass
class FileCount:
    """The documents of one file, and the identities of those that have one; equal ones are delivered twice.

    One that is withheld has landed, and is no copy of another: each leaves by a door of its own, as its marker would.
    """

    documents: int = 0
    identities: list[str] = field(default_factory=list)

    def add_document(self, data: bytes, is_withheld: bool = False) -> None:
        self.documents += 1
        identity = None if is_withheld else identity_of(data)
        if identity is not None:
            self.identities.append(digest_document_identity(*identity))


def digest_document_identity(document_id: str, content: str) -> str:
    """An identity as it is compared and kept: short, and without the id."""
    return hashlib.sha256(f"{document_id}\0{content}".encode("utf-8", "backslashreplace")).hexdigest()[:32]


def is_one_document(key: str, size: int) -> bool:
    """Whether name and size, in bytes, already say that the file is one document, and one that has no identity."""
    if key.endswith(".json"):
        return size > MAX_DOCUMENT_BYTES
    return size > MAX_FILE_BYTES or not key.endswith((".jsonl", ".jsonl.gz"))


def count_object_documents(key: str, body: bytes, withheld: Collection[int] = ()) -> FileCount:
    """The documents of the file `key` with the content `body`; those of the lines `withheld` are of who is erased."""
    if is_one_document(key, len(body)):
        return FileCount(documents=1)
    if key.endswith(".json"):
        count = FileCount()
        count.add_document(body, 1 in withheld)
        return count
    chunks = _inflate_members(body) if key.endswith(".gz") else _slice_object_body(body)
    try:
        return _count_document_lines(chunks, withheld)
    except UncountableError:
        return FileCount(documents=1)


def _count_document_lines(chunks: Iterable[bytes], withheld: Collection[int]) -> FileCount:
    """Raises UncountableError when there are more lines than the contract allows, or for what `chunks` raises."""
    count = FileCount()
    newlines = 0
    begun: list[bytes] = []  # pieces of the line that has no end yet
    try:
        for chunk in chunks:
            first, *others = chunk.split(b"\n")
            begun.append(first)
            if newlines + len(others) > MAX_FILE_LINES:
                raise UncountableError("more lines than a file may have")
            for line in others:
                newlines += 1
                _add_counted_line(count, b"".join(begun), newlines in withheld)
                begun = [line]
    except CutShortError:
        count.documents += 1
    else:
        _add_counted_line(count, b"".join(begun), newlines + 1 in withheld)
    return count


def _add_counted_line(count: FileCount, line: bytes, is_withheld: bool) -> None:
    if line.strip():
        count.add_document(line, is_withheld)


def _slice_object_body(body: bytes) -> Iterator[bytes]:
    for start in range(0, len(body), SLICE_BYTES):
        yield body[start : start + SLICE_BYTES]


def _inflate_members(body: bytes) -> Iterator[bytes]:
    """The content of a gzip file of any number of members, in chunks.

    Raises:
        UncountableError: when it is damaged, or larger than the contract allows.
        CutShortError: when it ends in the middle of a member.
    """
    position, inflated = 0, 0
    while position < len(body):
        member = zlib.decompressobj(wbits=31)
        while not member.eof:
            compressed = body[position : position + CHUNK_BYTES]
            try:
                # At the end of the file, too: a slice may be full while zlib holds what comes after it.
                chunk = member.decompress(compressed, SLICE_BYTES)
            except zlib.error:
                raise UncountableError("damaged") from None
            if not compressed and not chunk and not member.eof:
                raise CutShortError
            # At the end of a member zlib gives what it did not take by both names.
            left = member.unused_data if member.eof else member.unconsumed_tail
            position += len(compressed) - len(left)
            inflated += len(chunk)
            if inflated > MAX_FILE_BYTES:
                raise UncountableError("larger than a file may be")
            yield chunk
        position = _skip_member_padding(body, position)


def _skip_member_padding(body: bytes, position: int) -> int:
    found = _PADDING.match(body, position)
    return found.end() if found else position
