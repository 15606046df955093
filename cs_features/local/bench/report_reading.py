"""The daily page as its reader sees it: the text and the drawn line of each country's cells, and all its words."""

from html.parser import HTMLParser
from typing import Any

Line = list[tuple[float, float]]


class PageReader(HTMLParser):
    """The table by country and column."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text = ""
        self._columns: list[str] = []
        self._rows: list[list[str]] = []
        self._lines: list[list[Line]] = []
        self._tag = ""
        self.feed(page)

    @property
    def cells(self) -> dict[str, dict[str, str]]:
        return {row[0]: dict(zip(self._columns, row[1:], strict=True)) for row in self._rows if row}

    @property
    def lines(self) -> dict[str, dict[str, Line]]:
        pairs = zip(self._rows, self._lines, strict=True)
        return {row[0]: dict(zip(self._columns, lines[1:], strict=True)) for row, lines in pairs if row}

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self._tag, values = tag, dict(attrs)
        if tag == "tr":
            self._rows.append([])
            self._lines.append([])
        if tag == "td":
            self._rows[-1].append("")
            self._lines[-1].append([])
        if tag == "polyline":
            pairs = [pair.split(",") for pair in values["points"].split()]
            self._lines[-1][-1] += [(float(across), float(down)) for across, down in pairs]
        if tag == "circle":
            self._lines[-1][-1].append((float(values["cx"]), float(values["cy"])))

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._tag == "th" and data.strip():
            self._columns.append(data.strip())
        elif self._rows and self._rows[-1] and self._tag != "title":
            self._rows[-1][-1] = f"{self._rows[-1][-1]} {data.strip()}".strip()

    def handle_endtag(self, tag: str) -> None:
        if tag in ("title", "table"):
            self._tag = ""
        if tag == "table":
            self._rows.append([])
            self._lines.append([])
