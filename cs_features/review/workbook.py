"""The file that a colleague fills in: instructions, texts with lists to choose from, and nothing that an answer says.

A text is written as text whatever it begins with, so that no program takes it for a formula or a link. Names of
hidden sheets and the first column are how `returned.py` knows the file again.
"""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import xlsxwriter
from xlsxwriter.utility import xl_col_to_name

from cs_features.review.drawing import DrawnSheet
from cs_features.review.records import Sheet
from cs_features.review.words import ASKED, STEPS, Choices, Words, load_language_words
from cs_features.schemas import SCORES

ABOUT_SHEET, LISTS_SHEET = "_about", "_lists"
COLUMNS = ("token", "text", *ASKED, "comment")
# Together as wide as a laptop's screen, so that the last answer is given with the text in view.
_WIDTHS = {
    "token": 14,
    "text": 60,
    "sentiment": 14,
    "primary_topic": 22,
    "intent": 22,
    "resolution_status": 14,
    "urgency_score": 11,
    "csat_indicator": 13,
    "comment": 18,
}
_LINE_HEIGHT, _MOST_HEIGHT = 15, 405  # points; no program shows a higher row
_PLAIN = {"strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False, "in_memory": True}


def write_review_workbook(drawn: DrawnSheet) -> bytes:
    """The file's bytes."""
    words, body = load_language_words(drawn.sheet.language), io.BytesIO()
    with xlsxwriter.Workbook(body, _PLAIN) as book:
        _write_instructions_page(book, words)
        sheet = book.add_worksheet(words.sheet)
        ranges = _write_lists_page(book, drawn.choices, words.cannot_tell)
        _write_entries_page(book, sheet, words, drawn.entries)
        _offer_cell_choices(sheet, ranges, len(drawn.entries), words)
        _write_about_page(book, drawn.sheet)
    return body.getvalue()


def _write_instructions_page(book: Any, words: Words) -> None:
    sheet = book.add_worksheet(words.about)
    title = book.add_format({"bold": True, "font_size": 16, "valign": "vcenter"})
    line = book.add_format({"text_wrap": True, "valign": "top", "font_size": 11})
    sheet.set_column(0, 0, 110)
    sheet.hide_gridlines(2)
    sheet.write_string(0, 0, words.title, title)
    sheet.set_row(0, 30)
    for row, sentence in enumerate(words.instructions, start=1):
        sheet.write_string(row, 0, sentence, line)
        sheet.set_row(row, _LINE_HEIGHT * (1 + len(sentence) // 100) + 8)
    sheet.set_paper(9)
    sheet.set_landscape()
    sheet.fit_to_pages(1, 1)


def _write_lists_page(book: Any, choices: Mapping[str, Choices], cannot_tell: str) -> dict[str, str]:
    """The lists, a column each on a hidden sheet; returns where each is."""
    sheet = book.add_worksheet(LISTS_SHEET)
    sheet.hide()
    ranges = {}
    for column, field in enumerate(ASKED):
        offered: list[str | float] = [*(STEPS if field in SCORES else choices[field].values), cannot_tell]
        for row, value in enumerate(offered):
            write = sheet.write_string if isinstance(value, str) else sheet.write_number
            write(row, column, value)
        name = xl_col_to_name(column)
        ranges[field] = f"={LISTS_SHEET}!${name}$1:${name}${len(offered)}"
    return ranges


def _write_entries_page(book: Any, sheet: Any, words: Words, entries: Sequence[tuple[str, str]]) -> None:
    heading = book.add_format(
        {"bold": True, "bg_color": "#DCE6F1", "border": 1, "text_wrap": True, "valign": "vcenter"}
    )
    token_format = book.add_format({"font_color": "#7F7F7F", "valign": "top", "num_format": "@"})
    text_format = book.add_format({"text_wrap": True, "valign": "top", "num_format": "@", "bottom": 4})
    answer_format = book.add_format({"text_wrap": True, "valign": "top", "bottom": 4, "bg_color": "#FFFDF2"})
    for column, name in enumerate(COLUMNS):
        style = {"token": token_format, "text": text_format}.get(name, answer_format)
        sheet.set_column(column, column, _WIDTHS[name])
        sheet.write_string(0, column, words.headings[name], heading)
        for row in range(1, len(entries) + 1):
            if name not in ("token", "text"):
                sheet.write_blank(row, column, None, style)
    for row, (token, text) in enumerate(entries, start=1):
        sheet.write_string(row, 0, token, token_format)
        sheet.write_string(row, 1, text, text_format)
        sheet.set_row(row, measure_row_height(text))
    sheet.set_row(0, 36)
    sheet.freeze_panes(1, 2)  # and on a narrower screen the text stays while the answers scroll
    # Sorting by these buttons moves whole rows.
    sheet.autofilter(0, 0, len(entries), len(COLUMNS) - 1)
    sheet.set_paper(9)
    sheet.set_landscape()
    sheet.fit_to_pages(1, 0)


def measure_row_height(text: str) -> int:
    """The points that a text takes in its column: programs that do not measure for themselves show its first line."""
    lines = sum(1 + len(line) // (_WIDTHS["text"] - 4) for line in text.split("\n"))
    return min(_MOST_HEIGHT, _LINE_HEIGHT * max(2, lines) + 3)  # a gloss of two lines fits beside the shortest


def _offer_cell_choices(sheet: Any, ranges: Mapping[str, str], entries: int, words: Words) -> None:
    for field, where in ranges.items():
        column = COLUMNS.index(field)
        rule = {"validate": "list", "source": where, "error_title": words.headings[field][:32]}
        sheet.data_validation(1, column, entries, column, rule)


def _write_about_page(book: Any, sheet: Sheet) -> None:
    about = book.add_worksheet(ABOUT_SHEET)
    about.very_hidden()
    facts = {"format": str(sheet.format), "sheet": sheet.id, "country": sheet.country}
    for row, (name, value) in enumerate(facts.items()):
        about.write_string(row, 0, name)
        about.write_string(row, 1, value)
    book.set_properties({"title": "", "author": "", "comments": ""})
