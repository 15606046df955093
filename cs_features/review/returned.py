"""A file that came back: what it is, which cells are labels, and which cannot be. Pure: bytes in, labels out.

A file that is not the one asked for is refused whole, in a sentence. In one that is, every cell is judged by itself:
bad ones are named by sheet, row and column, good ones are kept. Columns are known by their headings and rows by their
tokens, wherever somebody has moved them. No text and no comment leaves this module.
"""

import io
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl
from python_calamine import CalamineError, CalamineWorkbook
from xlsxwriter.utility import xl_col_to_name

from cs_features.errors import RequestError
from cs_features.review.drawing import hash_shown_text
from cs_features.review.records import FORMAT, LABELS_SCHEMA, Sheet
from cs_features.review.words import ASKED, STEPS, load_language_words
from cs_features.review.workbook import ABOUT_SHEET, LISTS_SHEET
from cs_features.schemas import SCORES

MAX_BYTES, MAX_UNPACKED, MAX_ROWS = 20_000_000, 200_000_000, 2_000
CANNOT_TELL = "cannot tell"  # in the labels, whatever the sheet's language calls it


@dataclass(frozen=True)
class BadCell:
    """A cell that is no label, and why; the value itself is not quoted, because it may be a customer's words."""

    sheet: str
    row: int
    column: str
    why: str

    def __str__(self) -> str:
        return f"{self.sheet}, row {self.row}, column {self.column}: {self.why}"


@dataclass(frozen=True)
class File:
    """A readable file of this format: whose sheet it says it is, and its visible sheets, row by row."""

    sheet_id: str
    country: str
    pages: Mapping[str, Sequence[Sequence[Any]]]


@dataclass
class Reading:
    """What was read: labels by token and field, the bad cells, and how many comments a person has to read."""

    labels: dict[str, dict[str, Any]] = field(default_factory=dict)
    bad: list[BadCell] = field(default_factory=list)
    comments: int = 0


def open_returned_workbook(name: str, body: bytes) -> File:
    """The file, if it is one of ours.

    Raises:
        RequestError: it is none, or of another version; the sentence says which.
    """
    if name.lower().endswith(".xlsm") or not name.lower().endswith(".xlsx"):
        raise RequestError(f"{name} is no .xlsx file: ask for it saved as Excel workbook without macros (.xlsx)")
    _require_plain_archive(name, body)
    try:
        book = CalamineWorkbook.from_filelike(io.BytesIO(body))
        about = _read_about_page(book)
        pages = _read_workbook_pages(name, book)
    except (CalamineError, ValueError, OSError, zipfile.BadZipFile):
        raise RequestError(f"{name} cannot be read as a workbook: ask for it again") from None
    if "sheet" not in about or "country" not in about:
        raise RequestError(f"{name} is no sheet of `review draw`: ask for the file that was sent, filled in")
    if about.get("format") != str(FORMAT):
        raise RequestError(f"{name} is of another version of this program (this one reads {FORMAT}): draw a new sheet")
    return File(about["sheet"], about["country"], pages)


def _require_plain_archive(name: str, body: bytes) -> None:
    if not body:
        raise RequestError(f"{name} is empty: ask for it again")
    if len(body) > MAX_BYTES:
        raise RequestError(
            f"{name} has {len(body) / 1e6:.0f} MB, and a sheet has less than {MAX_BYTES / 1e6:.0f}: ask for it again"
        )
    try:
        members = zipfile.ZipFile(io.BytesIO(body)).infolist()
    except (zipfile.BadZipFile, OSError, ValueError):
        raise RequestError(f"{name} cannot be read as a workbook: ask for it again") from None
    if sum(member.file_size for member in members) > MAX_UNPACKED:
        raise RequestError(
            f"{name} unpacks to more than {MAX_UNPACKED / 1e6:.0f} MB, which no sheet of ours does: ask for it again"
        )
    if any("vbaproject" in member.filename.lower() for member in members):
        raise RequestError(f"{name} holds macros: ask for it saved without them (.xlsx)")


def _read_about_page(book: CalamineWorkbook) -> dict[str, str]:
    if ABOUT_SHEET not in book.sheet_names:
        return {}
    rows = book.get_sheet_by_name(ABOUT_SHEET).to_python(nrows=20)
    return {str(row[0]): str(row[1]) for row in rows if len(row) > 1}


def _read_workbook_pages(name: str, book: CalamineWorkbook) -> dict[str, Sequence[Sequence[Any]]]:
    pages: dict[str, Sequence[Sequence[Any]]] = {}
    for title in book.sheet_names:
        if title in (ABOUT_SHEET, LISTS_SHEET):
            continue
        page = book.get_sheet_by_name(title)
        if page.total_height > MAX_ROWS:
            raise RequestError(
                f"{name} has more than {MAX_ROWS:,} rows in one sheet, which no sheet of ours has: ask for it again"
            )
        pages[title] = page.to_python(skip_empty_area=False)
    return pages


