"""From the bytes of one landing file to those of its documents: suffixes, lines, gzip, and how much of each is read.

Every step is linear in the file, and nothing but the file itself and the line at hand is in memory: a file is looked
over first and split only when it turned out to be whole and within the limits. What a document means is decided in
`documents.py`; what the bucket holds, in `zone.py`.
"""

import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from cs_features.schemas import Reason

SUFFIXES = (".json", ".jsonl", ".jsonl.gz")
MAX_FILE_BYTES = 128 * 1024 * 1024  # of a gzip, before and after decompression
MAX_FILE_LINES = 200_000
MAX_DOCUMENT_BYTES = 2 * 1024 * 1024  # no conversation is longer
KEPT_BYTES = 64 * 1024  # of a document that is too large: enough to see what it is

_CHUNK = 256 * 1024
_FED = 16 * 1024  # what follows the end of a gzip member is copied: little, so that many members cost little
_PADDING = re.compile(rb"\0*")


@dataclass(frozen=True, slots=True)
class Unread:
    """Why the bytes of a file are not there to be split: a landing reason, and a detail that quotes no customer."""

    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True)
class Piece:
    """One document's bytes, or why the file does not yield them. Lines count from 1."""

    line: int
    data: bytes
    refusal: Unread | None = None


def refuse_unread_object(key: str, size: int) -> Unread | None:
    """Why a file of this name and size is not worth reading, from the listing alone; None when it is."""
    if not key.endswith(SUFFIXES):
        return Unread(Reason.UNSUPPORTED_FILE, f"expected one of {', '.join(SUFFIXES)}")
    if key.endswith(".json") and size > MAX_DOCUMENT_BYTES:
        return Unread(Reason.DOCUMENT_TOO_LARGE, f"{size} bytes; the limit is {MAX_DOCUMENT_BYTES}")
    if size > MAX_FILE_BYTES:
        return Unread(Reason.FILE_TOO_LARGE, f"{size} bytes; the limit is {MAX_FILE_BYTES}")
    return None


def split_file_documents(key: str, content: bytes | Unread) -> Iterator[Piece]:
    """The documents of a file, a piece each; what cannot be split is one piece with a reason."""
    if isinstance(content, Unread):
        yield Piece(1, b"", content)
        return
    refusal = refuse_unread_object(key, len(content))
    if refusal is not None:
        yield Piece(1, b"", refusal)
    elif key.endswith(".json"):
        yield Piece(1, content)
    else:
        yield from _split_bounded_lines(content, compressed=key.endswith(".gz"))


def _split_bounded_lines(body: bytes, compressed: bool) -> Iterator[Piece]:
    try:
        size = _measure_whole_file(read_content_chunks(body, compressed))
    except zlib.error as error:
        yield Piece(1, b"", Unread(Reason.CORRUPT_GZIP, str(error)))
        return
    except OverflowError as error:
        yield Piece(1, b"", Unread(Reason.FILE_TOO_LARGE, str(error)))
        return
    line = _Line(1)
    try:
        for chunk in read_content_chunks(body, compressed):
            *ends, rest = chunk.split(b"\n")
            for end in ends:
                line.extend(end)
                yield from line.documents()
                line = _Line(line.number + 1)
            line.extend(rest)
    except EOFError:
        # The lines before the cut are whole documents; only what stands at the cut is lost.
        cut = Unread(Reason.TRUNCATED_GZIP, f"the file ends after {size} decompressed bytes")
        yield Piece(line.number, bytes(line.head[:KEPT_BYTES]), cut)
        return
    yield from line.documents()


def _measure_whole_file(chunks: Iterable[bytes]) -> int:
    """How many bytes a file has; one that is cut off ends where it is cut.

    Raises:
        zlib.error: the content is damaged, and nothing in it can be trusted.
        OverflowError: it has more bytes than `MAX_FILE_BYTES` or more lines than `MAX_FILE_LINES`.
    """
    size = lines = 0
    try:
        for chunk in chunks:
            size += len(chunk)
            lines += chunk.count(b"\n")
            if size > MAX_FILE_BYTES:
                raise OverflowError(f"more than {MAX_FILE_BYTES} bytes decompressed")
            if lines > MAX_FILE_LINES:
                raise OverflowError(f"more than {MAX_FILE_LINES} lines")
    except EOFError:
        pass
    return size


def read_content_chunks(body: bytes, compressed: bool) -> Iterator[bytes]:
    """A file's content in chunks; raises what `_decompress` raises."""
    if compressed:
        yield from _decompress(body)
        return
    for start in range(0, len(body), _CHUNK):
        yield body[start : start + _CHUNK]


def _decompress(body: bytes) -> Iterator[bytes]:
    """The content of a gzip file, which may hold several members, one after the other, in chunks.

    Raises:
        zlib.error: the content is damaged.
        EOFError: it ends within a member, after all that could be read of it.
    """
    position = 0
    while position < len(body):
        member = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        while not member.eof:
            fed = body[position : position + _FED]
            if not fed:
                raise EOFError
            position += len(fed)
            yield from _feed(member, fed)
        position -= len(member.unused_data)
        padding = _PADDING.match(body, position)  # allowed behind a member
        position = padding.end() if padding else position


def _feed(member: "zlib._Decompress", fed: bytes) -> Iterator[bytes]:
    """What comes out of so many bytes more, a chunk at a time: a bomb makes a thousand of each."""
    while True:
        chunk = member.decompress(fed, _CHUNK)
        if chunk:
            yield chunk
        fed = member.unconsumed_tail
        if member.eof or (not fed and len(chunk) < _CHUNK):
            return


@dataclass(slots=True)
class _Line:
    """One line as it grows over chunks; of one that is too large only the beginning is kept."""

    number: int
    head: bytearray = field(default_factory=bytearray)
    size: int = 0
    blank: bool = True

    def extend(self, part: bytes) -> None:
        self.head += part[: MAX_DOCUMENT_BYTES - len(self.head)]
        self.size += len(part)
        self.blank = self.blank and not part.strip()

    def documents(self) -> Iterator[Piece]:
        """The document of the line; a blank line holds none."""
        if self.blank:
            return
        if self.size > MAX_DOCUMENT_BYTES:
            refusal = Unread(Reason.DOCUMENT_TOO_LARGE, f"{self.size} bytes; the limit is {MAX_DOCUMENT_BYTES}")
            yield Piece(self.number, bytes(self.head[:KEPT_BYTES]), refusal)
            return
        yield Piece(self.number, bytes(self.head))