def read_labels(file: File, sheet: Sheet, drawn: pl.DataFrame) -> Reading:
    """The labels of a file that is this sheet.

    Raises:
        RequestError: there is no page with the texts, or nothing is filled in.
    """
    words = load_language_words(sheet.language)
    title = _find_entries_page(file, words.headings["token"])
    page = file.pages[title]
    reading, columns = Reading(), {}
    headings = {heading: name for name, heading in words.headings.items()}
    for position, cell in enumerate(page[0]):
        name = headings.get(str(cell).strip())
        if name in columns:
            reading.bad.append(
                BadCell(title, 1, xl_col_to_name(position), "the heading is there twice; the first counts")
            )
        elif name is not None:
            columns[name] = position
    for name in ("text", *ASKED):
        if name not in columns:
            reading.bad.append(BadCell(title, 1, f"'{words.headings[name]}'", "the column is missing"))
    judge = _Judge(title, sheet, columns, words.cannot_tell)
    rows = dict(zip(drawn["token"], drawn["text_hash"], strict=True))
    for number, token, row in _find_entry_rows(page, columns["token"], rows, reading, title):
        judge.read_entry_row(number, token, row, rows[token], reading)
    if not reading.labels and not reading.bad:
        raise RequestError("Nothing is filled in: no cell of the file holds a label")
    return reading


def _find_entries_page(file: File, heading: str) -> str:
    for title, page in file.pages.items():
        if page and heading in [str(cell).strip() for cell in page[0]]:
            return title
    raise RequestError(
        f"No sheet of the file has a column '{heading}' in its first row: ask for the file as it was sent"
    )


def _find_entry_rows(
    page: Sequence[Sequence[Any]], column: int, tokens: Mapping[str, Any], reading: Reading, title: str
) -> Iterator[tuple[int, str, Sequence[Any]]]:
    """The rows whose token was drawn for this sheet and is there once: of two with one token nobody knows which."""
    numbered = [(number, str(row[column]).strip(), row) for number, row in enumerate(page[1:], start=2)]
    seen: dict[str, int] = {}
    for _, token, _ in numbered:
        seen[token] = seen.get(token, 0) + 1
    for number, token, row in numbered:
        if not any(str(cell).strip() for cell in row):
            continue
        if token not in tokens:
            reading.bad.append(
                BadCell(title, number, xl_col_to_name(column), "no code of this sheet; the row is left out")
            )
        elif seen[token] > 1:
            reading.bad.append(
                BadCell(title, number, xl_col_to_name(column), "the code is there twice; the row is left out")
            )
        else:
            yield number, token, row


class _Judge:
    """Reads the cells of rows, given where the columns are and what their lists offered."""

    def __init__(self, title: str, sheet: Sheet, columns: Mapping[str, int], cannot_tell: str) -> None:
        self._title = title
        self._columns = columns
        self._cannot_tell = fold_cell_text(cannot_tell)
        self._values = {
            name: {**{fold_cell_text(value): value for value in glosses.values()}, **_fold_keys(glosses)}
            for name, glosses in sheet.choices.items()
        }

    def read_entry_row(self, number: int, token: str, row: Sequence[Any], text_hash: str, reading: Reading) -> None:
        place = self._columns.get("text")
        if place is not None and hash_shown_text(token, str(row[place])) != text_hash:
            why = "not the text of this code; the row is left out"
            reading.bad.append(BadCell(self._title, number, xl_col_to_name(place), why))
            return
        comment = self._columns.get("comment")
        reading.comments += comment is not None and bool(str(row[comment]).strip())
        for name in ASKED:
            position = self._columns.get(name)
            if position is None or str(row[position]).strip() == "":
                continue
            label = self.read_choice_cell(name, row[position])
            if label is None:
                reading.bad.append(BadCell(self._title, number, xl_col_to_name(position), "not a value of the list"))
            else:
                reading.labels.setdefault(token, {})[name] = label

    def read_choice_cell(self, name: str, cell: Any) -> str | float | None:
        """The label; None for what the list does not offer."""
        if isinstance(cell, str) and fold_cell_text(cell) == self._cannot_tell:
            return CANNOT_TELL
        if name in SCORES:
            return read_score_cell(cell)
        return self._values[name].get(fold_cell_text(cell)) if isinstance(cell, str) else None


def fold_cell_text(text: str) -> str:
    """As it is compared: blanks and capitals do not matter."""
    return " ".join(text.split()).casefold()


def _fold_keys(glosses: Mapping[str, str]) -> dict[str, str]:
    return {fold_cell_text(gloss): value for gloss, value in glosses.items()}


def read_score_cell(cell: Any) -> float | None:
    """A step of the list, as a number or as text with a point or a comma; None for anything else, dates included."""
    if isinstance(cell, bool) or not isinstance(cell, int | float | str):
        return None
    try:
        number = float(cell.strip().replace(",", ".") if isinstance(cell, str) else cell)
    except ValueError:
        return None
    return next((step for step in STEPS if abs(step - number) < 1e-6), None)


def merge_returned_labels(earlier: pl.DataFrame | None, labels: Mapping[str, Mapping[str, Any]]) -> pl.DataFrame:
    """The labels of a sheet with those that are new: a cell that is empty this time takes nothing away."""
    known: dict[str, dict[str, Any]] = {}
    for row in earlier.iter_rows(named=True) if earlier is not None else ():
        said = {name: row[name] for name in ASKED if row[name] is not None}
        known[row["token"]] = {**said, **dict.fromkeys(row["cannot_tell"], CANNOT_TELL)}
    for token, cells in labels.items():
        known.setdefault(token, {}).update(cells)
    return pl.DataFrame([_as_row(token, cells) for token, cells in sorted(known.items())], schema=LABELS_SCHEMA)


def _as_row(token: str, cells: Mapping[str, Any]) -> dict[str, Any]:
    told = {name: None if cells.get(name) == CANNOT_TELL else cells.get(name) for name in ASKED}
    return {"token": token, **told, "cannot_tell": [name for name in ASKED if cells.get(name) == CANNOT_TELL]}
